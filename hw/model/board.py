"""The modelled board: converters, their common clock and the wires around them, in time of its own.

Owns time, data-ready edges, chip selects and pins; refuses to know who asks: the simulated box and the rig
put the same board behind their ports and device nodes. A body gives the volts; the four stimulus lines return
to the GPIO pins of the first chip, as on the real board.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hw.board import N_LINES
from hw.chips import ADS1299, ChipSpec
from hw.model.ads1299 import Ads1299Model
from hw.model.ads1299_inputs import Surroundings
from hw.registers import Address, Config1

ALL_SELECTS = -1


class Body(Protocol):
    """What the electrodes see."""

    def read(self, sample: int) -> Sequence[float]:
        """Volts at conversion `sample`, counted from 0 at START; one per channel of all chips, in order."""
        ...

    def stimulate(self, at: float, site: str) -> None:
        """A stimulus at `site`, `at` conversions after START; later samples show it."""
        ...


class Nobody:
    """Electrodes in a beaker: 0 V on `channels` channels."""

    def __init__(self, channels: int) -> None:
        self._volts = (0.0,) * channels

    def read(self, sample: int) -> Sequence[float]:
        """0 V everywhere."""
        return self._volts

    def stimulate(self, at: float, site: str) -> None:
        """Nothing answers."""


@dataclass(frozen=True, slots=True)
class BoardSetup:
    """What is on the board. `sites[k]` is what stimulus line k+1 stimulates ("" for nothing)."""

    chips: tuple[ChipSpec, ...] = (ADS1299,)
    around: Surroundings = field(default_factory=Surroundings)
    sites: tuple[str, ...] = ("",) * N_LINES


@dataclass(frozen=True, slots=True)
class ReadyEdge:
    """Data-ready of `chip` (0 = first) fell at `t_ns`; `seq` counts that chip's edges from 0."""

    chip: int
    seq: int
    t_ns: int


class BoardModel:
    """One board, powered up at construction, at `now_ns`. Not thread-safe."""

    def __init__(self, setup: BoardSetup | None = None, body: Body | None = None, now_ns: int = 0) -> None:
        self.setup = setup or BoardSetup()
        self._now_ns = now_ns
        self.chips = tuple(Ads1299Model(self.now_ns, chip, self.setup.around) for chip in self.setup.chips)
        self.body: Body = body or Nobody(sum(chip.channels for chip in self.setup.chips))
        self._edges: deque[ReadyEdge] = deque()
        self._seq = [0] * len(self.chips)
        self._start_ns: int | None = None
        self._sample = 0
        self._stimulus = 0

    def now_ns(self) -> int:
        """The board's time."""
        return self._now_ns

    def transfer(self, select: int, mosi: bytes, speed_hz: int = 0) -> bytes:
        """One chip-select window on chip `select` (ALL_SELECTS: every chip hears it, the first answers).

        With `speed_hz` it takes its time on the wire; 0: none. Raises ValueError for a select without chip.
        """
        if select == ALL_SELECTS:
            replies = [chip.transfer(mosi) for chip in self.chips]
            reply = replies[0]
        elif 0 <= select < len(self.chips):
            reply = self.chips[select].transfer(mosi)
        else:
            raise ValueError(f"chip select {select}: the board has {len(self.chips)}")
        if speed_hz:
            self.advance(self._now_ns + len(mosi) * 8_000_000_000 // speed_hz)
        self._watch()
        return reply

    def next_ready_ns(self) -> int | None:
        """When the next conversion of the first chip ends, None while none is under way."""
        if self._start_ns is None:
            return None
        return self._start_ns + round((self._sample + 1) * 1e9 / self.rate_hz)

    @property
    def rate_hz(self) -> float:
        """Samples per second that the first chip is set to."""
        return Config1.decode(self.chips[0].register(Address.CONFIG1)).data_rate.rate_hz

    def advance(self, t_ns: int) -> None:
        """Time runs to `t_ns` (not back); conversions that end on the way leave their edges in `edges`."""
        while (due := self.next_ready_ns()) is not None and due <= t_ns:
            self._now_ns = due
            self._convert()
        self._now_ns = max(self._now_ns, t_ns)

    def edges(self) -> list[ReadyEdge]:
        """Data-ready edges since the last call, in order."""
        edges = list(self._edges)
        self._edges.clear()
        return edges

    def ready_high(self, chip: int) -> bool:
        """The level of a data-ready pin."""
        return not self.chips[chip].drdy

    def set_stimulus(self, bits: int) -> None:
        """Drive the stimulus lines; a rising one stimulates its site now."""
        rising = bits & ~self._stimulus
        self._stimulus = bits
        self.chips[0].gpio_pins = bits
        for line, site in enumerate(self.setup.sites):
            if rising >> line & 1 and site:
                self.body.stimulate(float(self._sample - 1), site)

    def _convert(self) -> None:
        volts = self.body.read(self._sample)
        self._sample += 1
        at = 0
        for number, chip in enumerate(self.chips):
            own = volts[at : at + chip.chip.channels]
            at += chip.chip.channels
            if chip.convert(own):
                self._edges.append(ReadyEdge(number, self._seq[number], self._now_ns))
                self._seq[number] += 1

    def _watch(self) -> None:
        """START begins the count of samples, STOP ends it."""
        converting = self.chips[0].converting
        if converting and self._start_ns is None:
            self._start_ns, self._sample = self._now_ns, 0
        elif not converting:
            self._start_ns = None
