"""Locks of the box: while one holds nothing fires, and every stimulus that was due says why not."""

import pytest

from hw.link import ALL_PLANS, LOCK_ELECTROSURGERY, LOCK_HOST, LOCK_IMPEDANCE, Lockout, Unfired
from tests.support.looped import Looped, plan

WORDS = {
    LOCK_IMPEDANCE: "impedance is being measured",
    LOCK_ELECTROSURGERY: "electrosurgery is on",
    LOCK_HOST: "the host has locked stimulation",
}


def lock(box: Looped, reason: int, on: int = 1) -> None:
    assert box.sequencer.command(Lockout(7, reason, on)) == ""


@pytest.mark.control("H4.2", "H4.3")
@pytest.mark.parametrize("reason", WORDS)
def test_nothing_fires_while_locked_and_the_grid_is_kept(reason: int) -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=400))
    box.sequencer.start(plan(2, line=2, period=700, phase=100))
    box.run(450)
    lock(box, reason)
    box.run(1700)
    lock(box, reason, 0)
    box.run(2300)
    assert (box.rises(1), box.rises(2)) == ([0, 400, 2000], [100, 2200])
    assert (box.left_out(1), box.left_out(2)) == ([800, 1200, 1600], [800, 1500])
    assert {(u.other, u.reason) for u in box.unfired} == {(ALL_PLANS, WORDS[reason])}
    assert box.faults == []


def test_all_reasons_must_be_gone_and_all_are_named() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400))
    for reason in WORDS:
        lock(box, reason)
    box.run(100)
    assert box.unfired[0].reason == " and ".join(WORDS.values())
    for reason in (LOCK_ELECTROSURGERY, LOCK_IMPEDANCE):
        lock(box, reason, 0)
        box.run(box.index + 400)
    assert box.rises() == []
    lock(box, LOCK_HOST, 0)
    assert box.run(1300).rises() == [1200]


def test_locking_twice_is_unlocked_once() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400))
    lock(box, LOCK_HOST)
    lock(box, LOCK_HOST)
    lock(box, LOCK_HOST, 0)
    lock(box, LOCK_ELECTROSURGERY, 0)
    assert box.run(10).rises() == [0]


def test_a_pulse_under_way_ends_in_its_own_time_and_is_proven() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, hold=10))
    box.run(1)
    lock(box, LOCK_HOST)
    box.run(500)
    assert (box.highs(), len(box.proofs), box.faults) == ([10], 1, [])


def test_a_train_under_way_is_cut_and_told() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, pulses=5, interval=20, alternate=2))
    box.run(30)
    lock(box, LOCK_ELECTROSURGERY)
    box.run(100)
    lock(box, LOCK_ELECTROSURGERY, 0)
    box.run(900)
    assert box.unfired == [Unfired(1, 101, 40, ALL_PLANS, "electrosurgery is on")]
    assert box.rises(1) == [0, 20, 800, 820, 840, 860, 880]
    assert box.rises(2) == [400, 420, 440, 460, 480]
    assert box.faults == []


def test_a_plan_may_be_started_while_locked_and_waits_for_its_grid() -> None:
    box = Looped()
    lock(box, LOCK_HOST)
    assert box.sequencer.start(plan(period=400)) == ""
    box.run(500)
    lock(box, LOCK_HOST, 0)
    assert box.run(900).rises() == [800]


def test_locks_outlive_stop_and_fault() -> None:
    box = Looped()
    lock(box, LOCK_HOST)
    box.sequencer.stop()
    box.run(20, lambda index, level: 8 if index == 10 else 0)
    assert len(box.faults) == 1
    box.sequencer.start(plan(period=400))
    assert box.run(1000).rises() == []


def test_an_unknown_reason_is_refused() -> None:
    text = Looped().sequencer.command(Lockout(1, 8, 1))
    assert text == "8 is no reason to lock; known are [1, 2, 4]"
