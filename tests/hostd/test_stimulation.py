"""Stimulation as the host asks for it: limits first, answers to whom they belong, stops until answered."""

from dataclasses import replace

import pytest

from hostd import casefile
from hostd.case import StimulusPlan, TestPlan
from hostd.errors import LinkError
from hostd.stimulation import STOP_AGAIN_NS, STOP_TRIES, Sent, Stimulation, plan_args
from hw import limits
from hw.link import ALL_PLANS, Description, Message, StimArm, StimLimits, StimPlan, StimStop, Stimulus

CASE = casefile.procedure("median_ssep")
LEFT, RIGHT = CASE.tests
DESCRIPTION = Description("bench", 4000.0, CASE.channels, (1.0,) * 8, (0.0,) * 8, 0.0, 4)
STEPS = StimulusPlan("nerve", "single", steps_ma=(2.0, 5.0, 9.0), width_us=200.0)


class Desk:
    """A stimulation whose link is a list."""

    def __init__(self, *tests: TestPlan, ceilings: tuple[limits.Ceiling, ...] = limits.CEILINGS) -> None:
        self.sent: list[Message] = []
        self.planned: list[Sent] = []
        self.answers: list[str] = []
        case = replace(CASE, tests=tests or CASE.tests, ceilings=ceilings)
        self.stimulation = Stimulation(case, DESCRIPTION, self.sent.append, self.planned.append)

    def answer(self, refusal: str = "") -> None:
        """The edge's answer to the last command."""
        self.stimulation.answered(self.sent[-1].command, refusal)  # type: ignore[union-attr]


def single(stimulus: StimulusPlan = STEPS) -> TestPlan:
    return replace(LEFT, name="screw", stimulus_hz=0.0, stimulus=stimulus)


@pytest.mark.control("H2.2")
def test_limits_are_checked_before_anything_is_sent() -> None:
    fast = replace(LEFT, stimulus_hz=60.0)
    desk = Desk(fast, RIGHT)
    refusal = desk.stimulation.start(fast, desk.answers.append, "me")
    assert "rate limit of 50 Hz for peripheral" in refusal
    assert desk.sent == [] and desk.answers == [] and desk.planned == []


def test_answers_come_to_whom_they_belong_and_once() -> None:
    desk = Desk()
    assert desk.stimulation.start(RIGHT, desk.answers.append, "me") == ""
    (plan,) = desk.sent
    assert isinstance(plan, StimPlan) and plan.line == RIGHT.line and plan.count == 0
    assert desk.planned == [Sent(RIGHT.name, plan, "me")]
    assert desk.stimulation.sent(plan.command) == desk.planned[0]
    desk.stimulation.answered(plan.command + 1, "somebody else's")
    assert desk.answers == []
    desk.stimulation.answered(plan.command, "no")
    desk.stimulation.answered(plan.command, "once only")
    assert desk.answers == ["no"]


def test_what_the_edge_did_not_answer_before_the_link_broke_is_answered_once_and_stops_are_kept() -> None:
    desk = Desk(RIGHT)
    heard: list[str] = []
    assert desk.stimulation.start(RIGHT, heard.append, "me") == ""
    desk.stimulation.arm(RIGHT, heard.append)
    desk.stimulation.stop(None)
    desk.stimulation.lost("the link broke")
    assert heard == ["the link broke"] * 2
    desk.stimulation.lost("again")
    desk.stimulation.answered(1, "late")
    assert heard == ["the link broke"] * 2
    sent = len(desk.sent)
    for now_ns in (10 * STOP_AGAIN_NS, 12 * STOP_AGAIN_NS):
        desk.stimulation.remind(now_ns)
    assert isinstance(desk.sent[-1], StimStop) and len(desk.sent) == sent + 1


@pytest.mark.control("H2.8")
def test_what_a_line_may_have_in_a_case_is_used_up_by_the_hosts_own_count() -> None:
    desk = Desk(RIGHT, ceilings=tuple(replace(c, case_pulses=3) for c in limits.CEILINGS))
    desk.stimulation.start(RIGHT, desk.answers.append, "me")
    command = desk.sent[-1].command  # type: ignore[union-attr]
    said = []
    for number in (1, 2, 3):
        pulse = Stimulus(RIGHT.line, command, number, RIGHT.line, 100 * number, 100 * number + 1)
        desk.stimulation.count(pulse)
        said.append(desk.stimulation.used_up(pulse))
    assert said[:2] == ["", ""] and "exceeds the limit of 3 pulses" in said[2]
    assert desk.stimulation.used_up(replace(pulse, command=999)) == "", "nobody's"
    assert desk.stimulation.used_up(replace(pulse, pulse=2)) == "", "a train is not over"


def test_every_command_has_a_number_of_its_own() -> None:
    desk = Desk()
    desk.stimulation.arm(LEFT, desk.answers.append)
    desk.stimulation.start(LEFT, desk.answers.append, "me")
    desk.stimulation.once(RIGHT, desk.answers.append, "me")
    desk.stimulation.stop(RIGHT)
    desk.stimulation.stop(None)
    numbers = [m.command for m in desk.sent]  # type: ignore[union-attr]
    assert len(set(numbers)) == len(numbers) == 5
    assert [m.plan for m in desk.sent if isinstance(m, StimStop)] == [RIGHT.line, ALL_PLANS]
    assert [m.samples for m in desk.sent if isinstance(m, StimArm)] == [round(limits.ARM_S * 4000)]


def test_one_stimulus_of_a_repeating_test_is_a_plan_without_a_period() -> None:
    desk = Desk()
    assert desk.stimulation.once(LEFT, desk.answers.append, "me") == ""
    (plan,) = desk.sent
    assert isinstance(plan, StimPlan)
    assert (plan.period, plan.phase, plan.count) == (0, 0, 1)


def test_steps_of_current_ascend_with_every_stimulus_that_was_fired() -> None:
    desk = Desk(test := single())
    desk.stimulation.arm(test, desk.answers.append)
    currents = []
    for refusal in ("", "no room", "", ""):
        assert desk.stimulation.step_of(test) is not None
        assert desk.stimulation.once(test, desk.answers.append, "me") == ""
        currents.append(desk.sent[-1].current_ua)  # type: ignore[union-attr]
        desk.answer(refusal)
    assert currents == [2000, 5000, 5000, 9000]
    assert desk.stimulation.step_of(test) is None
    refusal = desk.stimulation.once(test, desk.answers.append, "me")
    assert refusal == "the last step of 9 mA has been fired; stim.stop and arm to begin anew"
    desk.stimulation.arm(test, desk.answers.append)
    assert desk.stimulation.step_of(test) == 2.0


def test_a_current_asked_for_is_no_step_and_is_held_to_the_limits() -> None:
    desk = Desk(test := single())
    assert desk.stimulation.once(test, desk.answers.append, "me", current_ma=4.0) == ""
    desk.answer()
    assert desk.stimulation.step_of(test) == 2.0
    refusal = desk.stimulation.once(test, desk.answers.append, "me", current_ma=31.0)
    assert refusal == "current of 31 mA exceeds the limit of 30 mA for nerve"


def test_which_current_was_stated_and_which_only_reckoned_with() -> None:
    right = replace(RIGHT, stimulus=replace(RIGHT.stimulus, current_ma=25.0, width_us=0.0))
    volts = replace(RIGHT, name="volts", line=4, stimulus=StimulusPlan("transcranial", "single", volts=300.0))
    screw = replace(single(), line=3)
    desk = Desk(LEFT, right, screw, volts)
    for test in (LEFT, right):
        assert desk.stimulation.start(test, desk.answers.append, "me") == ""
    worst_ma = desk.planned[0].plan.current_ua / 1e3
    for test, current_ma in ((screw, 0.0), (volts, 0.0), (LEFT, 0.0), (LEFT, worst_ma)):
        assert desk.stimulation.once(test, desk.answers.append, "me", current_ma) == ""
    assert [sent.current_known for sent in desk.planned] == [False, True, True, True, False, True]


def test_a_plan_in_the_record_says_what_is_known_of_its_pulses() -> None:
    wide = replace(RIGHT, stimulus=replace(RIGHT.stimulus, current_ma=25.0, width_us=0.0))
    desk = Desk(LEFT, wide)
    for test in (LEFT, wide):
        desk.stimulation.start(test, desk.answers.append, "me")
    left, right = (plan_args(sent, test) for sent, test in zip(desk.planned, (LEFT, wide), strict=True))
    assert (left["known"], left["width_us"]) == (False, 200)
    assert (right["known"], right["width_us"], right["current_ma"]) == (True, 0, 25.0)
    assert desk.planned[1].plan.width_us > 0, "what is not known is reckoned with at the worst"


@pytest.mark.control("H2.8")
def test_the_case_s_sums_hold_by_the_host_s_own_count() -> None:
    ceilings = list(limits.CEILINGS)
    ceilings[3] = limits.tightened(ceilings[3], {"case_pulses": 2})
    desk = Desk(test := single(), ceilings=tuple(ceilings))
    for n in (1, 2):
        assert desk.stimulation.once(test, desk.answers.append, "me", 1.0) == ""
        command = desk.sent[-1].command  # type: ignore[union-attr]
        desk.stimulation.count(Stimulus(test.line, command, n, test.line, n, n + 1))
    refusal = desk.stimulation.once(test, desk.answers.append, "me", 1.0)
    assert refusal == "line 1 would have had 3 pulses, which exceeds the limit of 2 pulses for nerve"


def test_only_limits_that_the_case_tightens_go_to_the_edge() -> None:
    ceilings = list(limits.CEILINGS)
    ceilings[1] = limits.tightened(ceilings[1], {"current_ma": 40})
    desk = Desk(ceilings=tuple(ceilings))
    desk.stimulation.tighten()
    (told,) = desk.sent
    assert isinstance(told, StimLimits) and told.kind == 1
    assert limits.from_figures(1, told.figures) == ceilings[1]


@pytest.mark.control("H1.7")
def test_a_stop_is_said_again_until_the_edge_has_answered_it() -> None:
    desk = Desk()
    desk.stimulation.stop(None)
    (stop,) = desk.sent
    now_ns = 10 * STOP_AGAIN_NS
    for k in range(4):
        desk.stimulation.remind(now_ns + k * (STOP_AGAIN_NS + 1))
    assert len(desk.sent) == 4 and set(map(id, desk.sent)) == {id(stop)}
    desk.answer()
    desk.stimulation.remind(now_ns + 100 * STOP_AGAIN_NS)
    assert len(desk.sent) == 4


def test_a_stop_that_is_never_answered_is_given_up_in_the_end() -> None:
    desk = Desk()
    desk.stimulation.stop(LEFT)
    for k in range(3 * STOP_TRIES):
        desk.stimulation.remind((10 + 2 * k) * STOP_AGAIN_NS)
    assert len(desk.sent) == 1 + STOP_TRIES


def test_a_stop_on_a_broken_link_is_said_when_it_is_back() -> None:
    broken = True

    def send(message: Message) -> None:
        if broken:
            raise LinkError("cut")
        sent.append(message)

    sent: list[Message] = []
    stimulation = Stimulation(CASE, DESCRIPTION, send)
    with pytest.raises(LinkError):
        stimulation.stop(None)
    broken = False
    for k in range(2):
        stimulation.remind((10 + 2 * k) * STOP_AGAIN_NS)
    assert [type(m) for m in sent] == [StimStop]


def test_another_rate_is_another_plan_and_leaves_the_other_test_alone() -> None:
    desk = Desk()
    right = desk.stimulation.plans[RIGHT.name]
    plan = desk.stimulation.change_rate(LEFT.name, 4000 / 870)
    assert plan.period == 870 and plan.plan == LEFT.line
    assert desk.stimulation.plans[RIGHT.name] == right
    assert "rate limit of 50 Hz" in desk.stimulation.refuse_rate(LEFT.name, 100.0)
    assert desk.stimulation.plans[LEFT.name] == plan
