"""Does what control requests ask, as far as the state machine allows, and answers each exactly once.

Lives in the serving thread. Decides nothing itself: `states.step` does; here its actions are carried out.
Who may ask for what, and the record of it, is the reception's.
"""

import contextlib
import time
from dataclasses import asdict, replace
from typing import Any

from hostd.bus import Bus
from hostd.case import Case, TestPlan
from hostd.case_folder import CaseFolder
from hostd.clients import Clients
from hostd.control import Request, error_reply, ok_reply
from hostd.control_pulse import ControlPulses
from hostd.edge_events import SELF, EdgeEvents
from hostd.errors import LinkError
from hostd.greeting import Greeting
from hostd.intake import Intake
from hostd.lead_desk import LeadDesk, refused_current
from hostd.link_watch import LinkWatch
from hostd.outcome import Outcome
from hostd.peers import LOCAL, Peer
from hostd.plug_watch import COMMAND as PLUGS_CHECK
from hostd.processing import Command, Processing
from hostd.rate_guard import RateGuard
from hostd.reception import Answer, Reception
from hostd.resume import Resumed
from hostd.states import Action, CaseState, Event, RefusedError, Role, initial, step
from hostd.stim_status import StimStatus
from hostd.stimulation import Sent, Stimulation, plan_args
from hw import limits
from hw.link import Description

FREE_SOURCES = ("simulated", "file")


class ControlDesk:
    """The state of one case and everything that may change it."""

    def __init__(
        self,
        case: Case,
        description: Description,
        bus: Bus,
        intake: Intake,
        processing: Processing,
        folder: CaseFolder,
        boot: str,
        case_id: str,
    ) -> None:
        self._case, self._description, self._bus = case, description, bus
        self._intake, self._processing = intake, processing
        self._folder, self._case_id = folder, case_id
        self._plans: dict[str, TestPlan] = {t.name: t for t in case.tests}
        self._stimulation = Stimulation(case, description, intake.send, self._planned)
        self._clients = Clients()
        self._reception = Reception(folder, self._clients, lambda: self._index)
        self._links = LinkWatch()
        sites = {name: plan.site for name, plan in self._plans.items()}
        of = (boot, case_id, description.source, bus.addresses, sites)
        self._greeting = Greeting(*of, self._clients, self._links)
        self._rates = RateGuard(case, description.rate_hz)
        self.stimuli = StimStatus(case, description.rate_hz)
        self.state: CaseState = initial(
            ((t.name, t.stimulus.mode == "single") for t in case.tests),
            description.lines > 0,
            description.source in FREE_SOURCES,
            description.rate_hz,
            limits.ARM_S,
            limits.ELECTRODE_CHECK_S,
        )
        self.faults: list[str] = []
        self._leads = LeadDesk(self._stimulation, self._happen, self.faults)
        self._shots = ControlPulses(
            self._stimulation,
            case.ceilings,
            description.rate_hz,
            lambda: self._index,
            self._refused_shot,
            self._fired,
        )
        edge = EdgeEvents(
            self._stimulation,
            self.stimuli,
            folder,
            lambda: self._index,
            self._happen,
            self.faults,
            self._shots.stimulated,
            lambda: intake.anew,
        )
        processing.sent = self._stimulation.sent
        processing.on_reply = edge.replied
        processing.on_fault = edge.fault
        processing.on_impedance = self._leads.measured
        processing.on_stimulus = edge.stimulated
        processing.on_unfired = edge.unfired
        processing.on_stim_state = edge.state
        processing.on_mains = self._rates.measured
        processing.on_electrosurgery = edge.electrosurgery
        processing.on_undelivered = edge.undelivered
        processing.on_replicate = self._replicate

    def go_on(self, resumed: Resumed) -> None:
        """Take up a case where it stood; what ran is stopped, since its stimulation was."""
        was = resumed.desk
        self._stimulation.go_on(was.command, was.sent, was.pulses)
        for name, stimulus_hz in was.rates.items():
            plan = self._stimulation.change_rate(name, stimulus_hz)
            self._rates.changed(name, Request(None, "test.rate", {"rate_hz": stimulus_hz}), plan.period)
        running = (replace(self.state.of(name), running=True) for name in was.running if name in self._plans)
        checked_at = was.checked_at if resumed.same_edge else None
        self.state = replace(self.state.having(*running), checked_at=checked_at)
        detail = {"sample": resumed.on_file.end, "computed_from": resumed.begins, "why": resumed.why}
        self._folder.audit(SELF, "case.resumed", detail, resumed.on_file.end)

    def tighten(self) -> None:
        """Tell the edge the case's limits."""
        if self._description.lines:
            self._stimulation.tighten()

    def start_free_tests(self) -> None:
        """Start every test of a simulated box or a recording; on hardware nothing starts by itself."""
        if self.state.free:
            for name in self._plans:
                self._do(Request(None, "test.start", {"test": name}), self._not_started(name))

    def _replicate(self, test: str) -> None:
        """A suspicion wants another answer of `test`: fired as if asked for, where that is allowed."""
        if self._plans[test].stimulus.mode == "single":
            request = Request(None, "stim.fire", {"test": test})
            self._do(request, self._reception.of_the_box(request))

    def _not_started(self, name: str) -> Answer:
        """Tells of a test that does not start by itself: nobody waits for the answer."""

        def told(reply: dict[str, Any]) -> None:
            if not reply["ok"]:
                self.faults.append(f"test {name} was not started: {reply['error']['message']}")

        return told

    def tick(self, now_ns: int) -> None:
        """Time passes: what was armed too long is disarmed, stops that were not answered are said again."""
        self._happen("tick")
        for change, name in self._links.changed(now_ns) if self.state.open else ():
            self._queue(Command(change, {"client": name}, lambda error: None))
        with contextlib.suppress(LinkError):  # told when it was asked for first
            self._stimulation.remind(now_ns)

    @property
    def mirrors(self) -> list[str]:
        """Buses on which everything is said again now."""
        return self._links.mirrors

    def look(self) -> None:
        """Samples have come: a train whose control is over is fired."""
        self._shots.look()

    def handle(self, body: bytes, answer: Answer, peer: Peer = LOCAL) -> None:
        """Answer one request, now or when it is done."""
        asked = self._reception.admit(body, answer, peer)
        if asked is None:
            return
        request, answer = asked.request, asked.answer
        self._links.heard(self._clients.name(peer), time.monotonic_ns())
        match request.command:
            case "hello":
                self._greeting.greet(request, answer, peer)
            case "snapshot":
                answer(ok_reply(request.id, {"messages": self._bus.snapshot()}))
            case "config.get":
                answer(ok_reply(request.id, {"case": self._case_id, "toml": self._case.text}))
            case _:
                self._change(request, answer, asked.actor, asked.role)

    @property
    def _index(self) -> int:
        return self._processing.index

    def _change(self, request: Request, answer: Answer, actor: str, role: Role) -> None:
        """A request to change something."""
        match request.command:
            case "impedance.start" | "impedance.stop" | "leads.watch" if self._description.source == "file":
                answer(error_reply(request.id, "bad_state", "a recording has no electrodes to measure"))
            case "impedance.start" | "leads.watch" if refusal := refused_current(request):
                answer(error_reply(request.id, "refused", refusal))
            case "leads.watch":
                if self.state.open:
                    self._leads.watch(request, answer)
                else:
                    answer(error_reply(request.id, "bad_state", "the case is closed"))
            case (
                "mark"
                | "baseline.set"
                | "baseline.clear"
                | "alert.acknowledge"
                | "alert.note"
                | "alarm.signal"
                | "case.critical"
                | "plugs.check"
            ):
                self._in_pipeline(request, answer, actor)
            case _:
                self._do(request, answer, actor, role)

    def _in_pipeline(self, request: Request, answer: Answer, actor: str) -> None:
        """A command that belongs between two samples."""
        if not self.state.open:
            answer(error_reply(request.id, "bad_state", "the case is closed"))
            return
        watched = {watch.name for watch in self._case.watches}
        test = request.args.get("test")
        every = request.command == PLUGS_CHECK and not test
        if test is not None and not every and test not in self._plans and test not in watched:
            answer(self._no_such_test(request, test))
            return
        args = {"author": ""} | request.args
        if request.command in (
            "alert.acknowledge",
            "alert.note",
            "alarm.signal",
            "case.critical",
            PLUGS_CHECK,
        ):
            args["author"] = actor

        def done(error: str | None) -> None:
            answer(error_reply(request.id, "bad_state", error) if error else ok_reply(request.id))

        self._queue(Command(request.command, args, done))

    def _queue(self, command: Command) -> None:
        if self._processing.ended.is_set():
            command.done("the case has ended")
        else:
            self._intake.items.put(command)

    def _no_such_test(self, request: Request, test: str) -> dict[str, Any]:
        return error_reply(
            request.id, "bad_request", f"no test {test[:60]!r}; there are {', '.join(self._plans)}"
        )

    def _do(self, request: Request, answer: Answer, actor: str = SELF, role: Role = "operator") -> None:
        """A command that the state machine decides on."""
        test = request.args.get("test", "")
        if "test" in request.args and test not in self._plans:
            answer(self._no_such_test(request, test))
            return
        before = self.state
        try:
            after, actions = step(before, Event(request.command, test, self._index, role))
            if rate := self._refused_rate(request):
                raise RefusedError("refused", rate)
        except RefusedError as error:
            answer(error_reply(request.id, error.code, str(error)))
            return
        self.state = after
        outcome = Outcome(len(actions), request.id, answer)
        if request.command in ("test.start", "test.rate") and before.can_stimulate:
            self._settle_rate(request, outcome)
        self._carry_out(actions, outcome, before, request.args, actor)
        self._shots.check()

    def _happen(self, kind: str, value: int = 0) -> None:
        """Something has happened that nobody asked for; what follows from it."""
        before = self.state
        self.state, actions = step(before, Event(kind, index=self._index, value=value))
        self._carry_out(actions, Outcome(len(actions), None, lambda reply: None), before, {}, SELF)
        self._shots.check()

    def _refused_shot(self, test: str) -> str:
        """Why a test may not be fired now; empty when it may."""
        try:
            step(self.state, Event("stim.fire", test, self._index))
        except RefusedError as error:
            return str(error)
        return ""

    def _fired(self, test: str) -> None:
        """A single stimulus went out."""
        self.state, _ = step(self.state, Event("edge.fired", test, self._index))

    def _carry_out(
        self,
        actions: tuple[Action, ...],
        outcome: Outcome,
        before: CaseState,
        args: dict[str, Any],
        actor: str,
    ) -> None:
        for action in actions:
            try:
                self._act(action, outcome, before, args, actor)
            except LinkError as error:  # what needs no link is done all the same
                self.faults.append(str(error))
                if action.kind in ("stim.start", "stim.once", "stim.arm"):
                    self._take_back(action.test, before, self.state)
                elif action.kind == "impedance.start":
                    self._leads.measured()
                outcome.one(("internal", str(error)))
        outcome.begun()

    def _refused_rate(self, request: Request) -> str:
        """Why a test must not be stimulated at the rate that it has, or is to have from now on; a recording
        is as it is."""
        if request.command not in ("test.start", "test.rate"):
            return ""
        if not self.state.can_stimulate:
            return "this source cannot stimulate" if request.command == "test.rate" else ""
        plan = self._plans[request.args["test"]]
        if refusal := self._rates.refuse(plan, request):
            return refusal
        period = self._rates.choose(plan, request)
        rate_hz = self._description.rate_hz
        return "" if period is None else self._stimulation.refuse_rate(plan.name, rate_hz / period)

    def _settle_rate(self, request: Request, outcome: Outcome) -> None:
        """The rate that a test starts with: as it was, asked for, or tuned to the mains as measured."""
        name = request.args["test"]
        wanted = self._rates.choose(self._plans[name], request)
        plan = self._stimulation.plans[name]
        if wanted is not None and (request.command == "test.rate" or wanted != plan.period):
            stimulus_hz = self._description.rate_hz / wanted
            plan = self._stimulation.change_rate(name, stimulus_hz)
            self._rates.changed(name, request, plan.period)
            args = {"test": name, "rate_hz": stimulus_hz, "period": plan.period, "author": ""}
            self._queue(Command("test.rate", args, lambda error: None))
        if plan.period:
            outcome.result = {
                "rate_hz": self._description.rate_hz / plan.period,
                "period_samples": plan.period,
                **self._rates.report(plan.period),
            }

    def _act(
        self, action: Action, outcome: Outcome, before: CaseState, args: dict[str, Any], actor: str
    ) -> None:
        plan = self._plans.get(action.test)
        match action.kind:
            case "average.start" | "average.stop":
                name = "test" + action.kind[len("average") :]
                args = {"test": action.test, "author": ""}
                self._queue(Command(name, args, lambda e: outcome.one(("bad_state", e) if e else None)))
            case "stim.arm" | "stim.start" | "stim.once" if plan is not None:
                asked = self.state

                def answered(refusal: str) -> None:
                    if refusal:
                        self._take_back(action.test, before, asked)
                    elif action.kind == "stim.once":
                        self._fired(action.test)
                    outcome.one(("refused", refusal) if refusal else None)

                if action.kind == "stim.arm":
                    self._stimulation.arm(plan, answered)
                    return
                if action.kind == "stim.start":
                    refusal = self._stimulation.start(plan, answered, actor)
                else:
                    refusal = self._shots.fire(plan, answered, actor, args.get("current_ma", 0.0))
                if refusal:
                    answered(refusal)
            case "stim.stop" | "stim.stop_all":
                self._stimulation.stop(plan)
                outcome.one(None)
            case "impedance.start":
                self._leads.begin(args, lambda r: outcome.one(("refused", r) if r else None))
            case "impedance.stop":
                self._leads.end()
                outcome.one(None)
            case "disarmed":
                self._folder.audit(SELF, "disarmed", {"test": action.test}, self._index)
                outcome.one(None)
            case "close":
                self._intake.closing.set()
                outcome.one(None)

    def _planned(self, sent: Sent) -> None:
        """A plan is about to be sent: what its pulses are goes into the record before the first of them."""
        args = plan_args(sent, self._plans[sent.test])
        detail = {"test": sent.test, **asdict(sent.plan)} | ({"control": True} if sent.control else {})
        self._folder.audit(sent.actor, "stim.plan", detail, self._index)
        self._queue(Command("stim.plan", args, lambda error: None))

    def _take_back(self, test: str, before: CaseState, asked: CaseState) -> None:
        """The edge did not fire: the test is what it was, unless it was stopped since it was `asked`; one
        that was to go on at another rate is stopped, since its average is of that rate."""
        was, now = before.of(test), self.state.of(test)
        if now != asked.of(test):
            return
        if was.running and now.running and not was.single:
            self._do(Request(None, "test.stop", {"test": test}), lambda reply: None)
            return
        if now.running and not was.running:
            self._queue(Command("test.stop", {"test": test, "author": ""}, lambda error: None))
        self.state = self.state.having(was)

    def stimulation_status(self) -> dict[str, Any]:
        """What `status` says of stimulation."""
        steps = {n: self._stimulation.step_of(t) for n, t in self._plans.items() if t.stimulus.steps_ma}
        return self.stimuli.fields(self.state, self._stimulation.plans, steps)
