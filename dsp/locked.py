"""The guard of locked averages: how much mains an average holds, and whether its halves may be believed.

At a rate that is locked to the mains every sweep sees the same mains. Odd and even averages then agree though
there is no response (facts/dsp.md 3.2: r >= 0.8 in 87-91 % of cases below 0 dB), and no noise measured by
signs shows it. Two witnesses: how the mains phase at the triggers adds up (`LockGuard`, `coherence`), and
mains seen in the average itself before the stimulus (`seen`). Only says so: rejects nothing, changes nothing.
Before any stimulus `expected` tells it from rate and frequency (`dsp.mains`).

Twin and formulas: `dsp.reference_mains`.
"""

import cmath
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.mains import HARMONICS, left

Floats = NDArray[np.float64]

# An average holds too much mains when its rms is beyond this share of the residual noise's.
MOST_RATIO = 0.5
# Below so many sweeps nothing is said of the halves: they are not shown either.
FEWEST_SWEEPS = 8
# A tone beside noise, from few samples: power over what noise gives it, one in a thousand (-2 ln 0.001 =
# 13.8, chi-square of two degrees), per harmonic looked at.
STANDS_OUT = 13.8


@dataclass(frozen=True, slots=True)
class LockVerdict:
    """Mains in an average: `left_uv` rms in all, `ratio` of it to the residual noise (None: noise unknown).

    `coherence` per harmonic, of 1: what the sweeps leave of it; `harmonic` (from 1; 0: none) leaves the most
    microvolts, `harmonic_uv` rms. `trusted` False: agreement of halves is no evidence of a response.
    """

    trusted: bool
    sweeps: int
    coherence: tuple[float, ...]
    harmonic: int
    harmonic_uv: float
    left_uv: float
    ratio: float | None

    @property
    def text(self) -> str:
        """One line."""
        if not self.harmonic:
            return f"no mains in the average of {self.sweeps} sweeps"
        told = f"harmonic {self.harmonic} of mains leaves {self.harmonic_uv:.2g} uV rms"
        share = f" ({100 * self.coherence[self.harmonic - 1]:.0f} % of it)"
        against = "" if self.ratio is None else f", all mains {self.ratio:.2g} times the residual noise"
        end = "" if self.trusted else ": agreement of halves cannot be trusted"
        return f"{told}{share} after {self.sweeps} sweeps{against}{end}"


def coherence(
    indices: NDArray[np.int64], weights: Floats, rate_hz: float, mains_hz: float, harmonics: int = HARMONICS
) -> Floats:
    """|sum w exp(i 2 pi h f t)| / sum w over triggers at sample `indices` (sweep,): per harmonic, of 1.

    0 without a positive weight.
    """
    use = np.isfinite(weights) & (weights > 0.0)
    if not use.any():
        return np.zeros(harmonics)
    turns = np.fmod((indices[use] - indices[use][0]) * (mains_hz / rate_hz), 1.0)
    line = np.exp(2j * np.pi * np.outer(np.arange(1, harmonics + 1), turns))
    return np.asarray(np.abs((line * weights[use]).sum(axis=1)) / weights[use].sum())


def verdict(
    left_of: Floats, amplitude_uv: Floats, sweeps: int, noise_uv: float | None, most_ratio: float = MOST_RATIO
) -> LockVerdict:
    """What `left_of` (harmonic,) of mains of peak `amplitude_uv` (harmonic,) means beside `noise_uv` rms.

    `amplitude_uv` is of the derivation in the test's band, as one sweep shows it. Where one is shorter the
    rest is left out. Without a noise (None, NaN, 0) the noise is not known: mains that leaves LOCKED or more
    of a harmonic is then not trusted, whatever its size.
    """
    told = tuple(left_of.tolist())  # a handful of numbers: Python is quicker with them
    sizes = zip(told, amplitude_uv.tolist(), strict=False)
    rms = [share * abs(size) / math.sqrt(2.0) if math.isfinite(size) else 0.0 for share, size in sizes]
    total = math.sqrt(sum(one * one for one in rms))
    if total <= 0.0:
        return LockVerdict(True, sweeps, told, 0, 0.0, 0.0, 0.0 if _known(noise_uv) else None)
    worst = rms.index(max(rms))
    ratio = total / noise_uv if noise_uv is not None and _known(noise_uv) else None
    bad = ratio > most_ratio if ratio is not None else told[worst] >= 0.3
    return LockVerdict(
        not (bad and sweeps >= FEWEST_SWEEPS), sweeps, told, worst + 1, rms[worst], total, ratio
    )


def _known(noise_uv: float | None) -> bool:
    return noise_uv is not None and math.isfinite(noise_uv) and noise_uv > 0.0


def expected(
    period: int, rate_hz: float, mains_hz: float, sweeps: int, amplitude_uv: Floats, noise_uv: float | None
) -> LockVerdict:
    """Before any stimulus: the verdict on `sweeps` sweeps, `period` samples apart, by `dsp.mains.left`."""
    return verdict(left(period, rate_hz, mains_hz, sweeps), amplitude_uv, sweeps, noise_uv)


class LockGuard:
    """Adds up the phase of mains at the triggers of one average, sweep by sweep.

    The frequency may be told anew at any time (`follow`): the phase goes on from there without a jump. A
    period of the mains is what counts, so its wander is followed best from `dsp.mains_meter` or
    `dsp.mains_fit`. ValueError for values that mean no mains.
    """

    def __init__(self, rate_hz: float, mains_hz: float, harmonics: int = HARMONICS) -> None:
        if not (math.isfinite(rate_hz) and rate_hz > 0 and math.isfinite(mains_hz) and mains_hz > 0):
            raise ValueError(f"mains of {mains_hz:g} Hz at {rate_hz:g} SPS cannot be guarded against")
        if harmonics < 1:
            raise ValueError(f"{harmonics} harmonics are nothing to guard against")
        self._rate_hz, self._harmonics = rate_hz, harmonics
        self._turns_per_sample = mains_hz / rate_hz
        self.restart()

    def restart(self) -> None:
        """A new average begins."""
        self._sums = [0j] * self._harmonics
        self._weight = 0.0
        self.sweeps = 0
        self._at, self._turns = 0, 0.0

    def follow(self, mains_hz: float, index: int) -> None:
        """From sample `index` on mains is at `mains_hz`; what is no frequency is not heeded."""
        if math.isfinite(mains_hz) and mains_hz > 0:
            self._turns = math.fmod(self._turns + (index - self._at) * self._turns_per_sample, 1.0)
            self._at = index
            self._turns_per_sample = mains_hz / self._rate_hz

    def add(self, trigger_index: int, weight: float = 1.0) -> None:
        """One accepted sweep; a weight of 0 or that is no number does not count."""
        if not 0.0 < weight < math.inf:
            return
        turns = math.fmod(self._turns + (trigger_index - self._at) * self._turns_per_sample, 1.0)
        step = cmath.exp(2j * math.pi * turns)
        line = complex(weight)
        sums = self._sums
        for h in range(self._harmonics):
            line *= step
            sums[h] += line
        self._weight += weight
        self.sweeps += 1

    @property
    def coherence(self) -> Floats:
        """What the sweeps so far leave of each harmonic (harmonic,), of 1; 0 without a sweep."""
        weight = self._weight
        return np.array([abs(line) / weight if weight > 0.0 else 0.0 for line in self._sums])

    def verdict(self, amplitude_uv: Floats, noise_uv: float | None) -> LockVerdict:
        """The verdict on the average so far; arguments as for the function `verdict`."""
        return verdict(self.coherence, amplitude_uv, self.sweeps, noise_uv)


def seen(
    rows_uv: Floats, null_uv: Floats, rate_hz: float, mains_hz: float, sweeps: int, harmonics: int = HARMONICS
) -> LockVerdict:
    """The verdict from the average itself: `rows_uv` (time,) before the stimulus or of the whole window, and
    the same rows of its null averages `null_uv` (pattern, time).

    Harmonics are fitted to the mean and to each null by least squares beside a straight line. One counts when
    its power is STANDS_OUT / 2 times the mean of the nulls' (F test of 2 and 2 n degrees of freedom would ask
    a little more: the verdict asks for the ratio as well). `coherence` is told as 1 where one counts: what
    the average shows is all there. Fewer rows than half a cycle of mains, or none: nothing is seen. A
    response with power at a harmonic counts as mains; rows before the stimulus hold none.
    """
    count = min(harmonics, int(0.45 * rate_hz / mains_hz))
    n = len(rows_uv)
    resolved = min(count, (n - 3) // 4)
    nothing = verdict(np.zeros(harmonics), np.zeros(harmonics), sweeps, None)
    if resolved < 1 or n * mains_hz < 0.5 * rate_hz or not (np.isfinite(rows_uv).all() and len(null_uv) > 1):
        return nothing
    if not np.isfinite(null_uv).all():
        return nothing
    phasors = _phasors(np.vstack([rows_uv, null_uv]), rate_hz, mains_hz, resolved)
    power = np.abs(phasors) ** 2
    noise = power[1:].mean(axis=0)
    counts = power[0] > 0.5 * STANDS_OUT * noise
    # The noise's own share is in what is seen: taken out.
    amplitude = np.sqrt(np.where(counts, np.maximum(power[0] - noise, 0.0), 0.0))
    residual = float(np.sqrt(np.mean((null_uv - null_uv.mean(axis=1, keepdims=True)) ** 2)))
    return verdict(counts.astype(np.float64), amplitude, sweeps, residual)


def _phasors(rows: Floats, rate_hz: float, mains_hz: float, harmonics: int) -> NDArray[np.complex128]:
    """Peak microvolts (trace, harmonic) of mains in `rows` (trace, time), fitted jointly with a line."""
    n = rows.shape[1]
    t = np.arange(n) - (n - 1) / 2
    turns = 2 * np.pi * mains_hz / rate_hz * np.outer(np.arange(1, harmonics + 1), t)
    design = np.vstack([np.ones(n), t / n, np.cos(turns), np.sin(turns)])
    # Where a window is too short to tell columns apart the smallest solution is taken.
    found = np.linalg.lstsq(design.T, rows.T, rcond=1e-3)[0].T
    return np.asarray(found[:, 2 : 2 + harmonics] - 1j * found[:, 2 + harmonics :])
