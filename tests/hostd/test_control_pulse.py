"""A control pulse and its train: the order in which they go out, and what stops the second one."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd import casefile
from hostd.case import Case, TestPlan
from hostd.control_pulse import Action, ControlPulses, Event, Pair, between_samples, step, wanted
from hostd.errors import CaseFileError, LinkError
from hostd.stimulation import Sent, Stimulation, plan_args
from hw import limits
from hw.link import NOT_SEEN, Description, Message, StimPlan, Stimulus
from tests.support.looped import Looped, plan

RATE_HZ = 4000.0
MUSCLES = ("OORR1", "OORR2", "MENR1", "MENR2")
PAIR = Pair(between=360, until=1000, patience=1000)
PROVEN = Event("proof", 100)


def face(more: str = "volts = 450\n", head: str = "") -> Case:
    listed = ", ".join(f'"{name}"' for name in MUSCLES)
    text = f'name = "x"\n[acquisition]\nrate_hz = 4000\nchannels = [{listed}]\n{head}'
    return casefile.parse(f'{text}[test.face]\nmodality = "comep"\nside = "left"\nline = 1\n{more}', "x.toml")


def told(*events: Event, pair: Pair = PAIR) -> list[Action]:
    actions = []
    for event in events:
        pair, action = step(pair, event)
        actions += [action] if action is not None else []
    return actions


EVENTS = st.one_of(
    st.builds(Event, st.sampled_from(["proof", "reached"]), st.integers(0, 3000)),
    st.builds(Event, st.sampled_from(["answer", "stopped"]), text=st.sampled_from(["", "no"])),
    st.just(Event("missing")),
)


@given(st.lists(EVENTS, max_size=12))
def test_a_train_is_fired_once_and_late_enough_or_never_and_there_is_one_answer(events: list[Event]) -> None:
    pair, actions, seen, ended = PAIR, [], None, False
    for event in events:
        before = pair.phase
        pair, action = step(pair, event)
        if event.kind == "proof" and before == "control":
            seen = event.index
        if action is not None and action.kind == "fire":
            assert seen is not None and event.index >= seen + PAIR.between and not ended
        actions += [action] if action is not None else []
        ended = ended or pair.phase == "over"
    kinds = [action.kind for action in actions]
    assert kinds in ([], ["fire"], ["answer"], ["fire", "answer"])
    assert (pair.phase == "over") == ("answer" in kinds)
    last = [Event("answer", text="x"), Event("reached", 10_000), Event("reached", 20_000), Event("stopped")]
    for event in last:  # whatever it waits for: the edge that says nothing more is given up
        pair, action = step(pair, event)
        actions += [action] if action is not None else []
    assert [action.kind for action in actions].count("answer") == 1


def test_a_train_waits_for_proof_and_window_of_its_control() -> None:
    accepted = Event("answer")
    assert told(accepted, Event("reached", 459)) == []
    assert told(accepted, PROVEN, Event("reached", 459)) == []
    assert told(accepted, PROVEN, Event("reached", 460)) == [Action("fire")]
    both = accepted, PROVEN, Event("reached", 460), accepted
    assert told(*both) == [Action("fire"), Action("answer")]
    assert told(*both[:3], Event("answer", text="locked")) == [Action("fire"), Action("answer", "locked")]


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([Event("answer", text="it is not armed; arm it first")], "it is not armed; arm it first"),
        ([Event("missing")], "the control pulse never came back in the samples; the train was not fired"),
        ([Event("stopped", text="no")], "the train was not fired: no"),
        ([PROVEN, Event("stopped", text="no"), Event("reached", 9000)], "the train was not fired: no"),
        (
            [Event("answer"), Event("reached", 1001), PROVEN, Event("reached", 9000)],
            "the edge has not told of the control pulse; the train was not fired",
        ),
    ],
)
def test_what_goes_wrong_with_the_control_answers_for_both(events: list[Event], text: str) -> None:
    assert told(*events) == [Action("answer", text)]


def test_a_stop_leaves_a_train_on_its_way_to_the_edge_which_answers_it() -> None:
    sent = PROVEN, Event("reached", 500), Event("stopped", text="no"), Event("reached", 1500)
    assert told(*sent) == [Action("fire")]
    silent = "the edge has not answered the train after its control pulse"
    assert told(*sent, Event("reached", 1501)) == [Action("fire"), Action("answer", silent)]


def test_the_control_s_window_is_over_first_and_the_edge_has_time_for_the_rest_of_the_line() -> None:
    test, transcranial = face().tests[0], limits.CEILINGS[limits.KINDS.index("transcranial")]
    assert test.window_ms[1] == 90
    rest = round(RATE_HZ / transcranial.rate_hz)
    between = between_samples(test, transcranial, RATE_HZ)
    assert between == rest - RATE_HZ * 0.4
    fast = limits.CEILINGS[limits.KINDS.index("peripheral")]
    assert between_samples(test, fast, RATE_HZ) == 360  # 90 ms
    (short,) = face("volts = 450\nwindow_ms = [-50, 46]\n").tests
    assert between_samples(short, fast, RATE_HZ) == 240  # 60 ms at least


def test_only_trains_on_demand_have_a_control() -> None:
    assert wanted(face().tests[0])
    assert not wanted(face("volts = 450\npulses = 1\n").tests[0])
    assert not wanted(face("volts = 450\ncontrol_pulse = false\n").tests[0])
    assert not wanted(face('fire = "repeat"\nrate_hz = 0.3001\nvolts = 450\n').tests[0])
    with pytest.raises(CaseFileError, match="a single pulse is its own control"):
        face("volts = 450\npulses = 1\ncontrol_pulse = true\n")
    with pytest.raises(CaseFileError, match="only a stimulus on demand can wait"):
        face('fire = "repeat"\nrate_hz = 0.3001\nvolts = 450\ncontrol_pulse = true\n')


class Desk:
    """Control pulses whose link is a list; `index` is the sample reached, `why` the test may not be fired."""

    def __init__(self, case: Case, send: Callable[[Message], None] = lambda message: None) -> None:
        self.case, self.test = case, case.tests[0]
        self.sent: list[StimPlan] = []
        self.planned: list[Sent] = []
        self.answers: list[str] = []
        self.fired: list[str] = []
        self.index, self.why, self.cut = 0, "", False

        def sending(message: Message) -> None:
            if self.cut:
                raise LinkError("cut")
            if isinstance(message, StimPlan):
                self.sent.append(message)
            send(message)

        description = Description("bench", RATE_HZ, case.channels, (1.0,) * 4, (0.0,) * 4, 0.0, 4)
        self.stimulation = Stimulation(case, description, sending, self.planned.append)
        self.pulses = ControlPulses(
            self.stimulation,
            case.ceilings,
            RATE_HZ,
            lambda: self.index,
            lambda test: self.why,
            self.fired.append,
        )

    def fire(self, current_ma: float = 0.0, test: TestPlan | None = None) -> str:
        return self.pulses.fire(test or self.test, self.answers.append, "me", current_ma)

    def answer(self, refusal: str = "") -> None:
        self.stimulation.answered(self.sent[-1].command, refusal)

    def prove(self, at: int, seen: int | None = None) -> None:
        """The first pulse of the last shot went out and was seen a sample later."""
        command, line = self.sent[-1].command, self.test.line
        stimulus = Stimulus(line, command, 1, line, at, at + 1 if seen is None else seen)
        self.stimulation.count(stimulus)
        self.pulses.stimulated(stimulus)

    def reach(self, index: int) -> None:
        self.index = index
        self.pulses.look()

    def control(self) -> None:
        """Fire, and let the control go out at sample 100."""
        assert self.fire() == ""
        self.answer()
        self.prove(100)


def test_the_control_is_one_pulse_of_the_train_s_current_and_goes_first() -> None:
    desk = Desk(face())
    assert desk.fire() == ""
    (control,) = desk.sent
    assert (control.pulses, control.trains, control.interval, control.period, control.count) == (
        *(1, 1, 0, 0),
        1,
    )
    desk.answer()
    desk.reach(3000)
    assert len(desk.sent) == 1 and desk.answers == [] and desk.fired == [], "not before it was proven"
    desk.prove(3000)
    assert desk.fired == ["face"]
    desk.reach(3001 + 2399)
    assert len(desk.sent) == 1, "not as long before its line has rested"
    desk.reach(3001 + 2400)
    train = desk.sent[1]
    assert (train.pulses, train.line, train.plan) == (4, control.line, control.plan)
    assert (train.current_ua, train.width_us) == (control.current_ua, control.width_us) == (450_000, 50)
    assert desk.answers == []
    desk.answer()
    assert desk.answers == [""]
    desk.reach(50_000)
    assert len(desk.sent) == 2 and desk.answers == [""] and desk.fired == ["face"]
    assert [(s.control, s.current_known, s.actor) for s in desk.planned] == [
        (True, True, "me"),
        (False, True, "me"),
    ]
    args = [plan_args(sent, desk.test) for sent in desk.planned]
    assert [one["control"] for one in args] == [True, False]
    assert args[0]["current_ma"] == args[1]["current_ma"] == 450


def test_a_refused_control_has_no_train() -> None:
    desk = Desk(face())
    assert desk.fire() == ""
    desk.answer("it is not armed; arm it first")
    desk.prove(100)
    desk.reach(5000)
    assert len(desk.sent) == 1 and desk.answers == ["it is not armed; arm it first"] and desk.fired == []
    assert desk.fire() == "" and len(desk.sent) == 2, "the next request begins anew"


def test_what_stops_the_test_in_between_answers_and_nothing_more_is_fired() -> None:
    desk = Desk(face())
    desk.control()
    desk.why = "test face is stopped, not armed; stim.arm it first"
    desk.pulses.check()
    assert desk.answers == [f"the train was not fired: {desk.why}"]
    desk.why = ""  # armed again at once
    for index in (2101, 50_000):
        desk.reach(index)
    assert len(desk.sent) == 1 and len(desk.answers) == 1


def test_an_arming_that_ran_out_is_seen_when_the_train_is_due() -> None:
    desk = Desk(face())
    desk.control()
    desk.why = "test face is stopped, not armed; stim.arm it first"  # and no event has told of it
    desk.reach(5000)
    assert len(desk.sent) == 1 and desk.answers == [f"the train was not fired: {desk.why}"]


def test_a_pulse_that_was_given_up_is_followed_by_none() -> None:
    desk = Desk(face())
    assert desk.fire() == ""
    desk.answer()
    desk.prove(100, NOT_SEEN)
    desk.reach(50_000)
    assert len(desk.sent) == 1 and len(desk.answers) == 1 and "never came back" in desk.answers[0]


def test_a_link_that_breaks_answers_once_whichever_shot_is_under_way() -> None:
    desk = Desk(face())
    assert desk.fire() == ""
    desk.stimulation.lost("the link broke")
    desk.prove(100)
    desk.reach(5000)
    assert desk.answers == ["the link broke"] and len(desk.sent) == 1
    desk.control()
    desk.reach(10_000)
    assert len(desk.sent) == 3
    desk.stimulation.lost("the link broke")
    assert desk.answers == ["the link broke"] * 2


def test_a_link_that_is_gone_when_the_train_is_due_answers_once() -> None:
    desk = Desk(face())
    desk.control()
    desk.cut = True
    desk.reach(5000)
    assert desk.answers == ["the train was not fired: cut"]
    desk.cut = False
    desk.stimulation.lost("the link broke")
    desk.reach(50_000)
    assert len(desk.answers) == 1 and len(desk.sent) == 1
    desk.cut = True
    with pytest.raises(LinkError):
        desk.fire()
    desk.cut = False
    assert desk.fire() == "", "what could not be sent is not under way"


def test_one_request_at_a_time() -> None:
    desk = Desk(face())
    desk.control()
    assert "test face is being fired" in desk.fire()
    desk.reach(5000)
    assert "test face is being fired" in desk.fire()
    desk.answer()
    assert desk.fire() == "" and len(desk.sent) == 3


def test_a_proof_of_another_command_is_none_of_the_control() -> None:
    desk = Desk(face())
    assert desk.fire() == ""
    desk.answer()
    desk.pulses.stimulated(Stimulus(1, desk.sent[0].command + 1, 1, 1, 100, 101))
    desk.reach(5000)
    assert len(desk.sent) == 1 and desk.fired == []


def test_limits_of_the_train_are_checked_before_its_control_is_fired() -> None:
    desk = Desk(face("width_us = 100\n"))
    assert "energy of" in desk.fire(current_ma=1000) and desk.sent == [] and desk.planned == []
    few = Desk(face(head="[limits.transcranial]\ncase_pulses = 4\n"))
    assert "line 1 would have had 5 pulses, which exceeds the limit of 4" in few.fire()
    assert few.sent == []


def test_a_step_of_current_is_done_with_its_train() -> None:
    desk = Desk(face("steps_ma = [100, 200]\n"))
    desk.control()
    assert desk.stimulation.step_of(desk.test) == 100
    desk.why = "stopped"
    desk.pulses.check()
    assert desk.stimulation.step_of(desk.test) == 100, "that one was never fired"
    desk.why = ""
    desk.control()
    desk.reach(5000)
    desk.answer()
    assert desk.stimulation.step_of(desk.test) == 200
    assert [one.current_ua for one in desk.sent] == [100_000] * 3


def test_a_test_without_a_control_is_fired_as_it_was() -> None:
    desk = Desk(face("volts = 450\ncontrol_pulse = false\n"))
    assert desk.fire() == ""
    assert [one.pulses for one in desk.sent] == [4]
    desk.answer()
    assert desk.answers == [""]


class Edge:
    """The real arbiter behind a desk; `other`: a repeating plan beside the face."""

    def __init__(self, case: Case, other: StimPlan | None = None) -> None:
        self.box = Looped(RATE_HZ)
        self.desk = Desk(case, lambda message: self.box.sequencer.command(message))  # type: ignore[arg-type]
        self.told = [0, 0]
        if other is not None:
            self.box.sequencer.start(other)
        self.desk.stimulation.arm(self.desk.test, lambda refusal: None)

    def run(self, until: int) -> "Edge":
        """What the edge says is heard 200 samples (50 ms) later."""
        while self.box.index < until:
            self.box.run(min(self.box.index + 200, until))
            replies, proofs = self.box.replies, self.box.proofs
            for reply in replies[self.told[0] :]:
                self.desk.stimulation.answered(reply.command, reply.refusal)
            for proof in proofs[self.told[1] :]:
                self.desk.pulses.stimulated(proof)
            self.told = [len(replies), len(proofs)]
            self.desk.reach(self.box.index)
        return self


def test_the_edge_fires_the_train_at_the_end_of_the_line_s_rest() -> None:
    edge = Edge(face()).run(1000)
    assert edge.desk.fire() == ""
    edge.run(9000)
    assert edge.box.rises() == [1000, 5000, 5008, 5016, 5024] and edge.desk.answers == [""]
    assert edge.box.faults == []


def test_other_tests_make_room_for_both() -> None:
    edge = Edge(face(), plan(2, line=2, period=1500, guard=1400)).run(1000)
    assert edge.desk.fire() == ""
    edge.run(12_000)
    assert edge.desk.answers == [""]
    control, *train = edge.box.rises()
    assert 4000 <= train[0] - control <= 5500 and [b - train[0] for b in train] == [0, 8, 16, 24]


def test_the_edge_locked_or_stopped_in_between_refuses_the_train() -> None:
    for at in (2000, 4000):  # before the train is sent, and while the edge holds it
        edge = Edge(face()).run(1000)
        assert edge.desk.fire() == ""
        edge.run(at)
        edge.box.sequencer.stop()
        edge.run(12_000)
        assert edge.box.rises() == [1000] and len(edge.desk.answers) == 1 and edge.desk.answers[0]
