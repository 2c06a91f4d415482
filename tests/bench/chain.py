"""Samples through decode, filter and average: ours against numpy and scipy doing the same, in one run.

The work: ten seconds of 8 channels at 4 kSPS in 10 ms blocks of converter bytes, four derivations, two-pass
30-1000 Hz (order 2 each pass), sweeps of 90 ms at 2.7 Hz, weighted by the response-free interval.
"""

import numpy as np
from scipy import signal

from dsp import kernels
from dsp.average import Averager
from dsp.filters import PASS_ORDER, band_pass
from dsp.nouns import Derivation, Trigger
from dsp.stream import Scale, Stream
from dsp.sweeps import SweepCutter, window
from dsp.weights import NoiseWeights
from tests.bench.timing import interleave

RATE_HZ, CHANNELS, BLOCK, SECONDS = 4000, 8, 40, 10
LSB_UV = 0.022351741790771484
PAIRS = ((1, 0), (1, 3), (4, 3), (5, 6))
PERIOD = 1486


def measure() -> dict[str, float]:
    """Channel-samples per second of both, and the ratio of the medians."""
    rng = np.random.default_rng(1)
    n = RATE_HZ * SECONDS
    counts = rng.normal(400_000, 300, (n, CHANNELS)).astype(">i4")
    raw = np.ascontiguousarray(counts.view(np.uint8).reshape(n, CHANNELS, 4)[:, :, 1:].reshape(n, -1))
    weights = np.zeros((len(PAIRS), CHANNELS))
    for d, (active, reference) in enumerate(PAIRS):
        weights[d, active], weights[d, reference] = 1.0, -1.0
    triggers = list(range(PERIOD, n - PERIOD, PERIOD))
    seconds = interleave(
        {"ours": lambda: _ours(raw, weights, triggers), "scipy": lambda: _scipy(raw, weights, triggers)}
    )
    ours, theirs = float(np.median(seconds["ours"])), float(np.median(seconds["scipy"]))
    return {"ours_per_s": n * CHANNELS / ours, "scipy_per_s": n * CHANNELS / theirs, "ratio": theirs / ours}


def _ours(raw: np.ndarray, weights: np.ndarray, triggers: list[int]) -> np.ndarray:
    sos = band_pass(30.0, 1000.0, RATE_HZ)
    g = window((-10.0, 80.0), 60.0, 0.0, RATE_HZ, sos, 30.0)
    derivations = tuple(Derivation(str(k), tuple(row)) for k, row in enumerate(weights))
    scale = Scale((LSB_UV,) * CHANNELS, (0.0,) * CHANNELS)
    stream = Stream(derivations, scale, sos, 16, g.history + RATE_HZ // 10)
    stream.restart(0)
    cutter = SweepCutter(g, sos, len(weights), (1,), 250.0, NoiseWeights(len(weights), 30.0, RATE_HZ))
    averager = Averager(g.rows, len(weights), 10**6)
    waiting = list(triggers)
    for at in range(0, len(raw), BLOCK):
        inside = []
        while waiting and waiting[0] < at + BLOCK:
            inside.append(waiting.pop(0))
            cutter.trigger(Trigger(inside[-1], 1))
        counts = np.empty((min(BLOCK, len(raw) - at), CHANNELS), np.int32)
        kernels.decode(raw[at : at + BLOCK].reshape(-1), counts.reshape(-1))
        stream.append(counts, inside)
        for sweep in cutter.cut(stream):
            averager.add(sweep)
    return averager.average().mean_uv


def _scipy(raw: np.ndarray, weights: np.ndarray, triggers: list[int]) -> np.ndarray:
    sos = np.vstack(
        [
            signal.butter(PASS_ORDER, 24.0, "highpass", fs=RATE_HZ, output="sos"),
            signal.butter(PASS_ORDER, 1200.0, "lowpass", fs=RATE_HZ, output="sos"),
        ]
    )
    state = None
    blocks = []
    for at in range(0, len(raw), BLOCK):
        b = raw[at : at + BLOCK].reshape(BLOCK, CHANNELS, 3).astype(np.int32)
        counts = (b[:, :, 0] << 16) | (b[:, :, 1] << 8) | b[:, :, 2]
        counts -= (counts & 0x800000) << 1
        x = (counts * LSB_UV) @ weights.T
        if state is None:
            state = signal.sosfilt_zi(sos)[:, :, None] * x[0]
        y, state = signal.sosfilt(sos, x, axis=0, zi=state)
        blocks.append(y)
    y = np.concatenate(blocks)
    total, weight = np.zeros((360, len(weights))), np.zeros(len(weights))
    for t in triggers:
        sweep = signal.sosfilt(sos, y[t - 40 : t + 320][::-1], axis=0)[::-1]
        w = 1.0 / np.mean(y[t - 604 : t - 4] ** 2, axis=0)
        if np.abs(sweep).max() < 250.0:
            total += sweep * w
            weight += w
    return total / weight
