"""The path of the mains phase through blocks of samples, and what each channel shows of it: one fit for all.

The inside of `dsp.mains_fit`: blocks' sums in, path and coefficients out. Knows no sample.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Mains may be off by so much, and drift by so much: what a fit expects before it has seen anything.
OFF_SD_HZ, DRIFT_HZ_PER_ROOT_S = 0.05, 0.009
# Noise near mains is denser than over the whole band, by about so much: phases count so much less.
INFORMATION = 0.25
SCAN_HZ = np.arange(-20, 21) * 0.01
# A channel is fitted when this share of the memory says something.
LEAST_FILLED = 0.5


@dataclass(frozen=True, slots=True)
class Block:
    """Sums of one block around sample `middle`: `normal` (2 harmonic, 2 harmonic) and `sums` (2 harmonic,
    channel), cosines before sines; `power` (channel,) beside mains, inf where the block says nothing; what
    subtracting the fit of then took out, `gain` (harmonic, channel)."""

    middle: float
    normal: Floats
    sums: Floats
    power: Floats
    gain: Floats


class Path:
    """The phase of mains over time, h times it for harmonic h, and what each channel shows of it.

    Phase at sample m: 2 pi f m / rate + a(m), `_bends` a at the blocks' middles `_at`, straight between and
    behind them; its slope a random walk near 0. `coefficients` (2 harmonic, channel): cosines, then sines,
    microvolts.
    """

    def __init__(self, rate_hz: float, mains_hz: float, harmonics: int, channels: int) -> None:
        self._rate_hz, self._centre_hz = rate_hz, mains_hz
        self.order = np.arange(1, harmonics + 1, dtype=np.float64)
        self._shape = (harmonics, channels)
        self.forget()

    def forget(self) -> None:
        """Nothing is known."""
        harmonics, channels = self._shape
        self._at, self._bends, self._found = np.array([0.0, 1.0]), np.zeros(2), False
        self.coefficients = np.zeros((2 * harmonics, channels))
        self.harms = np.zeros((harmonics, channels), dtype=np.bool_)
        self.last = np.full(channels, -np.inf)

    @property
    def hz(self) -> float:
        """The frequency now."""
        return self._centre_hz + self._slope * self._rate_hz / (2 * np.pi)

    @property
    def _slope(self) -> float:
        """Radians a sample behind the last block."""
        return float((self._bends[-1] - self._bends[-2]) / (self._at[-1] - self._at[-2]))

    def age_s(self, index: int) -> Floats:
        """Seconds (channel,) since the fit of each channel."""
        return (index - self.last) / self._rate_hz

    def centre(self, hz: float) -> None:
        """Look around `hz`; the path stays."""
        turns = np.fmod((hz - self._centre_hz) * self._at[0] / self._rate_hz, 1.0)
        turns = turns + (hz - self._centre_hz) * (self._at - self._at[0]) / self._rate_hz
        self._bends = self._bends - 2 * np.pi * turns
        self._centre_hz = hz

    def _bend(self, middle: Floats) -> Floats:
        behind = np.maximum(middle - self._at[-1], 0.0) * self._slope
        return np.asarray(np.interp(middle, self._at, self._bends) + behind)

    def _phase(self, middle: Floats) -> Floats:
        turns = np.fmod(self._centre_hz * middle / self._rate_hz, 1.0)
        return np.asarray(2 * np.pi * turns + self._bend(middle))

    def local(self, middle: float) -> Floats:
        """Coefficients (2 harmonic, channel) of the block around `middle`."""
        (c,), (s,) = self._turned(np.array([middle]))
        h = len(self.order)
        cosines, sines = self.coefficients[:h], self.coefficients[h:]
        c, s = c[:, None], s[:, None]
        return np.concatenate([c * cosines + s * sines, c * sines - s * cosines])

    def _turned(self, middle: Floats) -> tuple[Floats, Floats]:
        turned = np.outer(self._phase(middle), self.order)
        return np.cos(turned), np.sin(turned)

    def gain(self, local: Floats, normal: Floats, sums: Floats) -> Floats:
        """Sum of squares (harmonic, channel) that subtracting what was foretold takes out of a block."""
        taken = local * (2 * sums - normal @ local)
        return np.asarray(taken.reshape(2, *self._shape).sum(axis=0))

    def fit(self, ring: list[Block], number: int) -> Bools:
        """Fit path and coefficients to the blocks of `ring`; which channels (channel,) it could fit."""
        power = np.array([block.power for block in ring])
        weight = _weights(power)
        fits = np.asarray(weight.any(axis=0))
        if not fits.any():
            return fits
        middle = np.array([block.middle for block in ring])
        normal = np.array([block.normal for block in ring])
        sums = np.array([block.sums for block in ring])
        gain = np.einsum("khc,kc->hc", np.array([block.gain for block in ring]), weight)
        self._bends, self._at = self._bend(middle), middle
        self._bends = self._bends - 2 * np.pi * np.floor(self._bends[0] / (2 * np.pi))
        rounds = 1
        if not self._found or (number % 20 == 0 and gain.sum() < 0):
            self._scan(middle, sums, weight)
            for block in ring:
                block.gain[:] = 0.0
            gain[:] = 0.0
            self.last[:] = -np.inf
            self._found, rounds = True, 5
        for _ in range(rounds):
            self._refine(middle, normal, sums, weight, fits)
        self._solve(*self._rotated(middle, normal, sums), weight, fits)
        self.harms = gain < 0
        said = weight > 0.1 * weight.max(axis=0)
        last = middle[len(middle) - 1 - np.argmax(said[::-1], axis=0)]
        self.last[fits] = last[fits]
        return fits

    def _scan(self, middle: Floats, sums: Floats, weight: Floats) -> None:
        """The frequency off the centre at which the harmonics of all blocks add up to most."""
        self._bends = np.zeros(len(middle))
        cosines, sines = np.split(sums, 2, axis=1)
        c, s = self._turned(middle)
        line = (cosines - 1j * sines) * (c - 1j * s)[:, :, None] * np.sqrt(weight)[:, None, :]
        t = (middle - middle[-1]) / self._rate_hz
        most = -1.0
        for off in SCAN_HZ:
            turn = np.exp(-2j * np.pi * off * np.outer(t, self.order))
            found = float((np.abs(np.einsum("kh,khc->hc", turn, line)) ** 2).sum())
            if found > most:
                most, self._bends = found, 2 * np.pi * off * t

    def _rotated(self, middle: Floats, normal: Floats, sums: Floats) -> tuple[Floats, Floats]:
        """Normal matrices and sums in terms of the path's phase."""
        c, s = self._turned(middle)
        turn = np.zeros_like(normal)
        h = np.arange(len(self.order))
        n = len(h)
        turn[:, h, h] = turn[:, n + h, n + h] = c
        turn[:, h, n + h], turn[:, n + h, h] = s, -s
        back = turn.transpose(0, 2, 1)
        return back @ normal @ turn, back @ sums

    def _solve(self, normal: Floats, sums: Floats, weight: Floats, fits: Bools) -> None:
        total = np.einsum("kij,kc->cij", normal, weight[:, fits])
        right = np.einsum("kic,kc->ci", sums[:, :, fits], weight[:, fits])
        self.coefficients[:, fits] = np.linalg.solve(total, right[:, :, None])[:, :, 0].T

    def _refine(self, middle: Floats, normal: Floats, sums: Floats, weight: Floats, fits: Bools) -> None:
        """One Gauss-Newton step of the path, the coefficients solved for before it."""
        normal, sums = self._rotated(middle, normal, sums)
        self._solve(normal, sums, weight, fits)
        cosines, sines = np.split(self.coefficients, 2)
        slope = np.concatenate([sines, -cosines]) * np.tile(self.order, 2)[:, None]
        score = np.einsum("kic,ic,kc->k", sums - normal @ self.coefficients, slope, weight)
        sharp = np.einsum("kic,ic,kc->k", normal @ slope, slope, weight)
        stiff = _stiffness(tuple(np.diff(middle / self._rate_hz).tolist()))
        information = stiff + np.diag(INFORMATION * sharp)
        self._bends += np.linalg.solve(information, INFORMATION * score - stiff @ self._bends)


@lru_cache(maxsize=4)
def _stiffness(steps_s: tuple[float, ...]) -> Floats:
    """Information (block, block) on the phase at blocks so far apart: slopes near 0, a random walk."""
    step = np.array(steps_s)
    slopes = np.zeros((len(step), len(step) + 1))
    k = np.arange(len(step))
    slopes[k, k], slopes[k, k + 1] = -1.0 / step, 1.0 / step
    changes = np.diff(slopes, axis=0)
    of_change = 1.0 / ((2 * np.pi * DRIFT_HZ_PER_ROOT_S) ** 2 * 0.5 * (step[1:] + step[:-1]))
    of_slope = step / step.sum() / (2 * np.pi * OFF_SD_HZ) ** 2
    return np.asarray(
        changes.T @ (changes * of_change[:, None])
        + slopes.T @ (slopes * of_slope[:, None])
        + 1e-9 * np.eye(len(step) + 1)
    )


def _weights(power: Floats) -> Floats:
    """1 / `power` (block, channel), no block above four times the median's; 0 for a channel of too few."""
    blocks = len(power)
    usable = np.isfinite(power)
    count = usable.sum(axis=0)
    middle = np.sort(power, axis=0)[np.minimum(count // 2, blocks - 1), np.arange(power.shape[1])]
    floor = np.where(np.isfinite(middle), middle / 4.0, 1.0)
    weight = np.where(usable, 1.0 / np.maximum(np.where(usable, power, 1.0), floor), 0.0)
    total, squares = weight.sum(axis=0), (weight * weight).sum(axis=0)
    effective = total * total / np.where(squares > 0.0, squares, 1.0)
    enough = (count >= LEAST_FILLED * blocks) & (effective >= 0.5 * LEAST_FILLED * blocks)
    return np.asarray(np.where(enough, weight, 0.0))
