"""Edges that fail to come, come unordered or never end are faults; samples that are lost are none."""

import pytest

from hw.link import NOT_SEEN, Stimulus
from tests.support.looped import Looped, plan


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_an_edge_may_come_back_within_three_samples(lag: int) -> None:
    box = Looped(lag=lag)
    box.sequencer.start(plan(count=2))
    box.run(2000)
    assert [p.seen - p.commanded for p in box.proofs] == [lag, lag]
    assert box.faults == []


@pytest.mark.control("H3.1")
def test_an_edge_that_never_comes_back_is_a_fault_that_ends_all_plans() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=400, phase=0, hold=40))
    box.sequencer.start(plan(2, line=2, period=400, phase=100))
    box.run(3000, lambda index, level: 0)
    assert box.faults == [("missing", "pulse 1 on line 1 never came back in the samples")]
    assert box.proofs == [Stimulus(1, 101, 1, 1, 0, NOT_SEEN)]
    assert box.outputs[3] == 1
    assert not any(box.outputs[4:])  # low with the step that tells


@pytest.mark.control("H1.3")
def test_an_edge_that_nobody_ordered_is_a_fault() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=400, hold=40))
    box.run(3000, lambda index, level: level | (8 if 10 <= index < 14 else 0))
    assert box.faults == [("unexpected", "line 4 rose at sample 10 without a command")]
    assert box.outputs[9] == 1
    assert not any(box.outputs[10:])


@pytest.mark.parametrize(
    ("again", "fault"),
    [
        (6, ("repeated", "line 1 rose once more at sample 6, within pulse 1")),
        (13, ("repeated", "line 1 rose once more at sample 13, within pulse 1")),
        (14, ("unexpected", "line 1 rose at sample 14 without a command")),
    ],
)
def test_a_second_edge_within_a_pulse_s_own_time_is_a_repeated_one(
    again: int, fault: tuple[str, str]
) -> None:
    box = Looped()
    box.sequencer.start(plan(hold=10))
    box.run(400, lambda index, level: index in (1, 2, again))
    assert box.faults == [fault]


def test_a_pulse_that_bounces_in_the_middle_of_a_train_names_its_pulse() -> None:
    box = Looped()
    box.sequencer.start(plan(hold=10, pulses=3, interval=20))
    box.run(400, lambda index, level: level & ~(index == 25))
    assert box.faults == [("repeated", "line 1 rose once more at sample 26, within pulse 2 of stimulus 1")]


@pytest.mark.parametrize("released", [9, 400])
def test_an_edge_that_stays_high_too_long_is_a_fault(released: int) -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, hold=4))
    box.run(1000, lambda index, level: 1 if 1 <= index < released else level)
    assert box.faults == [("stuck", "line 1 is still high in the samples at 8")]
    assert not any(box.outputs[4:])


def test_an_edge_may_end_three_samples_after_its_pulse() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, hold=4))
    box.run(1000, lambda index, level: 1 if index % 400 in range(1, 8) else level)
    assert box.faults == []
    assert len(box.proofs) == 3


def test_a_line_that_is_high_from_the_start_is_a_fault() -> None:
    assert [c for c, _ in Looped().run(50, lambda index, level: 2).faults] == ["unexpected"]


def test_a_line_that_is_high_after_a_gap_without_a_pulse_is_stuck() -> None:
    box = Looped().run(10).lose(10)
    box.run(60, lambda index, level: 4)
    assert [code for code, _ in box.faults] == ["stuck"]


def test_only_the_first_cause_is_told_and_nothing_fires_until_started_anew() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=100, hold=4))
    late = {0: 5}  # the pulse of sample 0 comes back at 5, after it was missed, and again and again
    box.run(1000, lambda index, level: 1 if index % 50 >= late[0] else 0)
    assert [code for code, _ in box.faults] == ["missing"]
    assert box.rises() == [0]
    box.run(1001, lambda index, level: 0)
    box.sequencer.start(plan(1, line=1, period=100, hold=4))
    box.run(2000)
    assert box.rises() == [0, *range(1100, 2000, 100)]
    box.run(2050, lambda index, level: 2)
    assert [code for code, _ in box.faults] == ["missing", "unexpected"]


def test_a_line_that_stays_high_although_it_was_stopped_is_stuck() -> None:
    box = Looped()
    box.sequencer.start(plan(hold=40))
    box.run(10)
    box.sequencer.stop()
    box.run(100, lambda index, level: 1)
    assert box.faults == [("stuck", "line 1 is still high in the samples at 13")]


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_an_edge_awaited_in_lost_samples_is_never_seen_and_no_fault(n: int) -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, hold=4))
    box.run(401).lose(n)
    box.run(1300)
    assert box.faults == []
    assert [(p.commanded, p.seen == NOT_SEEN) for p in box.proofs] == [
        (0, False),
        (400, True),
        (800, False),
        (1200, False),
    ]
    assert box.rises() == [0, 400, 800, 1200]


def test_a_pulse_ends_on_time_also_when_samples_are_lost() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, hold=10))
    box.run(403)
    box.sequencer.lost(409)
    assert box.sequencer.outputs == 1
    box.sequencer.lost(410)
    assert box.sequencer.outputs == 1  # it ends with sample 410
    box.sequencer.lost(411)
    assert box.sequencer.outputs == 0


@pytest.mark.parametrize("n", [5, 10, 50, 300])
def test_a_line_that_was_held_by_lost_samples_is_not_stuck(n: int) -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, hold=10))
    box.run(405).lose(n)  # the pin stays high until the next sample is there
    box.run(1300)
    assert box.rises() == [0, 400, 800, 1200]
    assert box.faults == []


def test_pulses_due_in_lost_samples_are_left_out_and_the_grid_is_kept() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, phase=5, count=6))
    box.run(500).lose(2020)
    box.run(5000)
    assert box.rises() == [5, 405, 2805, 3205, 3605, 4005]
    assert box.faults == []
