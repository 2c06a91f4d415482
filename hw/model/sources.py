"""What the electrodes pick up without any stimulus: the sum of all sources.

Owns resting muscle and electrode offsets; the other sources have files of their own. Each source and each
electrode has its own child seed, so that neither a source switched off nor another choice of electrodes
changes the rest. Refuses to know of evoked responses and of channels.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hw.model.body import REGIONS, known
from hw.model.brain import Brain, BrainCourse
from hw.model.contacts import Contacts, ElectrodeChange
from hw.model.discharges import Discharge
from hw.model.electrosurgery import Pickup
from hw.model.heart import Ecg, Heart
from hw.model.interference import Interference, Machines
from hw.model.mains import Mains
from hw.model.motor_units import FreeEmg
from hw.model.scenario import Electrosurgery, NoiseChange
from hw.model.stochastic import BurstTrain, OnePoleBank, SlowWander, child, rms_of, wander_phasors

Floats = NDArray[np.float64]

# Resting muscle: first-order band-pass, the difference of two low-passes.
_EMG_POLES_HZ = (25.0, 300.0)
_EMG_GAINS = (-1.0, 1.0)
_EMG_SLOW_LOG_SD = 0.35
_BURSTS_PER_S = {region: 0.01 if region == "scalp" else 0.03 for region in REGIONS}
_NECK_TO_SCALP = 0.3
_OFFSET_MV = (10.0, 60.0)
_DRIFT_UV = 150.0
_SLOW_PERIODS_S = (23.0, 61.0, 149.0, 367.0)

NORMAL = NoiseChange(0.0)


class Source(Protocol):
    """One kind of noise, told the times of its next samples (a chunk, contiguous and ascending)."""

    def next_uv(self, times_s: Floats) -> Floats:
        """The next samples in a new array, shape (electrode, time)."""


class Background:
    """All that is there without a stimulus, chunk by chunk.

    `delay_samples`: row k speaks of time (k - delay_samples) / rate_hz. The chunk length (a multiple of
    32) is a matter of speed only. `brain` None: EEG without rhythms. Factors of `noise` leave all but resting
    muscle, mains and EEG alone. Truth: `brain`, `emg` and `heart`. ValueError for an unknown electrode.
    """

    def __init__(
        self,
        electrodes: tuple[str, ...],
        rate_hz: float,
        seed: int,
        *,
        delay_samples: float,
        mains_hz: float,
        noise: Sequence[NoiseChange] = (),
        electrosurgery: Sequence[Electrosurgery] = (),
        brain: BrainCourse | None = None,
        emg: Sequence[Discharge] = (),
        heart: Sequence[Heart] = (),
        electrode: Sequence[ElectrodeChange] = (),
        interference: Sequence[Interference] = (),
        chunk_samples: int = 256,
    ) -> None:
        self.chunk_samples = chunk_samples
        self._rate_hz = rate_hz
        self._delay_samples = delay_samples
        self._first = 0
        self._steps = np.arange(chunk_samples, dtype=np.float64)
        mains = Mains(electrodes, rate_hz, seed, chunk_samples, mains_hz)
        self.brain = Brain(electrodes, rate_hz, seed, brain, delay_samples=delay_samples)
        # In the order of the columns of `_factors`.
        self._sources: tuple[Source, ...] = (
            Muscle(electrodes, rate_hz, seed, chunk_samples),
            mains,
            self.brain,
        )
        self._offset = Offset(electrodes, rate_hz, seed, chunk_samples)
        self.emg = FreeEmg(electrodes, rate_hz, seed, chunk_samples, emg)
        self.heart = Ecg(electrodes, seed, heart)
        self._contacts = Contacts(electrodes, rate_hz, seed, chunk_samples, mains.cycles, electrode)
        self._machines = Machines(electrodes, rate_hz, seed, chunk_samples, mains.cycles, interference)
        self._pickup = Pickup(electrodes, rate_hz, seed, chunk_samples, electrosurgery)
        self.touching: Floats | None = None
        steps = sorted(noise, key=lambda change: change.at_s)
        self._changes_s = np.array([step.at_s for step in steps])
        self._factors = np.array([(step.emg, step.mains, step.eeg) for step in (NORMAL, *steps)])

    def next_uv(self) -> Floats:
        """The next chunk in microvolts, shape (electrode, time).

        `touching` then tells, in the same shape, 1 where an electrode touches the body, else 0; None: all do.
        """
        times_s = (self._first - self._delay_samples + self._steps) / self._rate_hz
        self._first += self.chunk_samples
        out = self._offset.next_uv(times_s)
        # What was set at 0 s is meant for the rows before it too, whose input lies before index 0.
        state = np.searchsorted(self._changes_s, np.maximum(times_s, 0.0), side="right")
        steady = state[0] == state[-1]
        for kind, source in enumerate(self._sources):
            factor = self._factors[state[0], kind] if steady else self._factors[state, kind]
            part = source.next_uv(times_s)
            part *= factor
            out += part
        self.emg.add_to(out, times_s)
        self.heart.add_to(out, times_s)
        self.touching = self._contacts.replace(out, times_s)
        self._machines.add_to(out, times_s)
        self._pickup.add_to(out, times_s)
        return out


class Muscle:
    """Resting muscle activity, waxing and waning slowly, with bursts that a body region shares."""

    def __init__(self, electrodes: tuple[str, ...], rate_hz: float, seed: int, chunk_samples: int) -> None:
        places = [known(name) for name in electrodes]
        poles_hz = tuple(min(pole_hz, 0.4 * rate_hz) for pole_hz in _EMG_POLES_HZ)
        scale = np.array([e.emg_uv for e in places]) / rms_of(poles_hz, _EMG_GAINS, rate_hz)
        generators = [child(seed, "emg", name) for name in electrodes]
        self._noise = OnePoleBank(generators, rate_hz, poles_hz, _EMG_GAINS, scale)
        self._region = np.array([REGIONS.index(e.region) for e in places])
        self._needles = np.array([k for k, e in enumerate(places) if e.bursts != 1.0], dtype=np.intp)
        self._share = np.array([e.bursts for e in places if e.bursts != 1.0])[:, None]
        regions = [child(seed, "emg wander", region) for region in REGIONS]
        phasors = wander_phasors(regions, len(_SLOW_PERIODS_S), _EMG_SLOW_LOG_SD)
        self._wander = SlowWander(phasors, _SLOW_PERIODS_S, rate_hz, chunk_samples)
        self._bursts = [BurstTrain(child(seed, "bursts", r), _BURSTS_PER_S[r]) for r in REGIONS]

    def next_uv(self, times_s: Floats) -> Floats:
        """The next samples, shape (electrode, time)."""
        gain = np.exp(self._wander.rows(float(times_s[0])))
        needles = gain[self._region[self._needles]]
        excess = [train.excess(times_s) for train in self._bursts]
        neck = excess[REGIONS.index("neck")]
        for region, name in enumerate(REGIONS):
            own = excess[region]
            lift = 1.0 if own is None else 1.0 + own
            if name == "scalp" and neck is not None:
                lift = lift + _NECK_TO_SCALP * neck
            gain[region] *= lift
            mine = self._region[self._needles] == region
            if mine.any():
                needles[mine] *= 1.0 + self._share[mine] * (lift - 1.0)
        out = self._noise.rows(len(times_s))
        every = gain[self._region]
        every[self._needles] = needles
        out *= every
        return out


class Offset:
    """Half-cell potential of every electrode: tens of millivolts, and a drift of some hundred microvolts."""

    def __init__(self, electrodes: tuple[str, ...], rate_hz: float, seed: int, chunk_samples: int) -> None:
        generators = [child(seed, "offset", name) for name in electrodes]
        sizes = [g.uniform(*_OFFSET_MV) * g.choice((-1.0, 1.0)) for g in generators]
        self._offset_uv = 1000.0 * np.array(sizes)[:, None]
        phasors = wander_phasors(generators, len(_SLOW_PERIODS_S), _DRIFT_UV)
        self._drift = SlowWander(phasors, _SLOW_PERIODS_S, rate_hz, chunk_samples)

    def next_uv(self, times_s: Floats) -> Floats:
        """The next samples, shape (electrode, time)."""
        return self._offset_uv + self._drift.rows(float(times_s[0]))
