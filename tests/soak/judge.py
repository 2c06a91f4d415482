"""Does it grow? A line through what was measured, with its error, held against a bar.

The slope's error counts that neighbours are alike (an AR(1) of the residuals), since memory comes in steps.
A quantity is within its bar when the slope and twice its error are: what cannot be told is not good.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ERRORS = 2.0
LEAST_POINTS = 8
MOST_ALIKE = 0.9


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


def trend(hours: NDArray[np.float64], values: NDArray[np.float64]) -> Trend:
    """The line through `values`. Raises ValueError for too few points or values that are no numbers."""
    n = len(hours)
    if n < LEAST_POINTS:
        raise ValueError(f"{n} points tell no slope; at least {LEAST_POINTS}: let it run longer")
    if not np.isfinite(values).all():
        raise ValueError("a value is no number")
    middle_h = hours - hours.mean()
    spread = float(middle_h @ middle_h)
    slope = float(middle_h @ (values - values.mean())) / spread
    left = values - values.mean() - slope * middle_h
    alike = float(left[1:] @ left[:-1]) / float(left @ left) if left.any() else 0.0
    alike = min(max(alike, 0.0), MOST_ALIKE)
    error = math.sqrt(float(left @ left) / (n - 2) / spread * (1.0 + alike) / (1.0 - alike))
    third = max(1, n // 10)
    at = (n - third) // 2
    return Trend(
        slope,
        error,
        float(np.median(values[:third])),
        float(np.median(values[at : at + third])),
        float(np.median(values[-third:])),
    )


def evenness(hours: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """How many times as fast as in the first half it grows in the second: 1 is a straight line."""
    half = len(hours) // 2
    first, second = (
        trend(hours[part], values[part]).slope for part in (slice(None, half), slice(half, None))
    )
    return second / first if first else math.inf
