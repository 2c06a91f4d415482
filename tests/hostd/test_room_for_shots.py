"""A single stimulus finds room among tests that repeat: no train of a shipped procedure outlasts its wait."""

from dataclasses import replace
from pathlib import Path

import pytest

from hostd import casefile
from hostd.arrangement import arrange
from hostd.control_pulse import TOLD_BEFORE_S
from hw.limits import SHOT_WAIT_S, span_samples
from hw.link import Reply
from tests.support.looped import Looped

PROCEDURES = sorted(path.stem for path in (Path(casefile.__file__).parent / "procedures").glob("*.toml"))


@pytest.mark.parametrize("name", PROCEDURES)
def test_no_train_that_repeats_and_one_other_shot_outlast_the_wait_of_a_single_stimulus(name: str) -> None:
    case = casefile.procedure(name)
    plans = arrange(case, case.rate_hz).values()
    repeated = [span_samples(plan) + plan.guard for plan in plans if plan.period]
    shots = [span_samples(plan) + plan.guard for plan in plans if not plan.period]
    longest = max(repeated, default=0)
    assert (longest + max(shots, default=0)) / case.rate_hz < SHOT_WAIT_S
    assert longest / case.rate_hz < SHOT_WAIT_S - TOLD_BEFORE_S, "behind a control, whose line rests at first"


@pytest.mark.control("H4.1")
def test_motor_tests_asked_for_as_the_train_of_four_begins_fire_both_when_it_is_over() -> None:
    rate_hz = 4000.0
    plans = arrange(casefile.procedure("scoliosis"), rate_hz)
    box = Looped(rate_hz, lines=7)
    for number, plan in enumerate(plan for plan in plans.values() if plan.period):
        box.sequencer.start(replace(plan, command=number + 1))
    begun = plans["tof"].phase
    box.run(begun + 2)
    for command, name in ((101, "left_mep"), (102, "right_mep")):
        assert box.sequencer.start(replace(plans[name], command=command)) is None
    box.run(begun + round(SHOT_WAIT_S * rate_hz))
    assert box.rises(7)[:4] == [begun + k * 2000 for k in range(4)]
    over = begun + 6000 + plans["tof"].guard
    window = span_samples(plans["left_mep"]) + plans["left_mep"].guard
    assert (box.rises(5)[0], box.rises(6)[0]) == (over, over + window)
    assert [r for r in box.replies if r.command > 100 and r.refusal] == []
    assert Reply(102, "") in box.replies and box.faults == []
