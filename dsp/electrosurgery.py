"""When electrosurgery is on, from the samples alone: broadband noise on most channels at once.

Owns the decision, on and off; refuses to know of sweeps and of what is to be done about it. What is measured
is the first difference, by how much of it over 20 ms is loud and not by its mean square: electrosurgery is
loud all the time, a stimulus artifact (2 ms, even a hundred times a second) is not. What is loud without a
pause is told after 10 ms.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from dsp import kernels

Floats = NDArray[np.float64]

WINDOW_S, POOLED = 0.002, 10
HOLD_S, PAUSE_S = 0.5, 0.05
"""Off after so long without a loud window; it pauses, and sweeps are clean again, after so long."""
TIMES_QUIET = 10.0
FLOOR_UV, MUSCLE_UV, MUSCLE_HZ, MARGIN_SDS = 100.0, 200.0, 300.0, 7.0
"""Least rms difference that is loud. Muscle of this rms up to this corner (first order) is not, even where it
fluctuates, and an artifact with it, by so many times what it may in so few differences."""
DEAD_S = 2.0
"""A channel that has stood at one rail for so long, or from the first, is off: it has no voice."""
AT_ONCE, AT_ONCE_SHARE = 4, 0.9
"""What is loud in nearly all of so many windows is told before ten have passed."""
_LEARN_EVERY, _LEVELS = 250, 20
_ORDER = 0.4


@dataclass(frozen=True, slots=True)
class Change:
    """At `index`, the first row not needed to tell: electrosurgery is `on`; and it is `loud`, or pauses."""

    index: int
    on: bool
    loud: bool


class ElectrosurgeryDetector:
    """On and off of electrosurgery over all channels of a stream. ValueError when built impossible.

    Works in windows of 2 ms counted from the last restart, so that blocks leave no trace. On: over ten
    windows the differences of more than half of the channels were 10 times their running quiet level (the
    median of the last 10 s without, learnt twice a second) and above the floor, or the channel came to
    stand at its rail, +-`rail_uv` (None: not known). "Were" is the order statistic above which 60 % lie, or
    nine tenths over four windows. Off: half a second without. For 1,000 samples a second and more.
    """

    def __init__(self, rate_hz: float, channels: int, rail_uv: float | None = None) -> None:
        if not (math.isfinite(rate_hz) and rate_hz > 0 and channels > 0):
            raise ValueError(f"{channels} channels at {rate_hz} Hz are impossible")
        self.window = window_rows(rate_hz)
        self.on = self._paused = False
        self._channels = channels
        self._rail_uv = math.inf if rail_uv is None else rail_uv
        self._floor_uv = floor_uv(rate_hz)
        self._order, scale = _order(POOLED * self.window)
        self._scale = 1.0 / scale
        # So many of so many windows' differences are loud: of ten almost two thirds, of four nearly all.
        self._enough = POOLED * self.window - self._order
        self._enough_at_once = math.ceil(AT_ONCE_SHARE * AT_ONCE * self.window)
        self._least = min(self._enough, self._enough_at_once)
        self._hold = math.ceil(HOLD_S * rate_hz / self.window)
        self._pause = math.ceil(PAUSE_S * rate_hz / self.window)
        self._dead = math.ceil(DEAD_S * rate_hz / self.window)
        self._levels = np.empty((0, channels))
        self._set_threshold(np.full(channels, self._floor_uv))
        self._railed_for = np.full(channels, self._dead + 1)
        self._since_loud = 0
        self.restart(0)

    @property
    def reach(self) -> int:
        """Rows before an "on" within which it began: the windows looked at, and one not filled."""
        return (POOLED + 1) * self.window

    @property
    def pause(self) -> int:
        """Rows before it is told that it pauses, in which it did already."""
        return self._pause * self.window

    def restart(self, index: int) -> None:
        """Begin anew at `index`, the first sample behind a gap. What is on stays on until it is quiet."""
        self._next = index
        self._rows = np.empty((0, self._channels))
        self._last: Floats | None = None
        self._n_windows = 0
        self._loud = np.zeros((POOLED - 1, self._channels), np.int32)
        self._railed = np.zeros((POOLED - 1, self._channels), np.int32)
        self._kept = np.empty((0, self._channels))
        self._since_loud = 0

    def append(self, first_index: int, uv: Floats) -> list[Change]:
        """Take the next rows (time, channel); it begins (on and loud), pauses, goes on, and ends (neither).

        Rows that do not follow the last ones restart the windows.
        """
        if first_index != self._next + len(self._rows):
            self.restart(first_index)
        rows = np.ascontiguousarray(np.concatenate([self._rows, uv]) if len(self._rows) else uv)
        whole = len(rows) // self.window * self.window
        self._rows = rows[whole:].copy()
        changes: list[Change] = []
        at = 0
        while at < whole:
            # No further than where the quiet level is learnt, and with it the threshold may change.
            end = min(whole, at + (_LEARN_EVERY - self._n_windows % _LEARN_EVERY) * self.window)
            changes += self._windows(rows[at:end])
            at = end
        return changes

    def _windows(self, rows: Floats) -> list[Change]:
        """Whole windows under one threshold."""
        n = len(rows) // self.window
        last = rows[0] if self._last is None else self._last
        loud = np.empty((n, self._channels), np.int32)
        railed = np.empty((n, self._channels), np.int32)
        kernels.loud_counts(rows, last, self._limit, self._rail_uv, self.window, loud, railed)
        self._keep(rows)
        self._loud = np.concatenate([self._loud, loud])
        self._railed = np.concatenate([self._railed, railed])
        changes = []
        over = stood = None
        if self.on or (self._loud.sum(axis=0) >= self._least).any():
            over, stood = self._over(n)
        if over is not None and stood is not None and (self.on or over.any()):
            for k in range(n):
                before = self.on, self._paused
                self._step(over[k], stood[k])
                if (self.on, self._paused) != before:
                    index = self._next + (k + 1) * self.window
                    changes.append(Change(index, self.on, self.on and not self._paused))
        else:
            self._railed_for[:] = 0
        self._loud, self._railed = self._loud[1 - POOLED :].copy(), self._railed[1 - POOLED :].copy()
        self._next += len(rows)
        self._n_windows += n
        if self._n_windows % _LEARN_EVERY == 0 and not self.on and not self._loud_now:
            self._learn()
        return changes

    def _keep(self, rows: Floats) -> None:
        """The newest ten windows, and the row before them, are what the quiet level is learnt from."""
        most = POOLED * self.window + 1
        self._kept = rows[-most:].copy() if len(rows) >= most else np.concatenate([self._kept, rows])[-most:]
        self._last = rows[-1].copy()
        self._loud_now = False

    def _over(self, n: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of the newest `n` windows (window, channel): loud with those before it; and at a rail all along."""
        ten = _sums(self._loud, POOLED, n)
        few = _sums(self._loud, AT_ONCE, n)
        stood = _sums(self._railed, POOLED, n) >= self._enough
        return (ten >= self._enough) | (few >= self._enough_at_once), stood

    def _step(self, over: NDArray[np.bool_], stood: NDArray[np.bool_]) -> None:
        """One window's verdict."""
        loud = False
        if over.any():
            self._railed_for = np.where(stood, self._railed_for + 1, 0)
            living = self._railed_for <= self._dead
            loud = 2 * int(np.count_nonzero(over & living)) > int(np.count_nonzero(living))
        else:
            self._railed_for[:] = 0
        self._loud_now = loud
        if loud:
            self.on, self._paused, self._since_loud = True, False, 0
        elif self.on:
            self._since_loud += 1
            self._paused = self._since_loud >= self._pause
            if self._since_loud >= self._hold:
                self.on = self._paused = False

    def _learn(self) -> None:
        """The newest ten windows, quiet, into the running level: the median of the last ten seconds."""
        if len(self._kept) <= POOLED * self.window:
            return
        size = np.abs(self._kept[1:] - self._kept[:-1])
        still = size == 0.0
        if still.any():
            size[still & (np.abs(self._kept[1:]) >= self._rail_uv)] = math.inf
        quiet = np.sort(size, axis=0)[self._order] * self._scale
        self._levels = np.concatenate([self._levels[1 - _LEVELS :], quiet[None]])
        ranked = np.sort(self._levels, axis=0)
        middle = len(ranked) // 2
        level = 0.5 * (ranked[middle] + ranked[middle - (len(ranked) % 2 == 0)])
        level[np.isinf(level)] = 0.0
        self._set_threshold(np.maximum(TIMES_QUIET * level, self._floor_uv))

    def _set_threshold(self, rms_uv: Floats) -> None:
        """Loud is an rms above `rms_uv` (channel,): so large is the difference that is looked at then."""
        self._limit = rms_uv / self._scale


def _sums(counts: NDArray[np.int32], windows: int, n: int) -> NDArray[np.int64]:
    """Sums of so many windows up to each of the last `n`."""
    total = np.concatenate([np.zeros((1, counts.shape[1]), np.int64), np.cumsum(counts, axis=0)])
    return np.asarray(total[-n:] - total[-n - windows : len(total) - windows])


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
