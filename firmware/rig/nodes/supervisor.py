"""The rig on a kernel's own nodes: serve CUSE, pull data-ready, follow what the program drives, in real time.

Owns the loop and the wiring-together; refuses to know what any part decides. One thread. What the program
drove is taken in, with its time, before anything else of that time happens to the board.
"""

import contextlib
import os
import select
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from firmware.errors import ConfigError, PortError
from firmware.rig import control
from firmware.rig.faults import Faults
from firmware.rig.lines import LINE_NAMES, N_LINES
from firmware.rig.nodes.cuse import CuseNode, open_cuse
from firmware.rig.nodes.gpio_sim import SimChip
from firmware.rig.nodes.output_trace import OutputTrace
from firmware.rig.nodes.pins import KernelPins
from firmware.rig.orders import Connections, Orders
from firmware.rig.pace import RealTime
from firmware.rig.program import exit_code
from firmware.rig.setup import REVISION, RigOptions
from firmware.rig.spidev import SpiNode
from firmware.rig.wires import Wires
from hw.model.board import BoardModel

PRIORITY: Final = 60
"""SCHED_FIFO, above a driver's own: data-ready comes from outside, no program can hold it up."""
_LOOK_S: Final = 0.1
_MODE: Final = 0o600


class KernelRig:
    """One board behind a kernel's nodes, for one program. One run. See firmware.rig.supervisor.Rig."""

    def __init__(self, board: BoardModel, options: RigOptions, faults: Faults) -> None:
        self._options, self.faults, self._board = options, faults, board
        self._pinned_ns: int | None = None
        self._wires: Wires | None = None
        self._nodes: list[CuseNode] = []
        self._device_of: dict[Path, int] = {}
        self._present = True
        self._busy: tuple[int, ...] = ()

    def run(self, command: Sequence[str]) -> int:
        """Run `command` to its end; its exit code. Raises ConfigError and PortError when it cannot start."""
        if shutil.which(command[0]) is None:
            raise ConfigError(
                f"program {command[0]!r} is not found or not executable; check the name after --"
            )
        path = str(Path(tempfile.mkdtemp(prefix="evokd-rig-")) / "control")
        connections = Connections(path)
        code = 0
        with contextlib.ExitStack() as stack:
            stack.callback(control.clean_up, path)
            stack.callback(connections.close)
            chip = SimChip(self._options.gpio[0].label, LINE_NAMES)
            stack.callback(chip.close)
            stack.enter_context(_names(chip.name, [node.name for node in self._options.gpio]))
            self._trace = OutputTrace(chip.base, N_LINES)
            stack.callback(self._trace.close)
            self._chip, self._pins = chip, KernelPins(chip)
            self._wire_up(stack)
            environment = {"RPI_LGPIO_REVISION": REVISION} | os.environ | {control.ENVIRONMENT: path}
            pid = begin(command, environment)
            with _first_in_line(), _signals_to(pid):
                code = self._serve(pid, connections)
        return code

    def counters(self) -> dict[str, int]:
        """Figures of the run so far; what the kernel's queues drop is not ours to know."""
        wires = self._wires
        return {
            "notifications": sum(node.requests for node in self._nodes),
            "windows": wires.windows if wires else 0,
            "frames": wires.frames if wires else 0,
            "edges": wires.edges if wires else 0,
            "latest_us": self._pace.latest_ns // 1000 if wires else 0,
        }

    def _wire_up(self, stack: contextlib.ExitStack) -> None:
        options = self._options
        wires = Wires(self._board, self._pins, options.wiring, self.faults, options.wire)
        self._pace = wires.watcher = RealTime(wires, options.speed or 1.0, self._now_ns)
        self._wires = wires
        for k, name in enumerate(options.spi):
            node = CuseNode(open_cuse(), partial(self._spi_device, k), self.faults)
            stack.callback(node.close)
            node.appear(name)
            path = Path("/dev", name)
            if not path.exists():
                raise PortError(f"{path} did not appear; is /dev a devtmpfs and the name free?")
            self._nodes.append(node)
            self._device_of[path] = path.stat().st_rdev
        self._orders = Orders(wires, self.faults, self.counters)
        self._orders.on_faults = self._apply_faults
        self._apply_faults()

    def _spi_device(self, node: int) -> SpiNode:
        """A new SPI device behind node `node`."""
        if self._wires is None:
            raise RuntimeError("an SPI device before its wires")
        return SpiNode(node, self._wires, self.faults, self._options.spi_max_hz)

    def _now_ns(self) -> int:
        """The clock of the pace: the moment that is being taken in, otherwise now."""
        return time.monotonic_ns() if self._pinned_ns is None else self._pinned_ns

    def _serve(self, pid: int, connections: Connections) -> int:
        ended = os.pidfd_open(pid)
        nodes = {node.fileno(): node for node in self._nodes}
        asked: set[int] = set()
        try:
            while True:
                watched = [*nodes, self._trace.fileno(), connections.listener.fileno(), *asked, ended]
                ready, _, _ = select.select(watched, [], [], self._timeout_s())
                self._follow_outputs()
                self._pace.idle(False, False)
                for fd in ready:
                    if fd in nodes:
                        nodes[fd].serve()
                    elif fd == connections.listener.fileno():
                        accepted = connections.accept()
                        asked |= set() if accepted is None else {accepted}
                    elif fd in asked:
                        connections.serve(fd, self._orders)
                        asked = {fd for fd in asked if fd in connections}
                if ended in ready:
                    return exit_code(os.waitpid(pid, 0)[1])
        finally:
            os.close(ended)

    def _timeout_s(self) -> float:
        timeout_ns = self._pace.timeout_ns
        return _LOOK_S if timeout_ns < 0 else min(timeout_ns * 1e-9, _LOOK_S)

    def _follow_outputs(self) -> None:
        """The board sees what the program drove, each change at its own time."""
        for t_ns, offset, level in self._trace.changes():
            seen = self._pins.changed(offset, level)
            self._pinned_ns = t_ns
            try:
                if self._wires is not None:
                    self._wires.set_output(offset, seen)
            finally:
                self._pinned_ns = None

    def _apply_faults(self) -> None:
        """What only the kernel can do: chips that vanish and come back, lines that somebody holds."""
        if self.faults.vanished == self._present:
            self._present = not self.faults.vanished
            if self._present:
                self._come_back()
            else:
                self._go_away()
        busy = tuple(self.faults.busy_lines)
        if busy != self._busy and self._present:
            self._pins.hold(busy)
            self._busy = busy

    def _go_away(self) -> None:
        self._chip.vanish()
        for node, path in zip(self._nodes, self._device_of, strict=True):
            node.remove()
            path.unlink(missing_ok=True)

    def _come_back(self) -> None:
        self._chip.appear()
        self._pins.forget()
        for node, (path, device) in zip(self._nodes, self._device_of.items(), strict=True):
            node.renew()
            os.mknod(path, stat.S_IFCHR | _MODE, device)


def begin(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Start the program; its process."""
    return os.posix_spawnp(command[0], list(command), dict(environment))


@contextlib.contextmanager
def _names(node: str, wanted: Sequence[str]) -> Iterator[None]:
    """/dev/`node` under the other names of a Pi's chips too, where those are free."""
    made = [Path("/dev", name) for name in wanted if not Path("/dev", name).exists()]
    for link in made:
        link.symlink_to(node)
    try:
        yield
    finally:
        for link in made:
            link.unlink(missing_ok=True)


@contextlib.contextmanager
def _first_in_line() -> Iterator[None]:
    """This process before the program's threads; where the system does not allow it, in turn with them."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, *before)


@contextlib.contextmanager
def _signals_to(pid: int) -> Iterator[None]:
    """SIGTERM and SIGHUP go to the program; Ctrl-C reaches it by itself, from the terminal."""

    def forward(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    before = {n: signal.signal(n, forward) for n in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
