"""Intervals of a peak that is present: latency and amplitude at 95 %, from the noise the mean still carries.

The mean plus and minus each null average is a bootstrap over the 16 interleaved blocks, multipliers fixed.
It alone is too narrow where the noise shapes the peak's top and too wide where noise on top of noise jumps
from peak to peak; how far the mean falls beside its peak against the noise there errs the other way. The
interval of a latency is the geometric mean of the two, on each side.
"""

import math
from bisect import bisect_right

from dsp import kernels_measure as kernels
from dsp.presence import PATTERNS, Z_95, Look, Noise, Scratch, t_quantile

Found = tuple[float, tuple[float, float], float, float]
"""Place (rows), its interval, amplitude and half its interval."""
REACH = 1.5
# Calibrated once by simulation, on shapes and noise like those of tests/evoked/coverage.py: how many standard
# deviations of the noise between two places
# the mean may fall and still hold the peak; and how much of the bias that noise on top of noise adds the
# noise itself had added (1: grows with its power; 2.4: with its amplitude). Both against the width that
# REACH gives, in ripples of the noise (rms slope / rms curvature).
FALL = ((0.0, 0.4, 2.4, 8.0, 40.0), (1.0, 1.0, 1.35, 1.35, 1.05))
BIAS = ((0.0, 2.0, 8.0, 30.0), (1.0, 1.4, 1.9, 2.3))
RISE_ERROR = 1.15


def intervals(seen: Look, noise: Noise, scratch: Scratch) -> Found | None:
    """Place and amplitude with intervals; None when the noise leaves no extreme in half of the draws."""
    traces, plan, picks = noise.traces, seen.where.plan, seen.picks
    kernels.draw(traces, plan, scratch.up, picks, scratch.sums)
    n, places, rises, squares = scratch.sums.tolist()[:4]
    if n < PATTERNS:
        return None
    place, amplitude = float(picks[0, kernels.PLACE]), float(picks[0, kernels.AMPLITUDE])
    quantile = t_quantile(noise.blocks)
    half = quantile * math.sqrt(places / n)
    if half <= 0.0 or seen.rms_uv <= 0.0:
        return place, (place, place), amplitude, 0.0
    left, right, ripples = _reach(seen, noise, quantile, scratch)
    interval = place - math.sqrt(half * left), place + math.sqrt(half * right)
    rise = rises / n
    spread = math.sqrt(max(squares / n - rise * rise, 0.0))
    bias = _between(ripples, BIAS) * rise
    # The correction is about as uncertain as what was read for it.
    wide = quantile * math.hypot(spread, RISE_ERROR * rise)
    return place, interval, amplitude - bias, wide


def _reach(seen: Look, noise: Noise, quantile: float, scratch: Scratch) -> tuple[float, float, float]:
    """How far left and right (rows) the peak can be without the mean saying otherwise; that in ripples.

    A place is possible while the mean there is below its peak by less than the noise between them explains.
    """
    plan, pick, fall, sums = seen.where.plan, seen.picks[0], scratch.up, scratch.sums
    kernels.beside(noise.traces, plan, pick, quantile / Z_95, fall, sums)
    slopes, curves = sums.tolist()[:2]
    rows = seen.where.window[1] - seen.where.window[0]
    bent = curves / (PATTERNS * rows)
    ripple = math.sqrt(slopes / (PATTERNS * (rows + 1)) / bent) if bent > 0.0 else 1.0
    kernels.reach(fall, plan, pick, REACH, sums)
    ripples = float(sums[0] + sums[1]) / ripple
    kernels.reach(fall, plan, pick, _between(ripples, FALL), sums)
    return float(sums[0]), float(sums[1]), ripples


def _between(value: float, knots: tuple[tuple[float, ...], tuple[float, ...]]) -> float:
    """Straight lines through the knots, level outside of them."""
    xs, ys = knots
    k = bisect_right(xs, value)
    if k == 0:
        return ys[0]
    if k == len(xs):
        return ys[-1]
    return ys[k - 1] + (ys[k] - ys[k - 1]) / (xs[k] - xs[k - 1]) * (value - xs[k - 1])
