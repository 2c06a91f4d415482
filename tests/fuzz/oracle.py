"""What must hold of a command, whatever it is given: an exit code, one plain line, in time, in bounds.

Runs `evokd` in this process as its user would, under a limit of memory and an alarm.
"""

import contextlib
import io
import re
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from firmware.errors import EdgeError
from hostd import cli
from hostd.errors import EvokdError

ALARM_S = 20.0
MORE_BYTES = 1 << 30
"""How much address space an input may cost beyond what the process has."""
_NUMBERS = re.compile(r"b?'[^']*'|\"[^\"]*\"|[+-]?\d[\d.e+]*|/\S+")


class HungError(BaseException):
    """The alarm rang: no `except Exception` may swallow it."""


@contextlib.contextmanager
def bounded(more_bytes: int = MORE_BYTES) -> Iterator[None]:
    """Raise HungError after ALARM_S; MemoryError for more memory than that."""

    def rung(number: int, frame: object) -> NoReturn:
        raise HungError

    had = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, rung)
    resource.setrlimit(resource.RLIMIT_AS, (had + more_bytes, hard))
    signal.setitimer(signal.ITIMER_REAL, ALARM_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)


class WrongError(Exception):
    """What must not be; the text says what."""


def guarded(act: Callable[[], str]) -> str:
    """What came of `act`: its own word, or the kind of refusal. Raises WrongError."""
    try:
        with bounded():
            return act()
    except (EvokdError, EdgeError) as error:
        said = getattr(error, "faults", None) or [str(error)]
        for line in said:
            one_line(line)
        return shape(said[0])
    except HungError:
        raise WrongError(f"did not end within {ALARM_S:g} s") from None
    except WrongError:
        raise
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(last.filename).name}:{last.lineno} in {last.name}"
        raise WrongError(f"raised {type(error).__name__}: {str(error)[:200]} ({at})") from error


def evokd(*words: object) -> str:
    """Run `evokd WORDS`; the shape of what it said. Raises WrongError, or what the command raised."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(word) for word in words])
    said = err.getvalue()
    if code not in (0, 1, 2):
        raise WrongError(f"exit code {code}")
    if "Traceback" in said or (code == 0) != (said == ""):
        raise WrongError(f"exit code {code} and on stderr {said[:300]!r}")
    lines = said.splitlines()
    if len(lines) > 1 and not all(re.match(r"(evokd: )?\S+\.toml:\d+: ", line) for line in lines):
        raise WrongError(f"more than one line: {said[:300]!r}")
    for line in lines:
        one_line(line)
    return f"{code} {shape(lines[0] if lines else out.getvalue())}"


def one_line(line: str) -> None:
    """Refuse what a terminal or a log would show as anything but one short line."""
    if not line.strip() or len(line.splitlines()) != 1 or not line.isprintable():
        raise WrongError(f"no plain line: {line[:200]!r}")
    if len(line) > 2000:
        raise WrongError(f"a line of {len(line)} characters: {line[:100]!r}")


def shape(line: str) -> str:
    """A message without its numbers, names and paths: alike where the same thing is said."""
    return _NUMBERS.sub("*", line)[:160]
