"""Plain loops that say what the kernels of latencies compute: oracle and documentation, not for use.

`dsp.reference_measure` has all of a peak, and these names too.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.kernels_latency import LEAST_TOP

Trace = Sequence[float]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def vertex(trace: Trace, k: int) -> tuple[float, float]:
    """Row and height of the parabola through k and its neighbours: k + (a - c) / (2 (a - 2 b + c))."""
    a, b, c = trace[k - 1], trace[k], trace[k + 1]
    shift = 0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c < 0.0 else 0.0
    shift = min(max(shift, -0.5), 0.5)
    return k + shift, b - 0.25 * (a - c) * shift


def extent(falls: list[tuple[float, float]], allowed: float) -> float:
    """Of (distance, fall) going away from the peak: where the fall passes `allowed` for the last time."""
    told = [(0.0, 0.0), *falls]
    inside = max(i for i, (_, fall) in enumerate(told) if fall <= allowed)
    if inside == len(told) - 1:
        return told[-1][0]
    (d0, f0), (d1, f1) = told[inside], told[inside + 1]
    return d0 + (d1 - d0) * (allowed - f0) / (f1 - f0)


def apex(up: Trace, first: int, last: int, at: int, height: float, drop: float) -> float | None:
    """Where the cubic through the top is highest: rows first to last around `at`, less than `drop` below
    `height` and not above it. None: too few rows, or no highest point within them."""
    top = [at]
    for step in (-1, 1):
        row = at + step
        while first <= row <= last and height - drop <= up[row] <= height:
            top.append(row)
            row += step
    left, half = min(top), 0.5 * (max(top) - min(top))
    if half < LEAST_TOP:
        return None
    there = np.array(up[left : max(top) + 1])
    u = np.arange(len(there)) / half - 1.0
    _, p1, p2, p3 = np.polynomial.polynomial.polyfit(u, there, 3)
    bent = p2 * p2 - 3.0 * p1 * p3
    if not (bent > 0.0 and math.sqrt(bent) > p2 and abs(p1) <= math.sqrt(bent) - p2):
        return None
    return float(left + half + half * p1 / (math.sqrt(bent) - p2))


# Twins of `dsp.kernels_latency`: same names and arguments, plan and columns as there; filled in place.


def rival(trace: Floats, plan: Rows, row: int, sums: Floats) -> None:
    """Prominence of the extreme at `row`; the largest later value over an earlier one, going away from it."""
    up = [float(plan[5] * x) for x in trace]
    sides = up[plan[0] - 1 : row + 1][::-1], up[row : plan[1] + 1]
    sums[0] = up[row] - max(min(side) for side in sides)
    sums[1] = max(b - a for side in sides for k, a in enumerate(side) for b in side[k:])


def extremes(trace: Floats, plan: Rows, prominences: Floats) -> None:
    """Prominence of each local extreme: over the higher of the lowest points on its two sides."""
    first, end = int(plan[0]) - 1, int(plan[1]) + 1
    up = [float(plan[5] * x) for x in trace[first:end]]
    prominences[first:end] = -1.0
    for k in range(1, len(up) - 1):
        if up[k] >= up[k - 1] and up[k] > up[k + 1]:
            sides = up[k::-1], up[k:]
            ends = [next((i for i, x in enumerate(side) if x > up[k]), len(side)) for side in sides]
            prominences[first + k] = up[k] - max(min(s[:n]) for s, n in zip(sides, ends, strict=True))


def beside(
    traces: Floats, plan: Rows, pick: Floats, scale: float, allowed: float, fall: Floats, sums: Floats
) -> None:
    """Fall of the mean from its height over the noise between there and here; roughness of nulls; reach."""
    rows = range(int(plan[0]) - 1, int(plan[1]) + 1)
    k = math.floor(pick[0])

    def between(trace: Floats) -> float:
        return float(trace[k] + (pick[0] - k) * (trace[k + 1] - trace[k]))

    for r in rows:
        noise = math.sqrt(sum((null[r] - between(null)) ** 2 for null in traces[1:]) / (len(traces) - 1))
        fall[r] = (pick[2] - plan[5] * traces[0, r]) / max(noise * scale, 1e-300)
    sums[0] = sum((t[r + 1] - t[r]) ** 2 for t in traces[1:] for r in rows[:-1])
    sums[1] = sum((t[r + 1] - 2 * t[r] + t[r - 1]) ** 2 for t in traces[1:] for r in rows[1:-1])
    reach(fall, plan, pick, allowed, sums[2:4])


def reach(fall: Floats, plan: Rows, pick: Floats, allowed: float, sides: Floats) -> None:
    """`extent` to the left and to the right of the picked place."""
    place, rows = float(pick[0]), range(int(plan[0]) - 1, int(plan[1]) + 1)
    sides[0] = extent([(place - r, float(fall[r])) for r in reversed(rows) if r < place], allowed)
    sides[1] = extent([(r - place, float(fall[r])) for r in rows if r > place], allowed)


def settle(traces: Floats, plan: Rows, drop: float, picks: Floats, up: Floats, sums: Floats) -> None:
    """Places of the mean's pick and of the draws' by `apex`; squares of the draws' from the mean's."""
    first, last, sign = int(plan[0]) - 1, int(plan[1]), int(plan[5])
    both = [traces[0], *(traces[0] + s * null for s in (1.0, -1.0) for null in traces[1:])]
    rows = [picks[0], *picks[len(traces) :]]
    for trace, row in zip(both, rows, strict=True):
        upright = [sign * float(x) for x in trace]
        if row[4] or row is rows[0]:
            found = apex(upright, first, last, int(row[1]), float(row[2]), drop)
            row[0] = row[0] if found is None else found
    sums[0] = sum((row[0] - picks[0, 0]) ** 2 for row in rows[1:])
