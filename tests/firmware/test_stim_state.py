"""What the arbiter holds is told when it has changed, and not more often than four times a second."""

from itertools import pairwise

from firmware.stim_state import StateTeller
from hw.link import ALL_PLANS, LOCK_HOST, Lockout, StimArm, StimState, StimStop
from tests.support.looped import Looped, plan

RATE_HZ = 4000.0
IDLE = StimState(0, 0, ALL_PLANS, 0, (), (), (), (), (), (0.0,) * 4, (0.0,) * 4, (0.0,) * 4)


def watched(box: Looped, until: int, teller: StateTeller, every: int = 40) -> list[StimState]:
    said = []
    while box.index < until:
        box.run(min(until, box.index + every))
        if (state := teller.look()) is not None:
            said.append(state)
    return said


def test_the_first_look_tells_and_then_only_changes_do() -> None:
    box = Looped()
    teller = StateTeller(box.sequencer.state, RATE_HZ)
    assert teller.look() is None  # before the first sample
    box.run(1)
    assert teller.look() == IDLE
    assert watched(box, 5000, teller) == []


def test_it_tells_all_that_is_held() -> None:
    box = Looped()
    teller = StateTeller(box.sequencer.state, RATE_HZ)
    nerve = {"kind": 3, "current_ua": 1000, "width_us": 100, "guard": 300}
    box.sequencer.start(plan(1, line=1, period=800, **nerve))
    box.sequencer.start(plan(7, line=3, period=800, phase=100))
    box.sequencer.command(StimArm(1, 5, 10_000))
    box.run(1000)
    assert teller.look() == StimState(
        index=999,
        locks=0,
        owner=1,
        until=1100,
        plans=(1.0, 7.0),
        fired=(2.0, 0.0),
        unfired=(0.0, 2.0),
        armed=(1.0, 7.0, 5.0),
        armed_until=(4800.0, 3999.0, 9999.0),
        pulses=(2.0, 0.0, 0.0, 0.0),
        charge_uc=(0.2, 0.0, 0.0, 0.0),
        energy_mj=(0.0002, 0.0, 0.0, 0.0),
    )
    box.sequencer.command(Lockout(1, LOCK_HOST, 1))
    box.sequencer.command(StimStop(1, 7))
    box.run(2000)
    said = teller.look()
    assert said is not None
    assert (said.locks, said.plans, said.unfired) == (LOCK_HOST, (1.0,), (1.0,))
    assert (said.owner, said.until) == (ALL_PLANS, 0)
    assert said.armed == (1.0, 5.0)


def test_it_tells_four_times_a_second_at_most() -> None:
    box = Looped()
    teller = StateTeller(box.sequencer.state, RATE_HZ)
    box.sequencer.start(plan(period=80))
    said = watched(box, 20_000, teller)
    assert 18 <= len(said) <= 20
    assert all(b.index - a.index >= 1000 for a, b in pairwise(said))
    assert said[-1].pulses[0] >= 230


def test_what_locks_is_told_at_once() -> None:
    box = Looped()
    teller = StateTeller(box.sequencer.state, RATE_HZ)
    box.run(1)
    assert teller.look() == IDLE
    for on in (1, 0, 1):
        box.sequencer.command(Lockout(1, LOCK_HOST, on))
        box.run(box.index + 1)
        said = teller.look()
        assert said is not None and said.locks == on * LOCK_HOST
        assert teller.look() is None


def test_what_has_expired_is_not_armed() -> None:
    box = Looped()
    teller = StateTeller(box.sequencer.state, RATE_HZ)
    box.sequencer.command(StimArm(1, 5, 2000))
    first, second = watched(box, 6000, teller)
    assert (first.armed, second.armed) == ((5.0,), ())
    assert 2000 <= second.index <= 2000 + 40


def test_a_board_without_lines_has_none_to_tell() -> None:
    box = Looped(lines=0).run(1)
    said = StateTeller(box.sequencer.state, RATE_HZ).look()
    assert said is not None
    assert said.pulses == ()
