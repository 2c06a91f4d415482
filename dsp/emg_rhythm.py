"""Discharges of motor units from the peaks of an EMG event: how many, how often, how regularly, which train.

Owns the rules of Romstoeck et al. 2000 and Prell et al. 2007 in numbers: A-trains are fast and regular,
B-trains slower single potentials, C-trains without a rhythm. Refuses a rate of fewer than three intervals.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Train = Literal["", "A", "B", "C"]

BIN_S = 0.05
"""In each bin of a train one potential at least has its full size: slower ones leave bins out."""
OF_TYPICAL, OF_LARGEST = 0.55, 0.35
REFRACTORY_S = 0.003
LEAST_INTERVALS, USUAL = 3, 0.4
A_LEAST_HZ, A_SURE_HZ = 45.0, 62.0
A_VARIATION, B_VARIATION, B_MOST_HZ = 0.18, 0.40, 75.0
"""Interference has no discharges: its peaks, 130 to 190 a second, vary by 0.25 at least (but one in 1000)."""
SINE_CREST = 2.3
"""Largest over rms: 1.4 of a sine, above 2.5 of potentials that stand apart."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """`rate_hz` +- `rate_se_hz` (one over the usual interval) and its `variation`: the median of Holt's CV2
    (1996), 0 of clockwork, 1 of chance; None where there are too few intervals."""

    rate_hz: float | None
    rate_se_hz: float | None
    variation: float | None
    train: Train


def sign_of(index: Indices, value: Floats, bin_rows: int) -> float:
    """The polarity, 1 or -1, in which the potentials are larger."""
    sizes = [
        _typical(index[value * sign > 0], np.abs(value[value * sign > 0]), bin_rows) for sign in (1.0, -1.0)
    ]
    return 1.0 if sizes[0] >= sizes[1] else -1.0


def _typical(index: Indices, size: Floats, bin_rows: int) -> float:
    """The median over bins of the largest in each."""
    if not len(index):
        return 0.0
    bins = (index - index[0]) // bin_rows
    starts = np.flatnonzero(np.concatenate([[True], bins[1:] != bins[:-1]]))
    return float(np.median(np.maximum.reduceat(size, starts)))


def discharges(
    index: Indices, value: Floats, sign: float, rate_hz: float, share: float = OF_TYPICAL
) -> tuple[Indices, float]:
    """Sample indices of the discharges among peaks `value` at ascending `index`, and their typical size."""
    own = value * sign > 0
    index, size = index[own], np.abs(value[own])
    typical = _typical(index, size, max(1, round(BIN_S * rate_hz)))
    large = size >= share * typical
    index, size = index[large], size[large]
    apart = REFRACTORY_S * rate_hz
    if len(index) > 1 and np.any(np.diff(index) < apart):
        index = _apart(index, size, apart)
    return index, typical


def _apart(index: Indices, size: Floats, apart: float) -> Indices:
    """Of peaks nearer than a unit can fire the larger one, from the first on."""
    kept: list[int] = []
    last = 0.0
    for at, large in zip(index.tolist(), size.tolist(), strict=True):
        if kept and at - kept[-1] < apart:
            if large > last:
                kept[-1], last = at, large
        else:
            kept.append(at)
            last = large
    return np.array(kept, dtype=np.int64)


def rhythm(intervals_s: Floats, crest: float) -> Rhythm:
    """What these intervals, in order, make: their rate, regularity and train."""
    n = len(intervals_s)
    if n < LEAST_INTERVALS:
        return Rhythm(None, None, None, "C")
    middle_s = float(np.sort(intervals_s)[n // 2])
    # Their mean is finer than a sample; one that was missed, or two of two units, are no part of it.
    usual = intervals_s[np.abs(intervals_s - middle_s) <= USUAL * middle_s]
    rate_hz = 1.0 / float(np.mean(usual))
    variation = float(np.median(2.0 * np.abs(np.diff(intervals_s)) / (intervals_s[1:] + intervals_s[:-1])))
    se_hz = rate_hz * rate_hz * float(np.std(usual)) / np.sqrt(len(usual))
    train: Train = "C"
    if variation < A_VARIATION and rate_hz >= (A_LEAST_HZ if crest < SINE_CREST else A_SURE_HZ):
        train = "A"
    elif variation < B_VARIATION and rate_hz <= B_MOST_HZ:
        train = "B"
    return Rhythm(rate_hz, float(se_hz), variation, train)
