"""What holds between host and edge, for when one of them forgets."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.standing import Standing
from hw.link import (
    ALL_PLANS,
    LOCK_ELECTROSURGERY,
    LOCK_HOST,
    NOT_SEEN,
    Excited,
    Leads,
    LeadWatch,
    Lockout,
    Reply,
    StimArm,
    StimLimits,
    StimPlan,
    StimState,
    StimStop,
)

FREE = (), (), (), (), ()


def doses(pulses: tuple[float, ...], charge_uc: tuple[float, ...] = (0.0,)) -> StimState:
    return StimState(10, 2, 3, 50, (3.0,), (1.0,), (0.0,), (3.0,), (99.0,), pulses, charge_uc, charge_uc)


@pytest.mark.control("H1.6")
def test_limits_locks_and_the_leads_watch_are_told_again_and_nothing_that_stimulates() -> None:
    standing = Standing()
    old, new = StimLimits(1, 2, (1.0,)), StimLimits(5, 2, (0.5,))
    for said in (old, StimLimits(2, 3, (9.0,)), Lockout(3, LOCK_HOST, 1), LeadWatch(4, 6), new):
        standing.said(said)
    for said in (StimArm(6, 1, 100), StimPlan(7, 1, 1, 100, 0, 4, 0), StimStop(8, ALL_PLANS)):
        standing.said(said)
    limits, lock = [new, StimLimits(2, 3, (9.0,))], Lockout(3, LOCK_HOST, 1)
    assert standing.locks == [lock]
    assert standing.all == [*limits, lock, LeadWatch(4, 6)]


def test_what_was_taken_back_is_not_told_again() -> None:
    standing = Standing()
    for on in (1, 0):
        standing.said(Lockout(on, LOCK_HOST, on))
        standing.said(LeadWatch(on, 6 * on))
    standing.said(Lockout(7, LOCK_ELECTROSURGERY, 1))
    assert standing.all == [Lockout(7, LOCK_ELECTROSURGERY, 1)]


def test_what_ended_by_itself_is_not_ended_again() -> None:
    standing = Standing()
    standing.heard(Excited(1, 10, NOT_SEEN))
    standing.heard(Excited(1, 10, 40))
    assert standing.ended(100) == []
    standing.heard(Leads(5, 0, 0, 0, 1))
    assert standing.ended(100) == [Leads(100, 0, 0, 0, 0)]
    assert standing.ended(200) == []


@pytest.mark.control("H2.8")
@given(st.lists(st.lists(st.integers(0, 500), min_size=1, max_size=4), min_size=1, max_size=4))
def test_what_a_line_has_had_only_grows_over_any_number_of_edges(lives: list[list[int]]) -> None:
    standing, before, told = Standing(), 0.0, 0.0
    for life in lives:
        for pulses in sorted(life):
            said = standing.heard(doses((float(pulses), 1.0), (pulses / 2, 0.0)))
            assert isinstance(said, StimState)
            assert said.pulses[0] == before + pulses and said.charge_uc[0] == said.pulses[0] / 2
            assert said.energy_mj == said.charge_uc and said.pulses[0] >= told
            told = said.pulses[0]
        before = told
        (over,) = standing.ended(1000)
        assert over == StimState(1000, 0, ALL_PLANS, 0, *FREE, said.pulses, said.charge_uc, said.energy_mj)


def test_lines_that_only_one_edge_has_count_too() -> None:
    standing = Standing()
    standing.heard(doses((1.0, 2.0)))
    standing.ended(5)
    assert standing.heard(doses((10.0,))) == replace(doses((11.0, 2.0)), charge_uc=(0.0,), energy_mj=(0.0,))
    standing.ended(6)
    said = standing.heard(doses((1.0, 1.0, 1.0)))
    assert isinstance(said, StimState) and said.pulses == (12.0, 3.0, 1.0)


def test_other_messages_are_no_concern() -> None:
    standing, reply = Standing(), Reply(1, "")
    assert standing.heard(reply) is reply and standing.ended(0) == []
