"""Sweeps to a criterion: how many sweeps each way of averaging needs until an SSEP stands out of OR noise.

As in facts/dsp 3.1: signal rms over error rms of 12-45 ms at 6 dB, held until 1.3 N, N on a 10 % grid, at
most 3,000 sweeps. Filters are the product's, and so are its weights: each case runs through its stream and
cutter. Noise and response, cut apart by the same filters, are summed with them, so that the error is known.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.filters import ForwardFilter, backward, band_pass
from dsp.nouns import Sweep, Trigger
from dsp.sweeps import SweepCutter, Window, window
from dsp.weights import NoiseWeights
from tests.evoked import noise
from tests.evoked.response import patient
from tests.support.streams import stream, to_counts

Floats = NDArray[np.float64]

RATE_HZ = 2500.0
BAND_HZ = (30.0, 1000.0)
WINDOW_MS = (-10.0, 80.0)
RESPONSE_MS = 60.0
MEASURED_MS = 45.0
SCORED_MS = (12.0, MEASURED_MS)
STIMULUS_HZ = (4.55, 4.95)
NOISE_UV = (5.0, 10.0)
MAINS_UV = (2.0, 5.0)
MAINS_HZ = (50.0, 60.0)
REJECT_UV = 50.0
PRODUCT_REJECT_UV = 250.0
LSB_UV = 0.0223
RAILS_COUNTS = (-(2**23), 2**23 - 1)
"""An ADS1299 at gain 24: what goes beyond its rails (the worst of stacked bursts) stands there."""
BLOCK = 8
SNR = 10.0 ** (6.0 / 20.0)
HELD = 1.3
MOST_SWEEPS = 3000
GRID = np.array([n for k in range(80) if (n := round(10.0 * 1.1**k)) < MOST_SWEEPS] + [MOST_SWEEPS])
METHODS = ("plain", "reject", "product", "blocks", "oracle")


@dataclass(frozen=True, slots=True)
class Case:
    """A patient in noise: continuous, unfiltered `response_uv`, `noise_uv` (no mains), `mains_uv` (time,);
    `stimuli` (sweep,) sample indices; the noise's true `level` (time,)."""

    response_uv: Floats
    noise_uv: Floats
    mains_uv: Floats
    level: Floats
    stimuli: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sweeps:
    """A case cut as the product cuts it: (sweep, time) of the window. `body_uv` is the noise without mains,
    `response_uv` (time,) the same in every sweep; `variance` (sweep,) is the noise's true one;
    `weights` (sweep,) are the product's (0: rejected)."""

    response_uv: Floats
    noise_uv: Floats
    body_uv: Floats
    variance: Floats
    weights: Floats
    scored: slice


def geometry() -> Window:
    """The sweep of the product's median SSEP at this rate."""
    sos = band_pass(*BAND_HZ, RATE_HZ)
    return window(WINDOW_MS, RESPONSE_MS, 0.0, RATE_HZ, sos, MEASURED_MS)


def case(kind: str, rng: np.random.Generator, n_sweeps: int = MOST_SWEEPS) -> Case:
    """One patient in noise of `kind`, stimulated `n_sweeps` times at a fixed rate of its own."""
    response = patient(rng)
    period = RATE_HZ / rng.uniform(*STIMULUS_HZ)
    stimuli = np.round(1.5 * RATE_HZ + period * np.arange(n_sweeps)).astype(np.int64)
    n = _smooth(int(stimuli[-1]) + round(RATE_HZ / STIMULUS_HZ[1]))
    level = noise.level(kind, n, RATE_HZ, rng)
    body = level * noise.body(n, RATE_HZ, rng.uniform(*NOISE_UV), BAND_HZ, rng)
    mains = noise.mains(
        n, RATE_HZ, rng.choice(MAINS_HZ) + rng.uniform(-0.05, 0.05), rng.uniform(*MAINS_UV), rng
    )
    uv = np.zeros(n)
    wave = response.uv(np.arange(round(0.1 * RATE_HZ)) / RATE_HZ * 1e3)
    uv[stimuli[:, None] + np.arange(len(wave))] = wave
    return Case(uv, body, mains, level, stimuli)


def _smooth(n: int) -> int:
    """The next whole number from n on without large prime factors: the FFT is fast."""
    step = 2 ** max(0, n.bit_length() - 7)
    return -(-n // step) * step


def sweeps(made: Case) -> Sweeps:
    """Noise, mains and response filtered and cut apart, by the product's filters; weighed by the product."""
    sos = band_pass(*BAND_HZ, RATE_HZ)
    parts = np.stack([made.response_uv, made.noise_uv, made.mains_uv], axis=1)
    ForwardFilter(sos, parts.shape[1]).run(parts)
    g = geometry()
    at = made.stimuli[:, None] + np.arange(-g.pre, g.post + g.tail)
    response, body, mains = (backward(parts[:, k][at].T, sos)[: g.rows].T for k in range(3))
    first = g.pre + round(SCORED_MS[0] * RATE_HZ / 1e3)
    scored = slice(first, g.pre + round(SCORED_MS[1] * RATE_HZ / 1e3))
    return Sweeps(
        response_uv=response[len(response) // 2],
        noise_uv=body + mains,
        body_uv=body,
        variance=np.mean(made.level[at[:, scored]] ** 2, axis=1),
        weights=np.array([s.weights[0] for s in product_sweeps(made)]),
        scored=scored,
    )


def product_sweeps(made: Case) -> list[Sweep]:
    """Every sweep as the product's stream and cutter give it: from counts, causally, one after the other."""
    sos, g = band_pass(*BAND_HZ, RATE_HZ), geometry()
    cutter = SweepCutter(g, sos, 1, (1,), PRODUCT_REJECT_UV, NoiseWeights(1, BAND_HZ[0], RATE_HZ))
    uv = made.response_uv + made.noise_uv + made.mains_uv
    counts = to_counts(np.clip(uv[:, None], *(rail * LSB_UV for rail in RAILS_COUNTS)), LSB_UV)
    triggers = {int(index): Trigger(int(index), 1) for index in made.stimuli}
    stimuli = made.stimuli.tolist()
    through = stream(sos, 1, 0, g.history + round(RATE_HZ), LSB_UV)
    found: list[Sweep] = []
    for first in range(0, len(counts), through.max_block):
        end = min(first + through.max_block, len(counts))
        inside = stimuli[bisect_left(stimuli, first) : bisect_left(stimuli, end)]
        for index in inside:
            cutter.trigger(triggers[index])
        through.append(counts[first:end], inside)
        found += cutter.cut(through)
    return found


def method_weights(cut: Sweeps, method: str) -> Floats:
    """Weights (sweep,) of one of METHODS."""
    if method == "product":
        return cut.weights
    if method == "oracle":
        return 1.0 / cut.variance
    uv = cut.noise_uv + cut.response_uv
    if method == "reject":
        return (np.abs(uv).max(axis=1) <= REJECT_UV).astype(float)
    if method == "blocks":
        blocks = uv[: len(uv) // BLOCK * BLOCK, cut.scored].reshape(
            -1, BLOCK, cut.scored.stop - cut.scored.start
        )
        weights = np.repeat(1.0 / blocks.var(axis=1, ddof=1).mean(axis=1), BLOCK)
        return np.concatenate([weights, np.zeros(len(uv) - len(weights))])
    return np.ones(len(uv))


def sweeps_needed(errors_uv: Floats, weights: Floats, signal_uv: Floats) -> int:
    """First N of the grid from which on the SNR holds until 1.3 N; MOST_SWEEPS when there is none.

    `errors_uv` (sweep, time) without response, `weights` (sweep,), `signal_uv` (time,).
    """
    total = np.cumsum(weights)[GRID - 1]
    sums = np.cumsum(weights[:, None] * errors_uv, axis=0)[GRID - 1]
    safe = np.where(total > 0.0, total, 1.0)
    error = np.sqrt(np.mean(sums**2, axis=1)) / safe
    reached = (total > 0.0) & (np.sqrt(np.mean(signal_uv**2)) >= SNR * error)
    for k, n in enumerate(GRID):
        if reached[k:][GRID[k:] <= HELD * n].all():
            return int(n)
    return MOST_SWEEPS


def gain(cut: Sweeps, weights: Floats) -> float:
    """Amplitude of the average of all sweeps, as its projection on the true response; 1 is right."""
    signal = cut.response_uv[cut.scored]
    errors = weights @ cut.noise_uv[:, cut.scored] / weights.sum()
    return 1.0 + float(errors @ signal / (signal @ signal))


def efficiency(cut: Sweeps, weights: Floats) -> float:
    """Expected noise power of the oracle's average over that of these weights, all sweeps, no mains: the
    efficiency that the 10 % grid only shows in steps."""
    used = weights.sum() ** 2 / np.sum(weights**2 * cut.variance)
    return float(used / np.sum(1.0 / cut.variance))


def study(kind: str, cases: int, seed: int) -> dict[str, dict[str, Floats]]:
    """Of each method and case: `needed` sweeps, `gain`, and `efficiency` as expected; arrays (case,)."""
    found: dict[str, dict[str, list[float]]] = {
        m: {"needed": [], "gain": [], "efficiency": []} for m in METHODS
    }
    for number in range(cases):
        cut = sweeps(case(kind, np.random.default_rng([seed, list(noise.KINDS).index(kind), number])))
        for method, of in found.items():
            weights = method_weights(cut, method)
            errors = cut.body_uv if method == "oracle" else cut.noise_uv
            of["needed"].append(sweeps_needed(errors[:, cut.scored], weights, cut.response_uv[cut.scored]))
            of["gain"].append(gain(cut, weights))
            of["efficiency"].append(efficiency(cut, weights))
    return {m: {k: np.array(v) for k, v in of.items()} for m, of in found.items()}


def measure(kind: str, cases: int, seed: int) -> dict[str, float]:
    """The figures of one kind of noise. `<method>.n`, `.reached`, `.speed_up` (median; `_low`, `_high` the
    quartiles), `.gain`, `.gain_mean`, `.efficiency` (oracle's N over its N, median), `.efficiency_expected`.
    """
    found = study(kind, cases, seed)
    plain, oracle = found["plain"]["needed"], found["oracle"]["needed"]
    figures = {}
    for method, of in found.items():
        low, middle, high = np.percentile(plain / of["needed"], [25, 50, 75])
        figures |= {
            f"{method}.n": float(np.median(of["needed"])),
            f"{method}.reached": float(np.mean(of["needed"] < MOST_SWEEPS)),
            f"{method}.speed_up": float(middle),
            f"{method}.speed_up_low": float(low),
            f"{method}.speed_up_high": float(high),
            f"{method}.gain": float(np.median(of["gain"])),
            f"{method}.gain_mean": float(np.mean(of["gain"])),
            f"{method}.efficiency": float(np.median(oracle / of["needed"])),
            f"{method}.efficiency_expected": float(np.median(of["efficiency"])),
        }
    return figures
