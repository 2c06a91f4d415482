"""One response from sweep to sweep: suspected, raised, confirmed by sweeps that came after, recovered."""

import numpy as np
import pytest

from hostd.seen import Seen
from hostd.series import Series, Turn

HZ = 4.0


def ratios(values: list[float], sd: float = 1.5, first: int = 0) -> list[Seen]:
    return [
        Seen(first + 100 * k, "left", "N20", "lead", v, sd**2, version=1, error=0.05)
        for k, v in enumerate(values)
    ]


def turns(series: Series, seen: list[Seen]) -> list[tuple[int, Turn]]:
    return [(one.index, turn) for one in seen if (turn := series.add(one)) is not None]


def noisy(mean: float, n: int, seed: int = 1, sd: float = 1.5) -> list[float]:
    return (mean + sd * np.random.default_rng(seed).normal(size=n)).tolist()


def test_a_loss_is_suspected_then_raised_then_confirmed_by_what_came_after() -> None:
    seen = ratios(noisy(1.0, 600) + noisy(0.2, 300, 2))
    series = Series(seen[0], HZ, 4)
    told = [turn for _, turn in turns(series, seen) if turn != "refuted"]
    assert told[-3:] == ["suspected", "raised", "confirmed"]
    assert series.since is not None and abs(series.since - 60_000) < 6_000
    assert series.replicates() > 20
    reading = series.reading(series.since, series.level)
    assert reading is not None and reading.interval[0] < 0.2 < reading.interval[1]


def test_the_level_waits_while_something_is_suspected_and_recovery_is_told() -> None:
    seen = ratios(noisy(1.0, 400) + noisy(0.1, 300, 2) + noisy(1.0, 500, 3))
    series = Series(seen[0], HZ, 4)
    told = [turn for _, turn in turns(series, seen)]
    assert told[-1] in ("recovered", "refuted") and "recovered" in told
    assert series.drift == pytest.approx(1.0, abs=0.2)
    assert series.stand == "quiet" and series.since is None


def test_more_tests_need_more_evidence_each() -> None:
    seen = ratios(noisy(1.0, 400) + noisy(0.4, 600, 2))
    alone = {t: i for i, t in turns(Series(seen[0], HZ, 1), seen)}
    among = {t: i for i, t in turns(Series(seen[0], HZ, 12), seen)}
    assert alone["confirmed"] <= among["confirmed"] and alone != among


def control(values: list[float], error: float) -> Series:
    seen = [
        Seen(100 * k, "left", "N9", "control", v, 4.0, version=1, error=error) for k, v in enumerate(values)
    ]
    series = Series(seen[0], HZ, 4)
    assert [turn for one in seen if (turn := series.add(one))] == [], "no rule follows it"
    return series


def test_a_control_is_what_it_is_beside_its_own_sweeps_whatever_its_baseline_said() -> None:
    before = noisy(0.4, 800, 4, 2.0)
    stands = control(before + noisy(0.4, 400, 5, 2.0), 0.6).beside(0, 80_000, 80_000)
    gone = control(before + noisy(0.0, 400, 6, 2.0), 0.6).beside(0, 80_000, 80_000)
    assert stands is not None and gone is not None
    assert stands.interval[0] < 1.0 < stands.interval[1] and stands.error < 0.35
    assert gone.interval[0] < 0.0 < gone.interval[1] < 0.8


def test_a_control_that_was_never_there_is_no_control_and_soon_after_its_baseline_that_is_what_counts() -> (
    None
):
    assert control(noisy(0.0, 1200, 7, 2.0), 0.6).beside(0, 80_000, 80_000) is None
    soon = control(noisy(1.0, 10, 8, 2.0) + noisy(0.0, 400, 9, 2.0), 0.1).beside(0, 1_000, 1_000)
    assert soon is not None and abs(soon.ratio) < 0.3 and soon.n == 400
    assert control(noisy(1.0, 10, 8, 2.0), 0.1).beside(0, 500, 500) is None, "too few since then"


def answers(values: list[float], absent: bool = False) -> list[Seen]:
    return [
        Seen(1000 * k, "mep", "TA", "answer", v, absent=absent, version=1, error=0.3, count=5)
        for k, v in enumerate(values)
    ]


def test_two_answers_that_are_gone_are_raised_and_confirmed_at_once() -> None:
    seen = answers([0.1, -0.2, 0.0, 0.3, -0.1]) + [
        Seen(9000 + k, "mep", "TA", "answer", -3.0, absent=True, version=1, error=0.3, count=5)
        for k in range(2)
    ]
    series = Series(seen[0], 0.0, 1)
    assert [turn for _, turn in turns(series, seen)] == ["suspected", "confirmed"]
    reading = series.reading(9000, series.level)
    assert reading is not None and reading.at_most and reading.in_logs


def test_a_replicate_is_asked_for_while_it_would_decide_and_not_for_ever() -> None:
    series = Series(answers([0.0])[0], 0.0, 1)
    asked = 0
    for one in answers([0.0] * 6 + [-1.0, -0.5, -0.5, -0.5, -0.5, -0.5, -0.5, -0.5]):
        series.add(one)
        asked += series.wants_replicate()
    assert 1 <= asked <= 4
    quiet = Series(answers([0.0])[0], 0.0, 1)
    for one in answers([0.1, -0.1] * 10):
        quiet.add(one)
        assert not quiet.wants_replicate()


def test_too_few_sweeps_are_no_reading() -> None:
    series = Series(ratios([1.0])[0], HZ, 1)
    for one in ratios([1.0] * 7):
        series.add(one)
    assert series.reading(0) is None
    series.add(Seen(900, "left", "N20", "lead", 1.0, float("inf"), version=1, error=0.05))
    assert series.reading(0) is None, "a sweep of no weight is none"
    series.add(Seen(1000, "left", "N20", "lead", 1.0, 2.0, version=1, error=0.05))
    assert series.reading(0) is not None and series.reading(500) is None
