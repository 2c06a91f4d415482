"""The modelled board: converters, their clocks and the wires around them, in time of its own.

Owns time, data-ready edges, chip selects and pins; refuses to know who asks: the simulated box and the rig
put the same board behind their ports and device nodes. A body gives the volts; stimulus lines return to the
GPIO pins of the first two chips, as on the real board.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import and_

from hw.board import LINES_PER_CHIP
from hw.chips import DECODE_TCLK, Opcode, tclk_to_ns
from hw.model.ads1299 import Ads1299Model
from hw.model.board_clocks import oscillators
from hw.model.board_setup import BoardSetup, Body, Nobody, ReadyEdge
from hw.model.daisy import Tail
from hw.model.electrodes import Electrode, Side
from hw.model.faults import Fault, inject
from hw.model.wire_faults import WireFaults
from hw.registers import Address

__all__ = ["ALL_SELECTS", "BoardModel", "BoardSetup", "Body", "Nobody", "ReadyEdge"]

ALL_SELECTS = -1
_CLOCK_OUTPUT = 0x20  # CONFIG1.CLK_EN
_UPDATE_NS = tclk_to_ns(DECODE_TCLK)
"""Data-ready that nobody has read for goes high this long, tUPDATE, before it falls again [DS-A p36]."""


class BoardModel:
    """One board, powered up at construction, at `now_ns`. Not thread-safe.

    Chips convert in their own time: edges come at START + tSETTLE and then every period of their oscillator,
    exact to the nanosecond with the default setup. A change of registers or electrodes settles over four
    conversions. A chip whose clock is not the first chip's sees the body as it was at the first chip's last
    conversion.
    """

    def __init__(self, setup: BoardSetup | None = None, body: Body | None = None, now_ns: int = 0) -> None:
        self.setup = setup = setup or BoardSetup()
        self._now_ns = now_ns
        self.oscillators = oscillators(setup, now_ns)
        self.chips = tuple(
            Ads1299Model(
                self.now_ns,
                chip,
                setup.around,
                replace(setup.options, seed=setup.options.seed + k),
                self.oscillators[k],
            )
            for k, chip in enumerate(setup.chips)
        )
        self.wires: WireFaults | None = None
        self.body: Body = body or Nobody(sum(chip.channels for chip in setup.chips))
        firsts = [sum(chip.channels for chip in setup.chips[:k]) for k in range(len(setup.chips) + 1)]
        self._slices = [slice(a, b) for a, b in pairwise(firsts)]
        self._edges: deque[ReadyEdge] = deque()
        self._seq = [0] * len(self.chips)
        self._row: Sequence[float] = (0.0,) * firsts[-1]
        self._row_ns = now_ns
        self._sample = 0
        self._stimulus = 0
        self.pulsed: Callable[[float, int], None] | None = None
        self._selected: tuple[int, ...] = ()
        self._due_ns: int | None = None
        self._connect()

    def now_ns(self) -> int:
        """The board's time."""
        return self._now_ns

    def next_ready_ns(self) -> int | None:
        """When the next conversion of any chip ends, with data or while it settles; None: no chip runs."""
        return self._due_ns

    @property
    def rate_hz(self) -> float:
        """Samples per second that the first chip is set to, at the nominal clock."""
        return self.chips[0].rate_hz

    def advance(self, t_ns: int) -> None:
        """Time runs to `t_ns` (not back); conversions that end on the way leave their edges in `edges`."""
        while (due_ns := self._due_ns) is not None and due_ns <= t_ns:
            self._now_ns = due_ns
            self._convert()
        self._now_ns = max(self._now_ns, t_ns)

    def edges(self) -> list[ReadyEdge]:
        """Data-ready edges since the last call, in order."""
        edges = list(self._edges)
        self._edges.clear()
        return edges

    def ready_high(self, chip: int) -> bool:
        """The level of a data-ready pin now: also high for 4 tCLK before it falls again unread."""
        model = self.chips[chip]
        if not model.drdy or (self.wires is not None and self.wires.chips[chip].ready_every == 1):
            return True
        due_ns = model.due_ns
        return due_ns is not None and due_ns - self._now_ns <= _UPDATE_NS

    def transfer(self, select: int, mosi: bytes, speed_hz: int = 0, hold_ns: int = 0) -> bytes:
        """One chip-select window on chip `select` (ALL_SELECTS: every chip hears it, the first answers).

        With `speed_hz` it takes its time on the wire, a conversion may end in its midst, and chip select
        rises `hold_ns` after the last bit; 0: none of that. Raises ValueError for a select without chip.
        """
        if self.wires is None and not speed_hz and not self.setup.daisy and 0 <= select < len(self.chips):
            chip = self.chips[select]
            reply = chip.transfer(mosi)
            if not chip.steady:
                self._refresh()
            return reply
        self.select(select)
        reply = self.clock(mosi, speed_hz)
        if speed_hz and hold_ns:
            self.advance(self._now_ns + hold_ns)
        self.deselect(timed=bool(speed_hz))
        return reply

    def select(self, select: int) -> None:
        """Chip select falls; ValueError for a select without chip."""
        n = 1 if self.setup.daisy else len(self.chips)
        if select != ALL_SELECTS and not 0 <= select < n:
            raise ValueError(f"chip select {select}: the board has {n}")
        every = tuple(range(len(self.chips)))
        wanted = every if self.setup.daisy or select == ALL_SELECTS else (select,)
        self._selected = wanted if self.wires is None else self.wires.heard_by(wanted)
        for k in self._selected:
            if not self._held_low(k):
                self.chips[k].select()

    def clock(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        """Bytes within the window; several calls with time between them are one window all the same."""
        if not speed_hz:
            return self._exchange(mosi, 0.0)
        byte_ns = 8e9 / speed_hz
        reply, start_ns, at = bytearray(), self._now_ns, 0
        while at < len(mosi):
            end = len(mosi)
            if self._due_ns is not None:  # bytes that begin before the next conversion ends
                before = -((start_ns - self._due_ns) // byte_ns)
                end = min(end, max(at + 1, int(before)))
            reply += self._exchange(mosi[at:end], byte_ns)
            self.advance(start_ns + round(end * byte_ns))
            at = end
        return bytes(reply)

    def deselect(self, timed: bool = True) -> None:
        """Chip select rises. `timed` False: as long after the last bit as any chip needs."""
        for k in self._selected:
            if not self._held_low(k):
                self.chips[k].deselect(self._now_ns, timed)
        self._selected = ()
        self._refresh()

    def set_stimulus(self, bits: int) -> None:
        """Drive the stimulus lines; a rising one stimulates its site now, and `pulsed` hears of it before:
        the time as `Body.stimulate` has it, and the line from 1."""
        rising = bits & ~self._stimulus
        self._stimulus = bits
        for k, chip in enumerate(self.chips[:2]):
            chip.gpio_pins = bits >> k * LINES_PER_CHIP & 0x0F
        if not rising:
            return
        at = self._sample - 1 + (self._now_ns - self._row_ns) * 1e-9 * self.rate_hz
        for line, site in enumerate(self.setup.sites):
            if rising >> line & 1:
                if self.pulsed is not None:
                    self.pulsed(at, line + 1)
                if site:
                    self.body.stimulate(at, site)

    def set_start(self, high: bool) -> None:
        """Drive the START pin of all chips: they begin and end together."""
        for chip in self.chips:
            chip.set_start(high)
        self._refresh()

    def set_reset(self, low: bool) -> None:
        """Drive the RESET pin of all chips."""
        for chip in self.chips:
            chip.set_reset(low)
        self._refresh()

    def power_cycle(self) -> None:
        """Supplies go and come back now."""
        for chip in self.chips:
            chip.power_up()
        self._refresh()

    def set_electrode(self, channel: int, side: Side, electrode: Electrode) -> None:
        """Put an electrode on `side` of `channel`, counted from 0 over all chips; ValueError without it.

        On a side that the board wires to the reference electrode, that one is changed (see Surroundings).
        """
        for chip, part in zip(self.chips, self._slices, strict=True):
            if part.start <= channel < part.stop:
                chip.set_electrode(channel - part.start, side, electrode)
                return
        raise ValueError(f"channel {channel}: the board has {self._slices[-1].stop}, counted from 0")

    def set_reference_electrode(self, electrode: Electrode) -> None:
        """Change the reference of all chips, where the board wires one to every channel."""
        side: Side = "p" if self.setup.around.negative_input == "srb2" else "n"
        for chip in self.chips:
            chip.set_electrode(0, side, electrode)

    def set_bias_electrode(self, electrode: Electrode) -> None:
        """Change the bias electrode of all chips."""
        for chip in self.chips:
            chip.set_bias_electrode(electrode)

    def apply(self, fault: Fault) -> None:
        """Break something, from now on; ValueError for a chip, channel or value that there is not."""
        inject(self, fault)
        self._refresh()

    def needs_wires(self) -> WireFaults:
        """The wires, to be broken."""
        if self.wires is None:
            self.wires = WireFaults(len(self.chips), self.setup.options.seed)
        return self.wires

    def _connect(self) -> None:
        """The chain of a daisy-chained board."""
        if self.setup.daisy:
            for chip, behind in pairwise(self.chips):
                chip.downstream = Tail(behind, self.setup.daisy_gap_bits)
        self._refresh()

    def _held_low(self, chip: int) -> bool:
        """A select that never rises: one window without end."""
        return self.wires is not None and self.wires.chips[chip].select_stuck is False

    def _exchange(self, mosi: bytes, byte_ns: float) -> bytes:
        """Bytes to every selected chip, without time passing."""
        if not mosi:
            return b""
        wires, now_ns, replies = self.wires, self._now_ns, []
        for k in self._selected:
            chip = self.chips[k]
            heard = mosi if wires is None else wires.sent(k, mosi)
            frame_at = 0 if chip.continuous else 1 if heard[0] == Opcode.RDATA else None
            reply = chip.clock(heard, now_ns, byte_ns)
            replies.append(reply if wires is None else wires.received(k, reply, frame_at))
        self._refresh()
        if not replies:
            return bytes(len(mosi))
        if any(self._held_low(k) for k in self._selected):  # two chips drive one line: a 0 wins
            return bytes(map(_all_of, *replies)) if len(replies) > 1 else replies[0]
        return replies[0]

    def _convert(self) -> None:
        """Conversions that end now; the first running chip sets the pace of the body."""
        now_ns, dues = self._now_ns, self._dues
        leads, alone = True, len(dues) == 1
        for k, due_ns in enumerate(dues):
            if due_ns is None:
                continue
            if due_ns <= now_ns:
                if leads:
                    self._row = self.body.read(self._sample)
                    self._sample += 1
                    self._row_ns = now_ns
                chip = self.chips[k]
                if chip.convert(self._row if alone else self._row[self._slices[k]]):
                    self._ready(k)
                dues[k] = chip.oscillator.ns_at(chip.due_tclk) if chip.steady else chip.due_ns
            leads = False
        self._due_ns = dues[0] if alone else _earliest(dues)

    def _ready(self, chip: int) -> None:
        """Data-ready of `chip` falls."""
        if self.wires is not None and not self._comes_through(self.wires, chip):
            return
        self._edges.append(ReadyEdge(chip, self._seq[chip], self._now_ns))
        self._seq[chip] += 1

    def _comes_through(self, wires: WireFaults, chip: int) -> bool:
        """What is broken around a conversion; False when its edge is lost."""
        own, model = wires.chips[chip], self.chips[chip]
        own.edges += 1
        if own.select_stuck is False:
            model.rewind()
        if own.restart_every and own.edges % own.restart_every == 0:
            model.start(self._now_ns)
        if own.reset_after and own.edges == own.reset_after:
            model.reset(self._now_ns)
        return not own.ready_every or own.edges % own.ready_every != 0

    def _refresh(self) -> None:
        """Who converts until when, after anything that may have changed it."""
        if self.setup.clocks == "first_chip":
            runs = bool(self.chips[0].register(Address.CONFIG1) & _CLOCK_OUTPUT)
            for chip in self.chips[1:]:
                chip.clocked = runs
        self._dues = [chip.due_ns for chip in self.chips]
        self._due_ns = _earliest(self._dues)


def _earliest(dues: Sequence[int | None]) -> int | None:
    return min((due for due in dues if due is not None), default=None)


def _all_of(*levels: int) -> int:
    return reduce(and_, levels)
