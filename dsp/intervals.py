"""Intervals of a peak that is present: latency and amplitude at 95 %, from the noise the mean still carries.

The mean plus and minus each null average is a bootstrap over the 16 interleaved blocks, multipliers fixed.
It alone is too narrow where the noise shapes the peak's top and too wide where noise on top of noise jumps
from peak to peak; how far the mean falls beside its peak against the noise there errs the other way. The
interval of a latency is the geometric mean of the two, on each side.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.average import SUB_AVERAGES
from dsp.picker import Picked, Picker
from dsp.presence import PATTERNS, Z_95, Noise, t_quantile

Floats = NDArray[np.float64]
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


@dataclass(slots=True)
class Try:
    """A peak on its way: where it is looked for, what `pick` found in the mean, the nulls, mean +- nulls."""

    where: Picker
    up: Floats
    picked: Picked
    noise: Noise


def intervals(t: Try) -> Found | None:
    """Place and amplitude with intervals; None when the noise leaves no extreme in half of the draws."""
    picked, extreme = t.picked, t.picked.extreme[SUB_AVERAGES:]
    n = int(np.count_nonzero(extreme))
    if 2 * n < len(extreme):
        return None
    place, amplitude = float(picked.place[0]), float(picked.amplitude_uv[0])
    places = picked.place[SUB_AVERAGES:][extreme] - place
    amplitudes = picked.amplitude_uv[SUB_AVERAGES:][extreme] - amplitude
    quantile = t_quantile(t.noise.blocks)
    half = quantile * math.sqrt(float(np.add.reduce(places * places)) / n)
    if half <= 0.0 or not t.up[1:].any():
        return place, (place, place), amplitude, 0.0
    left, right, ripples = _reach(t, quantile)
    interval = place - math.sqrt(half * left), place + math.sqrt(half * right)
    rise = float(np.add.reduce(amplitudes)) / n
    spread = math.sqrt(max(float(np.add.reduce(amplitudes * amplitudes)) / n - rise * rise, 0.0))
    bias = _between(ripples, BIAS) * rise
    # The correction is about as uncertain as what was read for it.
    wide = quantile * math.hypot(spread, RISE_ERROR * rise)
    return place, interval, amplitude - bias, wide


def _reach(t: Try, quantile: float) -> tuple[float, float, float]:
    """How far left and right (rows) the peak can be without the mean saying otherwise; that in ripples.

    A place is possible while the mean there is below its peak by less than the noise between them explains.
    """
    first, end = t.where.window
    skipped = t.where.span[0] - 1
    up = t.up[:, first - 1 - skipped : end + 1 - skipped]
    place = float(t.picked.place[0]) - (first - 1)
    nulls, at = up[1:], int(place)
    there = nulls[:, at] + (place - at) * (nulls[:, at + 1] - nulls[:, at])
    apart = nulls - there[:, None]
    noise = np.sqrt(np.einsum("it,it->t", apart, apart) / PATTERNS) * (quantile / Z_95)
    fall = (float(t.picked.height_uv[0]) - up[0]) / np.maximum(noise, 1e-300)
    slopes = nulls[:, 1:] - nulls[:, :-1]
    curves = slopes[:, 1:] - slopes[:, :-1]
    bent = float(np.einsum("it,it->", curves, curves)) / curves.size
    ripple = (
        math.sqrt(float(np.einsum("it,it->", slopes, slopes)) / slopes.size / bent) if bent > 0.0 else 1.0
    )
    sides = _sides(fall, place)
    ripples = sum(_crossing(side, falls, REACH) for side, falls in sides) / ripple
    allowed = _between(ripples, FALL)
    left, right = (_crossing(side, falls, allowed) for side, falls in sides)
    return left, right, ripples


def _sides(fall: Floats, place: float) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Distances from `place` and falls there, going left, and going right; both from the peak itself on."""
    rows = np.arange(len(fall))
    before, behind = math.ceil(place) - 1, math.floor(place) + 1
    left, right = slice(None, before + 1), slice(behind, None)
    zero = np.zeros(1)
    return (
        (np.concatenate([zero, (place - rows[left])[::-1]]), np.concatenate([zero, fall[left][::-1]])),
        (np.concatenate([zero, rows[right] - place]), np.concatenate([zero, fall[right]])),
    )


def _crossing(distances: Floats, falls: Floats, allowed: float) -> float:
    """Distance at which the fall leaves `allowed` for good, between rows by a straight line."""
    last = len(falls) - 1 - int(np.argmax(falls[::-1] <= allowed))
    if last == len(falls) - 1:
        return float(distances[last])
    inner, outer = float(falls[last]), float(falls[last + 1])
    share = (allowed - inner) / (outer - inner)
    return float(distances[last] + share * (distances[last + 1] - distances[last]))


def _between(value: float, knots: tuple[tuple[float, ...], tuple[float, ...]]) -> float:
    """Straight lines through the knots, level outside of them."""
    return float(np.interp(value, *knots))
