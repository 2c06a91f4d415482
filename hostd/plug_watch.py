"""The plug check of a case: begun at each test's first start or asked for; told, and an alert where plugs
are wrong.

Owns which tests are being looked at and what was last said of each; `hostd.plug_judge` decides over all of
them together, in the order of samples. Costs nothing once every test was judged. Bars nothing: a baseline
that is made with wrong plugs is told to be.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Trigger
from dsp.stream import Scale
from hostd.alerts import Alerts
from hostd.case import Case
from hostd.outgoing import Outgoing, event
from hostd.plug_collector import Bench, Collector
from hostd.plug_exchanges import Asked, asked_of, judged_tests
from hostd.plug_judge import FAULTS, Fault, Finding, State, findings, judge, state_of
from hostd.plug_readings import Look
from hostd.timeline import Timeline
from hw.link import Description

COMMAND, PLUGS = "plugs.check", "plugs"
Heard = Callable[[int, str, State], list[Outgoing]]


@dataclass(slots=True)
class _Test:
    """One test: what looks at it while it is judged, which check this is, and what was last found."""

    order: int
    site: str
    asked: tuple[Asked, ...]
    state: State = "waiting"
    check: int = 0
    collector: Collector | None = None
    running: bool = False
    look: Look | None = None
    suspected: frozenset[str] | None = None
    told: tuple[Any, ...] = ()
    blame: str = ""
    blamed: list[str] = field(default_factory=list)
    wrong: bool = False
    based: bool = False


class PlugWatch:
    """Of `case` over a stream described by `description`; what it says of a test has the order `first_order`
    and the test's place. `heard` is told each test's state, in the timeline's order."""

    def __init__(
        self, case: Case, description: Description, alerts: Alerts, timeline: Timeline, first_order: int
    ) -> None:
        scale = Scale(description.lsb_uv, description.offset_uv)
        self._bench = Bench(case.channels, description.rate_hz, scale, description.latency_offset_samples)
        asked = asked_of(case)
        self._plans = {plan.name: plan for plan in judged_tests(case) if plan.name in asked}
        self._tests = {
            name: _Test(first_order + k, plan.site, asked[name])
            for k, (name, plan) in enumerate(self._plans.items())
        }
        self._alerts, self._timeline = alerts, timeline
        self.heard: Heard = lambda index, name, state: []

    @property
    def names(self) -> tuple[str, ...]:
        """The tests that can be judged."""
        return tuple(self._tests)

    def start(self, index: int, name: str) -> None:
        """A test begins; its plugs are checked the first time."""
        test = self._tests.get(name)
        if test is None:
            return
        test.running = True
        if not test.check:
            self._begin(index, name)
        elif test.collector is not None:
            test.collector.running = True

    def stop(self, name: str) -> None:
        """A test takes no more triggers: its check waits."""
        if test := self._tests.get(name):
            test.running = False
            if test.collector is not None:
                test.collector.stop()

    def check(self, index: int, name: str) -> None:
        """Look anew at a test, or ("") at all. Raises ValueError where there is nothing to look at."""
        if name and name not in self._tests:
            known = ", ".join(self._tests) or "none"
            raise ValueError(f"the plugs of {name[:60]!r} cannot be checked; those of {known} can")
        if not self._tests:
            raise ValueError("no test of this case has peaks or muscles by which plugs could be checked")
        for one in [name] if name else self._tests:
            self._begin(index, one)

    def planned(self, args: dict[str, Any]) -> None:
        """A plan of a test goes to the edge."""
        test = self._tests.get(args["test"])
        if test is not None and test.collector is not None:
            test.collector.planned(args)

    def baseline(self, index: int, name: str, there: bool) -> None:
        """A test has a baseline, or has none any more."""
        if test := self._tests.get(name):
            self._timeline.put(index, test.order, partial(self._based, index, test, there))

    def restart(self, index: int) -> None:
        """The signal begins anew at `index`: at the start and behind every gap."""
        for test in self._tests.values():
            if test.collector is not None:
                test.collector.restart(index)

    def exclude(self, first: int, end: int | None, reason: str, but_line: int = 0) -> None:
        """Samples that hold something else than the body; for averages of other lines than `but_line` only,
        where that is given."""
        for name, test in self._tests.items():
            other = self._plans[name].kind == "average" and self._plans[name].line != but_line
            if test.collector is not None and (other or not but_line):
                test.collector.sweeping.cutter.exclude(first, end, reason)

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> None:
        """The next contiguous samples and all stimuli in them."""
        for test in self._tests.values():
            if test.collector is None:
                continue
            for index, look in test.collector.append(counts, triggers):
                self._timeline.put(index, test.order, partial(self._take, index, test.check, look))

    def _begin(self, index: int, name: str) -> None:
        test = self._tests[name]
        test.check += 1
        test.collector = self._bench.collector(self._plans[name], test.asked, index)
        test.collector.running = test.running
        test.state, test.look, test.suspected, test.told = "waiting", None, None, ()
        self._timeline.put(index, test.order, partial(self._waiting, index, name, test.check))

    def _waiting(self, index: int, name: str, check: int) -> list[Outgoing]:
        test = self._tests[name]
        if test.check != check:
            return []
        found = tuple(
            Finding(
                one.response, one.own.name, None, "waiting", f"{one.response} of {test.site} is not seen yet"
            )
            for one in test.asked
        )
        return self._tell(index, name, 0, found, [])

    def _take(self, index: int, check: int, look: Look) -> list[Outgoing]:
        """What a look makes of its test; what it says together with the others' last looks is believed once
        the next look says it too."""
        test = self._tests[look.test]
        if test.check != check or test.state != "waiting":
            return []
        test.look = look
        faults = judge([t.look for t in self._tests.values() if t.look is not None])
        mine = [f for f in faults if any(name == look.test for name, _ in f.explains)]
        names = frozenset(f.text for f in mine)
        sure = test.suspected == names
        test.suspected = names
        shown = frozenset(t.blame for t in self._tests.values() if t.wrong)
        if look.last and not mine:  # what other tests have shown holds here too
            known = (f.reaches(look) for f in faults if self._blame(f) in shown)
            faults = [f for f in known if any(name == look.test for name, _ in f.explains)]
        else:
            faults = mine if sure else []
        found = findings(look, faults)
        state = state_of(found)
        if state == "ok" and not sure and not look.last:
            state = "waiting"
        if mine and not sure and state != "waiting":
            state = "unsure"
        return self._tell(index, look.test, look.sweeps, found, faults, state)

    def _tell(
        self,
        index: int,
        name: str,
        sweeps: int,
        found: tuple[Finding, ...],
        faults: list[Fault],
        state: State = "waiting",
    ) -> list[Outgoing]:
        """Say what is new about a test; its state, once it is judged, as an event and in the alert."""
        test = self._tests[name]
        now = state, tuple((f.response, f.verdict, f.found) for f in found)
        if test.told == now:
            return []
        test.told = now
        text = self._sentence(test, found, faults, state)
        fields = {
            "test": name,
            "state": state,
            "findings": [
                {"response": f.response, "derivation": f.derivation, "found": f.found, "verdict": f.verdict}
                | {"text": f.text}
                for f in found
            ],
            "sweeps": sweeps,
            "text": text,
        }
        changed = state != test.state or not sweeps
        test.state = state
        messages = [Outgoing(f"{PLUGS}.{name}", index, fields)]
        messages += self.heard(index, name, state) if changed else []
        if state == "waiting":
            return messages
        test.collector = None
        again = test.wrong and state == "ok" and test.based
        test.wrong = state in FAULTS or (test.wrong and state != "ok")
        if state in FAULTS:
            test.blamed = [f.text for f in found if f.verdict in FAULTS]
        said = f"{text}; its baseline was made before that: set it anew" if again else text
        return [*messages, event(index, said, PLUGS, "auto", test=name), *self._alert(index, state == "ok")]

    def _sentence(self, test: _Test, found: tuple[Finding, ...], faults: list[Fault], state: State) -> str:
        if faults:
            test.blame = "; ".join(dict.fromkeys(self._blame(fault) for fault in faults))
            return f"{test.blame}: {', '.join(f.text for f in found if f.verdict in FAULTS)}"
        if state == "waiting":
            return f"the plugs of {test.site} are being checked"
        missing = [f.text for f in found if f.verdict in ("nothing", "unsure")]
        if state == "ok":
            return "; ".join([f"the plugs of {test.site} are in order", *missing])
        return "; ".join([f"the plugs of {test.site} could not be checked", *missing])

    @staticmethod
    def _blame(fault: Fault) -> str:
        alone = all(h.what == "lines" and not h.pairs[0][1] for h in fault.exchanges)
        return f"look at {fault.text}" if alone else f"{fault.text} are exchanged"

    def _based(self, index: int, test: _Test, there: bool) -> list[Outgoing]:
        test.based = there
        return self._alert(index, False) if there and test.wrong else []

    def _alert(self, index: int, in_order: bool) -> list[Outgoing]:
        """The one alert about plugs: raised, told anew where more or less is wrong, cleared by a check that
        finds all of it in order."""
        wrong = {name: test for name, test in self._tests.items() if test.wrong}
        if not wrong:
            return self._alerts.clear(index, PLUGS, "") if in_order else []
        told: dict[str, list[str]] = {}
        for test in wrong.values():
            told.setdefault(test.blame, []).extend(test.blamed)
        text = "; ".join(f"{blame}: {', '.join(found)}" for blame, found in told.items())
        made = [test.site for test in wrong.values() if test.based]
        if made:
            text += f"; the baseline of {', '.join(made)} was made so"
        evidence = {
            "rule": "responses are where other plugs would have them",
            "index": index,
            "tests": list(wrong),
            "findings": [one for test in wrong.values() for one in test.blamed],
            "baselines": [name for name, test in wrong.items() if test.based],
        }
        return self._alerts.raise_(index, "", PLUGS, "medium", text, evidence, anew=True)
