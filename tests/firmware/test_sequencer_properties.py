"""Whatever is asked of the sequencer and whatever the samples show: what the outputs never do."""

import math
from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from hw import limits
from hw.link import ALL_PLANS, StimPlan
from tests.support.looped import Looped

# Mostly plans that are accepted and collide with one another; now and then any numbers at all.
PLANS = st.builds(
    StimPlan,
    command=st.integers(1, 9),
    plan=st.integers(1, 4),
    line=st.integers(1, 4),
    period=st.sampled_from([40, 41, 50, 80, 200]) | st.integers(0, 300),
    phase=st.integers(0, 300),
    hold=st.integers(2, 40) | st.integers(0, 60),
    count=st.integers(0, 4),
)
ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 120),  # samples until then
        st.one_of(
            PLANS,
            st.sampled_from([ALL_PLANS, 1, 2, 3, 4]).map(lambda n: ("stop", n)),
            st.integers(1, 150).map(lambda n: ("lose", n)),
            st.integers(1, 15).map(lambda bits: ("glitch", bits)),
        ),
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.sampled_from([500.0, 1000.0, 4000.0]), st.sampled_from([1, 1, 1, 2, 3, 5]))
def test_what_the_outputs_never_do(actions: list, rate_hz: float, lag: int) -> None:
    box = Looped(rate_hz, lag=lag)
    longest: dict[int, int] = defaultdict(int)
    silent_from: list[tuple[int, int | None]] = []  # from a stop or fault to the next accepted plan
    for pause, action in actions:
        box.run(box.index + pause)
        faults = len(box.faults)
        match action:
            case StimPlan():
                refusal = box.sequencer.start(action)
                assert "\n" not in refusal
                if not refusal:
                    longest[action.line] = max(longest[action.line], action.hold)
                    silent_from = [(a, box.index if b is None else b) for a, b in silent_from]
            case ("stop", number):
                box.sequencer.stop(number)
                if number == ALL_PLANS:
                    assert box.sequencer.outputs == 0
                    silent_from.append((box.index, None))
            case ("lose", n):
                box.lose(n)
            case ("glitch", bits):
                box.run(box.index + 1, lambda index, level, bits=bits: level ^ bits)
        if len(box.faults) > faults:
            assert box.sequencer.outputs == 0
    box.run(box.index + 500)
    spacing = math.ceil(limits.MIN_SPACING_S * rate_hz)
    rises = sorted((i, line) for line in (1, 2, 3, 4) for i in box.rises(line))
    assert all(b[0] - a[0] >= spacing for a, b in pairwise(rises))
    for line in (1, 2, 3, 4):
        assert all(n <= longest[line] for n in box.highs(line))
    for start, end in silent_from:
        assert not any(box.outputs[start:end])
    assert len(box.proofs) <= len(rises)
    seen = [p.seen for p in box.proofs if p.seen < 1 << 63]
    assert all(0 < p.seen - p.commanded <= limits.RETURN_WITHIN_SAMPLES for p in box.proofs if p.seen in seen)


@settings(max_examples=60, deadline=None)
@given(st.lists(PLANS, max_size=8), st.lists(st.integers(0, 15), max_size=400))
def test_one_fault_at_most_and_silence_after_it_whatever_the_samples_show(
    plans: list[StimPlan], shown: list[int]
) -> None:
    box = Looped()
    for plan in plans:
        box.sequencer.start(plan)
    faulted_at = None
    for bits in shown:
        box.run(box.index + 1, lambda index, level, bits=bits: bits)
        if box.faults and faulted_at is None:
            faulted_at = box.index - 1
    assert len(box.faults) <= 1
    if faulted_at is not None:
        assert not any(box.outputs[faulted_at:])


@settings(max_examples=60, deadline=None)
@given(st.lists(PLANS, min_size=1, max_size=4, unique_by=lambda p: p.line))
def test_on_an_honest_board_every_pulse_is_proven_and_none_is_a_fault(plans: list[StimPlan]) -> None:
    box = Looped()
    for plan in plans:
        box.sequencer.start(plan)
    box.run(1200)
    box.sequencer.stop()
    box.run(1210)
    assert box.faults == []
    assert sorted(p.commanded for p in box.proofs) == sorted(i for n in (1, 2, 3, 4) for i in box.rises(n))
    assert {p.seen - p.commanded for p in box.proofs} <= {1}
