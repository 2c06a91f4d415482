"""The edge of a world: the product's server, ring, acquisition and sequencer over a board of known samples.

`Board` is the truth that the oracle goes by: how many samples were converted, when each line rose, at which
sample and in which start of the edge. Its counts name sample and start: none is taken for another.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from firmware.acquisition import Acquisition
from firmware.ports import Edge
from firmware.server import Server
from hw.frames import pack24
from hw.link import (
    LOCK_IMPEDANCE,
    NOT_SEEN,
    Configure,
    Description,
    Excited,
    Impedance,
    ImpedanceStart,
    ImpedanceStop,
    Lockout,
    Message,
    Reply,
)
from hw.samples import SampleBlock
from tests.faults.wires import Cable
from tests.faults.world import Event, Process, World
from tests.support.links import true_counts

CHANNELS, LINES = 8, 4
PER_START = 100_000
"""Samples of one start of the edge are numbered from a multiple of this."""
MEASURES_S = 0.2


def counts_of(start: int, first: int, n: int) -> np.ndarray[Any, Any]:
    """(n, channel) counts of samples from `first` on, of the edge's start number `start`."""
    return true_counts(np.arange(first, first + n) + start * PER_START, CHANNELS)


@dataclass(slots=True)
class Rise:
    """Line `line` (from 1) rose at `t_ns`, in a step on sample `index` of an edge's start."""

    t_ns: int
    start: int
    index: int
    line: int


@dataclass(slots=True)
class Spoil:
    """What is wrong with the board now: bits or'ed to and masked from what the stimulus lines show, frames
    without their header, data-ready edges that are not told; each until a time."""

    show: int = 0
    hide: int = 0
    bits_until_ns: int = 0
    torn: float = 0.0
    missed: float = 0.0
    frames_until_ns: int = 0


@dataclass(slots=True)
class Board:
    """Converter and lines of one start of the edge."""

    world: World
    start: int
    rate_hz: float
    spoil: Spoil
    rises: list[Rise]
    exhausted: bool = False
    outputs: int = 0
    began_ns: int = 0
    made: int = 0
    dead_ns: int | None = None
    writes: list[tuple[int, int]] = field(default_factory=list)
    _rows: Any = None

    def sample_ns(self, index: int) -> int:
        """When a sample is converted."""
        return self.began_ns + round(index * 1e9 / self.rate_hz)

    def wait(self, timeout_s: float) -> Edge | None:
        """The next data-ready edge that was not missed."""
        world, spoil = self.world, self.spoil
        if not self.began_ns:
            self.began_ns = world.now_ns
        due_ns = self.sample_ns(self.made)
        world.block(None, max(0, due_ns - world.now_ns))
        index = int((world.now_ns - self.began_ns) * self.rate_hz / 1e9)
        spoilt = world.now_ns < spoil.frames_until_ns
        self.made = max(self.made, index) + 1
        if spoilt and world.random.random() < spoil.missed:
            return None
        return Edge(self.made - 1, self.sample_ns(self.made - 1))

    def read(self) -> bytes:
        """The frame of the sample converted last."""
        world, spoil, index = self.world, self.spoil, self.made - 1
        if self._rows is None or index >= len(self._rows):
            n = 0 if self._rows is None else len(self._rows)
            more = pack24(counts_of(self.start, n, 4096))
            self._rows = more if self._rows is None else np.concatenate([self._rows, more])
        bits = self.outputs
        if world.now_ns < spoil.bits_until_ns:
            bits = (bits | spoil.show) & ~spoil.hide
        head = 0xC0
        if world.now_ns < spoil.frames_until_ns and world.random.random() < spoil.torn:
            head = 0x40
        return bytes((head, 0, bits & 0xF)) + bytes(self._rows[index])

    def write(self, bits: int) -> None:
        """The stimulus lines."""
        rising = bits & ~self.outputs
        for line in range(LINES):
            if rising >> line & 1:
                self.rises.append(Rise(self.world.now_ns, self.start, self.made - 1, line + 1))
                self.world.note("rise", self.start, self.made - 1, line + 1)
        self.outputs = bits

    def die(self) -> None:
        """The process has gone; the kernel lets go of the lines, which fall."""
        self.outputs, self.dead_ns = 0, self.world.now_ns
        if self.began_ns:
            self.made = max(self.made, int((self.world.now_ns - self.began_ns) * self.rate_hz / 1e9) + 1)


class BoardSource:
    """The product's acquisition over a `Board`, with electrodes that measure at once."""

    patient = False

    def __init__(self, board: Board, source: str) -> None:
        self._board, self._name = board, source
        self._acquisition: Acquisition | None = None
        self._said: list[Message] = []
        self._measuring: tuple[int, int] | None = None
        self._next = 0

    def configure(self, wanted: Configure) -> Description:
        """See ports.Source."""
        board = self._board
        row = 3 + 3 * CHANNELS
        self._acquisition = Acquisition(board.read, board, board, board.rate_hz, LINES, CHANNELS, row)
        return Description(
            self._name, board.rate_hz, wanted.channels, (0.1,) * CHANNELS, (0.0,) * CHANNELS, 0.0, LINES
        )

    def command(self, command: Any) -> None:
        """See ports.Source."""
        if self._acquisition is not None:
            self._acquisition.command(command)

    def heard(self, t_ns: int) -> None:
        """See ports.Source."""
        if self._acquisition is not None:
            self._acquisition.heard(t_ns)

    def lead_command(self, command: Any) -> None:
        """Electrodes: a measurement takes a while and succeeds."""
        if isinstance(command, ImpedanceStart):
            if self._measuring is not None:
                self._said.append(Reply(command.command, "busy"))
                return
            self.command(Lockout(0, LOCK_IMPEDANCE, 1))
            self._measuring = command.command, self._next
            self._said += [Reply(command.command, ""), Excited(command.command, self._next, NOT_SEEN)]
        elif isinstance(command, ImpedanceStop):
            self._said.append(Reply(command.command, ""))
            self._measured(float("nan"))
        else:
            self._said.append(Reply(command.command, ""))

    def _measured(self, ohm: float) -> None:
        if self._measuring is None:
            return
        command, first = self._measuring
        self._measuring = None
        self.command(Lockout(0, LOCK_IMPEDANCE, 0))
        figures = ((ohm,) * 2,) * 5
        self._said.append(Excited(command, first, self._next))
        leads, notes = ("CP3+", "CP4+"), ("", "")
        self._said.append(Impedance(command, first, self._next, 31.25, 6, "", leads, *figures, notes))

    def run(self, put: Any, stop: Any) -> None:
        """See ports.Source."""

        def told(item: SampleBlock | Message) -> None:
            put(item)
            if isinstance(item, SampleBlock):
                self._next = item.end_index
                measuring = self._measuring
                if measuring and self._next - measuring[1] > MEASURES_S * self._board.rate_hz:
                    self._measured(1000.0)
                while self._said:
                    put(self._said.pop(0))

        if self._acquisition is not None:
            self._acquisition.run(told, stop)


def edge_main(world: World, process: Process, board: Board, cable: Cable, source: str) -> None:
    """The edge's process, to its end."""
    process.ending.append(board.die)
    cable.listening = process
    Server(BoardSource(board, source), cable, Event(world)).run()  # type: ignore[arg-type]
