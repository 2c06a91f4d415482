"""Single responses of muscles and the noise about them, simulated: what one sweep holds (seeded).

A model to measure against, no part of the product. Microvolts; times in milliseconds from the stimulus.
"""

import math

import numpy as np

from hw.model.stochastic import BLOCK_SAMPLES, OnePoleBank
from tests.support.streams import Floats

NOISES = ("white", "pink", "mains", "emg")
_PINK_HZ = tuple(0.25 * 2.0**octave for octave in range(13))
_HARMONICS = (1.0, 0.12, 0.35, 0.08, 0.2)


def mep(times_ms: Floats, onset_ms: float, rng: np.random.Generator, units: int = 12) -> Floats:
    """A polyphasic response of peak to peak 1: so many motor units, the first from `onset_ms` on."""
    starts = onset_ms + np.concatenate([[0.0], rng.gamma(2.0, 1.5, units - 1)])
    uv = np.zeros(len(times_ms))
    for start in starts:
        since = np.clip(times_ms - start, 0.0, None)
        uv += rng.uniform(0.5, 1.5) * unit(since, rng.uniform(1.2, 2.2), rng.uniform(0.06, 0.12))
    return uv / np.ptp(uv)


def m_wave(times_ms: Floats, onset_ms: float = 3.0, width: float = 1.0) -> Floats:
    """A biphasic compound response of peak to peak 1."""
    since = np.clip(times_ms - onset_ms, 0.0, None)
    uv = unit(since, 1.6 * width, 0.08 / width)
    return uv / np.ptp(uv)


def unit(since_ms: Floats, tau_ms: float, turns_per_ms: float) -> Floats:
    """One motor unit's potential; it leaves the base line as the cube of time."""
    x = since_ms / tau_ms
    return x**2 * np.exp(-x) * np.sin(2 * np.pi * turns_per_ms * since_ms)


def noise(kind: str, n: int, rate_hz: float, rng: np.random.Generator) -> Floats:
    """(n,) of rms 1: white; 1/f above 10 Hz; mains with harmonics and some white; muscle at rest."""
    if kind == "white":
        return rng.standard_normal(n)
    if kind == "mains":
        t = np.arange(n) / rate_hz
        hz = rng.choice([50.0, 60.0]) + rng.uniform(-0.1, 0.1)
        phases = rng.uniform(0, 2 * np.pi, len(_HARMONICS))
        uv = sum(a * np.sin(2 * np.pi * hz * (k + 1) * t + phases[k]) for k, a in enumerate(_HARMONICS))
        return uv / math.sqrt(sum(a * a for a in _HARMONICS) / 2) + 0.15 * rng.standard_normal(n)
    if kind == "emg":
        poles, gains = (25.0, 300.0), (-1.0, 1.0)
    else:
        poles = tuple(hz for hz in _PINK_HZ if hz < 0.4 * rate_hz)
        gains = tuple(hz**-0.5 for hz in poles)
    whole = -(-(n + 1024) // BLOCK_SAMPLES) * BLOCK_SAMPLES
    uv = OnePoleBank([rng], rate_hz, poles, gains, 1.0).rows(whole)[0]
    if kind == "pink":
        # High-pass of 10 Hz, first order.
        keep = math.exp(-2 * math.pi * 10.0 / rate_hz)
        slow = np.convolve(uv, (1 - keep) * keep ** np.arange(1024))[: len(uv)]
        uv = uv - slow
    uv = uv[-n:]
    return uv / math.sqrt(np.mean(uv**2))


def discharges(n: int, rate_hz: float, rng: np.random.Generator) -> Floats:
    """(n,) of one to three motor units firing at 4 to 12 a second, peak to peak 0.3 to 1."""
    times_ms = np.arange(n) * 1e3 / rate_hz
    uv = np.zeros(n)
    for _ in range(rng.integers(1, 4)):
        every_ms = 1e3 / rng.uniform(4.0, 12.0)
        at_ms = rng.uniform(0.0, every_ms)
        one = rng.uniform(0.3, 1.0) * unit(times_ms, 1.0, 0.12) / np.ptp(unit(times_ms, 1.0, 0.12))
        while at_ms < times_ms[-1]:
            first = int(at_ms * rate_hz / 1e3)
            uv[first:] += one[: n - first]
            at_ms += max(20.0, rng.normal(every_ms, 0.15 * every_ms))
    return uv
