"""Intervals of a peak that is present: latency and amplitude at 95 %, from the noise the mean still carries.

A peak's place is that of the cubic through its top, as far down as the noise hides it: the largest value
alone is where the noise happened to be largest. The mean plus and minus each null average is a bootstrap over
the 16 interleaved blocks, multipliers fixed. It alone is too narrow where the noise shapes the peak's top and
too wide where noise on top of noise jumps from peak to peak; how far the mean falls beside its peak against
the noise there errs the other way. The interval of a latency is the geometric mean of the two, on each side.
An amplitude is told given that it was large enough to be present at all: near that limit the noise had to
help (the winner's curse).
"""

import math
from bisect import bisect_right

import numpy as np

from dsp import kernels_measure as kernels
from dsp.presence import NORMAL, PATTERNS, Z_95, Look, Noise, Scratch, margin, t_quantile

Knots = tuple[tuple[float, ...], tuple[float, ...]]
Found = tuple[float, tuple[float, float], float, tuple[float, float]]
"""Place (rows), its interval, amplitude, its interval."""
REACH = 1.5
TOP_SDS, TOP_SHARE = 5.0, 0.5
"""The top, which a peak's place is drawn through, reaches down by so many rms of the noise, and by this share
of the amplitude at most."""
# Calibrated once by simulation, on shapes and noise like those of tests/evoked/coverage.py: how many standard
# deviations of the noise between two places
# the mean may fall and still hold the peak; and how much of the bias that noise on top of noise adds the
# noise itself had added (1: grows with its power; 2.3: with its amplitude). Both against the width that
# REACH gives, in ripples of the noise (rms slope / rms curvature).
FALL: Knots = ((0.0, 0.4, 2.4, 8.0, 40.0), (1.0, 1.0, 1.35, 1.35, 1.05))
BIAS: Knots = ((0.0, 2.0, 8.0, 30.0), (0.0, 0.2, 1.7, 2.3))
SLOW, SLOWEST = 2.0, 4.0
WIDE = 2.0, 16.0
"""Slow noise moves a wide top further than reach and bootstrap say: by the root of its slowness, rms x rms
curvature / rms slope^2 (1: a sine, 1.3: white, 1.9: 1/f, 3.6: 1/f^2), in units of SLOW. From WIDE[1] ripples
on wholly so, up to WIDE[0] not at all."""
RISE_ERRORS = 1.2, 1.35
"""Standard deviations of what is taken off, in units of the rise that it was read from: below, above."""
NEAR, FAR = 0.05, 5.0
"""Standard deviations between the amplitude and the least that were present: taken to be at least, and from
where on presence was certain and tells nothing."""
LEAST = -3.0
"""The smallest amplitude thought possible, in standard deviations from the least that were present."""


def _chance(m: float) -> float:
    """That a normal deviate is below m, to full precision where it hardly ever is."""
    return 0.5 * math.erfc(-m / math.sqrt(2.0))


def end_given_present(z: float) -> Knots:
    """How far, in standard deviations, the end of an interval lies below an amplitude that exceeds the least
    present one by so many: Q(x - m) / Q(-m) = Q(z), m the end and x the amplitude, both from the least.

    The exact interval of a normal deviate known to exceed a bound (Zhong and Prentice 2008).
    """
    ends = np.arange(-16.0, FAR + abs(z) + 0.1, 0.1).tolist()
    amplitudes = [m - NORMAL.inv_cdf(_chance(-z) * _chance(m)) for m in ends]
    kept = [(x, x - m) for x, m in zip(amplitudes, ends, strict=True) if x > 0.5 * NEAR]
    return tuple(x for x, _ in kept), tuple(y for _, y in kept)


def mean_given_present() -> Knots:
    """How far the mean of the conditional likelihood lies below the amplitude (Ghosh et al. 2008), from LEAST
    on: the likelihood alone has no mean close to the bound."""
    amplitudes = np.concatenate([np.arange(NEAR, 1.0, 0.05), np.arange(1.0, FAR + 0.1, 0.1)])
    means = np.arange(LEAST, FAR + 8.0, 0.05)
    chances = np.array([_chance(m) for m in means.tolist()])
    with np.errstate(under="ignore"):
        weights = np.exp(-0.5 * (amplitudes[:, None] - means) ** 2) / chances
    weights[:, 0] *= 0.5  # trapezoids
    below = amplitudes - np.sum(weights * means, axis=1) / np.sum(weights, axis=1)
    return tuple(amplitudes.tolist()), tuple(below.tolist())


LOW_END, HIGH_END, MIDDLE = end_given_present(Z_95), end_given_present(-Z_95), mean_given_present()


def intervals(seen: Look, noise: Noise, scratch: Scratch) -> Found | None:
    """Place and amplitude with intervals; None when the noise leaves no extreme in half of the draws, or
    nothing of its amplitude."""
    traces, plan, picks = noise.traces, seen.where.plan, seen.picks
    kernels.draw(traces, plan, scratch.up, picks, scratch.sums)
    n, places, rises, squares = scratch.sums.tolist()[:4]
    if n < PATTERNS:
        return None
    place, amplitude = float(picks[0, kernels.PLACE]), float(picks[0, kernels.AMPLITUDE])
    quantile = t_quantile(noise.blocks)
    if places <= 0.0 or seen.rms_uv <= 0.0:
        return (place, (place, place), amplitude, (amplitude, amplitude)) if amplitude > 0.0 else None
    left, right, ripples = _reach(seen, noise, quantile, scratch)
    first, last = place - left, place + right
    drop = min(TOP_SDS * seen.rms_uv, TOP_SHARE * amplitude)
    kernels.settle(traces, plan, drop, picks, scratch.up, scratch.sums)
    place = float(picks[0, kernels.PLACE])
    half = quantile * math.sqrt(float(scratch.sums[0]) / (2 * PATTERNS))
    left, right = max(place - first, 0.0), max(last - place, 0.0)
    interval = place - math.sqrt(half * left), place + math.sqrt(half * right)
    rise = rises / n
    spread = math.sqrt(max(squares / n - rise * rise, 0.0))
    # The correction is about as uncertain as what was read for it.
    below, above = (quantile / Z_95 * math.hypot(spread, share * rise) for share in RISE_ERRORS)
    amplitude -= between(ripples, BIAS) * rise
    far = FAR * max(below, above)
    beyond = margin(seen, noise, far, scratch)
    if beyond >= far:
        return place, interval, amplitude, (amplitude - Z_95 * below, amplitude + Z_95 * above)
    told, ends = given_present(amplitude, beyond, spread, below, above)
    return (place, interval, told, ends) if told > 0.0 else None


def given_present(
    amplitude: float, beyond: float, spread: float, below: float, above: float
) -> tuple[float, tuple[float, float]]:
    """Amplitude and interval, `beyond` the least that was present, of an error of standard deviation `spread`
    (for the interval `below` and `above`). Being chosen moves no end below zero."""

    if spread <= 0.0:
        return amplitude, (amplitude - Z_95 * below, amplitude + Z_95 * above)
    low = amplitude - below * between(max(beyond / below, NEAR), LOW_END)
    low = min(amplitude - Z_95 * below, max(low, 0.0))
    told = max(amplitude - spread * between(max(beyond / spread, NEAR), MIDDLE), low)
    return told, (low, max(amplitude - above * between(max(beyond / above, NEAR), HIGH_END), told))


def _reach(seen: Look, noise: Noise, quantile: float, scratch: Scratch) -> tuple[float, float, float]:
    """How far left and right (rows) the peak can be without the mean saying otherwise; that in ripples.

    A place is possible while the mean there is below its peak by less than the noise between them explains.
    """
    plan, pick, fall, sums = seen.where.plan, seen.picks[0], scratch.up, scratch.sums
    kernels.beside(noise.traces, plan, pick, quantile / Z_95, REACH, fall, sums)
    slopes, curves, left, right = sums.tolist()[:4]
    rows = seen.where.window[1] - seen.where.window[0]
    bent, steep = curves / (PATTERNS * rows), slopes / (PATTERNS * (rows + 1))
    ripples, slow = left + right, 1.0
    if bent > 0.0:
        ripples /= math.sqrt(steep / bent)
        slow = _slow(seen.rms_uv * math.sqrt(bent) / steep, ripples)
    kernels.reach(fall, plan, pick, between(ripples, FALL), sums)
    return float(sums[0]) * slow, float(sums[1]) * slow, ripples


def _slow(slowness: float, ripples: float) -> float:
    """By how much noise of this slowness moves a top of so many ripples further."""
    if slowness <= SLOW or ripples <= WIDE[0]:
        return 1.0
    share = math.log(ripples / WIDE[0]) / math.log(WIDE[1] / WIDE[0])
    return float((min(slowness, SLOWEST) / SLOW) ** min(share, 1.0))


def between(value: float, knots: Knots) -> float:
    """Straight lines through the knots, level outside of them."""
    xs, ys = knots
    k = bisect_right(xs, value)
    if k == 0:
        return ys[0]
    if k == len(xs):
        return ys[-1]
    return ys[k - 1] + (ys[k] - ys[k - 1]) / (xs[k] - xs[k - 1]) * (value - xs[k - 1])
