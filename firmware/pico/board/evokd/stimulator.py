"""The two state machines that fire: one keeps the index, one shapes the pulse; fed from a short queue.

Owns the queue between the arbiter and their FIFOs. A target that has passed is never handed over, since the
scheduler would wait for it until its counter comes round.
"""

import rp2

from evokd import pins, programs

TARGETS = 8
"""Words in a FIFO that is joined for sending."""
SOON = 2
"""A target must be so many edges ahead when it is handed over."""
COUNT = 0xFFFFFFFF


class Stimulator:
    """`edges` gives how many data-ready edges there were; `clock_hz` is the state machines'."""

    def __init__(self, lines, rate_hz, clock_hz, edges):
        self._edges = edges
        self._width = clock_hz // rate_hz // programs.WIDTH_CYCLES
        self._orders, self._targets = [], []
        self._last = -1
        shape = programs.pulse(pins.READY, pins.STROBE, *programs.pauses(rate_hz), lines)
        self._pulse = rp2.StateMachine(4, shape, out_base=pins.LINE)
        when = programs.schedule(pins.READY, pins.SELECT, pins.STROBE)
        self._schedule = rp2.StateMachine(5, when, sideset_base=pins.STROBE)
        self._schedule.put(COUNT)
        self._schedule.exec("pull(noblock)")
        self._schedule.exec("mov(x, osr)")

    def active(self, on):
        """Let them run, or stop them with all lines low."""
        if not on:
            self.cancel()
        self._schedule.active(on)
        self._pulse.active(on)

    def now(self):
        """Index of the newest data-ready edge, -1 before the first one."""
        return self._edges() - 1

    def hand_over(self, mask, hold, indices):
        """A stimulus: lines of `mask` are high for `hold` samples at each of `indices`."""
        width = min(hold * self._width, programs.MOST_WIDTH) - 1
        self._orders.append(mask | width << 8 | len(indices) - 1 << 26)
        self._targets += indices
        self._last = indices[-1]

    def feed(self):
        """Fill the FIFOs; False when a target has passed before it could be handed over."""
        while self._orders and self._pulse.tx_fifo() < TARGETS:
            self._pulse.put(self._orders.pop(0))
        while self._targets and self._schedule.tx_fifo() < TARGETS:
            index = self._targets.pop(0)
            if index < self._edges() + SOON:
                return False
            self._schedule.put(COUNT - index - 1 & COUNT)
        return True

    def cancel(self):
        """Lines low, nothing of what was handed over fires; the last sample at which it would have."""
        self._orders, self._targets = [], []
        self._pulse.active(0)
        self._pulse.exec("mov(pins, null)")
        for machine in (self._pulse, self._schedule):
            for _ in range(TARGETS + 1):
                if machine.tx_fifo():
                    machine.exec("pull(noblock)")
        self._pulse.restart()
        self._pulse.active(1)
        return self._last
