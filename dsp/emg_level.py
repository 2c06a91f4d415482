"""The running quiet level of free-running EMG, and from where on a frame is loud, per derivation.

Owns what "quiet" is: medians of blocks of 0.25 s in which no event is open, so that no train pulls them up,
and their scatter over 20 s. Works in logarithms: resting muscle that waxes multiplies. Refuses to judge
before five seconds have been seen.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BLOCK = 50
"""Frames that are learned from at a time."""
LEARN_BLOCKS = 20
LONG_BLOCKS, LOCAL_BLOCKS = 80, 4
QUIET_SHARE = 0.5
NORMAL_QUARTILE = 0.6745


class QuietLevel:
    """Medians and scatter of logarithms (frame, column); `times` scatters above the level, and at least
    `least` (column,), is loud. A column is unknown, its limit infinite, until LEARN_BLOCKS have been learned.
    """

    def __init__(self, least: Floats, times: Floats) -> None:
        n = len(least)
        self._least, self._times = least, times
        self._medians, self._scatters = np.full((2, LONG_BLOCKS, n), np.inf)
        self.learned = np.zeros(n, dtype=np.int64)
        self.level: Floats = np.full(n, np.nan)
        self.limit: Floats = np.full(n, np.inf)

    @property
    def known(self) -> Flags:
        """Of which columns (column,) the level is known."""
        return self.learned >= LEARN_BLOCKS

    def learn(self, block: Floats, quiet: Flags) -> None:
        """One block (BLOCK, column) of which the `quiet` frames count, in columns where they are enough."""
        enough = np.count_nonzero(quiet, axis=0) >= QUIET_SHARE * len(block)
        if not enough.any():
            return
        counts = np.count_nonzero(quiet, axis=0)[enough]
        ranked = np.sort(np.where(quiet, block, np.inf)[:, enough], axis=0)
        columns = np.arange(len(counts))
        middle = ranked[counts // 2, columns]
        scatter = (middle - ranked[counts // 4, columns]) / NORMAL_QUARTILE
        for ring, value in ((self._medians, middle), (self._scatters, scatter)):
            ring[:-1, enough] = ring[1:, enough]
            ring[-1, enough] = value
        self.learned[enough] += 1
        self._set()

    def _set(self) -> None:
        """The level is that of the last second or of twenty, whichever is higher."""
        n = np.minimum(self.learned, LONG_BLOCKS)
        columns = np.arange(len(n))
        place = n // 2 - (n > 0) * (n % 2 == 0)
        long = np.sort(self._medians, axis=0)[place, columns]
        local = np.sort(self._medians[-LOCAL_BLOCKS:], axis=0)[LOCAL_BLOCKS // 2, columns]
        scatter = np.sort(self._scatters, axis=0)[place, columns]
        known = self.known
        self.level[known] = np.maximum(long, local)[known]
        reach = np.maximum(self._least, self._times * scatter)
        self.limit[known] = (self.level + reach)[known]
