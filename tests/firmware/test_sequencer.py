"""Stimuli on the sample grid: when they fire, how they are proven, and that they can always be stopped."""

from dataclasses import replace

import pytest

from hw.link import ALL_PLANS, NOT_SEEN, Stimulus, Unfired
from tests.support.looped import Looped, plan


def test_pulses_fall_exactly_on_the_grid_and_hold_as_long_as_told() -> None:
    box = Looped()
    assert box.sequencer.start(plan(period=851, phase=100, hold=4)) == ""
    box.run(3000)
    assert box.rises() == [100, 951, 1802, 2653]
    assert box.highs() == [4] * 4
    assert box.proofs == [Stimulus(1, 101, n, 1, at, at + 1) for n, at in enumerate(box.rises(), 1)]
    assert box.faults == []


def test_the_grid_does_not_depend_on_when_a_plan_was_started() -> None:
    box = Looped().run(5000)
    box.sequencer.start(plan(period=851, phase=100))
    box.run(7000)
    assert box.rises() == [100 + 851 * k for k in (6, 7, 8)]


def test_a_plan_that_is_due_now_fires_now() -> None:
    box = Looped().run(400)
    box.sequencer.start(plan(period=400))
    assert box.run(402).rises() == [400]


def test_a_phase_beyond_the_period_means_its_remainder() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, phase=4000 * 400 + 7))
    assert box.run(900).rises() == [7, 407, 807]


def test_count_ends_a_plan_and_lets_the_last_pulse_end_by_itself() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, count=3))
    box.run(4000)
    assert box.rises() == [0, 400, 800]
    assert box.highs() == [4, 4, 4]
    assert [p.number for p in box.proofs] == [1, 2, 3]


def test_two_plans_interleave_whenever_they_were_started() -> None:
    box = Looped().run(333)
    box.sequencer.start(plan(1, line=1, period=800, phase=0))
    box.run(2117)
    box.sequencer.start(plan(2, line=2, period=800, phase=400))
    box.run(6000)
    assert box.rises(1) == [800, 1600, 2400, 3200, 4000, 4800, 5600]
    assert box.rises(2) == [2800, 3600, 4400, 5200]
    assert box.faults == []


def test_of_plans_on_the_same_sample_one_fires_and_the_others_are_told() -> None:
    box = Looped()
    for n in (1, 2, 3):
        box.sequencer.start(plan(n, line=n, period=400, phase=50))
    box.run(1700)
    assert [box.rises(n) for n in (1, 2, 3)] == [[50, 1250], [450, 1650], [850]]
    assert [box.left_out(n) for n in (1, 2, 3)] == [[450, 850, 1650], [50, 850, 1250], [50, 450, 1250, 1650]]
    assert box.unfired[0] == Unfired(2, 102, 50, 1, "the window of plan 1 is not over")


@pytest.mark.control("H4.1")
@pytest.mark.parametrize(
    ("rate_hz", "spacing"), [(250.0, 2), (500.0, 3), (1000.0, 5), (4000.0, 20), (16000.0, 80)]
)
def test_the_distance_is_never_below_five_milliseconds_at_any_rate(rate_hz: float, spacing: int) -> None:
    box = Looped(rate_hz)
    box.sequencer.start(plan(1, line=1, period=400, phase=10, hold=2))
    box.sequencer.start(plan(2, line=2, period=400, phase=10 + spacing - 1, hold=2))
    box.sequencer.start(plan(3, line=3, period=400, phase=10 + spacing, hold=2))
    box.run(300)
    assert (box.rises(1), box.rises(2), box.rises(3)) == ([10], [], [10 + spacing])
    assert box.left_out(2) == [10 + spacing - 1]


def test_a_new_plan_of_the_same_number_replaces_the_old_one() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=400))
    box.run(402)  # the old one's pulse is under way
    box.sequencer.start(plan(1, line=2, period=400, phase=200))
    box.run(1500)
    assert box.rises(1) == [0, 400]
    assert box.highs(1) == [4, 4]
    assert box.rises(2) == [600, 1000, 1400]


@pytest.mark.parametrize(("phase", "fires"), [(40, False), (41, True)])
def test_a_pulse_never_joins_the_one_before(phase: int, fires: bool) -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=1000, phase=0, hold=40))
    box.sequencer.start(plan(2, period=1000, phase=phase, hold=4))
    box.run(1000)
    assert box.rises() == [0, phase][: 1 + fires]
    assert box.highs() == [40, 4][: 1 + fires]
    assert [(u.index, u.other, u.reason) for u in box.unfired] == (
        [] if fires else [(40, ALL_PLANS, "its line is not low")]
    )
    assert box.faults == []


def test_a_pulse_never_joins_the_one_before_although_the_samples_show_it_ended() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=1000, phase=0, hold=40))
    box.sequencer.start(plan(2, period=1000, phase=40, hold=4))
    box.run(500, lambda index, level: level & ~(index == 40))
    assert (box.highs(), box.left_out(2)) == ([40], [40])


@pytest.mark.parametrize(("falls", "fires"), [(42, False), (41, True)])
def test_a_pulse_is_left_out_when_its_line_falls_late(falls: int, fires: bool) -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=1000, phase=0, hold=40))
    box.sequencer.start(plan(2, period=1000, phase=41, hold=4))
    box.run(500, lambda index, level: 1 if 1 <= index < falls else level)
    assert [p.commanded for p in box.proofs] == [0, 41][: 1 + fires]
    assert box.left_out(2) == [41] * (not fires)
    assert box.faults == []


def test_a_pulse_is_left_out_while_the_proof_of_the_one_before_is_awaited() -> None:
    box = Looped(250.0)  # two pulses may follow so closely here that the second would hide the first
    box.sequencer.start(plan(1, period=6, phase=0, hold=2))
    box.sequencer.start(plan(2, period=6, phase=3, hold=2))
    box.run(50, lambda index, level: 0)
    assert box.faults == [("missing", "pulse 1 on line 1 never came back in the samples")]
    assert box.rises() == [0]


def test_the_plans_of_one_line_share_its_rate_limit() -> None:
    box = Looped()
    assert box.sequencer.start(plan(1, period=80)) == ""
    assert box.sequencer.start(plan(2, period=80, phase=40)) == ""
    refusal = box.sequencer.start(plan(3, period=4000, phase=20))
    assert refusal == "line 1 would have 101 pulses a second, which exceeds the rate limit of 100 Hz"
    assert box.sequencer.start(plan(2, period=80, phase=40)) == ""  # replaces itself
    assert box.sequencer.start(plan(3, line=2, period=4000, phase=20)) == ""
    box.run(4000)
    assert len(box.rises(1)) == 100
    assert box.faults == []


def test_a_line_that_two_plans_alternate_on_is_crowded_whoever_comes_first() -> None:
    alternating = plan(1, line=1, alternate=2, period=40)
    for first, second in [
        (alternating, plan(2, line=2, period=80)),
        (plan(2, line=2, period=80), alternating),
    ]:
        box = Looped()
        assert box.sequencer.start(first) == ""
        assert "150 pulses a second" in str(box.sequencer.start(second))


def test_what_was_left_out_is_never_made_up_for() -> None:
    box = Looped()
    for n in (1, 2, 3):  # of three on the same sample two are left out
        box.sequencer.start(plan(n, line=n, period=40))
    box.run(4000)
    assert [len(box.rises(n)) for n in (1, 2, 3)] == [34, 33, 33]
    box.sequencer.stop(2)
    box.sequencer.stop(3)
    box.run(8000)
    assert [i for i in box.rises(1) if i >= 4000] == list(range(4000, 8000, 40))


def test_stopping_one_plan_ends_its_pulse_and_leaves_the_other_alone() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=400, phase=0, hold=40))
    box.sequencer.start(plan(2, line=2, period=400, phase=20, hold=40))
    box.run(425)
    box.sequencer.stop(1)
    assert box.sequencer.outputs == 2
    box.run(1300)
    assert box.highs(1) == [40, 25]
    assert box.highs(2) == [40] * 4
    assert box.rises(2) == [20, 420, 820, 1220]
    assert box.faults == []


def test_stopping_a_plan_whose_last_pulse_is_under_way_takes_its_line_low() -> None:
    box = Looped()
    box.sequencer.start(plan(1, hold=40, count=1))
    box.run(10)
    box.sequencer.stop(1)
    box.run(100)
    assert box.highs() == [10]
    assert box.faults == []


@pytest.mark.control("H1.7")
@pytest.mark.parametrize("at", [0, 1, 2, 5, 39, 40, 41, 399, 400, 401])
def test_stop_always_works(at: int) -> None:
    box = Looped()
    for n in (1, 2, 3, 4):
        box.sequencer.start(plan(n, line=n, period=400, phase=3 * n, hold=40))
    box.run(at)
    box.sequencer.stop(ALL_PLANS)
    assert box.sequencer.outputs == 0
    box.run(at + 1000)
    assert not any(box.outputs[at:])
    assert box.faults == []  # a pulse cut short is no fault
    box.sequencer.stop()
    box.sequencer.stop(17)


def test_a_pulse_that_is_stopped_before_a_sample_could_show_it_is_not_seen_and_no_fault() -> None:
    box = Looped()
    box.sequencer.start(plan(1, hold=40))
    box.sequencer.start(plan(2, line=2, phase=100))
    box.run(1)
    box.sequencer.stop(1)
    box.outputs[0] = 0  # the loop drives no line before it has taken the commands
    box.run(200)
    assert box.faults == []
    assert [(p.plan, p.seen) for p in box.proofs] == [(1, NOT_SEEN), (2, 101)]


def test_a_pulse_that_is_stopped_after_a_sample_should_have_shown_it_is_missing() -> None:
    box = Looped()
    box.sequencer.start(plan(1, hold=40))
    box.run(2, lambda index, level: 0)
    box.sequencer.stop(1)
    box.run(200, lambda index, level: 0)
    assert [code for code, _ in box.faults] == ["missing"]


def test_a_refused_plan_leaves_the_running_one_as_it_was() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=400))
    assert "rate limit of 100 Hz" in str(box.sequencer.start(plan(1, period=20)))
    assert "hold of 1 samples" in str(box.sequencer.start(plan(1, hold=1)))
    assert "line 5" in str(box.sequencer.start(plan(1, line=5)))
    assert box.run(900).rises() == [0, 400, 800]


def test_without_lines_every_plan_is_refused() -> None:
    assert Looped(lines=0).sequencer.start(replace(plan(), line=1)) == "this source cannot stimulate"
