"""What the converter's sinc3 filter takes from high frequencies, given back by choice.

A symmetric filter of 25 taps and no delay whose gain is 1 / H up to a stated corner, H(f) = (sin(pi f / fs)
/ (pi f / fs))^3 (facts/hardware.md 1.1; `hw.sinc3`), and beyond it within 1 % no more than at the corner.
For a finished average or the stream; refuses nothing at run time. It leaves the delay of 1.5 samples alone.

Twin and formulas: `dsp.reference_sharpen`.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Average
from hw.sinc3 import magnitude

Floats = NDArray[np.float64]

CORNER = 0.35
EDGE = 0.25
EDGE_ERROR, CORNER_ERROR = 1e-3, 1e-2
HALF_TAPS = 12
_GRID = 2001
_ROUNDS = 30
_HELD, _LIGHT = 30.0, 0.3


def design(corner: float = CORNER, half_taps: int = HALF_TAPS) -> Floats:
    """Taps (2 half_taps + 1,), symmetric, sum 1: gain 1 / H up to `corner` (cycles a sample).

    Weighted least squares of cosines on a dense grid, exact at 0; errors up to EDGE weigh as much more as
    they are to be smaller. Beyond the corner the gain may fall as it likes and is held, round by round, where
    it is above that of the corner. Raises ValueError for a corner outside 0.05..0.35 or half_taps outside
    1..32.
    """
    if not 0.05 <= corner <= CORNER:
        raise ValueError(f"a corner of {corner:g} cycles a sample is outside 0.05..{CORNER:g}")
    if not 1 <= half_taps <= 32:
        raise ValueError(f"{half_taps} taps a side are outside 1..32")
    f = np.linspace(0.0, 0.5, _GRID)
    wanted = 1.0 / magnitude(np.minimum(f, corner))
    inside = f <= corner
    base = np.where(f <= EDGE / CORNER * corner, 1.0 / EDGE_ERROR, 1.0 / CORNER_ERROR)
    weight = np.where(inside, base, _LIGHT)
    # The gain is 1 + sum of b_k (cos(2 pi f k) - 1): 1 at 0 whatever b is.
    columns = np.cos(2 * np.pi * np.outer(f, np.arange(1, half_taps + 1))) - 1.0
    b: Floats = np.zeros(half_taps)
    for _ in range(_ROUNDS):
        b = np.asarray(np.linalg.lstsq(columns * weight[:, None], (wanted - 1.0) * weight, rcond=None)[0])
        above = 1.0 + columns @ b > wanted
        weight = np.where(inside, base, np.where(above, _HELD, _LIGHT))
    return np.concatenate([b[::-1] / 2, [1.0 - float(b.sum())], b / 2])


def gain(taps: Floats, cycles_per_sample: Floats) -> Floats:
    """The real gain of symmetric `taps` at frequencies in cycles per sample."""
    half = len(taps) // 2
    waves = np.cos(2 * np.pi * np.outer(cycles_per_sample, np.arange(1, half + 1)))
    return np.asarray(taps[half] + 2 * waves @ taps[half + 1 :])


def noise_gain(taps: Floats) -> float:
    """Factor on the rms of white noise: root of the sum of squares."""
    return math.sqrt(float((taps * taps).sum()))


def compensate(x: NDArray[np.floating], taps: Floats) -> Floats:
    """x (..., time, derivation) through symmetric `taps`, centred: no delay; a new array.

    What is beyond either end is the trace turned about its end value (odd), so that offsets and slopes go on;
    traces too short to be turned go on at their end values. NaN spreads by half the taps.
    """
    half = len(taps) // 2
    n = x.shape[-2]
    if n == 0:
        return x.astype(np.float64)
    y = np.moveaxis(x, -2, 0).astype(np.float64)
    padded = pad_odd(y, half)
    out = taps[half] * y
    for k in range(1, half + 1):
        out = out + taps[half + k] * (padded[half + k : half + k + n] + padded[half - k : half - k + n])
    return np.ascontiguousarray(np.moveaxis(out, 0, -2))


def compensate_average(average: Average, taps: Floats) -> Average:
    """A finished average through `taps`: its mean, halves and null averages alike, its noise anew."""
    with np.errstate(invalid="ignore"):
        null = compensate(average.null_uv, taps)
        noise = np.sqrt(np.mean(null * null, axis=(0, 1)))
        halves = None if average.halves_uv is None else _single(compensate(average.halves_uv, taps))
        mean = compensate(average.mean_uv, taps)
    return replace(average, mean_uv=mean, noise_uv=noise, null_uv=_single(null), halves_uv=halves)


def _single(x: Floats) -> NDArray[np.float32]:
    return x.astype(np.float32)


def pad_odd(x: Floats, pad: int) -> Floats:
    """x (time, ...) with `pad` rows more at either end, turned about the end values as far as it reaches."""
    turned = min(pad, len(x) - 1)
    head = 2 * x[:1] - x[turned:0:-1]
    tail = 2 * x[-1:] - x[-2 : -2 - turned : -1] if turned else x[:0]
    more = (pad - turned,) + (1,) * (x.ndim - 1)
    first = head[:1] if turned else x[:1]
    last = tail[-1:] if turned else x[-1:]
    return np.concatenate([np.tile(first, more), head, x, tail, np.tile(last, more)])
