"""Muscles, nerves and cord that answer single stimuli and trains: how much, when, in what shape.

Owns recruitment by current, facilitation within a train, the change from trial to trial, relaxants and what
they do to a train of four. A response begins at one instant and ends at one, so that its true onset is exact.
Seeded: every site and target draws from a stream of its own.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.model.anatomy import passed
from hw.model.body import ELECTRODES
from hw.model.muscles import Target
from hw.model.scenario import Scenario
from hw.model.state import state_at
from hw.model.stochastic import child

Floats = NDArray[np.float64]

USUAL_STRENGTH = 1.4
"""Times its threshold, for a stimulus whose current nobody knows."""
CHRONAXIE_US = 200.0
SUMS_S = 0.012
"""Excitation of a train is forgotten so quickly."""
_ALONE = 0.45
_PULSES = 1.2
KEPT = 4096
"""Of so many answers of a target the truth is told: a case may go on for days."""
_LEAST = 0.02
"""Less than this share of a response is none."""
_UNITS = 6
_UNIT = 0.4
"""Of a response's duration each of its units lasts so long."""
_SECOND_CONTACT = -0.35
# Train of four: how much more the second to fourth feel of a block, and what makes a train.
FADES = (1.0, 1.11, 1.25, 1.33)
_TRAIN_S = (0.2, 1.2)


@dataclass(frozen=True, slots=True)
class Emission:
    """What one pulse makes one target do: from `begin_ms` after the pulse on, `uv` peak to peak."""

    stem: str
    side: str
    begin_ms: float
    uv: float


class Responder:
    """One target of one site."""

    def __init__(self, site: str, target: Target, side: str, electrodes: tuple[str, ...], seed: int) -> None:
        self.target, self.side = target, side
        self._leads = np.array([_seen(target, side, name) for name in electrodes])
        self._rng = child(seed, f"motor {site}", f"{target.stem} {side} {target.onset_ms:g}")
        shape = child(seed, "motor unit shapes", f"{target.stem} {side}")
        self._starts = np.concatenate([[0.0], np.sort(shape.uniform(0.05, 0.6, _UNITS - 1))])
        self._sizes = np.concatenate([[1.0], shape.uniform(0.4, 1.0, _UNITS - 1)])
        self._sizes *= np.concatenate([[1.0], shape.choice((-0.6, 1.0), _UNITS - 1)])
        # Where the units add up does not depend on when they are seen: their extremes are looked for here.
        self._fine = self._units(np.arange(0.0, target.duration_ms + _UNIT * target.duration_ms, 0.02))
        self._late = float(shape.normal(0.0, 0.01))
        self._excitation, self._level, self._last_s = 0.0, 0.0, -math.inf
        self._number = 0
        self.told: deque[tuple[float, Emission]] = deque(maxlen=KEPT)

    @property
    def seen(self) -> bool:
        """Whether any electrode lies there."""
        return bool(self._leads.any())

    def pulse(
        self,
        at_s: float,
        strength_ma: float | None,
        width_us: float | None,
        scenario: Scenario,
        site: str,
    ) -> Emission | None:
        """What a pulse of this current and width (None: the usual) at `at_s` makes it do; None: nothing."""
        target = self.target
        since_s = at_s - self._last_s
        forgotten = math.exp(-since_s / SUMS_S)
        self._excitation = self._excitation * forgotten + 1.0
        self._level *= forgotten
        self._number = self._number + 1 if _TRAIN_S[0] <= since_s <= _TRAIN_S[1] else 1
        self._last_s = at_s
        ((through, late_ms),) = passed(target.stations, self.side, scenario.lesion, at_s)[-1:] or [(1.0, 0.0)]
        gain = through * self._state_gain(scenario, at_s)
        amplitude, changed_ms = scenario.response(site, "motor", at_s)
        spread = math.sqrt(math.log1p(target.cv**2))
        gain *= amplitude * math.exp(
            spread * float(np.clip(self._rng.standard_normal(), -3, 3)) - spread**2 / 2
        )
        if strength_ma is not None and width_us is not None:
            # Weiss 1901: what a narrower pulse lacks in charge it needs in current.
            strength_ma *= (1 + CHRONAXIE_US / target.width_us) / (1 + CHRONAXIE_US / width_us)
        level = self._recruited(strength_ma, scenario, site, at_s)
        grown = max(level - self._level, 0.0)
        self._level = max(level, self._level)
        if grown * gain < _LEAST:
            return None
        slow = target.onset_ms * (self._late + state_at(scenario.anaesthesia, at_s).lateness("motor"))
        found = Emission(
            target.stem, self.side, target.onset_ms + slow + late_ms + changed_ms, grown * gain * target.uv
        )
        self.told.append((at_s, found))
        return found

    def wave_uv(self, times_ms: Floats, emission: Emission) -> Floats:
        """The response at `times_ms` after its pulse, (time, electrode); each one a little different."""
        sizes = self._sizes * np.exp(0.15 * self._rng.standard_normal(_UNITS))
        scale = emission.uv / max(float(np.ptp(_summed(self._fine, sizes))), 1e-12)
        wave = _summed(self._units(times_ms - emission.begin_ms), sizes) * scale
        return np.outer(wave, self._leads)

    def _units(self, since_ms: Floats) -> tuple[Floats, Floats]:
        """What each unit does at these times, as two factors, (unit, time).

        Two phases, the first one steeper, both ends at rest.
        """
        length_ms = _UNIT * self.target.duration_ms
        turn = np.zeros((_UNITS, len(since_ms)))
        for row, start in zip(turn, self._starts * 0.6 * self.target.duration_ms, strict=True):
            phase = (since_ms - start) / length_ms
            inside = (phase > 0.0) & (phase < 1.0)
            row[inside] = 2 * np.pi * phase[inside]
        return np.sin(turn), 1.0 - 0.3 * np.cos(turn)

    def _recruited(self, strength_ma: float | None, scenario: Scenario, site: str, at_s: float) -> float:
        """The share of the target that answers by now, 0 to 1."""
        target = self.target
        threshold_ma = (not target.spread and scenario.threshold_ma(site, at_s)) or target.threshold_ma
        usual = 0.0 if target.spread else USUAL_STRENGTH
        strength = usual if strength_ma is None else strength_ma / threshold_ma
        if target.facilitates:
            strength *= 1.0 - (1.0 - _ALONE) * math.exp(-(self._excitation - 1.0) / _PULSES)
        share = 1.0 / (1.0 + math.exp(-(strength - 1.0) / target.slope))
        if target.over_ma and strength_ma is not None:
            share *= 1.0 / (1.0 + math.exp((strength_ma / target.over_ma - 1.0) / target.slope))
        return share

    def _state_gain(self, scenario: Scenario, at_s: float) -> float:
        state = state_at(scenario.anaesthesia, at_s)
        gain = state.amplitude("motor") * state.fade if self.target.central else 1.0
        if self.target.muscle:
            gain *= max(0.0, 1.0 - state.block * FADES[min(self._number, 4) - 1])
        return gain


def _summed(units: tuple[Floats, Floats], sizes: Floats) -> Floats:
    """All units together, each of its size."""
    total = np.zeros(units[0].shape[1])
    for rise, skew, size in zip(*units, sizes, strict=True):
        total += size * rise * skew
    return total


def _seen(target: Target, side: str, name: str) -> float:
    """The share of a target's response that an electrode sees."""
    electrode = ELECTRODES[name]
    bare = electrode.stem if electrode.side else name
    head, _, tail = bare.partition("*")
    if target.side == "":
        head, tail = bare[:-1], bare[-1:]
    elif electrode.side != side:
        return 0.0
    if head != target.stem:
        return 0.0
    return _SECOND_CONTACT if tail == "2" else 1.0
