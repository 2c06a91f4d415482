"""Case files: TOML to a resolved `hostd.case.Case`, or every fault found, each with its line and a cure.

The door to the parts: `casefile_schema` (form), `casefile_faults` (reading and telling), `casefile_setup`,
`casefile_plans`, `casefile_peaks` and `casefile_stimulus` (sense), `modalities` (defaults). CASEFILE.md is
the reference.
Refuses to touch devices and recordings: what they can do is judged by the source.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from hostd.case import Case
from hostd.casefile_faults import Faults, read, show
from hostd.casefile_plans import resolve_tests
from hostd.casefile_schema import RootTable
from hostd.casefile_setup import resolve_limits, resolve_recording, resolve_setup
from hostd.casefile_stimulus import judge_stimuli
from hostd.errors import CaseFileError
from hostd.modalities import MODALITIES
from hostd.toml_lines import locate
from hw.chips import ADS1299

# A page or two of settings; anything larger is another kind of file, perhaps an endless one.
_LARGEST_BYTES = 1 << 20
_DIGITS = re.compile(r"[0-9_]{1000,}")
_POSITION = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


def load(path: str | Path, recorded: bool = False) -> Case:
    """The case in the file `path`. Raises CaseFileError with every fault, also for an unreadable file.

    `recorded`: it was run already; what was stimulated then is not judged by what may be now.
    """
    where = str(path) if str(path).isprintable() else show(str(path))
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise CaseFileError(
            [f"{where}: no such file; name a case file, or run a shipped --procedure"]
        ) from None
    except IsADirectoryError:
        raise CaseFileError([f"{where}: is a directory; name a case file in it, such as case.toml"]) from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise CaseFileError([f"{where}: cannot be read: {reason}; name a readable case file"]) from None
    if len(data) > _LARGEST_BYTES:
        raise CaseFileError([f"{where}: larger than {_LARGEST_BYTES} bytes; name a case file in TOML"])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = f"{where}:{line}: byte {error.start} is not UTF-8 text; save the file as UTF-8"
        raise CaseFileError([fault]) from None
    return parse(text, where, recorded)


def parse(text: str, where: str, recorded: bool = False) -> Case:
    """The case written in `text`; `where` names it in the faults. Raises CaseFileError with every fault.

    `Case.rate_hz` is 0 when the case has a [recording] and leaves the rate to it: see `at_rate`.
    """
    return _resolve(text, where, None, recorded)


def at_rate(case: Case, rate_hz: float, where: str = "case.toml") -> Case:
    """`case` at the rate that its recording turned out to have: bands and windows resolved for it.

    Raises CaseFileError when the case states another rate or something in it does not fit this one.
    """
    return _resolve(case.text, where, rate_hz, past=True)


def procedures() -> tuple[str, ...]:
    """Names of the shipped cases, sorted."""
    folder = resources.files("hostd") / "procedures"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml")))


def procedure(name: str) -> Case:
    """The shipped case `name`. Raises CaseFileError when there is none of that name."""
    known = procedures()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise CaseFileError([f"procedure {show(name)}: not shipped; {hint}choose from {', '.join(known)}"])
    shipped = resources.files("hostd") / "procedures" / f"{name}.toml"
    return parse(shipped.read_text("utf-8"), f"procedures/{name}.toml")


def _resolve(text: str, where: str, recording_rate_hz: float | None, past: bool) -> Case:
    try:
        raw = _decode(text, where)
        faults = Faults(where, locate(text))
        root = read(RootTable, raw, (), faults)
        if not (root.name or "").strip() and not faults.at(("name",)):
            faults.add(("name",), "missing", 'write what the case is, as name = "Median nerve SSEP"')
        recorded = root.recording is not None or faults.at(("recording",))
        setup = resolve_setup(root.acquisition, recorded, recording_rate_hz, _wanted_hz(root.test), faults)
        recording = resolve_recording(root.recording, setup, faults)
        ceilings = resolve_limits(root.limits, faults)
        tests, watches = resolve_tests(root.test, setup, recording, faults)
    except RecursionError:
        raise CaseFileError([f"{where}:1: nested too deeply; write tables as in CASEFILE.md"]) from None
    case = Case(
        name=root.name or "",
        rate_hz=setup.rate_hz or 0.0,
        gain=setup.gain,
        reference=setup.reference,
        channels=setup.channels or (),
        tests=tests,
        recording=recording,
        text=text,
        ceilings=ceilings,
        monitor=setup.monitor,
        mains_hz=setup.mains_hz,
        watches=watches,
    )
    if case.rate_hz and not recorded and not past:
        judge_stimuli(case, faults)
    faults.raise_any()
    return case


def _wanted_hz(tests: Mapping[str, object] | None) -> float:
    """The sampling rate that the most demanding test wants, one that the converter has; 0: none says."""
    wanted_hz = 0.0
    for table in (tests or {}).values():
        name = table.get("modality") if isinstance(table, dict) else None
        if isinstance(name, str) and name in MODALITIES:
            wanted_hz = max(wanted_hz, MODALITIES[name].protocol.wants_hz)
    return min((rate for rate in ADS1299.rates_hz if rate >= wanted_hz), default=0.0) if wanted_hz else 0.0


def _decode(text: str, where: str) -> dict[str, object]:
    """`text` as tomllib reads it. Raises CaseFileError with the position of what is no TOML."""
    try:
        text.encode()
        return tomllib.loads(text)
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise CaseFileError(
            [f"{where}:{line}: a lone surrogate is no text; save the file as UTF-8"]
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise CaseFileError([_syntax_fault(str(error), text, where)]) from None
    except ValueError as error:  # a number with thousands of digits
        digits = _DIGITS.search(text)
        line = text.count("\n", 0, digits.start()) + 1 if digits else 1
        reason = str(error).split(";")[0]
        fault = f"{where}:{line}: a value cannot be read: {reason}; write a smaller one"
        raise CaseFileError([fault]) from None


def _syntax_fault(message: str, text: str, where: str) -> str:
    position = _POSITION.search(message)
    reason = message[: position.start()] if position else message
    reason = reason if reason.isprintable() else show(reason)
    if position and position[1]:
        line, column = int(position[1]), f", column {position[2]}"
    else:
        line, column = max(1, len(text.splitlines())), ", at the end"
    return f"{where}:{line}: not TOML{column}: {reason}; write key = value, text in quotes"


__all__ = ["at_rate", "load", "parse", "procedure", "procedures"]
