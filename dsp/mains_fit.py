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

import numpy as np
from numpy.typing import NDArray

from dsp.mains import HARMONICS
from dsp.mains_path import Block, Path
from dsp.mains_sums import BLOCK_S, Sums

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_MEMORY_S = 10.0
# Blocks from one fit to the next.
FIT_EVERY = 5
# Power of a block over the running level: beyond it the block says nothing of mains.
MOST_POWER = 100.0
LEVEL_BLOCKS = 300.0
# A fit holds for so long behind the last block that said something: then phase has wandered too far, and
# samples pass unchanged until blocks come again.
HOLD_S = 2.0
FITS_KEPT_S = 30.0
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
        self._path = Path(rate_hz, mains_hz, count, channels)
        self._block = self._sums.samples
        self._buffer = np.empty((self._block, channels))
        self._channels = channels
        self._fits: deque[_Fit] = deque(maxlen=round(FITS_KEPT_S / (FIT_EVERY * BLOCK_S)))
        self.restart(0)
        self._forget(0)

    @property
    def ready(self) -> Bools:
        """Channels (channel,) whose mains is subtracted at present; never before the memory is full once."""
        return np.asarray(self._believed & (self._path.age_s(self.end) <= HOLD_S))

    @property
    def fitted(self) -> MainsFitted:
        """The fit as it stands."""
        return self.fitted_at(self.end)

    def fitted_at(self, index: int) -> MainsFitted:
        """The fit as it was at sample `index`, one of the last thirty seconds: however samples were cut."""
        told = next((fit for fit in reversed(self._fits) if fit.index <= index), self._fits[0])
        fresh = (index - told.last) / self._rate_hz <= HOLD_S
        return MainsFitted(told.hz, told.amplitude_uv, told.believed & fresh)

    def _note(self) -> None:
        h = len(self._path.order)
        size = np.hypot(self._path.coefficients[:h], self._path.coefficients[h:]).T
        size = np.where(self._believed[:, None], size, 0.0)
        last, believed = self._path.last.copy(), self._believed.copy()
        self._fits.append(_Fit(self.end, self._path.hz, size, last, believed))

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
        self._ring: deque[Block] = deque(maxlen=self._blocks)
        self._excluded: deque[tuple[int, int]] = deque()
        self._level = np.full(self._channels, np.nan)
        self._believed = np.zeros(self._channels, dtype=np.bool_)
        self._path.forget()
        self._note()

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
                self._note()
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
        self._ring.append(Block(middle, normal, sums, power, self._path.gain(self._foretold, normal, sums)))

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
class _Fit:
    """What was known from sample `index` on: `last` sample (channel,) that each channel's fit is of."""

    index: int
    hz: float
    amplitude_uv: Floats
    last: Floats
    believed: Bools
