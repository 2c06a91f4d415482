"""Stimulation by the coprocessor's firmware in MicroPython, seen from its serial port."""

import pytest

from firmware.session import STALE
from hw.link import (
    ALL_PLANS,
    LOCK_ELECTROSURGERY,
    LOCK_IMPEDANCE,
    NOT_SEEN,
    Block,
    Fault,
    Heartbeat,
    ImpedanceStart,
    LeadWatch,
    Lockout,
    StimArm,
    StimLimits,
    StimPlan,
    StimState,
    StimStop,
    Stimulus,
)
from tests.support.edges import configure, ramp_model
from tests.support.looped import armed, plan, shot
from tests.support.pico_talk import JOB, of, talk


def test_nothing_is_stimulated_while_no_sample_comes() -> None:
    ticks = [0]
    model = ramp_model(rate_ticks=lambda: ticks[0])
    with talk(model) as t:
        t.begin()
        t.samples(400)
        model.until_granted()
        ticks[0] = 1000
        silent = t.until(lambda m: isinstance(m, Fault))
        assert silent[-1].code == "no_data_ready"
        assert t.ask(StimArm(7, 1, 4000)) == [""]
        ticks[0] += 200  # a host that was silent is believed again
        assert t.ask(StimArm(8, 1, 4000), plan(1)) == [
            "",
            "no samples are coming in; nothing can be stimulated",
        ]


@pytest.mark.control("H1.4")
def test_a_silent_host_ends_stimulation_and_not_acquisition() -> None:
    ticks = [0]
    model = ramp_model(rate_ticks=lambda: ticks[0])
    with talk(model) as t:
        t.begin()
        t.ask(*armed(plan(period=400, phase=300, hold=40)))
        t.samples(720)  # the pulse of 700 is under way
        model.until_granted()
        ticks[0] = 201
        silent = t.until(lambda m: isinstance(m, Fault))
        assert silent[-1].code == "host_silent"
        model.grant(4000)
        t.until(lambda m: isinstance(m, Block) and m.first_index > 3000)
        assert max(i for i, _ in model.pulses) <= 1100
        assert model.level == 0


@pytest.mark.control("H1.5")
def test_a_plan_that_may_have_waited_on_the_way_is_none() -> None:
    """A link that stood still gives at once what was said meanwhile (`test_server_hosts.py`)."""
    ticks = [0]
    with talk(ramp_model(rate_ticks=lambda: ticks[0])) as t:
        t.begin()
        t.samples(400)
        assert t.ask(StimArm(7, 1, 4000)) == [""]
        ticks[0] += 200
        assert t.ask(plan(1)) == [""]
        ticks[0] += 201
        assert t.ask(StimArm(8, 2, 4000), plan(2), StimStop(9, ALL_PLANS)) == ["", STALE, ""]
        ticks[0] += 199
        assert t.ask(plan(2)) == [STALE]
        ticks[0] += 1
        assert t.ask(StimArm(10, 2, 4000), plan(2)) == ["", ""]


@pytest.mark.control("H1.5")
def test_a_host_that_was_silent_for_a_week_is_not_one_that_was_just_heard() -> None:
    """MicroPython's ticks come round after 12.4 days, and a difference above half of that is negative."""
    ticks = [0]
    with talk(ramp_model(rate_ticks=lambda: ticks[0])) as t:
        t.begin()
        t.samples(400)
        assert t.ask(StimArm(7, 1, 4000), plan(1)) == ["", ""]
        ticks[0] += 201
        t.until(lambda m: isinstance(m, Fault) and m.code == "host_silent")
        ticks[0] += 0x20000000
        t.samples(800)  # so that the board has looked at its clock
        assert t.ask(StimArm(8, 2, 4000), plan(2)) == ["", STALE]


@pytest.mark.control("H1.3")
def test_an_unknown_edge_in_the_samples_takes_everything_low() -> None:
    model = ramp_model()
    model.strays[900] = 0b10
    with talk(model) as t:
        t.begin()
        t.ask(*armed(plan(period=400, phase=300)))
        t.samples(2000)
        faults = of(Fault, t.heard)
        assert [(f.code, f.line, f.index) for f in faults] == [("unexpected", 2, 901)]
        assert max(i for i, _ in model.pulses) < 901 + 100


def test_a_line_that_is_cut_is_found_by_its_first_pulse() -> None:
    model = ramp_model()
    model.cut = {1}
    with talk(model) as t:
        t.begin()
        t.ask(*armed(plan(period=400, phase=300)))
        t.samples(1500)
        assert [f.code for f in of(Fault, t.heard)] == ["missing"]
        assert of(Stimulus, t.heard)[0].seen == NOT_SEEN


def test_a_stop_ends_a_train_at_once() -> None:
    with talk() as t:
        t.begin()
        t.ask(StimArm(1, 2, 4000))
        t.send(shot(2, pulses=8, interval=80))
        t.samples(200)
        begun = len(t.model.pulses)
        assert 0 < begun < 8
        assert t.ask(StimStop(3, ALL_PLANS)) == [""]
        t.samples(2000)
        assert len(t.model.pulses) <= begun + 1
        assert t.model.level == 0
        assert of(Fault, t.heard) == []


def test_what_locks_and_what_the_case_tightens_holds_here_too() -> None:
    with talk() as t:
        t.begin()
        t.samples(100)
        assert t.ask(Lockout(1, LOCK_IMPEDANCE, 1), Lockout(2, 8, 1), Lockout(3, LOCK_ELECTROSURGERY, 1)) == [
            "the edge itself locks while impedance is measured",
            "8 is no reason to lock; known are [1, 2, 4]",
            "",
        ]
        assert t.ask(*armed(shot(1))) == ["", "electrosurgery is on; wait until that has ended"]
        assert t.ask(Lockout(4, LOCK_ELECTROSURGERY, 0)) == [""]
        assert t.ask(StimArm(9, 1, 121_000), StimArm(9, ALL_PLANS, 10)) == [
            "armed for 30.25 s is not within the limit of 30 s",
            "plan 65535 stands for all plans; give it another number",
        ]
        figures = [0.0] * 14
        tight = link_limits(0)
        tight[6 + 0] = 10.0  # stimuli a second
        assert t.ask(StimLimits(5, 0, tuple(tight))) == [""]
        assert t.ask(*armed(plan(1, period=200)))[-1].startswith("a pulse every 200 samples exceeds the rate")
        assert t.ask(StimLimits(6, 9, tuple(figures))) == [
            "kind 9 with 14 figures is no ceiling of this version"
        ]
        assert (
            t.ask(ImpedanceStart(7, 6, 0.0, 0, 0), LeadWatch(8, 6))
            == ["this board cannot compute: its host measures"] * 2
        )


def link_limits(kind: int) -> list[float]:
    from hw import limits

    return list(limits.figures(limits.CEILINGS[kind]))


@pytest.mark.control("H1.1")
def test_nothing_is_obeyed_before_samples_are_taken() -> None:
    with talk() as t:
        t.link.open(configure(JOB))
        assert t.ask(StimArm(1, 1, 100), StimPlan(2, 1, 1, 400, 0, 4, 0)) == ["not acquiring"] * 2


def test_the_state_of_the_arbiter_is_told_when_it_changes() -> None:
    ticks = [0]
    with talk(ramp_model(rate_ticks=lambda: ticks[0])) as t:
        t.begin()
        t.ask(*armed(plan(1, period=400, phase=300)))
        ticks[0] = 150  # within the silence that ends stimulation
        t.send(Heartbeat(0))
        t.samples(700)
        ticks[0] = 300
        said = t.until(lambda m: isinstance(m, StimState) and m.fired)[-1]
        assert (said.plans, said.armed, said.locks) == ((1.0,), (1.0,), 0)
        t.send(Lockout(3, LOCK_ELECTROSURGERY, 1))
        assert t.until(lambda m: isinstance(m, StimState) and m.locks == LOCK_ELECTROSURGERY)
