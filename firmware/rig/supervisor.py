"""The rig at work: take a call, have it answered, let edges come, until the program ends.

Owns the loop and the wiring-together of its parts; refuses to know what any of them decides. One thread
serves everything, so that the program sees one order of events.
"""

import contextlib
import os
import select
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from firmware.rig import control, process
from firmware.rig.arch import this_machine
from firmware.rig.calls import Calls
from firmware.rig.faults import Faults
from firmware.rig.gpiochip import GpioChip
from firmware.rig.gpiomem import TICK_NS, GpioMem
from firmware.rig.hotpath import ASIDE, CALL, GONE, IDLE, MESSAGE, HotPath
from firmware.rig.lines import Lines
from firmware.rig.namespace import NodePlan
from firmware.rig.orders import Connections, Orders
from firmware.rig.pace import Lockstep, Pace, RealTime
from firmware.rig.presence import Presence
from firmware.rig.process import FileKey
from firmware.rig.program import exit_code, start
from firmware.rig.setup import REVISION, RigOptions
from firmware.rig.spidev import SpiNode
from firmware.rig.uapi import CHANGED_RELEASED
from firmware.rig.wires import Wires
from hw.model.board import BoardModel

LINGER_NS: Final = 1_000_000_000
"""What the program has left running is served so much longer: a helper of its own that cleans up."""
_HANG_UP: Final = select.EPOLLHUP | select.EPOLLERR


class Rig:
    """One board behind device nodes, for one program. One thread, one run."""

    def __init__(self, board: BoardModel, options: RigOptions, faults: Faults) -> None:
        self._options, self.faults = options, faults
        self.lines = Lines(faults)
        self.wires = Wires(board, self.lines, options.wiring, faults, options.wire)
        self._pace: Pace = (
            Lockstep(self.wires, self.lines, len(options.spi))
            if options.speed is None
            else RealTime(self.wires, options.speed)
        )
        self.wires.watcher = self._pace
        self._chip = GpioChip(self.lines)
        self.lines.on_output = self.wires.set_output
        self.lines.on_watch = self._pace.watched
        self.lines.on_look = self._pace.look
        self.lines.on_looked = self._looked
        self._ready = frozenset(options.wiring.ready)
        self._epoll = select.epoll()
        self._signals, self._wake = socket.socketpair()
        self._ends: dict[int, FileKey] = {}
        self._gpiomem: GpioMem | None = None
        self._hot: HotPath | None = None
        self._pid = 0
        self._status: int | None = None
        self._ended_ns = self._switches = 0

    def run(self, command: Sequence[str]) -> int:
        """Run `command` to its end; its exit code. Raises ConfigError and PortError when it cannot start."""
        folder = tempfile.mkdtemp(prefix="evokd-rig-")
        path = str(Path(folder) / "control")
        connections = Connections(path)
        try:
            environment = {"RPI_LGPIO_REVISION": REVISION} | os.environ | {control.ENVIRONMENT: path}
            plan = NodePlan(self._options.spi, self._options.gpio, REVISION)
            program = start(command, environment, plan, self._options.core)
            self._pid = program.pid
            hot = self._hot = HotPath(program.listener, self._epoll.fileno(), os.getpid())
            calls = Calls(program, this_machine(), self._options.gpio, self._chip, self.faults)
            self._gpiomem = calls.gpiomem = GpioMem(program.gpiomem, self.lines)
            self._chip.on_open = self._watch_end
            presence = Presence(plan, program, calls, hot, self._chip, self._spi_device, self._unwatch_end)
            presence.follow(self.faults)
            orders = Orders(self.wires, self.faults, self.counters)
            orders.on_faults = lambda: presence.follow(self.faults)
            hot.warm_up()
            self._pin()
            program.go()
            with _signals_to(program.pid, self._wake):
                self._serve(hot, calls, presence.devices, connections, orders)
            return exit_code(self._status or 0)
        finally:
            connections.close()
            control.clean_up(path)

    def counters(self) -> dict[str, int]:
        """Figures of the run so far."""
        return {
            "notifications": self._hot.notifications if self._hot else 0,
            "windows": self.wires.windows,
            "frames": self.wires.frames,
            "edges": self.wires.edges,
            "events": self.lines.sent(),
            "events_dropped": self.lines.dropped(),
        }

    def _spi_device(self, node: int) -> SpiNode:
        """A new SPI device behind node `node`."""
        return SpiNode(node, self.wires, self.faults, self._options.spi_max_hz)

    def _serve(
        self, hot: HotPath, calls: Calls, spi: list[SpiNode], connections: Connections, orders: Orders
    ) -> None:
        """The loop, until the program has ended and its children with it, or have had their time."""
        ended = os.pidfd_open(self._pid)
        self._epoll.register(ended, select.EPOLLIN)
        self._epoll.register(connections.listener.fileno(), select.EPOLLIN)
        self._epoll.register(self._signals.fileno(), select.EPOLLIN)
        message, faults, window = hot.message, self.faults, self.wires.window
        while self._status is None or time.monotonic_ns() < self._ended_ns + LINGER_NS:
            found = hot.take(self._timeout_ns())
            if self._gpiomem is not None and self._gpiomem.in_use:
                self._gpiomem.sync()
            if found == MESSAGE:
                number, mosi, speed_hz = message()
                node = spi[number]
                if faults.transfers_armed or not node.plain:
                    calls.handle(hot.note())
                else:
                    hot.give(window(number, mosi, node.clock_hz(speed_hz), node.selected, True))
            elif found == CALL:
                calls.handle(hot.note())
            elif found == ASIDE:
                self._aside(ended, connections, orders)
            elif found == IDLE:
                self._idle()
            elif found == GONE:
                if self._status is None:
                    self._status = os.waitpid(self._pid, 0)[1]
                break
        os.close(ended)

    def _timeout_ns(self) -> int:
        timeout_ns = self._pace.timeout_ns
        if self._status is not None:
            return LINGER_NS
        if self._gpiomem is not None and self._gpiomem.in_use:
            return TICK_NS if timeout_ns < 0 else min(timeout_ns, TICK_NS)
        return timeout_ns

    def _aside(self, ended: int, connections: Connections, orders: Orders) -> None:
        """Hang-ups, orders, the program's end."""
        for fd, _ in self._epoll.poll(0):
            if fd == ended:
                self._status = os.waitpid(self._pid, 0)[1]
                self._ended_ns = time.monotonic_ns()
                self._epoll.unregister(ended)
            elif fd == connections.listener.fileno():
                accepted = connections.accept()
                if accepted is not None:
                    self._epoll.register(accepted, select.EPOLLIN)
            elif fd in connections:
                connections.serve(fd, orders)
            elif fd in self._ends:
                self._hung_up(fd)
            elif fd == self._signals.fileno():
                self._signals.recv(4096)  # Python has now run their handlers

    def _idle(self) -> None:
        """Nothing was asked for a while: who waits for what?"""
        if isinstance(self._pace, RealTime):
            self._pace.idle(False, False)
            return
        if self._gpiomem is not None and self._gpiomem.in_use and not self.wires.watched:
            self._pace.looked(self._any_ready_low())
            self._gpiomem.show()
            return
        watchers = {r.key: r for offset in self._ready for r in self.lines.watchers(offset)}
        if not watchers or any(request.unread for request in watchers.values()):
            return
        tids = [tid for pid in process.family(self._pid) for tid in process.threads(pid)]
        keys = set(watchers)
        waits = any(process.waits_for(tid, keys) for tid in tids)
        before, self._switches = self._switches, sum(map(process.switches, tids)) if waits else 0
        moved = before != self._switches  # some thread was busy since the last tick
        self._pace.idle(waits, moved or any(process.is_running(tid) for tid in tids))

    def _looked(self, offsets: tuple[int, ...]) -> None:
        """Levels were read."""
        ready = self._ready.intersection(offsets)
        if ready:
            self._pace.looked(any(not self.lines.lines[offset].level for offset in ready))

    def _any_ready_low(self) -> bool:
        return any(not self.lines.lines[offset].level for offset in self._ready)

    def _watch_end(self, end: socket.socket, key: FileKey) -> None:
        """Hear of it when the program's last copy of a descriptor is closed."""
        self._ends[end.fileno()] = key
        self._epoll.register(end.fileno(), _HANG_UP)

    def _unwatch_end(self, end: socket.socket) -> None:
        """We hang up ourselves: the program has not closed its own."""
        del self._ends[end.fileno()]
        self._epoll.unregister(end.fileno())

    def _hung_up(self, fd: int) -> None:
        key = self._ends.pop(fd)
        self._epoll.unregister(fd)
        if key in self._chip.handles:
            self._chip.close(key)
            return
        request = self.lines.release(key)
        if request is not None:
            request.ours.close()
            self._chip.changed(request.offsets, CHANGED_RELEASED)

    def _pin(self) -> None:
        """In lockstep one processor does both sides in turn: no wake-up ever crosses to another."""
        if self._options.core is not None:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, {self._options.core})


@contextlib.contextmanager
def _signals_to(pid: int, wake: socket.socket) -> Iterator[None]:
    """SIGTERM and SIGHUP go to the program; Ctrl-C reaches it by itself, from the terminal.

    `wake` gets a byte with each, so that compiled code that waits returns and lets the handler run.
    """

    def forward(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    wake.setblocking(False)
    fd_before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    before = {n: signal.signal(n, forward) for n in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, handler in before.items():
            signal.signal(number, handler)
