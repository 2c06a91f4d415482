"""The box's time in that of LSL: an offset, measured and tracked, and how far it may be off.

LSL's clock is the monotonic clock of the machine that runs the bridge. Where edge, host and bridge are one
machine, `t_ns` is that very clock: the offset is read from both and exact to `READING_S`. Elsewhere there is
only one-way traffic: each message says that a sample was taken before it arrived, so that the smallest
(arrival - `t_ns`) of the last 10 to 20 s is the offset plus the shortest way (assembling a block, link, bus).
Time stamps are then late by that way, never early by more than the two clocks drift apart in 20 s (1 ms at
50 ppm); intervals are those of the box. Refuses to guess the way: nothing on the bus could tell it.
"""

import math
import time
from collections.abc import Callable

READING_S = 2e-6
"""Two clocks of one machine, read one inside the other, differ by less."""
EARLY_S, LATE_S = 1e-3, 2.0
"""What comes so much before it was taken, ever, or so late when first heard, is of another clock."""
BUCKET_S = 10.0
SLEW = 5e-4
"""The offset follows by so much of the time that passes: a step would let time stamps run backwards."""
STEP_S = 0.05
"""Unless it is off by so much: then the clock was set, and the offset is taken at once (`steps`)."""
DRIFT = 50e-6


class LslClock:
    """LSL seconds of a box's `t_ns`. `local_clock` is LSL's; `same` when the box may have this machine's
    clock, which is believed as long as what is heard bears it out. One thread."""

    def __init__(
        self,
        local_clock: Callable[[], float],
        same: bool,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.same, self.steps = same, 0
        self._begun = False
        self.offset_s = _between(local_clock, monotonic_ns) if same else math.nan
        self._least, self._before = math.inf, math.inf
        self._bucket_s = self._moved_s = math.nan

    def heard(self, t_ns: int, now_s: float) -> None:
        """What was taken at `t_ns` or later arrived at `now_s` of LSL's clock."""
        apart_s = now_s - t_ns * 1e-9
        if self.same:
            late_s = apart_s - self.offset_s
            if late_s >= -EARLY_S and (self._begun or late_s < LATE_S):
                self._begun = True
                return
            self.same, self.offset_s = False, math.nan
            self.steps += 1
        self._track(apart_s, now_s)

    def _track(self, apart_s: float, now_s: float) -> None:
        if math.isnan(self.offset_s):
            self.offset_s, self._bucket_s, self._moved_s = apart_s, now_s, now_s
            self._least = self._before = apart_s
            return
        if now_s - self._bucket_s >= BUCKET_S:
            self._before, self._least, self._bucket_s = self._least, apart_s, now_s
        self._least = min(self._least, apart_s)
        off_s = min(self._least, self._before) - self.offset_s
        if abs(off_s) > STEP_S:
            self.offset_s += off_s
            self.steps += 1
        else:
            most_s = SLEW * max(0.0, now_s - self._moved_s)
            self.offset_s += max(-most_s, min(most_s, off_s))
        self._moved_s = now_s

    def at(self, t_ns: int) -> float:
        """LSL seconds of `t_ns`; NaN before anything was heard of a clock that is not this machine's."""
        return t_ns * 1e-9 + self.offset_s

    @property
    def text(self) -> str:
        """How far time stamps may be off, in words."""
        if self.same:
            return f"the clock of this machine, within {READING_S * 1e6:g} us"
        early_ms = DRIFT * 2 * BUCKET_S * 1e3
        return f"another clock: late by the shortest way from the box, early by {early_ms:g} ms at most"


def _between(local_clock: Callable[[], float], monotonic_ns: Callable[[], int]) -> float:
    """LSL's clock less this machine's, of the tightest of some readings of one inside the other."""
    best = (math.inf, 0.0)
    for _ in range(16):
        before_s, t_ns, after_s = local_clock(), monotonic_ns(), local_clock()
        best = min(best, (after_s - before_s, (before_s + after_s) / 2 - t_ns * 1e-9))
    return best[1]
