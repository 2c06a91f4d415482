"""Slow twins of `dsp.sharpen` and `dsp.droop`: plain loops, to document and to test them.

Low-pass: |H|^2 of a Butterworth cascade run forward and backward (Gustafsson 1996 on its ends; here odd
extension). Wiener 1949: S / (S + N), of evoked averages Doyle 1975, de Weerd 1981. Sinc3: Hogenauer 1981.
"""

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float64]


def odd(x: F, at: int) -> float:
    """x (time,) continued beyond its ends: 2 x_end - x turned about the end; constant past what there is."""
    last = len(x) - 1
    if at < 0:
        return float(2 * x[0] - x[min(-at, last)])
    return float(2 * x[last] - x[max(2 * last - at, 0)]) if at > last else float(x[at])


def low_pass(x: F, sos: F, pad: int) -> F:
    """x (time,) through the biquads `sos`, forward, then backward, `pad` rows of odd extension at an end."""
    y = [odd(x, at) for at in range(-pad, len(x) + pad)]
    for _ in range(2):
        for b0, b1, b2, _one, a1, a2 in sos:
            gain = (b0 + b1 + b2) / (1.0 + a1 + a2)
            x1 = x2 = y[0]
            y1 = y2 = gain * y[0]
            out = []
            for v in y:
                w = b0 * v + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
                x1, x2, y1, y2 = v, x1, w, y1
                out.append(w)
            y = out
        y = y[::-1]
    return np.array(y[pad : pad + len(x)])


def wiener(mean: F, null: F) -> F:
    """The mean (time,) filtered by 1 - N / P from its own spectrum and those of `null` (pattern, time); the
    test for evidence before it is not part of this."""
    n, pad = len(mean), len(mean) // 4
    size = n + 2 * pad
    spectra = []
    for trace in [mean, *null]:
        centred = trace - trace.mean()
        padded = np.array([odd(centred, at) for at in range(-pad, n + pad)])
        for k in range(pad):
            fade = 0.5 - 0.5 * np.cos(np.pi * (k + 0.5) / pad)
            padded[k] *= fade
            padded[size - 1 - k] *= fade
        spectra.append(np.fft.fft(padded))
    half = round(2.0 * size / n)
    power = [np.abs(s[: size // 2 + 1]) ** 2 for s in spectra]
    gain = []
    for k in range(size // 2 + 1):
        near = [j for j in range(k - half, k + half + 1) if 0 <= j <= size // 2]
        weights = [1.0 - abs(j - k) / (half + 1.0) for j in near]
        p = sum(w * power[0][j] for w, j in zip(weights, near, strict=True))
        noise = sum(w * np.mean([q[j] for q in power[1:]]) for w, j in zip(weights, near, strict=True))
        gain.append(max(0.0, 1.0 - noise / p))
    full = np.array([gain[min(k, size - k)] for k in range(size)])
    return np.asarray(np.fft.ifft(spectra[0] * full).real[pad : pad + n])


def sinc3(cycles_per_sample: float) -> float:
    """H(f) = (sin(pi f / fs) / (pi f / fs))^3: three running means over one sample period each."""
    angle = np.pi * cycles_per_sample
    return 1.0 if angle == 0.0 else float((np.sin(angle) / angle) ** 3)


def compensate(x: F, taps: F) -> F:
    """x (time,) through symmetric `taps`, centred on each sample, odd beyond the ends."""
    half = len(taps) // 2
    return np.array(
        [sum(taps[half + k] * odd(x, at - k) for k in range(-half, half + 1)) for at in range(len(x))]
    )
