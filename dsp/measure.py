"""Peaks of an average, each with intervals, present or absent: no number without its error.

A peak is present when the null averages (the noise that this very average carries) cannot explain it:
either the mean's energy over the peak's span is beyond theirs (F test), or its amplitude is beyond the
amplitudes that the same picking reads in them (t test, which slow noise under a sharp peak does not blind);
0.1 % in all. Intervals come from measuring the mean plus each null average: 15 repetitions under exactly the
residual noise, which also give the bias of peak-picking that is subtracted from amplitudes (an extreme reads
noise as signal: facts/dsp 3.4). An absent response is reported absent.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Average, Measurement, Peak

F1 = NDArray[np.float64]
T_95 = 2.145
Z_PRESENT = 3.29
T_PRESENT = 4.6


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
    present = (
        math.isfinite(noise)
        and found is not None
        and (_energetic(mean, null, picker.span) or _outstanding(picker.amplitude(mean), picker, null))
    )
    if found is None or not present:
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
        """Latency and amplitude, or None where the largest value is still rising at the window's edge."""
        up = trace * self._sign
        row = self._highest(up)
        if row is None or up[row] < up[row - 1] or up[row] < up[row + 1]:
            return None
        place, _ = _vertex(up, row)
        return self._t0 + place * self._dt, self._amplitude_at(up, row)

    def amplitude(self, trace: F1) -> float:
        """Amplitude of the largest value in the window, extreme or not; 0 where the window is empty."""
        up = trace * self._sign
        row = self._highest(up)
        return 0.0 if row is None else self._amplitude_at(up, row)

    def _highest(self, up: F1) -> int | None:
        inside = up[self._window]
        return self._window.start + int(np.argmax(inside)) if len(inside) else None

    def _amplitude_at(self, up: F1, row: int) -> float:
        height = _vertex(up, row)[1]
        if self._to is None:
            return height - (float(up[self._baseline].mean()) if self._baseline.stop > 3 else 0.0)
        start = min(max(self._to.start, row + 1), self._to.stop - 1)
        return height + _vertex(-up, start + int(np.argmin(up[start : self._to.stop])))[1]


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


def _outstanding(amplitude: float, picker: "_Picker", null: NDArray[np.float64]) -> bool:
    """Amplitude beyond what picking the largest value reads in the null averages, as one more draw."""
    drawn = np.array([picker.amplitude(n) for n in null])
    spread = float(drawn.std(ddof=1)) * math.sqrt(1.0 + 1.0 / len(drawn))
    return amplitude - float(drawn.mean()) > T_PRESENT * spread


def _energetic(mean: F1, null: NDArray[np.float64], span: slice) -> bool:
    """Energy of the mean over `span` beyond what noise reaches once in 2,000 (F test, both about zero).

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
