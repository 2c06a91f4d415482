"""Who fires when several are due: each on its own grid or not at all, rarer ones first, windows respected."""

from collections import Counter
from itertools import combinations

import pytest

from hw.link import ALL_PLANS, StimPlan, Unfired
from tests.support.looped import Looped, plan

EIGHT = (
    plan(1, line=1, period=851, phase=100, guard=200),
    plan(2, line=2, period=853, phase=500, guard=200),
    plan(3, line=3, period=1913, phase=7, guard=320, pulses=4, interval=16),
    plan(4, line=4, period=3989, phase=70, guard=280),
    plan(5, line=5, period=331, phase=11, guard=40),
    plan(6, line=6, period=12_007, phase=901, guard=400, pulses=3, interval=8, trains=2, gap=60),
    plan(7, line=7, period=331, phase=11, guard=60),
    plan(8, line=8, period=80_021, phase=33, guard=0, pulses=4, interval=2000),
)
N = 100_000


@pytest.fixture(scope="module")
def long_run() -> Looped:
    """Eight plans of different periods on eight lines."""
    box = Looped(lines=8)
    for each in EIGHT:
        assert box.sequencer.start(each) == ""
    return box.run(N)


def fired(box: Looped, number: int) -> list[int]:
    return [p.commanded for p in box.proofs if p.plan == number and p.pulse == 1]


def window(each: StimPlan, spacing: int = 20) -> int:
    """Samples from a stimulus during which no other plan fires."""
    span = each.trains * (each.pulses - 1) * each.interval + (each.trains - 1) * each.gap
    return span + max(each.guard, spacing)


def test_in_a_long_run_nothing_fails_and_all_is_proven(long_run: Looped) -> None:
    assert long_run.faults == []
    assert len(long_run.proofs) > 300
    rises = sorted((i, n) for n in range(1, 9) for i in long_run.rises(n))
    assert [(p.commanded, p.line) for p in long_run.proofs] == [r for r in rises if r[0] < N - 1]


@pytest.mark.parametrize("each", EIGHT, ids=lambda p: str(p.plan))
def test_every_point_of_a_grid_is_fired_or_told_and_never_both(long_run: Looped, each: StimPlan) -> None:
    due = list(range(each.phase, N - 1, each.period))
    ours, left = fired(long_run, each.plan), long_run.left_out(each.plan)
    assert sorted(ours + [i for i in left if i < N - 1]) == due
    assert ours, "each of them gets its turn"
    numbers = [p.number for p in long_run.proofs if p.plan == each.plan and p.pulse == 1]
    assert numbers == list(range(1, len(ours) + 1))


def test_trains_are_whole_among_the_others(long_run: Looped) -> None:
    counts = Counter((p.plan, p.number) for p in long_run.proofs)
    for each in EIGHT:
        last = max(number for plan_number, number in counts if plan_number == each.plan)
        for number in range(1, last):
            assert counts[each.plan, number] == each.pulses * each.trains


@pytest.mark.control("H4.1")
def test_no_stimulus_falls_into_the_window_of_another_plan(long_run: Looped) -> None:
    for one, other in combinations(EIGHT, 2):
        for a, b in ((one, other), (other, one)):
            pulses = [p.commanded for p in long_run.proofs if p.plan == b.plan]
            for start in fired(long_run, a.plan):
                assert not any(start <= at < start + window(a) for at in pulses)


def test_who_is_left_out_names_who_was_in_the_way(long_run: Looped) -> None:
    for said in long_run.unfired:
        assert said.reason == f"the window of plan {said.other} is not over"
        own, other = EIGHT[said.plan - 1], EIGHT[said.other - 1]
        held = any(0 <= said.index - at < window(other) for at in fired(long_run, said.other))
        due = said.index + (other.phase - said.index) % other.period
        rarer_comes = other.period > own.period and due < said.index + window(own)
        assert held or rarer_comes


def test_the_rarer_plan_goes_first_whatever_its_number() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=400))
    box.sequencer.start(plan(2, line=2, period=1200))
    box.run(3000)
    assert (box.rises(1), box.rises(2)) == ([400, 800, 1600, 2000, 2800], [0, 1200, 2400])


@pytest.mark.parametrize(("phase", "fires"), [(1199, False), (1000, True), (999, False)])
def test_a_rarer_plan_that_is_due_within_the_window_has_it(phase: int, fires: bool) -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=400, guard=200))
    box.sequencer.start(plan(2, line=2, period=4000, phase=phase))
    box.run(2000)
    assert box.rises(2) == [phase]
    expected = {1199: [0, 400, 800, 1600], 1000: [0, 400, 800, 1200, 1600], 999: [0, 400, 1200, 1600]}
    assert box.rises(1) == expected[phase]
    assert (box.left_out(1) == []) is fires


def test_looking_ahead_counts_the_train_and_the_window_of_what_would_fire() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=800, pulses=3, interval=50, guard=60))
    box.sequencer.start(plan(2, line=2, period=4000, phase=959))
    box.sequencer.start(plan(3, line=3, period=4000, phase=1760))
    box.run(1900)
    assert box.rises(1) == [0, 50, 100, 1600, 1650, 1700]
    assert box.unfired == [Unfired(1, 101, 800, 2, "the window of plan 2 is not over")]


def test_a_rarer_plan_cuts_no_window_short() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=4000, phase=0, guard=500))
    box.sequencer.start(plan(2, line=2, period=8000, phase=499))
    box.run(100)
    assert box.rises(1) == []  # it looks ahead
    box.sequencer.start(plan(1, line=1, period=4000, phase=200, guard=500))
    box.run(2000)
    assert (box.rises(1), box.rises(2)) == ([], [499])


def test_equals_take_turns() -> None:
    box = Looped()
    for n in (3, 1, 2, 4):
        box.sequencer.start(plan(n, line=n, period=400))
    box.run(400 * 12)
    order = sorted((at, n) for n in (1, 2, 3, 4) for at in box.rises(n))
    assert [n for _, n in order] == [1, 2, 3, 4] * 3


def test_a_plan_fires_within_its_own_window() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=400, pulses=2, interval=300, guard=350))
    box.sequencer.start(plan(2, line=2, period=300, phase=150))
    box.run(3000)
    assert box.rises(1) == [k + n for k in range(0, 3000, 400) for n in (0, 300)][:15]
    assert box.rises(2) == []


def test_the_window_of_a_plan_that_was_stopped_is_over() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=4000, guard=3000))
    box.sequencer.start(plan(2, line=2, period=400, phase=100))
    box.run(600)
    box.sequencer.stop(1)
    box.run(1200)
    assert box.rises(2) == [900]


def test_the_window_of_a_plan_that_has_ended_by_itself_is_kept() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=4000, guard=1000, count=1))
    box.sequencer.start(plan(2, line=2, period=400, phase=100))
    box.run(1600)
    assert box.rises(2) == [1300]


def test_a_plan_that_is_replaced_cuts_no_window_of_its_last_stimulus_short() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=4000, guard=1000))
    box.sequencer.start(plan(2, line=2, period=400, phase=300))
    box.run(50)
    box.sequencer.start(plan(1, period=4000, phase=100))
    box.run(1200)
    assert (box.rises(1), box.rises(2)) == ([0, 100], [1100])


def test_lost_samples_are_told_once_with_how_many_stimuli_fell_into_them() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=400, phase=5))
    box.run(500).lose(2020)
    box.run(3000)
    assert box.unfired == [Unfired(1, 101, 2405, ALL_PLANS, "samples were lost, and 5 stimuli with them")]
    box.lose(300).run(3700)
    assert box.unfired[-1] == Unfired(1, 101, 3205, ALL_PLANS, "samples were lost")
    assert box.rises() == [5, 405, 2805, 3605]
    assert int(box.sequencer.state.plans[0, 18]) == 6


def test_more_than_sixty_four_plans_are_refused() -> None:
    box = Looped()
    for n in range(64):
        assert box.sequencer.start(plan(n, line=1 + n % 4, period=40_000, phase=40 * n)) == ""
    assert box.sequencer.arm(64) == "64 plans are running; stop one first"  # and all of them are armed
    box.run(3990 + 4000)  # none is armed any more
    assert box.sequencer.start(plan(64, period=40_000)) == "64 plans are running; stop one first"
    box.sequencer.stop(7)
    assert box.sequencer.start(plan(64, period=40_000, phase=8100)) == ""
    box.run(8200)
    assert len(box.proofs) == 65


def test_two_plans_of_one_line_keep_the_rate_of_their_kind_together() -> None:
    box = Looped()
    nerve = {"kind": 3, "current_ua": 100, "width_us": 200}
    box.sequencer.start(plan(1, period=800, phase=0, **nerve))
    box.sequencer.start(plan(2, period=800, phase=399, **nerve))
    box.sequencer.start(plan(3, line=2, period=800, phase=450, **nerve))
    box.run(1700)
    assert box.rises(1) == [0, 800, 1600]
    assert box.unfired[0] == Unfired(
        2, 102, 399, ALL_PLANS, "its line rests after the last stimulus, as the limits of that one want it"
    )
    assert box.rises(2) == [450, 1250]


def test_a_plan_at_the_limits_of_its_kind_is_never_held_up_by_them() -> None:
    for kind, rate, period, more in (
        (0, 1000.0, 10, {"hold": 2}),
        (3, 16000.0, 1600, {"hold": 4}),
        (2, 1000.0, 1036, {"hold": 2, "pulses": 5, "interval": 4, "trains": 2, "gap": 4}),
    ):
        box = Looped(rate)
        assert box.sequencer.start(plan(period=period, kind=kind, **more)) == ""
        box.run(5 * period)
        assert box.unfired == []
        assert len({p.number for p in box.proofs}) == 5
