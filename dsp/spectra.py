"""Spectra of the running EEG, one record a second: density, spectral edges, bands, ratios and asymmetry.

Owns the windows (4 s, multitaper; rows of a density spectral array are the records' densities), and whether a
window may be believed: what is excluded, clips, stands still or is not finite is artifact without number.
Every number has its 95 % interval, of stationary noise within the window. Refuses to smooth over windows.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp import trends
from dsp.tapers import Z_95, between_bins, chi_square_share, dpss
from dsp.trends import Estimates

Floats = NDArray[np.float64]
Artifact = Literal["", "excluded", "not finite", "amplitude", "flat"]

WINDOW_S = 4
HALF_BANDWIDTH, TAPERS = 2.5, 3
"""0.6 Hz to either side; 50 uV of mains leave less of themselves below 30 Hz than the amplifier's noise."""
LIMIT_UV = 500.0
"""A window that leaves its own median by more is no EEG."""
BINS = np.round(trends.BINS_HZ * WINDOW_S).astype(np.intp)
"""Lines of the transform, a quarter of a hertz apart, in the middle of bins: a bin is that and half of those
beside it, so that the power of a sine is told whole wherever it lies."""
STILL_S, STILL_UV = 0.1, 1e-6
"""Neither is one that does not move for so long: a rail, or nothing connected."""
FLOOR_UV = 1.0
"""Below this rms (0.5 to 30 Hz) a spectrum is the amplifier's: edges and ratios are not told."""


@dataclass(frozen=True, slots=True)
class EegSpectrum:
    """One window, samples `first_index` to before `end_index` of the EEG's own rate.

    `density_db` (derivation, bin): dB re 1 uV^2/Hz at `trends.BINS_HZ`, NaN where there is an `artifact`; the
    interval is that plus `interval_db`. `rms_uv` of 0.5 to 30 Hz; `quiet` where that is below the floor, and
    edges and ratios are NaN. `bands_uv2` (band, derivation), in the order of `trends.BANDS_HZ`. `alpha_delta`
    and `fast_slow` (alpha + beta to delta + theta) are natural logarithms of ratios, and `asymmetry`
    (band, pair) of left to right.
    """

    first_index: int
    end_index: int
    artifact: tuple[Artifact, ...]
    density_db: Floats
    interval_db: tuple[float, float]
    rms_uv: Floats
    quiet: NDArray[np.bool_]
    sef95_hz: Estimates
    sef90_hz: Estimates
    median_hz: Estimates
    bands_uv2: Estimates
    alpha_delta: Estimates
    fast_slow: Estimates
    asymmetry: Estimates


class EegSpectra:
    """Streaming spectra of derivations `names` at `rate_hz`; `pairs` name (left, right).

    Windows end at absolute indices that are whole seconds, so that blocks leave no trace. `limit_uv` and
    `floor_uv` as the constants say. ValueError for a rate below 100 Hz or not of whole samples a second, for
    names that are not distinct, and for pairs of unknown names.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        rate_hz: float,
        pairs: tuple[tuple[str, str], ...] = (),
        *,
        limit_uv: float = LIMIT_UV,
        floor_uv: float = FLOOR_UV,
    ) -> None:
        if not (math.isfinite(rate_hz) and rate_hz >= 100.0 and float(rate_hz).is_integer()):
            raise ValueError(f"spectra need a whole rate of 100 Hz or more, not {rate_hz:g}")
        if not names or len(set(names)) != len(names):
            raise ValueError(f"derivations {names} are none, or not distinct")
        if not (limit_uv > 0.0 and floor_uv >= 0.0):
            raise ValueError(f"limit {limit_uv:g} uV and floor {floor_uv:g} uV are impossible")
        unknown = {name for pair in pairs for name in pair} - set(names)
        if unknown:
            raise ValueError(f"pairs of unknown derivations {', '.join(sorted(unknown))}")
        self.names, self.pairs = names, pairs
        self._left = np.array([names.index(left) for left, _ in pairs], dtype=np.intp)
        self._right = np.array([names.index(right) for _, right in pairs], dtype=np.intp)
        self._step = int(rate_hz)
        self._rows_wanted = WINDOW_S * self._step
        self._limit_uv, self._floor_uv = limit_uv, floor_uv
        self._tapers = dpss(self._rows_wanted, HALF_BANDWIDTH, TAPERS)
        self._scale = 2.0 / (rate_hz * TAPERS)
        self._covariance = _covariance(self._tapers)
        freedom = np.array(2.0 / self._covariance[0])
        ends = (1.0 / chi_square_share(freedom, z) for z in (Z_95, -Z_95))
        low, high = (10.0 * math.log10(float(end)) for end in ends)
        self._interval_db = (low, high)
        self._still = max(2, round(STILL_S * rate_hz))
        self._excluded: list[tuple[int, int]] = []
        self.restart(0)

    def restart(self, index: int) -> None:
        """Begin anew at `index`, the first sample behind a gap."""
        self._rows = np.empty((0, len(self.names)))
        self._first = index
        self._window = -(-index // self._step) * self._step

    def exclude(self, first_index: int, end_index: int) -> None:
        """Samples that are no EEG (electrosurgery, clipping), for windows that have not been told yet."""
        if end_index > first_index:
            self._excluded.append((first_index, end_index))

    def append(self, uv: Floats, first_index: int) -> list[EegSpectrum]:
        """Take the next rows (time, derivation) in microvolts; the windows that they complete.

        Rows that do not follow the last ones restart the windows.
        """
        if first_index != self._first + len(self._rows):
            self.restart(first_index)
        rows = np.concatenate([self._rows, uv])
        told = []
        while (at := self._window - self._first) + self._rows_wanted <= len(rows):
            told.append(self._spectrum(rows[at : at + self._rows_wanted], self._window))
            self._window += self._step
        spent = min(len(rows), max(0, self._window - self._first))
        self._rows = rows[spent:].copy()
        self._first += spent
        self._excluded = [span for span in self._excluded if span[1] > self._window]
        return told

    def _spectrum(self, uv: Floats, first_index: int) -> EegSpectrum:
        artifact = self._artifacts(uv, first_index)
        good = np.array([not reason for reason in artifact])
        density = np.where(good[:, None], self._density(np.where(good, uv, 0.0)), np.nan)
        trend = trends.Trends(density, self._covariance)
        quiet = good & (trend.rms_uv < self._floor_uv)
        with np.errstate(divide="ignore"):
            density_db = 10.0 * np.log10(density)
        return EegSpectrum(
            first_index,
            first_index + self._rows_wanted,
            artifact,
            density_db,
            self._interval_db,
            trend.rms_uv,
            quiet,
            trend.edge(0.95).where(~quiet),
            trend.edge(0.90).where(~quiet),
            trend.edge(0.50).where(~quiet),
            trend.bands(),
            trend.log_ratio(("alpha",), ("delta",)).where(~quiet),
            trend.log_ratio(("alpha", "beta"), ("delta", "theta")).where(~quiet),
            trend.asymmetry(self._left, self._right).where(~(quiet[self._left] | quiet[self._right])),
        )

    def _density(self, uv: Floats) -> Floats:
        """One-sided density (derivation, bin) in uV^2/Hz of a window (time, derivation) without its trend."""
        at = np.arange(len(uv)) - (len(uv) - 1) / 2.0
        level = np.add.reduce(uv, axis=0) / len(uv)
        slope = np.add.reduce(uv * at[:, None], axis=0) / np.sum(at * at)
        rows = np.ascontiguousarray((uv - level - at[:, None] * slope).T)
        spectra = np.fft.rfft(self._tapers[:, None, :] * rows)
        lines = np.add.reduce(spectra.real**2 + spectra.imag**2, axis=0)
        density: Floats = (0.5 * self._scale) * lines[:, BINS]
        density += (0.25 * self._scale) * (lines[:, BINS - 1] + lines[:, BINS + 1])
        return density

    def _artifacts(self, uv: Floats, first_index: int) -> tuple[Artifact, ...]:
        """Why each derivation of a window is no EEG, or ""."""
        end = first_index + len(uv)
        excluded = any(first < end and first_index < last for first, last in self._excluded)
        finite = np.all(np.isfinite(uv), axis=0)
        known = np.where(finite, uv, 0.0)
        loud = np.any(np.abs(known - np.median(known, axis=0)) > self._limit_uv, axis=0)
        still = np.cumsum(np.abs(np.diff(known, axis=0)) <= STILL_UV, axis=0)
        flat = np.any(still[self._still :] - still[: -self._still] == self._still, axis=0)

        def reason(derivation: int) -> Artifact:
            if excluded:
                return "excluded"
            if not finite[derivation]:
                return "not finite"
            if loud[derivation]:
                return "amplitude"
            return "flat" if flat[derivation] else ""

        return tuple(reason(derivation) for derivation in range(uv.shape[1]))


def _covariance(tapers: Floats) -> Floats:
    """Covariance (lag,) of bins, of a density of 1: that of lines, and which lines two bins are made of."""
    lines = between_bins(tapers, 1.0, 2 * trends.LAGS + 1)
    both_sides = np.concatenate([lines[:0:-1], lines])
    middle = len(lines) - 1
    shared = (0.0625, 0.25, 0.375, 0.25, 0.0625)  # of (1/4, 1/2, 1/4) with itself
    return np.array(
        [
            sum(part * both_sides[middle + 2 * lag + k] for k, part in zip(range(-2, 3), shared, strict=True))
            for lag in range(trends.LAGS)
        ]
    )
