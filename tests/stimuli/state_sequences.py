"""Random sequences of events through the state machine, watched by a model of its own.

The model knows what was armed and until when, what averages and when electrodes were checked; it learns from
events and actions alone and never looks into the state but to compare the words that are shown.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from hostd.states import Action, CaseState, Event, RefusedError, TestState, step

ARM, CHECK = 30_000, 3_600_000
NAMES = ("one", "two", "shot")
SINGLE = (False, False, True)
LENGTH = 30
AHEAD = np.array([0, 1, 50, 4000, ARM // 2, ARM - 1, ARM, ARM + 1, CHECK // 2, CHECK + 1, -7, -ARM - 1])
AHEAD_P = np.array([8, 4, 8, 4, 4, 1, 1, 1, 0.5, 0.3, 1, 1])
# What may happen, for each test where it is one's, with a weight: arming and starting often, ends seldom.
KINDS: tuple[tuple[str, int, float], ...] = (
    *(("stim.arm", 0, 4.0), ("test.start", 0, 4.0), ("stim.fire", 0, 3.0), ("edge.fired", 0, 2.0)),
    *(("test.stop", 0, 2.0), ("test.rate", 0, 1.5), ("impedance.done", 1, 4.0), ("impedance.done", 0, 1.0)),
    *(("impedance.start", 0, 2.0), ("impedance.stop", 0, 1.0), ("edge.locks", 0, 2.0)),
    *(("edge.locks", 2, 0.7), ("edge.locks", 5, 0.7), ("tick", 0, 3.0), ("stim.stop", 0, 1.0)),
    *(("edge.fault", 0, 0.7), ("case.close", 0, 0.15), ("case.start", 0, 0.2), ("no.such", 0, 0.2)),
)


@dataclass(slots=True)
class Model:
    """What may be believed, from what was asked and what was done about it."""

    free: bool
    stimulate: bool
    now: int = 0
    until: dict[str, int] = field(default_factory=dict)
    averaging: set[str] = field(default_factory=set)
    checked: int | None = None
    locks: int = 0
    measuring: bool = False
    open: bool = True

    def wrong(self, event: Event, actions: Sequence[Action]) -> str:
        """Take an event that was allowed; what must not have been, or ""."""
        self.now = now = max(self.now, event.index)
        kind, test = event.kind, event.test
        if event.role == "observer" and kind != "stim.stop":
            return "an observer did something"
        if kind in ("stim.stop", "edge.fault", "case.close"):
            return self._ended(kind, actions)
        for action in actions:
            if text := self._wrong_action(action, event):
                return text
        if kind == "stim.arm" or (kind == "edge.fired" and self.until.get(test, -1) >= now):
            self.until[test] = now + ARM
        elif kind == "test.stop" or (kind == "test.start" and not SINGLE[NAMES.index(test)]):
            self.until.pop(test, None)
        elif kind == "edge.locks":
            self.locks = event.value
        elif kind == "impedance.done":
            self.measuring, self.checked = False, now if event.value else self.checked
        return "measured while a test runs" if self.measuring and self.averaging else ""

    def _ended(self, kind: str, actions: Sequence[Action]) -> str:
        ended = {a.test for a in actions if a.kind == "average.stop"}
        if not actions or actions[0].kind != "stim.stop_all" or ended != self.averaging:
            return "not everything ended"
        if self.measuring is not (Action("impedance.stop") in actions):
            return "the impedance current does not end"
        self.until.clear()
        self.averaging.clear()
        self.measuring, self.open = False, self.open and kind != "case.close"
        return ""

    def _wrong_action(self, action: Action, event: Event) -> str:
        """Why an action must not be, "" when it may."""
        test, now, kind = action.test, self.now, action.kind
        if not self.open:
            return "something happened in a closed case"
        if kind == "disarmed":
            return "disarmed in its time" if self.until.pop(test, now) >= now else ""
        if kind in ("impedance.start", "impedance.stop"):
            wrong = kind != event.kind or self.measuring is (kind == "impedance.start")
            self.measuring = True
            return "an impedance current out of place" if wrong else ""
        if test != event.test:
            return "another test did something"
        if kind in ("average.start", "average.stop"):
            if (kind == "average.stop") is not (test in self.averaging):
                return "averaging begun or ended twice"
            self.averaging ^= {test}
            return ""
        return self._wrong_stimulus(kind, test, event.kind)

    def _wrong_stimulus(self, kind: str, test: str, asked: str) -> str:
        armed, single = self.until.get(test, -1) >= self.now, SINGLE[NAMES.index(test)]
        if kind == "stim.stop":
            return ""
        if not self.stimulate:
            return "a source that cannot was asked to stimulate"
        if kind == "stim.arm" and asked == "stim.arm":
            checked = self.checked is not None and self.now - self.checked <= CHECK
            busy = armed or (test in self.averaging and not single)
            return "" if (checked or self.free) and not busy else "armed out of place"
        if self.measuring:
            return "stimulated while impedance is measured"
        if kind == "stim.once":
            return "" if armed and not self.locks else "a shot not armed, or locked out"
        if asked == "test.rate":
            return "" if test in self.averaging and not single else "a rate of what does not run"
        may = asked == "test.start" and not single and (armed or self.free)
        return "" if may else "started, and was not armed"

    def differs(self, state: CaseState) -> str:
        """Where the words that are shown are not the model's, or ""."""
        for name, word in state.shown().items():
            single, runs = SINGLE[NAMES.index(name)], name in self.averaging
            armed = self.until.get(name, -1) >= self.now and (single or not runs)
            if word != ("armed" if armed else "running" if runs else "stopped"):
                return f"{name} is shown as {word}"
        return ""


def events_of(seed: int) -> list[Event]:
    """A sequence, the same for the same seed."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(LENGTH - 10, LENGTH + 11))
    cumulated = np.cumsum([weight for _, _, weight in KINDS])
    kinds = np.searchsorted(cumulated, rng.random(n) * cumulated[-1], side="right").tolist()
    ahead = np.searchsorted(np.cumsum(AHEAD_P), rng.random(n) * AHEAD_P.sum(), side="right")
    at, tests = np.cumsum(AHEAD[ahead]).tolist(), rng.integers(0, 3, n).tolist()
    observed = (rng.random(n) < 0.05).tolist()
    return [
        Event(KINDS[k][0], NAMES[t], index, "observer" if seen else "operator", KINDS[k][1])
        for k, t, index, seen in zip(kinds, tests, at, observed, strict=True)
    ]


def run(seed: int) -> str:
    """What went wrong in the sequence of `seed`, or ""."""
    free, stimulate = seed % 4 == 0, seed % 16 != 0
    model = Model(free, stimulate)
    tests = tuple(TestState(name, single) for name, single in zip(NAMES, SINGLE, strict=True))
    state = CaseState(tests, stimulate, free, ARM, CHECK, 1000.0)
    for event in events_of(seed):
        try:
            state, actions = step(state, event)
        except RefusedError as refusal:
            wrong = "stopping was refused" if event.kind == "stim.stop" else ""
            wrong = wrong or ("" if str(refusal) else "refused without a word")
        else:
            wrong = model.wrong(event, actions) or model.differs(state)
        if wrong:
            return f"seed {seed}: {wrong} after {event}"
    return ""


def run_many(first: int, n: int) -> list[str]:
    """What went wrong in `n` sequences from seed `first` on."""
    return [wrong for seed in range(first, first + n) if (wrong := run(seed))]


def run_all(first: int, n: int, processes: int = 2) -> list[str]:
    """The same in several processes."""
    chunk = 2000
    starts = range(first, first + n, chunk)
    with ProcessPoolExecutor(processes) as pool:
        sizes = [min(chunk, first + n - start) for start in starts]
        return [wrong for found in pool.map(run_many, starts, sizes) for wrong in found]
