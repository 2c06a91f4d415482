"""How often intervals hold the truth and noise alone is called present, through Averager and Measurer.

`python -m tests.evoked.coverage` runs the whole campaign: noise spectra, quiet and weighted bursty noise,
numbers of sweeps, shapes and windows, noise from beyond the presence limit down. One derivation per run: a
cell of 1,000 runs is one average. Seeded; the truth is what the same picking reads without noise. Intervals
are judged over the runs that are present, as a reader meets them. At the end, for each amplitude / noise, how
many cells are in 93 to 97 %, and which miss it by more than two standard errors of 1,000 runs.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.average import Averager
from dsp.measure import measure
from dsp.nouns import Average, Measurement, Peak, Sweep, Trigger
from tests.evoked.noise import KINDS

Floats = NDArray[np.float64]
RATE_HZ = 4000.0
DT_MS = 1e3 / RATE_HZ
T0_MS = -15.0
TIMES_MS = T0_MS + DT_MS * np.arange(240)
PERIOD = 512
"""Rows in which the noise of a sweep repeats, beyond its window."""
SPECTRA: dict[str, Callable[[Floats], Floats]] = {
    "white": lambda hz: np.where((hz >= 26.0) & (hz <= 1000.0), 1.0, 0.0),
    "1/f": lambda hz: np.where((hz >= 26.0) & (hz <= 1000.0), 1.0 / np.maximum(hz, 1.0), 0.0),
    "1/f^2": lambda hz: np.where((hz >= 26.0) & (hz <= 1000.0), 1.0 / np.maximum(hz, 1.0) ** 2, 0.0),
}
BURSTS = {"quiet": 0.0, "typical": 0.06, "severe": 0.25}
"""Share of sweeps within a burst; the other numbers are those of tests.evoked.noise."""
WEIGHT_FREEDOM = 10
SNRS = (3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 40.0)
FEWEST = 30
"""Present runs without which a cell tells nothing of its intervals."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A response of `height_uv` as it is measured, and where it is looked for."""

    trace: Callable[[Floats], Floats]
    window_ms: tuple[float, float]
    to_ms: tuple[float, float] | None
    height_uv: float


def bump(latency_ms: Floats, width_ms: float, height_uv: float) -> Floats:
    """Gaussian bumps (time, run)."""
    return np.asarray(height_uv * np.exp(-0.5 * (np.subtract.outer(TIMES_MS, latency_ms) / width_ms) ** 2))


def n20_p25(latency_ms: Floats) -> Floats:
    """2.9 uV from the N20 (up) to the P25."""
    return bump(latency_ms, 1.6, 1.4) - bump(latency_ms + 5.2, 2.3, 1.6)


def slow_fall(latency_ms: Floats) -> Floats:
    """Rises in 0.8 ms and falls in 3 (standard deviations)."""
    off = np.subtract.outer(TIMES_MS, latency_ms)
    return np.asarray(np.exp(-0.5 * (off / np.where(off < 0.0, 0.8, 3.0)) ** 2))


SHAPES = {
    "peak to peak": Shape(n20_p25, (16.0, 24.0), (21.0, 30.0), 2.9),
    "narrow windows": Shape(n20_p25, (18.0, 22.0), (23.0, 28.0), 2.9),
    "from baseline": Shape(n20_p25, (16.0, 24.0), None, 1.33),
    "sharp": Shape(lambda at: bump(at, 0.6, 1.0), (17.0, 23.0), None, 1.0),
    "flat top": Shape(
        lambda at: np.exp(-0.5 * (np.subtract.outer(TIMES_MS, at) / 3.0) ** 4), (12.0, 28.0), None, 1.0
    ),
    "slow fall": Shape(slow_fall, (15.0, 26.0), None, 1.0),
}


def sweeps_noise(rng: np.random.Generator, runs: int, spectrum: str) -> Floats:
    """One sweep's noise (time, run) of 1 uVrms."""
    power = SPECTRA[spectrum](np.fft.rfftfreq(PERIOD, 1.0 / RATE_HZ))
    power = power / (2.0 * power.sum())
    white = rng.standard_normal((2, runs, len(power)))
    made = np.fft.irfft((white[0] + 1j * white[1]) * np.sqrt(power) * PERIOD, PERIOD, axis=-1)
    return np.ascontiguousarray(made[:, : len(TIMES_MS)].T)


def noise_average(seed: int, runs: int, spectrum: str, kind: str, sweeps: int) -> Average:
    """The average of sweeps without response: levels, bursts, weights of 10 degrees of freedom."""
    rng = np.random.default_rng(seed)
    averager = Averager(len(TIMES_MS), runs, max(sweeps, 16))
    for i in range(sweeps):
        level, weights = np.ones(runs), np.ones(runs)
        if kind != "quiet":
            level = np.exp(KINDS[kind].slow_sd * rng.standard_normal(runs))
            burst = np.exp(rng.uniform(*np.log(KINDS[kind].factor), runs))
            level = np.where(rng.random(runs) < BURSTS[kind], level * burst, level)
            weights = WEIGHT_FREEDOM / (level**2 * rng.chisquare(WEIGHT_FREEDOM, runs))
        averager.add(Sweep(Trigger(i, 1), sweeps_noise(rng, runs, spectrum) * level, 60, weights))
    return averager.average()


def scaled(noise: Average, response: Floats, noise_uv: float) -> Average:
    """The average with a response; its noise of `noise_uv` on average over the runs."""
    gain = noise_uv / float(np.sqrt(np.mean(noise.mean_uv**2)))
    return Average(
        noise.mean_uv * gain + response,
        noise.noise_uv * gain,
        noise.null_uv * gain,
        max(noise.n_sweeps, 16),
        0,
        noise.n_effective,
        0,
        1,
        False,
    )


def measured(average: Average, shape: Shape) -> list[Measurement]:
    """One measurement per run."""
    runs = average.mean_uv.shape[1]
    peaks = tuple(Peak("N20", d, 1, shape.window_ms, shape.to_ms) for d in range(runs))
    return measure(average, peaks, ("",) * runs, T0_MS, DT_MS)


@dataclass(frozen=True, slots=True)
class Cell:
    """`present` of the runs; of those, the shares whose intervals hold the truth, and median half widths."""

    present: int
    latency: float
    amplitude: float
    half_ms: float
    half_share: float
    gain: float


def cell(noise: Average, shape: Shape, snr: float, seed: int = 7) -> Cell:
    """Coverage at amplitude / noise of `snr`, latencies spread over a millisecond."""
    runs = noise.mean_uv.shape[1]
    response = shape.trace(20.0 + np.random.default_rng(seed).uniform(-0.5, 0.5, runs))
    silent = Average(response, np.zeros(runs), 0.0 * noise.null_uv, 16, 0, noise.n_effective, 0, 1, False)
    truths = measured(silent, shape)
    found = measured(scaled(noise, response, shape.height_uv / snr), shape)
    pairs = [(m, t) for m, t in zip(found, truths, strict=True) if m.present]
    latencies = np.array([(*m.latency_ci_ms, t.latency_ms) for m, t in pairs]).reshape(-1, 3)  # type: ignore
    amplitudes = np.array([(*m.amplitude_ci_uv, t.amplitude_uv) for m, t in pairs]).reshape(-1, 3)  # type: ignore
    gains = [float(m.amplitude_uv or 0.0) / float(t.amplitude_uv or 1.0) for m, t in pairs]
    if not pairs:
        return Cell(0, np.nan, np.nan, np.nan, np.nan, np.nan)
    return Cell(
        len(pairs),
        float(np.mean((latencies[:, 0] <= latencies[:, 2]) & (latencies[:, 2] <= latencies[:, 1]))),
        float(np.mean((amplitudes[:, 0] <= amplitudes[:, 2]) & (amplitudes[:, 2] <= amplitudes[:, 1]))),
        float(np.median(latencies[:, 1] - latencies[:, 0])) / 2.0,
        float(np.median((amplitudes[:, 1] - amplitudes[:, 0]) / amplitudes[:, 2])) / 2.0,
        float(np.mean(gains)),
    )


def miss(share: float, present: int) -> float:
    """By how much a coverage is beyond 93 to 97 %, less two standard errors (of 1,000 runs, or of fewer)."""
    error = float(np.sqrt(0.05 * 0.95 / min(present, 1000)))
    return max(0.93 - share, share - 0.97) - 2.0 * error


def summary(cells: list[tuple[str, float, Cell]]) -> Iterator[str]:
    """Two lines for each amplitude / noise of (name, amplitude / noise, cell)."""
    for snr in sorted({at for _, at, _ in cells}):
        here = [(name, c) for name, at, c in cells if at == snr and c.present >= FEWEST]
        if not here:
            continue
        for what in ("latency", "amplitude"):
            told = [(float(getattr(c, what)), c.present, name) for name, c in here]
            shares = np.array([share for share, _, _ in told])
            missed = [f"{name} {100 * share:.1f}" for share, n, name in told if miss(share, n) > 0.0]
            yield (
                f"{snr:5.0f} {what:10} mean {100 * shares.mean():.1f}, {100 * shares.min():.1f} to "
                f"{100 * shares.max():.1f}, {np.sum((shares >= 0.93) & (shares <= 0.97))} of {len(told)} in "
                f"93-97, {len(missed)} beyond by 2 errors {'; '.join(missed)}"
            )
        gains = np.array([c.gain for _, c in here])
        yield f"{snr:5.0f} gain       mean {gains.mean():.3f}, {gains.min():.3f} to {gains.max():.3f}"


def campaign(runs: int, seed: int) -> Iterator[str]:
    """One line per cell, first how often noise alone is present."""
    yield f"{'shape':15}{'spectrum':9}{'noise':8}{'N':>5}{'A/noise':>8}{'present':>8}" + (
        f"{'latency %':>10}{'amplitude %':>12}{'half ms':>8}{'half %':>7}{'gain':>6}"
    )
    cells = [
        (s, *n) for s in SPECTRA for n in (("quiet", 16), ("typical", 64), ("severe", 64), ("severe", 256))
    ]
    done: list[tuple[str, float, Cell]] = []
    for k, (spectrum, kind, sweeps) in enumerate(cells):
        noise = noise_average(seed + k, runs, spectrum, kind, sweeps)
        for name, shape in SHAPES.items():
            head = f"{name:15}{spectrum:9}{kind:8}{sweeps:5d}"
            false = sum(m.present for m in measured(noise, shape))
            yield f"{head}{'none':>8}{false:8d}"
            for snr in SNRS:
                c = cell(noise, shape, snr)
                done.append((head, snr, c))
                covered = f"{c.present:8d}{100 * c.latency:10.1f}{100 * c.amplitude:12.1f}"
                widths = f"{c.half_ms:8.2f}{100 * c.half_share:7.1f}{c.gain:6.2f}"
                yield f"{head}{snr:8.0f}{covered}{widths}"
    yield from summary(done)


def main() -> None:
    """Runs (default 1,000) and seed may be given."""
    given = [int(a) for a in sys.argv[1:3]]
    runs, seed = [*given, *(1000, 20261)[len(given) :]]
    for line in campaign(runs, seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
