"""Stimulation as the host asks for it: limits first, whole samples, and every answer to whom it belongs."""

from dataclasses import replace

import pytest

from hostd import casefile
from hostd.stimulation import Stimulation, stim_plan
from hw import limits
from hw.link import ALL_PLANS, Description, Message, StimPlan, StimStop

CASE = casefile.procedure("median_ssep")
LEFT, RIGHT = CASE.tests
DESCRIPTION = Description("bench", 4000.0, CASE.channels, (1.0,) * 8, (0.0,) * 8, 0.0, 4)


def test_stimulation_checks_limits_before_it_sends() -> None:
    sent: list[Message] = []
    answers: list[str] = []
    fast = replace(LEFT, stimulus_hz=limits.MAX_RATE_HZ * 1.1)
    stimulation = Stimulation(replace(CASE, tests=(fast, RIGHT)), DESCRIPTION, sent.append)
    assert "rate limit of 100 Hz" in stimulation.start(fast, answers.append)
    assert sent == [] and answers == []
    assert stimulation.start(RIGHT, answers.append, count=1) == ""
    (plan,) = sent
    assert isinstance(plan, StimPlan) and plan.count == 1 and plan.line == RIGHT.line
    stimulation.answered(plan.command + 1, "somebody else's")
    assert answers == []
    stimulation.answered(plan.command, "no")
    stimulation.answered(plan.command, "once only")
    assert answers == ["no"]
    stimulation.stop(RIGHT)
    stimulation.stop(None)
    assert [m.plan for m in sent[1:] if isinstance(m, StimStop)] == [RIGHT.line, ALL_PLANS]
    numbers = [m.command for m in sent if isinstance(m, StimPlan | StimStop)]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("rate_hz", [1000.0, 4000.0, 16000.0])
def test_plans_of_one_rate_interleave_evenly(n: int, rate_hz: float) -> None:
    tests = tuple(replace(LEFT, name=f"t{k}", line=k + 1, stimulus_hz=2.692) for k in range(n))
    plans = [stim_plan(replace(CASE, tests=tests), t, rate_hz, 1, 0) for t in tests]
    period = round(rate_hz / 2.692)
    assert {p.period for p in plans} == {period}
    phases = sorted(p.phase for p in plans)
    apart = [b - a for a, b in zip(phases, [*phases[1:], phases[0] + period], strict=True)]
    assert max(apart) - min(apart) <= 1
    assert all(limits.refuse(p, rate_hz, 8) == "" and p.hold >= round(0.001 * rate_hz) for p in plans)
