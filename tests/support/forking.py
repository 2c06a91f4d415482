"""Programs in Python as forks of a process that has loaded what they load, instead of started anew.

A start with numpy and numba takes a second or two, on a slow machine a quarter of a minute. What runs is the
same: the program's text in a process of its own, with nothing of ours open. `Forks` has such a process beside
the tests: `python -m tests.support.forking FD MODULE`, of which MODULE loads, and says what is forked.
"""

import atexit
import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
_MOST_FDS = 1024
_MOST_BYTES = 1 << 17
_DEFAULT = (signal.SIGTERM, signal.SIGHUP)


class Forks:
    """A process that forks `module`'s `main`, one at a time; it ends with this one."""

    def __init__(self, module: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forking", str(theirs.fileno()), module],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self.close)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], within_s: float
    ) -> tuple[int, str, str]:
        """Exit code, output and errors of `main` with `arguments` in an `environment`.

        Raises TimeoutExpired, with everything forked ended, after `within_s`.
        """
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


def serve(fd: int, main: Callable[[Sequence[str]], object]) -> int:
    """Fork `main` for what is asked for at the socket `fd`, until it closes."""
    with socket.socket(fileno=fd) as asked:
        while wanted := asked.recv(_MOST_BYTES):
            arguments, environment, folder = json.loads(wanted)
            asked.send(str(fork(main, arguments, environment, Path(folder))).encode())
    return 0


def fork(
    main: Callable[[Sequence[str]], object],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
) -> int:
    """The exit code of `main` in a process of its own whose output goes to files in `folder`."""
    pid = os.fork()
    if not pid:
        _redirect(folder / "out", folder / "err")
        _surround(environment)
        _end(lambda: main(arguments))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """This process goes on as a new interpreter with `command` would, whose first word is this Python."""
    os.closerange(3, _MOST_FDS)
    for number in _DEFAULT:
        signal.signal(number, signal.SIG_DFL)
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
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        os.dup2(file, fd)
        os.close(file)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _end(action: Callable[[], object]) -> NoReturn:
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
    sys.exit(serve(int(sys.argv[1]), importlib.import_module(sys.argv[2]).main))
