"""What the Pi's pins are wired to on the board: data-ready, START, RESET, PWDN, chip selects, stimulus lines.

Owns the mapping of GPIO offsets and SPI nodes to the board, and chip-select windows that last longer than one
message; refuses to know the kernel's structures and when edges come (pace.py).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from firmware.rig.faults import Faults
from hw.chips import Opcode
from hw.model.board import ALL_SELECTS, BoardModel, ReadyEdge

READY_PULSE_NS: Final = 1_953
"""Data-ready goes high 4 tCLK before the next conversion ends when nobody has read (facts: hardware 1.1)."""
SELECT_HOLD_NS: Final = 5_000
"""A kernel's driver needs some microseconds to raise chip select after the last bit."""
CALL_NS: Final = 2_000
"""No two changes of a pin are nearer than a system call takes; RESET needs 1 us low (facts: hardware 1.2)."""
_STATUS_BYTES: Final = 3
_RDATA = bytes([Opcode.RDATA])
_STOP, _BEFORE_STOP = bytes([Opcode.STOP]), bytes([Opcode.SDATAC, 0])


@dataclass(frozen=True, slots=True)
class Wiring:
    """GPIO offsets; `ready` and `selects` one per chip, `stimuli` one per stimulus line, None: not wired.

    Empty `selects`: the controller's own chip selects are used, one node per chip; None in it says so of one.
    """

    ready: tuple[int, ...] = (17,)
    stimuli: tuple[int, ...] = ()
    selects: tuple[int | None, ...] = ()
    start: int | None = None
    reset: int | None = None
    power_down: int | None = None


class Pins(Protocol):
    """The header's lines as the board meets them: ours, or a kernel's."""

    def driven(self, offset: int) -> int | None:
        """What the board puts on the line, None for nothing."""
        ...

    def put(self, offset: int, level: int) -> None:
        """The board's end is at `level`; nobody hears how it came there."""
        ...

    def drive(self, offset: int, level: int, t_ns: int) -> None:
        """The board's end changes to `level` at `t_ns`; edges are heard by those who asked."""
        ...

    def watched(self, offset: int) -> bool:
        """True while somebody listens for edges of the line."""
        ...

    def puts_low(self, offset: int) -> bool:
        """True while the program drives the line low."""
        ...

    def levels(self) -> list[int]:
        """The level of every line."""
        ...


class Watcher(Protocol):
    """Who decides what time does around a window."""

    def before_window(self, chips: tuple[int, ...], reads_frame: bool) -> None:
        """The program is about to clock bytes to `chips`."""
        ...

    def after_window(self, chips: tuple[int, ...], reads_frame: bool, stops: bool) -> None:
        """A chip-select window of `chips` is over; `stops`: it ended conversions."""
        ...

    def before_pins(self) -> None:
        """START, RESET or PWDN is about to be driven."""
        ...

    def pins_changed(self) -> None:
        """It was."""
        ...

    def before_stimulus(self) -> None:
        """A stimulus line is about to be driven."""
        ...


def _after_registers(mosi: bytes) -> int:
    """Where the first command begins that is neither RREG nor WREG."""
    at = 0
    while at + 1 < len(mosi) and mosi[at] & 0xE0 in (Opcode.RREG, Opcode.WREG):
        at += 3 + (mosi[at + 1] & 0x1F)
    return at


def asks_frame(mosi: bytes) -> bool:
    """True when the window goes on with a frame: RDATA, or nothing but zeros."""
    if mosi[0] == Opcode.RDATA or mosi.count(0) == len(mosi):
        return True
    return mosi[_after_registers(mosi) :].lstrip(_BEFORE_STOP)[:1] == _RDATA


class Wires:
    """The board behind the nodes and lines. `watcher` is set by the pace. One thread.

    `wire` True: bytes take their time on the wire. Counters: `windows`, `frames`, `edges`.
    """

    def __init__(self, board: BoardModel, pins: Pins, wiring: Wiring, faults: Faults, wire: bool) -> None:
        self.board, self.pins, self.wiring = board, pins, wiring
        self.windows = self.frames = self.edges = 0
        self.watcher: Watcher | None = None
        self._faults, self._wire = faults, wire
        self._held: bytes = b""  # sent so far in a window that is still open
        self._held_chips: tuple[int, ...] = ()
        self._stimulus_bits = {offset: 1 << k for k, offset in enumerate(wiring.stimuli)}
        self._stimulus = 0
        self._powered = True
        self._pins: dict[int, Callable[[bool], None]] = {}
        self._connect()

    def window(self, node: int, mosi: bytes, speed_hz: int, selected: bool, ends: bool) -> bytes:
        """See spidev.Bus: bytes on the bus of `node`."""
        chips = self._selected(node, selected)
        if not chips:
            return bytes(len(mosi))  # the data line floats; a pull-down reads as 0
        if self._held and self._held_chips != chips:
            self._end()
        self.windows += 1
        whole_window = ends and not self._by_program(chips)
        if self.watcher is not None and not self._held:
            asks = asks_frame(mosi) and (len(mosi) >= _STATUS_BYTES or not whole_window)
            self.watcher.before_window(chips, asks)
        began_ns = time.monotonic_ns() if self._wire else 0
        timed_hz = speed_hz if self._wire else 0
        if whole_window and not self._held:
            miso = self.board.transfer(_select(chips), mosi, timed_hz, SELECT_HOLD_NS)
        else:
            if not self._held:
                self.board.select(_select(chips))
            miso = self.board.clock(mosi, timed_hz)
        if self._wire:
            _linger(began_ns + len(mosi) * 8_000_000_000 // speed_hz)
        if whole_window and not self._held:
            self._closed(chips, mosi)
        else:
            self._held, self._held_chips = self._held + mosi, chips
            if whole_window:
                self._end()
        return miso

    def release(self, node: int) -> None:
        """See spidev.Bus: a window that was left open ends, unless the program drives the selects itself."""
        if self._held_chips == (node,) and not self._by_program(self._held_chips):
            self._end()

    def pause(self, duration_ns: int) -> None:
        """See spidev.Bus: it lasts where bytes do."""
        if self._wire:
            began_ns = time.monotonic_ns()
            self.board.advance(self.board.now_ns() + duration_ns)
            _linger(began_ns + duration_ns)

    def fall(self, edges: list[ReadyEdge]) -> bool:
        """Data-ready of some chips has fallen: levels and events, as the faults let them be seen.

        True when a line of them is one that the program hears of: watched, or any when none is.
        """
        watched, heard = self.watched, False
        for edge in edges:
            if edge.chip >= len(self.wiring.ready):
                continue
            offset = self.wiring.ready[edge.chip]
            heard = heard or not watched or self.pins.watched(offset)
            seen = self._faults.sightings(edge.seq) if self._faults.edges_armed else 1
            if seen and self.pins.driven(offset) == 0:  # nobody has read: the pulse between two conversions
                self.pins.drive(offset, 1, edge.t_ns - READY_PULSE_NS)
            self.edges += seen
            for k in range(seen):
                if k:
                    self.pins.drive(offset, 1, edge.t_ns)
                self.pins.drive(offset, 0, edge.t_ns)
        self.show_ready()
        return heard

    def show_ready(self) -> None:
        """Put the levels of data-ready on their lines where they have risen."""
        for chip, offset in enumerate(self.wiring.ready):
            high = self.board.ready_high(chip)
            if self._faults.stuck_ready >= 0:
                self.pins.put(offset, self._faults.stuck_ready)
            elif high:
                self.pins.drive(offset, 1, self.board.now_ns())

    def pulse_ready(self) -> None:
        """Data-ready rises on all lines, as it does before a conversion ends that nobody has read for."""
        for offset in self.wiring.ready:
            if self._faults.stuck_ready < 0:
                self.pins.drive(offset, 1, self.board.now_ns())

    @property
    def edges_faulty(self) -> bool:
        """True while edges may not be seen as they come."""
        return self._faults.edges_armed

    @property
    def watched(self) -> bool:
        """True while somebody listens for edges of data-ready."""
        return any(self.pins.watched(offset) for offset in self.wiring.ready)

    def set_output(self, offset: int, level: int) -> None:
        """The program drives `offset`."""
        if offset in self._stimulus_bits:
            bit = self._stimulus_bits[offset]
            bits = self._stimulus | bit if level else self._stimulus & ~bit
            if bits != self._stimulus:
                if self.watcher is not None:
                    self.watcher.before_stimulus()
                self._stimulus = bits
                self.board.set_stimulus(bits)
        elif offset in self.wiring.selects:
            if level:
                self._end()
        elif offset in self._pins:
            if self.watcher is not None:
                self.watcher.before_pins()
            self.board.advance(self.board.now_ns() + CALL_NS)
            self._pins[offset](bool(level))
            self.show_ready()
            if self.watcher is not None:
                self.watcher.pins_changed()

    def _connect(self) -> None:
        """START, RESET and PWDN; data-ready idles high."""
        wiring = self.wiring
        if wiring.start is not None:
            self._pins[wiring.start] = self.board.set_start
        if wiring.reset is not None:
            self._pins[wiring.reset] = lambda high: self.board.set_reset(not high)
        if wiring.power_down is not None:
            self._pins[wiring.power_down] = self._set_power
        for offset in wiring.ready:
            self.pins.put(offset, 1)

    def _set_power(self, up: bool) -> None:
        """PWDN low takes the power away; high applies it again."""
        if up and not self._powered:
            self.board.power_cycle()
        self._powered = up

    def _selected(self, node: int, selected: bool) -> tuple[int, ...]:
        """The chips that hear the bus of `node`."""
        if not self._powered:
            return ()
        if not self.wiring.selects:
            return (node,) if selected else ()
        return tuple(
            chip
            for chip, offset in enumerate(self.wiring.selects)
            if (selected and chip == node if offset is None else self.pins.puts_low(offset))
        )

    def _by_program(self, chips: tuple[int, ...]) -> bool:
        """True when the program drives the select of one of `chips` itself."""
        selects = self.wiring.selects
        return bool(selects) and any(selects[chip] is not None for chip in chips)

    def _end(self) -> None:
        """Chip select goes high on a window held open."""
        if self._held:
            sent, chips = self._held, self._held_chips
            self._held, self._held_chips = b"", ()
            self.board.deselect(timed=self._wire)
            self._closed(chips, sent)

    def _closed(self, chips: tuple[int, ...], mosi: bytes) -> None:
        frame = len(mosi) >= _STATUS_BYTES and asks_frame(mosi)
        self.frames += frame
        self.show_ready()
        if self.watcher is not None:
            stops = not frame and mosi.lstrip(_BEFORE_STOP)[:1] == _STOP
            self.watcher.after_window(chips, frame, stops)


def _select(chips: tuple[int, ...]) -> int:
    """The board's select for `chips`: one, or all when several chip selects are low."""
    return chips[0] if len(chips) == 1 else ALL_SELECTS


def _linger(until_ns: int) -> None:
    """The wire is busy until then; microseconds, so that no timer is fine enough."""
    while time.monotonic_ns() < until_ns:
        pass
