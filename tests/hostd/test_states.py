"""The state machine: every event in every state, and what refusals say. Time is in test_states_walk."""

import itertools
from contextlib import suppress
from dataclasses import replace

import pytest

from hostd.control import COMMANDS
from hostd.states import ON_THE_CART, Action, CaseState, Event, RefusedError, TestState, initial, step
from hw.link import LOCK_ELECTROSURGERY, LOCK_IMPEDANCE

REFUSED, BAD = "refused", "bad_state"
ARM, CHECK = 300, 36_000
NOW = 1000
ALL = ("stim.stop_all",)

Outcome = str | tuple[str, tuple[str, ...]]
Table = dict[str, dict[str, Outcome]]


def same(*states: str) -> dict[str, Outcome]:
    """Nothing to do, and the test is as it was."""
    return {state: (state, ()) for state in states}


def never(code: str, *states: str) -> dict[str, Outcome]:
    return dict.fromkeys(states, code)


# Event, then state of its test (`both`: single, running and armed), on hardware: code of the refusal, or the
# next state and the actions. Events that end everything and those that touch no test are below.
REPEAT: Table = {
    "test.start": {
        "stopped": REFUSED,
        "armed": ("running", ("average.start", "stim.arm", "stim.start")),
        "running": BAD,
    },
    "test.stop": {"stopped": BAD, "armed": BAD, "running": ("stopped", ("stim.stop", "average.stop"))},
    "test.rate": same("stopped", "armed") | {"running": ("running", ("stim.arm", "stim.start"))},
    "stim.arm": {"stopped": ("armed", ("stim.arm",)), "armed": BAD, "running": BAD},
    "stim.fire": {"stopped": REFUSED, "armed": ("armed", ("stim.once",)), "running": BAD},
}
SINGLE: Table = {
    "test.start": {
        "stopped": ("running", ("average.start",)),
        "armed": ("both", ("average.start",)),
        "running": BAD,
        "both": BAD,
    },
    "test.stop": never(BAD, "stopped", "armed")
    | dict.fromkeys(("running", "both"), ("stopped", ("stim.stop", "average.stop"))),
    "test.rate": never(BAD, "stopped", "armed", "running", "both"),
    "stim.arm": {
        "stopped": ("armed", ("stim.arm",)),
        "armed": BAD,
        "running": ("both", ("stim.arm",)),
        "both": BAD,
    },
    "stim.fire": {
        "stopped": REFUSED,
        "armed": ("armed", ("stim.once",)),
        "running": REFUSED,
        "both": ("both", ("stim.once",)),
    },
}
# What differs where nothing needs arming, and where nothing can be fired (and so nothing is ever armed).
FREE: Table = {"test.start": {"stopped": ("running", ("average.start", "stim.arm", "stim.start"))}}
RECORDING: Table = {
    "test.start": {"stopped": ("running", ("average.start",)), "running": BAD},
    "test.stop": {"stopped": BAD, "running": ("stopped", ("average.stop",))},
    "stim.arm": never(REFUSED, "stopped", "running"),
    "stim.fire": never(REFUSED, "stopped", "running"),
}
RECORDED_RATE: Table = {"test.rate": same("stopped", "running")}
EVENTS_OF_A_TEST = tuple(REPEAT)
ENDING = {"stim.stop": (), "edge.fault": (), "case.close": ("close",)}
QUIET = ("edge.fired", "edge.locks", "impedance.done", "tick")
OTHERS = (*ENDING, *QUIET, "impedance.start", "impedance.stop", "case.start", "no.such")
STATES = ("stopped", "armed", "running", "both")


def whole(table: Table, single: bool) -> Table:
    """`table` with the events that do the same whatever the source."""
    rest: Table = {event: {} for event in OTHERS}
    for state in STATES if single else STATES[:3]:
        runs = state in ("running", "both")
        for event, behind in ENDING.items():
            stops = ("average.stop",) if runs else ()
            rest[event][state] = ("stopped", ALL + stops + behind)
        for event in QUIET:
            rest[event][state] = (state, ())
        rest["impedance.start"][state] = BAD if runs else (state, ("impedance.start",))
        for event in ("impedance.stop", "case.start", "no.such"):
            rest[event][state] = BAD
    return table | rest


def changed(table: Table, changes: Table) -> Table:
    return {event: row | changes.get(event, {}) for event, row in table.items()}


TABLES: dict[tuple[str, bool], Table] = {
    ("hardware", False): whole(REPEAT, False),
    ("hardware", True): whole(SINGLE, True),
    ("simulated", False): whole(changed(REPEAT, FREE), False),
    ("simulated", True): whole(SINGLE, True),
    ("recording", False): whole(changed(REPEAT, RECORDING | RECORDED_RATE), False),
    ("recording", True): whole(changed(SINGLE, RECORDING), True),
}
ROWS = [
    (source, single, event, state)
    for (source, single), table in TABLES.items()
    for event, row in table.items()
    for state in row
    if source != "recording" or state in ("stopped", "running")
]


def test_of(name: str, word: str, single: bool = False, now: int = NOW) -> TestState:
    armed = now + ARM if word in ("armed", "both") else -1
    return TestState(name, single, word in ("running", "both"), armed)


test_of.__test__ = False  # type: ignore[attr-defined]


def word_of(state: CaseState, name: str) -> str:
    now = state.of(name)
    if now.armed(state.index) and now.running:
        return "both"
    return state.shown()[name]


def case_of(*tests: TestState, source: str = "hardware", checked_at: int | None = NOW) -> CaseState:
    free = source != "hardware"
    stimulate = source != "recording"
    return CaseState(tests, stimulate, free, ARM, CHECK, 10.0, checked_at=checked_at, index=NOW)


def code_of(state: CaseState, event: Event, says: str = "") -> str:
    """The code of the refusal, which says `says`, and is one line."""
    with pytest.raises(RefusedError, match=says or ".") as caught:
        step(state, event)
    assert str(caught.value) and "\n" not in str(caught.value)
    return caught.value.code


def test_the_tables_are_whole() -> None:
    decided = {c for c in COMMANDS if c.startswith(("test.", "stim.", "case.", "impedance."))}
    decided -= {"case.critical"}  # a word about the operation, which the pipeline hears
    for (_, single), table in TABLES.items():
        assert decided <= set(table)
        for event, row in table.items():
            assert set(row) == set(STATES if single else STATES[:3]), event


@pytest.mark.parametrize(("source", "single", "event", "word"), ROWS)
@pytest.mark.parametrize("second", ["stopped", "armed", "running"])
def test_every_event_in_every_state(source: str, single: bool, event: str, word: str, second: str) -> None:
    if source == "recording" and second == "armed":
        second = "stopped"
    before = case_of(test_of("a", word, single), test_of("b", second), source=source)
    expected = TABLES[source, single][event][word]
    if event == "impedance.start" and second == "running":
        expected = BAD
    if isinstance(expected, str):
        assert code_of(before, Event(event, "a", NOW)) == expected
        return
    after, actions = step(before, Event(event, "a", NOW))
    told = tuple(x.kind for x in actions if x.test in ("", "a"))
    assert (word_of(after, "a"), told) == expected
    ends = event in ENDING
    assert word_of(after, "b") == ("stopped" if ends else second), "the other test"
    others = [x.kind for x in actions if x.test == "b"]
    assert others == (["average.stop"] if ends and second == "running" else [])
    assert after.open is (event != "case.close")
    assert after.measuring is (event == "impedance.start")
    assert (after.can_stimulate, after.free) == (before.can_stimulate, before.free)


@pytest.mark.parametrize(("source", "single", "event", "word"), ROWS)
def test_observers_may_stop_and_nothing_else(source: str, single: bool, event: str, word: str) -> None:
    before = case_of(test_of("a", word, single), source=source)
    seen = Event(event, "a", NOW + 1, "observer")
    if event == "stim.stop":
        assert step(before, seen) == step(before, replace(seen, role="operator"))
    else:
        assert code_of(before, seen, f"observers may not {event}; ask at the box itself") == "not_allowed"


@pytest.mark.control("H5.1")
@pytest.mark.parametrize("event", [*EVENTS_OF_A_TEST, *OTHERS])
def test_who_is_elsewhere_begins_no_current_and_ends_every(event: str) -> None:
    running = case_of(test_of("a", "running", False), test_of("b", "both", True))
    for before in (running, case_of(test_of("a", "armed", False), test_of("b", "armed", True))):
        seen = Event(event, "b", NOW + 1, "remote")
        if event in ON_THE_CART:
            says = f"clients that are not on the cart may not {event}; ask at the box itself"
            assert code_of(before, seen, says) == "not_allowed"
            continue
        with suppress(RefusedError):
            after, actions = step(before, seen)
            assert (after, actions) == step(before, replace(seen, role="operator"))
            assert not {a.kind for a in actions} & {"stim.arm", "stim.start", "stim.once", "impedance.start"}
    assert step(running, Event("stim.stop", role="remote"))[1][0].kind == "stim.stop_all"


@pytest.mark.parametrize("event", [*EVENTS_OF_A_TEST, *OTHERS])
@pytest.mark.parametrize("word", STATES)
def test_a_closed_case_takes_only_stopping(event: str, word: str) -> None:
    closed, _ = step(case_of(test_of("a", word, True), test_of("b", "running")), Event("case.close"))
    assert closed.shown() == {"a": "stopped", "b": "stopped"}
    asked = Event(event, "a", NOW)
    if event in ("stim.stop", "edge.fault"):
        assert step(closed, asked) == (closed, (Action("stim.stop_all"),))
    elif event in QUIET:
        after, actions = step(closed, asked)
        assert actions == () and after.shown() == closed.shown() and not after.open
    else:
        assert code_of(closed, asked, "the case is closed; start evokd again") == BAD


MEASURING: dict[str, Outcome] = {
    "test.start": BAD,
    "test.stop": BAD,
    "test.rate": BAD,
    "stim.fire": BAD,
    "stim.arm": ("armed", ("stim.arm",)),
    "impedance.start": BAD,
    "impedance.stop": ("stopped", ("impedance.stop",)),
    "impedance.done": ("stopped", ()),
    "stim.stop": ("stopped", ("stim.stop_all", "impedance.stop")),
    "edge.fault": ("stopped", ("stim.stop_all", "impedance.stop")),
    "case.close": ("stopped", ("stim.stop_all", "impedance.stop", "close")),
    "case.start": BAD,
}


@pytest.mark.control("H4.2")
@pytest.mark.parametrize("event", MEASURING)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("source", ["hardware", "simulated"])
def test_no_test_runs_while_impedance_is_measured(event: str, single: bool, source: str) -> None:
    before = case_of(test_of("a", "stopped", single), test_of("b", "armed"), source=source)
    measuring, _ = step(before, Event("impedance.start", index=NOW))
    assert measuring.measuring and measuring.shown()["b"] == "armed"
    expected = MEASURING[event]
    if isinstance(expected, str):
        assert code_of(measuring, Event(event, "a", NOW)) == expected
        return
    after, actions = step(measuring, Event(event, "a", NOW))
    assert (word_of(after, "a"), tuple(x.kind for x in actions)) == expected
    assert after.measuring is (event not in ("impedance.done", "stim.stop", "edge.fault", "case.close"))


def test_at_the_start_everything_is_stopped_and_nothing_was_checked() -> None:
    state = initial([("a", False), ("b", True)], True, False, 4000.0, arm_s=30, check_s=3600)
    assert state == CaseState(
        (TestState("a"), TestState("b", single=True)), True, False, 120_000, 14_400_000, 4000.0
    )
    assert state.shown() == {"a": "stopped", "b": "stopped"} and state.checked_at is None


@pytest.mark.parametrize("event", EVENTS_OF_A_TEST)
def test_a_test_that_there_is_not_is_a_key_error(event: str) -> None:
    state = case_of(test_of("a", "armed"))
    with pytest.raises(KeyError):
        step(state, Event(event, "z", NOW))
    with pytest.raises(KeyError):
        step(state, Event("edge.fired", "z", NOW))


@pytest.mark.parametrize(("first", "second"), list(itertools.product(STATES[:3], repeat=2)))
def test_a_refused_event_leaves_the_state_as_it_was(first: str, second: str) -> None:
    state = case_of(test_of("a", first), test_of("b", second, True))
    kept = replace(state)
    for event in (*EVENTS_OF_A_TEST, *OTHERS):
        for name in "ab":
            with suppress(RefusedError):
                step(state, Event(event, name, NOW + 50))
            assert state == kept and state.index == NOW


def test_locks_are_kept_and_only_stand_in_the_way_of_single_stimuli() -> None:
    state = case_of(test_of("a", "armed"), test_of("b", "armed", True))
    locked, actions = step(state, Event("edge.locks", index=NOW, value=LOCK_IMPEDANCE | LOCK_ELECTROSURGERY))
    assert actions == () and locked.locks == 3
    says = "impedance is being measured and electrosurgery is on; wait until that has ended"
    for name in "ab":
        assert code_of(locked, Event("stim.fire", name, NOW), says) == REFUSED
    assert step(locked, Event("test.start", "a", NOW))[0].shown()["a"] == "running", "its grid goes on"
    free, _ = step(locked, Event("edge.locks", index=NOW))
    assert step(free, Event("stim.fire", "b", NOW))[1] == (Action("stim.once", "b"),)
