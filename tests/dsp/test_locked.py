"""At a rate that is locked to the mains the guard warns after few sweeps; at clean rates it stays quiet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp import reference_mains as slow
from dsp.average import hadamard
from dsp.locked import LockGuard, coherence, expected, seen, verdict
from dsp.mains import left
from tests.evoked import noise

RATE_HZ = 4000.0
# The shares of the harmonics in tests.evoked.noise.mains, 3 uV of the fundamental.
MAINS_UV = 3.0 * np.array([1.0, 0.15, 0.4, 0.05, 0.2])
PERIODS = {5.0: 800, 3.0: round(RATE_HZ / 3), 4.776: 838, 2.692: 1486}
NOISE_UV = 7.5


def guarded(period: int, sweeps: int, hz: float = 60.0, jitter: float = 0.0) -> LockGuard:
    guard = LockGuard(RATE_HZ, hz)
    rng = np.random.default_rng(sweeps)
    for k in range(sweeps):
        guard.add(k * period + round(jitter * rng.uniform()), 1.0)
    return guard


@pytest.mark.parametrize("hz", [59.98, 60.0, 60.02])
def test_five_a_second_at_60_hz_warns_after_few_sweeps(hz: float) -> None:
    for sweeps in (8, 16, 64):
        told = guarded(PERIODS[5.0], sweeps, hz).verdict(MAINS_UV, NOISE_UV / np.sqrt(sweeps))
        assert not told.trusted, sweeps
        assert told.harmonic == 1
        assert "cannot be trusted" in told.text
    assert told.ratio is not None
    assert told.ratio > 1.0


@pytest.mark.parametrize("rate", [4.776, 2.692])
@pytest.mark.parametrize("hz", [49.95, 50.0, 50.05, 59.95, 60.0, 60.05])
def test_clean_rates_stay_quiet_at_every_count(rate: float, hz: float) -> None:
    guard, quiet = LockGuard(RATE_HZ, hz), []
    for k in range(1000):
        guard.add(k * PERIODS[rate])
        if k >= 15:
            quiet.append(guard.verdict(MAINS_UV, NOISE_UV / np.sqrt(k + 1)).trusted)
    assert np.mean(quiet) >= 0.99


def test_no_mains_no_warning_whatever_the_rate() -> None:
    told = guarded(PERIODS[5.0], 200).verdict(np.zeros(5), 0.1)
    assert told.trusted
    assert (told.harmonic, told.left_uv, told.ratio) == (0, 0.0, 0.0)
    assert told.text == "no mains in the average of 200 sweeps"


def test_random_intervals_seldom_warn() -> None:
    """Jitter over whole cycles leaves 1 / sqrt(n): as the noise does, 0.28 times it for 3 uV in 7.5."""
    warned = 0
    for seed in range(200):
        indices = np.cumsum(np.random.default_rng(seed).integers(800, 934, 64))
        warned += not verdict(
            coherence(indices, np.ones(64), RATE_HZ, 60.0), MAINS_UV, 64, NOISE_UV / 8
        ).trusted
    assert warned <= 20


@given(
    indices=st.lists(st.integers(0, 10**8), min_size=1, max_size=40, unique=True),
    seed=st.integers(0, 99),
    hz=st.floats(49, 61),
)
@settings(max_examples=50, deadline=None)
def test_like_its_twin(indices: list[int], seed: int, hz: float) -> None:
    indices.sort()
    weights = np.random.default_rng(seed).uniform(0.1, 5.0, len(indices))
    want = slow.coherence([i - indices[0] for i in indices], weights.tolist(), RATE_HZ, hz, 5)
    assert coherence(np.array(indices), weights, RATE_HZ, hz) == pytest.approx(want, abs=2e-8)
    guard = LockGuard(RATE_HZ, hz)
    for index, weight in zip(indices, weights, strict=True):
        guard.add(index, float(weight))
    assert guard.coherence == pytest.approx(want, abs=2e-8)


def test_before_any_stimulus_as_the_formula_of_rates_says() -> None:
    told = expected(PERIODS[5.0], RATE_HZ, 60.0, 64, MAINS_UV, 1.0)
    assert not told.trusted
    assert told.coherence == pytest.approx(tuple(left(PERIODS[5.0], RATE_HZ, 60.0)))
    assert guarded(PERIODS[4.776], 64).coherence == pytest.approx(left(838, RATE_HZ, 60.0), abs=1e-9)
    assert expected(PERIODS[4.776], RATE_HZ, 60.0, 64, MAINS_UV, 1.0).trusted


def test_a_frequency_told_anew_moves_no_phase() -> None:
    guard = LockGuard(RATE_HZ, 60.0)
    for k in range(64):
        if k == 20:
            guard.follow(60.0, k * 838 - 100)
            guard.follow(float("nan"), k * 838)
        guard.add(k * 838)
    assert guard.coherence == pytest.approx(left(838, RATE_HZ, 60.0), abs=1e-9)


def test_without_a_noise_a_locked_harmonic_is_enough() -> None:
    assert not guarded(800, 64).verdict(MAINS_UV, None).trusted
    assert not guarded(800, 64).verdict(MAINS_UV, float("nan")).trusted
    assert guarded(838, 64).verdict(MAINS_UV, None).trusted
    assert guarded(800, 7).verdict(MAINS_UV, None).trusted  # too few to say


def test_nothing_and_no_numbers_are_defined() -> None:
    with np.errstate(all="raise"):
        guard = LockGuard(RATE_HZ, 60.0)
        guard.add(5, 0.0)
        guard.add(5, float("nan"))
        assert guard.sweeps == 0
        told = guard.verdict(np.array([np.nan, 1.0]), 1.0)
        assert told.trusted
        assert not coherence(np.array([1, 2]), np.array([0.0, np.nan]), RATE_HZ, 60.0).any()
        empty = np.empty((0,))
        assert seen(empty, np.empty((15, 0)), RATE_HZ, 60.0, 64).trusted
        assert seen(np.full(200, np.nan), np.zeros((15, 200)), RATE_HZ, 60.0, 64).trusted
        assert seen(np.zeros(200), np.zeros((15, 200)), RATE_HZ, 60.0, 64).trusted
    for bad in (0.0, float("nan")):
        with pytest.raises(ValueError, match="guarded"):
            LockGuard(RATE_HZ, bad)
    with pytest.raises(ValueError, match="nothing to guard"):
        LockGuard(RATE_HZ, 60.0, 0)


def averaged(seed: int, mains_uv: float, period: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Mean and nulls of 64 sweeps of noise and mains, no response; 100 ms before the stimulus."""
    rng = np.random.default_rng(seed)
    n = 65 * period
    x = noise.body(n, RATE_HZ, NOISE_UV, (30.0, 1000.0), rng)
    x += noise.mains(n, RATE_HZ, 60.0, mains_uv, rng) if mains_uv else 0.0
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    x = np.fft.irfft(np.fft.rfft(x) * (hz >= 30.0), n)
    sweeps = x[np.arange(64)[:, None] * period + np.arange(rows)]
    sums = hadamard(sweeps.reshape(4, 16, rows).sum(axis=0)) / 64
    return sums[0], sums[1:]


def test_what_the_average_itself_shows() -> None:
    """40 each: locked 3 uV is seen nearly always, the same at a clean rate and no mains at all seldom."""
    told = {
        (mains_uv, period): [seen(*averaged(seed, mains_uv, period), RATE_HZ, 60.0, 64) for seed in range(40)]
        for mains_uv, period in ((3.0, 800), (3.0, 838), (0.0, 800))
    }
    warned = {case: sum(not v.trusted for v in verdicts) for case, verdicts in told.items()}
    assert warned[3.0, 800] >= 36
    assert warned[3.0, 838] <= 4
    assert warned[0.0, 800] <= 4
    assert np.median([v.left_uv for v in told[3.0, 800]]) == pytest.approx(3.0 * 1.1 / np.sqrt(2), rel=0.15)
    assert sum(v.harmonic > 0 for v in told[0.0, 800]) <= 4
