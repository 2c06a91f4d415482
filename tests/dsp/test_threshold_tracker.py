"""A threshold is followed with an honest interval, and nothing above the limit is ever proposed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.threshold_tracker import ThresholdTracker, Tracked, responds


def answer(intensity: float, threshold: float, rng: np.random.Generator) -> bool:
    z = (intensity - threshold) / (0.07 * threshold)
    return bool(rng.random() < 0.02 + 0.96 * 0.5 * math.erfc(-z / math.sqrt(2.0)))


def followed(threshold: float, n: int, rng: np.random.Generator) -> tuple[ThresholdTracker, float]:
    """After n stimuli every 20 s, and where a threshold that drifts by 2 % a root minute is then."""
    tracker = ThresholdTracker(50.0, 800.0, 10.0)
    for _ in range(n):
        volts = tracker.propose()
        tracker.add(volts, answer(volts, threshold, rng), 20.0)
        threshold *= math.exp(0.02 * math.sqrt(1 / 3) * rng.standard_normal())
    return tracker, threshold


def holds(told: Tracked, threshold: float) -> bool:
    low, high = told.ci
    return (low is None or low <= threshold) and (high is None or threshold <= high)


@pytest.mark.parametrize(("n", "off"), [(10, 0.12), (20, 0.08), (40, 0.08)])
def test_the_interval_holds_the_threshold(n: int, off: float) -> None:
    rng = np.random.default_rng([402, n])
    held, errors = 0, []
    for _ in range(100):
        tracker, threshold = followed(rng.uniform(150.0, 650.0), n, rng)
        told = tracker.tracked()
        held += holds(told, threshold)
        errors.append(abs((told.at or 800.0) - threshold) / threshold)
    assert held >= 92
    assert np.percentile(errors, 95) < off and np.median(errors) < 0.04


def test_a_rise_of_100_volts_is_followed() -> None:
    """Told within 40 V after 14 stimuli in 90 %: half of them after 8."""
    rng = np.random.default_rng(403)
    lags = []
    for _ in range(100):
        tracker, threshold = followed(rng.uniform(200.0, 500.0), 20, rng)
        threshold += 100.0
        lag = 0
        while lag < 40:
            lag += 1
            volts = tracker.propose()
            tracker.add(volts, answer(volts, threshold, rng), 20.0)
            at = tracker.tracked().at
            if at is not None and abs(at - threshold) < 40.0:
                break
        lags.append(lag)
    assert np.median(lags) <= 9 and np.percentile(lags, 90) <= 14


def test_no_response_at_the_limit_is_told_so() -> None:
    tracker = ThresholdTracker(100.0, 500.0, 20.0)
    for _ in range(20):
        tracker.add(tracker.propose(), False, 20.0)
    told = tracker.tracked()
    assert told.at is None and told.ci[1] is None and told.above_limit > 0.9
    assert told.ci[0] is None or told.ci[0] > 400.0
    assert tracker.propose() == 500.0


def test_before_any_stimulus_nothing_is_told() -> None:
    told = ThresholdTracker(100.0, 500.0, 20.0).tracked()
    assert told.at is None and told.ci == (None, None) and told.stimuli == 0


def test_time_widens_the_interval_and_unknown_answers_only_let_it_pass() -> None:
    tracker, _ = followed(300.0, 20, np.random.default_rng(1))
    before = tracker.tracked()
    tracker.add(300.0, None)
    assert tracker.tracked() == before
    tracker.add(math.nan, True)
    assert tracker.tracked() == before
    tracker.add(300.0, None, 3600.0)
    after = tracker.tracked()
    low, high = before.ci
    wide_low, wide_high = after.ci
    assert low and high and wide_low and wide_high and after.stimuli == before.stimuli
    assert wide_low < 0.9 * low and wide_high > 1.1 * high
    tracker.add(300.0, None, 1e12)
    tracker.add(300.0, None, math.inf)
    assert math.isfinite(tracker.propose())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([True, False, None]), max_size=40), st.sampled_from([10.0, 37.0, 400.0]))
def test_nothing_above_the_limit_or_more_than_the_rise(answers: list[bool | None], step: float) -> None:
    rise = max(step, 60.0)
    tracker, last = ThresholdTracker(100.0, 500.0, step, rise=rise), 100.0
    for present in answers:
        volts = tracker.propose()
        assert 100.0 <= volts <= min(500.0, last + rise + 1e-9)
        steps = (volts - 100.0) / step
        assert steps == pytest.approx(round(steps))
        tracker.add(volts, present, 5.0)
        last = volts if present is not None else last


def test_the_chance_of_a_response() -> None:
    grid = np.array([100.0, 200.0, 400.0])
    assert responds(200.0, grid) == pytest.approx([0.98, 0.5, 0.02], abs=0.001)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lowest": 0.0},
        {"limit": 100.0},
        {"limit": math.inf},
        {"step": 0.0},
        {"step": 500.0},
        {"drift": -0.1},
        {"rise": 5.0},
    ],
)
def test_what_cannot_be_built(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        ThresholdTracker(**({"lowest": 100.0, "limit": 500.0, "step": 10.0} | wrong))
