"""Single stimuli: as soon as nothing is in the way, answered when they fired or will not."""

import pytest

from hw.link import LOCK_HOST, Lockout, Reply, StimStop, Unfired
from tests.support.looped import Looped, plan, shot


def test_it_fires_with_the_next_sample_and_is_answered_then() -> None:
    box = Looped().run(1000)
    assert box.sequencer.start(shot()) is None
    assert box.replies == []
    box.run(1001)
    assert box.rises() == [1000]
    assert box.replies == [Reply(101, "")]
    box.run(9000)
    assert box.rises() == [1000]
    assert [p.number for p in box.proofs] == [1]


@pytest.mark.control("H4.1")
def test_it_waits_until_the_window_of_another_plan_is_over() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=2000, guard=500))
    box.run(100)
    assert box.sequencer.start(shot(2, line=2)) is None
    box.run(1000)
    assert box.rises(2) == [500]
    assert box.replies[-1] == Reply(102, "")


def test_it_waits_for_the_whole_train_of_another_plan() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=2000, pulses=5, interval=50, guard=100))
    box.run(100)
    box.sequencer.start(shot(2, line=2))
    box.run(1000)
    assert box.rises(1) == [0, 50, 100, 150, 200]
    assert box.rises(2) == [300]


def test_repeating_plans_are_left_out_while_it_waits_and_when_it_fires() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=4000, guard=1000))
    box.sequencer.start(plan(2, line=2, period=100, phase=50))
    box.run(500)
    box.sequencer.start(shot(3, line=3, guard=300))
    box.run(2000)
    assert box.rises(3) == [1000]
    assert box.rises(2)[0] == 1350
    assert Unfired(2, 102, 1050, 3, "the window of plan 3 is not over") in box.unfired
    assert box.left_out(2) == list(range(50, 1350, 100))


def test_a_repeating_plan_that_is_due_with_it_is_left_out() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=400))
    box.run(400)
    box.sequencer.start(shot(2, line=2))
    box.run(900)
    assert (box.rises(1), box.rises(2)) == ([0, 800], [400])
    assert box.unfired == [Unfired(1, 101, 400, 2, "the window of plan 2 is not over")]


def test_of_two_the_lower_number_goes_first_and_the_other_after_its_window() -> None:
    box = Looped()
    box.sequencer.start(shot(5, line=1, guard=200))
    box.sequencer.start(shot(3, line=2, guard=300))
    box.run(1000)
    assert (box.rises(2), box.rises(1)) == ([0], [300])


def test_it_is_refused_at_once_while_the_box_is_locked() -> None:
    box = Looped()
    box.sequencer.command(Lockout(5, LOCK_HOST, 1))
    assert box.sequencer.start(shot()) == "the host has locked stimulation; wait until that has ended"
    box.sequencer.command(Lockout(6, LOCK_HOST, 0))
    assert box.sequencer.start(shot()) is None
    assert box.run(10).rises() == [0]


def test_a_lock_refuses_what_waits() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=8000, guard=4000))
    box.run(10)
    box.sequencer.start(shot(2, line=2))
    box.run(20)
    box.sequencer.command(Lockout(5, LOCK_HOST, 1))
    text = "the host has locked stimulation; wait until that has ended"
    assert box.replies[-2:] == [Reply(102, text), Reply(5, "")]
    box.sequencer.command(Lockout(6, LOCK_HOST, 0))
    assert box.run(7000).rises(2) == []
    assert [r.command for r in box.replies].count(102) == 1


@pytest.mark.parametrize("number", [2, 0xFFFF])
def test_stop_refuses_what_waits(number: int) -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=8000, guard=4000))
    box.run(10)
    box.sequencer.start(shot(2, line=2))
    box.run(20)
    box.sequencer.command(StimStop(5, number))
    assert box.replies[-2:] == [Reply(102, "it was stopped before it could fire"), Reply(5, "")]
    assert box.run(7000).rises(2) == []


def test_one_that_is_asked_for_again_answers_the_first() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=8000, guard=400))
    box.run(10)
    box.sequencer.start(shot(2, line=2))
    box.sequencer.start(shot(2, line=3))
    assert box.replies[-1] == Reply(102, "it was stopped before it could fire")
    box.run(1000)
    assert (box.rises(2), box.rises(3)) == ([], [400])
    assert box.replies[-1] == Reply(102, "")


def test_a_fault_refuses_what_waits() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=8000, guard=4000))
    box.run(10)
    box.sequencer.start(shot(2, line=2))
    box.run(20, lambda index, level: level | (8 if index == 15 else 0))
    assert [code for code, _ in box.faults] == ["unexpected"]
    assert box.replies[-1] == Reply(102, "it was stopped before it could fire")


def test_without_room_for_two_seconds_it_is_dropped_and_the_others_go_on() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=16000, guard=12000))
    box.sequencer.start(plan(3, line=3, period=16000, phase=12500))
    box.run(10)
    box.sequencer.start(shot(2, line=2))
    box.run(8010)
    assert 102 not in [r.command for r in box.replies]
    box.run(8012)
    text = "other tests or the rest of its line left no room for it within 2 s"
    assert box.replies[-1] == Reply(102, text)
    box.run(17000)
    assert (box.rises(2), box.rises(3), box.rises(1)) == ([], [12500], [0, 16000])


def test_samples_lost_while_it_waits_do_not_drop_it() -> None:
    box = Looped().run(10)
    box.sequencer.start(shot())
    box.lose(50).run(100)
    assert box.rises() == [60]
    assert box.faults == []


def test_ascending_shots_fire_one_after_the_other() -> None:
    box = Looped()
    for step in range(8):
        nerve = {"kind": 3, "current_ua": 100 * (step + 1), "width_us": 200, "guard": 100}
        assert box.sequencer.start(shot(**nerve)) is None
        box.run(box.index + 400)
    assert box.rises() == list(range(0, 3200, 400))
    assert box.replies == [Reply(101, "")] * 8
    assert int(box.sequencer.state.doses[0, 1]) == 20 * sum(range(1, 9))  # nanocoulombs


def test_one_that_follows_too_soon_waits_for_the_rate_of_its_kind_and_nobody_for_it() -> None:
    box = Looped()
    box.sequencer.start(plan(2, line=2, period=100, phase=50))
    nerve = {"kind": 3, "current_ua": 100, "width_us": 200}
    box.sequencer.start(shot(**nerve))
    box.run(3)
    box.sequencer.start(shot(**nerve))
    box.run(1000)
    assert box.rises(1) == [0, 400]  # 10 a second
    assert box.rises(2) == list(range(50, 1000, 100))


def test_the_other_polarity_rests_with_the_line() -> None:
    box = Looped()
    nerve = {"kind": 3, "current_ua": 100, "width_us": 200}
    box.sequencer.start(shot(1, line=1, alternate=2, **nerve))
    box.run(30)
    box.sequencer.start(shot(2, line=2, **nerve))
    box.run(1000)
    assert (box.rises(1), box.rises(2)) == ([0], [400])


def test_a_line_rests_for_the_longest_that_any_stimulus_on_it_wants() -> None:
    box = Looped()
    box.sequencer.start(shot(1, line=2, kind=2))
    box.sequencer.start(plan(2, line=1, alternate=2, period=100, phase=50))
    box.run(4200)
    assert box.rises(2) == [0, 4050]  # a second after the transcranial one
    assert box.rises(1) == [50, 4150]


def test_double_trains_on_demand_keep_the_rest_between_them() -> None:
    box = Looped()
    mep = {
        "kind": 2,
        "pulses": 5,
        "interval": 16,
        "trains": 2,
        "gap": 60,
        "current_ua": 200_000,
        "width_us": 50,
    }
    span = 2 * 4 * 16 + 60
    box.sequencer.start(shot(**mep))
    box.run(3000)
    box.sequencer.start(shot(**mep))
    box.run(6000)
    starts = [p.commanded for p in box.proofs if p.pulse == 1]
    assert starts == [0, span + 4000]
