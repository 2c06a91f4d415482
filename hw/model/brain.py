"""What the brain of the model patient gives without a stimulus: 1/f background, rhythms, burst suppression.

Owns how depth, pressure and lesions of a scenario reach the EEG (`BrainCourse`) and what suppression and
ischaemia take; electrodes' thermal noise comes with it. Refuses to know of evoked responses.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hw.model.anatomy import Lesion, Station, passed
from hw.model.body import known
from hw.model.rhythms import OFF_HEAD, BrainState, SuppressionGate, fast_share, hemispheres
from hw.model.slow_rhythms import SlowRhythms
from hw.model.state import Anaesthesia, state_at
from hw.model.stochastic import OnePoleBank, child, level_at

Floats = NDArray[np.float64]

# Poles an octave apart, with gains falling by the root of their frequency, make a power density of 1/f.
_EEG_POLES_HZ = tuple(0.25 * 2.0**octave for octave in range(13))
# One-sided density at 10 Hz in uV per root hertz: 2.6 uVrms each, own and common, in 30-1000 Hz.
_EEG_LEVEL = 0.45
# sqrt(4 k T R) of a 5 kohm electrode at body temperature, in uV per root hertz.
_THERMAL_LEVEL = 0.00925
# A scenario is looked up so often, and straight lines drawn between.
_LOOK_S = 0.05
_KEPT = 256
_SIDES = ("left", "right")
_HEMISPHERE = (Station("cortex", "i"),)
_RHYTHM_DEPTH = 0.5
"""Of one unit of a scenario's depth (1 surgical, 2 suppressing) in `rhythms`' scale (0.5 and 1)."""


class BrainCourse:
    """A scenario's `rhythms.State`: depth and suppression of the anaesthesia, perfusion of each hemisphere.

    Perfusion is what lesions of "cortex" leave of a side, times what the blood pressure leaves of both.
    Looked up every 50 ms; times before 0 are as 0.
    """

    def __init__(self, anaesthesia: Sequence[Anaesthesia], lesion: Sequence[Lesion]) -> None:
        self._anaesthesia = tuple(anaesthesia)
        self._lesion = tuple(one for one in lesion if one.place == "cortex")
        self.steady = not (self._anaesthesia or self._lesion)
        self._looked: dict[int, tuple[float, float, float, float]] = {}

    def __call__(self, times_s: Floats) -> BrainState:
        """The state at ascending `times_s`."""
        if self.steady:
            return BrainState(*(np.full(len(times_s), value) for value in self._look(0)))
        first = math.floor(float(times_s[0]) / _LOOK_S)
        end = math.floor(float(times_s[-1]) / _LOOK_S) + 2
        looked = [self._look(step) for step in range(first, end)]
        if all(one == looked[0] for one in looked):
            return BrainState(*(np.full(len(times_s), value) for value in looked[0]))
        at, steps = times_s / _LOOK_S - first, np.arange(end - first)
        return BrainState(*(np.interp(at, steps, row) for row in np.array(looked).T))

    def _look(self, step: int) -> tuple[float, float, float, float]:
        """(depth, suppression, left, right) of the rhythms' scales at a step; the last ones are kept."""
        found = self._looked.get(step)
        if found is None:
            if len(self._looked) >= _KEPT:
                self._looked.clear()
            found = self._looked[step] = self._state(step)
        return found

    def _state(self, step: int) -> tuple[float, float, float, float]:
        at_s = max(step * _LOOK_S, 0.0)
        state = state_at(self._anaesthesia, at_s)
        left, right = (
            state.perfusion * passed(_HEMISPHERE, side, self._lesion, at_s)[0][0] for side in _SIDES
        )
        return min(_RHYTHM_DEPTH * state.depth, 1.0), state.flat_share, left, right


class Brain:
    """1/f EEG, half of its power common to the whole scalp, the rhythms, and the electrodes' thermal noise.

    `course` None: the background alone. Suppression takes all that scalp and strips see of the brain;
    ischaemia takes of the background what it takes of fast activity. Sample k speaks of time
    (k - delay_samples) / rate_hz.
    """

    def __init__(
        self,
        electrodes: tuple[str, ...],
        rate_hz: float,
        seed: int,
        course: BrainCourse | None = None,
        *,
        delay_samples: float = 0.0,
    ) -> None:
        places = [known(name) for name in electrodes]
        self._scalp = np.array([place for place, e in enumerate(places) if e.eeg > 0], dtype=np.intp)
        share = np.array([places[place].eeg for place in self._scalp])
        poles_hz = tuple(pole_hz for pole_hz in _EEG_POLES_HZ if pole_hz < 0.4 * rate_hz)
        gains = tuple(pole_hz**-0.5 for pole_hz in poles_hz)
        scale = _EEG_LEVEL / level_at(poles_hz, gains, rate_hz, 10.0)
        names = tuple(places[place].name for place in self._scalp)
        generators = [child(seed, "eeg", name) for name in names]
        self._own = OnePoleBank(generators, rate_hz, poles_hz, gains, scale * share)
        self._common = OnePoleBank([child(seed, "eeg common")], rate_hz, poles_hz, gains, scale)
        self._share = share[:, None]
        self._thermal = [child(seed, "thermal", name) for name in electrodes]
        self._thermal_uv = _THERMAL_LEVEL * np.sqrt(rate_hz / 2)
        self._side = hemispheres(names)
        self._course = course
        self._rhythms: SlowRhythms | None = None
        if course is not None and np.any(self._side < OFF_HEAD):
            self._rhythms = SlowRhythms(names, rate_hz, seed, course, delay_samples)
        self._gate = None if course is None or course.steady else SuppressionGate(seed, course)

    def suppressed(self, until_s: float) -> tuple[tuple[float, float], ...]:
        """Start and end of every suppression that begins before `until_s`."""
        return () if self._gate is None else self._gate.suppressed(until_s)

    def next_uv(self, times_s: Floats) -> Floats:
        """The next samples, shape (electrode, time)."""
        out = np.empty((len(self._thermal), len(times_s)))
        for row, generator in zip(out, self._thermal, strict=True):
            generator.standard_normal(out=row)
        out *= self._thermal_uv
        if len(self._scalp):
            eeg = self._own.rows(len(times_s))
            eeg += self._share * self._common.rows(len(times_s))
            if self._rhythms is not None:
                self._with_rhythms(eeg, times_s)
            out[self._scalp] += eeg
        return out

    def _with_rhythms(self, eeg: Floats, times_s: Floats) -> None:
        """Make all that the brain gives of its background `eeg` (electrode, time), in place."""
        if self._rhythms is None:
            return
        if self._gate is None or self._course is None:
            eeg += self._rhythms.rows(len(times_s))
            return
        state = self._course(times_s)
        left, right, whole = fast_share(state.left), fast_share(state.right), np.ones(len(times_s))
        if left.min() < 1.0 or right.min() < 1.0:
            eeg *= np.stack([left, right, 0.5 * (left + right), whole])[self._side]
        eeg += self._rhythms.rows(len(times_s))
        gate = self._gate.gain(times_s)
        if gate.min() < 1.0:
            eeg *= np.stack([gate, whole])[(self._side == OFF_HEAD).astype(np.intp)]
