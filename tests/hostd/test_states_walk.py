"""The state machine through time: what expires, every state that can be reached, and random sequences.

`python -m tests.stimuli` walks twenty times as many sequences as the suite does.
"""

from dataclasses import replace
from functools import cache

import pytest

from hostd import states
from hostd.states import UNARMED, Action, CaseState, Event, RefusedError, TestState, step
from tests.stimuli.state_graph import (
    ARM,
    CHECK,
    NOW,
    REPEAT,
    SINGLE,
    Graph,
    events,
    explore,
    first_state,
    moved,
)
from tests.stimuli.state_sequences import run, run_many

DISARMED = (Action("disarmed", REPEAT), Action("disarmed", SINGLE))
SEQUENCES = 5_000


def did(state: CaseState, *asked: Event) -> CaseState:
    for event in asked:
        state, _ = step(state, event)
    return state


def both_armed(free: bool = False) -> CaseState:
    """Both tests armed at NOW, checked at NOW."""
    arms = (Event("stim.arm", name, NOW) for name in (REPEAT, SINGLE))
    return did(first_state(free), Event("impedance.done", index=NOW, value=1), *arms)


def refusal(state: CaseState, event: Event) -> str:
    with pytest.raises(RefusedError) as caught:
        step(state, event)
    assert caught.value.code == "refused"
    return str(caught.value)


@pytest.mark.control("H1.2")
@pytest.mark.parametrize("free", [False, True])
def test_what_was_armed_and_not_used_is_disarmed_and_told_once(free: bool) -> None:
    state, actions = step(both_armed(free), Event("tick", index=NOW + ARM))
    assert actions == () and state.shown() == {REPEAT: "armed", SINGLE: "armed"}
    state, actions = step(state, Event("tick", index=NOW + ARM + 1))
    assert actions == DISARMED and state.shown() == {REPEAT: "stopped", SINGLE: "stopped"}
    assert step(state, Event("tick", index=NOW + ARM + 2)) == (replace(state, index=NOW + ARM + 2), ())


def test_a_single_test_is_disarmed_while_it_runs_and_a_repeating_one_goes_on() -> None:
    state = did(both_armed(), Event("test.start", REPEAT, NOW), Event("test.start", SINGLE, NOW))
    state, actions = step(state, Event("tick", index=NOW + ARM + 1))
    assert actions == DISARMED[1:]
    assert state.shown() == {REPEAT: "running", SINGLE: "running"}


def test_arms_expire_without_a_tick() -> None:
    late = NOW + ARM + 1
    assert "is stopped, not armed; stim.arm it first" in refusal(
        both_armed(), Event("stim.fire", SINGLE, late)
    )
    assert "is not armed; stim.arm it first" in refusal(both_armed(), Event("test.start", REPEAT, late))
    again, actions = step(both_armed(), Event("stim.arm", SINGLE, late))
    assert actions == (Action("stim.arm", SINGLE),) and again.of(SINGLE).armed_until == late + ARM


@pytest.mark.control("H12.4")
@pytest.mark.parametrize("back", [NOW + ARM, NOW, 0])
def test_an_index_that_runs_back_revives_nothing(back: int) -> None:
    far = did(both_armed(), Event("edge.locks", index=NOW + 50 * ARM))
    assert refusal(far, Event("stim.fire", SINGLE, back))
    assert refusal(far, Event("test.start", REPEAT, back))
    assert far.shown() == {REPEAT: "stopped", SINGLE: "stopped"}
    fired = did(far, Event("edge.fired", SINGLE, back))
    assert fired == far, "a proof that comes late arms nothing"
    assert did(both_armed(), Event("tick", index=back)).index == max(NOW, back)


def test_a_refused_event_moves_no_time() -> None:
    state = both_armed()
    refusal(state, Event("stim.fire", SINGLE, NOW + ARM + 1))
    assert step(state, Event("stim.fire", SINGLE, NOW + ARM))[1] == (Action("stim.once", SINGLE),)


@pytest.mark.control("H3.2")
def test_electrodes_are_checked_before_anything_is_armed_on_a_person() -> None:
    new = replace(first_state(False), sample_rate_hz=CHECK / 3600)
    arm = Event("stim.arm", SINGLE, NOW)
    assert refusal(new, arm) == (
        "the electrodes were not measured yet; the limit is 60 min; run impedance.start"
    )
    failed = did(new, Event("impedance.done", index=NOW, value=0))
    assert "not measured yet" in refusal(failed, arm)
    checked = did(failed, Event("impedance.done", index=NOW, value=1))
    on_time = replace(arm, index=NOW + CHECK)
    assert did(checked, on_time).shown()[SINGLE] == "armed"
    too_old = refusal(checked, replace(arm, index=NOW + CHECK + 1))
    assert too_old == "the electrodes were measured 75 min ago; the limit is 60 min; run impedance.start"
    again = did(checked, Event("impedance.done", index=NOW + CHECK + 1, value=1))
    assert did(again, replace(arm, index=NOW + CHECK + 1)).shown()[SINGLE] == "armed"
    assert did(first_state(True), arm).shown()[SINGLE] == "armed", "the source is no person"


@pytest.mark.parametrize("name", [REPEAT, SINGLE])
def test_what_fires_stays_armed_for_as_long_again_and_nothing_else_does(name: str) -> None:
    state = did(both_armed(), Event("edge.fired", name, NOW + ARM))
    assert state.of(name).armed_until == NOW + 2 * ARM
    other = SINGLE if name == REPEAT else REPEAT
    assert state.of(other).armed_until == NOW + ARM
    late = did(both_armed(), Event("edge.fired", name, NOW + ARM + 1))
    assert not late.of(name).armed(late.index)
    stopped = did(both_armed(), Event("stim.stop", index=NOW), Event("edge.fired", name, NOW))
    assert stopped.of(name).armed_until == UNARMED


def test_another_rate_arms_and_starts_what_runs_and_nothing_else() -> None:
    running = did(both_armed(), Event("test.start", REPEAT, NOW))
    after, actions = step(running, Event("test.rate", REPEAT, NOW + ARM + 1))
    assert actions == (Action("stim.arm", REPEAT), Action("stim.start", REPEAT))
    assert after.shown()[REPEAT] == "running" and after.of(REPEAT).armed_until == UNARMED
    assert step(both_armed(), Event("test.rate", REPEAT, NOW)) == (both_armed(), ())
    with pytest.raises(RefusedError, match="fired on demand and has no rate"):
        step(both_armed(), Event("test.rate", SINGLE, NOW))


@cache
def explored(free: bool, can_stimulate: bool) -> Graph:
    return explore(first_state(free, can_stimulate))


@pytest.mark.parametrize(
    ("free", "can_stimulate", "states", "edges"),
    [(False, True, 1040, 87_312), (True, True, 1204, 109_494), (True, False, 84, 6_636)],
)
def test_every_state_and_every_edge(free: bool, can_stimulate: bool, states: int, edges: int) -> None:
    """Finite and walked to the end: invariants of `state_graph.wrong_edge` hold on every edge."""
    graph = explored(free, can_stimulate)
    assert graph.broken == []
    assert (len(graph.states), graph.edges) == (states, edges)
    stopped = {REPEAT: "stopped", SINGLE: "stopped"}
    for state in graph.states:
        after, actions = step(state, Event("stim.stop", index=NOW, role="observer"))
        assert after.shown() == stopped and not after.measuring and actions[0].kind == "stim.stop_all"
    assert words(graph) == all_words(can_stimulate)


def words(graph: Graph) -> set[tuple[object, ...]]:
    return {
        (s.open, s.measuring, s.locks > 0, *s.shown().values(), s.of(SINGLE).running) for s in graph.states
    }


def all_words(can_stimulate: bool) -> set[tuple[object, ...]]:
    """Whatever may be together: no test runs while impedance is measured, nothing in a closed case."""
    repeats = ["stopped", "armed", "running"] if can_stimulate else ["stopped", "running"]
    singles = [("stopped", False), ("running", True), *([("armed", False), ("armed", True)] * can_stimulate)]
    open_ = {
        (True, measuring, locked, repeat, *single)
        for measuring in (False, True)
        for locked in (False, True)
        for repeat in repeats
        for single in singles
        if not (measuring and (repeat == "running" or single[1]))
    }
    return open_ | {(False, False, locked, "stopped", "stopped", False) for locked in (False, True)}


@pytest.mark.control("H12.4")
def test_only_differences_of_time_matter() -> None:
    """What the reduction of the graph stands on: a state moved is the same state."""
    for state in explored(False, True).states:
        later = shifted(state, 12_345)
        for event in list(events())[:80:3]:
            assert outcome(later, replace(event, index=event.index + 12_345)) == outcome(state, event)


def shifted(state: CaseState, by: int) -> CaseState:
    tests = tuple(
        t if t.armed_until == UNARMED else replace(t, armed_until=t.armed_until + by) for t in state.tests
    )
    checked = None if state.checked_at is None else state.checked_at + by
    return replace(state, tests=tests, checked_at=checked, index=state.index + by)


def outcome(state: CaseState, event: Event) -> object:
    try:
        after, actions = step(state, event)
    except RefusedError as error:
        return error.code
    return moved(after), actions


def test_random_sequences_do_what_their_own_model_says() -> None:
    assert run_many(0, SEQUENCES) == []


BREAKS = {
    "an arm that never ends": lambda test, index: test.armed_until != UNARMED,
    "everything is armed": lambda test, index: True,
    "an arm that ends one late": lambda test, index: test.armed_until + 1 >= index,
}


@pytest.mark.parametrize("how", BREAKS)
def test_the_walk_and_the_sequences_find_arms_that_are_wrong(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TestState, "armed", BREAKS[how])
    assert any(run(seed) for seed in range(2000))


def test_the_walk_finds_a_check_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "_must_be_checked", lambda state: None)
    assert "armed out of place" in explore(first_state(False), to_first_broken=True).broken[0]
    assert any(run(seed) for seed in range(100))
