"""Rules of the field: met by what meets them, how sure told truly; silent where nothing is known."""

import math

import numpy as np
import pytest

from dsp.nouns import FixedRule, Measurement
from dsp.projection import Projection
from dsp.rules import judge

HALF = FixedRule("V", "amplitude_fall_pct", 50.0)
TENTH = FixedRule("V", "latency_rise_pct", 10.0)
LATE = FixedRule("V", "latency_rise_ms", 0.5)


def peak(
    ms: float | None, uv: float | None, ms_error: float = 0.05, uv_error: float = 0.05, noise: float = 0.05
):
    present = uv is not None
    return Measurement(
        "V",
        "Cz-A1",
        present,
        ms if present else None,
        (ms - ms_error, ms + ms_error) if present else None,
        uv,
        (uv - uv_error, uv + uv_error) if present else None,
        noise,
    )


BASE = peak(6.0, 1.0)


@pytest.mark.parametrize(
    ("rule", "now", "verdict", "low", "high"),
    [
        (HALF, peak(6.0, 0.4), "met", 0.95, 1.0),
        (HALF, peak(6.0, 0.6), "not met", 0.0, 0.05),
        (HALF, peak(6.0, 0.5 - 1e-9), "met", 0.49, 0.51),
        (TENTH, peak(6.7, 1.0), "met", 0.9, 1.0),
        (TENTH, peak(6.5, 1.0), "not met", 0.0, 0.1),
        (LATE, peak(6.6, 1.0), "met", 0.9, 1.0),
        (LATE, peak(6.4, 1.0), "not met", 0.0, 0.1),
        # What is gone has fallen, if what would be left of it would have been seen.
        (HALF, peak(None, None), "met", 0.99, 1.0),
        (HALF, peak(None, None, noise=0.25), "unknown", None, None),
        (HALF, peak(None, None, noise=0.24), "met", 0.9, 1.0),
        (LATE, peak(None, None), "unknown", None, None),
    ],
)
def test_a_rule_is_met_by_what_meets_it(rule, now, verdict, low, high) -> None:
    told = judge(rule, now, BASE)
    assert told.verdict == verdict
    assert told.confidence is None if low is None else low <= told.confidence <= high


@pytest.mark.parametrize("rule", [HALF, TENTH, LATE])
@pytest.mark.parametrize(("now", "base"), [(None, BASE), (BASE, None), (BASE, peak(None, None))])
def test_without_both_nothing_is_known(rule, now, base) -> None:
    assert judge(rule, now, base) == judge(rule, None, None)
    assert judge(rule, now, base).verdict == "unknown"


def test_a_baseline_that_is_not_clear_of_nothing_rules_nothing() -> None:
    assert judge(HALF, peak(6.0, 0.2), peak(6.0, 1.0, uv_error=1.0)).verdict == "unknown"


def test_of_an_absent_peak_the_projection_says_what_is_left_and_a_late_one_has_not_fallen() -> None:
    fell = Projection(0.3, 0.05, (0.2, 0.4), True, 0.3, 0.0025, 0.0, 15)
    told = judge(HALF, peak(None, None, noise=0.4), BASE, fell)
    assert told.verdict == "met" and told.confidence == fell.probability_below(0.5)
    assert judge(HALF, peak(7.5, 0.95), BASE, fell).verdict == "not met"


def test_confidence_is_how_often_it_is_so() -> None:
    rng = np.random.default_rng(3)
    true_uv, error = 0.5, 0.06
    half = 2.145 * error
    told = [
        judge(
            HALF,
            peak(6.0, true_uv + error * rng.standard_normal(), uv_error=half),
            peak(6.0, 1.0, uv_error=1e-6),
        )
        for _ in range(800)
    ]
    confidences = np.array([one.confidence for one in told])
    # At the limit itself confidences are spread evenly.
    assert np.mean(confidences < 0.1) == pytest.approx(0.1, abs=0.035)
    assert np.mean(confidences) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("limit", [0.0, -1.0, math.inf, math.nan])
def test_a_limit_is_a_change(limit: float) -> None:
    with pytest.raises(ValueError, match="no change"):
        FixedRule("V", "latency_rise_ms", limit)
    with pytest.raises(ValueError, match="nothing falls by 101"):
        FixedRule("V", "amplitude_fall_pct", 101.0)


def test_names_say_the_rule() -> None:
    assert [one.name for one in (HALF, TENTH, LATE)] == [
        "amplitude fall > 50 %",
        "latency rise > 10 %",
        "latency rise > 0.5 ms",
    ]
