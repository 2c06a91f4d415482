"""Minutes of free-running EMG as the detector meets it, with what truly happened, and how it did."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from dsp.free_emg import EmgEvent, FreeEmgDetector
from hw.model.discharges import Discharge, Kind
from hw.model.motor_units import Firing, FreeEmg
from hw.model.stochastic import OnePoleBank, SlowWander, child, rms_of, wander_phasors

Floats = NDArray[np.float64]

MUSCLES = ("EASL", "TAL", "GASL", "VLL", "EASR", "TAR", "GASR", "VLR")
HARMONICS = (1.0, 0.12, 0.35, 0.08, 0.2)
RESTING_UV, AMPLIFIER_UV = 2.5, 1.2
"""rms in all; resting muscle waxes by exp(0.35 z) about it."""
KNIFE_UV = 3000.0
LONGEST = {"spike": 0.0, "burst": 0.19, "A-train": 6.0, "B-train": 6.0, "C-train": 6.0}
SHORTEST = {"spike": 0.0, "burst": 0.06, "A-train": 0.6, "B-train": 0.6, "C-train": 0.6}
RATES_HZ = {"A-train": (60.0, 200.0), "B-train": (20.0, 60.0)}


@dataclass(frozen=True, slots=True)
class Minute:
    """Rows (time, muscle) band-passed; what fired, and the spans (first, end) of electrosurgery."""

    uv: Floats
    rate_hz: float
    truth: tuple[Firing, ...]
    spans: tuple[tuple[int, int], ...]


def resting(rate_hz: float, seconds: float, n: int, seed: int, mains_uv: float = 10.0) -> Floats:
    """What is there without any discharge (time, muscle): amplifier, muscle that waxes, mains, an ECG."""
    samples = -(-int(seconds * rate_hz) // 32) * 32
    times_s = np.arange(samples) / rate_hz
    rng = child(seed, "rest")
    poles, gains = (25.0, 300.0), (-1.0, 1.0)
    draws = [child(seed, "muscle", str(k)) for k in range(n)]
    bank = OnePoleBank(draws, rate_hz, poles, gains, RESTING_UV / rms_of(poles, gains, rate_hz))
    periods = (23.0, 61.0, 149.0)
    uv = bank.rows(samples) * np.exp(
        SlowWander(wander_phasors(draws, 3, 0.35), periods, rate_hz, samples).rows(0.0)
    )
    uv += AMPLIFIER_UV * rng.standard_normal(uv.shape)
    mains_hz = rng.choice([50.0, 60.0]) + rng.uniform(-0.1, 0.1)
    for k, share in enumerate(HARMONICS, 1):
        phases = rng.uniform(0.5, 1.0, n)[:, None] * np.exp(2j * np.pi * rng.random((n, 1)))
        turn = np.exp(2j * np.pi * k * mains_hz * times_s)
        uv += mains_uv * share * (phases * turn).real
    size_uv, beat = rng.uniform(20.0, 80.0, n)[:, None], np.zeros(samples)
    for at in np.cumsum(rng.uniform(0.7, 1.1, int(seconds / 0.7) + 2)):
        since = times_s - at
        near = np.abs(since) < 0.1
        beat[near] += np.exp(-0.5 * (since[near] / 0.012) ** 2) - 0.4 * np.exp(
            -0.5 * ((since[near] - 0.03) / 0.018) ** 2
        )
    uv += size_uv * beat + 200.0 * np.sin(2 * np.pi * 0.25 * times_s)
    return np.ascontiguousarray(uv.T[: int(seconds * rate_hz)])


def band_passed(uv: Floats, rate_hz: float) -> Floats:
    """20-3000 Hz, or what the rate carries, causal."""
    sos = butter(2, [20.0, min(3000.0, 0.42 * rate_hz)], "band", fs=rate_hz, output="sos")
    out: Floats = sosfilt(sos, uv, axis=0)
    return out


def discharged(
    discharges: tuple[Discharge, ...], rate_hz: float, seconds: float, n: int, seed: int
) -> tuple[Floats, tuple[Firing, ...]]:
    """What `n` muscles' bipolar derivations see of these discharges (time, muscle), and the truth."""
    electrodes = tuple(f"{muscle}{end}" for muscle in MUSCLES[:n] for end in (1, 2))
    source = FreeEmg(electrodes, rate_hz, seed, 4096, discharges)
    samples = int(seconds * rate_hz)
    electrode_uv, times_s = np.zeros((2 * n, samples)), np.arange(samples) / rate_hz
    for first in range(0, samples, 4096):
        part = slice(first, first + 4096)
        source.add_to(electrode_uv[:, part], times_s[part])
    return (electrode_uv[0::2] - electrode_uv[1::2]).T, source.truth()


def case(
    seed: int,
    rate_hz: float = 8000.0,
    seconds: float = 60.0,
    n: int = 4,
    levels_uv: tuple[float, float] = (60.0, 500.0),
    knives: int = 2,
    mains_uv: float = 10.0,
    kinds: tuple[Kind, ...] = ("spike", "burst", "A-train", "B-train", "C-train"),
) -> Minute:
    """A minute with events of all `kinds` in turn, in one muscle or two at a time, and `knives` spans."""
    rng = child(seed, "case")
    discharges = []
    for hand in range(2):
        at, turn = 6.5 + rng.uniform(0.0, 2.0), int(rng.integers(5))
        while kinds:
            kind = kinds[turn % len(kinds)]
            lasts = float(rng.uniform(SHORTEST[kind], LONGEST[kind]))
            if at + lasts > seconds - 1.5:
                break
            level = float(np.exp(rng.uniform(*np.log(levels_uv))))
            rate = float(rng.uniform(*RATES_HZ[kind])) if kind in RATES_HZ else 0.0
            muscle = str(rng.choice(MUSCLES[hand:n:2]))
            discharges.append(Discharge(float(at), lasts, muscle, kind, level, rate))
            at, turn = at + lasts + rng.uniform(1.0, 4.0), turn + 1
    uv = resting(rate_hz, seconds, n, seed, mains_uv)
    added, truth = discharged(tuple(discharges), rate_hz, seconds, n, seed)
    uv += added
    spans = []
    for _ in range(knives):
        first = int(rng.uniform(7.0, seconds - 6.0) * rate_hz)
        end = first + int(rng.uniform(0.3, 3.0) * rate_hz)
        uv[first:end] += KNIFE_UV * rng.standard_normal((end - first, n))
        # Who excludes leaves a little room for the filters before him to settle.
        spans.append((first - int(0.005 * rate_hz), end + int(0.15 * rate_hz)))
    return Minute(band_passed(uv, rate_hz), rate_hz, truth, tuple(sorted(spans)))


def listen(minute: Minute, block: int = 800, late_s: float = 0.03) -> tuple[list[EmgEvent], FreeEmgDetector]:
    """All that a detector tells, spans told as they begin and end."""
    detector = FreeEmgDetector(minute.rate_hz, minute.uv.shape[1], late_s)
    for span in minute.spans:
        detector.exclude(*span)
    told = []
    for first in range(0, len(minute.uv), block):
        told += detector.append(first, minute.uv[first : first + block])
    return told + detector.restart(len(minute.uv)), detector


def touched(firing: Firing, spans: tuple[tuple[int, int], ...], rate_hz: float) -> bool:
    """Whether something that fired was muted in part."""
    return any(
        first / rate_hz - 0.1 < firing.end_s and end / rate_hz + 0.1 > firing.start_s for first, end in spans
    )


@dataclass(slots=True)
class Score:
    """Counts over many minutes: by kind what fired, was found, was called right; what was invented."""

    fired: dict[str, int]
    found: dict[str, int]
    right: dict[str, int]
    mistaken: list[tuple[str, str, float, float]]
    invented: list[EmgEvent]
    minutes: float


def scored(minutes: list[Minute], told: list[list[EmgEvent]]) -> Score:
    """Every event that fired against what was told, and the other way round."""
    score = Score({}, {}, {}, [], [], 0.0)
    for minute, events in zip(minutes, told, strict=True):
        ended = [e for e in events if not e.ongoing]
        score.minutes += len(minute.uv) / minute.rate_hz / 60.0
        for firing in minute.truth:
            if touched(firing, minute.spans, minute.rate_hz):
                continue
            score.fired[firing.kind] = score.fired.get(firing.kind, 0) + 1
            near = [e for e in ended if overlap_s(e, firing, minute.rate_hz) > 0]
            if not near:
                score.mistaken.append((firing.kind, "missed", firing.level_uv, firing.rate_hz))
                continue
            score.found[firing.kind] = score.found.get(firing.kind, 0) + 1
            best = max(near, key=lambda e: overlap_s(e, firing, minute.rate_hz))
            if called(best) == firing.kind:
                score.right[firing.kind] = score.right.get(firing.kind, 0) + 1
            else:
                score.mistaken.append((firing.kind, called(best), firing.level_uv, firing.rate_hz))
        for event in ended:
            if not any(overlap_s(event, firing, minute.rate_hz) > 0 for firing in minute.truth):
                score.invented.append(event)
    return score


def called(event: EmgEvent) -> str:
    """An event's class in the words of the model."""
    return f"{event.train}-train" if event.kind == "train" else event.kind


def overlap_s(event: EmgEvent, firing: Firing, rate_hz: float) -> float:
    """Seconds in common, 20 ms allowed on both sides of what fired."""
    if MUSCLES[event.derivation] != firing.muscle:
        return 0.0
    return min(event.end / rate_hz, firing.end_s + 0.02) - max(event.first / rate_hz, firing.start_s - 0.02)
