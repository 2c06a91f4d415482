"""When electrosurgery is on, from the samples alone: broadband noise on most channels at once.

Owns the decision, on and off; refuses to know of sweeps and of what is to be done about it. What is measured
is the first difference, by an order statistic of its magnitude over 20 ms and not by its mean square:
electrosurgery is loud all the time, a stimulus artifact (2 ms, even a hundred times a second) is not.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WINDOW_S, POOLED = 0.002, 10
HOLD_S = 0.5
"""Off after so long without a loud window."""
TIMES_QUIET = 10.0
FLOOR_UV, MUSCLE_UV, MUSCLE_HZ, MARGIN_SDS = 100.0, 200.0, 300.0, 7.0
"""Least rms difference that is loud. Muscle of this rms up to this corner (first order) is not, even where it
fluctuates, and an artifact with it, by so many times what it may in so few differences."""
DEAD_S = 2.0
"""A channel that has stood at one rail for so long, or from the first, is off: it has no voice."""
_LEVEL_WINDOWS, _LEVELS = 250, 20
_ORDER = 0.4
_WINDOWS_AT_ONCE = 64


class ElectrosurgeryDetector:
    """On and off of electrosurgery over all channels of a stream. ValueError when built impossible.

    Works in windows of 2 ms counted from the last restart, so that blocks leave no trace. On: over ten
    windows the differences of more than half of the channels were 10 times their running quiet level (the
    median of the last 10 s without) and above the floor, or the channel came to stand at its rail,
    +-`rail_uv` (None: not known). Off: half a second without. For 1,000 samples a second and more.
    """

    def __init__(self, rate_hz: float, channels: int, rail_uv: float | None = None) -> None:
        if not (math.isfinite(rate_hz) and rate_hz > 0 and channels > 0):
            raise ValueError(f"{channels} channels at {rate_hz} Hz are impossible")
        self.window = window_rows(rate_hz)
        self.on = False
        self._channels = channels
        self._rail_uv = math.inf if rail_uv is None else rail_uv
        self._floor_uv = floor_uv(rate_hz)
        self._order, scale = _order(POOLED * self.window)
        self._scale = 1.0 / scale
        self._hold = math.ceil(HOLD_S * rate_hz / self.window)
        self._dead = math.ceil(DEAD_S * rate_hz / self.window)
        self._quiet = np.empty((_LEVEL_WINDOWS, channels))
        self._n_quiet = 0
        self._levels: list[Floats] = []
        self._threshold = np.full(channels, self._floor_uv)
        self._railed_for = np.full(channels, self._dead + 1)
        self._since_loud = 0
        self.restart(0)

    @property
    def reach(self) -> int:
        """Rows before an "on" within which it began: the windows looked at, and one not filled."""
        return (POOLED + 1) * self.window

    def restart(self, index: int) -> None:
        """Begin anew at `index`, the first sample behind a gap. What is on stays on until it is quiet."""
        self._next = index
        self._rows = np.empty((0, self._channels))
        self._last: Floats | None = None
        self._older = np.zeros((POOLED - 1, self.window, self._channels))
        self._since_loud = 0

    def append(self, first_index: int, uv: Floats) -> list[tuple[int, bool]]:
        """Take the next rows (time, channel); changes as (index of the first row not needed to tell, on).

        Rows that do not follow the last ones restart the windows.
        """
        if first_index != self._next + len(self._rows):
            self.restart(first_index)
        rows = np.concatenate([self._rows, uv]) if len(self._rows) else np.asarray(uv)
        n = len(rows) // self.window
        whole = n * self.window
        self._rows = rows[whole:].copy()
        changes: list[tuple[int, bool]] = []
        if not n:
            return changes
        step = _WINDOWS_AT_ONCE * self.window
        for first in range(0, whole, step):
            for stat in self._stats(rows[first : min(first + step, whole)]):
                self._next += self.window
                if (change := self._step(stat)) is not None:
                    changes.append((self._next, change))
        return changes

    def _stats(self, rows: Floats) -> Floats:
        """Rms of each window with the nine before it, from an order statistic: (window, channel).

        0 before there are as many; infinite where rows stood at a rail. No sums: exact in any block.
        """
        last = rows[:1] if self._last is None else self._last
        joined = np.concatenate([last, rows])
        size = np.abs(np.diff(joined, axis=0))
        railed = np.abs(joined) >= self._rail_uv
        if railed.any():
            size[railed[1:] & (size == 0.0)] = math.inf
        self._last = rows[-1:].copy()
        windows = np.concatenate([self._older, size.reshape(-1, self.window, self._channels)])
        self._older = windows[1 - POOLED :].copy()
        pooled = np.lib.stride_tricks.sliding_window_view(windows, POOLED, axis=0).transpose(0, 2, 1, 3)
        sizes = pooled.reshape(len(pooled), self._channels, -1)
        sizes.partition(self._order, axis=2)
        stats: Floats = sizes[:, :, self._order] * self._scale
        return stats

    def _step(self, stat: Floats) -> bool | None:
        """One window's verdict; the new state when it changes."""
        over = stat > self._threshold
        if over.any():
            self._railed_for = np.where(np.isinf(stat), self._railed_for + 1, 0)
            living = self._railed_for <= self._dead
            loud = 2 * int(np.count_nonzero(over & living)) > int(np.count_nonzero(living))
        else:
            loud = False
            self._railed_for[:] = 0
        if loud:
            self._since_loud = 0
            if not self.on:
                self.on = True
                return True
            return None
        if self.on:
            self._since_loud += 1
            if self._since_loud >= self._hold:
                self.on = False
                return False
            return None
        self._learn(stat)
        return None

    def _learn(self, stat: Floats) -> None:
        """A quiet window into the running level: the median of medians of half a second."""
        self._quiet[self._n_quiet] = stat
        self._n_quiet += 1
        if self._n_quiet == _LEVEL_WINDOWS:
            self._n_quiet = 0
            self._levels = [*self._levels[1 - _LEVELS :], np.median(self._quiet, axis=0)]
            level = np.median(np.array(self._levels), axis=0)
            level[np.isinf(level)] = 0.0
            self._threshold = np.maximum(TIMES_QUIET * level, self._floor_uv)


def floor_uv(rate_hz: float) -> float:
    """Least rms difference that is loud: 1,080 uV at 1,000 samples a second, 170 uV at 16,000."""
    muscle_uv = MUSCLE_UV * math.sqrt(2.0 * (1.0 - math.exp(-2.0 * math.pi * MUSCLE_HZ / rate_hz)))
    return max(FLOOR_UV, muscle_uv * (1.0 + MARGIN_SDS / math.sqrt(POOLED * window_rows(rate_hz))))


def window_rows(rate_hz: float) -> int:
    """Rows of one window."""
    return max(2, round(WINDOW_S * rate_hz))


def _order(n: int) -> tuple[int, float]:
    """Which of `n` sorted magnitudes is looked at, and its median in Gaussian noise of rms 1."""
    order = int(_ORDER * n) - 1  # as many may be quiet between artifacts
    share = (order + 1 - 1 / 3) / (n + 1 / 3)
    return order, NormalDist().inv_cdf((1 + share) / 2)
