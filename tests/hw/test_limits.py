"""The one table of stimulus limits: each refusal names its limit, and what passes is harmless in any unit."""

import itertools
from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw import limits
from hw.limits import CEILINGS, FIGURES, KINDS, Ceiling
from hw.link import StimPlan

RATE_HZ = 4000.0
PLAN = StimPlan(command=1, plan=1, line=1, period=851, phase=0, hold=4, count=0)
PERIPHERAL, TRANSCRANIAL, NERVE, CORTICAL = (
    KINDS.index(kind) for kind in ("peripheral", "transcranial", "nerve", "cortical")
)
NERVE_TRUNK = replace(PLAN, kind=PERIPHERAL, current_ua=25_000, width_us=200)
MEP = replace(
    PLAN,
    period=8000,
    kind=TRANSCRANIAL,
    current_ua=400_000,
    width_us=50,
    pulses=5,
    interval=12,
    trains=2,
    gap=80,
)
PROBE = replace(PLAN, kind=NERVE, current_ua=10_000, width_us=200)
CORTEX = replace(PLAN, kind=CORTICAL, current_ua=10_000, width_us=200, area_cm2=0.1)
TRAIN = replace(CORTEX, period=0, count=1, pulses=5, interval=12, area_cm2=0.04)


@pytest.mark.parametrize("plan", [PLAN, NERVE_TRUNK, MEP, PROBE, CORTEX, TRAIN])
def test_plans_as_cases_send_them_are_accepted(plan: StimPlan) -> None:
    assert limits.refuse(plan, RATE_HZ, 4) == ""


@pytest.mark.parametrize(
    ("plan", "lines", "refusal"),
    [
        (PLAN, 0, "this source cannot stimulate"),
        (replace(PLAN, line=0), 4, "line 0 is not one of 1..4"),
        (replace(PLAN, line=5), 4, "line 5 is not one of 1..4"),
        (replace(PLAN, alternate=1), 4, "alternate line 1 is not another one of 1..4"),
        (replace(PLAN, alternate=5), 4, "alternate line 5 is not another one of 1..4"),
        (replace(PLAN, kind=5), 4, "kind 5 is not one of 0..4"),
        (replace(PLAN, hold=0), 4, "hold of 0 samples is under 2: the status word could miss it"),
        (replace(PLAN, hold=1), 4, "hold of 1 samples is under 2: the status word could miss it"),
        (replace(PLAN, hold=41), 4, "hold of 41 samples exceeds the limit of 10 ms"),
        (replace(PLAN, period=40, hold=40), 4, "hold of 40 samples exceeds the period of 40"),
        (replace(PLAN, guard=40_001), 4, "lockout of 40001 samples exceeds the limit of 10 s"),
        (replace(PLAN, area_cm2=101.0), 4, "area of 101 cm2 is no electrode's: the limit is 100 cm2"),
        (replace(PLAN, area_cm2=float("nan")), 4, "area of nan cm2 is no electrode's: the limit is 100 cm2"),
        (replace(PLAN, area_cm2=float("inf")), 4, "area of inf cm2 is no electrode's: the limit is 100 cm2"),
        (replace(PLAN, area_cm2=-1.0), 4, "area of -1 cm2 is no electrode's: the limit is 100 cm2"),
        (replace(PLAN, period=0), 4, "a single stimulus fires once, not 0 times"),
        (replace(PLAN, period=0, count=2), 4, "a single stimulus fires once, not 2 times"),
    ],
)
def test_what_no_kind_allows_is_refused_with_its_name(plan: StimPlan, lines: int, refusal: str) -> None:
    assert limits.refuse(plan, RATE_HZ, lines) == refusal


SHAPE = "a stimulus is 1 or 2 trains of 1 pulse or more"


@pytest.mark.parametrize(
    ("plan", "refusal"),
    [
        (replace(PLAN, pulses=0), f"1 trains of 0 pulses: {SHAPE}"),
        (replace(PLAN, trains=0), f"0 trains of 1 pulses: {SHAPE}"),
        (replace(PLAN, trains=3, gap=50), f"3 trains of 1 pulses: {SHAPE}"),
        (replace(MEP, interval=5), "interval of 5 samples is under 6: a pulse of 4 and 2 low"),
        (replace(MEP, gap=5), "gap of 5 samples is under 6: a pulse of 4 and 2 low"),
        (
            replace(PLAN, period=56, pulses=5, interval=13),
            "a stimulus of 56 samples overlaps the next one, 56 samples later",
        ),
        (
            replace(PLAN, period=400, guard=400),
            "lockout of 400 samples is not over at the next stimulus, 400 samples later: "
            "no other test could ever fire",
        ),
    ],
)
def test_the_shape_of_a_stimulus_is_refused_in_words(plan: StimPlan, refusal: str) -> None:
    assert limits.refuse(plan, RATE_HZ, 4) == refusal


def test_an_interval_is_held_to_time_as_well_as_to_samples() -> None:
    plan = replace(PLAN, period=40_000, pulses=2, interval=15)
    assert limits.refuse(plan, 16_000.0, 4) == "interval of 0.9375 ms is under the limit of 1 ms for sensory"
    plan = replace(PLAN, period=40_000, trains=2, gap=15)
    assert limits.refuse(plan, 16_000.0, 4) == "gap of 0.9375 ms is under the limit of 1 ms for sensory"
    assert limits.refuse(replace(plan, gap=16), 16_000.0, 4) == ""


# Per kind and figure: a plan that is just beyond, and its refusal.
# fmt: off
BEYOND = [
    (replace(PLAN, period=39), "a pulse every 39 samples exceeds the rate limit of 100 Hz for sensory"),
    (replace(NERVE_TRUNK, period=79),
     "a pulse every 79 samples exceeds the rate limit of 50 Hz for peripheral"),
    (replace(MEP, period=3999), "a pulse every 3999 samples exceeds the rate limit of 1 Hz for transcranial"),
    (replace(PROBE, period=399), "a pulse every 399 samples exceeds the rate limit of 10 Hz for nerve"),
    (replace(CORTEX, period=66), "a pulse every 66 samples exceeds the rate limit of 60 Hz for cortical"),
    (replace(PLAN, pulses=11, interval=12), "11 pulses in one stimulus exceed the limit of 10 for sensory"),
    (replace(NERVE_TRUNK, pulses=6, trains=2, interval=12, gap=80),
     "12 pulses in one stimulus exceed the limit of 10 for peripheral"),
    (replace(MEP, pulses=10), "20 pulses in one stimulus exceed the limit of 18 for transcranial"),
    (replace(PROBE, pulses=6, interval=12), "6 pulses in one stimulus exceed the limit of 5 for nerve"),
    (replace(CORTEX, pulses=10, interval=12), "10 pulses in one stimulus exceed the limit of 9 for cortical"),
    (replace(PLAN, period=79, pulses=2, interval=12),
     "6076 pulses a minute exceed the limit of 6000 for sensory"),
    (replace(NERVE_TRUNK, period=159, pulses=2, interval=12),
     "3020 pulses a minute exceed the limit of 3000 for peripheral"),
    (replace(CORTEX, period=399), "602 pulses a minute exceed the limit of 600 for cortical"),
    (replace(MEP, period=4175),
     "a rest of 0.99975 s between trains is under the limit of 1 s for transcranial"),
    (replace(MEP, pulses=1, period=4079),
     "a rest of 0.99975 s between trains is under the limit of 1 s for transcranial"),
    (replace(PROBE, period=411, pulses=2, interval=12),
     "a rest of 0.09975 s between trains is under the limit of 0.1 s for nerve"),
    (replace(CORTEX, period=4011, pulses=2, interval=12),
     "a rest of 0.99975 s between trains is under the limit of 1 s for cortical"),
    (replace(PLAN, current_ua=1), "current of 0.001 mA exceeds the limit of 0 mA for sensory"),
    (replace(PLAN, width_us=1), "width of 1 us exceeds the limit of 0 us for sensory"),
    (replace(NERVE_TRUNK, current_ua=100_001),
     "current of 100.001 mA exceeds the limit of 100 mA for peripheral"),
    (replace(NERVE_TRUNK, width_us=1001), "width of 1001 us exceeds the limit of 1000 us for peripheral"),
    (replace(NERVE_TRUNK, width_us=1000, current_ua=30_100),
     "charge of 30.1 uC exceeds the limit of 30 uC for peripheral"),
    (replace(MEP, current_ua=1_500_100),
     "current of 1500.1 mA exceeds the limit of 1500 mA for transcranial"),
    (replace(MEP, width_us=501), "width of 501 us exceeds the limit of 500 us for transcranial"),
    (replace(MEP, width_us=500, current_ua=221_000),
     "charge of 110.5 uC exceeds the limit of 110 uC for transcranial"),
    (replace(MEP, current_ua=1_001_000), "energy of 50.1001 mJ exceeds the limit of 50 mJ for transcranial"),
    (replace(PROBE, current_ua=30_100), "current of 30.1 mA exceeds the limit of 30 mA for nerve"),
    (replace(PROBE, width_us=401), "width of 401 us exceeds the limit of 400 us for nerve"),
    (replace(CORTEX, current_ua=30_100), "current of 30.1 mA exceeds the limit of 30 mA for cortical"),
    (replace(CORTEX, width_us=1001), "width of 1001 us exceeds the limit of 1000 us for cortical"),
    (replace(CORTEX, width_us=1000, current_ua=20_100, area_cm2=1.0),
     "charge of 20.1 uC exceeds the limit of 20 uC for cortical"),
    (replace(CORTEX, width_us=600, current_ua=30_000, area_cm2=1.0),
     "energy of 0.54 mJ exceeds the limit of 0.5 mJ for cortical"),
    (replace(CORTEX, area_cm2=0.0),
     "cortical stimulation needs the electrode's area: its charge density is limited"),
    (replace(CORTEX, area_cm2=0.049),
     "charge density of 40.8163 uC/cm2 exceeds the limit of 40 uC/cm2 for cortical"),
    (replace(TRAIN, area_cm2=0.0),
     "cortical stimulation needs the electrode's area: its charge density is limited"),
    (replace(TRAIN, area_cm2=0.0066),
     "charge density of 303.03 uC/cm2 exceeds the limit of 300 uC/cm2 for cortical"),
]
# fmt: on


@pytest.mark.control("H2.1", "H19.1")
@pytest.mark.parametrize(("plan", "refusal"), BEYOND)
def test_each_limit_of_each_kind_is_refused_with_its_name_and_the_value(plan: StimPlan, refusal: str) -> None:
    assert limits.refuse(plan, RATE_HZ, 4) == refusal


def test_figures_that_others_come_before_are_held_when_tightened() -> None:
    """A nerve's 30 mA for 0.4 ms is just its charge, and under its energy."""
    for key, value, plan, refusal in (
        ("charge_uc", 1.9, PROBE, "charge of 2 uC exceeds the limit of 1.9 uC for nerve"),
        ("energy_mj", 0.019, PROBE, "energy of 0.02 mJ exceeds the limit of 0.019 mJ for nerve"),
        ("minute_pulses", 100, PROBE, "283 pulses a minute exceed the limit of 100 for nerve"),
        ("energy_mj", 0.1, NERVE_TRUNK, "energy of 0.125 mJ exceeds the limit of 0.1 mJ for peripheral"),
        ("minute_pulses", 60, MEP, "300 pulses a minute exceed the limit of 60 for transcranial"),
        ("interval_ms", 4, MEP, "interval of 3 ms is under the limit of 4 ms for transcranial"),
        (
            "density_uc_cm2",
            9,
            replace(NERVE_TRUNK, area_cm2=0.5),
            "charge density of 10 uC/cm2 exceeds the limit of 9 uC/cm2 for peripheral",
        ),
        (
            "density_uc_cm2",
            9,
            NERVE_TRUNK,
            "peripheral stimulation needs the electrode's area: its charge density is limited",
        ),
    ):
        ceilings = list(CEILINGS)
        ceilings[plan.kind] = limits.tightened(ceilings[plan.kind], {key: value})
        assert limits.refuse(plan, RATE_HZ, 4) == ""
        assert limits.refuse(plan, RATE_HZ, 4, ceilings) == refusal


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, period=40, hold=39),
        replace(PLAN, hold=40),
        replace(PLAN, hold=2),
        replace(PLAN, line=4),
        replace(PLAN, alternate=4),
        replace(PLAN, guard=40_000, period=40_001),
        replace(PLAN, phase=(1 << 32) - 1),
        replace(PLAN, area_cm2=100.0),
        replace(PLAN, interval=900, gap=900),  # of one pulse neither counts
        replace(NERVE_TRUNK, current_ua=100_000, width_us=300),
        replace(NERVE_TRUNK, current_ua=30_000, width_us=1000, period=80),
        replace(MEP, current_ua=1_000_000),
        replace(MEP, current_ua=220_000, width_us=500),
        replace(MEP, pulses=4, period=4152),
        replace(PROBE, current_ua=30_000, width_us=400, period=400),
        replace(CORTEX, area_cm2=0.05, period=400),
        replace(TRAIN, pulses=9, area_cm2=2 / 300),
    ],
)
def test_the_limits_themselves_are_allowed(plan: StimPlan) -> None:
    assert limits.refuse(plan, RATE_HZ, 4) == ""


PLANS = st.builds(
    StimPlan,
    st.just(1),
    st.integers(0, 65535),
    st.integers(0, 5),
    st.integers(0, 20_000) | st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 60) | st.integers(0, 65535),
    st.integers(0, 2) | st.integers(0, (1 << 32) - 1),
    alternate=st.just(0) | st.integers(0, 255),
    pulses=st.just(1) | st.integers(0, 20),
    interval=st.integers(0, 200) | st.integers(0, (1 << 32) - 1),
    trains=st.integers(1, 2) | st.integers(0, 255),
    gap=st.integers(0, 200),
    guard=st.integers(0, 2000) | st.integers(0, (1 << 32) - 1),
    kind=st.integers(0, 5),
    current_ua=st.just(0) | st.integers(0, 120_000) | st.integers(0, (1 << 32) - 1),
    width_us=st.just(0) | st.integers(0, 1100) | st.integers(0, (1 << 32) - 1),
    area_cm2=st.floats(0, 2) | st.floats(),
)
RATES = st.sampled_from([250.0, 500.0, 1000.0, 4000.0, 16000.0, 24414.0625])


def pulses_at(plan: StimPlan, stimuli: int) -> list[int]:
    """Sample of every pulse of the first `stimuli` stimuli, counted out one by one."""
    at, found = plan.phase, []
    for _ in range(stimuli):
        now = at
        for train in range(plan.trains):
            now += plan.gap if train else 0
            for pulse in range(plan.pulses):
                now += plan.interval if pulse else 0
                found.append(now)
        at += plan.period
    return found


@pytest.mark.control("H2.1")
@given(PLANS, RATES, st.integers(0, 4))
def test_what_is_accepted_is_within_every_limit(plan: StimPlan, rate_hz: float, lines: int) -> None:
    refusal = limits.refuse(plan, rate_hz, lines)
    assert "\n" not in refusal
    if refusal:
        return
    ceiling, slack = CEILINGS[plan.kind], 1 + 1e-6
    assert 1 <= plan.line <= lines
    assert plan.alternate == 0 or (plan.alternate != plan.line and plan.alternate <= lines)
    assert limits.MIN_HOLD_SAMPLES <= plan.hold <= limits.MAX_HOLD_S * rate_hz + 1e-6
    ma, us = plan.current_ua / 1000, plan.width_us
    assert ma <= ceiling.current_ma * slack
    assert us <= ceiling.width_us
    assert ma * us / 1000 <= ceiling.charge_uc * slack
    assert (ma / 1000) ** 2 * limits.LOAD_OHM * us / 1e6 <= ceiling.energy_mj / 1000 * slack
    density = ceiling.density_uc_cm2 if plan.period else ceiling.train_density_uc_cm2
    if density and ma:
        assert ma * us / 1000 / plan.area_cm2 <= density * slack
    at = pulses_at(plan, 3 if plan.period else 1)
    total = plan.pulses * plan.trains
    assert 1 <= total <= ceiling.pulses
    # every pulse is high, then low, before the next one, of this stimulus as of the next
    apart = [b - a for a, b in itertools.pairwise(at)]
    assert all(samples > plan.hold for samples in apart)
    within = [samples for k, samples in enumerate(apart, 1) if k % total]
    assert all(samples >= plan.hold + limits.LOW_SAMPLES for samples in within)
    assert all(samples / rate_hz * 1e3 >= ceiling.interval_ms - 1e-6 for samples in within)
    if plan.period:
        assert rate_hz / plan.period <= ceiling.rate_hz * slack <= limits.MAX_RATE_HZ * slack
        assert total * 60 * rate_hz / plan.period <= ceiling.minute_pulses * slack
        if total > 1:
            assert (at[total] - at[total - 1]) / rate_hz >= ceiling.rest_s - 1e-6
    else:
        assert plan.count == 1


CHANGES = st.dictionaries(st.sampled_from(FIGURES), st.floats(0, 1e4) | st.floats(0, 2), max_size=4)


def tighter(figure: str, now: float, value: float) -> bool:
    """Slow twin: whether `value` is at least as strict as `now`, in words of the table."""
    if figure in ("interval_ms", "rest_s"):
        return value >= now
    return (now == 0 or value <= now) if "density" in figure else value <= now


@pytest.mark.control("H2.4")
@given(PLANS, RATES, CHANGES)
def test_a_tightened_ceiling_never_loosens(plan: StimPlan, rate_hz: float, changes: dict[str, float]) -> None:
    kind = plan.kind % len(CEILINGS)
    plan, ceiling = replace(plan, kind=kind), CEILINGS[kind]
    try:
        tight = limits.tightened(ceiling, changes)
    except ValueError as error:
        assert any(str(error).startswith(f"{key} = ") for key in changes)
        assert "loosens" in str(error)
        return
    for figure in FIGURES:
        assert getattr(tight, figure) == changes.get(figure, getattr(ceiling, figure))
        assert tighter(figure, getattr(ceiling, figure), getattr(tight, figure))
    ceilings = [tight if k == kind else other for k, other in enumerate(CEILINGS)]
    if limits.refuse(plan, rate_hz, 8, ceilings) == "":
        assert limits.refuse(plan, rate_hz, 8) == ""
    assert limits.stricter(tight, ceiling) == tight


@pytest.mark.control("H2.4")
@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (NERVE, {"curent": 1.0}, "curent is no limit; known are current_ma, width_us, "),
        (
            NERVE,
            {"current_ma": 31.0},
            "current_ma = 31 loosens nerve, whose limit is 30; write above 0, up to 30",
        ),
        (
            NERVE,
            {"current_ma": 0.0},
            "current_ma = 0 loosens nerve, whose limit is 30; write above 0, up to 30",
        ),
        (NERVE, {"rest_s": 0.09}, "rest_s = 0.09 loosens nerve, whose limit is 0.1; write at least 0.1"),
        (
            NERVE,
            {"density_uc_cm2": 0.0},
            "density_uc_cm2 = 0 loosens nerve, whose limit is 0; write one above 0",
        ),
        (0, {"charge_uc": 1.0}, "charge_uc = 1 loosens sensory, whose limit is 0; leave charge_uc out"),
        (
            NERVE,
            {"rate_hz": float("nan")},
            "rate_hz = nan loosens nerve, whose limit is 10; write above 0, up to",
        ),
    ],
)
def test_what_loosens_is_refused_with_limit_and_value(
    kind: int, changes: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=r"is no limit|loosens") as caught:
        limits.tightened(CEILINGS[kind], changes)
    assert str(caught.value).startswith(message)


TABLES = st.builds(
    Ceiling, st.sampled_from(KINDS), *[st.just(0.0) | st.floats(0, 1e9) for _ in range(len(FIGURES))]
)


@given(TABLES, TABLES)
def test_the_stricter_of_two_is_the_same_from_either_side(one: Ceiling, other: Ceiling) -> None:
    both = limits.stricter(one, other)
    assert both.name == one.name
    assert limits.figures(both) == limits.figures(limits.stricter(other, one))
    assert limits.stricter(both, other) == both == limits.stricter(both, one)
    for figure in FIGURES:
        for side in (one, other):
            assert tighter(figure, getattr(side, figure), getattr(both, figure)) or (
                "density" in figure and getattr(both, figure) == 0
            )
            assert getattr(both, figure) in (getattr(one, figure), getattr(other, figure))


@given(st.integers(0, len(KINDS) - 1), TABLES)
def test_figures_are_carried_and_read_back(kind: int, ceiling: Ceiling) -> None:
    named = replace(ceiling, name=KINDS[kind])
    assert limits.from_figures(kind, limits.figures(named)) == named
    assert limits.figures(named) == astuple(named)[1:]


def test_figures_of_another_version_are_refused() -> None:
    good = limits.figures(CEILINGS[1])
    for kind, values in ((5, good), (-1, good), (1, good[:-1]), (1, (*good, 1.0))):
        with pytest.raises(ValueError, match="is no ceiling of this version"):
            limits.from_figures(kind, values)
    for bad in (-1.0, float("nan"), float("inf"), 1e12):
        with pytest.raises(ValueError, match="a figure of peripheral is negative or no number"):
            limits.from_figures(1, (*good[:-1], bad))


def test_every_kind_has_its_place_in_the_table() -> None:
    assert KINDS == ("sensory", "peripheral", "transcranial", "nerve", "cortical")
    assert limits.MAX_RATE_HZ == 100
    for ceiling in CEILINGS:
        assert ceiling.interval_ms > 0
        assert ceiling.rate_hz > 0
        assert ceiling.case_pulses >= ceiling.minute_pulses
