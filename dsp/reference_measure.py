"""Plain loops that say what `Measurer` computes for one peak: oracle and documentation, not for use.

Presence: energy of the mean over the span against the null averages' (F), amplitude against what the same
picking reads in them (t). Intervals: mean plus and minus each null average (a bootstrap over the 16 blocks,
Efron 1979; Wu 1986 for fixed multipliers), for latencies with the fall beside the peak (geometric mean).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.intervals import BIAS, FALL, REACH, RISE_ERROR
from dsp.nouns import Peak
from dsp.presence import GRAM_ROWS, T_PRESENT, Z_95, Z_PRESENT

Trace = Sequence[float]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def rows_of(span_ms: tuple[float, float], n: int, t0_ms: float, dt_ms: float) -> list[int]:
    """Rows within the span, never the trace's first or last."""
    return [k for k in range(1, n - 1) if span_ms[0] - 1e-9 <= t0_ms + k * dt_ms <= span_ms[1] + 1e-9]


def vertex(trace: Trace, k: int) -> tuple[float, float]:
    """Row and height of the parabola through k and its neighbours: k + (a - c) / (2 (a - 2 b + c))."""
    a, b, c = trace[k - 1], trace[k], trace[k + 1]
    shift = 0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c < 0.0 else 0.0
    shift = min(max(shift, -0.5), 0.5)
    return k + shift, b - 0.25 * (a - c) * shift


def pick(trace: Trace, peak: Peak, t0_ms: float, dt_ms: float) -> tuple[float, float, float, bool]:
    """Row, height and amplitude of the largest value of the window; whether it is an extreme."""
    up = [peak.polarity * x for x in trace]
    window = rows_of(peak.window_ms, len(up), t0_ms, dt_ms)
    k = max(window, key=lambda r: (up[r], -r))
    place, height = vertex(up, k)
    before = math.floor(-t0_ms / dt_ms)
    if peak.to_ms is not None:
        to = rows_of(peak.to_ms, len(up), t0_ms, dt_ms)
        behind = [r for r in to if r > k] or [to[-1]]
        lowest = min(behind, key=lambda r: (up[r], r))
        foot = -vertex([-x for x in up], lowest)[1]
    else:
        foot = sum(up[:before]) / before if before > 3 else 0.0
    return place, height, height - foot, up[k] >= up[k - 1] and up[k] >= up[k + 1]


def freedoms(nulls: Sequence[Trace]) -> tuple[float, float]:
    """Degrees of freedom over the window, (tr C)^2 / tr(C^2), and of the 16 blocks (Satterthwaite 1946).

    On every s-th row, s = ceil(rows / 256), each pattern without its mean. Pattern p gives block b the sign
    (-1)^(bits that p and b share); sum over p of sign x pattern is 16 x the block's own part.
    """
    step = -(-len(nulls[0]) // GRAM_ROWS)
    thin = [trace[::step] for trace in nulls]
    thin = [[x - sum(t) / len(t) for x in t] for t in thin]
    gram = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in thin] for a in thin]
    n = len(gram)
    energy = sum(gram[p][p] for p in range(n)) / n
    products = sum(gram[p][q] ** 2 for p in range(n) for q in range(n) if p != q) / (n * (n - 1))
    window = max(1.0, energy**2 / products)
    parts = []
    for block in range(n + 1):
        sign = [1.0 - 2.0 * (((p + 1) & block).bit_count() % 2) for p in range(n)]
        parts.append(sum(sign[p] * sign[q] * gram[p][q] for p in range(n) for q in range(n)))
    blocks = sum(parts) ** 2 / sum(x * x for x in parts) * (1.0 + 2.0 / window) - 1.0
    return window, min(max(blocks, 3.0), float(n))


def f_limit(n1: float, n2: float) -> float:
    """Value of F at the normal deviate Z_PRESENT (Paulson 1942), by halving."""

    def deviate(f: float) -> float:
        a, b = 2 / (9 * n1), 2 / (9 * n2)
        return ((1.0 - b) * math.cbrt(f) - (1.0 - a)) / math.sqrt(b * math.cbrt(f) ** 2 + a)

    low, high = 1.0, 1e12
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if deviate(middle) < Z_PRESENT else (low, middle)
    return low


def present(mean: Trace, nulls: Sequence[Trace], peak: Peak, t0_ms: float, dt_ms: float) -> bool:
    """Amplitude or energy beyond what noise alone explains, at an extreme."""
    _, _, amplitude, extreme = pick(mean, peak, t0_ms, dt_ms)
    drawn = [pick(null, peak, t0_ms, dt_ms)[2] for null in nulls]
    centre = sum(drawn) / len(drawn)
    spread = math.sqrt(sum((d - centre) ** 2 for d in drawn) / (len(drawn) - 1) * (1 + 1 / len(drawn)))
    rows = rows_of(peak.window_ms, len(mean), t0_ms, dt_ms)
    rows += rows_of(peak.to_ms, len(mean), t0_ms, dt_ms) if peak.to_ms else []
    span = range(min(rows), max(rows) + 1)

    def energy(trace: Trace) -> float:
        level = sum(trace) / len(trace)
        return sum((trace[r] - level) ** 2 for r in span)

    n1 = max(1.0, freedoms(nulls)[0] * len(span) / len(mean))
    ratio = energy(mean) / (sum(energy(null) for null in nulls) / len(nulls))
    return extreme and (amplitude - centre > T_PRESENT * spread or ratio > f_limit(n1, n1 * len(nulls)))


def line(x: float, knots: tuple[tuple[float, ...], tuple[float, ...]]) -> float:
    """Straight lines through the knots, level outside."""
    xs, ys = knots
    for (x0, y0), (x1, y1) in zip(zip(xs, ys, strict=True), list(zip(xs, ys, strict=True))[1:], strict=False):
        if x0 <= x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return ys[0] if x < xs[0] else ys[-1]


def extent(falls: list[tuple[float, float]], allowed: float) -> float:
    """Of (distance, fall) going away from the peak: where the fall passes `allowed` for the last time."""
    told = [(0.0, 0.0), *falls]
    inside = max(i for i, (_, fall) in enumerate(told) if fall <= allowed)
    if inside == len(told) - 1:
        return told[-1][0]
    (d0, f0), (d1, f1) = told[inside], told[inside + 1]
    return d0 + (d1 - d0) * (allowed - f0) / (f1 - f0)


def interval(
    mean: Trace, nulls: Sequence[Trace], peak: Peak, t0_ms: float, dt_ms: float, quantile: float
) -> tuple[float, float, float, float, float, float]:
    """Latency, its two ends, amplitude, its two ends; `quantile` of the t distribution of the blocks."""
    place, height, amplitude, _ = pick(mean, peak, t0_ms, dt_ms)
    both = [[m + s * x for m, x in zip(mean, null, strict=True)] for s in (1.0, -1.0) for null in nulls]
    drawn = [p for p in (pick(trace, peak, t0_ms, dt_ms) for trace in both) if p[3]]
    half = quantile * math.sqrt(sum((p[0] - place) ** 2 for p in drawn) / len(drawn))
    rise = sum(p[2] - amplitude for p in drawn) / len(drawn)
    spread = math.sqrt(sum((p[2] - amplitude - rise) ** 2 for p in drawn) / len(drawn))
    window = rows_of(peak.window_ms, len(mean), t0_ms, dt_ms)
    rows = [window[0] - 1, *window, window[-1] + 1]

    def between(trace: Trace) -> float:
        k = int(place)
        return trace[k] + (place - k) * (trace[k + 1] - trace[k])

    fall = {}
    for r in rows:
        noise = math.sqrt(sum((null[r] - between(null)) ** 2 for null in nulls) / len(nulls))
        fall[r] = (height - peak.polarity * mean[r]) / (noise * quantile / Z_95)
    left = [(place - r, fall[r]) for r in reversed(rows) if r < place]
    right = [(r - place, fall[r]) for r in rows if r > place]
    slopes = [null[r + 1] - null[r] for null in nulls for r in rows[:-1]]
    curves = [null[r + 1] - 2 * null[r] + null[r - 1] for null in nulls for r in rows[1:-1]]
    rms = [math.sqrt(sum(x * x for x in xs) / len(xs)) for xs in (slopes, curves)]
    ripples = (extent(left, REACH) + extent(right, REACH)) / (rms[0] / rms[1])
    allowed = line(ripples, FALL)
    first = place - math.sqrt(half * extent(left, allowed))
    last = place + math.sqrt(half * extent(right, allowed))
    corrected, wide = amplitude - line(ripples, BIAS) * rise, quantile * math.hypot(spread, RISE_ERROR * rise)
    ms = [t0_ms + dt_ms * x for x in (place, first, last)]
    return ms[0], ms[1], ms[2], corrected, corrected - wide, corrected + wide


# Twins of `dsp.kernels_measure`: same names and arguments, plan and columns as there; filled in place.


def gather(nulls: Floats, columns: Rows, traces: Floats) -> None:
    """traces[k, 1 + pattern, time] = nulls[pattern, time, columns[k]]."""
    for k, column in enumerate(columns):
        traces[k, 1:] = nulls[:, :, column]


def null_sums(
    traces: Floats,
    every: int,
    signs: Floats,
    thin: Floats,
    gram: Floats,
    parts: Floats,
    levels: Floats,
    sums: Floats,
) -> None:
    """Gram matrix of the thinned nulls, energies s' G s of the blocks, means of all traces, sums of these."""
    levels[:] = [math.fsum(trace) / len(trace) for trace in traces]
    for i, trace in enumerate(traces):
        few = [float(x) for x in trace[::every]]
        thin[i] = [x - math.fsum(few) / len(few) for x in few]
    nulls = range(1, len(traces))
    for i in nulls:
        for j in nulls:
            gram[i, j] = math.fsum(x * y for x, y in zip(thin[i], thin[j], strict=True))
    for b in range(len(parts)):
        parts[b] = math.fsum(signs[i, b] * signs[j, b] * gram[i, j] for i in nulls for j in nulls)
    sums[0] = sum(gram[i, i] for i in nulls)
    sums[1] = sum(gram[i, j] ** 2 for i in nulls for j in nulls)
    sums[2] = sum(gram[i, i] ** 2 for i in nulls)
    sums[3], sums[4] = sum(parts), sum(x * x for x in parts)
    sums[5] = sum(abs(x) for x in traces[0]) + sum(abs(x) * traces.shape[1] for x in levels)


def _picked(trace: Floats, plan: Rows, pick: Floats) -> None:
    """One row of `picks`: place, row, height, amplitude, extreme, baseline."""
    first, end, low, last, before, sign = (int(x) for x in plan[:6])
    up = [sign * float(x) for x in trace]
    k = max(range(first, end), key=lambda r: (up[r], -r))
    place, height = vertex(up, k)
    foot = base = sum(up[:before]) / before if before and not last else 0.0
    if last:
        behind = [r for r in range(low, last) if r > k] or [last - 1]
        foot = -vertex([-x for x in up], min(behind, key=lambda r: (up[r], r)))[1]
    pick[:] = place, k, height, height - foot, up[k] >= up[k - 1] and up[k] >= up[k + 1], base


def look(traces: Floats, levels: Floats, plan: Rows, up: Floats, picks: Floats, sums: Floats) -> None:
    """Picks of the mean and the nulls; energies over the span; mean and squares of the nulls' amplitudes."""
    first, end = int(plan[6]), int(plan[7])
    energies = [sum((x - m) ** 2 for x in t[first:end]) for t, m in zip(traces, levels, strict=True)]
    for trace, pick in zip(traces, picks, strict=False):
        _picked(trace, plan, pick)
    read = [float(pick[3]) for pick in picks[1 : len(traces)]]
    centre = sum(read) / len(read)
    around = sum(float(x) ** 2 for t in traces[1:] for x in t[first - 1 : end + 1])
    sums[:5] = energies[0], sum(energies[1:]), around, centre, sum((x - centre) ** 2 for x in read)


def draw(traces: Floats, plan: Rows, up: Floats, picks: Floats, sums: Floats) -> None:
    """Picks of mean + each null, then of mean - each; of those with an extreme what they differ by."""
    both = [traces[0] + s * null for s in (1.0, -1.0) for null in traces[1:]]
    for trace, pick in zip(both, picks[len(traces) :], strict=True):
        _picked(trace, plan, pick)
    told = [(p[0] - picks[0, 0], p[3] - picks[0, 3]) for p in picks[len(traces) :] if p[4]]
    sums[:2] = len(told), sum(x * x for x, _ in told)
    sums[2:4] = sum(y for _, y in told), sum(y * y for _, y in told)


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


def beside(traces: Floats, plan: Rows, pick: Floats, scale: float, fall: Floats, sums: Floats) -> None:
    """Fall of the mean from its height over the noise between there and here; roughness of the nulls."""
    rows = range(int(plan[0]) - 1, int(plan[1]) + 1)
    k = math.floor(pick[0])

    def between(trace: Floats) -> float:
        return float(trace[k] + (pick[0] - k) * (trace[k + 1] - trace[k]))

    for r in rows:
        noise = math.sqrt(sum((null[r] - between(null)) ** 2 for null in traces[1:]) / (len(traces) - 1))
        fall[r] = (pick[2] - plan[5] * traces[0, r]) / max(noise * scale, 1e-300)
    sums[0] = sum((t[r + 1] - t[r]) ** 2 for t in traces[1:] for r in rows[:-1])
    sums[1] = sum((t[r + 1] - 2 * t[r] + t[r - 1]) ** 2 for t in traces[1:] for r in rows[1:-1])


def reach(fall: Floats, plan: Rows, pick: Floats, allowed: float, sides: Floats) -> None:
    """`extent` to the left and to the right of the picked place."""
    place, rows = float(pick[0]), range(int(plan[0]) - 1, int(plan[1]) + 1)
    sides[0] = extent([(place - r, float(fall[r])) for r in reversed(rows) if r < place], allowed)
    sides[1] = extent([(r - place, float(fall[r])) for r in rows if r > place], allowed)
