"""The two state machines that fire: one keeps the index, one shapes the pulse; fed from a short queue.

Owns the queue between the arbiter and their FIFOs. A target that has passed is never handed over, since the
scheduler would wait for it until its counter comes round.
"""

import machine
import rp2

from evokd import pins, programs

TARGETS = 8
"""Words in a FIFO that is joined for sending."""
SOON = 2
"""A target must be so many edges ahead when it is handed over."""


class Stimulator:
    """`machines`: their numbers; `edges` gives how many data-ready edges there were; `clock_hz` is theirs."""

    def __init__(self, machines, lines, rate_hz, clock_hz, edges):
        self._edges = edges
        self._sample_cycles = clock_hz // rate_hz
        self._waiting, self._targets = [], []
        self._last, self._late = -1, False
        shape = programs.pulse(pins.READY, pins.STROBE, lines, rate_hz)
        self._pulse = rp2.StateMachine(machines["pulse"], shape, out_base=machine.Pin(pins.LINE))
        when = programs.schedule(pins.READY, pins.SELECT)
        self._schedule = rp2.StateMachine(machines["schedule"], when, sideset_base=machine.Pin(pins.STROBE))
        self._schedule.exec("mov(x, invert(null))")

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
        """A stimulus: lines of `mask` are high for `hold` samples at each of `indices`. It waits here until
        all before it are proven, since the machines would give its pulse to whoever was left over."""
        width = min(hold * self._sample_cycles, programs.LONGEST_CYCLES)
        self._waiting.append((programs.pulse_word(mask, width, len(indices)), indices))

    def feed(self, earliest):
        """Give the machines what is next. `earliest`: index of the earliest pulse that is not proven. The
        first index of a stimulus that has been dropped since its time had come, or None."""
        if self._waiting and self._waiting[0][1][0] == earliest:
            word, indices = self._waiting.pop(0)
            if indices[0] < self._edges() + SOON:
                return indices[0]
            self._pulse.put(word)
            self._targets += indices
            self._last = indices[-1]
        while self._targets and self._schedule.tx_fifo() < TARGETS:
            index = self._targets[0]
            late = index < self._edges() + SOON
            if not late:
                self._schedule.put(programs.target_word(self._targets.pop(0)))
                late = index < self._edges()  # the edge came meanwhile: it may wait for it for ever
            if late:
                self._late = True
                return None
        return None

    def idle(self):
        """Whether nothing that was handed over is still to come: the scheduler waits for no frame."""
        return not (self._waiting or self._targets) and self._edges() > self._last + SOON

    def late(self):
        """Whether a train fell behind, asked once: what the machines have of it is to be cancelled."""
        was, self._late = self._late, False
        return was

    def in_step(self):
        """Forget a target that may have passed: the program begins at its idle, its count goes on."""
        self._schedule.restart()

    def cancel(self):
        """Lines low, nothing of what was handed over fires; the last sample at which it would have."""
        self._waiting, self._targets = [], []
        self._pulse.active(0)
        self._pulse.exec("mov(pins, null)")
        for each in (self._pulse, self._schedule):
            for _ in range(TARGETS + 1):
                if each.tx_fifo():
                    each.exec("pull(noblock)")
        self._pulse.restart()
        self._pulse.active(1)
        return self._last
