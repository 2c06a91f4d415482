"""The whole chain from counts to measurements on synthetic patients whose truth is known."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from dsp.average import Averager
from dsp.filters import band_pass
from dsp.measure import measure
from dsp.nouns import Average, Measurement, Peak, Sweep, Trigger
from dsp.sweeps import SweepCutter, window
from dsp.triggers import EdgeFinder
from dsp.weights import NoiseWeights
from hw.samples import Gap, SampleBlock
from tests.support.streams import (
    LSB_UV,
    Floats,
    band_noise,
    burst_envelope,
    cut_sweeps,
    stream,
    to_counts,
)

RATE_HZ = 2000.0
BAND_HZ = (30.0, 700.0)
WINDOW_MS = (-20.0, 60.0)
RESPONSE_MS = 70.0
PERIOD_ROWS = 419  # 4.773 Hz
BLANK_ROWS = 10
N20 = Peak("N20", 0, -1, (16.0, 24.0), (21.0, 30.0))


def response_uv(times_ms: Floats, latency_ms: float = 20.0) -> Floats:
    """An N20 (down) and P25, 2.9 uV from one to the other."""
    n20 = -1.4 * np.exp(-0.5 * ((times_ms - latency_ms) / 1.6) ** 2)
    return np.asarray(n20 + 1.6 * np.exp(-0.5 * ((times_ms - latency_ms - 5.2) / 2.3) ** 2))


def artifact_uv(times_ms: Floats) -> Floats:
    """500 uV for 0.2 ms and a tail of 60 uV that dies away with 1.5 ms."""
    pulse = np.where((times_ms >= 0.0) & (times_ms < 0.2), 500.0, 0.0)
    return np.asarray(pulse + np.where(times_ms >= 0.0, 60.0, 0.0) * np.exp(-np.maximum(times_ms, 0.0) / 1.5))


@dataclass(frozen=True, slots=True)
class Patient:
    """`uv` (time, channel); channel 0 responds, channel 1 does not; triggers at `stimuli` on line 2."""

    uv: Floats
    stimuli: tuple[int, ...]


def patient(
    n_sweeps: int,
    noise_uv: float = 6.0,
    seed: int = 1,
    amplitude: float = 1.0,
    lost_after: int | None = None,
    offset_uv: float = 5e4,
) -> Patient:
    n = 600 + n_sweeps * PERIOD_ROWS
    stimuli = tuple(300 + k * PERIOD_ROWS for k in range(n_sweeps))
    uv = noise_uv * band_noise(np.random.default_rng(seed), (n, 2), RATE_HZ, 20.0, 900.0)
    at = np.arange(-10, 160)
    times_ms = at / RATE_HZ * 1e3
    for k, stimulus in enumerate(stimuli):
        uv[stimulus + at] += artifact_uv(times_ms)[:, None]
        if lost_after is None or k < lost_after:
            uv[stimulus + at, 0] += amplitude * response_uv(times_ms)
    return Patient(uv + np.array([offset_uv, -0.6 * offset_uv]), stimuli)


class Chain:
    """The parts of dsp/ as a test of the product joins them; the stimulus is on line 2."""

    def __init__(self, target: int, band_hz: tuple[float, float] = BAND_HZ, weighted: bool = True) -> None:
        sos = band_pass(*band_hz, RATE_HZ)
        self.geometry = window(WINDOW_MS, RESPONSE_MS, 0.0, RATE_HZ, sos)
        self.edges = EdgeFinder()
        self.stream = stream(sos, 2, BLANK_ROWS, self.geometry.history + 200)
        weights = NoiseWeights(2, band_hz[0], RATE_HZ) if weighted else None
        self.cutter = SweepCutter(self.geometry, sos, 2, (2,), 200.0, weights)
        self.averager = Averager(self.geometry.rows, 2, target)
        self.sweeps: list[Sweep] = []
        self.finals: list[Average] = []

    def feed(self, block: SampleBlock) -> None:
        if block.gaps or not block.first_index:
            self._take(self.cutter.gap())
            self.stream.restart(block.first_index)
        triggers = self.edges.find(block)
        for start in range(0, len(block.counts), self.stream.max_block):
            part = block.counts[start : start + self.stream.max_block]
            first = block.first_index + start
            inside = [t for t in triggers if first <= t.index < first + len(part)]
            for trigger in inside:
                self.cutter.trigger(trigger)
            self.stream.append(part, [t.index for t in inside])
            self._take(self.cutter.cut(self.stream))

    def _take(self, sweeps: list[Sweep]) -> None:
        for sweep in sweeps:
            self.sweeps.append(sweep)
            self.averager.add(sweep)
            if self.averager.complete:
                self.finals.append(self.averager.average())

    def measure(self, average: Average | None = None, peak: Peak = N20) -> Measurement:
        t0_ms = -self.geometry.pre / RATE_HZ * 1e3
        return measure(average or self.averager.average(), (peak,), ("A", "B"), t0_ms, 1e3 / RATE_HZ)[0]


def sample_blocks(given: Patient, rows: int, lost: tuple[int, int] | None = None) -> Iterator[SampleBlock]:
    """Blocks of at most `rows`; the rows `lost` (first, end) never arrive and are named as a gap."""
    counts = to_counts(given.uv)
    bits = np.zeros(len(counts), np.uint8)
    for stimulus in given.stimuli:
        bits[stimulus : stimulus + 4] = 2
    edges = sorted({*range(0, len(counts), rows), len(counts), *(lost or ())})
    for first, end in itertools.pairwise(edges):
        if lost and lost[0] <= first < lost[1]:
            continue
        gaps = (Gap(lost[0], lost[1] - lost[0], "link"),) if lost and first == lost[1] else ()
        yield SampleBlock(first, counts[first:end], bits[first:end], gaps=gaps)


def run(given: Patient, target: int = 100, rows: int = 200, **options: object) -> Chain:
    lost = options.pop("lost", None)
    chain = Chain(target, **options)  # type: ignore[arg-type]
    for block in sample_blocks(given, rows, lost):  # type: ignore[arg-type]
        chain.feed(block)
    return chain


def truth(band_hz: tuple[float, float] = BAND_HZ) -> Measurement:
    """What the same chain says of the response without noise and offset."""
    chain = run(patient(24, noise_uv=0.0, offset_uv=0.0), 16, band_hz=band_hz)
    return chain.measure()


def test_a_response_under_noise_artifact_and_offset_is_measured_within_its_intervals() -> None:
    chain = run(patient(300), 300)
    assert [s.trigger for s in chain.sweeps] == [Trigger(300 + k * PERIOD_ROWS, 2) for k in range(300)]
    assert all(s.accepted for s in chain.sweeps)
    (final,) = chain.finals
    assert final.noise_uv == pytest.approx(6.0 / np.sqrt(300.0), rel=0.25)
    got, true = chain.measure(final), truth()
    assert got.present
    assert true.latency_ms == pytest.approx(19.8, abs=0.1)  # the P25 draws the extreme forward
    assert got.latency_ms == pytest.approx(true.latency_ms, abs=1.5)
    assert got.latency_ci_ms[0] < true.latency_ms < got.latency_ci_ms[1]
    assert got.amplitude_ci_uv[0] < true.amplitude_uv < got.amplitude_ci_uv[1]
    assert got.amplitude_ci_uv[1] - got.amplitude_ci_uv[0] < 2.0 * true.amplitude_uv


def test_the_error_of_the_average_is_the_noise_that_it_states() -> None:
    """Channel B has no response: what its average holds is its error."""
    ratios = []
    for seed in range(8):
        final = run(patient(100, seed=seed), 100).finals[0]
        behind_artifact = final.mean_uv[60:, 1]
        ratios.append(np.sqrt(np.mean(behind_artifact**2)) / final.noise_uv[1])
    assert np.sqrt(np.mean(np.square(ratios))) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_a_channel_without_a_response_is_told_absent(seed: int) -> None:
    chain = run(patient(100, seed=10 + seed))
    got = chain.measure(chain.finals[0], Peak("N20", 1, -1, N20.window_ms, N20.to_ms))
    assert not got.present
    assert got.amplitude_uv is None
    assert got.noise_uv == pytest.approx(0.6, rel=0.25)


def test_a_response_that_goes_is_told_absent_in_the_next_average() -> None:
    chain = run(patient(240, noise_uv=3.0, lost_after=120), 120)
    before, after = (chain.measure(final) for final in chain.finals)
    assert before.present
    assert not after.present
    assert after.noise_uv == pytest.approx(before.noise_uv, rel=0.2)


@pytest.mark.parametrize("rows", [1, 37, 10_000])
def test_any_blocks_give_the_same_bits(rows: int) -> None:
    given = patient(20)
    lost = (1500, 1510)
    expected, got = (run(given, 16, r, lost=lost) for r in (200, rows))
    assert [(s.trigger, s.reason) for s in got.sweeps] == [(s.trigger, s.reason) for s in expected.sweeps]
    told = [[*chain.finals, chain.averager.average()] for chain in (got, expected)]
    for a, b in zip(*told, strict=True):
        assert np.array_equal(a.mean_uv, b.mean_uv)
        assert np.array_equal(a.null_uv, b.null_uv, equal_nan=True)
        assert np.array_equal(a.noise_uv, b.noise_uv, equal_nan=True)


def test_a_gap_costs_the_sweep_under_way_and_the_filter_s_settling_only() -> None:
    given = patient(40, noise_uv=1.0)
    in_window = given.stimuli[10] + 30
    chain = run(given, 16, lost=(in_window, in_window + 5))
    assert [(k, s.reason) for k, s in enumerate(chain.sweeps) if s.reason] == [(10, "gap")]
    before = given.stimuli[20] - 60
    chain = run(given, 16, lost=(before, before + 5))
    assert [(k, s.reason) for k, s in enumerate(chain.sweeps) if s.reason] == [(20, "settling")]
    over_trigger = given.stimuli[30] - 2
    chain = run(given, 16, lost=(over_trigger, over_trigger + 3))
    assert given.stimuli[30] not in [s.trigger.index for s in chain.sweeps]
    assert len(chain.sweeps) == 39


def test_the_artifact_does_not_reach_the_response() -> None:
    """Without noise, with and without it: what is left of 500 uV at 15 ms and later (facts/dsp 3.3)."""
    given = patient(16, noise_uv=0.0, amplitude=0.0)
    chain = run(given, 16)
    times_ms = (np.arange(chain.geometry.rows) - chain.geometry.pre) / RATE_HZ * 1e3
    rest = chain.finals[0].mean_uv[(times_ms >= 15.0) & (times_ms <= 45.0)]
    assert np.sqrt(np.mean(rest**2)) < 0.1
    assert np.abs(rest).max() < 0.3
    assert not chain.measure(chain.finals[0]).present


@pytest.mark.parametrize("band_hz", [(5.0, 900.0), (30.0, 700.0), (30.0, 300.0)])
def test_the_corners_shift_no_latency(band_hz: tuple[float, float]) -> None:
    """A causal 30 Hz corner takes 0.3 ms off a latency (facts/dsp 3.3); two passes take next to nothing."""
    assert truth(band_hz).latency_ms == pytest.approx(truth((2.0, 900.0)).latency_ms, abs=0.05)


# Bursts: many cases at once, as channels of one stream.

CASES, SWEEPS = 32, 400


@dataclass(frozen=True, slots=True)
class Bursty:
    """Sweeps (sweep, time, case) in noise of facts/dsp 3.1, their weights, and the true power of each."""

    uv: Floats
    weights: Floats
    power: Floats
    template: Floats

    def average(self, weights: Floats) -> Floats:
        """Weighted mean (time, case)."""
        return np.asarray(np.einsum("ktc,kc->tc", self.uv, weights) / weights.sum(axis=0))

    def gain(self, weights: Floats) -> float:
        """Amplitude of the average as a share of the true one, by projection, mean over the cases."""
        projected = self.template @ self.average(weights) / (self.template @ self.template)
        return float(projected.mean())

    def residual(self, weights: Floats) -> Floats:
        """Noise power of the mean that these weights leave in truth, per case."""
        return np.asarray((weights**2 * self.power).sum(axis=0) / weights.sum(axis=0) ** 2)


def bursty(kind: str, seed: int, amplitude: float, sign: float = 1.0) -> Bursty:
    sos = band_pass(*BAND_HZ, RATE_HZ)
    g = window((0.0, 60.0), RESPONSE_MS, 0.0, RATE_HZ, sos)
    rng = np.random.default_rng(seed)
    n = 600 + SWEEPS * PERIOD_ROWS
    stimuli = 300 + PERIOD_ROWS * np.arange(SWEEPS)
    level = burst_envelope(rng, n, CASES, RATE_HZ, kind)
    uv = sign * 7.0 * level * band_noise(rng, (n, CASES), RATE_HZ, 20.0, 150.0)
    at = np.arange(0, 160)
    one = amplitude * response_uv(at / RATE_HZ * 1e3)
    for stimulus in stimuli:
        uv[stimulus + at] += one[:, None]
    template = np.zeros((n, 1))
    for stimulus in stimuli[:3]:
        template[stimulus + at, 0] += one
    cutter = SweepCutter(g, sos, CASES, (1,), None, NoiseWeights(CASES, BAND_HZ[0], RATE_HZ))
    triggers = [Trigger(int(s), 1) for s in stimuli]
    found = cut_sweeps(stream(sos, CASES, history=g.history + 400), cutter, to_counts(uv), triggers)
    clean = SweepCutter(g, sos, 1, (1,), None, None)
    shape = cut_sweeps(
        stream(sos, history=g.history + 400), clean, to_counts(template[:2000], 1e-4), triggers[:1]
    )
    power = np.array([np.mean(level[s : s + g.post] ** 2, axis=0) for s in stimuli])
    return Bursty(
        np.array([s.uv for s in found]),
        np.array([s.weights for s in found]),
        power,
        shape[0].uv[:, 0] * 1e-4 / LSB_UV,
    )


@pytest.fixture(scope="module", params=["quiet", "typical", "severe"])
def kind_and_cases(request: pytest.FixtureRequest) -> tuple[str, Bursty, Bursty]:
    """The same cases with their noise as it is, and with its sign turned."""
    return request.param, *(bursty(request.param, 7, 4.0, sign) for sign in (1.0, -1.0))


def test_the_weighted_average_keeps_the_amplitude(kind_and_cases: tuple[str, Bursty, Bursty]) -> None:
    """Over noise of both signs, so that what is linear in it cancels and the bias is left."""
    _, *both = kind_and_cases
    assert all(len(cases.uv) == SWEEPS for cases in both)
    gain = np.mean([cases.gain(cases.weights) for cases in both])
    from_itself = np.mean([cases.gain(1.0 / np.mean(cases.uv**2, axis=1)) for cases in both])
    assert gain == pytest.approx(1.0, abs=0.02)
    assert from_itself < 0.95, (
        "weights from the sweep itself shrink it (facts/dsp 3.1): this test would see it"
    )


def test_weights_come_near_the_oracle_s(
    kind_and_cases: tuple[str, Bursty, Bursty], record_property: Callable[[str, object], None]
) -> None:
    kind, cases, _ = kind_and_cases
    best = cases.residual(1.0 / cases.power)
    weighted, plain = cases.residual(cases.weights), cases.residual(np.ones_like(cases.weights))
    efficiency, saved = float(np.median(best / weighted)), float(np.median(plain / weighted))
    record_property(f"{kind}: efficiency against the oracle", round(efficiency, 3))
    record_property(f"{kind}: sweeps saved against the plain average", round(saved, 2))
    # A burst of 30 times the noise that begins behind the interval meets full weight: hence the severe bound.
    assert efficiency >= {"quiet": 0.9, "typical": 0.9, "severe": 0.5}[kind]
    assert saved >= {"quiet": 0.9, "typical": 1.75, "severe": 4.5}[kind]
