"""The model patient's heart: what electrodes pick up of its beats, as a scenario sets their rate and size.

Owns the beats' times, their shape and their share by place (facts/clinical.md 1.E: a slow bump of random
phase). Refuses to know of pulse waves, pacemakers and rhythm disorders.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.model.body import known
from hw.model.checks import number
from hw.model.stochastic import child

Floats = NDArray[np.float64]

# Height of the R wave in uV at scale 1, by region; electrodes of a region differ by _SPREAD.
_HEIGHT_UV = {
    "scalp": (7.3, 14.0),
    "neck": (7.3, 14.0),
    "left face": (7.3, 14.0),
    "right face": (7.3, 14.0),
    "inside": (15.0, 40.0),
    "back": (75.0, 140.0),
    "pelvis": (75.0, 140.0),
}
_LIMB_UV = (30.0, 80.0)
_SPREAD = (0.75, 1.3)
_STRIP_UV = (7.3, 14.0)
# P, Q, R, S, T: where (s from the R wave), how wide, how high. P and T come nearer with the rate (Bazett).
_WAVES = np.array(
    [
        (-0.16, 0.022, 0.12),
        (-0.026, 0.008, -0.13),
        (0.0, 0.011, 1.0),
        (0.028, 0.010, -0.24),
        (0.26, 0.042, 0.25),
    ]
)
_BEFORE_S, _BEHIND_S = 0.25, 0.48
_BREATH_S, _BREATH_SHARE = 4.3, 0.03
_SLOW_S, _SLOW_SHARE = 19.0, 0.02
_JITTER = 0.015
_SIZE_SHARE = 0.08


@dataclass(frozen=True, slots=True)
class Heart:
    """From `at_s` on the heart beats `rate_per_min` times a minute, seen `scale` times as large as usual.

    1 is 5-20 uV on scalp and neck, 50-200 uV on back and pelvis; before the first record nothing is seen. The
    state is whole. ValueError (one line) for impossible values.
    """

    at_s: float
    rate_per_min: float = 70.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        number("heart", "at_s", self.at_s, 0.0, 1e6)
        number("heart", "rate_per_min", self.rate_per_min, 20.0, 250.0)
        number("heart", "scale", self.scale, 0.0, 100.0)


@dataclass(frozen=True, slots=True)
class Beat:
    """One beat: when its R wave stands, its size, and how much its intervals shrink."""

    at_s: float
    size: float
    shrunk: float


class Ecg:
    """All beats, on all electrodes; without any record it adds nothing and costs nothing."""

    def __init__(self, electrodes: tuple[str, ...], seed: int, records: Sequence[Heart]) -> None:
        self._records = sorted(records, key=lambda record: record.at_s)
        self._uv = np.array([_height_uv(seed, name) for name in electrodes])[:, None]
        self._draw = child(seed, "heart")
        self._phases = self._draw.uniform(0.0, 2 * np.pi, 3)
        self._beats: list[Beat] = []
        self._next_s = float(self._draw.uniform(-1.0, 0.0))
        self._gone = 0  # beats that no later chunk can see

    def beats(self, until_s: float) -> tuple[Beat, ...]:
        """Every beat that is seen, with its R wave from 0 s to before `until_s`."""
        self._live(until_s)
        return tuple(beat for beat in self._beats if beat.size > 0.0 and 0.0 <= beat.at_s < until_s)

    def add_to(self, uv: Floats, times_s: Floats) -> None:
        """Add microvolts to `uv` (electrode, time) in place; `times_s` of its columns, ascending."""
        if not self._records:
            return
        self._live(float(times_s[-1]) + _BEFORE_S)
        while self._gone < len(self._beats) and self._beats[self._gone].at_s + _BEHIND_S < times_s[0]:
            self._gone += 1
        wave = np.zeros(len(times_s))
        for beat in self._beats[self._gone :]:
            if beat.size > 0.0 and beat.at_s - _BEFORE_S <= times_s[-1]:
                wave += _wave(times_s, beat)
        uv += self._uv * wave

    def _live(self, until_s: float) -> None:
        """Draw the beats until then, one after the other."""
        while self._records and self._next_s < until_s:
            at_s = self._next_s
            past = [record for record in self._records if record.at_s <= max(at_s, 0.0)]
            rate_per_min = past[-1].rate_per_min if past else 70.0
            breath, slow, size = np.sin(
                2 * np.pi * at_s / np.array([_BREATH_S, _SLOW_S, _BREATH_S]) + self._phases
            )
            lasts_s = 60.0 / rate_per_min * float(1.0 + _BREATH_SHARE * breath + _SLOW_SHARE * slow)
            scale = past[-1].scale if past else 0.0
            self._beats.append(
                Beat(at_s, scale * (1.0 + _SIZE_SHARE * float(size)), min(1.0, math.sqrt(lasts_s)))
            )
            jitter = _JITTER * float(np.clip(self._draw.standard_normal(), -3, 3))
            self._next_s += lasts_s * (1.0 + jitter)


def _wave(times_s: Floats, beat: Beat) -> Floats:
    """One beat with an R wave of 1, nothing from _BEFORE_S before to _BEHIND_S behind it."""
    since_s = times_s - beat.at_s
    at_s = np.where(np.abs(_WAVES[:, 0]) > 0.1, _WAVES[:, 0] * beat.shrunk, _WAVES[:, 0])
    wave = np.zeros(len(since_s))
    # A sum of five, and not a matrix product, whose rounding could depend on the chunk.
    for middle_s, (_, wide_s, height) in zip(at_s, _WAVES, strict=True):
        away = (since_s - middle_s) / wide_s
        wave += height * np.exp(-0.5 * away * away)
    return np.where((since_s > -_BEFORE_S) & (since_s < _BEHIND_S), beat.size * wave, 0.0)


def _height_uv(seed: int, name: str) -> float:
    """The R wave on one electrode: alike within a region, positive on the left, negative on the right."""
    electrode = known(name)
    region = electrode.region
    place = child(seed, "heart place", region)
    low_high = _STRIP_UV if electrode.stem.startswith("S*") else _HEIGHT_UV.get(region, _LIMB_UV)
    middle = float(place.choice((-1.0, 1.0)))
    sign = -1.0 if region.startswith("right") else 1.0 if region.startswith("left") else middle
    return sign * float(place.uniform(*low_high)) * float(child(seed, "heart place", name).uniform(*_SPREAD))
