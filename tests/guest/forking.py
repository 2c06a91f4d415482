"""The rig and Python programs as forks of one process that has loaded everything, instead of started anew.

In the guest a start of Python with numpy and numba takes a quarter of a minute. What runs is the same: the
rig's `main` with its options, and the program's text in a process of its own with nothing of ours open.
"""

import contextlib
import os
import runpy
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import gpiod
import spidev

import firmware.bench.__main__
import firmware.linux_source
from firmware.rig import __main__ as rig
from firmware.rig.nodes import supervisor

LOADED = (gpiod, spidev, firmware.bench.__main__, firmware.linux_source)
_MOST_FDS = 1024


def run_rig(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """`python -m firmware.rig` with `arguments`: exit code, what it and its program printed."""
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name, "out"), Path(name, "err")
        pid = os.fork()
        if not pid:
            _redirect(out, err)
            os.environ.update(environment)
            supervisor.begin = begin
            _end(lambda: rig.main(arguments))
        status = os.waitpid(pid, 0)[1]
        return os.waitstatus_to_exitcode(status), out.read_text(), err.read_text()


def begin(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """See firmware.rig.nodes.supervisor.begin: a fork where the command is this Python, otherwise a start."""
    if command[0] != sys.executable:
        return os.posix_spawnp(command[0], list(command), dict(environment))
    pid = os.fork()
    if not pid:
        os.closerange(3, _MOST_FDS)
        os.environ.update(environment)
        _end(lambda: _python(command[1:]))
    return pid


def _python(arguments: Sequence[str]) -> int:
    """What the interpreter would do with `arguments`."""
    how, *rest = arguments
    main: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    if how == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), main)
    elif how == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        runpy.run_path(how, run_name="__main__")
    return 0


def _redirect(out: Path, err: Path) -> None:
    for fd, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, fd)
        os.close(file)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _end(action: Any) -> NoReturn:
    """This process ends with `action`."""
    code: object = 1
    try:
        code = action()
    except SystemExit as wanted:
        code = wanted.code
    except BaseException:  # noqa: BLE001  # as the interpreter would
        traceback.print_exc()
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(int(code or 0))  # type: ignore[call-overload]
