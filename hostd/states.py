"""What may happen when: the pure state machine of a case. `step(state, event) -> state, actions`.

On hardware nothing stimulates until its test has been armed; stopping is always allowed; a fault at the edge
stops everything. Doing the actions is the daemon's business.
"""

from dataclasses import dataclass, replace
from typing import Literal

TestState = Literal["stopped", "armed", "running"]


class RefusedError(ValueError):
    """The event is not allowed now; `code` is the control protocol's."""

    def __init__(self, code: Literal["bad_state", "refused"], text: str) -> None:
        super().__init__(text)
        self.code: Literal["bad_state", "refused"] = code


@dataclass(frozen=True, slots=True)
class CaseState:
    """`tests`: state by name. `free`: the source needs no arming (simulation, recording). `measuring`: a
    current for impedance flows or is about to, so that no test may run."""

    tests: tuple[tuple[str, TestState], ...]
    can_stimulate: bool
    free: bool
    open: bool = True
    measuring: bool = False

    def of(self, test: str) -> TestState:
        """State of one test."""
        return dict(self.tests)[test]

    def with_test(self, test: str, state: TestState) -> "CaseState":
        """The same with one test in another state."""
        return replace(self, tests=tuple((n, state if n == test else s) for n, s in self.tests))


@dataclass(frozen=True, slots=True)
class Event:
    """Something asked for or happened: `kind` is a control command, `edge.fault` or `impedance.done`."""

    kind: str
    test: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do: `average.start`, `average.stop`, `stim.start`, `stim.once`, `stim.stop`,
    `stim.stop_all`, `impedance.start`, `impedance.stop` or `close`."""

    kind: str
    test: str = ""


def step(state: CaseState, event: Event) -> tuple[CaseState, tuple[Action, ...]]:
    """The next state and what to do. Raises RefusedError, naming why."""
    if event.kind in ("stim.stop", "edge.fault"):
        return _stop_all(state)
    if event.kind == "impedance.done":
        return replace(state, measuring=False), ()
    if not state.open:
        raise RefusedError("bad_state", "the case is closed; start evokd again for a new one")
    if event.kind == "case.close":
        stopped, actions = _stop_all(state)
        return replace(stopped, open=False), (*actions, Action("close"))
    if event.kind == "case.start":
        raise RefusedError("bad_state", "a case is open; close it first")
    if event.kind.startswith("impedance."):
        return _impedance_event(state, event)
    return _test_event(state, event)


def _impedance_event(state: CaseState, event: Event) -> tuple[CaseState, tuple[Action, ...]]:
    """The current is in every sample while it flows: with no test running only, and one at a time."""
    if event.kind == "impedance.stop":
        if not state.measuring:
            raise RefusedError("bad_state", "no impedance is being measured")
        return state, (Action("impedance.stop"),)
    if event.kind != "impedance.start":
        raise RefusedError("bad_state", f"{event.kind} has no meaning here")
    running = [name for name, now in state.tests if now == "running"]
    if running:
        text = f"test {running[0]} is running; stop it first, or the impedance current is in its sweeps"
        raise RefusedError("bad_state", text)
    if state.measuring:
        raise RefusedError("bad_state", "impedance is being measured; wait for the result")
    return replace(state, measuring=True), (Action("impedance.start"),)


def _stop_all(state: CaseState) -> tuple[CaseState, tuple[Action, ...]]:
    running = [n for n, s in state.tests if s == "running"]
    stopped = replace(state, tests=tuple((n, "stopped") for n, _ in state.tests), measuring=False)
    currents = (Action("impedance.stop"),) if state.measuring else ()
    return stopped, (Action("stim.stop_all"), *currents, *(Action("average.stop", n) for n in running))


def _test_event(state: CaseState, event: Event) -> tuple[CaseState, tuple[Action, ...]]:
    now, test = state.of(event.test), event.test
    if state.measuring and event.kind in ("test.start", "stim.fire"):
        raise RefusedError("bad_state", "impedance is being measured; wait for the result, or stop it")
    match event.kind:
        case "test.start":
            if now == "running":
                raise RefusedError("bad_state", f"test {test} is running already")
            if now == "stopped" and not state.free:
                raise RefusedError("refused", f"test {test} is not armed; stim.arm it first")
            stimulate = (Action("stim.start", test),) if state.can_stimulate else ()
            return state.with_test(test, "running"), (Action("average.start", test), *stimulate)
        case "test.stop":
            if now != "running":
                raise RefusedError("bad_state", f"test {test} is not running")
            stop = (Action("stim.stop", test),) if state.can_stimulate else ()
            return state.with_test(test, "stopped"), (*stop, Action("average.stop", test))
        case "stim.arm":
            _must_stimulate(state)
            if now != "stopped":
                raise RefusedError("bad_state", f"test {test} is {now}")
            return state.with_test(test, "armed"), ()
        case "stim.fire":
            _must_stimulate(state)
            if now != "armed":
                raise RefusedError("refused", f"test {test} is {now}, not armed; stim.arm it first")
            return state, (Action("stim.once", test),)
        case _:
            raise RefusedError("bad_state", f"{event.kind} has no meaning here")


def _must_stimulate(state: CaseState) -> None:
    if not state.can_stimulate:
        raise RefusedError("refused", "this source cannot stimulate")
