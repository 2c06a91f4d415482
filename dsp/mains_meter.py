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

import math
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsp.mains import NOMINAL_HZ, carried

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]

MIN_RATE_HZ = 150.0
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
_ROUNDS = 4
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


@dataclass(frozen=True, slots=True)
class _Window:
    """One window's phasors: `tones` per nominal (harmonic,) complex peak microvolts at its middle, the power
    `beside` each fundamental (nominal,)."""

    tones: tuple[Complex, ...]
    beside: Floats


class MainsMeter:
    """Measures mains in one signal of `rate_hz` samples a second.

    One reading a second of samples. ValueError when the rate does not carry 60 Hz with what is beside it.
    """

    def __init__(self, rate_hz: float) -> None:
        if not (math.isfinite(rate_hz) and rate_hz >= MIN_RATE_HZ):
            raise ValueError(f"mains cannot be measured at {rate_hz:g} SPS; {MIN_RATE_HZ:g} are the least")
        self._rate_hz = rate_hz
        # Five harmonics of 60 Hz need no more than 1,000 samples a second: the means of so many.
        self._each = max(1, int(rate_hz / LEAST_FIT_HZ))
        self._fit = _Fit(rate_hz / self._each, [carried(rate_hz, f) for f in NOMINAL_HZ])
        self._samples = self._fit.samples * self._each
        self._buffer = np.empty(self._samples)
        self.restart(0)

    def restart(self, index: int) -> None:
        """Begin anew at sample `index`: start of a recording, or the first sample after a gap."""
        self._filled = 0
        self._count = 0
        self._first = index
        self._windows: deque[_Window | None] = deque(maxlen=WINDOWS)

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
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            at += len(part)
            if self._filled == self._samples:
                self._filled = 0
                self._count += 1
                self._windows.append(self._fit.window(self._buffer.reshape(-1, self._each).mean(axis=1)))
                if self._count % READ_EVERY == 0:
                    readings.append(self._reading())
        return readings

    def _reading(self) -> MainsReading:
        """What the windows say, the stronger of 50 and 60 Hz first."""
        middles = (np.arange(-len(self._windows), 0) + 0.5) * self._samples - 0.5
        times_s: Floats = np.asarray(middles / self._rate_hz, dtype=np.float64)
        kept = [k for k, window in enumerate(self._windows) if window is not None]
        windows = [window for window in self._windows if window is not None]
        if len(windows) < MIN_WINDOWS:
            return MainsReading(self.end)
        beside = np.array([window.beside for window in windows])
        tones = [np.array([window.tones[m] for window in windows]) for m in range(len(NOMINAL_HZ))]
        ratios = [_median(np.abs(t[:, 0]) ** 2) / _median(beside[:, m]) for m, t in enumerate(tones)]
        mains = int(np.argmax(ratios))
        if ratios[mains] < STANDS_OUT:
            return MainsReading(self.end)
        return self._measured(mains, times_s[kept], tones[mains], beside[:, mains])

    def _measured(self, mains: int, times_s: Floats, tones: Complex, beside: Floats) -> MainsReading:
        """The reading from the `tones` (window, harmonic) at `times_s` before its index."""
        nominal_hz = NOMINAL_HZ[mains]
        # The fit's phase is that of nominal, counted from the window's middle; from here on from the index.
        line = tones[:, 0] * np.exp(-2j * np.pi * nominal_hz * times_s)
        power = _median(np.abs(line) ** 2)
        noise = _median(beside)
        weights = np.minimum(np.abs(line) ** 2 / power, 1.0) / (beside + noise)
        off_hz, phase, off_sd, turns = _phase_fit(times_s, np.angle(line), weights, noise / power)
        amplitude = np.empty(tones.shape[1])
        for h in range(1, tones.shape[1] + 1):
            aligned = tones[:, h - 1] * np.exp(-2j * np.pi * h * (nominal_hz * times_s + turns))
            loss = self._fit.loss(h * off_hz) * self._mean_leaves(h * (nominal_hz + off_hz))
            amplitude[h - 1] = abs(complex((aligned * weights).sum() / weights.sum())) / loss
        hz = nominal_hz + off_hz
        return MainsReading(self.end, hz, off_sd, int(nominal_hz), phase % 1.0, tuple(amplitude.tolist()))

    def _mean_leaves(self, hz: float) -> float:
        """What a mean of `_each` samples leaves of a tone, of 1."""
        angle = math.pi * hz / self._rate_hz
        return math.sin(self._each * angle) / (self._each * math.sin(angle))


def _phase_fit(
    times_s: Floats, angles: Floats, weights: Floats, noise: float
) -> tuple[float, float, float, Floats]:
    """Frequency off nominal in Hz, phase in cycles at time 0, the frequency's s.d., cycles at every window.

    A parabola through the phases `angles` (window,), so that mains may drift; the frequency is its slope in
    the middle. `noise`: power beside mains in terms of its own, which bounds the s.d. from below.
    """
    line = weights * np.exp(1j * angles)
    spectrum = np.abs(_search(tuple(times_s.tolist())) @ line)
    start_hz = float(_SEARCH_HZ[int(np.argmax(spectrum))])
    turned = line * np.exp(-2j * np.pi * start_hz * times_s)
    mean = complex(turned.sum())
    cycles = (np.angle(turned * mean.conjugate()) + np.angle(mean)) / (2 * np.pi)
    middle = float((weights * times_s).sum() / weights.sum())
    t = times_s - middle
    design = np.column_stack([np.ones_like(t), t, t * t])
    normal = design.T @ (design * weights[:, None])
    found = np.linalg.solve(normal, design.T @ (weights * cycles))
    rest = cycles - design @ found
    scatter = float((weights * rest * rest).sum()) / (len(t) - 3)
    expected = noise / 2 / (2 * np.pi) ** 2 * float(weights.mean())
    inverse = np.linalg.inv(normal)
    sd = math.sqrt(max(scatter, expected) * float(inverse[1, 1]))
    at_end = float(found[0] - found[1] * middle + found[2] * middle * middle)
    return start_hz + float(found[1]), at_end, sd, start_hz * times_s + design @ found


@lru_cache(maxsize=4)
def _search(times_s: tuple[float, ...]) -> Complex:
    """Phasors (frequency, window) against which the phases at `times_s` are held; mostly the same times."""
    return np.asarray(np.exp(-2j * np.pi * np.outer(_SEARCH_HZ, times_s)))


def _median(x: Floats) -> float:
    """Of one dimension; numpy's asks many questions first."""
    middle = len(x) // 2
    if len(x) % 2:
        return float(np.partition(x, middle)[middle])
    low, high = np.partition(x, (middle - 1, middle))[middle - 1 : middle + 1]
    return 0.5 * (float(low) + float(high))


class _Fit:
    """The least-squares fit of one window, its matrices made once."""

    def __init__(self, rate_hz: float, harmonics: list[int]) -> None:
        self.samples = round(WINDOW_S * rate_hz)
        self._times_s = (np.arange(self.samples) - (self.samples - 1) / 2) / rate_hz
        self._weight = np.sin(np.pi * (np.arange(self.samples) + 0.5) / self.samples) ** 2
        tones = [h * f for f, n in zip(NOMINAL_HZ, harmonics, strict=True) for h in range(1, n + 1)]
        tones = list(dict.fromkeys(tones))
        self._tones = [
            np.array([tones.index(h * f) for h in range(1, n + 1)])
            for f, n in zip(NOMINAL_HZ, harmonics, strict=True)
        ]
        u = 2 * self._times_s / WINDOW_S
        turns = 2 * np.pi * np.outer(self._times_s, tones)
        waves = np.stack([np.cos(turns), -np.sin(turns)], axis=2).reshape(self.samples, -1)
        self._design = np.column_stack([np.ones_like(u), u, u * u, waves])
        self._weighted = np.ascontiguousarray(self._design.T * self._weight)
        self._normal = self._weighted @ self._design
        self._whole = np.linalg.solve(self._normal, self._weighted)
        beside = np.array([[f + d for d in off] for f, off in zip(NOMINAL_HZ, _BESIDE_HZ, strict=True)])
        # Phasors beside mains, in peak microvolts as the tones are: both parts of each, one behind the other.
        turns = 2 * np.pi * np.outer(beside.ravel(), self._times_s)
        probe = np.stack([np.cos(turns), np.sin(turns)], axis=1).reshape(-1, self.samples) * self._weight
        self._probe = np.ascontiguousarray(2 * probe / self._weight.sum())
        self._before = max(1, round(_BEFORE_S * rate_hz))
        self._after = max(1, round(_AFTER_S * rate_hz))

    def window(self, uv: Floats) -> _Window | None:
        """Phasors of one window `uv` (time,); None when too much of it is no mains."""
        out = self._left_out(uv - _median(uv))
        found = np.zeros(self._design.shape[1])
        rest = uv
        for _ in range(_ROUNDS):
            if np.count_nonzero(out) > _MOST_LEFT_OUT * len(out):
                return None
            found = self._solve(uv, out)
            rest = uv - self._design @ found
            again = self._left_out(rest)
            if (again == out).all():
                break
            out = again
        parts = self._probe @ np.where(out, 0.0, rest)
        beside = (parts * parts).reshape(len(NOMINAL_HZ), -1).sum(axis=1) / len(_BESIDE_HZ[0])
        tones = found[3::2] + 1j * found[4::2]
        return _Window(tuple(tones[which] for which in self._tones), beside + _LEAST_POWER_UV2)

    def loss(self, off_hz: float) -> float:
        """What the window leaves of a tone `off_hz` from where it is fitted, of 1."""
        return float((self._weight * np.cos(2 * np.pi * off_hz * self._times_s)).sum() / self._weight.sum())

    def _solve(self, uv: Floats, out: NDArray[np.bool_]) -> Floats:
        """Coefficients (column,) of the weighted fit to `uv` without the samples `out`."""
        rows = np.flatnonzero(out)
        if not len(rows):
            return np.asarray(self._whole @ uv)
        gone = self._design[rows]
        normal = self._normal - (gone.T * self._weight[rows]) @ gone
        return np.linalg.solve(normal, self._weighted @ np.where(out, 0.0, uv))

    def _left_out(self, rest: Floats) -> NDArray[np.bool_]:
        """Which samples (time,) of `rest` are outliers or near one."""
        size = np.abs(rest)
        limit = _OUTLIER_SD * 1.4826 * _median(size)
        hits = np.flatnonzero(size > limit)
        if not len(hits):
            return np.zeros(len(rest), dtype=np.bool_)
        n = len(rest) + 1
        marks = np.bincount(np.maximum(hits - self._before, 0), minlength=n)
        marks -= np.bincount(np.minimum(hits + self._after + 1, len(rest)), minlength=n)
        return np.cumsum(marks[:-1]) > 0
