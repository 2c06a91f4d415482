"""Which samples of an EEG are suppressed: by amplitude, and by local variance.

Owns the two rules, as functions of samples in a band (0.5 to 30 Hz) and free of artifacts; heart beats
and other lone excursions of a fifth of a second are no bursts. Refuses to know of time, of ratios and of what
a suppressed brain means.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dsp.filters import ForwardFilter

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SUPPRESSED_UV, SUPPRESSED_S = 5.0, 0.5
"""Suppressed is what stays below so much for longer than that (facts/clinical.md 1.F)."""
QUIET_S, LONE_S = 0.2, 0.2
"""An excursion of at most LONE_S between stretches of at least QUIET_S below the limit is a heart beat's or a
movement's: a burst lasts half a second or more."""
BEAT_S = (0.06, 0.4)
"""Before and behind a lone excursion: what a heart beat has there (P, ST, T) is not local variance."""
FORGETTING, FORGETTING_HZ = 0.9534, 200.0
"""Of local mean and variance, a sample at 200 Hz: a time constant of 105 ms (Westover et al. 2013)."""
VARIANCE_UV2 = 1.75
CONTEXT_S = 1.0
"""So long a segment at either end is context: what its labels would need lies outside."""


def forgetting(rate_hz: float) -> float:
    """The same forgetting at another rate."""
    return float(FORGETTING ** (FORGETTING_HZ / rate_hz))


def by_amplitude(
    banded_uv: tuple[Floats, ...],
    uv: Floats,
    rate_hz: float,
    limit_uv: float = SUPPRESSED_UV,
    held: Bools | None = None,
) -> tuple[Bools, Bools]:
    """Suppressed samples (time, derivation), and those of lone excursions within suppression.

    `banded_uv` is what stays below the limit, in one or more ways; `uv` is the same without its high-pass,
    whose answer to a burst outlasts it by half a second: stretches grow outwards as far as `uv` goes on along
    their own line. What is `held` over an artifact neither ends a stretch nor makes it long enough.
    """
    suppressed = np.zeros(uv.shape, np.bool_)
    lone = np.zeros(uv.shape, np.bool_)
    quiet, bridge = math.ceil(QUIET_S * rate_hz), math.floor(LONE_S * rate_hz)
    least = math.floor(SUPPRESSED_S * rate_hz) + 1
    for derivation in range(uv.shape[1]):
        near = np.zeros(len(uv), np.bool_)
        stretches = (
            stretch
            for way in banded_uv
            for stretch in zip(*runs(np.abs(way[:, derivation]) < limit_uv), strict=True)
        )
        for first, end in stretches:
            if end - first < quiet:
                continue
            near[first:end] = True
            for beyond, stays in _lines(uv[:, derivation], first, end, round(rate_hz), limit_uv):
                near[beyond] |= _goes_on(stays, quiet, bridge)
        starts, ends = runs(near)
        for first, end in zip(ends[:-1], starts[1:], strict=True):
            if end - first <= bridge:
                near[first:end] = lone[first:end, derivation] = True
        for first, end in zip(*runs(near), strict=True):
            idle = 0 if held is None else int(np.count_nonzero(held[first:end, derivation]))
            suppressed[first:end, derivation] = end - first - idle >= least
    return suppressed, lone & suppressed


def _lines(
    uv: Floats, first: int, end: int, most: int, limit_uv: float
) -> Iterator[tuple[NDArray[np.intp], Bools]]:
    """Rows beyond either edge of a stretch of `uv` (time,), outwards, and where they stay near its line.

    The line is that of the `most` rows of the stretch that are nearest to the edge; as many are looked at.
    """
    for edge, step in ((first, -1), (end - 1, 1)):
        own = uv[edge - step * np.arange(min(most, end - first))]
        at = np.arange(len(own)) - (len(own) - 1) / 2.0
        slope = float(np.add.reduce(at * own) / np.add.reduce(at * at))
        level = float(np.add.reduce(own)) / len(own) - slope * (len(own) - 1) / 2.0
        out = np.arange(1, most + 1)
        beyond = edge + step * out
        inside = (beyond >= 0) & (beyond < len(uv))
        out, beyond = out[inside], beyond[inside]
        yield beyond, np.abs(uv[beyond] - (level - slope * out)) < limit_uv


def _goes_on(stays: Bools, quiet: int, bridge: int) -> Bools:
    """Of `stays` what belongs to the first of it: lone excursions with quiet behind do not end it."""
    starts, ends = runs(stays)
    goes_on = np.zeros(len(stays), np.bool_)
    reached = 0
    for first, end in zip(starts, ends, strict=True):
        if first > 0 and (first - reached > bridge or end - first < quiet):
            break
        goes_on[first:end] = True
        reached = end
    return goes_on


def without_baseline(banded_uv: Floats, uv: Floats, suppressed: Bools, lone: Bools, rate_hz: float) -> Floats:
    """`banded_uv` with suppressed stretches of `uv` about their own parabola instead, heart beats out.

    What a high-pass answers to a burst is in neither.
    """
    out = banded_uv.copy()
    for derivation in range(uv.shape[1]):
        for first, end in zip(*runs(suppressed[:, derivation]), strict=True):
            at = np.linspace(-1.0, 1.0, end - first)
            own = uv[first:end, derivation]
            curve = np.polynomial.legendre.legfit(at, own, 2, w=1.0 - lone[first:end, derivation])
            out[first:end, derivation] = own - np.polynomial.legendre.legval(at, curve)
    out[_beats(lone, suppressed, rate_hz)] = 0.0
    return out


def _beats(lone: Bools, suppressed: Bools, rate_hz: float) -> Bools:
    """Lone excursions with what a heart beat has before and behind them, as far as that is suppressed."""
    before, behind = (round(seconds * rate_hz) for seconds in BEAT_S)
    n = np.cumsum(np.concatenate([np.zeros((1, lone.shape[1]), np.intp), lone]), axis=0)
    at = np.arange(len(lone))
    first, end = np.maximum(at - behind, 0), np.minimum(at + before + 1, len(lone))
    beats: Bools = (n[end] > n[first]) & suppressed
    return beats


def by_variance(uv: Floats, rate_hz: float, limit_uv2: float = VARIANCE_UV2) -> Bools:
    """Suppressed samples of `uv` (time, derivation): local variance below `limit_uv2`, seen from either side.

    The recursion forgets towards the past, so that a burst casts its shadow over what follows; run backwards
    it casts it over what came before. A sample out of one of both is suppressed.
    """
    ahead = local_variance(uv, rate_hz) < limit_uv2
    behind = local_variance(np.ascontiguousarray(uv[::-1]), rate_hz)[::-1] < limit_uv2
    suppressed: Bools = ahead | behind
    return suppressed


def local_variance(uv: Floats, rate_hz: float) -> Floats:
    """Recursive variance in uV^2 about a recursive mean (Westover et al. 2013), begun in the first row."""
    keep = forgetting(rate_hz)
    smooth = np.array([[1.0 - keep, 0.0, 0.0, 1.0, -keep, 0.0]])
    mean = uv.copy()
    ForwardFilter(smooth, uv.shape[1]).run(mean)
    variance: Floats = (uv - mean) ** 2
    ForwardFilter(smooth, uv.shape[1]).run(variance)
    return variance


def runs(true: Bools) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and end (exclusive) of every run of `true` (time,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]
