"""Which channels say nothing: at a rail, or stuck at one code. Told from the samples alone, always on.

Owns the rule and its memory; refuses to guess why. Near either end of the scale, or at one and the same code,
for 50 ms is railed; half a second of signal ends it, so that a channel on the brink does not chatter.
"""

import math

import numpy as np
from numpy.typing import NDArray

from hw.chips import FULL_SCALE_COUNTS

RAIL_COUNTS = round(0.985 * FULL_SCALE_COUNTS)
RAILED_S = 0.05
RECOVERED_S = 0.5
FEWEST_SAMPLES = 12
"""A converter's own noise holds one code that long once in ages, even at gain 1 and 250 SPS."""


class RailWatch:
    """Looks at blocks of (time, channel) counts in order; `railed` has one bit per channel."""

    def __init__(self, rate_hz: float, channels: int) -> None:
        self._after = max(FEWEST_SAMPLES, math.ceil(RAILED_S * rate_hz))
        self._recovered = math.ceil(RECOVERED_S * rate_hz)
        self._last = np.zeros(channels, np.int32)
        self._bad = np.zeros((3, channels), np.bool_)  # high, low, one code
        self._bad_samples = np.zeros((3, channels), np.int64)
        self._good_samples = np.zeros(channels, np.int64)
        self._railed = np.zeros(channels, np.bool_)
        self._quiet = True
        self.railed = 0

    def look(self, counts: NDArray[np.int32]) -> bool:
        """Take the next block; True when `railed` has changed."""
        if not len(counts):
            return False
        inside = int(counts.max()) < RAIL_COUNTS and int(counts.min()) > -RAIL_COUNTS
        # A code that holds through a block is the same at both ends: rarely so, and then worth a closer look.
        if self._quiet and inside and bool((counts[0] != counts[-1]).all()):
            self._last = counts[-1]
            return False
        return self._judge(counts)

    def _judge(self, counts: NDArray[np.int32]) -> bool:
        """The slow way: by the block, since a channel that moves within one is not railed."""
        low, high = counts.min(axis=0), counts.max(axis=0)
        bad, bad_samples, good_samples = self._bad, self._bad_samples, self._good_samples
        np.greater_equal(low, RAIL_COUNTS, out=bad[0])
        np.less_equal(high, -RAIL_COUNTS, out=bad[1])
        np.equal(low, high, out=bad[2])
        bad[2] &= (low == self._last) | (bad_samples[2] == 0)
        bad_samples += len(counts)
        bad_samples *= bad
        some = bad.any(axis=0)
        good_samples += len(counts)
        good_samples[some] = 0
        now = self._railed & (good_samples < self._recovered)
        now |= bad_samples.max(axis=0) >= self._after
        self._last = counts[-1]
        changed = bool((now != self._railed).any())
        if changed:
            self._railed = now
            self.railed = sum(1 << int(k) for k in np.flatnonzero(now))
        self._quiet = not (self.railed or some.any())
        return changed
