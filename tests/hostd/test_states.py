"""The state machine: every event in every state, and what no sequence of events can ever do."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.control import COMMANDS
from hostd.states import Action, CaseState, Event, RefusedError, TestState, step

REFUSED, BAD = "refused", "bad_state"
STATES: tuple[TestState, ...] = ("stopped", "armed", "running")

Outcome = str | tuple[str, tuple[str, ...]]
# (event, state of its test) on hardware that can stimulate: code of the refusal, or (next state, actions).
HARDWARE: dict[tuple[str, str], Outcome] = {
    ("test.start", "stopped"): REFUSED,
    ("test.start", "armed"): ("running", ("average.start", "stim.start")),
    ("test.start", "running"): BAD,
    ("test.stop", "stopped"): BAD,
    ("test.stop", "armed"): BAD,
    ("test.stop", "running"): ("stopped", ("stim.stop", "average.stop")),
    ("stim.arm", "stopped"): ("armed", ()),
    ("stim.arm", "armed"): BAD,
    ("stim.arm", "running"): BAD,
    ("stim.fire", "stopped"): REFUSED,
    ("stim.fire", "armed"): ("armed", ("stim.once",)),
    ("stim.fire", "running"): REFUSED,
    ("stim.stop", "stopped"): ("stopped", ("stim.stop_all",)),
    ("stim.stop", "armed"): ("stopped", ("stim.stop_all",)),
    ("stim.stop", "running"): ("stopped", ("stim.stop_all", "average.stop")),
    ("edge.fault", "stopped"): ("stopped", ("stim.stop_all",)),
    ("edge.fault", "armed"): ("stopped", ("stim.stop_all",)),
    ("edge.fault", "running"): ("stopped", ("stim.stop_all", "average.stop")),
    ("case.close", "stopped"): ("stopped", ("stim.stop_all", "close")),
    ("case.close", "armed"): ("stopped", ("stim.stop_all", "close")),
    ("case.close", "running"): ("stopped", ("stim.stop_all", "average.stop", "close")),
    ("case.start", "stopped"): BAD,
    ("case.start", "armed"): BAD,
    ("case.start", "running"): BAD,
    ("impedance.start", "stopped"): ("stopped", ("impedance.start",)),
    ("impedance.start", "armed"): ("armed", ("impedance.start",)),
    ("impedance.start", "running"): BAD,
    ("impedance.stop", "stopped"): BAD,
    ("impedance.stop", "armed"): BAD,
    ("impedance.stop", "running"): BAD,
    ("no.such", "stopped"): BAD,
    ("no.such", "armed"): BAD,
    ("no.such", "running"): BAD,
}
# What differs when nothing needs arming, and when nothing can be fired.
FREE = {("test.start", "stopped"): ("running", ("average.start", "stim.start"))}
RECORDING: dict[tuple[str, str], Outcome] = {
    ("test.start", "stopped"): ("running", ("average.start",)),
    ("test.start", "armed"): ("running", ("average.start",)),
    ("test.stop", "running"): ("stopped", ("average.stop",)),
    **{(event, state): REFUSED for event in ("stim.arm", "stim.fire") for state in STATES},
}
EVENTS = sorted({event for event, _ in HARDWARE})


def state_of(first: TestState, second: TestState, stimulate: bool = True, free: bool = False) -> CaseState:
    return CaseState((("a", first), ("b", second)), stimulate, free)


def outcome(state: CaseState, event: str) -> tuple[Outcome, CaseState]:
    """What `event` about test a does, and the state behind it."""
    try:
        after, actions = step(state, Event(event, "a"))
    except RefusedError as error:
        assert str(error) and "\n" not in str(error)
        return error.code, state
    return (after.of("a"), tuple(x.kind for x in actions if x.test in ("", "a"))), after


SOURCES = {
    "hardware": (True, False, HARDWARE),
    "simulated": (True, True, HARDWARE | FREE),
    "recording": (False, True, HARDWARE | RECORDING),
}


def test_the_table_is_whole() -> None:
    assert set(HARDWARE) == set(itertools.product(EVENTS, STATES))
    decided = {c for c in COMMANDS if c.startswith(("test.", "stim.", "case.", "impedance."))}
    assert decided < set(EVENTS)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("event,first", HARDWARE, ids=str)
@pytest.mark.parametrize("second", STATES)
def test_every_event_in_every_state(source: str, event: str, first: TestState, second: TestState) -> None:
    stimulate, free, table = SOURCES[source]
    before = state_of(first, second, stimulate, free)
    got, after = outcome(before, event)
    refused = event == "impedance.start" and second == "running"
    assert got == (BAD if refused else table[event, first])
    everything = event in ("stim.stop", "edge.fault", "case.close")
    assert after.of("b") == ("stopped" if everything else second), "the other test"
    assert after.open is (event != "case.close")
    assert (after.can_stimulate, after.free) == (stimulate, free)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("first", STATES)
def test_a_closed_case_takes_only_stopping(event: str, first: TestState) -> None:
    closed, _ = step(state_of(first, "running"), Event("case.close"))
    if event in ("stim.stop", "edge.fault"):
        after, actions = step(closed, Event(event, "a"))
        assert after == closed and actions == (Action("stim.stop_all"),)
    else:
        with pytest.raises(RefusedError) as caught:
            step(closed, Event(event, "a"))
        assert caught.value.code == BAD and "closed" in str(caught.value)


def test_refusals_name_the_test_and_the_cure() -> None:
    with pytest.raises(RefusedError, match=r"test a is not armed; stim\.arm it first"):
        step(state_of("stopped", "armed"), Event("test.start", "a"))
    with pytest.raises(RefusedError, match="this source cannot stimulate"):
        step(state_of("stopped", "armed", stimulate=False), Event("stim.arm", "a"))


MEASURING: dict[str, Outcome] = {
    "test.start": BAD,
    "test.stop": BAD,
    "stim.fire": BAD,
    "stim.arm": ("armed", ()),
    "impedance.start": BAD,
    "impedance.stop": ("stopped", ("impedance.stop",)),
    "impedance.done": ("stopped", ()),
    "stim.stop": ("stopped", ("stim.stop_all", "impedance.stop")),
    "edge.fault": ("stopped", ("stim.stop_all", "impedance.stop")),
    "case.close": ("stopped", ("stim.stop_all", "impedance.stop", "close")),
    "case.start": BAD,
}


@pytest.mark.parametrize("event", MEASURING)
@pytest.mark.parametrize("free", [False, True])
def test_no_test_runs_while_impedance_is_measured(event: str, free: bool) -> None:
    measuring, _ = step(state_of("stopped", "armed", free=free), Event("impedance.start"))
    assert measuring.measuring and measuring.of("b") == "armed"
    got, after = outcome(measuring, event)
    assert got == MEASURING[event]
    ended = event in ("impedance.done", "stim.stop", "edge.fault", "case.close")
    assert after.measuring is not ended


def test_the_test_that_is_in_the_way_is_named() -> None:
    with pytest.raises(RefusedError, match="test b is running; stop it first"):
        step(state_of("armed", "running"), Event("impedance.start"))


TEST_EVENTS = st.builds(Event, st.sampled_from(EVENTS), st.sampled_from(["a", "b"]))


@given(st.lists(TEST_EVENTS, max_size=30))
def test_on_hardware_every_stimulus_was_armed_for_since_the_last_stop(events: list[Event]) -> None:
    state = state_of("stopped", "stopped")
    armed: set[str] = set()
    for event in events:
        try:
            state, actions = step(state, event)
        except RefusedError:
            continue
        if event.kind == "stim.arm":
            armed.add(event.test)
        for action in actions:
            if action.kind in ("stim.start", "stim.once"):
                assert action.test in armed
        if event.kind in ("stim.stop", "edge.fault", "case.close"):
            armed.clear()
        if event.kind == "test.stop":
            armed.discard(event.test)


@given(st.lists(TEST_EVENTS.filter(lambda event: event.kind != "stim.arm"), max_size=30), st.booleans())
def test_without_arming_no_events_ever_stimulate(events: list[Event], stimulate: bool) -> None:
    state = state_of("stopped", "stopped", stimulate)
    for event in events:
        try:
            state, actions = step(state, event)
        except RefusedError:
            continue
        assert not {a.kind for a in actions} & {"stim.start", "stim.once", "average.start"}
        assert set(dict(state.tests).values()) == {"stopped"}


@given(st.lists(TEST_EVENTS, max_size=20), st.booleans(), st.booleans())
def test_stopping_is_allowed_always_and_ends_everything(
    events: list[Event], stimulate: bool, free: bool
) -> None:
    state = state_of("stopped", "stopped", stimulate, free)
    averaging: set[str] = set()
    for event in events:
        try:
            state, actions = step(state, event)
        except RefusedError:
            continue
        for action in actions:
            if action.kind == "average.start":
                averaging.add(action.test)
            elif action.kind == "average.stop":
                averaging.remove(action.test)
        assert averaging == {name for name, now in state.tests if now == "running"}
        stopped, actions = step(state, Event("stim.stop"))
        assert actions[0] == Action("stim.stop_all"), "outputs first"
        assert {a.test for a in actions[1:] if a.kind == "average.stop"} == averaging
        assert set(dict(stopped.tests).values()) == {"stopped"}
