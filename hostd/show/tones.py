"""Auditory alarm signals after IEC 60601-1-8:2006+A1:2012, 6.3.3.1, tables 3 and 4. Pure: priority in,
samples out.

Table 3, the burst: high priority ten pulses in two groups of three and two, spacing x of 50 to 125 ms
within a group, 2x + td before the fourth and the ninth, 0.35 to 1.3 s before the sixth, the next burst 2.5
to 15 s later; medium three pulses, spacing y of 125 to 250 ms, 2.5 to 30 s; low one or two, y, more than 15
s. Table 4, the pulse: 150 to 1000 Hz with at least four harmonics in 300 to 4000 Hz within 15 dB of it,
effective duration td 75 to 200 ms (high) or 125 to 250 ms, rise 10 to 40 % of td. Spacing runs from a
pulse's end to the next one's begin.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8000
PITCH_HZ = 523.25
"""C5: within the table, and what the small loudspeaker of a cart can still make loud, with its harmonics."""
HARMONICS = (1.0, 0.8, 0.63, 0.5, 0.4, 0.32)
RISE = 0.2
LEVEL = {"high": 0.9, "medium": 0.7, "low": 0.5}


@dataclass(frozen=True, slots=True)
class Burst:
    """Seconds: a pulse's effective duration, the silence before each further pulse, and until the next
    burst."""

    pulse_s: float
    spacing_s: tuple[float, ...]
    pause_s: float

    @property
    def starts_s(self) -> tuple[float, ...]:
        """When each pulse begins."""
        starts = [0.0]
        for spacing in self.spacing_s:
            starts.append(starts[-1] + self.pulse_s + spacing)
        return tuple(starts)

    @property
    def period_s(self) -> float:
        """From one burst's begin to the next one's."""
        return self.starts_s[-1] + self.pulse_s + self.pause_s


_X, _TD, _Y = 0.1, 0.12, 0.2
_FIVE = (_X, _X, 2 * _X + _TD, _X)
BURSTS = {
    "high": Burst(_TD, (*_FIVE, 0.5, *_FIVE), 5.0),
    "medium": Burst(0.18, (_Y, _Y), 7.0),
    "low": Burst(0.18, (_Y,), 16.0),
}


@lru_cache(maxsize=4)
def burst(priority: str) -> NDArray[np.int16]:
    """One period of the signal of `priority` ("high", "medium", "low"), pause included, at RATE_HZ."""
    shape = BURSTS[priority]
    made = np.zeros(round(shape.period_s * RATE_HZ))
    one = _pulse(shape.pulse_s)
    for start in shape.starts_s:
        at = round(start * RATE_HZ)
        made[at : at + len(one)] += one
    samples = np.rint(made * LEVEL[priority] * 32767).astype(np.int16)
    samples.flags.writeable = False
    return samples


def _pulse(seconds: float) -> NDArray[np.float64]:
    """A pulse of unit height; its effective duration is between the 90 % points of its rise and fall."""
    ramp = RISE * seconds
    # A raised cosine passes 90 % at 0.795 of its length: what lies before is not of the effective duration.
    whole = seconds + 2 * ramp * 0.795
    t = np.arange(round(whole * RATE_HZ)) / RATE_HZ
    wave = np.zeros(len(t))
    for k, size in enumerate(HARMONICS):
        wave += size * np.sin(2 * np.pi * PITCH_HZ * (k + 1) * t)
    edge = np.clip(np.minimum(t, whole - t) / ramp, 0.0, 1.0)
    made: NDArray[np.float64] = wave / np.abs(wave).max() * 0.5 * (1.0 - np.cos(np.pi * edge))
    return made


class Alarm:
    """The signal as it sounds: `priority` from one moment to the next, samples as they are asked for."""

    def __init__(self) -> None:
        self._priority: str | None = None
        self._at = 0

    def set_(self, priority: str | None) -> None:
        """Sound by `priority` from now on: another one begins its burst at once, None is silence at once."""
        wanted = priority if priority in BURSTS else None
        if wanted != self._priority:
            self._priority, self._at = wanted, 0

    def take(self, count: int) -> NDArray[np.int16]:
        """The next `count` samples."""
        if self._priority is None or count <= 0:
            return np.zeros(max(count, 0), np.int16)
        wave = burst(self._priority)
        at = (self._at + np.arange(count)) % len(wave)
        self._at = (self._at + count) % len(wave)
        return wave[at]
