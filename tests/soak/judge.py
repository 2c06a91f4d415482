"""Does it grow? A line through what was measured, with its error, held against a bar.

The slope's error counts that neighbours are alike (an AR(1) of the residuals), since memory comes in steps.
A quantity is within its bar when the slope and twice its error are: what cannot be told is not good.
What a case forgets and learns anew with every baseline goes up and down in the same way each time: a reading
is held against those of the same moment after other baselines, where there are enough of them.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ERRORS = 2.0
LEAST_POINTS = 8
MOST_ALIKE = 0.9
LEAST_PERIODS = 3


@dataclass(frozen=True, slots=True)
class Trend:
    """Slope per hour and its standard error; what was measured at the start, in the middle, at the end."""

    slope: float
    error: float
    start: float
    middle: float
    end: float

    def within(self, bar: float) -> bool:
        """Whether the slope is surely no steeper than `bar`, in either direction for what may not fall."""
        return self.slope + ERRORS * self.error <= bar

    def level(self, bar: float) -> bool:
        """Whether it surely neither rises nor falls by more than `bar` an hour."""
        return abs(self.slope) + ERRORS * self.error <= bar


def trend(hours: NDArray[np.float64], values: NDArray[np.float64], period_h: float = 0.0) -> Trend:
    """The line through `values`, of which what recurs with `period_h` is no part (0: nothing recurs). Raises
    ValueError for too few points or values that are no numbers."""
    n = len(hours)
    if n < LEAST_POINTS:
        raise ValueError(f"{n} points tell no slope; at least {LEAST_POINTS}: let it run longer")
    if not np.isfinite(values).all():
        raise ValueError("a value is no number")
    moments = _moments(hours, period_h)
    middle_h, apart = _without_means(hours, moments), _without_means(values, moments)
    spread = float(middle_h @ middle_h)
    slope = float(middle_h @ apart) / spread
    left = apart - slope * middle_h
    alike = float(left[1:] @ left[:-1]) / float(left @ left) if left.any() else 0.0
    alike = min(max(alike, 0.0), MOST_ALIKE)
    error = math.sqrt(float(left @ left) / (n - 2 - moments.max()) / spread * (1.0 + alike) / (1.0 - alike))
    third = max(1, n // 10)
    at = (n - third) // 2
    return Trend(
        slope,
        error,
        float(np.median(values[:third])),
        float(np.median(values[at : at + third])),
        float(np.median(values[-third:])),
    )


def _moments(hours: NDArray[np.float64], period_h: float) -> NDArray[np.int64]:
    """Which readings are of the same moment of a period, numbered from 0; all alike where too few recur."""
    if period_h <= 0.0 or hours[-1] - hours[0] < LEAST_PERIODS * period_h:
        return np.zeros(len(hours), np.int64)
    n = max(1, round(period_h / float(np.median(np.diff(hours)))))
    of_period = np.round(hours / period_h * n).astype(np.int64) % n
    moments = np.asarray(np.unique(of_period, return_inverse=True)[1], np.int64)
    return moments if 2 * (moments.max() + 1) <= len(hours) else np.zeros(len(hours), np.int64)


def _without_means(values: NDArray[np.float64], moments: NDArray[np.int64]) -> NDArray[np.float64]:
    means = np.bincount(moments, values) / np.bincount(moments)
    return np.asarray(values - means[moments], np.float64)


def evenness(hours: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """How many times as fast as in the first half it grows in the second: 1 is a straight line."""
    half = len(hours) // 2
    first, second = (
        trend(hours[part], values[part]).slope for part in (slice(None, half), slice(half, None))
    )
    return second / first if first else math.inf
