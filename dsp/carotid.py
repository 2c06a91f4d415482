"""Cerebral ischaemia in the EEG against a baseline: the rule of carotid surgery, side by side.

Owns what a loss of fast activity or a gain of delta means (moderate, severe), on which side, and for how long
it must last. Refuses to call a change what the baseline does by itself, to say anything of too little good
time, and to explain: both sides alike may be anaesthesia, but that is for others to name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.presence import t_quantile
from dsp.spectra import EegSpectrum
from dsp.trends import BANDS_HZ, Estimates

Floats = NDArray[np.float64]
Level = Literal["unknown", "none", "moderate", "severe"]
Side = Literal["", "left", "right", "both"]
Sides = tuple[tuple[int, ...], tuple[int, ...]]
"""Places of the left and of the right derivations in a spectrum."""

FAST_MODERATE, FAST_SEVERE, DELTA_SEVERE = 0.5, 0.25, 2.0
"""Of the baseline's power: alpha and beta at most, delta at least (facts/clinical.md 1.D)."""
LOOK_S = 30
"""A look is the last half minute, one spectrum a second."""
LEAST_GOOD, LEAST_LOOKS = 10, 4
"""Fewer spectra do not make a look, fewer looks no baseline."""
UNILATERAL_S, BILATERAL_S = 30, 60
"""It must last so long: one side alone weighs more than both."""
BLIND_S = 30
"""After so long without a look nothing is sustained any more."""
_LEVELS: tuple[Level, ...] = ("unknown", "none", "moderate", "severe")


@dataclass(frozen=True, slots=True)
class Look:
    """Mean natural log of power in uV^2, (side, kind): left and right, fast and delta; NaN without enough.

    `good` (side,): spectra that are in it.
    """

    log_power: Floats
    good: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Baseline:
    """Mean of `n` looks, and how looks vary about it (standard deviation), (side, kind) each."""

    log_power: Floats
    sd: Floats
    n: int


@dataclass(frozen=True, slots=True)
class CarotidChange:
    """What a look says beside the baseline.

    `fast` and `delta` (side,) are ratios of power to the baseline's; their 95 % intervals are those of a
    single look of an unchanged brain about what was seen. `level` is the worse of `levels` (left, right),
    `side` where it is.
    """

    level: Level
    side: Side
    levels: tuple[Level, Level]
    fast: Estimates
    delta: Estimates


@dataclass(frozen=True, slots=True)
class Sustained:
    """A `level` on a `side` that has lasted `seconds`, and whether that is long enough to be told."""

    level: Level
    side: Side
    seconds: int
    told: bool


def look(spectra: Sequence[EegSpectrum], sides: Sides) -> Look:
    """The mean of spectra (a second apart) over each side's derivations without artifact."""
    bands = tuple(BANDS_HZ)
    fast = [bands.index("alpha"), bands.index("beta")]
    powers = np.array([spectrum.bands_uv2.value for spectrum in spectra])
    log_power, good = np.full((2, 2), np.nan), np.zeros(2, np.int64)
    if not len(powers):
        return Look(log_power, good)
    with np.errstate(divide="ignore"):
        logs = np.log(np.stack([powers[:, fast].sum(axis=1), powers[:, bands.index("delta")]], axis=1))
    for side, places in enumerate(sides):
        own = logs[:, :, list(places)]
        usable = np.isfinite(own)
        n = usable.all(axis=1).any(axis=1)
        good[side] = np.count_nonzero(n)
        if good[side] >= LEAST_GOOD:
            log_power[side] = np.where(usable, own, 0.0).sum(axis=(0, 2)) / usable.sum(axis=(0, 2))
    return Look(log_power, good)


def baseline(spectra: Sequence[EegSpectrum], sides: Sides) -> Baseline | None:
    """The baseline of some minutes of spectra a second apart; None where fewer than 4 looks are whole."""
    looks = [look(spectra[k : k + LOOK_S], sides) for k in range(0, len(spectra) - LOOK_S + 1, LOOK_S)]
    logs = np.array([one.log_power for one in looks if np.isfinite(one.log_power).all()])
    if len(logs) < LEAST_LOOKS:
        return None
    return Baseline(logs.mean(axis=0), logs.std(axis=0, ddof=1), len(logs))


def change(before: Baseline, now: Look) -> CarotidChange:
    """The rule: moderate with half of the fast power gone, severe with three quarters or twice the delta.

    Only where the interval leaves no change out (prediction of one more look from `n`, Student's t).
    """
    half = t_quantile(before.n - 1.0) * before.sd * np.sqrt(1.0 + 1.0 / before.n)
    gone = now.log_power - before.log_power
    ratio, low, high = np.exp(gone), np.exp(gone - half), np.exp(gone + half)
    left, right = (_level(ratio[side], low[side], high[side]) for side in (0, 1))
    levels = left, right
    worst = max(levels, key=_LEVELS.index)
    fast, delta = (Estimates(ratio[:, k], low[:, k], high[:, k]) for k in (0, 1))
    return CarotidChange(worst, _side(levels), levels, fast, delta)


def _level(ratio: Floats, low: Floats, high: Floats) -> Level:
    """Of one side: ratios of (fast, delta) power and their intervals."""
    if not np.isfinite(ratio).all():
        return "unknown"
    lost, gained = high[0] < 1.0, low[1] > 1.0
    if (lost and ratio[0] <= FAST_SEVERE) or (gained and ratio[1] >= DELTA_SEVERE):
        return "severe"
    return "moderate" if lost and ratio[0] <= FAST_MODERATE else "none"


def _side(levels: tuple[Level, Level]) -> Side:
    """Where it is: on both sides only where both are as bad."""
    hurt = [level in ("moderate", "severe") for level in levels]
    if not any(hurt):
        return ""
    if levels[0] == levels[1]:
        return "both"
    return "left" if _LEVELS.index(levels[0]) > _LEVELS.index(levels[1]) else "right"


def sustained(changes: Sequence[CarotidChange]) -> Sustained:
    """What has lasted up to the newest of `changes`, one a second.

    Told is the worst level that one side has had or exceeded for 30 s, or both together for 60 s: a side that
    is hurt in both counts as hurt. Seconds without a look neither count nor end it, up to 30 in a row.
    """
    if all(one.level == "unknown" for one in changes[-BLIND_S:]):
        return Sustained("unknown", "", 0, False)
    best = Sustained("none", "", 0, False)
    for level in ("moderate", "severe"):
        lasted = [_lasted(changes, level, side) for side in (0, 1)]
        both = min(lasted)
        if max(lasted) == 0:
            continue
        # One side alone: it was hurt before the other, or the other is not.
        if max(lasted) - both >= UNILATERAL_S or both == 0:
            side: Side = "left" if lasted[0] > lasted[1] else "right"
            found = Sustained(level, side, max(lasted), max(lasted) >= UNILATERAL_S)
        else:
            found = Sustained(level, "both", both, both >= BILATERAL_S)
        if found.told or not best.told:
            best = found
    return best


def _lasted(changes: Sequence[CarotidChange], level: Level, side: int) -> int:
    """Seconds up to the newest in which `side` had `level` or worse."""
    seconds = blind = 0
    for one in reversed(changes):
        found = one.levels[side]
        if found == "unknown":
            blind += 1
            if blind >= BLIND_S:
                break
            continue
        if _LEVELS.index(found) < _LEVELS.index(level):
            break
        seconds, blind = seconds + 1, 0
    return seconds
