"""Synthetic EEG for the tests of trends: noise of a known density, mains, heart beats, bursts."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATE_HZ = 250.0


def anaesthetised(at_hz: Floats) -> Floats:
    """Density in uV^2/Hz: 1/f to either power, and propofol's alpha."""
    slow = 60.0 / (0.3 + np.maximum(at_hz, 0.05) ** 1.7)
    alpha = 12.0 * np.exp(-0.5 * ((at_hz - 10.0) / 1.2) ** 2)
    density: Floats = slow + alpha
    return density


def of_density(
    density: Callable[[Floats], Floats], seconds: float, rng: np.random.Generator, rate_hz: float = RATE_HZ
) -> Floats:
    """Gaussian noise (time,) of a one-sided density in uV^2/Hz, without a constant."""
    n = round(seconds * rate_hz)
    at_hz = np.fft.rfftfreq(n, 1.0 / rate_hz)
    size = np.sqrt(0.25 * density(at_hz) * rate_hz * n)
    size[0] = 0.0
    drawn = size * (rng.standard_normal(len(at_hz)) + 1j * rng.standard_normal(len(at_hz)))
    return np.fft.irfft(drawn, n)


def mains(
    level_uv: float, mains_hz: float, n: int, rng: np.random.Generator, rate_hz: float = RATE_HZ
) -> Floats:
    """Mains of peak `level_uv` with a third as much of the odd harmonics and a tenth of the even ones."""
    t_s = np.arange(n) / rate_hz
    wave = np.zeros(n)
    for harmonic, share in enumerate((1.0, 0.1, 0.33, 0.1, 0.33), 1):
        if harmonic * mains_hz < 0.45 * rate_hz:
            phase = rng.uniform(0, 2 * np.pi)
            wave += level_uv * share * np.sin(2 * np.pi * harmonic * mains_hz * t_s + phase)
    return wave
