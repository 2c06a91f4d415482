"""The rig and Python programs as forks of one process that has loaded everything, instead of started anew.

A start of Python with numpy and numba takes a second or two, in the guest a quarter of a minute. What runs is
the same: the rig's `main` with its options, and the program's text in a process of its own, within the rig's
namespace and behind its filter, with nothing of ours open. `Forks` has such a process beside the tests.
"""

import atexit
import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
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
import firmware.rig.supervisor
from firmware.rig import __main__ as rig
from firmware.rig.hotpath import HotPath
from firmware.rig.nodes import supervisor

LOADED = (gpiod, spidev, firmware.bench.__main__, firmware.linux_source, firmware.rig.supervisor)
ROOT = Path(__file__).parents[2]
_MOST_FDS = 1024
_MOST_BYTES = 1 << 17


class Forks:
    """A process that forks rigs, one at a time; it ends with this one."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.rig.forking", str(theirs.fileno())],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self.close)

    def run_rig(
        self, arguments: Sequence[str], environment: Mapping[str, str], within_s: float
    ) -> tuple[int, str, str]:
        """See `run_rig`. Raises TimeoutExpired, with everything forked ended, after `within_s`."""
        with tempfile.TemporaryDirectory() as folder:
            self._socket.settimeout(within_s)
            self._socket.send(json.dumps([list(arguments), dict(environment), folder]).encode())
            try:
                code = int(self._socket.recv(_MOST_BYTES))
            except TimeoutError:
                self.close()
                raise subprocess.TimeoutExpired(list(arguments), within_s) from None
            return code, Path(folder, "out").read_text(), Path(folder, "err").read_text()

    def close(self) -> None:
        """End it and all that it has forked."""
        self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def serve(fd: int) -> int:
    """Fork what is asked for at the socket `fd`, until it closes."""
    _warm_up()
    with socket.socket(fileno=fd) as asked:
        while wanted := asked.recv(_MOST_BYTES):
            arguments, environment, folder = json.loads(wanted)
            asked.send(str(_rig(arguments, environment, Path(folder))).encode())
    return 0


def run_rig(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """`python -m firmware.rig` with `arguments`: exit code, what it and its program printed."""
    with tempfile.TemporaryDirectory() as folder:
        code = _rig(arguments, os.environ | environment, Path(folder))
        return code, Path(folder, "out").read_text(), Path(folder, "err").read_text()


def _warm_up() -> None:
    """Every fork finds the compiled steps of the rig at hand."""
    silent, aside = os.eventfd(0), os.eventfd(0)
    HotPath(silent, aside, os.getpid()).warm_up()
    os.close(silent)
    os.close(aside)


def _rig(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
    """The exit code of a rig whose output goes to `folder`."""
    pid = os.fork()
    if not pid:
        _redirect(folder / "out", folder / "err")
        _surround(environment)
        supervisor.begin = begin
        os.execve = _become  # type: ignore[assignment]  # how firmware.rig.program starts its program
        _end(lambda: rig.main(arguments))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def begin(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """See firmware.rig.nodes.supervisor.begin: a fork where the command is this Python, otherwise a start."""
    if command[0] != sys.executable:
        return os.posix_spawnp(command[0], list(command), dict(environment))
    pid = os.fork()
    if not pid:
        _program(command, environment)
    return pid


_execve = os.execve


def _become(path: str, command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """See os.execve: this very process where the command is this Python."""
    if command[0] == sys.executable:
        _program(command, environment)
    _execve(path, command, environment)


def _program(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """This process goes on as a new interpreter with `command` would."""
    os.closerange(3, _MOST_FDS)
    os.execve = _execve  # type: ignore[assignment]
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _surround(environment)
    _end(lambda: _python(command[1:]))


def _surround(environment: Mapping[str, str]) -> None:
    """Take `environment` for ours, and PYTHONPATH where it names more than we were started with."""
    os.environ.clear()
    os.environ.update(environment)
    named = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [folder for folder in named if folder and folder not in sys.path]


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


if __name__ == "__main__":
    sys.exit(serve(int(sys.argv[1])))
