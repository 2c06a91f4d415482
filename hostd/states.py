"""What may happen when: the pure state machine of a case. `step(state, event) -> state, actions`.

Time is the sample index that every event carries; it never runs back here. On a person nothing stimulates
until its test was armed, and nothing is armed before the electrodes were checked; what is armed and not used
is disarmed by itself; stopping is always allowed, by anybody; a fault at the edge stops everything. Doing the
actions is the control desk's business, and the edge checks again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from hw.link import LOCK_REASONS

Shown = Literal["stopped", "armed", "running"]
Role = Literal["operator", "remote", "observer"]
"""Who asks: somebody on the cart, somebody who may do the same elsewhere, or somebody who looks."""
UNARMED = -1
OBSERVERS_MAY = ("hello", "snapshot", "config.get", "mark", "stim.stop")
STIMULATING = ("test.start", "test.rate", "stim.arm", "stim.fire", "impedance.start", "leads.watch")
"""All that begins or raises a current through somebody."""
ON_THE_CART = (*STIMULATING, "case.start", "case.close", "alarm.signal")
"""Only to be asked for by who can see the patient, whatever the key."""


def barred(role: Role, command: str) -> str:
    """Why somebody may not ask for `command`; "" when he may."""
    if role == "operator" or command in OBSERVERS_MAY:
        return ""
    if role == "remote" and command not in ON_THE_CART:
        return ""
    who = "observers" if role == "observer" else "clients that are not on the cart"
    return f"{who} may not {command}; ask at the box itself"


class RefusedError(ValueError):
    """The event is not allowed now; `code` is the control protocol's."""

    def __init__(self, code: Literal["bad_state", "refused", "not_allowed"], text: str) -> None:
        super().__init__(text)
        self.code: Literal["bad_state", "refused", "not_allowed"] = code


@dataclass(frozen=True, slots=True)
class TestState:
    """One test: averaging (`running`) or not, and until which sample it may be started or fired.

    `single` tests stimulate on demand only, `fire` by `fire`, also while they run.
    """

    __test__ = False  # the noun starts with Test; test collectors leave it alone

    name: str
    single: bool = False
    running: bool = False
    armed_until: int = UNARMED

    def armed(self, index: int) -> bool:
        """Whether it may be started or fired at sample `index`."""
        return self.armed_until >= index


@dataclass(frozen=True, slots=True)
class CaseState:
    """All that decides. `free`: the source is no person (simulation, recording): no arming, no check.

    `arm_samples`: how long something stays armed; `check_samples`: how old the check of the electrodes may
    be, of `checked_at` (None: never). `measuring`: a current for impedance flows or is about to. `locks`:
    bits of hw.link.LOCK_REASONS.
    """

    tests: tuple[TestState, ...]
    can_stimulate: bool
    free: bool
    arm_samples: int
    check_samples: int
    sample_rate_hz: float = 1.0
    open: bool = True
    measuring: bool = False
    locks: int = 0
    checked_at: int | None = None
    index: int = 0

    def of(self, test: str) -> TestState:
        """State of one test; KeyError when there is none."""
        return {t.name: t for t in self.tests}[test]

    def shown(self) -> dict[str, Shown]:
        """Every test's state in the words of `status`."""
        return {t.name: self._word(t) for t in self.tests}

    def having(self, *tests: TestState) -> "CaseState":
        """The same with these tests in another state."""
        new = {t.name: t for t in tests}
        return replace(self, tests=tuple(new.get(t.name, t) for t in self.tests))

    def _word(self, test: TestState) -> Shown:
        if test.armed(self.index) and (test.single or not test.running):
            return "armed"
        return "running" if test.running else "stopped"


@dataclass(frozen=True, slots=True)
class Event:
    """Something asked for or happened at sample `index`.

    `kind` is a control command, or `edge.fault`, `edge.fired` (of `test`), `edge.locks` (`value`: bits),
    `impedance.done` (`value` 1: with a result) or `tick`.
    """

    kind: str
    test: str = ""
    index: int = 0
    role: Role = "operator"
    value: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do: `average.start`, `average.stop`, `stim.arm`, `stim.start`, `stim.once`, `stim.stop`,
    `stim.stop_all`, `impedance.start`, `impedance.stop`, `disarmed` (to be noted) or `close`."""

    kind: str
    test: str = ""


Outcome = tuple[CaseState, tuple[Action, ...]]


def step(state: CaseState, event: Event) -> Outcome:
    """The next state and what to do. Raises RefusedError, naming why; the state is then as it was."""
    if bar := barred(event.role, event.kind):
        raise RefusedError("not_allowed", bar)
    state = replace(state, index=max(state.index, event.index))
    match event.kind:
        case "stim.stop" | "edge.fault":
            return _stop_all(state)
        case "tick":
            return _expire(state)
        case "edge.fired":
            return _fired(state, event.test)
        case "edge.locks":
            return replace(state, locks=event.value), ()
        case "impedance.done":
            checked = state.index if event.value else state.checked_at
            return replace(state, measuring=False, checked_at=checked), ()
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


def _stop_all(state: CaseState) -> Outcome:
    """Everything ends and is disarmed, whatever the state: also when nothing is known to run."""
    running = [t.name for t in state.tests if t.running]
    stopped = (replace(t, running=False, armed_until=UNARMED) for t in state.tests)
    currents = (Action("impedance.stop"),) if state.measuring else ()
    actions = (Action("stim.stop_all"), *currents, *(Action("average.stop", n) for n in running))
    return replace(state, tests=tuple(stopped), measuring=False), actions


def _expire(state: CaseState) -> Outcome:
    """What was armed and not used in its time is disarmed, and that is noted."""
    late = [t for t in state.tests if t.armed_until != UNARMED and not t.armed(state.index)]
    disarmed = state.having(*(replace(t, armed_until=UNARMED) for t in late))
    return disarmed, tuple(Action("disarmed", t.name) for t in late if t.single or not t.running)


def _fired(state: CaseState, test: str) -> Outcome:
    """A single stimulus went out: its test stays armed for as long again, as it does at the edge."""
    now = state.of(test)
    if not now.armed(state.index):
        return state, ()
    return state.having(replace(now, armed_until=state.index + state.arm_samples)), ()


def _impedance_event(state: CaseState, event: Event) -> Outcome:
    """The current is in every sample while it flows: with no test running only, and one at a time."""
    if event.kind == "impedance.stop":
        if not state.measuring:
            raise RefusedError("bad_state", "no impedance is being measured")
        return state, (Action("impedance.stop"),)
    if event.kind != "impedance.start":
        raise RefusedError("bad_state", f"{event.kind} has no meaning here")
    running = [t.name for t in state.tests if t.running]
    if running:
        text = f"test {running[0]} is running; stop it first, or the impedance current is in its sweeps"
        raise RefusedError("bad_state", text)
    if state.measuring:
        raise RefusedError("bad_state", "impedance is being measured; wait for the result")
    return replace(state, measuring=True), (Action("impedance.start"),)


def _test_event(state: CaseState, event: Event) -> Outcome:
    now = state.of(event.test)
    if state.measuring and event.kind in ("test.start", "test.rate", "stim.fire"):
        raise RefusedError("bad_state", "impedance is being measured; wait for the result, or stop it")
    match event.kind:
        case "test.start":
            return _start(state, now)
        case "test.stop":
            if not now.running:
                raise RefusedError("bad_state", f"test {now.name} is not running")
            stop = (Action("stim.stop", now.name),) if state.can_stimulate else ()
            ended = replace(now, running=False, armed_until=UNARMED)
            return state.having(ended), (*stop, Action("average.stop", now.name))
        case "test.rate":
            return _change_rate(state, now)
        case "stim.arm":
            return _arm(state, now)
        case "stim.fire":
            return _fire(state, now)
        case _:
            raise RefusedError("bad_state", f"{event.kind} has no meaning here")


def _start(state: CaseState, now: TestState) -> Outcome:
    """A repeating test stimulates from now on; a single one listens, until it is fired."""
    if now.running:
        raise RefusedError("bad_state", f"test {now.name} is running already")
    average = Action("average.start", now.name)
    if now.single or not state.can_stimulate:
        return state.having(replace(now, running=True)), (average,)
    if not now.armed(state.index) and not state.free:
        raise RefusedError("refused", f"test {now.name} is not armed; stim.arm it first")
    stimulate = Action("stim.arm", now.name), Action("stim.start", now.name)
    return state.having(replace(now, running=True, armed_until=UNARMED)), (average, *stimulate)


def _change_rate(state: CaseState, now: TestState) -> Outcome:
    """Another rate is another average; a test that runs goes on at it."""
    if now.single:
        raise RefusedError("bad_state", f"test {now.name} is fired on demand and has no rate")
    if not now.running or not state.can_stimulate:
        return state, ()
    return state, (Action("stim.arm", now.name), Action("stim.start", now.name))


def _arm(state: CaseState, now: TestState) -> Outcome:
    _must_stimulate(state)
    if now.running and not now.single:
        raise RefusedError("bad_state", f"test {now.name} is running")
    if now.armed(state.index):
        raise RefusedError("bad_state", f"test {now.name} is armed")
    _must_be_checked(state)
    until = state.index + state.arm_samples
    return state.having(replace(now, armed_until=until)), (Action("stim.arm", now.name),)


def _fire(state: CaseState, now: TestState) -> Outcome:
    _must_stimulate(state)
    if now.running and not now.single:
        raise RefusedError("bad_state", f"test {now.name} is running by itself; stop it to fire by hand")
    if not now.armed(state.index):
        word = state.shown()[now.name]
        raise RefusedError("refused", f"test {now.name} is {word}, not armed; stim.arm it first")
    if state.locks:
        reasons = " and ".join(text for bit, text in LOCK_REASONS.items() if state.locks & bit)
        raise RefusedError("refused", f"{reasons}; wait until that has ended")
    return state, (Action("stim.once", now.name),)


def _must_stimulate(state: CaseState) -> None:
    if not state.can_stimulate:
        raise RefusedError("refused", "this source cannot stimulate")


def _must_be_checked(state: CaseState) -> None:
    if state.free:
        return
    limit = f"the limit is {state.check_samples / state.sample_rate_hz / 60:g} min; run impedance.start"
    if state.checked_at is None:
        raise RefusedError("refused", f"the electrodes were not measured yet; {limit}")
    if state.index - state.checked_at > state.check_samples:
        minutes = (state.index - state.checked_at) / state.sample_rate_hz / 60
        raise RefusedError("refused", f"the electrodes were measured {minutes:.0f} min ago; {limit}")


def initial(
    tests: Iterable[tuple[str, bool]],
    can_stimulate: bool,
    free: bool,
    sample_rate_hz: float,
    arm_s: float,
    check_s: float,
) -> CaseState:
    """The state at the start: everything stopped, nothing armed. `tests`: names, and whether on demand."""
    return CaseState(
        tuple(TestState(name, single) for name, single in tests),
        can_stimulate,
        free,
        round(arm_s * sample_rate_hz),
        round(check_s * sample_rate_hz),
        sample_rate_hz,
    )
