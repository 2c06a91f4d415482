"""Mains in one signal: its frequency, phase and harmonics over the last ten seconds, or that there is none.

Windows of half a second are fitted, once whole, with a parabola and the harmonics of both 50 and 60 Hz, by
least squares under a Hann weight, samples that no mains explains (stimuli, their artifacts, spikes) left out.
The phase of the fundamental over the windows gives the frequency. Windows lie at fixed samples from `restart`
on, so a result does not hang on how samples are cut into blocks. Frequencies are in terms of the converter's
nominal rate, whose error does not matter to a period in samples. Refuses to know of stimuli and tests.

Measurable means: the power of a window at the fundamental is ten times that beside it, 5 and 7 Hz off, where
the window's own lobe has ended. Less, and phases could be unwrapped wrongly. Both are medians over the
windows, so that electrosurgery may spoil some.
"""

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.kernels_mains import ROOM
from dsp.limits import MAINS_MIN_RATE_HZ
from dsp.mains import NOMINAL_HZ, carried

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]

LEAST_FIT_HZ = 1000.0
WINDOW_S = 0.5
WINDOWS = 20
MIN_WINDOWS = 8
# Windows from one reading to the next.
READ_EVERY = 2
STANDS_OUT = 10.0
# Samples that are so many standard deviations off the fit are left out, with what is around them; a window of
# which so much is left out says nothing.
_OUTLIER_SD = 6.0
_BEFORE_S, _AFTER_S = 0.001, 0.003
_MOST_LEFT_OUT = 0.4
# Added to the power beside mains: below some hundredth of a microvolt it is nobody's mains.
_LEAST_POWER_UV2 = 1e-4
# Beside 50 and 60 Hz, away from one another's lobe.
_BESIDE_HZ = ((-7.0, -5.0, 5.0), (-5.0, 5.0, 7.0))
# Where the frequency is looked for around nominal; phases half a second apart tell no more.
_SEARCH_HZ = np.arange(-50, 51) * 0.01


@dataclass(frozen=True, slots=True)
class MainsReading:
    """Mains over the windows before sample `index`; None and empty where none stands out of the noise.

    `hz` is the mean over the windows (up to 10 s, middle ones weigh most), `hz_sd` its standard deviation by
    the scatter of phases; neither foretells a drift. cos(2 pi `phase_cycles`) is the fundamental at `index`.
    `amplitude_uv` are peak values of the harmonics that the sampling rate carries.
    """

    index: int
    hz: float | None = None
    hz_sd: float | None = None
    nominal_hz: int | None = None
    phase_cycles: float | None = None
    amplitude_uv: tuple[float, ...] = ()


class MainsMeter:
    """Measures mains in one signal of `rate_hz` samples a second.

    One reading a second of samples. ValueError when the rate does not carry 60 Hz with what is beside it.
    """

    def __init__(self, rate_hz: float) -> None:
        if not (math.isfinite(rate_hz) and rate_hz >= MAINS_MIN_RATE_HZ):
            raise ValueError(
                f"mains cannot be measured at {rate_hz:g} SPS; {MAINS_MIN_RATE_HZ:g} are the least"
            )
        self._rate_hz = rate_hz
        # Five harmonics of 60 Hz need no more than 1,000 samples a second: the means of so many.
        self._each = max(1, int(rate_hz / LEAST_FIT_HZ))
        self._fit = _Fit(rate_hz / self._each, [carried(rate_hz, f) for f in NOMINAL_HZ])
        self._samples = self._fit.samples * self._each
        self._buffer = np.empty((self._fit.samples, self._each))
        self._found = np.zeros((WINDOWS, self._fit.size))
        middles = (np.arange(-WINDOWS, 0) + 0.5) * self._samples - 0.5
        self._times_s: Floats = np.asarray(middles / rate_hz, dtype=np.float64)
        self._search: Complex = np.exp(-2j * np.pi * np.outer(_SEARCH_HZ, self._times_s))
        self.restart(0)

    def restart(self, index: int) -> None:
        """Begin anew at sample `index`: start of a recording, or the first sample after a gap."""
        self._filled = 0
        self._count = 0
        self._first = index
        self._usable = np.zeros(WINDOWS, np.bool_)

    @property
    def end(self) -> int:
        """Index of the next sample to be appended."""
        return self._first + self._count * self._samples + self._filled

    def append(self, uv: Floats) -> list[MainsReading]:
        """Take the next contiguous samples (time,) in microvolts; the readings that they complete."""
        readings = []
        at = 0
        while at < len(uv):
            part = uv[at : at + self._samples - self._filled]
            self._buffer.reshape(-1)[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            at += len(part)
            if self._filled == self._samples:
                self._filled = 0
                self._count += 1
                self._found[:-1], self._usable[:-1] = self._found[1:], self._usable[1:]
                self._usable[-1] = self._fit.window(self._buffer, self._found[-1])
                if self._count % READ_EVERY == 0:
                    readings.append(self._reading())
        return readings

    def _reading(self) -> MainsReading:
        """What the windows say, the stronger of 50 and 60 Hz first."""
        kept = self._usable
        if np.count_nonzero(kept) < MIN_WINDOWS:
            return MainsReading(self.end)
        tones, beside = self._fit.phasors(self._found[kept])
        power = np.abs(tones[:, [first for first, *_ in self._fit.tones]]) ** 2
        middle, noise = _median(power), _median(beside)
        ratios = middle / noise
        mains = int(np.argmax(ratios))
        if ratios[mains] < STANDS_OUT:
            return MainsReading(self.end)
        weights = np.minimum(power[:, mains] / middle[mains], 1.0) / (beside[:, mains] + noise[mains])
        expected = float(noise[mains] / middle[mains])
        nominal_hz, times_s, tone = NOMINAL_HZ[mains], self._times_s[kept], tones[:, self._fit.tones[mains]]
        # The fit's phase is that of nominal, counted from the window's middle; from here on from the index.
        line = weights * np.exp(1j * (np.angle(tone[:, 0]) - 2 * np.pi * nominal_hz * times_s))
        start_hz = float(_SEARCH_HZ[int(np.argmax(np.abs(self._search[:, kept] @ line)))])
        off_hz, phase, off_sd, turns = _phase_fit(times_s, line, weights, start_hz, expected)
        order = np.arange(1, tone.shape[1] + 1)
        aligned = tone * np.exp(-2j * np.pi * np.outer(nominal_hz * times_s + turns, order))
        hz = nominal_hz + off_hz
        left = self._fit.leaves(order * off_hz) * _mean(order * (hz / self._rate_hz), self._each)
        amplitude = np.abs(weights @ aligned) / weights.sum() / left
        return MainsReading(self.end, hz, off_sd, int(nominal_hz), phase % 1.0, tuple(amplitude.tolist()))


def _phase_fit(
    times_s: Floats, line: Complex, weights: Floats, start_hz: float, noise: float
) -> tuple[float, float, float, Floats]:
    """Frequency off nominal in Hz, phase in cycles at time 0, the frequency's s.d., cycles at every window.

    A parabola through the phases of `line` (window,), phasors of the size of their weights, so that mains may
    drift; near `start_hz` no turn is missed. The frequency is its slope in the middle. `noise`: power beside
    mains in terms of its own, which bounds the s.d. from below.
    """
    turned = line * np.exp(-2j * np.pi * start_hz * times_s)
    mean = complex(turned.sum())
    cycles = (np.angle(turned * mean.conjugate()) + cmath.phase(mean)) / (2 * np.pi)
    middle = float(weights @ times_s / weights.sum())
    t = times_s - middle
    design = np.stack((np.ones(len(t)), t, t * t))
    weighted = design * weights
    inverse = np.linalg.inv(weighted @ design.T)
    found = inverse @ (weighted @ cycles)
    fitted = found @ design
    rest = cycles - fitted
    scatter = float(weights @ (rest * rest)) / (len(t) - 3)
    expected = noise / 2 / (2 * np.pi) ** 2 * float(weights.mean())
    sd = math.sqrt(max(scatter, expected) * float(inverse[1, 1]))
    at_end = float(found[0] - found[1] * middle + found[2] * middle * middle)
    return start_hz + float(found[1]), at_end, sd, start_hz * times_s + fitted


def _median(x: Floats) -> Floats:
    """Of every column of x (window, column); numpy's asks many questions first."""
    ranked = np.sort(x, axis=0)
    return np.asarray(0.5 * (ranked[(len(x) - 1) // 2] + ranked[len(x) // 2]))


class _Fit:
    """The least-squares fit of one window (`dsp.kernels_mains`), its matrices made once."""

    def __init__(self, rate_hz: float, harmonics: list[int]) -> None:
        self.samples = round(WINDOW_S * rate_hz)
        self._rate_hz = rate_hz
        middle = (self.samples - 1) / 2
        times_s: Floats = np.asarray((np.arange(self.samples) - middle) / rate_hz, dtype=np.float64)
        tones = [h * f for f, n in zip(NOMINAL_HZ, harmonics, strict=True) for h in range(1, n + 1)]
        tones = list(dict.fromkeys(tones))
        self.tones = [
            np.array([tones.index(h * f) for h in range(1, n + 1)])
            for f, n in zip(NOMINAL_HZ, harmonics, strict=True)
        ]
        self._weight = np.sin(np.pi * (np.arange(self.samples) + 0.5) / self.samples) ** 2
        u = 2 * times_s / WINDOW_S
        design = np.vstack([np.ones_like(u), u, u * u, _waves(tones, times_s)])
        self._normal = (design * self._weight) @ design.T
        # Phasors beside mains, in peak microvolts as the tones are.
        beside = [f + d for f, off in zip(NOMINAL_HZ, _BESIDE_HZ, strict=True) for d in off]
        self._rows = np.vstack([design, _waves(beside, times_s) * (2 / self._weight.sum())])
        around = [max(1, round(_BEFORE_S * rate_hz)), max(1, round(_AFTER_S * rate_hz))]
        self._settings = np.array([_OUTLIER_SD * 1.4826, _MOST_LEFT_OUT, *around])
        self._room = np.empty((ROOM, self.samples))
        self._factor = np.empty((len(design) + 1, len(design)))

    @property
    def size(self) -> int:
        """Numbers that are found of a window."""
        return len(self._rows)

    def window(self, uv: Floats, found: Floats) -> bool:
        """What is `found` (size,) of one window, the means of uv (time, sample); False when too much of it is
        no mains."""
        matrices = (self._rows, self._weight, self._normal, self._settings)
        return bool(kernels.fit_window(uv, *matrices, self._room, self._factor, found))

    def phasors(self, found: Floats) -> tuple[Complex, Floats]:
        """Of what was found (window, size): complex peak microvolts (window, tone) at a window's middle; and
        the power beside each nominal (window, nominal), whose harmonics are `tones`."""
        columns = len(self._normal)
        tones: Complex = found[:, 3:columns].view(np.complex128)
        parts = found[:, columns:].reshape(len(found), len(NOMINAL_HZ), -1)
        beside = (parts * parts).sum(axis=2) / len(_BESIDE_HZ[0]) + _LEAST_POWER_UV2
        return tones, beside

    def leaves(self, off_hz: Floats) -> Floats:
        """What the window leaves of tones `off_hz` from where they are fitted, of 1: Hann's is a mean's, and
        half of it a line to either side."""
        three = off_hz[:, None] / self._rate_hz + np.array([-1, 0, 1]) / self.samples
        return np.asarray(_mean(three, self.samples) @ np.array([0.5, 1.0, 0.5]))


def _waves(tones_hz: Sequence[float], times_s: Floats) -> Floats:
    """Cosine and -sine of each tone, one behind the other: (2 tones, time)."""
    turns = 2 * np.pi * np.outer(tones_hz, times_s)
    return np.stack([np.cos(turns), -np.sin(turns)], axis=1).reshape(-1, len(times_s))


def _mean(cycles: Floats, n: int) -> Floats:
    """What a mean of `n` samples leaves of a tone of so many `cycles` a sample, of 1 (Dirichlet's kernel)."""
    return np.asarray(np.sinc(n * cycles) / np.sinc(cycles))
