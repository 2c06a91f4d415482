"""A verdict is wrong as rarely as it says, however often it is looked for, and it comes early."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from dsp.average import Averager
from dsp.measure import Measurer
from dsp.nouns import Measurement, Peak, Sweep, Trigger
from dsp.presence import Evidence
from dsp.stopping import LIKELY, Plan, Spending, Stopping, boundaries, spent
from tests.evoked.coverage import DT_MS, T0_MS, TIMES_MS, n20_p25, sweeps_noise

LOOKS = tuple(range(16, 513, 16))
SPENDING: tuple[Spending, ...] = ("pocock", "obrien_fleming")


def plan(**options: object) -> Plan:
    return Plan(**({"max_sweeps": 512, "rate_hz": 2.0, "smallest_uv": 1.0} | options))  # type: ignore[arg-type]


@pytest.mark.parametrize(("spending", "alpha"), list(product(SPENDING, (0.01, 0.05))))
def test_all_looks_together_err_as_often_as_stated(spending: Spending, alpha: float) -> None:
    n = 60_000
    rng = np.random.default_rng(4)
    total, crossed = np.zeros(n), np.zeros(n, bool)
    for look, bound in zip(LOOKS, boundaries(LOOKS, alpha, spending), strict=True):
        total += rng.standard_normal(n)
        crossed |= total / math.sqrt(look / 16) > bound
    assert crossed.mean() == pytest.approx(alpha, abs=4 * math.sqrt(alpha / n) + 0.06 * alpha)


@pytest.mark.parametrize("spending", SPENDING)
def test_the_error_is_spent_by_the_end(spending: Spending) -> None:
    shares = [spent(k / 10, 0.01, spending) for k in range(11)]
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.01)
    (only,) = boundaries((512,), 0.01, spending)
    assert only == pytest.approx(stats.norm.isf(0.01), abs=0.003)


def test_textbook_boundaries_of_five_looks() -> None:
    """Lan and DeMets' O'Brien-Fleming spending, one-sided 2.5 % at five equal looks (Jennison 2000)."""
    found = boundaries((1, 2, 3, 4, 5), 0.025, "obrien_fleming")
    want = []
    for k in range(1, 6):
        want.append(2.0 * stats.norm.sf(stats.norm.isf(0.0125) / math.sqrt(k / 5)))
    assert found[1] == pytest.approx(stats.norm.isf(want[1]), abs=0.02)
    assert found[-1] == pytest.approx(2.03, abs=0.08)


def averages(
    runs: int, sweeps: int, snr_end: float, seed: int, severe: bool
) -> list[tuple[int, list[Evidence]]]:
    """Evidence (run,) at each 32 sweeps; the response's amplitude is `snr_end` x the noise at the end."""
    rng = np.random.default_rng(seed)
    averager = Averager(len(TIMES_MS), runs, sweeps)
    peaks = tuple(Peak("N20", d, 1, (16.0, 24.0), (21.0, 30.0)) for d in range(runs))
    measurer = Measurer(peaks, ("",) * runs, len(TIMES_MS), T0_MS, DT_MS)
    response = n20_p25(20.0 + rng.uniform(-0.5, 0.5, runs)) * (snr_end / 2.9 / math.sqrt(sweeps))
    told = []
    for k in range(1, sweeps + 1):
        level = np.exp(0.8 * rng.standard_normal(runs)) if severe else np.ones(runs)
        weights = 10.0 / (level**2 * rng.chisquare(10, runs))
        uv = sweeps_noise(rng, runs, "1/f") * level + response
        averager.add(Sweep(Trigger(k, 1), uv, 60, weights))
        if k % 32 == 0:
            told.append((k, measurer.evidence(averager.average())))
    return told


def verdicts(told: list[tuple[int, list[Evidence]]], smallest_uv: float) -> list[tuple[str, int]]:
    """Decision and sweeps of each run."""
    made = plan(max_sweeps=told[-1][0], look_sweeps=32, smallest_uv=smallest_uv)
    decided = []
    for run in range(len(told[0][1])):
        stopping = Stopping(made)
        for n, each in told:
            verdict = stopping.look(n, each[run])
            if verdict.decision != "undecided":
                break
        decided.append((verdict.decision, n))
    return decided


@pytest.mark.parametrize("severe", [False, True])
def test_without_a_response_present_is_said_once_in_a_hundred(severe: bool) -> None:
    runs = 300
    found = verdicts(averages(runs, 128, 0.0, 31, severe), 0.0)
    false = sum(decision == "present" for decision, _ in found)
    assert false <= stats.binom.isf(1e-3, runs, 0.01)


def test_a_response_is_found_in_much_less_than_the_planned_sweeps() -> None:
    found = verdicts(averages(60, 256, 12.0, 32, severe=False), 0.0)
    assert np.mean([decision == "present" for decision, _ in found]) > 0.97
    assert np.mean([n for _, n in found]) < 0.6 * 256


def test_a_small_reading_excludes_a_large_response() -> None:
    stopping = Stopping(plan(smallest_uv=5.0))
    verdict = stopping.look(64, Evidence(0.3, 0.6, 0.4))
    assert (verdict.decision, verdict.reason, verdict.done) == ("absent", "excluded", True)
    assert verdict.error_rate == 0.01
    assert Stopping(plan(smallest_uv=1.0)).look(64, Evidence(0.3, 0.6, 0.4)).decision == "undecided"


def test_the_end_of_the_plan_decides() -> None:
    verdict = Stopping(plan()).look(512, Evidence(1.0, 3.0, 1.0))
    assert (verdict.decision, verdict.done, verdict.error_rate) == ("absent", True, None)
    verdict = Stopping(plan()).look(512, Evidence(None, None, None))
    assert (verdict.decision, verdict.done) == ("undecided", True)


def test_a_decision_stays_and_falls_only_at_looks() -> None:
    stopping = Stopping(plan(look_sweeps=32))
    assert stopping.look(20, Evidence(7.0, 9.0, 1.0)).decision == "undecided"
    assert stopping.look(33, Evidence(7.0, 9.0, 1.0)).decision == "present"
    assert stopping.look(64, Evidence(0.0, 1.0, 1.0)).decision == "present"
    stopping.restart()
    assert stopping.look(40, Evidence(0.0, 9.0, 1.0)).decision == "undecided"


def test_present_goes_on_until_the_intervals_are_short() -> None:
    stopping = Stopping(plan())
    sure = Evidence(8.0, 9.0, 0.5)
    first = stopping.look(64, sure, half_ms=0.6, half_share=0.12)
    assert (first.decision, first.done) == ("present", False)
    # Twice the width that is asked: four times the sweeps, 192 more at 2 a second.
    assert first.seconds_left == pytest.approx(96.0)
    assert first.seconds_range is not None
    assert first.seconds_range[0] < 96.0 < first.seconds_range[1]
    assert stopping.look(256, sure, half_ms=0.29, half_share=0.09).done


def test_the_time_left_is_that_of_the_evidence_growing_as_the_root_of_n() -> None:
    made = plan(latency_ms=None, amplitude_share=None, smallest_uv=0.0)
    verdict = Stopping(made).look(64, Evidence(2.0, 1.0, 1.0))
    bounds = boundaries(made.looks, made.alpha, made.spending)
    later = [(n, b) for n, b in zip(made.looks, bounds, strict=True) if n > 64]
    reached = ((n, 2.0 * math.sqrt(n / 64) + LIKELY * math.sqrt(n / 64 - 1.0) - b) for n, b in later)
    n = next(n for n, above in reached if above >= 0.0)
    assert verdict.seconds_left == pytest.approx((n - 64) / 2.0)
    assert verdict.seconds_range is not None
    assert 0.0 <= verdict.seconds_range[0] <= verdict.seconds_left <= verdict.seconds_range[1] <= 448 / 2.0


@pytest.mark.parametrize(("snr_end", "severe"), [(8.0, True), (12.0, False)])
def test_the_time_left_is_a_forecast_that_comes_true(snr_end: float, severe: bool) -> None:
    """Told at 64 sweeps: nine decisions in ten fall within its range, half of them before what is likely."""
    made = plan(max_sweeps=384, look_sweeps=32, smallest_uv=0.0, latency_ms=None, amplitude_share=None)
    told = averages(80, 384, snr_end, 77, severe)
    inside, likely = [], []
    for run in range(80):
        stopping, foretold = Stopping(made), None
        for n, each in told:
            verdict = stopping.look(n, each[run])
            if n == 64 and not verdict.done:
                foretold = verdict
            if verdict.done:
                break
        if foretold is None or foretold.seconds_left is None or foretold.seconds_range is None:
            continue
        left = (n - 64) / made.rate_hz
        inside.append(foretold.seconds_range[0] <= left <= foretold.seconds_range[1])
        likely.append(foretold.seconds_left / left)
    assert len(inside) > 60
    assert np.mean(inside) >= 0.8
    assert 0.6 <= np.median(likely) <= 1.5


def test_it_is_fed_from_an_average_and_a_measurement() -> None:
    rng = np.random.default_rng(5)
    averager = Averager(len(TIMES_MS), 1, 64)
    response = n20_p25(np.array([20.0]))
    for k in range(64):
        uv = sweeps_noise(rng, 1, "white") + response
        averager.add(Sweep(Trigger(k, 1), uv, 60, np.ones(1)))
    average = averager.average()
    measurer = Measurer((Peak("N20", 0, 1, (16.0, 24.0), (21.0, 30.0)),), ("D",), len(TIMES_MS), T0_MS, DT_MS)
    (measured,), (evidence,) = measurer.measure(average), measurer.evidence(average)
    verdict = Stopping(plan(latency_ms=2.0, amplitude_share=0.5)).see(average, measured, evidence)
    assert (verdict.decision, verdict.done, verdict.n_sweeps) == ("present", True, 64)
    nothing = Measurement("N20", "D", False, None, None, None, None, None)
    assert not Stopping(plan()).see(average, nothing, evidence).done


@pytest.mark.parametrize(
    "options",
    [
        {"max_sweeps": 15},
        {"look_sweeps": 0},
        {"alpha": 0.0},
        {"beta": 0.7},
        {"rate_hz": 0.0},
        {"smallest_uv": -1.0},
        {"smallest_uv": math.nan},
        {"spending": "all"},
    ],
)
def test_impossible_plans_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\d|spending"):
        plan(**options)
