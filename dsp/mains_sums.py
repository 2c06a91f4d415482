"""A tenth of a second of samples as least-squares sums of the mains' harmonics, a parabola taken out.

What `dsp.mains_fit` gathers over ten seconds. Samples that are no numbers, stand off the fit, or are told to
hold something else, are left out of the sums.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BLOCK_S = 0.1
# Of a block's samples so many must be usable; more than OUTLIER rms off its own fit is an artifact.
LEAST_USED = 0.4
OUTLIER = 5.0
AROUND_S = 0.002
_TREND = 3


class Sums:
    """Least-squares sums of one block; `waves` (time, 2 harmonic) at `mains_hz`, phase 0 in its middle."""

    def __init__(self, rate_hz: float, mains_hz: float, harmonics: int) -> None:
        self.samples, self.hz = round(BLOCK_S * rate_hz), mains_hz
        times = np.arange(self.samples) - (self.samples - 1) / 2
        turns = 2 * np.pi * mains_hz / rate_hz * np.outer(times, np.arange(1, harmonics + 1))
        self.waves = np.hstack([np.cos(turns), np.sin(turns)])
        u = 2 * times / self.samples
        self._design = np.hstack([np.column_stack([np.ones_like(u), u, u * u]), self.waves])
        self._full = _Normal(self._design.T @ self._design)
        self._around = max(1, round(AROUND_S * rate_hz))
        self._fewest = max(math.ceil(LEAST_USED * self.samples), 2 * self._design.shape[1])

    def of(self, x: Floats, used: Bools) -> tuple[Floats, Floats, Floats]:
        """Normal matrix, sums and power of a block x (time, channel), samples not `used` (time,) left out."""
        sound = (x.max(axis=0) < 1e9) & (x.min(axis=0) > -1e9)  # False for NaN as well
        if not sound.all():
            x = np.where(sound, x, 0.0)
        normal, sums, power, outliers = self._fit(x - x[0], used)
        if outliers.any():
            normal, sums, power, _ = self._fit(x - x[0], used & ~outliers)
        return normal, sums, np.where(sound, power, np.inf)

    def _fit(self, x: Floats, used: Bools) -> tuple[Floats, Floats, Floats, Bools]:
        """As `of`, and which samples (time,) are off the fit in a channel, or near one that is."""
        n, width = int(used.sum()), self.waves.shape[1]
        outliers = np.zeros_like(used)
        if n < self._fewest:
            nothing = np.zeros((width, x.shape[1]))
            return np.zeros((width, width)), nothing, np.full(x.shape[1], np.inf), outliers
        full = self._full
        if n < len(used):
            gone = self._design[~used]
            full = _Normal(full.matrix - gone.T @ gone)
            x = x * used[:, None]
        sums = self._design.T @ x
        rest = x - self._design @ (full.inverse @ sums)
        if n < len(used):
            rest *= used[:, None]
        power = np.einsum("tc,tc->c", rest, rest) / (n - len(sums))
        alive = np.einsum("tc,tc->c", x, x) > 1e-9 * n
        limit = np.where(alive, OUTLIER * np.sqrt(power), np.inf)
        if (np.maximum(rest.max(axis=0), -rest.min(axis=0)) > limit).any():
            for hit in np.flatnonzero((np.abs(rest) > limit).any(axis=1)):
                outliers[max(0, hit - self._around) : hit + self._around + 1] = True
        own = sums[_TREND:] - full.trend.T @ sums[:_TREND]
        power = np.where(alive, np.maximum(power, 1e-6), np.inf)
        return full.waves, np.where(alive, own, 0.0), power, outliers


class _Normal:
    """A block's normal `matrix`, its `inverse`, and what is left of it for the `waves` without the trend."""

    def __init__(self, matrix: Floats) -> None:
        self.matrix, self.inverse = matrix, np.linalg.inv(matrix)
        trends = matrix[:_TREND, _TREND:]
        self.trend = np.linalg.solve(matrix[:_TREND, :_TREND], trends)
        self.waves = matrix[_TREND:, _TREND:] - trends.T @ self.trend
