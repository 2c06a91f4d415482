"""The kernels of latencies, as plain loops: rivals of a peak, its neighbours, and the fall beside it.

As in `dsp.kernels_measure`, which has them all; `plan` of a peak and `pick` are as there.
"""

import numba
from numba import types

from dsp.kernels_types import F1, F2, IN1, IN2, PLACES

RIVAL = types.void(IN1, PLACES, types.int64, F1)
EXTREMES = types.void(IN1, PLACES, F1)
BESIDE = types.void(IN2, PLACES, IN1, types.float64, types.float64, F1, F1)
SETTLE = types.void(IN2, PLACES, types.float64, F2, F1, F1)
REACH = types.void(IN1, PLACES, IN1, types.float64, F1)
NULLS = 15
PAIR = types.UniTuple(types.float64, 2)
PLACE, ROW, HEIGHT, AMPLITUDE, EXTREME, BASELINE = range(6)
LEAST_TOP = 2.5
"""Half the rows, less one, that a top has at least to be drawn through: six."""


@numba.njit(RIVAL, cache=True, nogil=True)
def rival(trace, plan, row, sums):
    """Of the largest value of the window, at `row` of trace (time,): how far it stands out, and the largest
    rise over the lowest point on the way from it, within the window and a row on either side."""
    sign = float(plan[5])
    low_left = low_right = sign * trace[row]
    rise = 0.0
    for t in range(row, plan[0] - 2, -1):
        value = sign * trace[t]
        low_left = min(low_left, value)
        rise = max(rise, value - low_left)
    for t in range(row, plan[1] + 1):
        value = sign * trace[t]
        low_right = min(low_right, value)
        rise = max(rise, value - low_right)
    sums[0] = sign * trace[row] - max(low_left, low_right)
    sums[1] = rise


@numba.njit(EXTREMES, cache=True, nogil=True)
def extremes(trace, plan, prominences):
    """Height of each local extreme of the window of trace (time,) over the higher of the two lowest points on
    the way to something higher, or to the row beside the window; -1 where there is none."""
    sign, first, end = float(plan[5]), plan[0] - 1, plan[1] + 1
    for k in range(first, end):
        prominences[k] = -1.0
    for k in range(first + 1, end - 1):
        top = sign * trace[k]
        if top >= sign * trace[k - 1] and top > sign * trace[k + 1]:
            left = right = top
            t = k - 1
            while t >= first and sign * trace[t] <= top:
                left = min(left, sign * trace[t])
                t -= 1
            t = k + 1
            while t < end and sign * trace[t] <= top:
                right = min(right, sign * trace[t])
                t += 1
            prominences[k] = top - max(left, right)


@numba.njit(PAIR(IN1, types.int64, types.int64), cache=True, nogil=True)
def _roughness(x, first, end):
    """Sums of the squares of first and of second differences of x (time,) over rows first to end - 1."""
    p = q = a = b = 0.0
    last = x[first + 1] - x[first]
    p = last * last
    whole = end - (end - first) % 2
    for t in range(first + 2, whole, 2):
        one = x[t] - x[t - 1]
        two = x[t + 1] - x[t]
        p += one * one
        q += two * two
        a += (one - last) * (one - last)
        b += (two - one) * (two - one)
        last = two
    for t in range(max(whole, first + 2), end):
        one = x[t] - x[t - 1]
        p += one * one
        a += (one - last) * (one - last)
        last = one
    return p + q, a + b


@numba.njit(REACH, cache=True, nogil=True, error_model="numpy")
def reach(fall, plan, pick, allowed, sides):
    """How far to the left and to the right (rows) the fall leaves `allowed` for good, between rows by a
    straight line; at most to the row beside the window. The fall is 0 at the picked place itself."""
    place = pick[PLACE]
    at = int(pick[ROW])
    for side in range(2):
        step = -1 if side == 0 else 1
        edge = plan[0] - 1 if side == 0 else plan[1]
        nearest = at if (place - at) * step < 0.0 else at + step
        t = edge
        while t != nearest - step and not fall[t] <= allowed:
            t -= step
        if t == edge:
            sides[side] = abs(place - edge)
            continue
        inner, distance = (0.0, 0.0) if t == nearest - step else (fall[t], abs(place - t))
        part = (allowed - inner) / (fall[t + step] - inner)
        sides[side] = distance + part * (abs(place - (t + step)) - distance)


@numba.njit(BESIDE, cache=True, nogil=True, error_model="numpy")
def beside(traces, plan, pick, scale, allowed, fall, sums):
    """How far the mean falls below the height of `pick` at each row of the window and one on either side, in
    units of `scale` x rms over the nulls of their difference to the picked place: into fall (time,).

    Sums: squares of first and of second differences of the nulls over these rows; how far it is to where the
    fall leaves `allowed`, as `reach` tells.
    """
    first, end = plan[0] - 1, plan[1] + 1
    at = int(pick[ROW])
    if pick[PLACE] < pick[ROW]:
        at -= 1
    share = pick[PLACE] - at
    for t in range(first, end):
        fall[t] = 0.0
    sums[0] = sums[1] = 0.0
    for i in range(1, traces.shape[0]):
        null = traces[i]
        there = null[at] + share * (null[at + 1] - null[at])
        rows, squares = null[first:end], fall[first:end]
        for t in range(rows.shape[0]):
            squares[t] += (rows[t] - there) * (rows[t] - there)
        slopes, curves = _roughness(null, first, end)
        sums[0] += slopes
        sums[1] += curves
    for t in range(first, end):
        noise = (fall[t] / NULLS) ** 0.5 * scale
        fall[t] = (pick[HEIGHT] - plan[5] * traces[0, t]) / max(noise, 1e-300)
    reach(fall, plan, pick, allowed, sums[2:4])


@numba.njit(types.float64(IN1, PLACES, IN1, types.float64), cache=True, nogil=True, error_model="numpy")
def _apex(up, plan, pick, drop):
    """Where the cubic through the top of a peak is highest: least squares over the rows of the window and one
    on either side around `pick` that are less than `drop` below its height and not above it; the picked
    place itself where that has no highest point within.

    In rows u from their middle the even and the odd powers are each by themselves.
    """
    first, last = plan[0] - 1, plan[1]
    left = right = int(pick[ROW])
    height = pick[HEIGHT]
    low = height - drop
    while left > first and low <= up[left - 1] <= height:
        left -= 1
    while right < last and low <= up[right + 1] <= height:
        right += 1
    half = 0.5 * (right - left)
    if half < LEAST_TOP:
        return pick[PLACE]
    middle = left + half
    n = s2 = s4 = s6 = a0 = a1 = a2 = a3 = 0.0
    for t in range(left, right + 1):
        u = (t - middle) / half
        x, v = up[t] - low, u * u
        n += 1.0
        s2 += v
        s4 += v * v
        s6 += v * v * v
        a0 += x
        a1 += x * u
        a2 += x * v
        a3 += x * u * v
    odd = s2 * s6 - s4 * s4
    p1 = (s6 * a1 - s4 * a3) / odd
    p2 = (n * a2 - s2 * a0) / (n * s4 - s2 * s2)
    p3 = (s2 * a3 - s4 * a1) / odd
    bent = p2 * p2 - 3.0 * p1 * p3
    if not bent > 0.0:
        return pick[PLACE]
    below = bent**0.5 - p2
    if not (below > 0.0 and abs(p1) <= below):
        return pick[PLACE]
    return middle + half * p1 / below


@numba.njit(SETTLE, cache=True, nogil=True, error_model="numpy")
def settle(traces, plan, drop, picks, up, sums):
    """The places of the mean's pick and of all draws' become those of the tops' cubics (`_apex`); draws that
    moved out over the window's edge keep theirs. `up` (time,) is scratch.

    Sums: squares of the places of all draws from the mean's.
    """
    sign, first, end = float(plan[5]), plan[0] - 1, plan[1] + 1
    mean, there = traces[0, first:end], up[first:end]
    for t in range(there.shape[0]):
        there[t] = sign * mean[t]
    picks[0, PLACE] = _apex(up, plan, picks[0], drop)
    sums[0] = 0.0
    for i in range(2 * NULLS):
        pick = picks[1 + NULLS + i]
        rows = traces[1 + i % NULLS, first:end]
        other = sign if i < NULLS else -sign
        if pick[EXTREME] > 0.0:
            for t in range(rows.shape[0]):
                there[t] = sign * mean[t] + other * rows[t]
            pick[PLACE] = _apex(up, plan, pick, drop)
        place = pick[PLACE] - picks[0, PLACE]
        sums[0] += place * place
