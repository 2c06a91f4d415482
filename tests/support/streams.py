"""Synthetic signals for the tests of dsp/: counts in blocks, noise of known spectra, runs of the chain."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from dsp.nouns import Derivation, Sweep, Trigger
from dsp.stream import Scale, Stream
from dsp.sweeps import SweepCutter

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]

LSB_UV = 0.01


def stream(
    sos: Floats, n_channels: int = 1, blank: int = 0, history: int = 64, lsb_uv: float = LSB_UV
) -> Stream:
    """A stream with one derivation per channel, begun at index 0."""
    rows = np.eye(n_channels)
    derivations = tuple(Derivation(f"D{k}", tuple(row)) for k, row in enumerate(rows))
    made = Stream(derivations, Scale((lsb_uv,) * n_channels, (0.0,) * n_channels), sos, blank, history)
    made.restart(0)
    return made


def to_counts(uv: Floats, lsb_uv: float = LSB_UV) -> Counts:
    """Counts (time, channel) of microvolts."""
    return np.ascontiguousarray(np.rint(uv / lsb_uv), dtype=np.int32)


def blocks(n: int, cuts: Sequence[int]) -> list[tuple[int, int]]:
    """Borders (first, end) of the blocks that `cuts` make of n rows."""
    edges = sorted({0, n, *(c for c in cuts if 0 < c < n)})
    return list(itertools.pairwise(edges))


def cut_sweeps(
    made: Stream, cutter: SweepCutter, counts: Counts, triggers: Sequence[Trigger], cuts: Sequence[int] = ()
) -> list[Sweep]:
    """The sweeps of `counts` fed from index 0 on in blocks split at `cuts` and at the stream's largest."""
    found: list[Sweep] = []
    n = len(counts)
    for first, end in blocks(n, [*cuts, *range(0, n, made.max_block)]):
        inside = [t for t in triggers if first <= t.index < end]
        for trigger in inside:
            cutter.trigger(trigger)
        made.append(counts[first:end], [t.index for t in inside])
        found += cutter.cut(made)
    return found


def band_noise(
    rng: np.random.Generator, shape: tuple[int, int], rate_hz: float, low_hz: float, high_hz: float
) -> Floats:
    """Noise (time, channel) of 1 uVrms, white between the corners."""
    sos = butter(2, (low_hz, high_hz), "band", fs=rate_hz, output="sos")
    lead = int(rate_hz / low_hz)
    made = sosfilt(sos, rng.standard_normal((shape[0] + lead, shape[1])), axis=0)[lead:]
    return np.asarray(made / made.std())


def coloured_noise(rng: np.random.Generator, n: int, shape: Sequence[int], slope: float, low: int) -> Floats:
    """Noise (*shape, time) of 1 uVrms, periodic in n rows; power falls as 1/f^slope from bin `low` on."""
    bins = np.arange(n // 2 + 1)
    gain = np.where(bins >= low, np.maximum(bins, 1.0) ** (-slope / 2), 0.0)
    phasors = rng.standard_normal((*shape, len(bins), 2)).view(np.complex128)[..., 0]
    made = np.fft.irfft(phasors * gain, n, axis=-1)
    return np.asarray(made / made.std())


def burst_envelope(rng: np.random.Generator, n: int, channels: int, rate_hz: float, kind: str) -> Floats:
    """Noise level (time, channel) around 1 of facts/dsp 3.1: slow log-normal wander, and bursts over it.

    `kind` is "quiet", "typical" or "severe".
    """
    wander_sd, bursts_per_s, times, lasting_s = {
        "quiet": (0.10, 0.0, (1.0, 1.0), (0.3, 0.3)),
        "typical": (0.35, 0.03, (2.0, 12.0), (0.3, 3.0)),
        "severe": (0.60, 0.10, (3.0, 30.0), (0.3, 5.0)),
    }[kind]
    seconds = n / rate_hz
    knots = np.arange(0.0, seconds + 20.0, 20.0)
    at = np.arange(n) / rate_hz
    level = np.empty((n, channels))
    for c in range(channels):
        burst = np.ones(n)
        for _ in range(rng.poisson(bursts_per_s * seconds)):
            start = rng.integers(n)
            within = burst[start : start + int(rng.uniform(*lasting_s) * rate_hz)]
            np.maximum(within, np.exp(rng.uniform(*np.log(times))), out=within)
        level[:, c] = burst * np.exp(np.interp(at, knots, wander_sd * rng.standard_normal(len(knots))))
    return level
