"""The kernels of `dsp.measure`, as plain loops: sums over null averages and picking. `dsp.kernels_latency`'s
are here as well.

Functions over arrays, output passed in, nothing allocated, `nogil`; no fast-math, so that a replay is
bit-identical: long sums are made in four, side by side, because that is what a processor does at once.
Compiled, or taken from the cache, at import. Numbers only: what is no number has been sorted out before them
by `null_sums`, whose last number it spoils. Slow twins: `dsp.reference_measure`.

`plan` of a peak, in rows: window (first, end), the opposite extreme's (first, end; 0, 0: none), baseline
rows, polarity, and the span of both windows (first, end). A row of `picks` is the columns below.
"""

import numba
from numba import types

from dsp.kernels_latency import (
    AMPLITUDE,
    BASELINE,
    EXTREME,
    HEIGHT,
    NULLS,
    PAIR,
    PLACE,
    ROW,
    beside,
    extremes,
    reach,
    rival,
    settle,
)
from dsp.kernels_types import F1, F2, F3, IN1, IN2, PLACES

SINGLE3 = types.Array(types.float32, 3, "C", readonly=True)
GATHER = types.void(SINGLE3, PLACES, F3)
NULL_SUMS = types.void(IN2, types.int64, IN2, F2, F2, F1, F1, F1)
LOOK = types.void(IN2, IN1, PLACES, F1, F2, F1)
DRAW = types.void(IN2, PLACES, F1, F2, F1)
ALONG = types.void(IN2, IN1, PLACES, IN2, F1, F1)
COLUMNS = 6


@numba.njit(GATHER, cache=True, nogil=True)
def gather(nulls, columns, traces):
    """The `columns` of nulls (pattern, time, derivation) into traces (column, 1 + pattern, time), the first
    of which is left alone."""
    for p in range(nulls.shape[0]):
        for k in range(columns.shape[0]):
            column = columns[k]
            for t in range(nulls.shape[1]):
                traces[k, p + 1, t] = nulls[p, t, column]


@numba.njit(types.float64(IN1), cache=True, nogil=True)
def _total(x):
    """Sum of x (time,)."""
    p = q = r = s = 0.0
    a = b = c = d = 0.0
    whole = x.shape[0] - x.shape[0] % 8
    for t in range(0, whole, 8):
        p += x[t]
        q += x[t + 1]
        r += x[t + 2]
        s += x[t + 3]
        a += x[t + 4]
        b += x[t + 5]
        c += x[t + 6]
        d += x[t + 7]
    for t in range(whole, x.shape[0]):
        p += x[t]
    return ((p + q) + (r + s)) + ((a + b) + (c + d))


@numba.njit(types.float64(IN1, types.float64), cache=True, nogil=True)
def _energy(x, level):
    """Sum of (x - level)^2 of x (time,)."""
    p = q = r = s = 0.0
    whole = x.shape[0] - x.shape[0] % 4
    for t in range(0, whole, 4):
        a, b, c, d = x[t] - level, x[t + 1] - level, x[t + 2] - level, x[t + 3] - level
        p += a * a
        q += b * b
        r += c * c
        s += d * d
    for t in range(whole, x.shape[0]):
        p += (x[t] - level) * (x[t] - level)
    return (p + q) + (r + s)


@numba.njit(types.void(IN2, IN2, F1, F1), cache=True, nogil=True)
def _block_sums(signs, gram, parts, sums):
    """Parts (block,) and sums 0 to 4 of `null_sums`."""
    n = gram.shape[0]
    for b in range(parts.shape[0]):
        parts[b] = 0.0
    for k in range(5):
        sums[k] = 0.0
    for i in range(1, n):
        sums[0] += gram[i, i]
        sums[2] += gram[i, i] * gram[i, i]
        for j in range(1, i + 1):
            product = gram[i, j] if i == j else 2.0 * gram[i, j]
            sums[1] += product * gram[i, j]
            for b in range(parts.shape[0]):
                parts[b] += signs[i, b] * signs[j, b] * product
    for b in range(parts.shape[0]):
        sums[3] += parts[b]
        sums[4] += parts[b] * parts[b]


@numba.njit(PAIR(IN1, IN1, IN1), cache=True, nogil=True)
def _products(x, y, z):
    """Sums of x * y and of x * z, all (time,): two at once, because each waits for its own additions."""
    p = q = r = s = 0.0
    a = b = c = d = 0.0
    whole = x.shape[0] - x.shape[0] % 4
    for t in range(0, whole, 4):
        p += x[t] * y[t]
        q += x[t + 1] * y[t + 1]
        r += x[t + 2] * y[t + 2]
        s += x[t + 3] * y[t + 3]
        a += x[t] * z[t]
        b += x[t + 1] * z[t + 1]
        c += x[t + 2] * z[t + 2]
        d += x[t + 3] * z[t + 3]
    for t in range(whole, x.shape[0]):
        p += x[t] * y[t]
        a += x[t] * z[t]
    return (p + q) + (r + s), (a + b) + (c + d)


@numba.njit(NULL_SUMS, cache=True, nogil=True, error_model="numpy")
def null_sums(traces, every, signs, thin, gram, parts, levels, sums):
    """What the degrees of freedom follow from, and the mean of each of traces (trace, time): levels (trace,).

    `thin` (trace, rows) becomes every so many-th row of traces 1 to 15 without their own means there, gram
    (trace, trace) their products, parts (block,) the energies of the blocks whose `signs` (trace, block) they
    are; what belongs to trace 0 in these is nothing. Sums: trace of the gram matrix, its squares, those of
    its diagonal, the parts, their squares; and magnitudes, of the mean's rows and of the nulls' sums, which
    is no number if any of them is none.
    """
    size = 0.0
    for t in range(traces.shape[1]):
        size += abs(traces[0, t])
    for i in range(traces.shape[0]):
        trace, few = traces[i], thin[i]
        total = _total(trace)
        levels[i] = total / traces.shape[1]
        size += abs(total)
        if every == 1:
            for t in range(few.shape[0]):
                few[t] = trace[t] - levels[i]
        else:
            for t in range(few.shape[0]):
                few[t] = trace[t * every]
            mean = _total(few) / few.shape[0]
            for t in range(few.shape[0]):
                few[t] -= mean
        for j in range(1, i + 1, 2):
            k = min(j + 1, i)
            one, two = _products(few, thin[j], thin[k])
            gram[i, j] = gram[j, i] = one
            gram[i, k] = gram[k, i] = two
    _block_sums(signs, gram, parts, sums)
    sums[5] = size


@numba.njit(PAIR(types.float64, types.float64, types.float64), cache=True, nogil=True, error_model="numpy")
def _vertex(left, here, right):
    """Shift (rows) and height of the parabola through three neighbours."""
    slope = left - right
    curve = left - here - here + right
    shift = 0.5 * slope / curve if curve < 0.0 else 0.0
    shift = min(max(shift, -0.5), 0.5)
    return shift, here - 0.25 * slope * shift


@numba.njit(types.int64(IN1, types.int64, types.int64, types.float64), cache=True, nogil=True)
def _highest(x, first, end, sign):
    """The first row of the largest sign * x, from first to end - 1: of four quarters, side by side."""
    n = (end - first) // 4
    one, two, three, four = x[first:end], x[first + n : end], x[first + 2 * n : end], x[first + 3 * n : end]
    i = j = k = m = 0
    p, q, r, s = sign * one[0], sign * two[0], sign * three[0], sign * four[0]
    for t in range(n):
        a, b, c, d = sign * one[t], sign * two[t], sign * three[t], sign * four[t]
        i, p = (t, a) if a > p else (i, p)
        j, q = (t, b) if b > q else (j, q)
        k, r = (t, c) if c > r else (k, r)
        m, s = (t, d) if d > s else (m, s)
    for t in range(n, four.shape[0]):
        m, s = (t, sign * four[t]) if sign * four[t] > s else (m, s)
    i, p = (n + j, q) if q > p else (i, p)
    k, r = (3 * n + m, s) if s > r else (2 * n + k, r)
    return first + (k if r > p else i)


@numba.njit(types.void(IN1, PLACES, F1), cache=True, nogil=True)
def _pick(up, plan, pick):
    """All but the baseline of one row of `picks`, from `up` (time,), upright and filled over the span."""
    at = _highest(up, plan[0], plan[1], 1.0)
    shift, height = _vertex(up[at - 1], up[at], up[at + 1])
    amplitude = height - pick[BASELINE]
    if plan[3] > 0:
        low = _highest(up, max(plan[2], min(at + 1, plan[3] - 1)), plan[3], -1.0)
        amplitude = height + _vertex(-up[low - 1], -up[low], -up[low + 1])[1]
    pick[PLACE] = at + shift
    pick[ROW] = at
    pick[HEIGHT] = height
    pick[AMPLITUDE] = amplitude
    pick[EXTREME] = 1.0 if up[at] >= up[at - 1] and up[at] >= up[at + 1] else 0.0


@numba.njit(LOOK, cache=True, nogil=True, error_model="numpy")
def look(traces, levels, plan, up, picks, sums):
    """Rows 0 to 15 of `picks`, of the mean and the nulls, which are traces (trace, time); `up` (time,) is
    scratch.

    Sums: over the span, the energy of the mean and of the nulls from their `levels` (trace,); of the nulls
    from zero, over the span and a row on either side; the mean of what is read in the nulls as amplitude, and
    the squares of the differences from it.
    """
    first, end, before = plan[6], plan[7], plan[4]
    sign = float(plan[5])
    sums[0] = _energy(traces[0, first:end], levels[0])
    sums[1] = sums[2] = sums[3] = sums[4] = 0.0
    for i in range(traces.shape[0]):
        trace = traces[i]
        rows, there = trace[first - 1 : end + 1], up[first - 1 : end + 1]
        for t in range(rows.shape[0]):
            there[t] = sign * rows[t]
        picks[i, BASELINE] = 0.0
        if before > 0 and plan[3] == 0:
            picks[i, BASELINE] = sign * (_total(trace[:before]) / before)
        _pick(up, plan, picks[i])
        if i > 0:
            sums[1] += _energy(trace[first:end], levels[i])
            sums[2] += _energy(rows, 0.0)
            sums[3] += picks[i, AMPLITUDE]
    sums[3] /= NULLS
    for i in range(1, traces.shape[0]):
        sums[4] += (picks[i, AMPLITUDE] - sums[3]) ** 2


@numba.njit(DRAW, cache=True, nogil=True)
def draw(traces, plan, up, picks, sums):
    """Rows from 16 on of `picks`: of the mean plus each null, then the mean minus each.

    Rows 0 to 15 are those of `look`. Sums: how many draws have an extreme; squares of the places of all, also
    of those that moved out over the window's edge, from the mean's; of the draws that have an extreme, the
    amplitudes from the mean's, and squares of these.
    """
    sign, first, end = float(plan[5]), plan[6] - 1, plan[7] + 1
    mean, there = traces[0, first:end], up[first:end]
    for k in range(4):
        sums[k] = 0.0
    for i in range(2 * NULLS):
        null = 1 + i % NULLS
        other = sign if i < NULLS else -sign
        pick = picks[1 + NULLS + i]
        rows = traces[null, first:end]
        for t in range(rows.shape[0]):
            there[t] = sign * mean[t] + other * rows[t]
        pick[BASELINE] = picks[0, BASELINE] + sign * other * picks[null, BASELINE]
        _pick(up, plan, pick)
        place = pick[PLACE] - picks[0, PLACE]
        sums[1] += place * place
        if pick[EXTREME] > 0.0:
            amplitude = pick[AMPLITUDE] - picks[0, AMPLITUDE]
            sums[0] += 1.0
            sums[2] += amplitude
            sums[3] += amplitude * amplitude


@numba.njit(ALONG, cache=True, nogil=True)
def along(traces, levels, plan, picks, up, sums):
    """What of the mean goes with its amplitude: `up` (time,) becomes the regression of the nulls on what they
    read between the rows that were picked in the mean, over the span, from `levels`.

    Sums: its product with the mean, and its energy; both 0 if the nulls read nothing there.
    """
    first, end, sign = plan[6], plan[7], float(plan[5])
    mean, there = traces[0, first:end], up[first:end]
    at = low = int(picks[0, ROW])
    if plan[3] > 0:
        low = _highest(traces[0], max(plan[2], min(at + 1, plan[3] - 1)), plan[3], -sign)
    for t in range(there.shape[0]):
        there[t] = 0.0
    total = sums[0] = sums[1] = 0.0
    for i in range(1, 1 + NULLS):
        read = sign * traces[i, at] - (sign * traces[i, low] if plan[3] > 0 else picks[i, BASELINE])
        total += read * read
        rows = traces[i, first:end]
        for t in range(rows.shape[0]):
            there[t] += read * (rows[t] - levels[i])
    if total > 0.0:
        for t in range(there.shape[0]):
            there[t] /= total
            sums[0] += there[t] * (mean[t] - levels[0])
            sums[1] += there[t] * there[t]


ALL = (along, beside, draw, extremes, gather, look, null_sums, reach, rival, settle)

__all__ = [
    "ALL",
    "AMPLITUDE",
    "BASELINE",
    "COLUMNS",
    "EXTREME",
    "HEIGHT",
    "NULLS",
    "PLACE",
    "ROW",
    "along",
    "beside",
    "draw",
    "extremes",
    "gather",
    "look",
    "null_sums",
    "reach",
    "rival",
    "settle",
]
