"""Peaks of an average, each with intervals, present or absent: no number without its error.

A peak is present when the null averages (the noise that this very average carries) cannot explain it:
either the mean's energy over the peak's span is beyond theirs (F test), or its amplitude is beyond the
amplitudes that the same picking reads in them (t test, which slow noise under a sharp peak does not blind);
0.1 % in all. Intervals come from measuring the mean plus and minus each null average: repetitions under
exactly the residual noise, which also give the bias of peak-picking that is subtracted from amplitudes (an
extreme reads noise as signal: facts/dsp 3.4). An absent response is reported absent.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Average, Measurement, Peak

Floats = NDArray[np.float64]
T_95 = 2.145
Z_PRESENT = 3.29
T_PRESENT = 4.6
# The mean with as much noise again reads d more. What its own noise reads is d if that bias grows with the
# noise's power (little noise), 2.4 d if with its amplitude (much of it): between, where it matters.
BIAS_FACTOR = 1.5


def measure(
    average: Average, peaks: tuple[Peak, ...], names: tuple[str, ...], t0_ms: float, dt_ms: float
) -> list[Measurement]:
    """One measurement per peak; `names` are those of the derivations; time of row k is t0_ms + k*dt_ms."""
    return [_measure(average, peak, names[peak.derivation], t0_ms, dt_ms) for peak in peaks]


def _measure(average: Average, peak: Peak, derivation: str, t0_ms: float, dt_ms: float) -> Measurement:
    noise = float(average.noise_uv[peak.derivation])
    found = None
    if math.isfinite(noise):
        mean = average.mean_uv[:, peak.derivation]
        null = average.null_uv[:, :, peak.derivation]
        found = _found(mean, null, _Picker(peak, len(mean), t0_ms, dt_ms))
    if found is None:
        told = noise if math.isfinite(noise) else None
        return Measurement(peak.name, derivation, False, None, None, None, None, told)
    latency, half_ms, amplitude, half_uv = found
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


def _found(mean: Floats, null: Floats, picker: "_Picker") -> tuple[float, float, float, float] | None:
    """Latency and amplitude, each with half its interval; None when absent."""
    if picker.empty:
        return None
    (latency,), (amplitude,), (extreme,) = picker.pick(mean[None])
    if not extreme or not (_energetic(mean, null, picker) or _outstanding(amplitude, null, picker)):
        return None
    # In pairs of opposite signs: what is linear in the noise cancels, the bias is left.
    latencies, amplitudes, extremes = picker.pick(np.concatenate([mean + null, mean - null]))
    if 2 * np.count_nonzero(extremes) < len(extremes):
        return None
    latencies, amplitudes = latencies[extremes], amplitudes[extremes]
    bias = BIAS_FACTOR * float(amplitudes.mean() - amplitude)
    half_ms = T_95 * float(np.sqrt(np.mean((latencies - latency) ** 2)))
    # The correction is about as uncertain as it is large.
    half_uv = T_95 * math.hypot(float(amplitudes.std()), bias)
    return float(latency), half_ms, float(amplitude) - bias, half_uv


class _Picker:
    """Finds one peak in traces (trace, time); `empty` when its windows lie outside of them."""

    def __init__(self, peak: Peak, n_rows: int, t0_ms: float, dt_ms: float) -> None:
        self._sign = peak.polarity
        self._t0, self._dt = t0_ms, dt_ms
        self._window = self._slice(peak.window_ms, n_rows)
        self._to = self._slice(peak.to_ms, n_rows) if peak.to_ms else None
        before = max(0, math.floor((0.0 - t0_ms) / dt_ms))
        self._baseline = slice(0, before) if before > 3 else None
        ends = [self._window] + ([self._to] if self._to else [])
        self.empty = any(s.stop <= s.start for s in ends)
        self.span = slice(min(s.start for s in ends), max(s.stop for s in ends))

    def _slice(self, span_ms: tuple[float, float], n_rows: int) -> slice:
        first = max(1, math.ceil((span_ms[0] - self._t0) / self._dt - 1e-9))
        return slice(first, min(n_rows - 1, math.floor((span_ms[1] - self._t0) / self._dt + 1e-9) + 1))

    def pick(self, traces: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Latency, amplitude, and whether it is an extreme: not when still rising at the window's edge."""
        up = traces * self._sign
        each = np.arange(len(up))
        row = self._window.start + np.argmax(up[:, self._window], axis=1)
        extreme = (up[each, row] >= up[each, row - 1]) & (up[each, row] >= up[each, row + 1])
        place, height = _vertex(up, row)
        return self._t0 + place * self._dt, height - self._foot(up, row), extreme

    def _foot(self, up: Floats, row: NDArray[np.intp]) -> Floats:
        """What amplitudes count from: the opposite extreme behind the peak, or the pre-stimulus mean."""
        if self._to is None:
            return up[:, self._baseline].mean(axis=1) if self._baseline else np.zeros(len(up))
        start = np.minimum(np.maximum(self._to.start, row + 1), self._to.stop - 1)
        behind = np.arange(self._to.start, self._to.stop) >= start[:, None]
        lowest = self._to.start + np.argmin(np.where(behind, up[:, self._to], np.inf), axis=1)
        return -_vertex(-up, lowest)[1]


def _vertex(up: Floats, row: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Place (rows) and height of the parabola through each trace's extreme and its neighbours."""
    each = np.arange(len(up))
    left, here, right = up[each, row - 1], up[each, row], up[each, row + 1]
    curve = left - 2.0 * here + right
    shift = np.where(curve < 0.0, 0.5 * (left - right) / np.where(curve < 0.0, curve, 1.0), 0.0)
    shift = np.clip(shift, -0.5, 0.5)
    return np.asarray(row + shift), here - 0.25 * (left - right) * shift


def _outstanding(amplitude: float, null: Floats, picker: _Picker) -> bool:
    """Amplitude beyond what picking the largest value reads in the null averages, as one more draw."""
    _, drawn, _ = picker.pick(null)
    spread = float(drawn.std(ddof=1)) * math.sqrt(1.0 + 1.0 / len(drawn))
    return bool(amplitude - float(drawn.mean()) > T_PRESENT * spread)


def _energetic(mean: Floats, null: Floats, picker: _Picker) -> bool:
    """Energy of the mean over the span beyond what noise reaches once in 2,000 (F test).

    Both from the level of the whole window: what is not filtered has an electrode offset, no response.
    The degrees of freedom follow from the null averages themselves: (tr C)^2 / tr(C^2) of their covariance,
    its second trace unbiased from the products of different patterns, over the whole window (more data than
    the span alone) and scaled to the span.
    """
    mean, null, span = mean - mean.mean(), null - null.mean(axis=1, keepdims=True), picker.span
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
