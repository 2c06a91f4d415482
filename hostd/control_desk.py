"""Does what control requests ask, as far as the state machine allows, and answers each exactly once.

Lives in the serving thread. Decides nothing itself: `states.step` does; here its actions are carried out.
"""

import json
from collections.abc import Callable
from importlib import metadata
from typing import Any

from hostd import control, wire
from hostd.bus import Bus
from hostd.case import Case, TestPlan
from hostd.case_folder import CaseFolder
from hostd.control import Request, RequestError, error_reply, ok_reply
from hostd.errors import LinkError
from hostd.intake import Intake
from hostd.processing import Command, Processing
from hostd.states import Action, CaseState, Event, RefusedError, step
from hostd.stimulation import Stimulation
from hw.lead_off import SIDE_N, SIDE_P, refuse_current
from hw.link import Description, Fault, Impedance, ImpedanceStart, ImpedanceStop, LeadWatch, Reply

Answer = Callable[[dict[str, Any]], None]
FREE_SOURCES = ("simulated", "file")
SIDES = {"auto": 0, "p": SIDE_P, "n": SIDE_N, "both": SIDE_P | SIDE_N}


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
        self._folder, self._boot, self._case_id = folder, boot, case_id
        self._plans: dict[str, TestPlan] = {t.name: t for t in case.tests}
        self._stimulation = Stimulation(case, description, intake.send)
        free = description.source in FREE_SOURCES
        stopped = tuple((t.name, "stopped") for t in case.tests)
        self.state = CaseState(stopped, description.lines > 0, free)  # type: ignore[arg-type]
        self.faults: list[str] = []
        self._impedance_number = 0
        processing.on_reply = self._edge_replied
        processing.on_fault = self._edge_fault
        processing.on_impedance = self._measured

    def start_free_tests(self) -> None:
        """Start every test of a simulated box or a recording; on hardware nothing starts by itself."""
        if self.state.free:
            for name in self._plans:
                self._do(Request(None, "test.start", {"test": name}), lambda reply: None)

    def handle(self, body: bytes, answer: Answer) -> None:
        """Answer one request, now or when it is done."""
        try:
            request = control.parse(body)
        except RequestError as error:
            answer(error.reply)
            return
        match request.command:
            case "hello":
                answer(ok_reply(request.id, self._hello()))
            case "snapshot":
                answer(ok_reply(request.id, {"messages": self._bus.snapshot()}))
            case "config.get":
                answer(ok_reply(request.id, {"case": self._case_id, "toml": self._case.text}))
            case _:
                self._change(request, self._audited(request, answer))

    def _change(self, request: Request, answer: Answer) -> None:
        """A request to change something."""
        match request.command:
            case "alert.acknowledge":
                answer(error_reply(request.id, "bad_state", f"there is no alert {request.args['id']!r}"))
            case "impedance.start" | "impedance.stop" | "leads.watch" if self._description.source == "file":
                answer(error_reply(request.id, "bad_state", "a recording has no electrodes to measure"))
            case "impedance.start" | "leads.watch" if refusal := _refused_current(request):
                answer(error_reply(request.id, "refused", refusal))
            case "leads.watch":
                self._watch(request, answer)
            case "mark" | "baseline.set" | "baseline.clear":
                self._in_pipeline(request, answer)
            case _:
                self._do(request, answer)

    def _audited(self, request: Request, answer: Answer) -> Answer:
        """Note in the case's record who asked for what, and with the answer what came of it."""
        actor = request.args.get("author") or "control"
        self._folder.audit(actor, request.command, json.dumps({"args": request.args}))

        def noted(reply: dict[str, Any]) -> None:
            refusal = reply.get("error")
            outcome = "ok" if refusal is None else f"{refusal['code']}: {refusal['message']}"
            self._folder.audit("evokd", request.command, json.dumps({"outcome": outcome}))
            answer(reply)

        return noted

    def _hello(self) -> dict[str, Any]:
        return {
            "evokd": metadata.version("evokd"),
            "schema": wire.SCHEMA_VERSION,
            "boot": self._boot,
            "case": self._case_id,
            "source": self._description.source,
            "endpoints": self._bus.addresses,
            "commands": list(control.COMMANDS),
            "tests": {name: plan.site for name, plan in self._plans.items()},
        }

    def _in_pipeline(self, request: Request, answer: Answer) -> None:
        """A command that belongs between two samples."""
        if not self.state.open:
            answer(error_reply(request.id, "bad_state", "the case is closed"))
            return
        if (test := request.args.get("test")) is not None and test not in self._plans:
            answer(self._no_such_test(request, test))
            return
        args = {"author": ""} | request.args

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

    def _do(self, request: Request, answer: Answer) -> None:
        """A command that the state machine decides on."""
        test = request.args.get("test", "")
        if "test" in request.args and test not in self._plans:
            answer(self._no_such_test(request, test))
            return
        before = self.state
        try:
            self.state, actions = step(before, Event(request.command, test))
        except RefusedError as error:
            answer(error_reply(request.id, error.code, str(error)))
            return
        outcome = _Outcome(len(actions), request.id, answer)
        for action in actions:
            try:
                self._act(action, outcome, before, request.args)
            except LinkError as error:  # what needs no link is done all the same
                self.faults.append(str(error))
                if action.kind in ("stim.start", "stim.once"):
                    self._take_back(action.test, before)
                elif action.kind == "impedance.start":
                    self._measured()
                outcome.one(("internal", str(error)))
        outcome.begun()

    def _act(self, action: Action, outcome: "_Outcome", before: CaseState, args: dict[str, Any]) -> None:
        plan = self._plans.get(action.test)
        match action.kind:
            case "average.start" | "average.stop":
                name = "test" + action.kind[len("average") :]
                args = {"test": action.test, "author": ""}
                self._queue(Command(name, args, lambda e: outcome.one(("bad_state", e) if e else None)))
            case "stim.start" | "stim.once" if plan is not None:

                def answered(refusal: str) -> None:
                    if refusal:
                        self._take_back(action.test, before)
                    outcome.one(("refused", refusal) if refusal else None)

                refusal = self._stimulation.start(plan, answered, 0 if action.kind == "stim.start" else 1)
                if refusal:
                    answered(refusal)
            case "stim.stop" | "stim.stop_all":
                self._stimulation.stop(plan)
                outcome.one(None)
            case "impedance.start":

                def begun(refusal: str) -> None:
                    if refusal:
                        self._measured()
                    outcome.one(("refused", refusal) if refusal else None)

                self._stimulation.ask(lambda number: self._impedance_start(number, args), begun)
            case "impedance.stop":
                self._stimulation.ask(ImpedanceStop, lambda refusal: None)
                outcome.one(None)
            case "close":
                self._intake.closing.set()
                outcome.one(None)

    def _watch(self, request: Request, answer: Answer) -> None:
        """Comparators on or off; the edge decides."""
        if not self.state.open:
            answer(error_reply(request.id, "bad_state", "the case is closed"))
            return

        def told(refusal: str) -> None:
            answer(error_reply(request.id, "refused", refusal) if refusal else ok_reply(request.id))

        current_na = request.args["current_na"]
        try:
            self._stimulation.ask(lambda number: LeadWatch(number, current_na), told)
        except LinkError as error:
            self.faults.append(str(error))
            answer(error_reply(request.id, "internal", str(error)))

    def _impedance_start(self, number: int, args: dict[str, Any]) -> ImpedanceStart:
        self._impedance_number = number
        sides, phantom = SIDES[args["sides"]], int(args["phantom"])
        return ImpedanceStart(number, args["current_na"], args["frequency_hz"], sides, phantom)

    def _measured(self, impedance: Impedance | None = None) -> None:
        """The measurement asked for last has ended: with this result, or before it began."""
        if impedance is not None and impedance.command != self._impedance_number:
            return  # one that was stopped
        self.state, _ = step(self.state, Event("impedance.done"))

    def _take_back(self, test: str, before: CaseState) -> None:
        """The edge did not fire: the test is what it was."""
        if self.state.of(test) == "running":
            self._queue(Command("test.stop", {"test": test, "author": ""}, lambda error: None))
        self.state = self.state.with_test(test, before.of(test))

    def _edge_replied(self, reply: Reply) -> None:
        self._stimulation.answered(reply.command, reply.refusal)

    def _edge_fault(self, fault: Fault) -> None:
        """The edge has stopped stimulating: every running test stops with it."""
        self._do(Request(None, "stim.stop"), lambda reply: None)


def _refused_current(request: Request) -> str:
    """Why this current must not flow; the edge asks the same of the same table."""
    direct, phantom = request.command == "leads.watch", request.args.get("phantom", False)
    return refuse_current(request.args["current_na"], direct, phantom)


class _Outcome:
    """Answers a request when the last of its actions is done: ok, or the first error."""

    def __init__(self, actions: int, request_id: Any, answer: Answer) -> None:
        self._open = actions + 1
        self._id, self._answer = request_id, answer
        self._error: tuple[Any, str] | None = None

    def begun(self) -> None:
        """All actions are under way."""
        self.one(None)

    def one(self, error: tuple[Any, str] | None) -> None:
        """One action is done."""
        self._error = self._error or error
        self._open -= 1
        if self._open == 0:
            self._answer(error_reply(self._id, *self._error) if self._error else ok_reply(self._id))
