"""The single pulse that goes before a train over the face: what it evokes too is the nerve, not the cortex.

Owns which of the two shots waits for what (`step`, pure) and their order on the link (`ControlPulses`): the
control first, since a line rests a second after several pulses; the train once the samples have shown the
control's pulse and its window is over. Refuses to fire a train whose control did not go out, or was stopped.
Source: Dong et al., Clin Neurophysiol 2005;116:588.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from hostd.case import TestPlan
from hostd.errors import LinkError
from hostd.stimulation import Answered, Shot, Stimulation
from hw.limits import SHOT_WAIT_S, Ceiling
from hw.link import NOT_SEEN, Stimulus

LEAST_MS = 60.0
"""At least so long after the control nothing else may be evoked by it."""
TOLD_BEFORE_S = 0.4
"""So long before its line has rested the edge hears of a train; what is left of SHOT_WAIT_S is others'."""
PATIENCE_S = SHOT_WAIT_S + 4.0
"""The edge answers a single stimulus within SHOT_WAIT_S; the rest is for link and queue."""

Phase = Literal["control", "between", "train", "over"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A control and its train: `phase` is what is waited for, `until` the sample by which the edge must have
    told of it. The train goes out `between` samples after the control was seen, at `due`."""

    between: int
    until: int
    patience: int
    phase: Phase = "control"
    due: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """What has come: the edge's `answer` to the shot under way (`text` its refusal), the control's `proof` at
    sample `index`, that its pulse is `missing`, that a sample was `reached`, or that all is `stopped`."""

    kind: Literal["answer", "proof", "missing", "reached", "stopped"]
    index: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """`fire` the train, or `answer` the request: with `text` as its refusal, or empty."""

    kind: Literal["fire", "answer"]
    text: str = ""


def step(pair: Pair, event: Event) -> tuple[Pair, Action | None]:
    """The next state and what to do: at most one `fire`, exactly one `answer`, and nothing after it."""
    match pair.phase, event.kind:
        case "control", "answer" if event.text:
            return _over(pair, event.text)
        case "control", "proof":
            return replace(pair, phase="between", due=event.index + pair.between), None
        case "control", "missing":
            return _over(pair, "the control pulse never came back in the samples; the train was not fired")
        case "control" | "between", "stopped":
            return _over(pair, f"the train was not fired: {event.text}")
        case "between", "reached" if event.index >= pair.due:
            return replace(pair, phase="train", until=event.index + pair.patience), Action("fire")
        case "control", "reached" if event.index > pair.until:
            return _over(pair, "the edge has not told of the control pulse; the train was not fired")
        case "train", "answer":
            return _over(pair, event.text)
        case "train", "reached" if event.index > pair.until:
            return _over(pair, "the edge has not answered the train after its control pulse")
    return pair, None


def _over(pair: Pair, text: str) -> tuple[Pair, Action]:
    return replace(pair, phase="over"), Action("answer", text)


def wanted(test: TestPlan) -> bool:
    """Whether a control goes before each stimulus of `test`."""
    return test.response is not None and test.response.control


def between_samples(test: TestPlan, ceiling: Ceiling, rate_hz: float) -> int:
    """From the control to when its train is sent: until the control's window is over.

    Where the kind's rate keeps the line waiting for longer, the edge fires at that very sample; it is told
    early enough for that, and late enough that other tests have the time to make room.
    """
    window = math.ceil(max(LEAST_MS, test.window_ms[1]) * rate_hz / 1e3)
    apart_s = 1 / ceiling.rate_hz if ceiling.rate_hz > 0 else 0.0
    return max(window, math.floor((apart_s - TOLD_BEFORE_S) * rate_hz))


@dataclass(slots=True)
class _Request:
    """One request to fire, until it is answered. `command` is the control's."""

    train: Shot
    actor: str
    answered: Answered
    pair: Pair
    command: int = 0


class ControlPulses:
    """Fires single stimuli, with a control before those that want one. One thread (serving).

    `index` is the sample reached; `refused` says why a test may not be fired now, empty when it may; `fired`
    hears of a test whose control went out.
    """

    def __init__(
        self,
        stimulation: Stimulation,
        ceilings: tuple[Ceiling, ...],
        rate_hz: float,
        index: Callable[[], int],
        refused: Callable[[str], str],
        fired: Callable[[str], None],
    ) -> None:
        self._stimulation, self._ceilings, self._rate_hz = stimulation, ceilings, rate_hz
        self._index, self._refused, self._fired = index, refused, fired
        self._requests: dict[str, _Request] = {}

    def fire(self, test: TestPlan, answered: Answered, actor: str, current_ma: float = 0.0) -> str:
        """As `Stimulation.once`, control and train as one. Raises LinkError when nothing could be sent."""
        if not wanted(test):
            return self._stimulation.once(test, answered, actor, current_ma)
        if test.name in self._requests:
            return f"test {test.name} is being fired, a control pulse and then the train; wait for its answer"
        train = self._stimulation.shot(test, current_ma)
        if isinstance(train, str):
            return train
        if refusal := self._stimulation.refuse(train, pulses_before=1):
            return refusal
        patience = round(PATIENCE_S * self._rate_hz)
        between = between_samples(test, self._ceilings[train.plan.kind], self._rate_hz)
        pair = Pair(between, self._index() + patience, patience)
        self._requests[test.name] = request = _Request(train, actor, answered, pair)
        try:
            sent = self._stimulation.fire(train.control_pulse(), self._answer_to(request), actor)
        except LinkError:
            del self._requests[test.name]
            raise
        if isinstance(sent, str):
            del self._requests[test.name]
            return sent
        request.command = sent.plan.command
        return ""

    def stimulated(self, stimulus: Stimulus) -> None:
        """One pulse of any plan went out, and was seen or given up."""
        for request in list(self._requests.values()):
            if request.command != stimulus.command:
                continue
            if stimulus.seen == NOT_SEEN:
                self._hear(request, Event("missing"))
            elif request.pair.phase == "control":
                self._hear(request, Event("proof", stimulus.seen))
                self._fired(request.train.test.name)

    def check(self) -> None:
        """The state has changed: what may not be fired any more is given up."""
        for name, request in list(self._requests.items()):
            if text := self._refused(name):
                self._hear(request, Event("stopped", text=text))

    def look(self) -> None:
        """Samples have come, and all is heard that came with them: go on with what is due. Never raises."""
        self.check()
        for request in list(self._requests.values()):
            self._hear(request, Event("reached", self._index()))

    def _answer_to(self, request: _Request) -> Answered:
        return lambda refusal: self._hear(request, Event("answer", text=refusal))

    def _hear(self, request: _Request, event: Event) -> None:
        """What follows from `event`; nothing once the request was answered."""
        request.pair, action = step(request.pair, event)
        if action is None:
            return
        if action.kind == "fire":
            self._fire_train(request)
            return
        self._requests.pop(request.train.test.name, None)
        request.answered(action.text)

    def _fire_train(self, request: _Request) -> None:
        try:
            sent = self._stimulation.fire(request.train, self._answer_to(request), request.actor)
        except LinkError as error:
            sent = str(error)
        if isinstance(sent, str):
            self._hear(request, Event("answer", text=f"the train was not fired: {sent}"))
