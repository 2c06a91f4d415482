"""The kernel of `dsp.mains_meter`: one window's fit of mains, with what no mains explains left out of it.

Plain loops over arrays, output and scratch passed in, nothing allocated, `nogil`; no fast-math. Slow twin:
`dsp.reference_kernels.fit_window`. Its parts are compiled within it: the whole is loaded at once.
"""

import numba
from numba import types

from dsp.kernels_types import F1, F2, IN1, IN2

ROUNDS = 4
OUTLIER, MOST_LEFT_OUT, BEFORE, AFTER = range(4)
"""Places of the settings: how many times the median magnitude is an outlier's; which share is too much to
leave out; how many samples before an outlier are left out with it, and how many behind it."""
SIGNAL, REST, KEPT, NEXT, SCRATCH, ROOM = range(6)
"""Rows of the room: the samples, what the fit leaves, weights of what is kept, now and in the next round."""


@numba.njit
def _median(x):
    """Of x (time,), whose order is lost: Hoare's selection (1961), parted without branches. What equals the
    pivot goes to either side in turn; what is no number ends it all the same."""
    n = x.shape[0]
    at, low, high = n // 2, 0, n - 1
    while low < high:
        middle = (low + high) // 2
        pivot, x[middle] = x[middle], x[high]
        i = low
        for j in range(low, high):
            value = x[j]
            x[j] = x[i]
            x[i] = value
            i += (value < pivot) | ((value == pivot) & (j & 1))
        x[high], x[i] = x[i], pivot
        if i >= at:
            high = i - (i > at)
        if i <= at:
            low = i + (i < at)
    if n % 2:
        return x[at]
    below = x[0]
    for t in range(1, at):
        below = max(below, x[t])
    return 0.5 * (below + x[at])


@numba.njit
def _product(x, y):
    """Sum of x * y, both (time,): eight sums side by side, which is what a processor does at once."""
    a = b = c = d = e = f = g = h = 0.0
    whole = x.shape[0] - x.shape[0] % 8
    for t in range(0, whole, 8):
        a += x[t] * y[t]
        b += x[t + 1] * y[t + 1]
        c += x[t + 2] * y[t + 2]
        d += x[t + 3] * y[t + 3]
        e += x[t + 4] * y[t + 4]
        f += x[t + 5] * y[t + 5]
        g += x[t + 6] * y[t + 6]
        h += x[t + 7] * y[t + 7]
    for t in range(whole, x.shape[0]):
        a += x[t] * y[t]
    return ((a + e) + (b + f)) + ((c + g) + (d + h))


@numba.njit
def _keep(rest, weight, settings, kept, scratch):
    """The weights (time,) into `kept`, 0 for outliers of `rest` and what is around: how many that are."""
    n = rest.shape[0]
    before, after = int(settings[BEFORE]), int(settings[AFTER])
    for t in range(n):
        scratch[t] = abs(rest[t])
        kept[t] = weight[t]
    limit = settings[OUTLIER] * _median(scratch)
    left_out = done = 0
    for t in range(n):
        if abs(rest[t]) > limit:
            first, done = max(t - before, done), min(t + after + 1, n)
            kept[first:done] = 0.0
            left_out += done - first
    return left_out


@numba.njit(error_model="numpy")
def _solve(normal, rows, weight, kept, factor, x):
    """x (column,) becomes the solution for the right side x, by Cholesky's factor of `normal` without what is
    not kept; False where that has none."""
    n = normal.shape[0]
    row = factor[n]
    for i in range(n):
        for j in range(i + 1):
            factor[i, j] = normal[i, j]
    for t in range(weight.shape[0]):
        if kept[t] == 0.0:
            for i in range(n):
                row[i] = rows[i, t]
            for i in range(n):
                share, here = weight[t] * row[i], factor[i]
                for j in range(i + 1):
                    here[j] -= share * row[j]
    for i in range(n):
        here = factor[i]
        for j in range(i + 1):
            there = factor[j]
            total = here[j]
            for k in range(j):
                total -= here[k] * there[k]
            if j < i:
                here[j] = total / there[j]
            elif total > 0.0:
                here[i] = total**0.5
            else:
                return False
        for k in range(i):
            x[i] -= here[k] * x[k]
        x[i] /= here[i]
    for i in range(n - 1, -1, -1):
        here = factor[i]
        x[i] /= here[i]
        for k in range(i):
            x[k] -= here[k] * x[i]
    return True


@numba.njit(types.boolean(IN2, IN2, IN1, IN2, IN1, F2, F2, F1), cache=True, nogil=True, error_model="numpy")
def fit_window(uv, rows, weight, normal, settings, room, factor, out):
    """Least squares with `weight` (time,) of the means of uv (time, sample): out (row,).

    The first of `rows` (row, time) are the columns of the fit, whose products with one another under the
    weight are `normal` (column, column): their coefficients. The others are held against what the fit leaves.
    Outliers of it are left out, with what is around them; False where that is too much. `room` (ROOM, time)
    and `factor` (column + 1, column) are scratch.
    """
    n, columns = weight.shape[0], normal.shape[0]
    x, rest, kept, scratch = room[SIGNAL], room[REST], room[KEPT], room[SCRATCH]
    for t in range(n):
        total = 0.0
        for k in range(uv.shape[1]):
            total += uv[t, k]
        x[t] = scratch[t] = total / uv.shape[1]
    middle = _median(scratch)
    for t in range(n):
        rest[t] = x[t] - middle
    left_out = _keep(rest, weight, settings, kept, scratch)
    for _ in range(ROUNDS):
        if left_out > settings[MOST_LEFT_OUT] * n:
            return False
        for t in range(n):
            scratch[t] = kept[t] * x[t]
            rest[t] = x[t]
        for c in range(columns):
            out[c] = _product(rows[c], scratch)
        if not _solve(normal, rows, weight, kept, factor, out):
            return False
        for c in range(columns):
            size, row = out[c], rows[c]
            for t in range(n):
                rest[t] -= size * row[t]
        left_out = _keep(rest, weight, settings, room[NEXT], scratch)
        moved = 0
        for t in range(n):
            moved += kept[t] != room[NEXT, t]
            kept[t] = room[NEXT, t]
        if moved == 0:
            break
    for t in range(n):
        scratch[t] = kept[t] * rest[t]
    for c in range(columns, rows.shape[0]):
        out[c] = _product(rows[c], scratch)
    return True
