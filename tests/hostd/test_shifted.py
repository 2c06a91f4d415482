"""Indices moved between an edge's own count and the case's: every message, every field that holds one."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.shifted import INDICES, for_edge, shifted
from hw import link
from hw.link import ALL_PLANS, NOT_SEEN, Block, Fault, Message, StimPlan, StimState, Stimulus, same
from hw.link_fields import layout
from hw.samples import Gap
from tests.support.links import messages_of

MOST = 1 << 40
NO_INDEX = {
    "Hello.boot",
    "Configure.monitor_scales",
    "Description.lsb_uv",
    "Description.offset_uv",
    "Description.latency_offset_samples",
    "StimPlan.phase",  # modulo the period: `for_edge`
    "Impedance.ohm",
    "Impedance.low_ohm",
    "Impedance.high_ohm",
    "Impedance.phase_deg",
    "Impedance.drift_deg",
    "StimArm.samples",  # how many from now
    "StimLimits.figures",
    "StimState.plans",
    "StimState.fired",
    "StimState.unfired",
    "StimState.armed",
    "StimState.pulses",
    "StimState.charge_uc",
    "StimState.energy_mj",
    "Block.samples",
    "Timebase.ns_per_sample",
}
"""Fields that could hold an index, by their type or name, and hold none."""
COULD = re.compile(r"index|sample|until|phase|commanded|seen|gap(s$)|first|end_")


def values(message: Message) -> dict[str, object]:
    return {name: getattr(message, name) for name, _ in layout(type(message))}


def test_every_field_of_the_link_that_could_hold_an_index_is_decided_upon() -> None:
    declared = {f"{kind.__name__}.{name}" for kind, names in INDICES.items() for name in names}
    could = {
        f"{kind.__name__}.{name}"
        for kind in link.KINDS
        for name, code in layout(kind)
        if code in ("Q", "gaps", "floats") or COULD.search(name)
    }
    assert declared <= could and not declared & NO_INDEX
    assert could == declared | NO_INDEX, "a new field: an index (hostd.shifted.INDICES) or not (here)?"


@given(st.data())
def test_there_and_back_is_the_same_message_and_no_other_field_moves(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(link.KINDS))
    by = data.draw(st.integers(1, MOST))
    message = data.draw(messages_of(kind))
    low = {n: min(v, MOST) for n in INDICES.get(kind, ()) if isinstance(v := getattr(message, n), int)}
    message = replace(message, **low)  # far from the end of 64 bits, which no edge reaches
    if isinstance(message, Block):
        gaps = tuple(replace(g, index=min(g.index, MOST)) for g in message.gaps)
        message = replace(message, gaps=gaps)
    if isinstance(message, StimState):
        whole = tuple(float(k) for k in range(len(message.armed_until)))
        message = replace(message, armed_until=whole)
    moved = shifted(message, by)
    assert same(shifted(moved, -by), message)
    before, after = values(message), values(moved)
    for name in before:
        if name not in INDICES.get(kind, ()):
            assert repr(after[name]) == repr(before[name])
        elif isinstance(before[name], int) and not (name == "until" and message.owner == ALL_PLANS):  # type: ignore[union-attr]
            assert after[name] == before[name] + by  # type: ignore[operator]


def test_gaps_and_arming_move_with_their_block_and_state() -> None:
    block = shifted(Block(5, 77, 1, b"", b"", (Gap(2, 3, "missed"),)), 100)
    assert (block.first_index, block.t_ns, block.gaps) == (105, 77, (Gap(102, 3, "missed"),))
    said = StimState(9, 0, 2, 40, (2.0,), (1.0,), (0.0,), (2.0,), (120.0,), (3.0,), (0.5,), (0.1,))
    moved = shifted(said, 1000)
    assert moved == replace(said, index=1009, until=1040, armed_until=(1120.0,))
    assert shifted(replace(said, owner=ALL_PLANS, until=0), 1000).until == 0, "no window ends at 1000"


def test_what_was_never_seen_stays_never_seen() -> None:
    proof = shifted(Stimulus(1, 2, 3, 4, 10, NOT_SEEN), 1000)
    assert (proof.commanded, proof.seen) == (1010, NOT_SEEN)
    assert shifted(Fault("link", "x", 0), 1000).index == NOT_SEEN


def test_an_index_never_falls_below_the_first_sample() -> None:
    assert shifted(Fault("missing", "x", 0, 5), -1000).index == 0
    assert shifted(Block(5, 0, 1, b"", b"", (Gap(2, 3, "link"),)), -3) == Block(
        2, 0, 1, b"", b"", (Gap(0, 3, "link"),)
    )


def test_nothing_to_move_is_the_same_object() -> None:
    message = Fault("missing", "x", 0, 5)
    assert shifted(message, 0) is message
    plan = StimPlan(1, 2, 1, 0, 0, 4, 1)
    assert for_edge(plan, 77) is plan, "one shot has no phase"


@given(st.integers(1, 100_000), st.integers(0, 99_999), st.integers(0, MOST), st.integers(0, MOST))
def test_a_plan_for_the_edge_fires_at_the_same_samples(period: int, phase: int, by: int, at: int) -> None:
    plan = StimPlan(1, 2, 1, period, phase % period, 4, 0)
    there = for_edge(plan, by)
    assert isinstance(there, StimPlan) and 0 <= there.phase < period
    assert ((at % period) == there.phase) == (((at + by) % period) == plan.phase)
    assert replace(there, phase=plan.phase) == plan


@pytest.mark.parametrize("message", [link.Heartbeat(5), link.StimArm(1, 2, 99), link.Lockout(1, 2, 1)])
def test_what_says_no_sample_goes_as_it_is(message: Message) -> None:
    assert for_edge(message, 1000) is message and shifted(message, 1000) is message
