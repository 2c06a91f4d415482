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


def burst_suppression(
    share: float, seconds: float, rng: np.random.Generator, burst_s: float = 3.0, rate_hz: float = RATE_HZ
) -> tuple[Floats, NDArray[np.bool_]]:
    """A gain per sample, 0.03 in suppression with edges of 60 ms, and whether it is suppressed: (time,) each.

    Durations are gamma (3), at least 0.7 s; means in the ratio of the shares, the shorter at least `burst_s`
    or 1.5 s.
    """
    n = round(seconds * rate_hz)
    if share <= 0.0 or share >= 1.0:
        state = np.full(n, share >= 1.0)
        return np.where(state, 0.03, 1.0), state
    scale = max(burst_s, 1.5 / share * (1 - share))
    means = (scale, scale * share / (1 - share))
    state = np.empty(0, np.bool_)
    now = bool(rng.random() < share)
    while len(state) < n + 2 * rate_hz:
        mean = means[now]
        duration = 0.7 + rng.gamma(3.0, (mean - 0.7) / 3.0)
        state = np.concatenate([state, np.full(round(duration * rate_hz), now)])
        now = not now
    skip = int(rng.integers(0, rate_hz))
    state = state[skip : skip + n]
    edge = np.hanning(round(0.06 * rate_hz) + 2)
    smooth = np.convolve(np.pad(np.where(state, 0.03, 1.0), 50, mode="edge"), edge / edge.sum(), "same")
    return smooth[50:-50], state


def heart(level_uv: float, n: int, rng: np.random.Generator, rate_hz: float = RATE_HZ) -> Floats:
    """Heart beats of peak `level_uv` and 40 ms (sd 12 ms) with a T wave of a fifth, 55 to 95 a minute."""
    t_s = np.arange(n) / rate_hz
    wave = np.zeros(n)
    period = 60.0 / rng.uniform(55.0, 95.0)
    at = rng.uniform(0.0, period)
    while at < t_s[-1]:
        first, last = (int(x * rate_hz) for x in (at - 0.1, at + 0.6))
        span = slice(max(0, first), min(n, last))
        since = t_s[span] - at
        wave[span] += level_uv * np.exp(-0.5 * (since / 0.012) ** 2)
        wave[span] += 0.2 * level_uv * np.exp(-0.5 * ((since - 0.3) / 0.05) ** 2)
        at += period * rng.normal(1.0, 0.03)
    return wave


def suppressed_eeg(
    share: float,
    rng: np.random.Generator,
    *,
    mains_uv: float = 10.0,
    heart_uv: float = 0.0,
    cautery: float = 0.0,
    seconds: float = 72.0,
) -> tuple[Floats, NDArray[np.bool_], list[tuple[int, int]]]:
    """Microvolts (time,) of a derivation as an amplifier sees it, what is suppressed, spans of cautery.

    EEG of 12 to 30 uV rms, an amplifier's noise, an electrode's offset and drift; cautery of 600 uV rms, with
    steps of 3 mV that fade, for about that share of the time. Its spans end half a second late.
    """
    n = round(seconds * RATE_HZ)
    gain, suppressed = burst_suppression(share, seconds, rng)
    t_s = np.arange(n) / RATE_HZ
    uv = gain * rng.uniform(0.9, 2.1) * of_density(anaesthetised, seconds, rng)
    uv += 0.7 * np.sqrt(RATE_HZ / 60.0) * rng.standard_normal(n)
    uv += 20_000.0 + 100.0 * np.sin(2 * np.pi * t_s / 23.0 + rng.uniform(0, 6))
    uv += mains(mains_uv, rng.choice([50.0, 60.0]) + rng.uniform(-0.1, 0.1), n, rng)
    uv += heart(heart_uv, n, rng)
    spans: list[tuple[int, int]] = []
    while sum(end - first for first, end in spans) < cautery * n:
        first = int(rng.integers(0, n - 1000))
        end = first + int(rng.uniform(1.0, 5.0) * RATE_HZ)
        if any(first < other + 500 and one < end + 500 for one, other in spans):
            continue
        uv[first:end] += 600.0 * rng.standard_normal(len(uv[first:end]))
        for at in (first, end):
            uv[at:] += rng.choice((-1.0, 1.0)) * 3000.0 * np.exp(-np.arange(len(uv[at:])) / 12.5)
        spans.append((first, min(n, end + 125)))
    return uv, suppressed, spans
