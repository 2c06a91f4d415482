"""The state machine of a case as a graph: every state that can be reached, every edge, what holds on each.

Time is reduced to differences: a state is moved so that its index is NOW, what is late is late by one, a
check that is too old is too old by one. `step` only ever compares, which `test_states_walk` shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product

from hostd.states import (
    UNARMED,
    Action,
    CaseState,
    Event,
    RefusedError,
    Role,
    TestState,
    step,
)

NOW = 100
ARM, CHECK = 2, 4
JUMPS = (0, ARM // 2, CHECK // 2, ARM + 1, CHECK + 1, -CHECK)
"""Samples since the last event: none, half and more than each of the two times, and one that runs back."""
REPEAT, SINGLE = "repeat", "single"
OF_TESTS = ("test.start", "test.stop", "test.rate", "stim.arm", "stim.fire", "edge.fired", "no.such")
OF_ALL = (
    *(("stim.stop", 0), ("edge.fault", 0), ("edge.locks", 0), ("edge.locks", 2), ("tick", 0)),
    *(("impedance.start", 0), ("impedance.stop", 0), ("impedance.done", 0), ("impedance.done", 1)),
    *(("case.close", 0), ("case.start", 0)),
)
ENDING = ("stim.stop", "edge.fault", "case.close")
WHEN_CLOSED = ("stim.stop", "edge.fault", "edge.fired", "edge.locks", "impedance.done", "tick")
ROLES: tuple[Role, ...] = ("operator", "observer")


def events() -> Iterator[Event]:
    """Everything that may happen next to a state at NOW."""
    for jump, role in product(JUMPS, ROLES):
        for kind, test in product(OF_TESTS, (REPEAT, SINGLE)):
            yield Event(kind, test, NOW + jump, role)
        for kind, value in OF_ALL:
            yield Event(kind, "", NOW + jump, role, value)


def first_state(free: bool, can_stimulate: bool = True) -> CaseState:
    """Everything stopped, nothing checked, at NOW."""
    tests = TestState(REPEAT), TestState(SINGLE, single=True)
    return CaseState(tests, can_stimulate, free, ARM, CHECK, index=NOW)


def moved(state: CaseState) -> CaseState:
    """The same state at NOW, what is over no more than just over."""
    index = state.index
    tests = tuple(
        t if t.armed_until == UNARMED else replace(t, armed_until=NOW + max(t.armed_until - index, -1))
        for t in state.tests
    )
    checked = state.checked_at
    if checked is not None:
        checked = NOW - min(index - checked, CHECK + 1)
    return replace(state, tests=tests, checked_at=checked, index=NOW)


@dataclass(slots=True)
class Graph:
    """`edges` counts events that were allowed; `broken` names what did not hold, and where."""

    states: set[CaseState] = field(default_factory=set)
    edges: int = 0
    refused: int = 0
    broken: list[str] = field(default_factory=list)


def explore(first: CaseState, most: int = 100_000, to_first_broken: bool = False) -> Graph:
    """Breadth first, until there is nothing new, or more than `most`, or as soon as something is broken."""
    graph, frontier, every = Graph({first}), [first], list(events())
    while frontier and len(graph.states) <= most and not (to_first_broken and graph.broken):
        found = []
        for state in frontier:
            for event in every:
                try:
                    after, actions = step(state, event)
                except RefusedError as refusal:
                    graph.refused += 1
                    wrong = wrong_refusal(state, event, refusal)
                else:
                    graph.edges += 1
                    wrong = wrong_edge(state, event, after, actions)
                    if (after := moved(after)) not in graph.states:
                        graph.states.add(after)
                        found.append(after)
                if wrong:
                    graph.broken.append(f"{wrong}: {state} {event}")
        frontier = found
    return graph


def wrong_refusal(state: CaseState, event: Event, refusal: RefusedError) -> str:
    """What a refusal must not be, "" when it is right."""
    if event.kind == "stim.stop":
        return "stopping was refused"
    if event.role == "observer":
        return "" if refusal.code == "not_allowed" else "an observer was told more than that he may not"
    if event.kind in WHEN_CLOSED or (event.kind == "case.close" and state.open):
        return "what always is allowed was refused"
    return "" if refusal.code != "not_allowed" else "an operator may not"


def wrong_edge(before: CaseState, event: Event, after: CaseState, actions: tuple[Action, ...]) -> str:
    """The first thing that does not hold on an edge, "" when all does."""
    now = max(before.index, event.index)
    kinds = {a.kind for a in actions}
    if after.index != now:
        return "time went wrong"
    if event.role == "observer" and event.kind != "stim.stop":
        return "an observer did something"
    if not before.open and (event.kind not in WHEN_CLOSED or after.open or kinds - {"stim.stop_all"}):
        return "something happened in a closed case"
    if event.kind in ENDING:
        return _wrong_end(after, actions)
    if after.measuring and any(t.running for t in after.tests):
        return "a test runs while impedance is measured"
    return _wrong_stimulus(before, event, actions, now) or _wrong_arm(before, event, after, now)


def _wrong_end(after: CaseState, actions: tuple[Action, ...]) -> str:
    if any(t.running or t.armed_until != UNARMED for t in after.tests) or after.measuring:
        return "something runs or is armed after the end"
    return "" if actions[0] == Action("stim.stop_all") else "outputs do not come first"


def _wrong_stimulus(before: CaseState, event: Event, actions: tuple[Action, ...], now: int) -> str:
    """Nothing is to stimulate unless it was armed in time, or runs already, or the source is no person."""
    for action in actions:
        if action.kind not in ("stim.start", "stim.once"):
            continue
        test = before.of(action.test)
        if action.test != event.test or before.measuring or not before.can_stimulate:
            return "a stimulus out of place"
        if action.kind == "stim.once" and (not test.armed(now) or before.locks):
            return "a single stimulus that was not armed, or locked out"
        goes_on = event.kind == "test.rate" and test.running
        if action.kind == "stim.start" and not (test.armed(now) or before.free or goes_on):
            return "stimulation that was not armed"
    return ""


def _wrong_arm(before: CaseState, event: Event, after: CaseState, now: int) -> str:
    """Nothing is armed for longer than it was, but by being armed with a recent check, or by its stimulus."""
    for was, will in zip(before.tests, after.tests, strict=True):
        if will.armed_until <= was.armed_until:
            continue
        checked = before.checked_at is not None and now - before.checked_at <= CHECK
        by_arming = event.kind == "stim.arm" and (checked or before.free)
        by_firing = event.kind == "edge.fired" and was.armed(now)
        if will.name != event.test or will.armed_until != now + ARM or not (by_arming or by_firing):
            return "armed out of place"
    return ""
