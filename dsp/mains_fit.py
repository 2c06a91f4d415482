"""Mains taken out of the samples, by choice: fundamental and harmonics fitted over ten seconds, subtracted.

Blocks of a tenth of a second lie at fixed sample indices. Each gives the least-squares sums of its harmonics,
with a parabola taken out; the last ten seconds of them give one path of the mains phase (smooth, shared by
the channels) and an amplitude and phase per channel and harmonic. What they foretell is subtracted
from the samples that follow. Causal; no sample is delayed. Refuses to fit less than ten seconds: what a fit
on one sweep adds in noise exceeds what it removes (facts/dsp.md 3.2). Refuses to know of stimuli: who gives
them tells the spans that hold a response (`exclude`), or at a locked rate the response is taken for mains.

Twin and formulas: `dsp.reference_mains`.
"""

import math
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsp.mains import HARMONICS
from dsp.mains_sums import BLOCK_S, Sums

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_MEMORY_S = 10.0
# Blocks from one fit to the next.
FIT_EVERY = 5
# Mains may be off by so much, and drift by so much: what a fit expects before it has seen anything.
OFF_SD_HZ, DRIFT_HZ_PER_ROOT_S = 0.05, 0.009
# Noise near mains is denser than over the whole band, by about so much: phases count so much less.
INFORMATION = 0.25
SCAN_HZ = np.arange(-20, 21) * 0.01
# Power of a block over the running level: beyond it the block says nothing of mains.
MOST_POWER = 100.0
LEVEL_BLOCKS = 300.0
# A channel is fitted when this share of the memory says something. A fit holds for so long behind the last
# block that did: then phase has wandered too far, and samples pass unchanged until blocks come again.
LEAST_FILLED = 0.5
HOLD_S = 2.0
# The waves of a block are made anew when mains is so far from where they are.
RETUNE_HZ = 0.02


@dataclass(frozen=True, slots=True)
class MainsFitted:
    """What is subtracted at present: the mains frequency, peak microvolts (channel, harmonic), and which
    channels are `believable` (channel,): on the others samples pass unchanged."""

    hz: float
    amplitude_uv: Floats
    believable: Bools


class MainsFit:
    """Takes mains out of `channels` channels of `rate_hz` samples a second.

    `mains_hz` is nominal or measured (within 0.2 Hz). ValueError for a memory under ten seconds, no channel,
    or a rate that does not carry the fundamental.
    """

    def __init__(
        self,
        rate_hz: float,
        mains_hz: float,
        channels: int,
        memory_s: float = LEAST_MEMORY_S,
        harmonics: int = HARMONICS,
    ) -> None:
        if not (math.isfinite(memory_s) and memory_s >= LEAST_MEMORY_S):
            raise ValueError(f"a memory of {memory_s:g} s is under {LEAST_MEMORY_S:g}: it would add noise")
        if not (math.isfinite(rate_hz) and math.isfinite(mains_hz) and 0 < mains_hz <= 0.45 * rate_hz):
            raise ValueError(f"{rate_hz:g} SPS do not carry mains of {mains_hz:g} Hz")
        if channels < 1 or harmonics < 1:
            raise ValueError(f"{channels} channels and {harmonics} harmonics are nothing to fit")
        self._rate_hz, self._hz = rate_hz, mains_hz
        self._blocks = round(memory_s / BLOCK_S)
        count = min(harmonics, int(0.45 * rate_hz / mains_hz))
        self._sums = Sums(rate_hz, mains_hz, count)
        self._path = _Path(rate_hz, mains_hz, count, channels)
        self._block = self._sums.samples
        self._buffer = np.empty((self._block, channels))
        self._channels = channels
        self.restart(0)
        self._forget(0)

    @property
    def ready(self) -> Bools:
        """Channels (channel,) whose mains is subtracted at present; never before the memory is full once."""
        return np.asarray(self._believed & (self._path.age_s(self.end) <= HOLD_S))

    @property
    def fitted(self) -> MainsFitted:
        """The fit as it stands."""
        h = len(self._path.order)
        size = np.hypot(self._path.coefficients[:h], self._path.coefficients[h:]).T
        return MainsFitted(self._path.hz, np.where(self._believed[:, None], size, 0.0), self.ready)

    def follow(self, hz: float) -> None:
        """Mains is measured elsewhere to be at `hz`: looked for around it from the next fit on."""
        if math.isfinite(hz) and 0 < hz <= 0.45 * self._rate_hz:
            self._path.centre(hz)

    def exclude(self, first: int, end: int) -> None:
        """Samples from `first` until before `end` hold a response or an artifact: kept out of the fit, not
        out of the subtraction. To be told before those samples come."""
        if end > first:
            self._excluded.append((first, end))

    def restart(self, index: int) -> None:
        """Go on at sample `index`: start of a recording, or the first sample after a gap.

        The sample index is the clock: after a gap of ten seconds at most the memory holds and, up to HOLD_S,
        the subtraction; else it begins anew.
        """
        if not 0 <= index - getattr(self, "end", index + 1) <= LEAST_MEMORY_S * self._rate_hz:
            self._forget(index)
        self.end = index
        self._from = index  # a block that begins before is not whole
        self._predict()

    def _forget(self, index: int) -> None:
        self.end = index
        self._ring: deque[_Block] = deque(maxlen=self._blocks)
        self._excluded: deque[tuple[int, int]] = deque()
        self._level = np.full(self._channels, np.nan)
        self._believed = np.zeros(self._channels, dtype=np.bool_)
        self._path.forget()

    def run(self, x: Floats) -> Floats:
        """The next contiguous samples x (time, channel) in microvolts without mains; a new array."""
        out = np.array(x, dtype=np.float64)
        at = 0
        while at < len(out):
            row = self.end % self._block
            part = out[at : at + self._block - row]
            self._buffer[row : row + len(part)] = part
            part -= self._predicted[row : row + len(part)]
            self.end += len(part)
            at += len(part)
            if self.end % self._block == 0:
                self._complete()
        return out

    def _complete(self) -> None:
        """A block of the grid has ended: take its sums, fit when it is time, foretell the next block."""
        first = self.end - self._block
        if first >= self._from:
            self._take(first)
            if self.end // self._block % FIT_EVERY == 0 and len(self._ring) == self._blocks:
                fits = self._path.fit(list(self._ring), self.end // self._block // FIT_EVERY)
                self._believed |= fits
                if abs(self._path.hz - self._sums.hz) > RETUNE_HZ:
                    self._sums = Sums(self._rate_hz, self._path.hz, len(self._path.order))
        self._predict()

    def _take(self, first: int) -> None:
        used = np.ones(self._block, dtype=np.bool_)
        while self._excluded and self._excluded[0][1] <= first:
            self._excluded.popleft()
        for start, end in self._excluded:
            used[max(0, start - first) : max(0, end - first)] = False
        normal, sums, power = self._sums.of(self._buffer, used)
        finite = np.isfinite(power)
        with np.errstate(invalid="ignore"):
            off = power > MOST_POWER * self._level  # False while there is no level
        power[off] = np.where(off, power, 0.0)[off]
        self._follow_level(power, finite)
        power[off] = np.inf
        sums[:, off] = 0.0
        middle = first + (self._block - 1) / 2
        if not np.isfinite(power).any():
            return  # says nothing of any channel: the memory is of what does
        while self._ring and self._ring[0].middle < first - 2 * self._blocks * self._block:
            self._ring.popleft()
        self._ring.append(_Block(middle, normal, sums, power, self._path.gain(self._foretold, normal, sums)))

    def _follow_level(self, power: Floats, finite: Bools) -> None:
        """The level (channel,) moves by at most a factor of e in LEVEL_BLOCKS, so no burst is soon normal."""
        fresh = finite & np.isnan(self._level)
        self._level[fresh] = power[fresh]
        known = finite & ~fresh
        step = np.clip(np.log(power[known] / self._level[known]), -1.0, 1.0)
        self._level[known] *= np.exp(step / LEVEL_BLOCKS)

    def _predict(self) -> None:
        """Foretell the block that holds sample `end`."""
        first = self.end // self._block * self._block
        self._foretold = self._path.local(first + (self._block - 1) / 2)
        local = self._foretold.reshape(2, -1, self._channels)
        local = np.where(self.ready & ~self._path.harms, local, 0.0)
        self._predicted = self._sums.waves @ local.reshape(-1, self._channels)


@dataclass(frozen=True, slots=True)
class _Block:
    """Sums of one block around sample `middle`: `normal` (2 harmonic, 2 harmonic) and `sums` (2 harmonic,
    channel), cosines before sines; `power` (channel,) beside mains, inf where the block says nothing; what
    subtracting the fit of then took out, `gain` (harmonic, channel)."""

    middle: float
    normal: Floats
    sums: Floats
    power: Floats
    gain: Floats


class _Path:
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
        self._last = np.full(channels, -np.inf)

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
        return (index - self._last) / self._rate_hz

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

    def fit(self, ring: list[_Block], number: int) -> Bools:
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
            self._last[:] = -np.inf
            self._found, rounds = True, 5
        for _ in range(rounds):
            self._refine(middle, normal, sums, weight, fits)
        self._solve(*self._rotated(middle, normal, sums), weight, fits)
        self.harms = gain < 0
        said = weight > 0.1 * weight.max(axis=0)
        last = middle[len(middle) - 1 - np.argmax(said[::-1], axis=0)]
        self._last[fits] = last[fits]
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
