"""Mains as the model patient's electrodes see it: one frequency that wanders, its harmonics, an imbalance.

Owns the cycles of the mains, so that all that hangs on them (loose leads, heaters) keeps step. Refuses to
know of filters and of what mains does to responses.
"""

import numpy as np
from numpy.typing import NDArray

from hw.model.stochastic import SlowWander, child, wander_phasors

Floats = NDArray[np.float64]

_COMMON_UV = 20.0
_IMBALANCE_UV = (1.0, 3.0)
HARMONICS = (1.0, 0.12, 0.35, 0.08, 0.2)
"""Size of each harmonic, 1 to 5."""
_WANDER_HZ = 0.05
_WANDER_SHARE = 0.12
_PERIODS_S = (23.0, 61.0, 149.0, 367.0)
_CARRIED = 0.45
"""Of the rate; what lies above is left out."""


class MainsCycles:
    """How many cycles the mains has gone through; the frequency wanders within 0.05 Hz.

    A closed form of time, the same for all who ask with the same seed.
    """

    def __init__(self, rate_hz: float, seed: int, chunk_samples: int, mains_hz: float) -> None:
        self._mains_hz, self._rate_hz = mains_hz, rate_hz
        n_periods = len(_PERIODS_S)
        # wander_phasors bounds the sum by rms * sqrt(2 n).
        frequency = wander_phasors(
            [child(seed, "mains drift")], n_periods, _WANDER_HZ / np.sqrt(2 * n_periods)
        )
        turn = 2j * np.pi / np.asarray(_PERIODS_S)
        self._wander = SlowWander(frequency / turn, _PERIODS_S, rate_hz, chunk_samples)

    def at(self, times_s: Floats) -> Floats:
        """Cycles at the times of one chunk."""
        cycles: Floats = self._mains_hz * times_s + self._wander.rows(float(times_s[0]))[0]
        return cycles

    def carried(self, harmonic: int) -> bool:
        """Whether the converter carries this harmonic."""
        return harmonic * self._mains_hz < _CARRIED * self._rate_hz


class Mains:
    """Mains with harmonics 1-5, all electrodes alike but for an imbalance of 1-3 uV each.

    The frequency wanders within 0.05 Hz and the amplitude by some tenths. Harmonics that the converter
    cannot carry are left out.
    """

    def __init__(
        self, electrodes: tuple[str, ...], rate_hz: float, seed: int, chunk_samples: int, mains_hz: float
    ) -> None:
        self.cycles = MainsCycles(rate_hz, seed, chunk_samples, mains_hz)
        levels = [level for harmonic, level in enumerate(HARMONICS, 1) if self.cycles.carried(harmonic)]
        self._harmonics = np.arange(1, len(levels) + 1)
        common = child(seed, "mains")
        phasors = np.empty((len(electrodes), len(levels)), dtype=np.complex128)
        phasors[:] = _COMMON_UV * np.exp(1j * common.uniform(0, 2 * np.pi, len(HARMONICS)))[: len(levels)]
        for row, name in zip(phasors, electrodes, strict=True):
            own = child(seed, "mains", name)
            size_uv = own.uniform(*_IMBALANCE_UV)
            row += size_uv * np.exp(1j * own.uniform(0, 2 * np.pi, len(HARMONICS)))[: len(levels)]
        phasors *= levels
        self._mix = np.hstack([phasors.real, -phasors.imag])
        size = wander_phasors([child(seed, "mains size")], len(_PERIODS_S), _WANDER_SHARE)
        self._size = SlowWander(size, _PERIODS_S, rate_hz, chunk_samples)

    def next_uv(self, times_s: Floats) -> Floats:
        """The next samples, shape (electrode, time)."""
        turn = np.exp(2j * np.pi * np.outer(self._harmonics, self.cycles.at(times_s)))
        size = 1 + self._size.rows(float(times_s[0]))[0]
        out: Floats = self._mix @ (np.vstack([turn.real, turn.imag]) * size)
        return out
