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
        self._bad_samples = np.zeros((3, channels), np.int64)  # high, low, one code
        self._good_samples = np.zeros(channels, np.int64)
        self._quiet = True
        self.railed = 0

    def look(self, counts: NDArray[np.int32]) -> bool:
        """Take the next block; True when `railed` has changed. 10 us while all is well."""
        if not len(counts):
            return False
        low, high = counts.min(axis=0), counts.max(axis=0)
        well = int(high.max()) < RAIL_COUNTS and int(low.min()) > -RAIL_COUNTS and bool((low < high).all())
        if well and self._quiet:
            self._last = counts[-1]
            return False
        return self._judge(low, high, counts)

    def _judge(self, low: NDArray[np.int32], high: NDArray[np.int32], counts: NDArray[np.int32]) -> bool:
        """The slow way: by the block, since a channel that moves within one is not railed."""
        rows = len(counts)
        stuck = (low == high) & ((low == self._last) | (self._bad_samples[2] == 0))
        bad = np.stack([low >= RAIL_COUNTS, high <= -RAIL_COUNTS, stuck])
        self._bad_samples = np.where(bad, self._bad_samples + rows, 0)
        self._good_samples = np.where(bad.any(axis=0), 0, self._good_samples + rows)
        self._last = counts[-1]
        was = np.array([self.railed >> k & 1 for k in range(len(low))], bool)
        now = np.where(
            was, self._good_samples < self._recovered, (self._bad_samples >= self._after).any(axis=0)
        )
        self.railed = sum(1 << int(k) for k in np.flatnonzero(now))
        self._quiet = not (now.any() or self._bad_samples.any())
        return bool((now != was).any())
