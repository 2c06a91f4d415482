"""The kernel of `dsp.mode_sums`: one sweep into the sums that tell an average and its noise.

Plain loops over arrays, state passed in, nothing allocated, `nogil`; no fast-math. Slow twin:
`dsp.reference_average.running_sums`.

The state lies derivation by derivation, so that the inner loops run along time: `rows` (derivation, row, time
and one more), `span` (derivation, row, time of the span) and `sums` (derivation, column), with the places
below. The one more in time is the sweep's own mean over the span.
"""

import math

import numba
from numba import types

from dsp.kernels_types import F1, F2, F3, IN1, IN2
from dsp.limits import SUB_AVERAGES

NEIGHBOURS = 4
"""Pairs back with which each pair of sweeps is compared for the degrees of freedom."""
CENTRE, SCATTER, SWEEP, ROWS = SUB_AVERAGES, SUB_AVERAGES + 1, SUB_AVERAGES + 2, SUB_AVERAGES + 3
"""Rows: the means of the sub-averages, Welford's centre and scatter, and the sweep itself (scratch)."""
HELD, PAIRS, DIFFERENCE, SPAN_ROWS = 0, 1, 1 + NEIGHBOURS, 2 + NEIGHBOURS
"""Rows of the span: the first sweep of a pair, the last pairs' differences (a ring), this one's (scratch)."""
SQUARES, HELD_WEIGHT, ENERGY, COLUMNS = SUB_AVERAGES, SUB_AVERAGES + 1, SUB_AVERAGES + 2, SUB_AVERAGES + 6
"""Columns: the weights of the sub-averages, sum w^2, weight of the sweep that is held; of pair energies q:
sum q, sum q^2; of pairs of pairs a and b: sums of |a|^2 |b|^2 and (a.b)^2."""

COUNT = types.Array(types.int64, 1, "C")


@numba.njit(types.float64(F1, F1), cache=True, nogil=True)
def _product(x, y):
    """Sum of x * y, both (time,): four sums side by side, which is what a processor does at once."""
    p = q = r = s = 0.0
    whole = x.shape[0] - x.shape[0] % 4
    for t in range(0, whole, 4):
        p += x[t] * y[t]
        q += x[t + 1] * y[t + 1]
        r += x[t + 2] * y[t + 2]
        s += x[t + 3] * y[t + 3]
    for t in range(whole, x.shape[0]):
        p += x[t] * y[t]
    return (p + q) + (r + s)


@numba.njit(types.void(F1, F2, F2, types.float64), cache=True, nogil=True)
def _forget(sums, rows, span, keep):
    """All sums of one derivation shrink to what `keep` of their weights leaves."""
    twice = keep * keep
    for k in range(SUB_AVERAGES):
        sums[k] *= keep
    sums[SQUARES] *= twice
    sums[HELD_WEIGHT] *= keep
    sums[ENERGY] *= twice
    sums[ENERGY + 1] *= twice * twice
    sums[ENERGY + 2] *= twice
    sums[ENERGY + 3] *= twice
    scatter = rows[SCATTER]
    for t in range(scatter.shape[0]):
        scatter[t] *= twice
    root = math.sqrt(keep)
    for k in range(PAIRS, PAIRS + NEIGHBOURS):
        pair = span[k]
        for t in range(pair.shape[0]):
            pair[t] *= root


@numba.njit(types.void(F1, F2, types.float64, types.int64), cache=True, nogil=True, error_model="numpy")
def _fold(sums, rows, weight, turn):
    """West 1979: the sub-average whose `turn` it is with the weight, the scatter with its square."""
    sweep, mean, centre, scatter = rows[SWEEP], rows[turn], rows[CENTRE], rows[SCATTER]
    sums[turn] += weight
    share = weight / sums[turn]
    square = weight * weight
    sums[SQUARES] += square
    part = square / sums[SQUARES]
    for t in range(sweep.shape[0]):
        x = sweep[t]
        mean[t] += share * (x - mean[t])
        away = x - centre[t]
        here = centre[t] + part * away
        scatter[t] += square * away * (x - here)
        centre[t] = here


@numba.njit(types.void(F1, F2, types.float64, types.int64), cache=True, nogil=True, error_model="numpy")
def _pair(sums, span, own, slot):
    """The scaled difference of two sweeps, less what is held of the first, into the ring's `slot`."""
    other = sums[HELD_WEIGHT]
    scale = math.sqrt(own * other / (own + other))
    held, difference = span[HELD], span[DIFFERENCE]
    for t in range(difference.shape[0]):
        difference[t] = (difference[t] - held[t]) * scale
    power = _product(difference, difference)
    # The pair's part in the noise of the mean, sum of w^2 variance: its energy without that scaling.
    part = power * (own * own + other * other) * (own + other) / (own * other)
    sums[ENERGY] += part
    sums[ENERGY + 1] += part * part
    for k in range(PAIRS, PAIRS + NEIGHBOURS):
        earlier = span[k]
        sums[ENERGY + 2] += power * _product(earlier, earlier)
        sums[ENERGY + 3] += _product(difference, earlier) ** 2
    latest = span[PAIRS + slot]
    for t in range(latest.shape[0]):
        latest[t] = difference[t]


@numba.njit(
    types.void(IN2, IN1, types.int64, types.float64, F3, F3, F2, COUNT),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def running_sums(uv, weights, first, keep, rows, span, sums, added):
    """Fold uv (time, derivation), finite, with `weights` (derivation,) into the sums; the span begins at row
    `first`. What was there is multiplied by `keep` (1: for ever). Derivations whose weight is not above 0
    stay as they are; `added` (derivation,) counts the sweeps of the others.
    """
    length = span.shape[2]
    for d in range(weights.shape[0]):
        weight = weights[d]
        if not weight > 0.0:
            continue
        sweep, here = rows[d, SWEEP], span[d, DIFFERENCE]
        for t in range(uv.shape[0]):
            sweep[t] = uv[t, d]
        total = 0.0
        for t in range(first, first + length):
            total += sweep[t]
        mean = total / length
        sweep[uv.shape[0]] = mean
        if keep < 1.0:
            _forget(sums[d], rows[d], span[d], keep)
        _fold(sums[d], rows[d], weight, added[d] % SUB_AVERAGES)
        for t in range(length):
            here[t] = sweep[first + t] - mean
        if added[d] % 2 == 0:
            for t in range(length):
                span[d, HELD, t] = here[t]
            sums[d, HELD_WEIGHT] = weight
        else:
            _pair(sums[d], span[d], weight, (added[d] // 2) % NEIGHBOURS)
        added[d] += 1
