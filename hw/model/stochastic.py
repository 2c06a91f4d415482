"""Seeded random processes by the chunk: coloured noise, slow wander, bursts, and their child seeds.

Each gives the same values whatever the chunk length: state is carried, random numbers are drawn in the order
of time. Refuses to know of electrodes or of microvolts.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Inside the recursion, samples are taken in blocks so small that the matrix products stay on one core.
BLOCK_SAMPLES = 32


def child(seed: int, source: str, name: str = "") -> np.random.Generator:
    """The generator of one `source` at one place; no other source's draws can shift it."""
    entropy = (seed, zlib.crc32(source.encode()), zlib.crc32(name.encode()))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


class OnePoleBank:
    """White noise through a sum of one-pole low-passes of unit DC gain, one row per generator.

    `poles_hz` and `gains` shape the spectrum, `scale` the level (scalar, or one per row). The recursion runs
    by blocks as matrix products, starts in its stationary state and knows no chunk borders.
    """

    def __init__(
        self,
        generators: Sequence[np.random.Generator],
        rate_hz: float,
        poles_hz: Sequence[float],
        gains: Sequence[float],
        scale: Floats | float,
    ) -> None:
        self._generators = tuple(generators)
        self._scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), (len(self._generators),))[:, None]
        pole = np.exp(-2 * np.pi * np.asarray(poles_hz) / rate_hz)
        gain = np.asarray(gains, dtype=np.float64)
        lag = np.arange(BLOCK_SAMPLES)
        impulse = (pole[:, None] ** lag * ((1 - pole) * gain)[:, None]).sum(axis=0)
        late = lag[None, :] - lag[:, None]
        self._direct = np.where(late >= 0, impulse[np.abs(late)], 0.0)
        self._ring = gain[:, None] * pole[:, None] ** (lag + 1)
        self._feed = ((1 - pole)[:, None] * pole[:, None] ** lag[::-1]).T.copy()
        self._decay = pole**BLOCK_SAMPLES
        covariance = np.outer(1 - pole, 1 - pole) / (1 - np.outer(pole, pole))
        root = np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance)))
        start = np.array([generator.standard_normal(len(pole)) for generator in self._generators])
        self._state = start.reshape(len(self._generators), len(pole)) @ root.T

    def rows(self, n_samples: int) -> Floats:
        """The next `n_samples` (a multiple of BLOCK_SAMPLES) of every row, shape (row, time)."""
        n_rows, n_blocks = len(self._generators), n_samples // BLOCK_SAMPLES
        white = np.empty((n_rows, n_samples))
        for row, generator in zip(white, self._generators, strict=True):
            generator.standard_normal(out=row)
        blocks = white.reshape(n_rows * n_blocks, BLOCK_SAMPLES)
        feed = (blocks @ self._feed).reshape(n_rows, n_blocks, len(self._decay))
        states = np.empty_like(feed)
        state = self._state
        for block in range(n_blocks):
            states[:, block] = state
            state = state * self._decay + feed[:, block]
        self._state = state
        out = blocks @ self._direct
        out += states.reshape(n_rows * n_blocks, -1) @ self._ring
        return np.multiply(out.reshape(n_rows, n_samples), self._scale)


def level_at(poles_hz: Sequence[float], gains: Sequence[float], rate_hz: float, at_hz: float) -> float:
    """Square root of a bank's one-sided power density at `at_hz` for `scale` 1, in units per root hertz."""
    pole = np.exp(-2 * np.pi * np.asarray(poles_hz) / rate_hz)
    turn = np.exp(-2j * np.pi * at_hz / rate_hz)
    response = np.sum(np.asarray(gains) * (1 - pole) / (1 - pole * turn))
    return float(np.abs(response) * np.sqrt(2 / rate_hz))


def rms_of(poles_hz: Sequence[float], gains: Sequence[float], rate_hz: float) -> float:
    """The rms of a bank's output for `scale` 1."""
    pole = np.exp(-2 * np.pi * np.asarray(poles_hz) / rate_hz)
    weight = np.asarray(gains) * (1 - pole)
    return float(np.sqrt(np.sum(np.outer(weight, weight) / (1 - np.outer(pole, pole)))))


class SlowWander:
    """Smooth wander without end: sums of slow sines, one row per row of `phasors` (row, period), complex.

    A closed form in time, so that it needs no state; its integral is the same sum with other phasors.
    """

    def __init__(
        self, phasors: NDArray[np.complex128], periods_s: Sequence[float], rate_hz: float, n_samples: int
    ) -> None:
        self._phasors = phasors
        self._turn = 2j * np.pi / np.asarray(periods_s)
        self._basis = np.exp(self._turn[:, None] * np.arange(n_samples) / rate_hz)

    def rows(self, start_s: float) -> Floats:
        """Every row from `start_s` on, shape (row, time), real."""
        return ((self._phasors * np.exp(self._turn * start_s)) @ self._basis).real


def wander_phasors(
    generators: Sequence[np.random.Generator], n_periods: int, rms: float
) -> NDArray[np.complex128]:
    """Equal sines of random phase, `rms` in sum and at most `rms` sqrt(2 periods): (generator, period)."""
    phase = np.array([generator.uniform(0, 2 * np.pi, n_periods) for generator in generators])
    phasors: NDArray[np.complex128] = rms * np.sqrt(2 / n_periods) * np.exp(1j * phase)
    return phasors.reshape(len(generators), n_periods)


@dataclass(frozen=True, slots=True)
class Burst:
    """Noise raised `gain`-fold from `start_s` to `end_s`, with ramps at both ends."""

    start_s: float
    end_s: float
    gain: float


class BurstTrain:
    """Bursts at random (Poisson) times: 2-12 fold for 0.3-3 s as in facts/dsp.md 3.1 "typical"."""

    RAMP_S = 0.05

    def __init__(self, generator: np.random.Generator, bursts_per_s: float) -> None:
        self._generator = generator
        self._gap_s = 1 / bursts_per_s
        self._next_s = generator.exponential(self._gap_s)
        self._open: list[Burst] = []

    def until(self, start_s: float, end_s: float) -> list[Burst]:
        """Bursts that touch `start_s` to `end_s`; to be asked with ascending times."""
        while self._next_s < end_s:
            length_s = self._generator.uniform(0.3, 3.0)
            gain = float(np.exp(self._generator.uniform(np.log(2.0), np.log(12.0))))
            self._open.append(Burst(self._next_s, self._next_s + length_s, gain))
            self._next_s += self._generator.exponential(self._gap_s)
        self._open = [burst for burst in self._open if burst.end_s > start_s]
        return [burst for burst in self._open if burst.start_s < end_s]

    def excess(self, times_s: Floats) -> Floats | None:
        """What the bursts add to a gain of 1 at ascending `times_s`; None when all is quiet."""
        bursts = self.until(float(times_s[0]), float(times_s[-1]))
        if not bursts:
            return None
        total = np.zeros_like(times_s)
        for burst in bursts:
            edge_s = np.minimum(times_s - burst.start_s, burst.end_s - times_s)
            total += (burst.gain - 1) * np.clip(edge_s / self.RAMP_S, 0.0, 1.0)
        return total
