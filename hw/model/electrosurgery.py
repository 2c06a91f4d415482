"""What electrodes pick up of electrosurgery: radio frequency that the amplifier's input demodulates.

Owns the interference as the converter sees it: white at its rate, half of its power common to all electrodes,
with steps when the knife comes and goes (facts/clinical.md 1.G). Refuses to know of saturation, which is the
chip's, and of burns. Each activation and each electrode has its own child seed.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hw.model.scenario import Electrosurgery
from hw.model.stochastic import SlowWander, child, wander_phasors

Floats = NDArray[np.float64]

_SHARE = (0.5, 1.5)
# Steps of several millivolts at the default level.
_STEP_OF_LEVEL = (1.0, 2.0)
_STEP_FADES_S = 0.05
_STEP_LASTS_S = 12 * _STEP_FADES_S
# How the tissue at the tip wanders: within a factor of 2 at most.
_WANDER_PERIODS_S = (0.19, 0.53, 1.7)
_WANDER_RMS = 0.2
# Coagulation comes in bursts, 20-30 thousand a second: one to thirty a sample, of very unequal size.
_BURST_LOG_SD = 0.6


class Pickup:
    """All activations of a scenario, on all electrodes; without any it adds nothing and costs nothing."""

    def __init__(
        self,
        electrodes: tuple[str, ...],
        rate_hz: float,
        seed: int,
        chunk_samples: int,
        activations: Sequence[Electrosurgery],
    ) -> None:
        self._parts = [
            _Activation(electrodes, rate_hz, seed, chunk_samples, number, activation)
            for number, activation in enumerate(activations)
        ]

    def add_to(self, uv: Floats, times_s: Floats) -> None:
        """Add microvolts to `uv` (electrode, time) in place; `times_s` of its columns, ascending."""
        for part in self._parts:
            part.add_to(uv, times_s)


class _Activation:
    """One press of the pedal."""

    def __init__(
        self,
        electrodes: tuple[str, ...],
        rate_hz: float,
        seed: int,
        chunk_samples: int,
        number: int,
        activation: Electrosurgery,
    ) -> None:
        self._start_s = activation.at_s
        self._end_s = activation.at_s + activation.for_s
        self._bursts = activation.mode == "coag"
        source = f"electrosurgery {number}"
        own = [child(seed, source, name) for name in electrodes]
        share = np.array([child(seed, "electrosurgery", name).uniform(*_SHARE) for name in electrodes])
        self._level_uv = (activation.level_uv * share)[:, None]
        signs = np.array([g.choice((-1.0, 1.0), 2) for g in own])
        steps = np.array([g.uniform(*_STEP_OF_LEVEL, 2) for g in own])
        self._steps_uv = self._level_uv * signs * steps
        self._white = [child(seed, source), *own]
        phasors = wander_phasors([child(seed, f"{source} wander")], len(_WANDER_PERIODS_S), _WANDER_RMS)
        self._wander = SlowWander(phasors, _WANDER_PERIODS_S, rate_hz, chunk_samples)

    def add_to(self, uv: Floats, times_s: Floats) -> None:
        """As `Pickup.add_to`."""
        if times_s[-1] < self._start_s or times_s[0] > self._end_s + _STEP_LASTS_S:
            return
        for at_s, step_uv in zip((self._start_s, self._end_s), self._steps_uv.T, strict=True):
            since_s = times_s - at_s
            seen = (since_s >= 0) & (since_s <= _STEP_LASTS_S)
            fading = np.where(seen, np.exp(-np.maximum(since_s, 0.0) / _STEP_FADES_S), 0.0)
            uv += np.outer(step_uv, fading)
        first, end = (int(k) for k in np.searchsorted(times_s, (self._start_s, self._end_s)))
        if first == end:
            return
        size = (1 + self._wander.rows(float(times_s[0]))[0, first:end]) / math.hypot(1.0, _WANDER_RMS)
        drawn = np.array([self._noise(generator, end - first) for generator in self._white])
        uv[:, first:end] += self._level_uv * size * ((drawn[0] + drawn[1:]) / math.sqrt(2.0))

    def _noise(self, generator: np.random.Generator, n_samples: int) -> Floats:
        """Noise of rms 1; drawn sample by sample, so that chunks leave no trace."""
        if not self._bursts:
            return generator.standard_normal(n_samples)
        white, size = generator.standard_normal((n_samples, 2)).T
        noise: Floats = white * np.exp(_BURST_LOG_SD * size - _BURST_LOG_SD**2)
        return noise
