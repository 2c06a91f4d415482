"""Nothing starts that was not armed, and what is not used, was stopped or failed is disarmed."""

import pytest

from firmware.loop.state import ARMED_PLAN
from hw.link import ALL_PLANS, StimArm, StimStop
from tests.support.looped import Looped, plan, shot

UNARMED = "it is not armed; arm it first"


def arm(box: Looped, number: int = 1, samples: int = 4000) -> None:
    assert box.sequencer.command(StimArm(9, number, samples)) == ""


@pytest.mark.control("H1.2")
@pytest.mark.parametrize("wanted", [plan(), shot()])
def test_what_was_never_armed_does_not_start(wanted: object) -> None:
    box = Looped()
    arm(box, 2)
    assert box.sequencer.command(wanted) == UNARMED  # type: ignore[arg-type]
    assert box.run(2000).rises() == []


@pytest.mark.control("H1.2")
@pytest.mark.parametrize(("wait", "refusal"), [(0, ""), (99, ""), (100, ""), (101, UNARMED), (5000, UNARMED)])
def test_arming_lasts_as_long_as_it_says(wait: int, refusal: str) -> None:
    box = Looped().run(50)
    arm(box, samples=100)
    box.run(50 + wait)
    assert box.sequencer.command(plan(period=4000)) == refusal


def test_arming_counts_lost_samples_too() -> None:
    box = Looped().run(50)
    arm(box, samples=100)
    box.lose(200)
    assert box.sequencer.command(plan()) == UNARMED


@pytest.mark.parametrize("number", [1, ALL_PLANS])
def test_stop_disarms(number: int) -> None:
    box = Looped()
    arm(box)
    arm(box, 2)
    box.sequencer.command(StimStop(5, number))
    assert box.sequencer.command(plan()) == UNARMED
    assert (box.sequencer.command(plan(2, line=2)) == "") is (number == 1)


@pytest.mark.control("H1.3")
def test_a_fault_disarms_everything() -> None:
    box = Looped()
    box.sequencer.start(plan(1))
    arm(box, 2)
    box.run(20, lambda index, level: level | (8 if index == 10 else 0))
    assert [code for code, _ in box.faults] == ["unexpected"]
    assert box.sequencer.command(plan(1)) == UNARMED
    assert box.sequencer.command(plan(2)) == UNARMED
    arm(box, 1)
    assert box.sequencer.command(plan(1)) == ""


def test_what_fires_stays_armed_for_as_long_again() -> None:
    box = Looped()
    arm(box, samples=500)
    assert box.sequencer.command(plan(period=400, count=6)) == ""
    box.run(2000 + 500 + 1)  # fired at 0, 400, ... 2000
    assert box.sequencer.command(plan(period=4000)) == ""
    box = Looped()
    arm(box, samples=500)
    box.sequencer.command(plan(period=400, count=6))
    box.run(2000 + 500 + 2)
    assert box.sequencer.command(plan(period=4000)) == UNARMED


def test_what_is_left_out_is_not_used_and_not_armed_again() -> None:
    box = Looped()
    box.sequencer.start(plan(2, line=2, period=4000, guard=3000))
    arm(box, 1, samples=500)
    box.sequencer.command(plan(1, period=400, phase=100))
    box.run(600)
    assert box.left_out(1) == [100, 500]
    assert box.sequencer.command(plan(1, period=400)) == UNARMED


def test_a_plan_that_runs_goes_on_when_it_is_no_longer_armed() -> None:
    box = Looped()
    arm(box, samples=100)
    box.sequencer.command(plan(period=4000, phase=2000))
    assert box.run(7000).rises() == [2000, 6000]


def test_one_arming_serves_several_starts() -> None:
    box = Looped()
    arm(box)
    for n in range(3):
        assert box.sequencer.command(shot()) is None
        box.run(400 * (n + 1))
    assert box.rises() == [0, 400, 800]


def test_arming_anew_counts_anew_and_takes_no_second_place() -> None:
    box = Looped()
    for _ in range(200):
        arm(box, samples=100)
        box.run(box.index + 10)
    assert (box.sequencer.state.arms[:, ARMED_PLAN] >= 0).sum() == 1
    box.run(box.index + 90)
    assert box.sequencer.command(plan()) == ""


def test_expired_arming_makes_room_and_a_full_table_says_so() -> None:
    box = Looped()
    for n in range(64):
        arm(box, n, samples=100)
    assert box.sequencer.arm(64) == "64 plans are running; stop one first"
    assert box.sequencer.command(plan(64)) == UNARMED
    arm(box, 3, samples=1000)
    box.run(200)
    arm(box, 64)
    assert box.sequencer.command(plan(64)) == ""


@pytest.mark.parametrize(
    ("samples", "refusal"),
    [
        (0, "armed for 0 s is not within the limit of 30 s"),
        (120_000, ""),
        (120_001, "armed for 30.0003 s is not within the limit of 30 s"),
        (4_294_967_295, "is not within the limit of 30 s"),
    ],
)
def test_nothing_is_armed_for_longer_than_the_limit(samples: int, refusal: str) -> None:
    answer = Looped().sequencer.command(StimArm(9, 1, samples))
    assert str(answer).endswith(refusal)
    assert bool(answer) is bool(refusal)


def test_a_refused_plan_stays_armed() -> None:
    box = Looped()
    arm(box)
    assert "rate limit" in str(box.sequencer.command(plan(period=20)))
    assert box.sequencer.command(plan(period=400)) == ""


@pytest.mark.parametrize("command", [plan(ALL_PLANS), StimArm(9, ALL_PLANS, 100)])
def test_the_number_that_stands_for_all_is_no_plan(command: object) -> None:
    text = Looped().sequencer.command(command)  # type: ignore[arg-type]
    assert text == "plan 65535 stands for all plans; give it another number"
