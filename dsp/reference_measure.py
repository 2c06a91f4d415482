"""Plain loops that say what `Measurer` computes for one peak: oracle and documentation, not for use.

Presence: energy of the mean over the span against the null averages' (F), amplitude against what the same
picking reads in them (t). Intervals: mean plus and minus each null average (a bootstrap over the 16 blocks,
Efron 1979; Wu 1986 for fixed multipliers), for latencies with the fall beside the peak (geometric mean), for
amplitudes given that they were present.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.intervals import (
    BIAS,
    FALL,
    FAR,
    HIGH_END,
    LOW_END,
    MIDDLE,
    NEAR,
    REACH,
    RISE_ERRORS,
    SLOW,
    SLOWEST,
    TOP_SDS,
    TOP_SHARE,
    WIDE,
    Knots,
)
from dsp.nouns import Peak
from dsp.presence import GRAM_ROWS, T_PRESENT, Z_95, Z_PRESENT
from dsp.reference_latency import apex, beside, extent, extremes, reach, rival, settle, vertex

__all__ = ["beside", "extremes", "reach", "rival", "settle"]

Trace = Sequence[float]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def rows_of(span_ms: tuple[float, float], n: int, t0_ms: float, dt_ms: float) -> list[int]:
    """Rows within the span, never the trace's first or last."""
    return [k for k in range(1, n - 1) if span_ms[0] - 1e-9 <= t0_ms + k * dt_ms <= span_ms[1] + 1e-9]


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


def span_of(peak: Peak, n: int, t0_ms: float, dt_ms: float) -> range:
    """Rows of both windows and between them."""
    rows = rows_of(peak.window_ms, n, t0_ms, dt_ms)
    rows += rows_of(peak.to_ms, n, t0_ms, dt_ms) if peak.to_ms else []
    return range(min(rows), max(rows) + 1)


def wider(span: range) -> range:
    """And a row on either side."""
    return range(span.start - 1, span.stop + 1)


def limits(
    mean: Trace, nulls: Sequence[Trace], peak: Peak, t0_ms: float, dt_ms: float
) -> tuple[float, float, float]:
    """What must be exceeded: by the amplitude, or by the energy over the span, around the mean of all, and
    by the amplitude with it."""
    drawn = [pick(null, peak, t0_ms, dt_ms)[2] for null in nulls]
    centre = sum(drawn) / len(drawn)
    spread = math.sqrt(sum((d - centre) ** 2 for d in drawn) / (len(drawn) - 1) * (1 + 1 / len(drawn)))
    span = span_of(peak, len(mean), t0_ms, dt_ms)
    n1 = max(1.0, freedoms(nulls)[0] * len(span) / len(mean))
    level = sum(sum(x * x for x in centred(null, span)) for null in nulls) / len(nulls)
    return centre + T_PRESENT * spread, level * f_limit(n1, n1 * len(nulls)), centre


def picked_rows(mean: Trace, peak: Peak, t0_ms: float, dt_ms: float) -> tuple[int, list[int]]:
    """The row of the peak, and those that its amplitude is read from."""
    up = [peak.polarity * x for x in mean]
    at = max(rows_of(peak.window_ms, len(up), t0_ms, dt_ms), key=lambda r: (up[r], -r))
    if peak.to_ms is None:
        before = math.floor(-t0_ms / dt_ms)
        return at, list(range(before)) if before > 3 else []
    to = rows_of(peak.to_ms, len(up), t0_ms, dt_ms)
    return at, [min([r for r in to if r > at] or [to[-1]], key=lambda r: (up[r], r))]


def centred(trace: Trace, span: range) -> list[float]:
    """The span's rows, less the mean of all rows."""
    level = sum(trace) / len(trace)
    return [trace[r] - level for r in span]


def present(mean: Trace, nulls: Sequence[Trace], peak: Peak, t0_ms: float, dt_ms: float) -> bool:
    """Amplitude or energy beyond what noise alone explains, at an extreme."""
    _, _, amplitude, extreme = pick(mean, peak, t0_ms, dt_ms)
    least_uv, least_energy, with_it_uv = limits(mean, nulls, peak, t0_ms, dt_ms)
    energy = sum(x * x for x in centred(mean, span_of(peak, len(mean), t0_ms, dt_ms)))
    return extreme and (amplitude > least_uv or (energy > least_energy and amplitude > with_it_uv))


def beyond(mean: Trace, nulls: Sequence[Trace], peak: Peak, t0_ms: float, dt_ms: float) -> float:
    """How much smaller the amplitude of a present peak could be, and it still be present.

    By the t test as it stands. By the F test along v, the regression of the nulls on what they read between
    the rows that were picked in the mean: the smallest s > 0 at which the energy of x - s v is the least that
    is present, if there is one, and no further than the amplitude allows with it.
    """
    amplitude = pick(mean, peak, t0_ms, dt_ms)[2]
    least_uv, least_energy, with_it_uv = limits(mean, nulls, peak, t0_ms, dt_ms)
    span = span_of(peak, len(mean), t0_ms, dt_ms)
    x = centred(mean, span)
    over = sum(a * a for a in x) - least_energy
    if over <= 0.0:
        return amplitude - least_uv
    at, foot = picked_rows(mean, peak, t0_ms, dt_ms)
    read = [null[at] - sum(null[r] for r in foot) / max(len(foot), 1) for null in nulls]
    steps = [peak.polarity * x for x in read]
    rows = zip(*[centred(null, span) for null in nulls], strict=True)
    total = sum(step * step for step in steps) or 1.0
    v = [sum(step * a for step, a in zip(steps, row, strict=True)) / total for row in rows]
    common, size = sum(a * b for a, b in zip(x, v, strict=True)), sum(b * b for b in v)
    root = common * common - size * over
    by_energy = (common - math.sqrt(root)) / size if common > 0.0 and root >= 0.0 else math.inf
    return max(amplitude - least_uv, min(by_energy, amplitude - with_it_uv))


def line(x: float, knots: Knots) -> float:
    """Straight lines through the knots, level outside."""
    xs, ys = knots
    value: np.float64 = np.interp(x, xs, ys)
    return float(value)


def settled(trace: Trace, peak: Peak, t0_ms: float, dt_ms: float, drop: float) -> float:
    """Place of the peak: of its top's cubic, or of the parabola; of what is no extreme, as picked."""
    place, height, _, extreme = pick(trace, peak, t0_ms, dt_ms)
    up = [peak.polarity * x for x in trace]
    window = rows_of(peak.window_ms, len(up), t0_ms, dt_ms)
    at = max(window, key=lambda r: (up[r], -r))
    found = apex(up, window[0] - 1, window[-1] + 1, at, height, drop) if extreme else None
    return place if found is None else found


def interval(
    mean: Trace, nulls: Sequence[Trace], peak: Peak, t0_ms: float, dt_ms: float, quantile: float
) -> tuple[float, float, float, float, float, float]:
    """Latency, its two ends, amplitude, its two ends; `quantile` of the t distribution of the blocks."""
    place, height, amplitude, _ = pick(mean, peak, t0_ms, dt_ms)
    both = [[m + s * x for m, x in zip(mean, null, strict=True)] for s in (1.0, -1.0) for null in nulls]
    every = [pick(trace, peak, t0_ms, dt_ms) for trace in both]
    drawn = [p for p in every if p[3]]
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
    around = [null[r] for null in nulls for r in wider(span_of(peak, len(mean), t0_ms, dt_ms))]
    slowness = math.sqrt(sum(x * x for x in around) / len(around)) * rms[1] / rms[0] ** 2
    share = line(math.log(max(ripples, 1e-9)), ((math.log(WIDE[0]), math.log(WIDE[1])), (0.0, 1.0)))
    slow = (min(max(slowness, SLOW), SLOWEST) / SLOW) ** share
    allowed = line(ripples, FALL)
    drop = min(TOP_SDS * math.sqrt(sum(x * x for x in around) / len(around)), TOP_SHARE * amplitude)
    top = settled(mean, peak, t0_ms, dt_ms, drop)
    tops = [settled(trace, peak, t0_ms, dt_ms, drop) for trace in both]
    half = quantile * math.sqrt(sum((p - top) ** 2 for p in tops) / len(tops))
    first = top - math.sqrt(half * max(top - place + slow * extent(left, allowed), 0.0))
    last = top + math.sqrt(half * max(place - top + slow * extent(right, allowed), 0.0))
    corrected = amplitude - line(ripples, BIAS) * rise
    below, above = (quantile * math.hypot(spread, share * rise) / Z_95 for share in RISE_ERRORS)
    more = beyond(mean, nulls, peak, t0_ms, dt_ms)
    low, told, high = corrected - Z_95 * below, corrected, corrected + Z_95 * above
    if more < FAR * max(below, above) and spread > 0.0:
        ends = [line(max(more / sd, NEAR), knots) * sd for sd, knots in given(spread, below, above)]
        low = min(low, max(corrected - ends[0], 0.0))
        told = max(corrected - ends[1], low)
        high = max(corrected - ends[2], told)
    ms = [t0_ms + dt_ms * x for x in (top, first, last)]
    return ms[0], ms[1], ms[2], told, low, high


def given(spread: float, below: float, above: float) -> tuple[tuple[float, Knots], ...]:
    """Standard deviation, and what is taken off in units of it: lower end, amplitude, upper end."""
    return (below, LOW_END), (spread, MIDDLE), (above, HIGH_END)


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
    """Picks of mean + each null, then of mean - each; places of all, amplitudes of those with an extreme."""
    both = [traces[0] + s * null for s in (1.0, -1.0) for null in traces[1:]]
    for trace, pick in zip(both, picks[len(traces) :], strict=True):
        _picked(trace, plan, pick)
    told = [p[3] - picks[0, 3] for p in picks[len(traces) :] if p[4]]
    sums[:2] = len(told), sum((p[0] - picks[0, 0]) ** 2 for p in picks[len(traces) :])
    sums[2:4] = sum(told), sum(y * y for y in told)


def along(traces: Floats, levels: Floats, plan: Rows, picks: Floats, up: Floats, sums: Floats) -> None:
    """Regression of the nulls on what they read where the mean was picked; with the mean, with itself."""
    first, end, low, last, _, sign = (int(x) for x in (*plan[6:8], *plan[2:6]))
    at = int(picks[0, 1])
    behind = [r for r in range(low, last) if r > at] or [last - 1]
    foot = min(behind, key=lambda r: (sign * traces[0, r], r))
    read = sign * traces[1:, at] - (sign * traces[1:, foot] if last else picks[1 : len(traces), 5])
    span = traces[:, first:end] - levels[:, None]
    up[first:end] = np.sum(read[:, None] * span[1:], axis=0) / (float(np.sum(read**2)) or 1.0)
    sums[0], sums[1] = np.sum(up[first:end] * span[0]), np.sum(up[first:end] ** 2)
