"""The modelled board on the pins of emulated state machines: bits on edges of SCLK, bytes to the model.

DIN is taken when SCLK falls. DOUT is unknown (the opposite of what comes) from `HOLD_NS` after SCLK's rise
until it is valid, behind isolators that delay both ways. Data-ready is the first chip's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hw.chips import DECODE_TCLK, tclk_to_ns
from hw.model.board import BoardModel
from tests.support.pio_machine import Change, Clockwork

HOLD_NS = 10.0
VALID_NS = 17.0
SCLK, DIN, DOUT, SELECT, DRDY, LINES, STROBE = 2, 3, 4, 8, 12, 13, 21
"""GPIO numbers of the tests; DOUT, SELECT and LINES are the first of several."""


@dataclass
class Window:
    """One chip while it is selected: bits of the byte under way, and what it answers to them."""

    chip: int
    taken: list[int] = field(default_factory=list)
    answer: int = 0
    begun_ns: int = 0
    first: bool = True


class Chips:
    """A board's converters. `heard`: the first chip's bytes, one list per window. `valid_ns` is tDOPD."""

    def __init__(
        self,
        board: BoardModel,
        clockwork: Clockwork,
        hz: int,
        bit_cycles: int,
        valid_ns: float = VALID_NS,
        isolator_ns: float = 0.0,
    ) -> None:
        self.board, self._clockwork, self._hz = board, clockwork, hz
        self._byte_ns = 8e9 * bit_cycles / hz
        self._way = isolator_ns, valid_ns
        self._begin_ns = board.now_ns()
        self._windows: dict[int, Window] = {}
        self.heard: list[list[int]] = []
        pins = clockwork.pins
        pins.heard[SCLK] = [self._clocked]
        for k in range(1 if board.setup.daisy else len(board.chips)):
            pins.heard[SELECT + k] = [self._selected]
        pins.put(-1.0, DRDY, board.ready_high(0))
        pins.changes.clear()
        self._expect()

    def cycles(self, ns: float) -> float:
        """Nanoseconds in cycles."""
        return ns * self._hz * 1e-9

    def cycle(self, t_ns: float) -> float:
        """The board's time in cycles since the beginning."""
        return self.cycles(t_ns - self._begin_ns)

    def _ns(self, cycle: float) -> int:
        return self._begin_ns + round(cycle * 1e9 / self._hz)

    def _expect(self) -> None:
        due_ns = self.board.next_ready_ns()
        assert due_ns is not None, "the board does not convert"
        before_ns = due_ns - tclk_to_ns(DECODE_TCLK)
        self._clockwork.at(self.cycle(before_ns), lambda: self._ready(before_ns))
        self._clockwork.at(self.cycle(due_ns), lambda: (self._ready(due_ns), self._expect()))

    def _ready(self, t_ns: int) -> None:
        self.board.advance(t_ns)
        self._clockwork.put(DRDY, self.board.ready_high(0))

    def _chips(self, select: int) -> Sequence[int]:
        return range(len(self.board.chips)) if self.board.setup.daisy else (select,)

    def _selected(self, change: Change) -> None:
        t_ns = self._ns(change.at)
        self.board.advance(t_ns)
        for k in self._chips(change.pin - SELECT):
            if change.high:
                self.board.chips[k].deselect(t_ns)
                window = self._windows.pop(k)
                assert not window.taken, f"chip {k} was left after {len(window.taken)} bits of a byte"
                self._clockwork.at(change.at, lambda k=k: self._clockwork.put(DOUT + k, True))
            else:
                self.board.chips[k].select()
                self._windows[k] = Window(k)
        if change.pin == SELECT and not change.high:
            self.heard.append([])

    def _clocked(self, change: Change) -> None:
        self.board.advance(t_ns := self._ns(change.at))
        for window in self._windows.values():
            if change.high:
                self._shift_out(window, change.at, t_ns)
            else:
                self._take(window, t_ns)

    def _shift_out(self, window: Window, at: float, t_ns: int) -> None:
        chip = self.board.chips[window.chip]
        command = window.first and not chip.continuous
        if not window.taken:
            window.begun_ns = t_ns
            window.answer = 0 if command else chip.clock(b"\0", t_ns, self._byte_ns)[0]
        bit = bool(window.answer << len(window.taken) & 0x80)
        isolator_ns, valid_ns = self._way
        pin = DOUT + window.chip
        unknown, known = (
            at + self.cycles(2 * isolator_ns + HOLD_NS),
            at + self.cycles(2 * isolator_ns + valid_ns),
        )
        self._clockwork.at(unknown, lambda: self._clockwork.put(pin, not bit))
        self._clockwork.at(known, lambda: self._clockwork.put(pin, bit))

    def _take(self, window: Window, t_ns: int) -> None:
        window.taken.append(self._clockwork.pins.levels >> DIN & 1)
        if len(window.taken) < 8:
            return
        byte = int("".join(map(str, window.taken)), 2)
        chip = self.board.chips[window.chip]
        if window.first and not chip.continuous:
            chip.clock(bytes([byte]), window.begun_ns, self._byte_ns)
        if window.chip == 0:
            self.heard[-1].append(byte)
        window.first, window.taken = False, []
        self._clockwork.put(DRDY, self.board.ready_high(0))
