"""How tests share the sample grid: whole periods, even spread, distance, lockouts, and what will collide."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostd import casefile
from hostd.arrangement import Collision, arrange, collisions, worst_pulse
from hostd.case import Case, StimulusPlan
from hostd.case import TestPlan as Plan
from hw import limits
from hw.limits import span_samples
from tests.support.looped import Looped

RATE_HZ = 1000.0
CASE = casefile.procedure("median_ssep")
LEFT = replace(CASE.tests[0], window_ms=(-10.0, 80.0))


def case_with(*periods: int, rate_hz: float = RATE_HZ, **stimulus: object) -> Case:
    """One test per period in samples, 0 for single stimuli, on lines from 1."""
    plans = [
        replace(
            LEFT,
            name=f"t{k}",
            line=k + 1,
            stimulus_hz=rate_hz / period if period else 0.0,
            stimulus=StimulusPlan(mode="repeat" if period else "single", **stimulus),  # type: ignore[arg-type]
        )
        for k, period in enumerate(periods)
    ]
    return replace(CASE, tests=tuple(plans))


def phases(*periods: int, rate_hz: float = RATE_HZ) -> list[int]:
    return [plan.phase for plan in arrange(case_with(*periods, rate_hz=rate_hz), rate_hz).values()]


def distance(a: int, b: int, cycle: int) -> int:
    return min((a - b) % cycle, (b - a) % cycle)


def test_a_plan_says_what_the_test_says_in_samples() -> None:
    stimulus = StimulusPlan(
        kind="transcranial",
        volts=400.0,
        width_us=50.0,
        area_cm2=1.5,
        pulses=5,
        interval_ms=3.0,
        trains=2,
        gap_ms=20.0,
        alternate_line=3,
        hold_ms=0.5,
        lockout_ms=200.0,
    )
    case = replace(CASE, tests=(replace(LEFT, line=2, stimulus_hz=0.5, stimulus=stimulus),))
    (plan,) = arrange(case, 4000.0).values()
    assert (plan.command, plan.plan, plan.line, plan.alternate) == (0, 2, 2, 3)
    assert (plan.period, plan.phase, plan.hold, plan.count, plan.guard) == (8000, 0, 2, 0, 800)
    assert (plan.pulses, plan.interval, plan.trains, plan.gap) == (5, 12, 2, 80)
    assert (limits.KINDS[plan.kind], plan.current_ua, plan.width_us, plan.area_cm2) == (
        "transcranial",
        400_000,
        50,
        1.5,
    )
    single = replace(stimulus, mode="single", pulses=1, trains=1, volts=None, steps_ma=(10.0, 20.0))
    case = replace(case, tests=(replace(case.tests[0], stimulus_hz=0.0, stimulus=single),))
    (plan,) = arrange(case, 4000.0).values()
    assert (plan.period, plan.count, plan.interval, plan.gap, plan.current_ua) == (0, 1, 0, 0, 20_000)


def test_two_samples_are_always_held() -> None:
    (plan,) = arrange(case_with(500, hold_ms=0.001), RATE_HZ).values()
    assert plan.hold == limits.MIN_HOLD_SAMPLES


@pytest.mark.control("H2.7")
@pytest.mark.parametrize(
    ("stimulus", "expected"),
    [
        (StimulusPlan(), (0, 0)),
        (StimulusPlan("sensory", width_us=100.0), (0, 100)),
        (StimulusPlan("sensory", current_ma=1.0), (1000, 0)),
        (StimulusPlan("peripheral"), (30_000, 1000)),
        (StimulusPlan("peripheral", width_us=200.0), (100_000, 200)),
        (StimulusPlan("peripheral", width_us=500.0), (60_000, 500)),
        (StimulusPlan("peripheral", current_ma=10.0), (10_000, 1000)),
        (StimulusPlan("peripheral", current_ma=60.0), (60_000, 500)),
        (StimulusPlan("peripheral", current_ma=100.0), (100_000, 300)),
        (StimulusPlan("transcranial", volts=1000.0), (1_000_000, 50)),
        (StimulusPlan("transcranial", width_us=50.0), (1_000_000, 50)),
        (StimulusPlan("nerve", "single", steps_ma=(1.0, 5.0)), (5000, 400)),
        (StimulusPlan("cortical", area_cm2=0.1), (4000, 1000)),
        (StimulusPlan("cortical", "single", area_cm2=0.04), (12_000, 1000)),
    ],
)
def test_what_is_not_known_is_the_worst_that_the_limits_allow(
    stimulus: StimulusPlan, expected: tuple[int, int]
) -> None:
    assert worst_pulse(stimulus, limits.CEILINGS[limits.KINDS.index(stimulus.kind)]) == expected


@given(
    st.sampled_from(limits.KINDS),
    st.none() | st.floats(1, 1000),
    st.floats(0.0001, 100),
    st.floats(0.01, 1),
    st.booleans(),
)
def test_what_is_not_known_is_never_refused(
    kind: str, width_us: float | None, area_cm2: float, factor: float, single: bool
) -> None:
    ceiling = limits.CEILINGS[limits.KINDS.index(kind)]
    if ceiling.current_ma:
        ceiling = limits.tightened(ceiling, {"charge_uc": ceiling.charge_uc * factor})
    ceilings = tuple(ceiling if other.name == kind else other for other in limits.CEILINGS)
    width = min(width_us or 0.0, ceiling.width_us)
    stimulus = StimulusPlan(kind, "single" if single else "repeat", width_us=width, area_cm2=area_cm2)
    test = replace(LEFT, stimulus_hz=0.0 if single else 1.0, stimulus=stimulus)
    (plan,) = arrange(replace(CASE, tests=(test,), ceilings=ceilings), 4000.0).values()
    assert limits.refuse(plan, 4000.0, 8, ceilings) == ""


@given(st.integers(1, 8), st.integers(50, 100_000))
def test_tests_of_one_period_are_spread_evenly(n: int, period: int) -> None:
    assert phases(*[period] * n) == [round(k * period / n) for k in range(n)]


def test_a_group_of_one_period_is_spread_evenly_wherever_it_lies() -> None:
    first, second, third = phases(400, 600, 400)
    assert (third - first) % 400 == 200
    # 600 meets both at every 200: in the middle, 100 from either
    assert {distance(second, first, 200), distance(second, third, 200)} == {100}


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([60, 90, 100, 120, 150, 180, 240, 250, 300]), min_size=2, max_size=4, unique=True
    )
)
def test_each_phase_is_the_farthest_there_is(periods: list[int]) -> None:
    spacing = 5
    found = phases(*periods)
    for i, period in enumerate(periods):
        before = [(found[j], g) for j in range(i) if (g := math.gcd(period, periods[j])) >= 2 * spacing]
        if before:
            best = max(min(distance(phase, other, g) for other, g in before) for phase in range(period))
            assert min(distance(found[i], other, g) for other, g in before) == best


def fired(plan: limits.StimPlan, end: int) -> list[int]:
    return list(range(plan.phase, end, plan.period))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(2, 12), min_size=2, max_size=3),
    st.integers(0, 40),
    st.sampled_from([1, 2]),
    st.sampled_from([40, 60, 100]),
)
def test_commensurate_tests_never_collide_where_there_is_room(
    multiples: list[int], interval: int, trains: int, unit: int
) -> None:
    train = {"pulses": 2, "interval_ms": float(interval), "trains": trains, "gap_ms": float(interval)}
    case = case_with(*(unit * multiple for multiple in multiples), **(train if interval else {}))
    plans = arrange(case, RATE_HZ)
    assert [plan.period for plan in plans.values()] == [unit * multiple for multiple in multiples]
    assert all(0 <= plan.phase < plan.period for plan in plans.values())
    assert all(plan.guard >= limits.MIN_SPACING_S * RATE_HZ for plan in plans.values())
    end = min(math.lcm(*(plan.period for plan in plans.values())), 1_000_000)
    clear = {(name, other) for name in plans for other in plans if name != other}
    for name, plan in plans.items():
        for other, late in plans.items():
            if name == other or plan.period > late.period:  # the longer period goes first
                continue
            starts, others = set(fired(plan, 2 * end)), set(fired(late, 2 * end))
            locked = range(span_samples(late) + late.guard)
            own = range(1, span_samples(plan) + plan.guard) if plan.period < late.period else ()
            met = any(start + after in starts for start in fired(late, end) for after in locked)
            if met or any(start + after in others for start in fired(plan, end) for after in own):
                clear.discard((name, other))
    told = {(collision.test, collision.other) for collision in collisions(plans, RATE_HZ)}
    assert told.isdisjoint(clear)
    assert told | clear == {(name, other) for name in plans for other in plans if name != other}
    # Where the stimuli of two tests leave room in their common cycle, neither is in the other's way.
    spacing, span = 5, max(map(span_samples, plans.values()))
    if len(plans) == 2 and math.gcd(*(p.period for p in plans.values())) >= 2 * (spacing + span + 1):
        assert not told


def test_a_lockout_is_the_window_and_gives_way_to_the_next_slot() -> None:
    alone, *_ = arrange(case_with(500), RATE_HZ).values()
    assert alone.guard == 80
    assert [plan.guard for plan in arrange(case_with(500, 500), RATE_HZ).values()] == [80, 80]
    assert [plan.guard for plan in arrange(case_with(100, 100), RATE_HZ).values()] == [49, 49]
    trains = arrange(case_with(100, 100, pulses=3, interval_ms=10.0), RATE_HZ).values()
    assert [plan.guard for plan in trains] == [29, 29]
    # of other periods too, but not where they cannot be kept apart, and never under the spacing
    assert [plan.guard for plan in arrange(case_with(100, 150), RATE_HZ).values()] == [24, 24]
    assert [plan.guard for plan in arrange(case_with(100, 151), RATE_HZ).values()] == [80, 80]
    assert [plan.guard for plan in arrange(case_with(*[20] * 8), RATE_HZ).values()] == [5] * 8
    for pulses, guard in ((3, 5), (4, 80)):  # 50 samples hold two spans of 20 and 5 between, not two of 30
        trains = arrange(case_with(100, 150, pulses=pulses, interval_ms=10.0), RATE_HZ).values()
        assert [plan.guard for plan in trains] == [guard, guard]
    # single stimuli have no slots; a written lockout is what is written, 10 s at most
    assert [plan.guard for plan in arrange(case_with(0, 100), RATE_HZ).values()] == [80, 80]
    assert [plan.guard for plan in arrange(case_with(100, 100, lockout_ms=70.0), RATE_HZ).values()] == [
        70,
        70,
    ]
    assert [plan.guard for plan in arrange(case_with(100, lockout_ms=1e4), 24414.0625).values()] == [244140]


def test_collisions_tell_the_share_that_is_left_out() -> None:
    assert collisions(arrange(case_with(500, 500), RATE_HZ), RATE_HZ) == ()
    assert collisions(arrange(case_with(0, 500), RATE_HZ), RATE_HZ) == ()
    # The longer period goes first: the other keeps off its window, and where its own would reach it.
    found = collisions(arrange(case_with(371, 500), RATE_HZ), RATE_HZ)
    assert found == (Collision("t0", "t1", 159 / 500, pytest.approx(159 / 500 * 60_000 / 371)),)
    written = arrange(case_with(100, 100, lockout_ms=70.0), RATE_HZ)
    assert [(c.test, c.other, c.share) for c in collisions(written, RATE_HZ)] == [
        ("t0", "t1", 1.0),
        ("t1", "t0", 1.0),
    ]


@settings(deadline=None, max_examples=60)
@given(st.integers(50, 400), st.integers(50, 400), st.integers(0, 100), st.integers(1, 3))
def test_the_share_is_that_of_a_long_run(a: int, b: int, lockout: int, pulses: int) -> None:
    stimulus = {"lockout_ms": float(lockout), "pulses": pulses, "interval_ms": 10.0}
    plans = arrange(case_with(a, b, **stimulus), RATE_HZ)
    told = {(c.test, c.other): c.share for c in collisions(plans, RATE_HZ)}
    end = math.lcm(a, b)
    for name, other in (("t0", "t1"), ("t1", "t0")):
        one, late = plans[name], plans[other]
        behind = span_samples(late) + late.guard
        before = 0
        if one.period != late.period:
            behind = span_samples(late) + max(late.guard, 5)
            before = span_samples(one) + max(one.guard, 5)
        hit = [
            (start - late.phase) % late.period < behind or 0 < (late.phase - start) % late.period < before
            for start in fired(one, end)
        ]
        share = 0.0 if one.period > late.period else sum(hit) / len(hit)
        assert told.get((name, other), 0.0) == pytest.approx(share)


@pytest.mark.parametrize(
    ("periods", "more"),
    [
        ((100, 303), {}),
        ((85, 204), {}),
        ((93, 4000), {"pulses": 4, "interval_ms": 20.0, "lockout_ms": 20.0}),
        ((300, 404), {"lockout_ms": 0.0}),
    ],
)
def test_the_share_is_what_the_edge_leaves_out(periods: tuple[int, int], more: dict) -> None:
    plans = arrange(case_with(*periods, **more), RATE_HZ)
    told = {c.test: c.share for c in collisions(plans, RATE_HZ)}
    box = Looped(RATE_HZ)
    for number, plan in enumerate(plans.values(), start=1):
        ready = replace(plan, command=number, hold=4)
        assert box.sequencer.arm(plan.plan, 9.0) == "" and box.sequencer.command(ready) in (None, "")
    end = math.lcm(*periods)
    box.run(end + max(periods))
    assert not box.faults
    for name, plan in plans.items():
        left = [at for at in box.left_out(plan.plan) if max(periods) <= at]
        assert len(left) / (end / plan.period) == pytest.approx(
            told.get(name, 0.0), abs=1.01 * plan.period / end
        )


def test_plans_stay_in_the_order_of_the_case() -> None:
    case = case_with(400, 0, 600, 400)
    assert list(arrange(case, RATE_HZ)) == [test.name for test in case.tests]
    assert arrange(replace(case, tests=()), RATE_HZ) == {}


def test_shipped_cases_are_within_the_limits_and_nearly_clear_of_each_other() -> None:
    for name in casefile.procedures():
        case = casefile.procedure(name)
        plans = arrange(case, case.rate_hz)
        assert all(limits.refuse(plan, case.rate_hz, 8, case.ceilings) == "" for plan in plans.values())
        for test in case.tests:
            shares = [hit.share for hit in collisions(plans, case.rate_hz) if hit.test == test.name]
            assert sum(shares) < 0.05, (name, test.name)


def test_a_rate_of_zero_is_a_single_stimulus_whatever_the_mode() -> None:
    test: Plan = replace(LEFT, stimulus_hz=0.0)
    (plan,) = arrange(replace(CASE, tests=(test,)), RATE_HZ).values()
    assert (plan.period, plan.count) == (0, 1)
