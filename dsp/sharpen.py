"""A second trace beside a finished average: low-passed with zero phase, or Wiener filtered.

Low-passing the finished average is the largest gain that one derivation has left (facts/dsp.md 3.1). What is
filtered is the mean and, by the very same filter, its 15 null averages, so noise, intervals and presence are
those of the filtered trace. Holds the original always and never replaces it: latencies come from there.
Refuses nothing at run time: what is not finite stays NaN in its derivation and touches no other.

Twin and formulas: `dsp.reference_sharpen`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.droop import pad_odd
from dsp.filters import ForwardFilter, backward, butterworth, settle_samples
from dsp.limits import SHARP_HZ
from dsp.nouns import Average
from dsp.presence import f_quantile

Floats = NDArray[np.float64]

ORDER = 2
T_95 = 2.145
# Spectra are smoothed over so many resolution cells of the window either way.
SMOOTH_CELLS = 2.0
# Normal deviate (2.3 %) that the mean's energy must be beyond its nulls' by before any of it is kept.
Z_EVIDENT = 2.0
_TINY_UV2 = 1e-24


@dataclass(frozen=True, slots=True)
class Sharpened:
    """The sharpened trace of an average, beside its `original`.

    `average` is as the original with mean, null averages and noise filtered: for `dsp.measure.measure`.
    `loss` (derivation,) is the share of the response's amplitude that the filter takes, by projection;
    `loss_bound` its upper limit (95 %), of 1; NaN where no response stands out of the noise. A Wiener filter
    favours the noise of its own mean: `loss` is then told about a third low, the bound holds.
    """

    kind: str
    original: Average
    average: Average
    loss: Floats
    loss_bound: Floats


def low_pass(x: Floats, rate_hz: float, corner_hz: float = SHARP_HZ) -> Floats:
    """x (time, derivation) through a Butterworth cascade forward and backward: -3 dB in all at `corner_hz`.

    Either end is turned about its end value (odd) for as long as the filter remembers; a new array. Raises
    ValueError for a corner outside 0..rate_hz / 2.
    """
    if not 0.0 < corner_hz < rate_hz / 2:
        raise ValueError(f"corner {corner_hz:g} Hz is outside 0..{rate_hz / 2:g} Hz")
    shift = (math.sqrt(2.0) - 1.0) ** (1.0 / (2 * ORDER))
    one_pass_hz = math.atan(math.tan(math.pi * corner_hz / rate_hz) / shift) * rate_hz / math.pi
    sos = butterworth(ORDER, one_pass_hz, "low", rate_hz)
    if not len(x):
        return x.astype(np.float64)
    sound = np.isfinite(x).all(axis=0)
    pad = settle_samples(sos)
    y = np.ascontiguousarray(pad_odd(np.where(sound, x, 0.0), pad))
    ForwardFilter(sos, y.shape[1]).run(y)
    y = backward(y, sos)
    return np.where(sound, y[pad : pad + len(x)], np.nan)


def sharpen_low_pass(average: Average, rate_hz: float, corner_hz: float = SHARP_HZ) -> Sharpened:
    """`average` and its nulls through `low_pass`. Raises ValueError as that does."""
    traces = _traces(average)
    flat = np.ascontiguousarray(np.moveaxis(traces, 0, 1).reshape(traces.shape[1], -1))
    filtered = low_pass(flat, rate_hz, corner_hz).reshape(traces.shape[1], traces.shape[0], -1)
    return _result(f"low-pass {corner_hz:g} Hz", average, traces, np.moveaxis(filtered, 1, 0))


def sharpen_wiener(average: Average) -> Sharpened:
    """`average` and its nulls through the Wiener filter of the mean's spectrum and theirs.

    Gain per frequency and derivation S / (S + N) = 1 - N / P, P and N the smoothed power of the mean and of
    the nulls: within 0..1, with no phase. A filter made from the mean favours whatever noise the mean has: by
    itself it would find responses in 5 % of averages without one. So the whole gain is 0, and the trace flat,
    unless the energy of the mean is beyond its nulls' by an F test. The window's level is taken out.
    """
    traces = _traces(average)
    return _result("Wiener", average, traces, _wiener(traces))


def _traces(average: Average) -> Floats:
    """Mean and nulls as (trace, time, derivation)."""
    return np.concatenate([average.mean_uv[None], average.null_uv])


def _wiener(traces: Floats) -> Floats:
    """Traces (trace, time, derivation), the mean first, filtered; NaN where a derivation is not finite."""
    n = traces.shape[1]
    sound = np.isfinite(traces).all(axis=(0, 1)) & (n > 1)
    if not sound.any() or len(traces) < 2:
        return np.full_like(traces, np.nan)
    x = np.where(sound, traces, 0.0)
    level = x.mean(axis=1, keepdims=True)
    pad = n // 4
    padded = np.moveaxis(pad_odd(np.moveaxis(x - level, 1, 0), pad), 0, 1)
    padded = padded * _taper(n, pad)[None, :, None]
    spectra = np.fft.rfft(padded, axis=1)
    gain = wiener_gain(np.abs(spectra) ** 2, round(SMOOTH_CELLS * padded.shape[1] / n))
    gain[:, ~_evident(x - level)] = 0.0
    made = np.fft.irfft(spectra * gain, padded.shape[1], axis=1)[:, pad : pad + n]
    return np.where(sound, made, np.nan)


def wiener_gain(power: Floats, half_width: int) -> Floats:
    """Gain (frequency, derivation), of 1, from `power` (trace, frequency, derivation) of mean and nulls."""
    mean = _smoothed(power[0], half_width)
    noise = _smoothed(power[1:].mean(axis=0), half_width)
    kept = (mean > noise) & (mean > _TINY_UV2)
    return np.where(kept, 1.0 - noise / np.where(kept, mean, 1.0), 0.0)


def _evident(x: Floats) -> NDArray[np.bool_]:
    """Whether the energy of the mean is beyond the nulls', per derivation, for centred x (trace, time, ...).

    Degrees of freedom (tr C)^2 / tr(C^2) from the products of different nulls, as in `dsp.presence`.
    """
    energy = np.einsum("ktd,ktd->kd", x, x)
    null = x[1:]
    gram = np.einsum("itd,jtd->dij", null, null)
    products = np.mean(gram[:, ~np.eye(len(null), dtype=bool)] ** 2, axis=1)
    noise = energy[1:].mean(axis=0)
    found = np.zeros(x.shape[2], dtype=np.bool_)
    for d in range(x.shape[2]):
        if noise[d] <= _TINY_UV2 or products[d] <= _TINY_UV2**2:
            found[d] = energy[0, d] > _TINY_UV2
            continue
        freedom = max(1.0, float(noise[d] ** 2 / products[d]))
        found[d] = energy[0, d] / noise[d] > f_quantile(freedom, freedom * len(null), Z_EVIDENT)
    return found


def _smoothed(power: Floats, half_width: int) -> Floats:
    """Triangular mean over `half_width` frequencies either way, of those that there are."""
    weights = 1.0 - np.abs(np.arange(-half_width, half_width + 1)) / (half_width + 1.0)
    n = len(power)
    total, count = np.zeros_like(power), np.zeros((n, 1))
    for k, w in zip(range(-half_width, half_width + 1), weights.tolist(), strict=True):
        to = slice(max(0, -k), max(0, min(n, n - k)))
        of = slice(max(0, k), max(0, min(n, n + k)))
        total[to] += w * power[of]
        count[to] += w
    return total / count


def _taper(n: int, pad: int) -> Floats:
    """1 over the trace, down to 0 as a cosine over the `pad` rows at either end."""
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(pad) + 0.5) / max(pad, 1))
    return np.concatenate([rise, np.ones(n), rise[::-1]])


def _result(kind: str, original: Average, traces: Floats, filtered: Floats) -> Sharpened:
    null = filtered[1:]
    average = replace(
        original,
        mean_uv=filtered[0],
        null_uv=null.astype(np.float32),
        noise_uv=np.sqrt(np.mean(null * null, axis=(0, 1))),
    )
    loss, bound = _loss(traces, filtered)
    return Sharpened(kind, original, average, loss, bound)


def _loss(traces: Floats, filtered: Floats) -> tuple[Floats, Floats]:
    """Loss and its bound (derivation,).

    Loss = 1 - <mean, filtered> / <mean, mean>, the noise's part of both, known from the nulls, taken out. The
    bound adds T_95 standard deviations of the loss of the mean with each null added and taken away.
    """
    x = traces - traces.mean(axis=1, keepdims=True)
    y = filtered - filtered.mean(axis=1, keepdims=True)
    of_null = np.array([np.mean(x[1:] ** 2, axis=(0, 1)), np.mean(x[1:] * y[1:], axis=(0, 1))])
    of_mean = np.array([np.mean(x[0] ** 2, axis=0), np.mean(x[0] * y[0], axis=0)])
    whole, kept = of_mean - of_null
    stands_out = np.isfinite(whole) & (whole > _TINY_UV2)
    stands_out[stands_out] = _evident(x[:, :, stands_out])
    safe = np.where(stands_out, whole, 1.0)
    loss = np.clip(1.0 - np.where(stands_out, kept, 0.0) / safe, 0.0, 1.0)
    draws = []
    for sign in (1.0, -1.0):
        a, b = x[0] + sign * x[1:], y[0] + sign * y[1:]
        more = np.array([np.mean(a * a, axis=1), np.mean(a * b, axis=1)]) - 2 * of_null[:, None]
        positive = more[0] > 0.0
        draws.append(np.where(positive, 1.0 - more[1] / np.where(positive, more[0], 1.0), 1.0))
    spread = np.std(np.concatenate(draws), axis=0)
    bound = np.clip(loss + T_95 * spread, 0.0, 1.0)
    return np.where(stands_out, loss, np.nan), np.where(stands_out, bound, np.nan)
