"""When every edge fell on this board's crystal, and what the converter's oscillator does against it.

Edge times come from a state machine, exact to a few cycles, so that nothing has to be judged: counts add up.
Whole numbers throughout, since a float of the board has 24 bits.
"""

import math

from evokd import programs
from evokd.messages import Timebase

WORD = 0xFFFFFFFF
EVERY_MS = 250
KNOTS = 120
"""Quarters of a second over which the published rate is a line."""
SETTLED = 8
FINE = 20
"""Binary places of a period in nanoseconds."""


class Clock:
    """Time of the edges of a converter of nominally `rate_hz`, read by a machine of `clock_hz`."""

    def __init__(self, rate_hz, clock_hz):
        self._rate_hz, self._clock_hz = rate_hz, clock_hz
        self._tick_ns = programs.STAMP_CYCLES * 1000000000
        self._stamp = self._index = None
        self._counts = 0
        self._fine = (1000000000 << FINE) // rate_hz
        self._every = max(1, rate_hz * EVERY_MS // 1000)
        self._knots = []
        self._errors = []

    def follow(self, index, stamp):
        """The edge of `index`, the newest one, was stamped `stamp`."""
        if self._stamp is not None:
            self._counts += self._stamp - stamp & WORD
        self._stamp, self._index = stamp, index

    def at(self, index, stamp):
        """Nanoseconds since the first edge that was followed, at an earlier edge; `stamp` None: not kept."""
        if self._index is None:
            return 0
        if stamp is None:
            return self._ns() - ((self._index - index) * self._fine >> FINE)
        return (self._counts - (stamp - self._stamp & WORD)) * self._tick_ns // self._clock_hz

    def _ns(self):
        return self._counts * self._tick_ns // self._clock_hz

    def report(self):
        """A Timebase four times a second, else None."""
        if self._index is None or (self._knots and self._index - self._knots[-1][0] < self._every):
            return None
        index, t_ns = self._index, self._ns()
        if self._knots:
            before, before_ns = self._knots[-1]
            self._fine = (t_ns - before_ns << FINE) // (index - before)
            if len(self._knots) > 1:
                self._errors = self._errors[1 - KNOTS :] + [self._off(index, t_ns)]
        self._knots = self._knots[1 - KNOTS :] + [(index, t_ns)]
        if len(self._knots) < 2:
            return None
        return Timebase(
            index=index,
            t_ns=t_ns,
            ns_per_sample=(self._fine, FINE),
            ppm=self._ppm(self._knots[0], self._knots[-1]) / 1000,
            wander_ppm=self._wander(),
            residual_ns=self._residual(),
            refused=0,
            settled=int(len(self._knots) >= SETTLED),
        )

    def _off(self, index, t_ns):
        """Nanoseconds by which an edge is later than the line through the two knots before said."""
        (first, first_ns), (last, last_ns) = self._knots[-2], self._knots[-1]
        return t_ns - last_ns - (last_ns - first_ns) * (index - last) // (last - first)

    def _ppm(self, first, last):
        """Thousandths of a ppm by which the oscillator is fast between two knots."""
        n, took = last[0] - first[0], last[1] - first[1]
        return (n * 1000000000 - took * self._rate_hz) * 1000000000 // (took * self._rate_hz)

    def _wander(self):
        """Spread of the quarters' rates, ppm."""
        rates = [self._ppm(a, b) for a, b in zip(self._knots, self._knots[1:])]
        mean = sum(rates) // len(rates)
        return math.sqrt(sum([(r - mean) ** 2 for r in rates]) / len(rates)) / 1000

    def _residual(self):
        """Root mean square of the errors of the last reports."""
        if not self._errors:
            return 0.0
        return math.sqrt(sum([error * error for error in self._errors]) / len(self._errors))
