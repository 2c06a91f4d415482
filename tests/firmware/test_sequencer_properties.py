"""Whatever is asked of the sequencer and whatever the samples show: what the outputs never do."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.limits import SHOT_WAIT_S
from hw.link import ALL_PLANS, LOCK_HOST, LOCK_IMPEDANCE, Lockout, StimPlan
from tests.support.looped import Looped
from tests.support.stim_rules import Observer

# Plans that are accepted and collide with one another; now and then any numbers at all.
GOOD = st.builds(
    StimPlan,
    command=st.just(0),
    plan=st.integers(1, 5),
    line=st.integers(1, 4),
    period=st.sampled_from([80, 97, 160, 200, 400, 401]),
    phase=st.integers(0, 400),
    hold=st.integers(2, 5),
    count=st.sampled_from([0, 0, 1, 2, 4]),
    alternate=st.sampled_from([0, 0, 0, 7, 8]),
    pulses=st.sampled_from([1, 1, 1, 2, 4]),
    interval=st.integers(8, 14),
    trains=st.sampled_from([1, 1, 1, 2]),
    gap=st.sampled_from([9, 20, 33]),
    guard=st.sampled_from([0, 0, 10, 60, 150]) | st.integers(0, 400),
    kind=st.sampled_from([0, 0, 0, 1, 3]),
)
WILD = st.builds(
    StimPlan,
    command=st.just(0),
    plan=st.integers(1, 5),
    line=st.integers(0, 9),
    period=st.integers(0, 300),
    phase=st.integers(0, 1 << 32),
    hold=st.integers(0, 60),
    count=st.integers(0, 3),
    alternate=st.integers(0, 9),
    pulses=st.integers(0, 12),
    interval=st.integers(0, 40),
    trains=st.integers(0, 3),
    gap=st.integers(0, 40),
    guard=st.integers(0, 400),
    kind=st.integers(0, 5),
)
SHOTS = st.tuples(GOOD, st.sampled_from([0, 1, 2, 3])).map(
    lambda made: replace(made[0], period=0, count=1, kind=made[1])
)
PLANS = st.one_of(GOOD, GOOD, GOOD, SHOTS, WILD)
NUMBERS = st.integers(1, 5)
START = PLANS.map(lambda p: ("start", p))
ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 120) | st.sampled_from([0, 600]),  # samples until then
        st.one_of(
            *[START] * 6,
            st.tuples(st.just("ask"), PLANS),  # without arming it
            st.tuples(st.just("arm"), NUMBERS, st.integers(1, 200)),
            st.tuples(st.just("stop"), st.sampled_from([ALL_PLANS, 1, 2, 3, 4, 5])),
            st.tuples(st.just("lock"), st.sampled_from([LOCK_HOST, LOCK_IMPEDANCE]), st.integers(0, 1)),
            st.tuples(st.just("lose"), st.integers(1, 150)),
            st.tuples(st.just("glitch"), st.integers(1, 255)),
        ),
    ),
    max_size=16,
)
LAGS = st.sampled_from([1] * 7 + [2, 3, 5])
RATES = st.sampled_from([500.0, 1000.0, 4000.0])


def carry_out(seen: Observer, action: tuple, command: int) -> None:
    box = seen.box
    match action:
        case ("start", order):
            seen.arm(order.plan, 200)
            seen.start(replace(order, command=command))
        case ("ask", order):
            seen.start(replace(order, command=command))
        case ("arm", number, samples):
            seen.arm(number, samples)
        case ("stop", number):
            seen.stop(number)
        case ("lock", reason, on):
            box.sequencer.command(Lockout(command, reason, on))
            seen.lock(reason, on)
        case ("lose", n):
            box.lose(n)
        case ("glitch", bits):
            box.run(box.index + 1, lambda index, level: level ^ bits)


@pytest.mark.control("H1.9")
@settings(max_examples=250, deadline=None)
@given(ACTIONS, RATES, LAGS, st.sampled_from([4, 8, 8]))
def test_what_the_outputs_never_do(actions: list, rate_hz: float, lag: int, lines: int) -> None:
    box = Looped(rate_hz, lines, lag)
    seen = Observer(box)
    for command, (pause, action) in enumerate(actions, 1):
        box.run(box.index + pause)
        seen.look()
        carry_out(seen, action, command)
        seen.look()
    box.run(box.index + 500)
    seen.look()
    seen.check()


@pytest.mark.control("H1.9")
@settings(max_examples=60, deadline=None)
@given(st.lists(PLANS, max_size=8), st.lists(st.integers(0, 255), max_size=400))
def test_one_fault_at_most_and_silence_after_it_whatever_the_samples_show(
    plans: list[StimPlan], shown: list[int]
) -> None:
    box = Looped(lines=8)
    for order in plans:
        box.sequencer.start(order)
    faulted_at = None
    for bits in shown:
        box.run(box.index + 1, lambda index, level, bits=bits: bits)
        if box.faults and faulted_at is None:
            faulted_at = box.index - 1
    assert len(box.faults) <= 1
    if faulted_at is not None:
        assert not any(box.outputs[faulted_at:])


@settings(max_examples=80, deadline=None)
@given(st.lists(PLANS, min_size=1, max_size=5, unique_by=lambda p: p.plan))
def test_on_an_honest_board_every_pulse_is_proven_and_none_is_a_fault(plans: list[StimPlan]) -> None:
    box = Looped(lines=8)
    seen = Observer(box)
    for command, order in enumerate(plans, 1):
        seen.arm(order.plan, 200)
        seen.start(replace(order, command=command))
    box.run(1200)
    box.sequencer.stop()
    box.run(1210)
    assert box.faults == []
    assert {p.seen - p.commanded for p in box.proofs} <= {1}
    rises = [i for line in range(1, 9) for i in box.rises(line)]
    assert sorted(p.commanded for p in box.proofs) == sorted(rises)


@settings(max_examples=80, deadline=None)
@given(st.lists(GOOD, min_size=1, max_size=5, unique_by=lambda p: p.plan), st.integers(0, 250))
def test_every_point_of_every_grid_is_fired_or_told(plans: list[StimPlan], lost: int) -> None:
    box = Looped(lines=8)
    running = [
        p
        for p in (replace(p, command=k, count=0) for k, p in enumerate(plans, 1))
        if box.sequencer.start(p) == ""
    ]
    box.run(700)
    if lost:
        box.lose(lost)
    box.run(1500)
    for order in running:
        due = {i for i in range(1498) if (i - order.phase) % order.period == 0}
        fired = {p.commanded for p in box.proofs if p.plan == order.plan and p.pulse == 1}
        starts = {
            u.index for u in box.unfired if u.plan == order.plan and u.index in due and u.index not in fired
        }
        missing = due - fired - starts
        assert all(700 <= i < 700 + lost for i in missing)
        assert fired & {u.index for u in box.unfired if u.plan == order.plan} == set()


@settings(max_examples=40, deadline=None)
@given(st.lists(SHOTS, min_size=1, max_size=6, unique_by=lambda p: p.plan))
def test_every_single_stimulus_is_answered_once(plans: list[StimPlan]) -> None:
    box = Looped(lines=8)
    asked = {}
    for command, order in enumerate(plans, 1):
        asked[command] = box.sequencer.start(replace(order, command=command))
    box.run(round((SHOT_WAIT_S + 0.5) * box.rate_hz))
    for command, answer in asked.items():
        replies = [r.refusal for r in box.replies if r.command == command]
        if answer is None:
            (refusal,) = replies
            assert bool(refusal) is (not any(p.command == command for p in box.proofs))
        else:
            assert answer
