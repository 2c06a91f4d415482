"""What `status` says of stimulation: the arbiter as the edge told it, what did not fire, lags, doses."""

from dataclasses import replace

import msgspec

from hostd import casefile
from hostd.arrangement import arrange
from hostd.schema import Stimulation as Declared
from hostd.states import CaseState, initial
from hostd.stim_status import StimStatus
from hw.link import ALL_PLANS, LOCK_ELECTROSURGERY, LOCK_IMPEDANCE, NOT_SEEN, StimState, Stimulus, Unfired

CASE = casefile.procedure("median_ssep")
LEFT, RIGHT = CASE.tests
PLANS = arrange(CASE, 4000.0)
STATE = StimState(
    *(4000, LOCK_IMPEDANCE | LOCK_ELECTROSURGERY, LEFT.line, 4100),
    *((1.0,), (3.0,), (1.0,), (), (), (3.0, 0.0), (15.0, 0.0), (0.5, 0.0)),
)


def state() -> CaseState:
    tests = ((t.name, False) for t in CASE.tests)
    return initial(tests, True, False, 4000.0, 30.0, 3600.0)


def test_before_the_edge_has_said_anything_it_is_whole() -> None:
    fields = StimStatus(CASE, 4000.0).fields(state(), PLANS, {})
    assert msgspec.convert(fields, Declared).locks == []
    assert fields["tests"][LEFT.name]["period_samples"] == PLANS[LEFT.name].period
    assert fields["electrodes_checked_s"] is None and fields["lines"] == []


def test_what_locks_and_whose_window_it_is() -> None:
    status = StimStatus(CASE, 4000.0)
    status.told(STATE)
    fields = status.fields(state(), PLANS, {})
    assert fields["locks"] == ["impedance is being measured", "electrosurgery is on"]
    assert fields["window_of"] == LEFT.name
    assert fields["lines"][0] == {"line": 1, "pulses": 3, "charge_uc": 15.0, "energy_mj": 0.5}
    status.told(replace(STATE, locks=0, owner=ALL_PLANS))
    fields = status.fields(state(), PLANS, {})
    assert fields["locks"] == [] and fields["window_of"] is None


def test_pulses_lags_and_what_was_left_out() -> None:
    status = StimStatus(CASE, 4000.0)
    for seen in (11, 11, 12, NOT_SEEN):
        status.stimulated(Stimulus(LEFT.line, 5, 1, LEFT.line, 10, seen))
    status.stimulated(Stimulus(LEFT.line, 5, 1, LEFT.line, 30, 31, pulse=2))
    status.unfired(Unfired(RIGHT.line, 6, 40, LEFT.line, "the window of plan 1 is not over"))
    fields = status.fields(state(), PLANS, {})
    assert fields["lag_samples"] == {"1": 3, "2": 1} and fields["never_seen"] == 1
    left, right = (fields["tests"][t.name] for t in CASE.tests)
    assert left["fired"] == 4, "a train is one stimulus"
    assert right["left_out"] == 1 and right["last_reason"] == f"the window of {LEFT.name} is not over"
    status.unfired(Unfired(RIGHT.line, 6, 40, ALL_PLANS, "electrosurgery is on"))
    assert status.fields(state(), PLANS, {})["tests"][RIGHT.name]["last_reason"] == "electrosurgery is on"


def test_how_long_a_test_stays_armed_and_how_old_the_electrodes_check_is() -> None:
    now = state()
    armed = replace(now.of(LEFT.name), armed_until=8000)
    now = replace(now.having(armed), index=4000, checked_at=2000)
    fields = StimStatus(CASE, 4000.0).fields(now, PLANS, {LEFT.name: 5.0})
    assert fields["armed_s"] == {LEFT.name: 1.0} and fields["electrodes_checked_s"] == 0.5
    assert fields["tests"][LEFT.name]["next_step_ma"] == 5.0
