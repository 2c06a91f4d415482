"""Peaks of an average, each with intervals, present or absent: no number without its error.

Presence is an F test of the mean's energy over the peak's span against that of the null averages (the noise
that this very average carries), at 0.1 %. Intervals come from measuring the mean plus each null average: 15
repetitions under exactly the residual noise, which also give the bias of peak-picking that is subtracted from
amplitudes (an extreme reads noise as signal: facts/dsp 3.4). An absent response is reported absent.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Average, Measurement, Peak

F1 = NDArray[np.float64]
T_95 = 2.145
Z_PRESENT = 3.09


def measure(
    average: Average, peaks: tuple[Peak, ...], names: tuple[str, ...], t0_ms: float, dt_ms: float
) -> list[Measurement]:
    """One measurement per peak; `names` are those of the derivations; time of row k is t0_ms + k*dt_ms."""
    return [_measure(average, peak, names[peak.derivation], t0_ms, dt_ms) for peak in peaks]


def _measure(average: Average, peak: Peak, derivation: str, t0_ms: float, dt_ms: float) -> Measurement:
    d = peak.derivation
    mean, null = average.mean_uv[:, d], average.null_uv[:, :, d]
    noise = float(average.noise_uv[d])
    picker = _Picker(peak, len(mean), t0_ms, dt_ms)
    found = picker.pick(mean)
    if not math.isfinite(noise) or found is None or not _present(mean, null, picker.span):
        return Measurement(
            peak.name, derivation, False, None, None, None, None, noise if math.isfinite(noise) else None
        )
    repeats = [r for r in (picker.pick(mean + n) for n in null) if r is not None]
    latency, amplitude = found
    if len(repeats) < len(null) // 2:
        return Measurement(peak.name, derivation, False, None, None, None, None, noise)
    latencies = np.array([r[0] for r in repeats])
    amplitudes = np.array([r[1] for r in repeats])
    amplitude -= float(amplitudes.mean()) - amplitude
    half_ms = T_95 * float(np.sqrt(np.mean((latencies - latency) ** 2)))
    half_uv = T_95 * float(amplitudes.std(ddof=1))
    return Measurement(
        peak.name,
        derivation,
        True,
        latency,
        (latency - half_ms, latency + half_ms),
        amplitude,
        (amplitude - half_uv, amplitude + half_uv),
        noise,
    )


class _Picker:
    """Finds one peak in a trace: (latency_ms, amplitude_uv), or None where the window holds no extreme."""

    def __init__(self, peak: Peak, n_rows: int, t0_ms: float, dt_ms: float) -> None:
        self._sign = peak.polarity
        self._t0, self._dt = t0_ms, dt_ms
        self._window = self._slice(peak.window_ms, n_rows)
        self._to = self._slice(peak.to_ms, n_rows) if peak.to_ms else None
        self._baseline = slice(0, max(0, math.floor((0.0 - t0_ms) / dt_ms)))
        ends = [self._window] + ([self._to] if self._to else [])
        self.span = slice(min(s.start for s in ends), max(s.stop for s in ends))

    def _slice(self, span_ms: tuple[float, float], n_rows: int) -> slice:
        first = max(1, math.ceil((span_ms[0] - self._t0) / self._dt - 1e-9))
        return slice(first, min(n_rows - 1, math.floor((span_ms[1] - self._t0) / self._dt + 1e-9) + 1))

    def pick(self, trace: F1) -> tuple[float, float] | None:
        up = trace * self._sign
        inside = up[self._window]
        if not len(inside):
            return None
        row = self._window.start + int(np.argmax(inside))
        if up[row] < up[row - 1] or up[row] < up[row + 1]:
            return None  # still rising at the window's edge: not an extreme
        place, height = _vertex(up, row)
        if self._to is not None:
            start = max(self._to.start, row + 1)
            after = up[start : self._to.stop]
            if not len(after):
                return None
            amplitude = height + _vertex(-up, start + int(np.argmin(after)))[1]
        else:
            amplitude = height - (float(up[self._baseline].mean()) if self._baseline.stop > 3 else 0.0)
        return self._t0 + place * self._dt, amplitude


def _vertex(up: F1, row: int) -> tuple[float, float]:
    """Place (rows) and height of the parabola through the extreme and its neighbours."""
    if not 0 < row < len(up) - 1:
        return float(row), float(up[row])
    left, here, right = float(up[row - 1]), float(up[row]), float(up[row + 1])
    curve = left - 2.0 * here + right
    if curve >= 0.0:
        return float(row), here
    shift = max(-0.5, min(0.5, 0.5 * (left - right) / curve))
    return row + shift, here - 0.25 * (left - right) * shift


def _present(mean: F1, null: NDArray[np.float64], span: slice) -> bool:
    """Energy of the mean over `span` beyond what noise reaches once in a thousand (F test, both about zero).

    The degrees of freedom follow from the null averages themselves: (tr C)^2 / tr(C^2) of their covariance,
    its second trace unbiased from the products of different patterns, over the whole window (more data than
    the span alone) and scaled to the span.
    """
    gram = np.einsum("it,jt->ij", null, null)
    energies = np.diagonal(gram)
    products = gram[~np.eye(len(gram), dtype=bool)]
    level = float(np.mean(null[:, span] ** 2))
    if level <= 0.0:
        return bool(np.any(mean[span]))
    share = (span.stop - span.start) / null.shape[1]
    freedom = max(1.0, float(energies.mean()) ** 2 / float(np.mean(products**2)) * share)
    return float(np.mean(mean[span] ** 2)) / level > f_quantile(freedom, freedom * len(null))


def f_quantile(n1: float, n2: float, z: float = Z_PRESENT) -> float:
    """Upper quantile of the F distribution at normal deviate `z` (Paulson 1942); inf where it has none."""
    a, b = 2.0 / (9.0 * n1), 2.0 / (9.0 * n2)
    denominator = (1.0 - b) ** 2 - z * z * b
    if denominator <= 0.0:
        return math.inf
    root = (
        (1.0 - a) * (1.0 - b) + z * math.sqrt(a * (1.0 - b) ** 2 + b * (1.0 - a) ** 2 - z * z * a * b)
    ) / denominator
    return max(root, 0.0) ** 3
