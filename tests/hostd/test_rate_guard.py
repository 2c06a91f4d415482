"""Rates and mains: locked ones are refused with a better one, others are tuned once the mains are known."""

from dataclasses import replace

import pytest

from dsp.mains import left
from hostd import casefile
from hostd.case import TestPlan
from hostd.control import Request
from hostd.rate_guard import RateGuard

RATE_HZ = 4000.0
CASE = casefile.procedure("median_ssep")
CASE = replace(CASE, tests=tuple(replace(t, rate_written=False) for t in CASE.tests))
LEFT = CASE.tests[0]


def start() -> Request:
    return Request(1, "test.start", {"test": LEFT.name})


def rate(hz: float) -> Request:
    return Request(1, "test.rate", {"test": LEFT.name, "rate_hz": hz})


def guard(mains_hz: float = 0.0, test: TestPlan = LEFT) -> RateGuard:
    return RateGuard(replace(CASE, mains_hz=mains_hz, tests=(test,)), RATE_HZ)


@pytest.mark.control("H14.5")
@pytest.mark.parametrize("hz", [1.0, 2.0, 2.5, 5.0, 10.0])
def test_a_rate_that_mains_locks_to_is_refused_with_a_better_one_near(hz: float) -> None:
    refusal = guard().refuse(LEFT, rate(hz))
    assert f"{hz:g} Hz is locked to mains: harmonic" in refusal
    assert "samples) leaves" in refusal and "\n" not in refusal


def test_what_locks_hangs_on_the_mains_of_the_case() -> None:
    assert "harmonic" in guard(60.0).refuse(LEFT, rate(3.0))
    assert guard(50.0).refuse(LEFT, rate(3.0)) == ""
    assert "harmonic" in guard().refuse(LEFT, rate(3.0)), "not known: either"


def test_what_locks_hangs_on_the_mains_as_measured() -> None:
    one = guard()
    period = 806  # 4.963 Hz: ten and a bit of 50 Hz, exactly ten of 49.63
    assert one.refuse(LEFT, rate(RATE_HZ / period)) == ""
    one.measured(10 * RATE_HZ / period, 0.001)
    assert "is locked to mains" in one.refuse(LEFT, rate(RATE_HZ / period))


def test_a_rate_that_nobody_chose_is_tuned_when_mains_are_measured() -> None:
    one = guard()
    assert one.choose(LEFT, start()) is None
    one.measured(50.07, 0.001)
    period = one.choose(LEFT, start())
    assert period is not None
    assert abs(RATE_HZ / period / LEFT.stimulus_hz - 1) <= 0.05
    assert left(period, RATE_HZ, 50.07).max() <= 0.03


def test_a_rate_that_the_case_wrote_is_not_tuned_but_judged() -> None:
    written = replace(LEFT, stimulus_hz=5.0, rate_written=True)
    one = guard(test=written)
    one.measured(50.0, 0.001)
    assert one.choose(written, start()) is None
    assert "5 Hz is locked" in one.refuse(written, start())


def test_zero_asks_for_the_best_one_near() -> None:
    one = guard()
    one.measured(59.95, 0.001)
    period = one.choose(LEFT, rate(0.0))
    assert period is not None and left(period, RATE_HZ, 59.95).max() <= 0.03
    assert one.refuse(LEFT, rate(0.0)) == ""


def test_a_rate_asked_for_is_a_choice_from_then_on() -> None:
    one = guard()
    one.changed(LEFT.name, rate(4.7), 851)
    one.measured(50.0, 0.001)
    assert one.choose(LEFT, start()) is None
    assert one.refuse(LEFT, start()) == ""
    one.changed(LEFT.name, rate(5.0), 800)
    assert "5 Hz is locked" in one.refuse(LEFT, start()), "what it has is judged, not what the case says"


def test_a_rate_tuned_once_is_what_the_next_start_has() -> None:
    locked = replace(LEFT, stimulus_hz=5.0, rate_written=True)
    one = guard(test=locked)
    assert "5 Hz is locked" in one.refuse(locked, start())
    period = one.choose(locked, rate(0.0))
    assert period is not None and one.refuse(locked, rate(0.0)) == ""
    one.changed(locked.name, rate(0.0), period)
    assert one.refuse(locked, start()) == "" and one.choose(locked, start()) is None
    assert one.choose(locked, rate(0.0)) == period, "tuned to what the case wanted, not ever farther"


@pytest.mark.parametrize("hz", [1e-300, 1e-9, 0.0099])
def test_a_rate_that_is_none_is_refused_at_once(hz: float) -> None:
    assert guard().refuse(LEFT, rate(hz)) == f"{hz:g} Hz is no rate; the slowest is 0.01 Hz"


def test_what_is_slower_than_mains_are_steady_is_not_judged() -> None:
    one = guard()
    one.measured(50.03, 0.001)
    assert one.refuse(LEFT, rate(0.01)) == "" and one.choose(LEFT, rate(0.01)) == 400_000
    assert one.report(400_000)["mains_text"] == "slower than one in 5 s: not judged"
    slow = replace(LEFT, stimulus_hz=0.05)
    assert guard(test=slow).choose(slow, rate(0.0)) == 80_000


def test_what_may_be_locked_is_refused_only_where_a_better_rate_is_near() -> None:
    one = guard()
    one.measured(50.0, 0.6)  # anywhere in 2.4 Hz: no period at this rate keeps clear of all harmonics
    assert one.report(1486)["mains_text"].endswith("no rate near it leaves less")
    assert one.refuse(LEFT, start()) == ""


def test_a_rate_between_whole_samples_is_refused() -> None:
    short = replace(LEFT, window_ms=(-0.5, 1.0), response_ms=1.0)
    refusal = guard(test=short).refuse(short, rate(900.0))
    assert refusal == "900 Hz is 4.444 samples, not a whole number; the nearest is 1000 Hz (4 samples)"


def test_a_rate_that_leaves_no_room_for_the_sweep_is_refused() -> None:
    refusal = guard().refuse(LEFT, rate(19.1))
    assert "52.25 ms from stimulus to stimulus; the sweep of left_median needs 80 ms" in refusal


def test_single_stimuli_and_other_commands_are_not_judged() -> None:
    on_demand = replace(LEFT, stimulus_hz=0.0)
    assert guard(test=on_demand).refuse(on_demand, start()) == ""
    assert guard().refuse(LEFT, Request(1, "stim.fire", {"test": LEFT.name})) == ""
    assert guard(test=on_demand).choose(on_demand, start()) is None


def test_what_is_not_measurable_changes_nothing() -> None:
    one = guard()
    one.measured(None, None)
    assert one.choose(LEFT, start()) is None
    report = one.report(1486)
    assert report["mains_measured"] is False and len(report["mains_left_pct"]) == 5
