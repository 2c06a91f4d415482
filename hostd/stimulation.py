"""From a test to what the edge fires: stimulus plans on the sample grid, and the edge's answers to commands.

Owns command numbers, who waits for which answer and who is behind which command, steps of current, and the
host's own sums of what every line has had. Limits are checked here before sending and by the edge before
firing, from one table.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hostd.arrangement import arrange
from hostd.case import Case, TestPlan
from hw import limits
from hw.link import ALL_PLANS, Description, Message, StimArm, StimLimits, StimPlan, StimStop, Stimulus

Answered = Callable[[str], None]
STOP_AGAIN_NS = 100_000_000
STOP_TRIES = 20
MOST_KEPT = 10_000
BEHIND = 10_000
"""Command numbers that a host which takes up a case leaves out: not every command is on record."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A plan that went to the edge: of which test, and who is behind it. `current_known`: somebody stated its
    current, which else is only reckoned with at the worst. `control`: the single pulse before a train."""

    test: str
    plan: StimPlan
    actor: str
    current_known: bool = False
    control: bool = False


@dataclass(frozen=True, slots=True)
class Shot:
    """One stimulus on demand: `known` as `Sent.current_known`, `step` which of the test's steps it is."""

    test: TestPlan
    plan: StimPlan
    known: bool
    step: int | None = None
    control: bool = False

    def control_pulse(self) -> "Shot":
        """A single pulse like those of this train; no step of the current is done with it."""
        plan = replace(self.plan, pulses=1, interval=0, trains=1, gap=0)
        return replace(self, plan=plan, step=None, control=True)


def plan_args(sent: Sent, test: TestPlan) -> dict[str, Any]:
    """A plan of `test` as the pipeline's command `stim.plan`; a width that is not known is 0."""
    plan = sent.plan
    return {
        "test": sent.test,
        "command": plan.command,
        "current_ma": plan.current_ua / 1e3,
        "width_us": plan.width_us if test.stimulus.width_us else 0,
        "known": sent.current_known,
        "repeats": plan.period > 0,
        "control": sent.control,
        "author": sent.actor,
    }


class Stimulation:
    """Plans of one case. `send` raises LinkError; answers come back through `answered`.

    `planned` hears of every plan before it is sent. `plans` are those that the tests have now, by name.
    """

    def __init__(
        self,
        case: Case,
        description: Description,
        send: Callable[[Message], None],
        planned: Callable[[Sent], None] = lambda sent: None,
    ) -> None:
        self._case, self._description, self._send, self._planned = case, description, send, planned
        self.plans = arrange(case, description.rate_hz)
        self._lock = threading.Lock()
        self._number = 0
        self._waiting: dict[int, Answered] = {}
        self._sent: dict[int, Sent] = {}
        self._steps: dict[str, int] = {}
        self._stops: dict[int, tuple[StimStop, int, int]] = {}
        self._sums: dict[int, list[float]] = {}

    def go_on(self, number: int, sent: Mapping[int, Sent], pulses: Mapping[tuple[int, int], int]) -> None:
        """A case goes on in which commands up to about `number` were given: plans that were `sent`, and how
        many `pulses` of each (command, line) went out."""
        self._number = number + BEHIND
        self._sent = dict(list(sent.items())[-MOST_KEPT:])
        for (command, line), n in pulses.items():
            if (was := sent.get(command)) is not None:
                self._add(line, was, n)

    def tighten(self) -> None:
        """Tell the edge the limits of the case that are stricter than the table."""
        for kind, ceiling in enumerate(self._case.ceilings):
            if ceiling != limits.CEILINGS[kind]:
                self._send(StimLimits(self._next(), kind, limits.figures(ceiling)))

    def arm(self, test: TestPlan, answered: Answered) -> None:
        """Let the edge accept this test's plan; steps of current begin anew."""
        self._steps[test.name] = 0
        self.ask(lambda number: StimArm(number, test.line, self.arm_samples), answered)

    @property
    def lines(self) -> int:
        """How many lines the edge has; 0: it cannot stimulate."""
        return self._description.lines

    @property
    def arm_samples(self) -> int:
        """For how long something is armed."""
        return round(limits.ARM_S * self._description.rate_hz)

    def start(self, test: TestPlan, answered: Answered, actor: str) -> str:
        """Ask the edge to fire `test` at its rate; the refusal, or "": then `answered` hears the edge's."""
        return _refusal(self.fire(Shot(test, self.plans[test.name], _stated(test)), answered, actor))

    def once(self, test: TestPlan, answered: Answered, actor: str, current_ma: float = 0.0) -> str:
        """Ask for one stimulus: with `current_ma`, or the next step, or as the case says (0)."""
        shot = self.shot(test, current_ma)
        return shot if isinstance(shot, str) else _refusal(self.fire(shot, answered, actor))

    def shot(self, test: TestPlan, current_ma: float = 0.0) -> Shot | str:
        """The one stimulus that `once` asks for, or why there is none; nothing is sent."""
        plan = replace(self.plans[test.name], period=0, phase=0, count=1)
        steps = test.stimulus.steps_ma
        step = self._steps.get(test.name, 0)
        if current_ma:
            return Shot(test, replace(plan, current_ua=round(current_ma * 1000)), True)
        if not steps:
            return Shot(test, plan, _stated(test))
        if step >= len(steps):
            return f"the last step of {steps[-1]:g} mA has been fired; stim.stop and arm to begin anew"
        return Shot(test, replace(plan, current_ua=round(steps[step] * 1000)), True, step)

    def fire(self, shot: Shot, answered: Answered, actor: str) -> Sent | str:
        """Ask the edge for `shot`: what was sent, whose answer `answered` hears, or the refusal. Raises
        LinkError."""
        if refusal := self.refuse(shot):
            return refusal

        def fired(refusal: str) -> None:
            if shot.step is not None and not refusal:
                self._steps[shot.test.name] = shot.step + 1
            answered(refusal)

        plan = replace(shot.plan, command=self._next())
        sent = Sent(shot.test.name, plan, actor, shot.known, shot.control)
        with self._lock:
            self._waiting[plan.command] = fired
            self._sent[plan.command] = sent
            if len(self._sent) > MOST_KEPT:
                del self._sent[next(iter(self._sent))]
        self._planned(sent)
        self._send(plan)
        return sent

    def refuse(self, shot: Shot, pulses_before: int = 0) -> str:
        """Why `shot` may not be fired by the limits, after so many pulses more; empty when it may."""
        description = self._description
        refusal = limits.refuse(shot.plan, description.rate_hz, description.lines, self._case.ceilings)
        return refusal or self._too_much(shot.plan, pulses_before)

    def step_of(self, test: TestPlan) -> float | None:
        """The current of the next step in mA; None when there is none."""
        step = self._steps.get(test.name, 0)
        return test.stimulus.steps_ma[step] if step < len(test.stimulus.steps_ma) else None

    def change_rate(self, name: str, stimulus_hz: float) -> StimPlan:
        """From the next start on `name` has another rate; the plan of it. Other tests keep theirs."""
        self._case, self.plans[name] = self._at_rate(name, stimulus_hz)
        return self.plans[name]

    def refuse_rate(self, name: str, stimulus_hz: float) -> str:
        """Why `name` may not be stimulated at `stimulus_hz`, by the limits; empty when it may."""
        description, (case, plan) = self._description, self._at_rate(name, stimulus_hz)
        return limits.refuse(plan, description.rate_hz, description.lines, case.ceilings)

    def _at_rate(self, name: str, stimulus_hz: float) -> tuple[Case, StimPlan]:
        tests = tuple(
            replace(t, stimulus_hz=stimulus_hz, rate_written=True) if t.name == name else t
            for t in self._case.tests
        )
        case = replace(self._case, tests=tests)
        return case, arrange(case, self._description.rate_hz)[name]

    def stop(self, test: TestPlan | None) -> None:
        """Stop one test's stimuli, or all; said again until the edge has answered."""
        number = self._next()
        stop = StimStop(number, ALL_PLANS if test is None else test.line)
        with self._lock:
            self._stops[number] = (stop, 0, 0)
        self._send(stop)

    def remind(self, now_ns: int) -> None:
        """Say every stop again that was not answered: a serial frame may break. Raises LinkError."""
        with self._lock:
            due = [entry for entry in self._stops.values() if now_ns - entry[1] > STOP_AGAIN_NS]
            for stop, _, tries in due:
                if tries >= STOP_TRIES:
                    del self._stops[stop.command]
                else:
                    self._stops[stop.command] = (stop, now_ns, tries + 1)
        for stop, asked_ns, _ in due:
            if asked_ns:  # the first time is when it was sent
                self._send(stop)

    def ask(self, make: Callable[[int], Message], answered: Answered) -> None:
        """Send what `make` makes of a command number; `answered` hears the edge's refusal, or empty."""
        number = self._next()
        with self._lock:
            self._waiting[number] = answered
        self._send(make(number))

    def answered(self, command: int, refusal: str) -> None:
        """The edge's answer to a command of ours."""
        with self._lock:
            waiting = self._waiting.pop(command, None)
            self._stops.pop(command, None)
        if waiting is not None:
            waiting(refusal)

    def lost(self, reason: str) -> None:
        """The link has broken: what the edge did not answer by then it never will, and does not do."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for answered in waiting.values():
            answered(reason)

    def sent(self, command: int) -> Sent | None:
        """What a command of ours was. Any thread."""
        return self._sent.get(command)

    def count(self, stimulus: Stimulus) -> None:
        """Add a pulse to what its line has had."""
        sent = self.sent(stimulus.command)
        if sent is not None:
            self._add(stimulus.line, sent, 1)

    def _add(self, line: int, sent: Sent, n: int) -> None:
        sums = self._sums.setdefault(line, [0.0, 0.0, 0.0])
        sums[0] += n
        sums[1] += n * limits.charge_nc(sent.plan)
        sums[2] += n * limits.energy_nj(sent.plan)

    def used_up(self, stimulus: Stimulus) -> str:
        """Why nothing like this pulse may follow it in this case; empty when it may. An edge that counted all
        of them stops by itself."""
        sent = self.sent(stimulus.command)
        last = sent is not None and stimulus.pulse == sent.plan.pulses * sent.plan.trains
        return self._too_much(sent.plan, 0) if sent is not None and last and sent.plan.period else ""

    def _too_much(self, plan: StimPlan, pulses_before: int) -> str:
        """Why the next stimulus would exceed what the case allows a line, by the host's own count."""
        ceiling, n = self._case.ceilings[plan.kind], plan.pulses * plan.trains + pulses_before
        for line in filter(None, (plan.line, plan.alternate)):
            had = self._sums.get(line, [0.0, 0.0, 0.0])
            for what, value, limit in (
                ("pulses", had[0] + n, ceiling.case_pulses),
                ("mC", (had[1] + n * limits.charge_nc(plan)) / 1e6, ceiling.case_charge_mc),
                ("J", (had[2] + n * limits.energy_nj(plan)) / 1e9, ceiling.case_energy_j),
            ):
                if value > limit:
                    most = f"the limit of {limit:g} {what} for {ceiling.name}"
                    return f"line {line} would have had {value:g} {what}, which exceeds {most}"
        return ""

    def _next(self) -> int:
        with self._lock:
            self._number += 1
            return self._number


def _stated(test: TestPlan) -> bool:
    """Whether the case says how strong a stimulus is."""
    s = test.stimulus
    return s.current_ma is not None or s.volts is not None or bool(s.steps_ma)


def _refusal(sent: Sent | str) -> str:
    return sent if isinstance(sent, str) else ""
