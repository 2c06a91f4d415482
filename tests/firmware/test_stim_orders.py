"""What Python checks before a command may reach the loop: an order for it, or the answer."""

import numpy as np
import pytest

from firmware.loop.state import (
    CHARGE_NC,
    ENERGY_NJ,
    N_PLAN,
    RATE_MHZ,
    SHOT_WAIT,
    SPACING,
    VERB_ARM,
    VERB_LOCK,
    VERB_START,
    VERB_STOP,
    loop_state,
)
from firmware.orders import Order, Orders, plan_row
from firmware.ports import Command
from hw import limits
from hw.link import ALL_PLANS, Lockout, StimArm, StimLimits, StimPlan, StimStop
from tests.support.looped import plan

FULL = StimPlan(
    command=8,
    plan=2,
    line=3,
    period=9000,
    phase=100,
    hold=4,
    count=300,
    alternate=4,
    pulses=5,
    interval=16,
    trains=2,
    gap=60,
    guard=70,
    kind=2,
    current_ua=200_000,
    width_us=50,
    area_cm2=1.0,
)


def orders(lines: int = 4, rate_hz: float = 4000.0) -> Orders:
    return Orders(loop_state(lines, 1, 3), rate_hz)


@pytest.mark.parametrize(
    ("command", "verb", "head"),
    [
        (FULL, VERB_START, (2, 8, 3, 4, 9000, 100, 4, 300, 5, 16, 2, 60, 70, 2, 10_000, 2_000_000)),
        (StimStop(5, 9), VERB_STOP, (9, 5)),
        (StimStop(5, ALL_PLANS), VERB_STOP, (ALL_PLANS, 5)),
        (StimArm(6, 3, 4000), VERB_ARM, (3, 6, 4000)),
        (Lockout(7, 2, 1), VERB_LOCK, (2, 7, 1)),
        (Lockout(7, 4, 0), VERB_LOCK, (4, 7, 0)),
    ],
)
def test_what_may_be_is_an_order_for_the_loop(command: Command, verb: int, head: tuple[int, ...]) -> None:
    order = orders().take(command)
    assert isinstance(order, Order)
    assert (order.verb, order.row.tolist()) == (verb, [*head, *[0] * (N_PLAN - len(head))])
    assert order.row.dtype == np.int64


@pytest.mark.control("H2.2")
@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (plan(period=20), "the rate limit of 100 Hz"),
        (plan(line=5), "line 5 is not one of 1..4"),
        (plan(kind=5), "kind 5 is not one of 0..4"),
        (plan(ALL_PLANS), "plan 65535 stands for all plans"),
        (StimArm(6, ALL_PLANS, 4000), "plan 65535 stands for all plans"),
        (StimArm(6, 3, 0), "armed for 0 s is not within the limit of 30 s"),
        (Lockout(7, 3, 1), "3 is no reason to lock; known are [1, 2, 4]"),
        (StimLimits(7, 9, ()), "kind 9 with 0 figures is no ceiling"),
    ],
)
def test_what_may_not_be_is_refused_in_one_line(command: Command, refusal: str) -> None:
    answer = orders().take(command)
    assert isinstance(answer, str)
    assert refusal in answer
    assert "\n" not in answer


def test_limits_are_done_at_once() -> None:
    judge = orders()
    figures = limits.figures(limits.tightened(limits.CEILINGS[0], {"rate_hz": 5.0}))
    assert judge.take(StimLimits(1, 0, figures)) == ""
    assert "the rate limit of 5 Hz" in str(judge.take(plan()))


def test_without_lines_every_plan_is_refused() -> None:
    assert orders(lines=0).take(plan()) == "this source cannot stimulate"


@pytest.mark.parametrize(
    ("rate_hz", "spacing", "wait"), [(250.0, 2, 500), (4000.0, 20, 8000), (16000.0, 80, 32000), (30.0, 1, 60)]
)
def test_the_loop_knows_its_rate(rate_hz: float, spacing: int, wait: int) -> None:
    state = loop_state(4, 1, 3)
    Orders(state, rate_hz)
    assert state.scalars[[SPACING, SHOT_WAIT, RATE_MHZ]].tolist() == [spacing, wait, rate_hz * 1000]


def test_the_largest_pulse_that_any_kind_allows_fits_its_row() -> None:
    row = plan_row(plan(kind=2, current_ua=1_500_000, width_us=500))
    assert (row[CHARGE_NC], row[ENERGY_NJ]) == (750_000, 1_125_000_000)
