"""The stimulus of a test: judged within its table first, then as the edge would be asked for it.

Owns the words around the limits' refusals: which key of the file each belongs to, and its cure. The limits
themselves are hw.limits'; what becomes of the keys in samples is hostd.arrangement's.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

from dsp.mains import NOMINAL_HZ, Mains, judge, percent
from hostd.arrangement import arrange, worst_pulse
from hostd.case import Case, StimulusPlan, TestPlan
from hostd.casefile_faults import Faults, choose, show_key
from hostd.casefile_peaks import TestScope
from hostd.casefile_setup import MAX_LINES
from hw import limits

# Beyond these a figure is a typing error, whatever the limits of its kind: (key, unit, least, most).
_PLAUSIBLE: tuple[tuple[str, str, float, float], ...] = (
    ("current_ma", "mA", 0.001, 2000),
    ("volts", "V", 0.01, 2000),
    ("width_us", "us", 1, 10_000),
    ("area_cm2", "cm2", 0.0001, limits.MOST_AREA_CM2),
    ("pulses", "pulses", 1, 100),
    ("interval_ms", "ms", 0.01, 10_000),
    ("trains", "trains", 1, 2),
    ("gap_ms", "ms", 0.01, 10_000),
    ("hold_ms", "ms", 0.001, 1000),
    ("lockout_ms", "ms", 0, 1000 * limits.MOST_GUARD_S),
)
_MOST_STEPS = 1000
# What is fired more rarely is fired by hand.
_MIN_RATE_HZ = 0.01
_RATE_TOLERANCE = 0.01
_JUDGED = ("stimulus", "fire", "rate_hz", "line", "alternate_line", "steps_ma")


def resolve_stimulus(scope: TestScope) -> StimulusPlan:
    """What one stimulus of the test is: as written, else the modality's, as long as its kind is kept."""
    table = scope.table
    plan = scope.modality.stimulus
    if (kind := _kind(scope)) != plan.kind:
        plan = StimulusPlan(kind=kind)
    for key, unit, least, most in _PLAUSIBLE:
        value = getattr(table, key)
        if value is not None and not least <= value <= most:
            scope.fault(key, f"{value:g} {unit} cannot be meant", f"write {least:g} to {most:g}")
    _check_current(scope)
    _check_train(scope, "interval_ms", "pulses", 3)
    _check_train(scope, "gap_ms", "trains", 20)
    if table.fire is not None:
        plan = replace(plan, mode=table.fire)
    if table.current_ma is not None or table.volts is not None:
        plan = replace(plan, current_ma=None, volts=None, steps_ma=())
    if table.pulses == 1:
        plan = replace(plan, interval_ms=0.0)
    written = {key: getattr(table, key) for key, *_ in _PLAUSIBLE}
    written |= {"alternate_line": table.alternate_line, "steps_ma": table.steps_ma}
    return replace(
        plan, **{key: value for key, value in written.items() if value is not None and scope.fine(key)}
    )


def _kind(scope: TestScope) -> str:
    written, usual = scope.table.stimulus, scope.modality.stimulus.kind
    if written is None or written in limits.KINDS:
        return written or usual
    scope.fault("stimulus", f"unknown stimulus '{show_key(written)}'", choose(written, limits.KINDS))
    return usual


def _check_current(scope: TestScope) -> None:
    """One of current, voltage and steps says how strong; steps rise."""
    table, steps = scope.table, scope.table.steps_ma
    if table.current_ma is not None and table.volts is not None:
        scope.fault("volts", "current_ma is written already", "keep either current_ma or volts")
    if steps is None:
        return
    other = "current_ma" if table.current_ma is not None else "volts"
    most = next(most for key, _, _, most in _PLAUSIBLE if key == "current_ma")
    if scope.fine("fire") and scope.value("fire") != "single":
        scope.fault("steps_ma", "only single stimuli have steps", 'write fire = "single", or current_ma')
    elif getattr(table, other) is not None:
        scope.fault("steps_ma", f"{other} is written already", f"keep either {other} or steps_ma")
    elif not 1 <= len(steps) <= _MOST_STEPS:
        cure = f"write 1 to {_MOST_STEPS}, as steps_ma = [2, 4, 8]"
        scope.fault("steps_ma", f"{len(steps)} steps", cure)
    elif steps[0] <= 0 or any(a >= b for a, b in itertools.pairwise(steps)):
        what = "every step must be above the one before, the first above 0"
        scope.fault("steps_ma", what, "write them ascending, as steps_ma = [2, 4, 8]")
    elif steps[-1] > most:
        scope.fault("steps_ma", f"{steps[-1]:g} mA cannot be meant", f"end at {most:g} or below")


def _check_train(scope: TestScope, key: str, counted: str, usual_ms: int) -> None:
    """`key` is the time between what `counted` counts: both are written, or neither."""
    if not scope.fine(key, counted):
        return
    kept = scope.table.stimulus in (None, scope.modality.stimulus.kind)
    count = (scope.value(counted) if kept else getattr(scope.table, counted)) or 1
    time_ms = scope.value(key) if kept and count > 1 else getattr(scope.table, key)
    if count > 1 and time_ms is None:
        scope.fault(key, "missing", f"write the time between {counted}, as {key} = {usual_ms}")
    elif count == 1 and time_ms is not None:
        scope.fault(key, f"nothing lies between 1 of {counted}", f"write {counted} = 2, or leave {key} out")


def judge_stimuli(case: Case, faults: Faults) -> None:
    """Every stimulus as it would be sent at the case's sampling rate, held against its limits.

    Tests whose stimulus is at fault already are left out, also as neighbours of the others.
    """
    keys = (*_JUDGED, *(key for key, *_ in _PLAUSIBLE))
    sound = [
        test
        for test in case.tests
        if not any(faults.at(("test", test.name, key)) for key in keys) and _whole_period(case, test, faults)
    ]
    plans = arrange(replace(case, tests=tuple(sound)), case.rate_hz)
    for test in sound:
        refusal = limits.refuse(plans[test.name], case.rate_hz, MAX_LINES, case.ceilings)
        if refusal:
            key, cure = _placed(case, test, refusal)
            faults.add(("test", test.name, key), refusal, cure)
        elif test.rate_written and plans[test.name].period:
            _not_locked(case, test, plans[test.name].period, faults)


def _not_locked(case: Case, test: TestPlan, period: int, faults: Faults) -> None:
    """A rate that mains, exactly as the case states them (50 or 60 Hz where it does not), locks to."""
    mains: Mains = case.mains_hz or NOMINAL_HZ
    report = judge(period, case.rate_hz, mains, off_hz=0.0)
    if report.locked:
        what = report.text.partition("; ")[0]
        near = f"write rate_hz = {report.best_hz:.4f}, which leaves {percent(report.best_worst)} %"
        cure = near if report.best_period != period else "choose quite another rate, or sample faster"
        faults.add(("test", test.name, "rate_hz"), what, cure)


def _whole_period(case: Case, test: TestPlan, faults: Faults) -> bool:
    """Whether the rate can be had in whole samples; a fault offers the nearest ones that can."""
    if not test.stimulus_hz:
        return True
    place = ("test", test.name, "rate_hz")
    if test.stimulus_hz < _MIN_RATE_HZ:
        cure = f'write {_MIN_RATE_HZ:g} or more, or fire = "single"'
        faults.add(place, f"{test.stimulus_hz:g} stimuli/s is no rate", cure)
        return False
    samples = case.rate_hz / test.stimulus_hz
    if abs(max(1, round(samples)) - samples) <= _RATE_TOLERANCE * samples:
        return True
    most_hz = _ceiling(case, test).rate_hz
    # Two samples high and one low are the shortest period.
    least = limits.MIN_HOLD_SAMPLES + 1
    periods = {max(least, math.floor(samples)), max(least, math.ceil(samples))}
    offers = [
        f"{case.rate_hz / period:.4g} ({period} samples)"
        for period in sorted(periods, reverse=True)
        if case.rate_hz / period <= most_hz
    ]
    what = f"{test.stimulus_hz:g} is {samples:.2f} samples at {case.rate_hz:g}/s"
    faults.add(place, what, f"write {' or '.join(offers)}" if offers else "sample faster")
    return False


def _placed(case: Case, test: TestPlan, refusal: str) -> tuple[str, str]:
    """The key that a refusal of hw.limits belongs to, and a cure for it."""
    for words, place in _PLACES:
        if words in refusal:
            return place(case, test)
    return "line", "change the stimulus of this test until it fits"


def _ceiling(case: Case, test: TestPlan) -> limits.Ceiling:
    return case.ceilings[limits.KINDS.index(test.stimulus.kind)]


def _at(key: str, cure: str) -> Callable[[Case, TestPlan], tuple[str, str]]:
    return lambda case, test: (key, cure)


def _strength(case: Case, test: TestPlan) -> tuple[str, str]:
    """The key that says how strong, and how strong it may be at this width."""
    stimulus, ceiling = test.stimulus, _ceiling(case, test)
    key = "steps_ma" if stimulus.steps_ma else "volts" if stimulus.volts is not None else "current_ma"
    if not ceiling.current_ma:
        return key, f'write stimulus = "peripheral", or what it is, or leave {key} out: no current flows'
    unknown = replace(stimulus, current_ma=None, volts=None, steps_ma=())
    most_ma = worst_pulse(unknown, ceiling)[0] / 1000
    width_us = stimulus.width_us or ceiling.width_us
    what = "end them at" if stimulus.steps_ma else "write"
    return key, f"{what} {most_ma:g} or less at {width_us:g} us"


def _width(case: Case, test: TestPlan) -> tuple[str, str]:
    ceiling = _ceiling(case, test)
    if not ceiling.width_us:
        return "width_us", "leave width_us out: no current flows"
    return "width_us", f"write {ceiling.width_us:g} or less"


def _pulses(case: Case, test: TestPlan) -> tuple[str, str]:
    most = math.floor(_ceiling(case, test).pulses / test.stimulus.trains)
    each = " in each train" if test.stimulus.trains > 1 else ""
    return "pulses", f"write {most} or fewer{each}"


def _rate(case: Case, test: TestPlan) -> tuple[str, str]:
    return "rate_hz", f"write {_ceiling(case, test).rate_hz:g} or less"


def _apart(key: str) -> Callable[[Case, TestPlan], tuple[str, str]]:
    def place(case: Case, test: TestPlan) -> tuple[str, str]:
        hold = max(limits.MIN_HOLD_SAMPLES, round(test.stimulus.hold_ms * case.rate_hz / 1000))
        least = max(hold + limits.LOW_SAMPLES, _ceiling(case, test).interval_ms * case.rate_hz / 1000)
        # Whole samples, and a figure of three decimals that is not below them.
        least_ms = math.ceil(math.ceil(least - 1e-6) * 1e6 / case.rate_hz - 1e-6) / 1000
        return key, f"write {least_ms:g} or more, a shorter hold_ms, or sample faster"

    return place


# Words of a refusal, in the order in which they tell refusals apart.
_PLACES: tuple[tuple[str, Callable[[Case, TestPlan], tuple[str, str]]], ...] = (
    ("hold of", _at("hold_ms", "write hold_ms = 1, or sample faster")),
    ("interval of", _apart("interval_ms")),
    ("gap of", _apart("gap_ms")),
    ("lockout of", _at("lockout_ms", "write it shorter, or stimulate slower")),
    ("pulses in one stimulus", _pulses),
    ("the rate limit", _rate),
    ("pulses a minute", _at("rate_hz", "stimulate slower, or with fewer pulses")),
    ("overlaps the next one", _at("rate_hz", "stimulate slower, or make the stimulus shorter")),
    ("between trains", _at("rate_hz", "stimulate slower, or with one pulse")),
    ("electrode's area", _at("area_cm2", "write it, as area_cm2 = 0.04 for a disk of 2.3 mm")),
    ("charge density of", _at("area_cm2", "stimulate weaker, or through a larger electrode")),
    ("width of", _width),
    ("current of", _strength),
    ("charge of", _strength),
    ("energy of", _strength),
)
