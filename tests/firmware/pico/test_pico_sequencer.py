"""The coprocessor's sequencer: the box's own arbiter, acting ahead of the samples. The same rules hold."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw import limits
from hw.link import ALL_PLANS, LOCK_HOST, NOT_SEEN, Lockout, Reply, StimPlan, StimStop
from tests.firmware.test_sequencer_properties import ACTIONS, GOOD, carry_out
from tests.support.looped import Looped, plan, shot
from tests.support.pico_looped import AHEAD_MS, PicoLooped
from tests.support.stim_rules import Observer

RATE_HZ = 4000.0
AHEAD = round(RATE_HZ * AHEAD_MS / 1000)
WINDOW = st.integers(60, 150)
PERIODS = st.sampled_from([320, 400, 401, 533, 800])


class AheadObserver(Observer):
    """The rules of the box; a pulse that is ended when it is about to go out may be told and not driven."""

    def _told(self, rises: list[tuple[int, int]]) -> None:
        box = self.box
        told = sorted((p.commanded, p.line) for p in box.proofs)
        assert len(set(told)) == len(told), "told twice"
        recent = box.index - 1 - limits.RETURN_WITHIN_SAMPLES - 1
        assert {r for r in rises if r[0] < recent} <= set(told), "not told"
        ended = {at for at, _ in self.stopped} | set(self.low_at) | {at for at, _, _ in self.mute}
        for p in box.proofs:
            driven = (p.commanded, p.line) in rises
            cut = any(p.commanded <= at <= p.commanded + 2 for at in ended) or box.faults
            assert driven or (p.seen == NOT_SEEN and cut), p
            assert p.seen == NOT_SEEN or 0 < p.seen - p.commanded <= limits.RETURN_WITHIN_SAMPLES
            order = self.plans[p.command]
            assert p.plan == order.plan
            assert p.line == (order.alternate if order.alternate and p.number % 2 == 0 else order.line)
            if order.period and p.pulse == 1:
                assert (p.commanded - order.phase) % order.period == 0, "off its grid"

    def _fired_recently(self, number: int) -> bool:
        """What was handed over stays armed too."""
        recent = any(p.plan == number and p.commanded > self.box.index - 202 for p in self.box.proofs)
        return recent or any(f.plan == number for f in self.box.sequencer.pulses.flights)  # type: ignore[attr-defined]


@pytest.mark.control("H1.9")
@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.sampled_from([500.0, 1000.0, 4000.0]), st.sampled_from([1, 1, 1, 2, 3]))
def test_what_the_lines_never_do(actions: list, rate_hz: float, every: int) -> None:
    box = PicoLooped(rate_hz, 8, every=every)
    seen = AheadObserver(box)
    box.run(every)
    for command, (pause, action) in enumerate(actions, 1):
        box.run(box.index + pause)
        seen.look()
        carry_out(seen, action, command)
        seen.look()
    box.run(box.index + 500)
    seen.look()
    seen.check()


def _apart(p: StimPlan, guard: int, period: int) -> StimPlan:
    """Pulses as far apart as the state machine wants them; windows that are longer than its rest."""
    return replace(p, guard=guard, period=period, interval=max(p.interval, p.hold + 4))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.builds(lambda p, guard, period: _apart(p, guard, period), GOOD, WINDOW, PERIODS),
        min_size=1,
        max_size=5,
        unique_by=lambda p: p.plan,
    ),
    st.integers(0, 300),
    st.sampled_from([1, 5, 16]),
)
def test_the_box_and_the_coprocessor_fire_and_leave_out_the_same(
    plans: list[StimPlan], begins: int, every: int
) -> None:
    """What the one is asked at a sample, the other is asked as much earlier as it acts ahead."""
    here, there = Looped(RATE_HZ, 8), PicoLooped(RATE_HZ, 8, every=every)
    here.run(AHEAD + begins - begins % every)
    there.run(begins - begins % every)
    there.sequencer.pulses.plan(there.index - 1)
    for command, order in enumerate(plans, 1):
        order = replace(order, command=command)
        assert here.sequencer.start(order) == there.sequencer.start(order)
    here.run(2500)
    there.run(2500)
    assert here.faults == there.faults == []
    assert [_fired(p) for p in here.proofs] == [_fired(p) for p in there.proofs]
    last = 2400 - AHEAD
    ours = sorted((u.plan, u.index, u.other, u.reason) for u in here.unfired if u.index < last)
    theirs = sorted((u.plan, u.index, u.other, u.reason) for u in there.unfired if u.index < last)
    assert ours == theirs


def _fired(p: object) -> tuple[int, ...]:
    return tuple(getattr(p, name) for name in ("plan", "command", "number", "line", "commanded", "pulse"))


@pytest.fixture
def box() -> PicoLooped:
    return PicoLooped().run(1)


def test_a_pulse_falls_on_its_sample_and_is_proven_by_the_next(box: PicoLooped) -> None:
    assert box.sequencer.start(plan(period=400, phase=9, count=3)) == ""
    box.run(1300)
    assert box.rises() == [409, 809, 1209]
    assert [(p.commanded, p.seen) for p in box.proofs] == [(409, 410), (809, 810), (1209, 1210)]
    assert box.highs() == [4, 4, 4]


def test_a_single_stimulus_is_answered_when_it_has_gone_out(box: PicoLooped) -> None:
    assert box.sequencer.start(shot()) is None
    box.run(AHEAD)
    assert box.rises() == [] == box.replies
    box.run(AHEAD + 10)
    assert box.rises() == [AHEAD]
    assert box.replies == [Reply(101, "")]


def test_a_single_stimulus_that_is_stopped_before_it_went_out_is_refused(box: PicoLooped) -> None:
    box.sequencer.start(shot())
    box.run(20)
    box.sequencer.command(StimStop(7, 1))
    box.run(400)
    assert box.rises() == []
    assert [r.refusal for r in box.replies] == ["it was stopped before it could fire", ""]


def test_a_train_is_handed_over_whole_and_ends_with_a_stop(box: PicoLooped) -> None:
    box.sequencer.start(shot(pulses=5, interval=40))
    box.run(AHEAD + 90)
    assert box.rises() == [AHEAD, AHEAD + 40, AHEAD + 80]
    box.sequencer.stop()
    assert box.sequencer.outputs == 0
    box.run(800)
    assert box.rises() == [AHEAD, AHEAD + 40, AHEAD + 80]
    assert box.faults == []


def test_nothing_new_fires_before_the_last_sample_of_what_was_stopped(box: PicoLooped) -> None:
    """The scheduler keeps what it was given: a strobe for the old stimulus must not fire the new one."""
    box.sequencer.start(shot(pulses=5, interval=40))
    box.run(AHEAD + 10)
    box.sequencer.stop()
    assert box.sequencer.start(shot(2, line=2)) is None
    box.run(1500)
    assert box.rises(2)[0] > AHEAD + 160
    assert box.faults == []


def test_a_lock_ends_what_was_handed_over_and_tells_it(box: PicoLooped) -> None:
    box.sequencer.start(plan(period=400, phase=60))
    box.run(400)  # 460 has been handed over, 60 was too early
    box.sequencer.command(Lockout(8, LOCK_HOST, 1))
    box.run(1000)
    assert box.rises() == []
    assert 460 in box.left_out(1)
    assert all("the host has locked stimulation" in u.reason for u in box.unfired)
    box.sequencer.command(Lockout(9, LOCK_HOST, 0))
    box.run(1600)
    assert [i for i in box.rises() if i > 1000] == [1260]


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (lambda i, level: 0, "missing"),
        (lambda i, level: level | (2 if i == 300 else 0), "unexpected"),
        (lambda i, level: level & (0 if i == 463 else 255), "repeated"),
        (lambda i, level: level | (1 if 461 <= i < 480 else 0), "stuck"),
    ],
)
def test_what_the_samples_do_not_show_as_it_was_ordered_ends_everything(
    box: PicoLooped, shown: object, code: str
) -> None:
    box.sequencer.start(plan(period=400, phase=60))
    box.run(1500, shown)  # type: ignore[arg-type]
    assert [c for c, _ in box.faults] == [code]
    assert box.sequencer.outputs == 0
    assert max(box.rises(), default=0) <= 460
    assert box.sequencer.command(plan(period=400)) == "it is not armed; arm it first"


def test_a_silent_host_ends_what_was_handed_over(box: PicoLooped) -> None:
    box.sequencer.start(plan(period=400, phase=60))
    box.run(420)
    box.board.arbiter.hush(box.sequencer.pulses)
    box.sequencer.collect()
    box.run(1500)
    assert [c for c, _ in box.faults] == ["host_silent"]
    assert [i for i in box.rises() if i > 420] == []


def test_lost_samples_prove_nothing_and_are_no_fault(box: PicoLooped) -> None:
    box.sequencer.start(plan(period=400, phase=160))
    box.run(555)
    box.lose(40)
    box.run(1300)
    assert box.faults == []
    told = {p.commanded: p.seen for p in box.proofs}
    assert told[160] == 161
    assert told[560] == NOT_SEEN
    assert told[960] == 961
    assert box.rises() == [160, 560, 960]


def test_a_dose_that_is_reached_is_a_fault_that_names_it(box: PicoLooped) -> None:
    box.sequencer.pulses.ceilings[0][1] = 3
    box.sequencer.start(plan(period=400, phase=160))
    box.run(3000)
    assert [c for c, _ in box.faults] == ["dose"]
    assert "exceeds the limit of 3 pulses for sensory" in box.faults[0][1]
    assert len(box.rises()) == 3


def test_all_plans_stop_at_once(box: PicoLooped) -> None:
    for k in range(1, 5):
        box.sequencer.start(plan(k, line=k, period=400, phase=100 * k))
    box.run(950)
    box.sequencer.stop(ALL_PLANS)
    before = len([i for line in range(1, 5) for i in box.rises(line)])
    box.run(2500)
    assert len([i for line in range(1, 5) for i in box.rises(line)]) == before


@pytest.mark.control("H1.3", "H1.7")
@pytest.mark.parametrize("what", ["a stop of all", "a stop of its plan", "an edge of another line"])
def test_a_pulse_that_is_proven_and_still_high_ends_with_a_stop_and_with_a_fault(
    box: PicoLooped, what: str
) -> None:
    box.sequencer.start(plan(period=400, phase=10, hold=40))
    box.run(415)
    assert [p.seen for p in box.proofs] == [411] and box.sequencer.outputs == 1
    if what == "an edge of another line":
        box.run(416, lambda index, level: level | 4)
    else:
        box.sequencer.command(StimStop(7, ALL_PLANS if what == "a stop of all" else 1))
    assert box.sequencer.outputs == 0
    box.run(2000)
    assert not any(box.outputs[416:])
    assert len(box.faults) == (what == "an edge of another line")


def test_a_lock_lets_a_proven_pulse_end_in_its_own_time(box: PicoLooped) -> None:
    box.sequencer.start(plan(period=400, phase=10, hold=40))
    box.run(415)
    box.sequencer.command(Lockout(7, LOCK_HOST, 1))
    assert box.run(2000).highs() == [40]
    assert box.faults == []


def test_an_edge_at_its_own_sample_or_too_late_proves_no_pulse(box: PicoLooped) -> None:
    for seen, code in ((560, "unexpected"), (565, "unexpected")):
        box = PicoLooped().run(1)
        box.sequencer.start(plan(period=400, phase=160))
        box.run(550)
        pulses = box.sequencer.pulses
        pulses.see(seen, 1)  # samples are looked at some at a time
        box.sequencer.collect()
        assert [c for c, _ in box.faults] == [code]


def test_a_pulse_that_is_under_way_when_samples_come_again_is_nobodys_surprise(box: PicoLooped) -> None:
    box.sequencer.start(plan(period=400, phase=160, hold=30))
    box.run(555)
    box.lose(20)
    box.run(1300)
    assert box.faults == []
    assert box.rises() == [160, 560, 960]


def test_a_stimulus_of_the_same_plan_waits_for_the_rest_of_the_machine_too() -> None:
    """Else its strobe would fall into the rest, and the next one would fire it."""
    box = PicoLooped(500.0).run(1)
    box.sequencer.start(shot(1, hold=2, trains=2, gap=9))
    box.run(10)
    box.sequencer.start(shot(1, line=2, hold=2))
    box.run(27)
    box.sequencer.start(plan(1, period=80, hold=2))
    box.run(300)
    assert box.faults == []
    rises = sorted(i for line in (1, 2) for i in box.rises(line))
    assert rises == sorted(p.commanded for p in box.proofs)
    assert {p.line for p in box.proofs if p.commanded in box.rises(2)} <= {2}
