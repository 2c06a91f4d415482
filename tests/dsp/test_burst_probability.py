"""The filter is the posterior it says, its intervals hold the propensity, and cycles say how much is news."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from dsp.burst_probability import DRIFT_PER_S, PRIOR_S, UNKNOWN, BurstProbability, Cycles, wilson
from dsp.trends import Estimates
from tests.support.eeg import RATE_HZ, burst_suppression

Floats = NDArray[np.float64]


def test_every_step_is_the_posteriors_mode_and_curvature() -> None:
    rng = np.random.default_rng(1)
    found = BurstProbability(1)
    odds, variance = 0.0, UNKNOWN
    for _ in range(60):
        share, n = rng.choice([0.0, 1.0, rng.random()]), rng.uniform(0.0, 3.0)
        told = found.add(np.array([share]), np.array([n]))
        variance = min(variance + DRIFT_PER_S, UNKNOWN)

        def loss(
            x: float, odds: float = odds, variance: float = variance, share: float = share, n: float = n
        ) -> float:
            return float(np.logaddexp(0, x) * n - share * n * x + (x - odds) ** 2 / (2 * variance))

        odds = float(minimize_scalar(loss, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9}).x)
        p = expit(odds)
        variance = 1 / (1 / variance + n * p * (1 - p))
        assert told.value[0] == pytest.approx(p, abs=1e-5)
        assert told.low[0] == pytest.approx(expit(odds - 1.959964 * variance**0.5), abs=1e-4)
        assert told.high[0] == pytest.approx(expit(odds + 1.959964 * variance**0.5), abs=1e-4)


def followed(state: NDArray[np.bool_]) -> tuple[list[Estimates], Floats]:
    cycles, probability = Cycles(1, RATE_HZ), BurstProbability(1)
    good, told = np.ones((250, 1), bool), []
    for second in state[: len(state) // 250 * 250].reshape(-1, 250, 1):
        cycles.add(second, good)
        told.append(probability.add(second.mean(axis=0), 1.0 / cycles.news_s))
    return told, cycles.news_s


def exponential(means_s: tuple[float, float], seconds: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    n = int(4 * seconds / sum(means_s)) + 20
    lengths = np.maximum(1, RATE_HZ * rng.exponential(1.0, 2 * n) * np.tile(means_s, n))
    state = np.repeat(np.tile([True, False], n), lengths.astype(int))
    return state[1000 : 1000 + round(seconds * RATE_HZ)]


def test_news_is_what_the_variance_of_shares_says() -> None:
    rng = np.random.default_rng(2)
    for made in (
        lambda: exponential((2.0, 4.0), 240.0, rng),
        lambda: burst_suppression(0.5, 240.0, rng)[1],
    ):
        states = [made() for _ in range(20)]
        shares = np.array([part.mean() for state in states for part in np.array_split(state, 4)])
        p = shares.mean()
        expected = 60.0 * shares.var() / (p * (1 - p))
        assert np.mean([followed(state)[1] for state in states[:8]]) == pytest.approx(expected, rel=0.4)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_intervals_hold_the_propensity(share: float) -> None:
    rng = np.random.default_rng(int(100 * share))
    held, ratio_held = [], []
    for k in range(14):
        regular = burst_suppression(share, 180.0, rng)[1]
        state = exponential((4.0 * share, 4.0 * (1 - share)), 180.0, rng) if k % 2 else regular
        told, news_s = followed(state)
        held.append(told[-1].low[0] <= share <= told[-1].high[0])
        low, high = wilson(np.array([state[-15_000:].mean()]), 60.0 / news_s)
        ratio_held.append(low[0] <= share <= high[0])
    assert np.mean(held) >= 0.9 and np.mean(ratio_held) >= 0.8


def test_it_follows_a_change_in_half_a_minute() -> None:
    rng = np.random.default_rng(3)
    runs = []
    for _ in range(8):
        before, behind = burst_suppression(0.1, 120.0, rng)[1], burst_suppression(0.9, 120.0, rng)[1]
        told = followed(np.concatenate([before, behind]))[0]
        runs.append([one.value[0] for one in told])
    at = np.mean(runs, axis=0)
    assert at[119] < 0.2 and at[150] > 0.5 and at[-1] > 0.8


def test_without_good_time_it_forgets_and_says_so() -> None:
    state = burst_suppression(0.5, 120.0, np.random.default_rng(4))[1]
    cycles, probability = Cycles(1, RATE_HZ), BurstProbability(1)
    for second in state.reshape(-1, 250, 1):
        cycles.add(second, np.ones((250, 1), bool))
        told = probability.add(second.mean(axis=0), 1.0 / cycles.news_s)
    for _ in range(120):
        cycles.add(np.ones((250, 1), bool), np.zeros((250, 1), bool))
        blind = probability.add(np.zeros(1), np.zeros(1))
    assert blind.value == told.value
    assert blind.high[0] - blind.low[0] > 1.5 * (told.high[0] - told.low[0])


def test_stretches_are_counted_across_seconds() -> None:
    """Stretches of 0.9 and 1.1 s, 3.3 and 2.7 s: their means, and almost no spread."""
    state = np.repeat(np.tile([True, False, True, False], 60), np.tile([225, 825, 275, 675], 60))
    news_s = followed(state)[1][0]
    assert 0.05 < news_s < 0.4  # exponential ones of 1 and 3 s would need 1.5 s
    assert followed(np.zeros(5000, bool))[1][0] > PRIOR_S / 2


def test_wilson_at_the_ends() -> None:
    low, high = wilson(np.array([0.0, 1.0, 0.5]), np.full(3, 20.0))
    assert low[0] == 0.0 and high[1] == 1.0
    assert 0.1 < high[0] < 0.2 and low[2] == pytest.approx(0.299, abs=0.001)
