"""What the electrodes pick up without any stimulus: EEG, muscle, thermal noise, mains, electrode offsets,
electrosurgery (`hw.model.electrosurgery`).

Each source and each electrode has its own child seed, so that neither a source switched off nor another
choice of electrodes changes the rest. Refuses to know of evoked responses and of channels.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hw.model.body import REGIONS, known
from hw.model.electrosurgery import Pickup
from hw.model.scenario import Electrosurgery, NoiseChange
from hw.model.stochastic import BurstTrain, OnePoleBank, SlowWander, child, level_at, rms_of, wander_phasors

Floats = NDArray[np.float64]

# Poles an octave apart, with gains falling by the root of their frequency, make a power density of 1/f.
_EEG_POLES_HZ = tuple(0.25 * 2.0**octave for octave in range(13))
# One-sided density at 10 Hz in uV per root hertz: 2.6 uVrms each, own and common, in 30-1000 Hz.
_EEG_LEVEL = 0.45
# Resting muscle: first-order band-pass, the difference of two low-passes.
_EMG_POLES_HZ = (25.0, 300.0)
_EMG_GAINS = (-1.0, 1.0)
_EMG_SLOW_LOG_SD = 0.35
_BURSTS_PER_S = {region: 0.01 if region == "scalp" else 0.03 for region in REGIONS}
_NECK_TO_SCALP = 0.3
# sqrt(4 k T R) of a 5 kohm electrode at body temperature, in uV per root hertz.
_THERMAL_LEVEL = 0.00925
_MAINS_COMMON_UV = 20.0
_MAINS_IMBALANCE_UV = (1.0, 3.0)
_MAINS_HARMONICS = (1.0, 0.12, 0.35, 0.08, 0.2)
_MAINS_WANDER_HZ = 0.05
_MAINS_WANDER_SHARE = 0.12
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
    32) is a matter of speed only. Factors of `noise` leave `electrosurgery` alone. ValueError for an unknown
    electrode.
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
        chunk_samples: int = 256,
    ) -> None:
        self.chunk_samples = chunk_samples
        self._rate_hz = rate_hz
        self._delay_samples = delay_samples
        self._first = 0
        self._steps = np.arange(chunk_samples, dtype=np.float64)
        # In the order of the columns of `_factors`.
        self._sources: tuple[Source, ...] = (
            Muscle(electrodes, rate_hz, seed, chunk_samples),
            Mains(electrodes, rate_hz, seed, chunk_samples, mains_hz),
            Brain(electrodes, rate_hz, seed),
        )
        self._offset = Offset(electrodes, rate_hz, seed, chunk_samples)
        self._pickup = Pickup(electrodes, rate_hz, seed, chunk_samples, electrosurgery)
        steps = sorted(noise, key=lambda change: change.at_s)
        self._changes_s = np.array([step.at_s for step in steps])
        self._factors = np.array([(step.emg, step.mains, step.eeg) for step in (NORMAL, *steps)])

    def next_uv(self) -> Floats:
        """The next chunk in microvolts, shape (electrode, time)."""
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
        self._pickup.add_to(out, times_s)
        return out


class Brain:
    """1/f EEG, half of its power common to the whole scalp, and the electrodes' thermal noise."""

    def __init__(self, electrodes: tuple[str, ...], rate_hz: float, seed: int) -> None:
        places = [known(name) for name in electrodes]
        self._scalp = np.array([place for place, e in enumerate(places) if e.eeg > 0], dtype=np.intp)
        share = np.array([places[place].eeg for place in self._scalp])
        poles_hz = tuple(pole_hz for pole_hz in _EEG_POLES_HZ if pole_hz < 0.4 * rate_hz)
        gains = tuple(pole_hz**-0.5 for pole_hz in poles_hz)
        scale = _EEG_LEVEL / level_at(poles_hz, gains, rate_hz, 10.0)
        names = [places[place].name for place in self._scalp]
        generators = [child(seed, "eeg", name) for name in names]
        self._own = OnePoleBank(generators, rate_hz, poles_hz, gains, scale * share)
        self._common = OnePoleBank([child(seed, "eeg common")], rate_hz, poles_hz, gains, scale)
        self._share = share[:, None]
        self._thermal = [child(seed, "thermal", name) for name in electrodes]
        self._thermal_uv = _THERMAL_LEVEL * np.sqrt(rate_hz / 2)

    def next_uv(self, times_s: Floats) -> Floats:
        """The next samples, shape (electrode, time)."""
        out = np.empty((len(self._thermal), len(times_s)))
        for row, generator in zip(out, self._thermal, strict=True):
            generator.standard_normal(out=row)
        out *= self._thermal_uv
        if len(self._scalp):
            eeg = self._own.rows(len(times_s))
            eeg += self._share * self._common.rows(len(times_s))
            out[self._scalp] += eeg
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
        regions = [child(seed, "emg wander", region) for region in REGIONS]
        phasors = wander_phasors(regions, len(_SLOW_PERIODS_S), _EMG_SLOW_LOG_SD)
        self._wander = SlowWander(phasors, _SLOW_PERIODS_S, rate_hz, chunk_samples)
        self._bursts = [BurstTrain(child(seed, "bursts", r), _BURSTS_PER_S[r]) for r in REGIONS]

    def next_uv(self, times_s: Floats) -> Floats:
        """The next samples, shape (electrode, time)."""
        gain = np.exp(self._wander.rows(float(times_s[0])))
        excess = [train.excess(times_s) for train in self._bursts]
        neck = excess[REGIONS.index("neck")]
        for region, name in enumerate(REGIONS):
            own = excess[region]
            lift = 1.0 if own is None else 1.0 + own
            if name == "scalp" and neck is not None:
                lift = lift + _NECK_TO_SCALP * neck
            gain[region] *= lift
        out = self._noise.rows(len(times_s))
        out *= gain[self._region]
        return out


class Mains:
    """Mains with harmonics 1-5, all electrodes alike but for an imbalance of 1-3 uV each.

    The frequency wanders within 0.05 Hz and the amplitude by some tenths. Harmonics that the converter
    cannot carry are left out.
    """

    def __init__(
        self, electrodes: tuple[str, ...], rate_hz: float, seed: int, chunk_samples: int, mains_hz: float
    ) -> None:
        self._mains_hz = mains_hz
        levels = [
            level
            for harmonic, level in enumerate(_MAINS_HARMONICS, 1)
            if harmonic * mains_hz < 0.45 * rate_hz
        ]
        self._harmonics = np.arange(1, len(levels) + 1)
        common = child(seed, "mains")
        phasors = np.empty((len(electrodes), len(levels)), dtype=np.complex128)
        phasors[:] = (
            _MAINS_COMMON_UV * np.exp(1j * common.uniform(0, 2 * np.pi, len(_MAINS_HARMONICS)))[: len(levels)]
        )
        for row, name in zip(phasors, electrodes, strict=True):
            own = child(seed, "mains", name)
            size_uv = own.uniform(*_MAINS_IMBALANCE_UV)
            row += size_uv * np.exp(1j * own.uniform(0, 2 * np.pi, len(_MAINS_HARMONICS)))[: len(levels)]
        phasors *= levels
        self._mix = np.hstack([phasors.real, -phasors.imag])
        n_periods = len(_SLOW_PERIODS_S)
        drift = [child(seed, "mains drift")]
        # wander_phasors bounds the sum by rms * sqrt(2 n).
        frequency = wander_phasors(drift, n_periods, _MAINS_WANDER_HZ / np.sqrt(2 * n_periods))
        turn = 2j * np.pi / np.asarray(_SLOW_PERIODS_S)
        self._cycles = SlowWander(frequency / turn, _SLOW_PERIODS_S, rate_hz, chunk_samples)
        size = wander_phasors([child(seed, "mains size")], n_periods, _MAINS_WANDER_SHARE)
        self._size = SlowWander(size, _SLOW_PERIODS_S, rate_hz, chunk_samples)

    def next_uv(self, times_s: Floats) -> Floats:
        """The next samples, shape (electrode, time)."""
        start_s = float(times_s[0])
        cycles = self._mains_hz * times_s + self._cycles.rows(start_s)[0]
        turn = np.exp(2j * np.pi * np.outer(self._harmonics, cycles))
        size = 1 + self._size.rows(start_s)[0]
        out: Floats = self._mix @ (np.vstack([turn.real, turn.imag]) * size)
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
