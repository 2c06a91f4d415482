"""What a multitaper density says in few numbers: spectral edges, band powers, ratios, each with its interval.

Owns bins and bands, and the error of every sum over bins: what neighbouring bins share of noise is counted.
Refuses to know of windows, of artifacts (NaN goes through) and of time.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.tapers import Z_95, chi_square_share, log_variance

Floats = NDArray[np.float64]
Band = Literal["delta", "theta", "alpha", "beta"]

BIN_HZ = 0.5
BINS_HZ = np.arange(0.5, 30.0 + BIN_HZ / 2, BIN_HZ)
BANDS_HZ: dict[Band, tuple[float, float]] = {
    "delta": (0.5, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
}
LAGS = 5
"""Bins within which estimates share noise: all of 0.5 Hz to either side, and their side lobes."""
BINS_HZ.flags.writeable = False


@dataclass(frozen=True, slots=True)
class Estimates:
    """Values and the ends of their 95 % intervals, arrays of one shape; NaN where nothing can be said."""

    value: Floats
    low: Floats
    high: Floats

    def where(self, told: NDArray[np.bool_]) -> "Estimates":
        """The same, NaN where not `told` (broadcast from the last axis)."""
        return Estimates(*(np.where(told, part, np.nan) for part in (self.value, self.low, self.high)))


def _widths(low_hz: float, high_hz: float) -> Floats:
    """Hz that each bin counts for between the two: half at either end, so that neighbours share no power."""
    inside = (low_hz < BINS_HZ) & (high_hz > BINS_HZ)
    ends = (low_hz == BINS_HZ) | (high_hz == BINS_HZ)
    return np.asarray(BIN_HZ * (inside + 0.5 * ends), np.float64)


WIDTHS: dict[Band, Floats] = {band: _widths(*edges_hz) for band, edges_hz in BANDS_HZ.items()}
WHOLE = _widths(BINS_HZ[0], BINS_HZ[-1])


class Trends:
    """The numbers of one density (derivation, bin) in uV^2/Hz at BINS_HZ.

    `covariance` (lag,) of estimates at a density of 1 (`tapers.between_bins`).
    """

    def __init__(self, density: Floats, covariance: Floats) -> None:
        self._density = density
        self._covariance = covariance
        self._total = np.add.reduce(density * WHOLE, axis=-1)
        self.rms_uv: Floats = np.sqrt(self._total)

    def _variance(self, weights: Floats) -> Floats:
        """Variance (derivation,) of a sum over bins with `weights` (derivation, bin) or (bin,)."""
        v = weights * self._density
        total: Floats = self._covariance[0] * np.add.reduce(v * v, axis=-1)
        for lag in range(1, len(self._covariance)):
            shared = np.add.reduce(v[..., lag:] * v[..., :-lag], axis=-1)
            total += 2.0 * self._covariance[lag] * shared
        return np.maximum(total, 0.0)

    def _power(self, widths: Floats) -> tuple[Floats, Floats]:
        """Power in uV^2 and its variance relative to its square, (derivation,)."""
        power = np.add.reduce(self._density * widths, axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            relative: Floats = self._variance(widths) / power**2
        return power, relative

    def bands(self) -> Estimates:
        """Power (band, derivation) in uV^2 as chi-square of 2 power^2 / variance (Satterthwaite 1946)."""
        found = [self._power(widths) for widths in WIDTHS.values()]
        power = np.array([one for one, _ in found])
        with np.errstate(invalid="ignore", divide="ignore"):
            freedom = 2.0 / np.array([relative for _, relative in found])
            low, high = (power / chi_square_share(freedom, z) for z in (Z_95, -Z_95))
        return Estimates(power, low, high)

    def log_ratio(self, above: tuple[Band, ...], below: tuple[Band, ...]) -> Estimates:
        """ln of the power in bands `above` over that in `below`, (derivation,); what both share is once."""
        one = np.sum([WIDTHS[band] for band in above], axis=0)
        other = np.sum([WIDTHS[band] for band in below], axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            (p, _), (q, _) = self._power(one), self._power(other)
            value = np.log(p / q)
            variance = self._variance(one / p[:, None] - other / q[:, None])
        return _around(value, log_variance(variance))

    def asymmetry(self, left: NDArray[np.intp], right: NDArray[np.intp]) -> Estimates:
        """ln of left over right power, (band, pair). What both sides share is not taken off the interval."""
        found = [self._power(widths) for widths in WIDTHS.values()]
        power = np.array([one for one, _ in found])
        spread = log_variance(np.array([relative for _, relative in found]))
        with np.errstate(invalid="ignore", divide="ignore"):
            value = np.log(power[:, left] / power[:, right])
        return _around(value, spread[:, left] + spread[:, right])

    def edge(self, share: float) -> Estimates:
        """The frequency (derivation,) below which `share` of the power from 0.5 to 30 Hz lies.

        Its interval is where the log odds of the share are within 1.96 errors of its own (Woodruff 1952).
        """
        steps = 0.5 * BIN_HZ * (self._density[:, 1:] + self._density[:, :-1])
        below = np.zeros_like(self._density)
        np.cumsum(steps, axis=1, out=below[:, 1:])
        with np.errstate(invalid="ignore", divide="ignore"):
            below /= self._total[:, None]
        value = _crossing(below, np.full(len(below), share))
        # The error of the share of power below `value`: the bins' weights are what is below less `share`. It
        # is one of log odds, as of two powers' ratio: shares near 1 have nowhere to go.
        inside = np.clip((value[:, None] - BINS_HZ) / BIN_HZ + 0.5, 0.0, 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = self._variance(WHOLE * (inside - share)) / self._total**2
        half = Z_95 * np.sqrt(log_variance(relative / (share * (1.0 - share)) ** 2))
        odds = share / (1.0 - share) * np.exp([-half, half])
        low, high = (_crossing(below, one / (1.0 + one)) for one in odds)
        return Estimates(value, low, high)


def _around(value: Floats, variance: Floats) -> Estimates:
    half = Z_95 * np.sqrt(variance)
    return Estimates(value, value - half, value + half)


def _crossing(below: Floats, shares: Floats) -> Floats:
    """Where each row of rising `below` reaches its share, in Hz; NaN where it is not known."""
    known = np.isfinite(below[:, -1]) & np.isfinite(shares)
    found = [
        np.interp(share, row, BINS_HZ) if told else np.nan
        for row, share, told in zip(below, shares, known, strict=True)
    ]
    return np.array(found, dtype=np.float64)
