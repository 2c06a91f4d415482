"""The coprocessor's sequencer on a bench, in CPython: the board's own modules over the behaviour of its state
machines. `Looped`'s twin, for the same rules and the same observer."""

import functools
import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hw import link
from hw.link import ALL_PLANS, Reply, StimArm, StimPlan, StimStop, Stimulus
from tests.support import pio_assembler
from tests.support.looped import Looped
from tests.support.pico_edge import board_files

NAMES = (
    "messages",
    "limits",
    "arbiter",
    "telling",
    "pulses",
    "orders",
    "registers",
    "settings",
    "faults",
    "codec",
    "wire",
    "programs",
    "reader",
    "stimulator",
)
AHEAD_MS = 20


@functools.cache
def board_modules() -> SimpleNamespace:
    """The modules of the board that decide, imported here."""
    folder = Path(tempfile.mkdtemp(prefix="pico-board-"))
    board_files(folder)
    viper = SimpleNamespace(viper=lambda f: f, const=lambda x: x)
    sys.modules.setdefault("micropython", viper)  # type: ignore[arg-type]
    sys.modules.setdefault("rp2", pio_assembler)
    for name in ("machine", "uctypes"):  # what drives pins is looked at with fakes
        sys.modules.setdefault(name, SimpleNamespace(Pin=lambda number: number))  # type: ignore[arg-type]
    for name in ("machine", "uctypes"):  # what drives pins is looked at with fakes
        sys.modules.setdefault(name, SimpleNamespace(Pin=lambda number: number))  # type: ignore[arg-type]
    for name in ("ptr8", "ptr16", "ptr32"):
        __builtins__.setdefault(name, bytes)  # type: ignore[attr-defined]
    sys.path.insert(0, str(folder))
    try:
        return SimpleNamespace(**{name: importlib.import_module(f"evokd.{name}") for name in NAMES})
    finally:
        sys.path.remove(str(folder))


class Machines:
    """What the two state machines do with what is handed over, edge by edge."""

    def __init__(self, rest: int, dead: int) -> None:
        self._rest, self._dead = rest, dead
        self._orders: list[tuple[int, int, list[int]]] = []
        self._waiting: list[tuple[int, int, list[int]]] = []
        self._last = -1
        self.index = -1
        self.level = 0
        self._train: tuple[int, int] | None = None
        self._left, self._until = 0, -1
        self._waits = 0
        self._targets: list[int] = []

    def now(self) -> int:
        return self.index

    def feed(self, earliest: int) -> int | None:
        """What waits is given when all before it are proven."""
        if self._waiting and self._waiting[0][2][0] == earliest:
            mask, hold, indices = self._waiting.pop(0)
            if indices[0] <= self.index + 1:
                return indices[0]
            self._orders.append((mask, hold, indices))
            self._targets += indices
            self._last = indices[-1]
        return None

    def late(self) -> bool:
        return False

    def in_step(self) -> None:
        """Nothing is ever late here."""

    def hand_over(self, mask: int, hold: int, indices: list[int]) -> None:
        assert indices[0] > self.index, "handed over too late"
        self._waiting.append((mask, hold, list(indices)))

    def cancel(self) -> int:
        self._orders.clear()
        self._waiting.clear()
        self._train, self._left, self.level = None, 0, 0
        self._waits = self._rest
        self._targets = self._targets[:9]  # what the scheduler has in its FIFO still strobes
        return self._last

    def edge(self) -> None:
        """One data-ready edge: a frame is read, then what was ordered for it fires."""
        self.index += 1
        if self._train is not None and self.level and self.index >= self._until:
            self.level = 0
            self._left -= 1
            self._waits = self._dead if self._left else self._rest
            if not self._left:
                self._train = None
        elif not self.level and self._waits:
            self._waits -= 1
        if self._train is None and not self._waits and self._orders:
            mask, hold, indices = self._orders.pop(0)
            self._train, self._left = (mask, hold), len(indices)
        if self._targets and self._targets[0] <= self.index:
            self._targets.pop(0)
            if self._train is not None and not self._waits and not self.level:
                self.level, self._until = self._train[0], self.index + self._train[1]


class _Sequencer:
    """What `Looped.sequencer` offers."""

    def __init__(self, box: "PicoLooped", lines: int) -> None:
        self._box = box
        board, rate_hz = box.board, int(box.rate_hz)
        ahead = -(-AHEAD_MS * rate_hz // 1000)
        dead = board.programs.dead_edges(rate_hz)
        rest = dead * board.programs.rest_gaps(rate_hz)
        self.machines = Machines(rest, dead)
        self.pulses = board.pulses.Pulses(lines, rate_hz, self.machines, ahead, rest)
        self.orders = board.orders.Orders(self.pulses, rate_hz, lines, dead)
        self.said: list[Any] = []

    @property
    def outputs(self) -> int:
        """What the lines show now."""
        return self.machines.level

    def command(self, command: Any) -> str | None:
        theirs = getattr(self._box.board.messages, type(command).__name__)
        fields = {name: getattr(command, name) for name in command.__dataclass_fields__ if name != "CODE"}
        answer: str | None = self.orders.take(theirs(**fields))
        if answer is not None:
            return answer
        before = len(self.said)
        self.collect()
        replies = [m for m in self.said[before:] if isinstance(m, Reply) and m.command == command.command]
        return replies[-1].refusal if replies else None

    def arm(self, plan: int, seconds: float = 1.0) -> str | None:
        return self.command(StimArm(0, plan, round(seconds * self._box.rate_hz)))

    def start(self, plan: StimPlan) -> str | None:
        self.arm(plan.plan)
        return self.command(plan)

    def stop(self, plan: int = ALL_PLANS) -> None:
        self.command(StimStop(0, plan))

    def collect(self) -> None:
        """What the arbiter has said, as the box's messages."""
        for said in self._box.board.telling.events(self.pulses):
            ours = getattr(link, type(said).__name__)(**said.__dict__)
            if isinstance(ours, Stimulus):
                self._box.proofs.append(ours)
            elif isinstance(ours, link.Fault):
                self._box.faults.append((ours.code, ours.text))
            else:
                self.said.append(ours)


class PicoLooped(Looped):
    """`outputs[i]` are the levels of the lines after sample i. The interpreter looks `every` samples."""

    def __init__(self, rate_hz: float = 4000.0, lines: int = 4, lag: int = 1, every: int = 1) -> None:
        self.proofs, self.faults, self.outputs = [], [], []
        self.lost, self.lag, self.rate_hz, self.every = set(), lag, rate_hz, every
        self.board = board_modules()
        self.sequencer: Any = _Sequencer(self, lines)

    def run(self, until: int, bits: Callable[[int, int], int] = lambda index, level: level) -> "PicoLooped":
        while self.index < until:
            self._sample(bits)
        return self

    def _sample(self, bits: Callable[[int, int], int]) -> None:
        pulses, machines = self.sequencer.pulses, self.sequencer.machines
        if self.index % self.every == 0:
            pulses.plan(machines.index)
        at = self.index - self.lag
        shown = bits(self.index, self.outputs[at] if at >= 0 else 0)
        machines.edge()
        scalars = pulses.scalars
        if shown != scalars[1]:
            pulses.see(self.index, shown)
        pulses.seen_until(self.index + 1)
        pulses.feed()
        self.sequencer.collect()
        self.outputs.append(machines.level)

    def lose(self, n: int) -> "PicoLooped":
        """The next `n` samples are written over; the state machines go on."""
        pulses, machines = self.sequencer.pulses, self.sequencer.machines
        for _ in range(n):
            self.lost.add(self.index)
            pulses.plan(machines.index)
            pulses.feed()
            machines.edge()
            self.outputs.append(machines.level)
        pulses.lost(self.index)
        self.sequencer.collect()
        return self
