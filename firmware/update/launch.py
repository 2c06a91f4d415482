"""`python -m firmware.update.launch --state DIR -- EDGE OPTIONS`: start the edge from the slot that is
selected.

This belongs to what was installed and is never updated. It decides (`boot`), checks a slot on trial, then
becomes the edge. It asks of the slots nothing but files, and of itself nothing but Python's library.
"""

import argparse
import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from firmware.command_line import Parser
from firmware.errors import ConfigError, EdgeError, PortError
from firmware.update.boot import boot
from firmware.update.disk import FolderDisk
from firmware.update.launched import SET, VARIABLE, Launched
from firmware.update.selector import INSTALLED
from firmware.update.slots import Slots, cache, tree
from hw.stages import notify_address

CHECK_S = 300.0
"""How long a slot's health check may take: the first time it compiles its loop for the machine."""
EXTEND_S = 30
MOST_SAID = 300


def parser() -> argparse.ArgumentParser:
    """The launcher's options; what follows `--` is the edge's."""
    p = Parser(prog="python -m firmware.update.launch", description="Start the edge from its selected slot.")
    p.add_argument("--state", type=Path, required=True, metavar="DIR", help="where the slots are")
    p.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help="public keys whose updates are taken (default: STATE/update-keys)",
    )
    p.add_argument("--check-seconds", type=float, default=CHECK_S, metavar="S", help="for a health check")
    p.add_argument("edge", nargs="*", metavar="-- EDGE OPTIONS")
    return p


def _say(line: str) -> None:
    sys.stderr.write(f"evokd launch: {line}\n")
    sys.stderr.flush()


def environment_of(state: Path, slot: str, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment in which Python finds a slot's files before what is installed, and keeps what it
    compiles of them beside them."""
    environment = dict(base)
    if slot == INSTALLED:
        return environment
    files, compiled = state / tree(slot), state / cache(slot)
    before = [os.fspath(files), os.fspath(files / "vendor"), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in before if path)
    environment["PYTHONPYCACHEPREFIX"] = os.fspath(compiled)
    environment["NUMBA_CACHE_DIR"] = os.fspath(compiled / "numba")
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


class Checker:
    """Runs a slot's own health check as a process, for at most `within_s`."""

    def __init__(self, state: Path, edge: Sequence[str], within_s: float = CHECK_S) -> None:
        self._state, self._edge, self._within_s = state, edge, within_s

    def __call__(self, slot: str) -> str:
        """Why the slot is not healthy, "" when it is."""
        command = [sys.executable, "-P", "-m", "firmware.update.health", "--", *self._edge]
        environment = environment_of(self._state, slot)
        environment["EVOKD_CHECKED_TREE"] = os.fspath(self._state / tree(slot))
        try:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            return f"its health check cannot be started: {error.strerror}"
        try:
            said, code = self._until_over(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if code is None:
            return f"its health check was not over after {self._within_s:g} s"
        if code == 0:
            os.sync()  # what it compiled, too
            return ""
        lines = said.decode(errors="replace").strip().splitlines() or [f"its health check ended with {code}"]
        return lines[-1][:MOST_SAID]

    def _until_over(self, process: "subprocess.Popen[bytes]") -> tuple[bytes, int | None]:
        """What it said last, and its exit code (None: not over in time); systemd is told that we live."""
        deadline_ns = time.monotonic_ns() + round(self._within_s * 1e9)
        said = b""
        out = process.stdout
        while out is not None and time.monotonic_ns() < deadline_ns:
            notify(f"WATCHDOG=1\nEXTEND_TIMEOUT_USEC={EXTEND_S * 1_000_000}")
            if select.select([out], [], [], 0.5)[0]:
                piece = os.read(out.fileno(), 1 << 16)
                if not piece:
                    out = None
                said = (said + piece)[-4096:]
        with contextlib.suppress(subprocess.TimeoutExpired):
            return said, process.wait(max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9))
        return said, None


def notify(text: str, environment: Mapping[str, str] = os.environ) -> None:
    """One datagram to systemd, where it listens (sd_notify(3))."""
    if (address := notify_address(environment)) is not None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(text.encode(), address)


def main(argv: Sequence[str] | None = None) -> int:
    """Become the edge; returns only when that cannot be."""
    try:
        args = parser().parse_args(argv)
        if not args.edge:
            raise ConfigError(
                "the edge's options are missing; give them behind --, as -- --link tcp:HOST:PORT"
            )
        state = args.state.absolute()
        slot = chosen(state, Checker(state, args.edge, args.check_seconds))
        given = sys.argv[1:] if argv is None else argv
        anew = (sys.executable, "-P", "-m", "firmware.update.launch", *given)
        found = {name: os.environ[name] for name in SET if name in os.environ}
        told = Launched(state, (args.keys or state / "update-keys").absolute(), slot, anew, found)
        environment = environment_of(state, slot) | {VARIABLE: told.encode()}
        os.execve(sys.executable, [sys.executable, "-P", "-m", "firmware", *args.edge], environment)
    except EdgeError as error:
        _say(str(error))
        return error.exit_code
    except OSError as error:
        _say(f"cannot start the edge: {error.strerror or error}")
    return 1


def chosen(state: Path, check: Checker) -> str:
    """The slot to start. Raises PortError when there can be no state folder."""
    try:
        disk = FolderDisk(state)
    except OSError as error:
        raise PortError(
            f"state folder {state}: {error.strerror}; check the path and its permissions"
        ) from None
    return boot(Slots(disk), check, _say).slot


if __name__ == "__main__":
    sys.exit(main())
