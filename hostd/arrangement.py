"""The tests of a case as stimulus plans on one sample grid: whole periods, phases that keep clear.

Owns how tests share the time line: phase, lockout, and which stimuli will be left out where grids cannot be
kept apart. Pure; refuses to judge a plan (hw.limits) and to send one (hostd.stimulation).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hostd.case import Case, StimulusPlan, TestPlan
from hw.limits import KINDS, LOAD_OHM, MIN_HOLD_SAMPLES, MIN_SPACING_S, MOST_GUARD_S, Ceiling, span_samples
from hw.link import StimPlan

# Into LOAD_OHM one mA for one us is so many mJ.
_MJ_PER_MA2_US = LOAD_OHM * 1e-9
# Limits met exactly must not be missed by the last bit of a float.
_WHOLE = 1 + 1e-10


@dataclass(frozen=True, slots=True)
class Collision:
    """`share` of the stimuli of `test`, so many `a_minute`, will be left out because of those of `other`."""

    test: str
    other: str
    share: float
    a_minute: float


def arrange(case: Case, rate_hz: float) -> dict[str, StimPlan]:
    """The plan of every test by its name, in the order of the case, at `rate_hz` samples a second.

    Numbered by its line; `command` and, of repeated stimuli, `count` are 0: they are the sender's. Tests of
    one period interleave evenly; one of another period is put where it is farthest from those before it.
    Currents and widths that are not known are the worst that the case's limits allow.
    """
    spacing = math.ceil(MIN_SPACING_S * rate_hz - 1e-6)
    bare = {test.name: _bare(test, case.ceilings, rate_hz) for test in case.tests}
    placed = _with_phases(bare, spacing)
    return {
        test.name: replace(placed[test.name], guard=_guard(test, placed, spacing, rate_hz))
        for test in case.tests
    }


def collisions(plans: Mapping[str, StimPlan], rate_hz: float) -> tuple[Collision, ...]:
    """Which repeated stimuli will give way to another test's, as the edge decides: an estimate, for display.

    Of two periods the longer one goes first: its stimuli are never left out, and the other's are not fired
    where their own lockout would reach it. Of every pair alone, as if all of the other test's stimuli fired;
    pairs that keep clear are not named.
    """
    found = []
    spacing = math.ceil(MIN_SPACING_S * rate_hz - 1e-6)
    repeated = {name: plan for name, plan in plans.items() if plan.period}
    for name, plan in repeated.items():
        for other_name, other in repeated.items():
            if name == other_name or plan.period > other.period:
                continue
            # Seen from the other's stimuli, this one's fall on every g-th sample in turn, equally often.
            g = math.gcd(plan.period, other.period)
            first = (plan.phase - other.phase) % g
            before = span_samples(plan) + max(plan.guard, spacing) - 1 if plan.period < other.period else 0
            after = span_samples(other) + (max(other.guard, spacing) if before else other.guard)
            hit = min(_met(first, -before, after, g), other.period // g)
            if hit:
                share = hit * g / other.period
                found.append(Collision(name, other_name, share, share * 60 * rate_hz / plan.period))
    return tuple(found)


def _met(first: int, start: int, end: int, g: int) -> int:
    """How many of first, first +- g, ... lie within `start` to before `end`."""
    return len(range(start + (first - start) % g, end, g))


def _bare(test: TestPlan, ceilings: Sequence[Ceiling], rate_hz: float) -> StimPlan:
    """The plan of `test` without what depends on other tests: phase and guard are 0."""

    def samples(ms: float) -> int:
        return round(ms * rate_hz / 1000)

    stimulus = test.stimulus
    kind = KINDS.index(stimulus.kind)
    single = stimulus.mode == "single" or not test.stimulus_hz
    current_ua, width_us = worst_pulse(stimulus, ceilings[kind])
    return StimPlan(
        command=0,
        plan=test.line,
        line=test.line,
        period=0 if single else max(1, round(rate_hz / test.stimulus_hz)),
        phase=0,
        hold=max(MIN_HOLD_SAMPLES, samples(stimulus.hold_ms)),
        count=1 if single else 0,
        alternate=stimulus.alternate_line or 0,
        pulses=stimulus.pulses,
        interval=samples(stimulus.interval_ms) if stimulus.pulses > 1 else 0,
        trains=stimulus.trains,
        gap=samples(stimulus.gap_ms) if stimulus.trains > 1 else 0,
        kind=kind,
        current_ua=current_ua,
        width_us=width_us,
        area_cm2=stimulus.area_cm2 or 0.0,
    )


def worst_pulse(stimulus: StimulusPlan, ceiling: Ceiling) -> tuple[int, int]:
    """Current in uA and width in us of a pulse: what is known of it, else the most that `ceiling` allows.

    Of `steps_ma` it is the last. Where no current flows at all, what is not known is 0.
    """
    known = (stimulus.steps_ma[-1] if stimulus.steps_ma else None, stimulus.current_ma, stimulus.volts)
    current_ma = next((value for value in known if value is not None), None)
    width_us = round(stimulus.width_us)
    if not ceiling.current_ma:
        return round((current_ma or 0.0) * 1000), width_us
    # mA times us
    charge = ceiling.charge_uc * 1e3
    density = ceiling.train_density_uc_cm2 if stimulus.mode == "single" else ceiling.density_uc_cm2
    if density and stimulus.area_cm2:
        charge = min(charge, density * stimulus.area_cm2 * 1e3)
    energy = ceiling.energy_mj / _MJ_PER_MA2_US
    if not width_us:
        most = float(ceiling.width_us)
        if current_ma:
            most = min(most, charge / current_ma, energy / current_ma**2)
        width_us = max(1, math.floor(most * _WHOLE))
    if current_ma is None:
        most = min(ceiling.current_ma, charge / width_us, math.sqrt(energy / width_us))
        return math.floor(most * 1000 * _WHOLE), width_us
    return round(current_ma * 1000), width_us


def _cycle(one: StimPlan, other: StimPlan, spacing: int) -> int:
    """Samples after which two grids meet alike; 0 when no phases keep them `spacing` apart."""
    g = math.gcd(one.period, other.period) if one.period and other.period else 0
    return g if g >= 2 * spacing + span_samples(one) + span_samples(other) else 0


def _with_phases(bare: Mapping[str, StimPlan], spacing: int) -> dict[str, StimPlan]:
    """All plans, those of one period spread evenly over it; each such group clear of the ones before."""
    groups: dict[int, list[str]] = {}
    for name, plan in bare.items():
        groups.setdefault(plan.period, []).append(name)
    placed: dict[str, StimPlan] = {}
    for period, names in groups.items():
        if not period:
            placed.update((name, bare[name]) for name in names)
            continue
        offsets = [round(number * period / len(names)) for number in range(len(names))]
        group = [replace(bare[name], phase=offset) for name, offset in zip(names, offsets, strict=True)]
        shift = _shift(group, list(placed.values()), spacing)
        for name, plan in zip(names, group, strict=True):
            placed[name] = replace(plan, phase=(plan.phase + shift) % period)
    return placed


def _shift(group: Sequence[StimPlan], placed: Sequence[StimPlan], spacing: int) -> int:
    """By how much a group of one period moves to be farthest from what is placed, last pulse to first."""
    blocked: list[tuple[int, int, int]] = []
    for plan in group:
        for other in placed:
            if g := _cycle(plan, other, spacing):
                first = other.phase - plan.phase - span_samples(plan)
                blocked.append((first, span_samples(plan) + span_samples(other), g))
    if not blocked:
        return 0
    cycle = math.lcm(*(g for _, _, g in blocked))
    starts = sorted(
        ((first + turn) % cycle, length) for first, length, g in blocked for turn in range(0, cycle, g)
    )
    reach = max(start + length for start, length in starts) - cycle
    widest, middle = 0, 0
    for start, length in starts:
        if start - reach > widest:
            widest, middle = start - reach, reach + (start - reach) // 2
        reach = max(reach, start + length)
    return middle % cycle


def _guard(test: TestPlan, placed: Mapping[str, StimPlan], spacing: int, rate_hz: float) -> int:
    """Lockout after the last pulse: as written, else the window, which gives way to the next slots."""
    if test.stimulus.lockout_ms is not None:
        guard = round(test.stimulus.lockout_ms * rate_hz / 1000)
    else:
        plan = placed[test.name]
        guard = round(test.window_ms[1] * rate_hz / 1000)
        for name, other in placed.items():
            g = _cycle(plan, other, spacing)
            if g and name != test.name:
                guard = min(guard, (other.phase - plan.phase - span_samples(plan)) % g - 1)
        guard = max(guard, spacing)
    return min(guard, math.floor(MOST_GUARD_S * rate_hz))
