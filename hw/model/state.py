"""The patient's state as a whole: depth of anaesthesia, neuromuscular block, temperature, blood pressure.

Owns what each does to responses by level, in round figures after facts/clinical.md 0.3 and 3.C: a model to
teach and to test with, no pharmacology. Refuses to know of waveforms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from hw.model.checks import number

NORMAL_C = 36.5
_LATE_PER_DEGREE = 0.03
"""Conduction slows by so much for each degree: +0.6 ms on N20, +1.1 ms on P37."""
_FAILS_MMHG, _ENOUGH_MMHG = 40.0, 60.0
"""Below the second pressure the cortex fails, at the first little is left."""
_LEFT_AT_FAILURE = 0.2
# Of one unit of depth: logarithm of amplitude, and share of latency added.
_DEPTH_LOG = {"peripheral": 0.0, "subcortical": 0.1, "cortical": 0.6, "motor": 1.2}
_DEPTH_LATE = {"peripheral": 0.0, "subcortical": 0.01, "cortical": 0.04, "motor": 0.05}


@dataclass(frozen=True, slots=True)
class Anaesthesia:
    """From `at_s` on the patient's state is this, reached in straight lines over `ramp_s`.

    `depth` 1 is surgical, 0 nearly awake, 2 suppressing; `block` is the share of muscle fibres that relaxants
    hold (of stimulated muscles); `fade` what hours of anaesthesia leave of what motor cells do (a long ramp);
    `suppression` the share of time that the EEG is flat (None: what depth brings). Depth, suppression and
    pressure move the EEG too (`hw.model.brain`). The state is whole: what a record does not name is normal
    again. ValueError (one line) for impossible values.
    """

    at_s: float
    depth: float = 1.0
    block: float = 0.0
    temperature_c: float = NORMAL_C
    pressure_mmhg: float = 80.0
    fade: float = 1.0
    suppression: float | None = None
    ramp_s: float = 0.0

    def __post_init__(self) -> None:
        number("anaesthesia", "at_s", self.at_s, 0.0, 1e6)
        number("anaesthesia", "depth", self.depth, 0.0, 3.0)
        number("anaesthesia", "block", self.block, 0.0, 1.0)
        number("anaesthesia", "temperature_c", self.temperature_c, 15.0, 42.0)
        number("anaesthesia", "pressure_mmhg", self.pressure_mmhg, 0.0, 250.0)
        number("anaesthesia", "fade", self.fade, 0.0, 3.0)
        if self.suppression is not None:
            number("anaesthesia", "suppression", self.suppression, 0.0, 1.0)
        number("anaesthesia", "ramp_s", self.ramp_s, 0.0, 1e6)

    @property
    def flat_share(self) -> float:
        """The share of time that the EEG is suppressed: from a depth of 1.4 on, all of it at 2.4."""
        return min(max(self.depth - 1.4, 0.0), 1.0) if self.suppression is None else self.suppression

    @property
    def perfusion(self) -> float:
        """What pressure leaves to the cortex: 1 from 60 mmHg on, a fifth at 40 and below."""
        share = (min(max(self.pressure_mmhg, _FAILS_MMHG), _ENOUGH_MMHG) - _FAILS_MMHG) / (
            _ENOUGH_MMHG - _FAILS_MMHG
        )
        return _LEFT_AT_FAILURE + (1.0 - _LEFT_AT_FAILURE) * share

    def amplitude(self, level: str) -> float:
        """What this state makes of an amplitude, 1 in the normal one; `level` of a component, or "motor"."""
        gain = math.exp(-_DEPTH_LOG[level] * (self.depth - 1.0))
        return gain * self.perfusion if level in ("cortical", "motor") else gain

    def lateness(self, level: str) -> float:
        """The share of its latency that a component comes later by."""
        return _LATE_PER_DEGREE * (NORMAL_C - self.temperature_c) + _DEPTH_LATE[level] * (self.depth - 1.0)


NORMAL_STATE = Anaesthesia(0.0)
_BLENDED = tuple(f.name for f in fields(Anaesthesia) if f.name not in ("at_s", "ramp_s", "suppression"))


def state_at(records: Sequence[Anaesthesia], at_s: float) -> Anaesthesia:
    """The patient's state at `at_s`."""
    state = NORMAL_STATE
    target: Anaesthesia | None = None
    for record in sorted(records, key=lambda one: one.at_s):
        if record.at_s > at_s:
            break
        state, target = _blend(state, target, record.at_s), record
    return _blend(state, target, at_s)


def _blend(origin: Anaesthesia, target: Anaesthesia | None, at_s: float) -> Anaesthesia:
    """Where the way from `origin` to `target` has come by `at_s`."""
    if target is None or at_s >= target.at_s + target.ramp_s:
        return origin if target is None else target
    share = (at_s - target.at_s) / target.ramp_s
    values = {
        name: getattr(origin, name) + share * (getattr(target, name) - getattr(origin, name))
        for name in _BLENDED
    }
    if target.suppression is not None or origin.suppression is not None:
        values["suppression"] = origin.flat_share + share * (target.flat_share - origin.flat_share)
    return Anaesthesia(at_s, **values)
