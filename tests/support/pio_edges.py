"""Data-ready and chip select without converters: edges at any time, and reads that only take time."""

from collections.abc import Iterator
from math import floor

from tests.support.pio_chips import DRDY, LINES, SELECT, STROBE
from tests.support.pio_machine import Clockwork, Machine
from tests.support.pio_rig import programs

READ_CYCLES = 2510
SELECTED_AFTER = 4


class Stimulator:
    """Schedule and pulse on edges of `period` cycles, from `first` on, as long as they are `alive`."""

    def __init__(self, rate_hz: float, period: float, lines: int = 4, first: float = 1000.0) -> None:
        self.schedule = Machine(programs.schedule(DRDY, SELECT), side=STROBE, x=0xFFFFFFFF)
        self.pulse = Machine(programs.pulse(DRDY, STROBE, lines, rate_hz), outs=LINES)
        self.clockwork = Clockwork(self.schedule, self.pulse)
        self.pins, self.lines = self.clockwork.pins, range(LINES, LINES + lines)
        self.period, self.alive, self.edges = period, True, 0
        for pin in (DRDY, SELECT):
            self.pins.put(-9.0, pin, True)
        self.pins.changes.clear()
        self._next(first)

    def _next(self, at: float) -> None:
        clockwork, seen = self.clockwork, floor(at)
        read = min(READ_CYCLES, 0.55 * self.period)

        def fall() -> None:
            if not self.alive:
                return
            self.edges += 1
            clockwork.put(DRDY, False)
            clockwork.at(seen + SELECTED_AFTER, lambda: clockwork.put(SELECT, False))
            clockwork.at(at + SELECTED_AFTER + 10, lambda: clockwork.put(DRDY, True))
            clockwork.at(seen + floor(read), lambda: clockwork.put(SELECT, True))
            self._next(at + self.period)

        clockwork.at(at, fall)

    def until_edge(self, edge: int) -> None:
        """Until half a period after data-ready edge `edge`, counted from 0, fell."""
        while self.edges <= edge:
            self.clockwork.run(self.clockwork.now + self.period / 2)

    def target(self, edge: int) -> bool:
        """One order for the schedule; False when its FIFO is full."""
        return self.clockwork.order(self.schedule, programs.target_word(edge))

    def order(self, mask: int, width_cycles: int, pulses: int = 1) -> bool:
        """One order for the pulses; False when their FIFO is full."""
        return self.clockwork.order(self.pulse, programs.pulse_word(mask, width_cycles, pulses))

    def stop(self) -> None:
        """What the firmware does: no order is left, lines low, a rest."""
        self.clockwork.stop(self.pulse)
        self.pulse.state.transmit_fifo.clear()
        self.clockwork.restart(self.pulse, low=True)

    def pulses(self) -> Iterator[tuple[int, float, float]]:
        """Every pulse: the lines that rose, when, and for how many cycles; inf for one that has not ended."""
        up: dict[float, int] = {}
        ends: dict[int, list[float]] = {pin: self.pins.falls(pin) for pin in self.lines}
        for change in self.pins.of(*self.lines):
            if change.high:
                up[change.at] = up.get(change.at, 0) | 1 << change.pin - LINES
        for at, mask in up.items():
            pin = LINES + (mask & -mask).bit_length() - 1
            end = next((end for end in ends[pin] if end > at), float("inf"))
            yield mask, at, end - at
