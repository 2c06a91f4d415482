"""Discharges count once each, rates are true to their error, trains differ by speed and regularity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from dsp.emg_rhythm import discharges, rhythm, sign_of

RATE_HZ = 8000.0


def intervals(rng: np.random.Generator, rate_hz: float, cv: float, n: int) -> np.ndarray:
    return np.maximum(rng.gamma(1 / cv**2, cv**2, n) / rate_hz, 0.002)


@pytest.mark.parametrize(
    ("rate_hz", "cv", "crest", "train"),
    [
        (100.0, 0.03, 1.5, "A"),
        (180.0, 0.1, 3.0, "A"),
        (52.0, 0.05, 1.5, "A"),
        (52.0, 0.05, 3.5, "B"),
        (25.0, 0.15, 4.0, "B"),
        (30.0, 0.8, 4.0, "C"),
        (120.0, 0.8, 2.0, "C"),
    ],
)
def test_trains_are_told_apart(rate_hz: float, cv: float, crest: float, train: str) -> None:
    rng = np.random.default_rng(1)
    told = [rhythm(intervals(rng, rate_hz, cv, 40), crest).train for _ in range(100)]
    assert told.count(train) >= 95  # type: ignore[arg-type]


def test_peaks_of_interference_are_no_train_with_a_rhythm() -> None:
    band = butter(1, [25.0, 300.0], "band", fs=RATE_HZ, output="sos")
    white = np.random.default_rng(3).standard_normal(400 * 4000)
    x = sosfilt(np.vstack([band, butter(2, 80.0, "high", fs=RATE_HZ, output="sos")]), white)
    told = []
    for y in x.reshape(400, -1):
        at = 1 + np.flatnonzero((np.abs(y[1:-1]) >= np.abs(y[:-2])) & (np.abs(y[1:-1]) > np.abs(y[2:])))
        found, typical = discharges(at, y[at], 1.0, RATE_HZ)
        told.append(rhythm(np.diff(found) / RATE_HZ, typical / np.std(y)).train)
    assert told.count("C") >= 398


def test_a_rate_is_within_its_error_and_chance_has_a_variation_of_one() -> None:
    rng = np.random.default_rng(2)
    found = [rhythm(intervals(rng, 80.0, 0.1, 30), 2.0) for _ in range(400)]
    off = [(r.rate_hz - 80.0) / r.rate_se_hz for r in found if r.rate_hz and r.rate_se_hz]
    assert len(off) == 400 and np.mean(np.abs(off) < 2.0) > 0.92 and 0.85 < np.std(off) < 1.15
    chance = [rhythm(rng.exponential(0.05, 50), 4.0).variation for _ in range(200)]
    assert np.mean(chance) == pytest.approx(1.0, abs=0.05)  # type: ignore[arg-type]


def test_a_discharge_that_was_missed_does_not_slow_the_rate() -> None:
    steady = np.full(30, 0.01)
    steady[[5, 17]] = 0.02
    found = rhythm(steady, 1.5)
    assert found.rate_hz == pytest.approx(100.0) and found.train == "A"


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_intervals_are_no_rate(n: int) -> None:
    found = rhythm(np.full(n, 0.01), 1.5)
    assert (found.rate_hz, found.rate_se_hz, found.variation, found.train) == (None, None, None, "C")


@settings(deadline=None, max_examples=60)
@given(st.integers(20, 200), st.floats(0.05, 0.5), st.floats(-1, 1), st.integers(0, 2**32 - 1))
def test_every_potential_is_counted_once_by_its_largest_phase(
    rate_hz: int, side: float, ripple: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    at = 1000 + np.round(np.arange(1, 40) * RATE_HZ / rate_hz).astype(np.int64)
    size = 100.0 * (1 + 0.1 * rng.standard_normal(len(at)).clip(-2, 2))
    near = rng.integers(-6, 7, len(at))  # a smaller peak of the same phase: no discharge of its own
    index = np.concatenate([at, at + 10, at - 10, at + np.where(near == 0, 1, near)])
    value = np.concatenate([-size, side * size, 0.3 * side * size, -0.8 * size * (1 + 0.2 * min(ripple, 0))])
    order = np.argsort(index, kind="stable")
    index, value = index[order], value[order]
    sign = sign_of(index, value, 400)
    found, typical = discharges(index, value, sign, RATE_HZ)
    assert sign == -1.0 and 85.0 < typical < 130.0
    assert len(found) == len(at) and np.all(np.abs(found - at) <= 6)


def test_no_peaks_are_no_discharges() -> None:
    none = np.empty(0, dtype=np.int64)
    assert len(discharges(none, np.empty(0), 1.0, RATE_HZ)[0]) == 0
    assert sign_of(none, np.empty(0), 400) == 1.0
