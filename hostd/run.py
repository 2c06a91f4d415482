"""`evokd run`: edge, host and web display as three processes, watched from one terminal.

Owns their order of starting and stopping and the exit code; what goes wrong is said by the process it went
wrong in, once, first cause first. Holds no sample and no socket of the bus but a client's.
"""

import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from hostd.keys import Secret
from hostd.progress import watch

STOP_S = 12.0
EARLY_S = 8.0
"""A process that ends sooner was wrongly asked for."""
MOST_STARTS, WITHIN_NS = 5, 60_000_000_000
"""A process that dies more often than that is not helped by another start."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What to start: arguments for each process beside the ones that wire them together; None starts none.

    `link` None lets an edge be started on a socket of our own. `key` is the terminal's on the bus.
    """

    edge: list[str] | None
    host: list[str]
    web: list[str] | None
    link: str | None
    bus: str
    places: dict[str, str]
    key: Secret | None = None


@dataclass(slots=True)
class Child:
    """One process of ours, by name."""

    name: str
    command: list[str]
    process: "subprocess.Popen[bytes]"
    started_ns: list[int] = field(default_factory=list)

    def again(self) -> bool:
        """Start it anew, unless that was done too often."""
        now_ns = time.monotonic_ns()
        self.started_ns = [at for at in self.started_ns if now_ns - at < WITHIN_NS]
        if len(self.started_ns) >= MOST_STARTS:
            return False
        self.started_ns.append(now_ns)
        self.process = _process(self.command)
        return True

    def stop(self) -> None:
        """Ask it to end, and make sure of it."""
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(options: RunOptions, stop: threading.Event) -> int:
    """Start, watch, stop; the exit code of the process that decided."""
    with tempfile.TemporaryDirectory(prefix="evokd-") as folder:
        link = options.link or f"unix:{Path(folder) / 'edge.sock'}"
        children: list[Child] = []
        if options.edge is not None:
            children.append(_start("edge", "firmware", [*options.edge, "--link", link]))
        starts = [] if options.edge is None else ["--edge-starts"]
        host = _start("host", "hostd", ["host", *options.host, "--link", link, *starts])
        children.insert(0, host)  # stopped first: it stops stimulation and closes the files
        if options.web is not None:
            children.append(_start("web", "hostd", ["web", *options.web]))
        supervisor = _Supervisor(children, stop)
        try:
            watch(options.bus, options.places, sys.stdout, supervisor.running, options.key)
        finally:
            for child in children:
                child.stop()
        return supervisor.exit_code


def foreground(module: str, args: list[str]) -> int:
    """Run one of our programs on this terminal to its end; its exit code, 1 when a signal killed it."""
    process = subprocess.Popen([sys.executable, "-m", module, *args])

    def hand_on(number: int, _frame: object) -> None:
        process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 1


class _Supervisor:
    """Decides whether the run goes on; the first process that fails decides the exit code."""

    def __init__(self, children: list[Child], stop: threading.Event) -> None:
        self._children, self._stop = children, stop
        self._started_ns = time.monotonic_ns()
        self.exit_code = 0

    def running(self) -> bool:
        """False when asked to stop, when the host has ended, or when a process failed that is needed. One
        that was killed is started anew, and so is the display; each alone."""
        if self._stop.is_set():
            return False
        early = time.monotonic_ns() - self._started_ns < EARLY_S * 1e9
        for child in list(self._children):
            code = child.process.poll()
            if code is None or (child.name == "edge" and code == 0):
                continue
            killed = f"was killed by signal {-code}" if code < 0 else f"ended ({code})"
            if (code < 0 or (child.name == "web" and not early)) and child.again():
                sys.stderr.write(f"evokd: the {child.name} process {killed}; it is started anew\n")
                continue
            if child.name == "web" and not early:
                sys.stderr.write(f"evokd: the web display {killed}; monitoring goes on\n")
                self._children.remove(child)
                continue
            self.exit_code = code if code > 0 else 1 if code else 0
            if code < 0:
                sys.stderr.write(f"evokd: the {child.name} process was killed by signal {-code}\n")
            return False
        return True


def _start(name: str, module: str, args: list[str]) -> Child:
    command = [sys.executable, "-m", module, *args, "--supervised"]
    return Child(name, command, _process(command))


def _process(command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
