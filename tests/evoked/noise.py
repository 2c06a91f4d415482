"""The noise of an operating room as the averaging studies take it (seeded): level, bursts, EEG, EMG, mains.

Three kinds: quiet, typical, severe. A model to measure against, no part of the product.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kind:
    """`slow_sd`: standard deviation of the log of the slow level; bursts: so many a second, each of a factor
    and a duration from these ranges (log-uniform)."""

    slow_sd: float
    bursts_per_s: float = 0.0
    factor: tuple[float, float] = (1.0, 1.0)
    duration_s: tuple[float, float] = (0.3, 3.0)


KINDS = {
    "quiet": Kind(0.10),
    "typical": Kind(0.35, 0.03, (2.0, 12.0), (0.3, 3.0)),
    "severe": Kind(0.60, 0.10, (3.0, 30.0), (0.3, 5.0)),
}
SLOW_S = 30.0
EMG_HZ = (30.0, 1000.0)
EEG_SHARE = 0.5
"""Of the noise's power in quiet, within the band that is averaged, the 1/f part's."""


def level(kind: str, n: int, rate_hz: float, rng: np.random.Generator) -> Floats:
    """Factor (n,) on the noise: exp of a slow Ornstein-Uhlenbeck process (30 s), times the bursts."""
    k = KINDS[kind]
    step_s = 0.1
    steps = int(np.ceil(n / rate_hz / step_s)) + 2
    keep = np.exp(-step_s / SLOW_S)
    slow = np.empty(steps)
    slow[0] = rng.normal()
    kicks = rng.normal(size=steps) * np.sqrt(1.0 - keep * keep)
    for i in range(1, steps):
        slow[i] = keep * slow[i - 1] + kicks[i]
    times = np.arange(n) / rate_hz
    factor = np.exp(k.slow_sd * np.interp(times, np.arange(steps) * step_s, slow))
    for _ in range(rng.poisson(k.bursts_per_s * n / rate_hz)):
        start = int(rng.uniform(0, n))
        length = int(np.exp(rng.uniform(*np.log(k.duration_s))) * rate_hz)
        factor[start : start + length] *= np.exp(rng.uniform(*np.log(k.factor)))
    return factor


def body(
    n: int, rate_hz: float, rms_uv: float, band_hz: tuple[float, float], rng: np.random.Generator
) -> Floats:
    """Stationary noise (n,) of `rms_uv` within `band_hz`: 1/f EEG and flat EMG, made in the spectrum."""
    hz = np.fft.rfftfreq(n, 1.0 / rate_hz)
    inside = (hz >= band_hz[0]) & (hz <= band_hz[1])
    eeg = np.where(hz > 0.5, 1.0 / np.maximum(hz, 0.5), 0.0)
    emg = np.where((hz >= EMG_HZ[0]) & (hz <= EMG_HZ[1]), 1.0, 0.0)
    power = EEG_SHARE * eeg / eeg[inside].sum() + (1.0 - EEG_SHARE) * emg / emg[inside].sum()
    white = rng.normal(size=(2, len(hz)))
    made = np.fft.irfft((white[0] + 1j * white[1]) * np.sqrt(power), n)
    return np.asarray(made * (rms_uv * n / 2.0))  # the inside holds 4 / n^2 of variance


def mains(n: int, rate_hz: float, hz: float, amplitude_uv: float, rng: np.random.Generator) -> Floats:
    """Mains (n,) with harmonics 2 to 5; frequency wanders by 0.02 Hz, amplitude by a tenth, in minutes."""
    steps = max(4, int(n / rate_hz / 10.0) + 4)
    at = np.linspace(0, n, steps)
    wander = np.interp(np.arange(n), at, 0.02 * rng.normal(size=steps))
    size = amplitude_uv * (1.0 + np.interp(np.arange(n), at, 0.1 * rng.normal(size=steps)))
    phase = 2.0 * np.pi * np.cumsum(hz + wander) / rate_hz
    total = np.zeros(n)
    for h, share in enumerate((1.0, 0.15, 0.4, 0.05, 0.2), start=1):
        total += share * np.sin(h * phase + rng.uniform(0, 2 * np.pi))
    return size * total
