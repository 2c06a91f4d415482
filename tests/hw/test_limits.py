"""The one table of stimulus limits: each refusal names its limit, and what passes is harmless in any unit."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw import limits
from hw.link import StimPlan

RATE_HZ = 4000.0
PLAN = StimPlan(command=1, plan=1, line=1, period=851, phase=0, hold=4, count=0)


def test_a_plan_as_every_case_sends_it_is_accepted() -> None:
    assert limits.refuse(PLAN, RATE_HZ, 4) == ""


@pytest.mark.parametrize(
    ("plan", "rate_hz", "lines", "refusal"),
    [
        (PLAN, RATE_HZ, 0, "this source cannot stimulate"),
        (replace(PLAN, line=0), RATE_HZ, 4, "line 0 is not one of 1..4"),
        (replace(PLAN, line=5), RATE_HZ, 4, "line 5 is not one of 1..4"),
        (replace(PLAN, period=0), RATE_HZ, 4, "a pulse every 0 samples exceeds the rate limit of 100 Hz"),
        (replace(PLAN, period=39), RATE_HZ, 4, "a pulse every 39 samples exceeds the rate limit of 100 Hz"),
        (replace(PLAN, hold=0), RATE_HZ, 4, "hold of 0 samples is under 2: the status word could miss it"),
        (replace(PLAN, hold=1), RATE_HZ, 4, "hold of 1 samples is under 2: the status word could miss it"),
        (replace(PLAN, hold=41), RATE_HZ, 4, "hold of 41 samples exceeds the limit of 10 ms or the period"),
        (
            replace(PLAN, period=40, hold=40),
            RATE_HZ,
            4,
            "hold of 40 samples exceeds the limit of 10 ms or the period",
        ),
    ],
)
def test_each_limit_is_refused_with_its_name(
    plan: StimPlan, rate_hz: float, lines: int, refusal: str
) -> None:
    assert limits.refuse(plan, rate_hz, lines) == refusal


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, period=40, hold=39),
        replace(PLAN, hold=40),
        replace(PLAN, hold=2),
        replace(PLAN, line=4),
        replace(PLAN, phase=(1 << 32) - 1),
    ],
)
def test_the_limits_themselves_are_allowed(plan: StimPlan) -> None:
    assert limits.refuse(plan, RATE_HZ, 4) == ""


@given(
    st.builds(
        StimPlan,
        st.just(1),
        st.integers(0, 65535),
        st.integers(0, 255),
        st.integers(0, 2000) | st.integers(0, (1 << 32) - 1),
        st.integers(0, (1 << 32) - 1),
        st.integers(0, 200) | st.integers(0, 65535),
        st.integers(0, (1 << 32) - 1),
    ),
    st.sampled_from([250.0, 500.0, 1000.0, 4000.0, 16000.0, 24414.0625]),
    st.integers(0, 4),
)
def test_what_is_accepted_is_within_every_limit(plan: StimPlan, rate_hz: float, lines: int) -> None:
    refusal = limits.refuse(plan, rate_hz, lines)
    assert "\n" not in refusal
    if not refusal:
        assert 1 <= plan.line <= lines
        assert rate_hz / plan.period <= limits.MAX_RATE_HZ
        assert limits.MIN_HOLD_SAMPLES <= plan.hold < plan.period
        assert plan.hold / rate_hz <= limits.MAX_HOLD_S
