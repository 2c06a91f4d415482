"""Stimulus limits: the one table, checked by the host before sending and by the edge before firing.

Owns what each kind of stimulation may be at most, and says why a plan may not run. A case can only tighten
the table (`tightened`). Figures are ceilings of hardware and practice (facts: clinical 1.A, 4.A to 4.C), not
advice: a clinical lead decides what is used on patients.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields

from hw.link import StimPlan

MIN_HOLD_SAMPLES = 2
MAX_HOLD_S = 0.01
MIN_SPACING_S = 0.005
RETURN_WITHIN_SAMPLES = 3
LOW_SAMPLES = 2
"""A line must have been low so long, and be seen low, before the next pulse of a train shows as an edge."""
HEARTBEAT_EVERY_S = 0.04
HEARTBEAT_TIMEOUT_S = 0.2
HANG_UP_S = 1.0
"""So long an edge that has ended lets the host hang up first."""
ARM_S = 30.0
"""What was armed and not used so long is disarmed."""
SHOT_WAIT_S = 2.0
"""A single stimulus waits at most so long for other tests to be out of its way. A train of four at 2 Hz and
its window are 1.56 s; a pulse later than that is one that nobody expects any more."""
ELECTRODE_CHECK_S = 3600.0
"""Electrodes must have been measured within this time before anything is armed on a person."""
MOST_GUARD_S = 10.0
MOST_AREA_CM2 = 100.0
"""A larger electrode is a typing error, which would lift the limit of charge density."""
TOLERANCE = 1e-9
"""What rounding may add to a figure that is exactly at its limit."""
LOAD_OHM = 1000.0
"""Energy is reckoned into this load, as ceilings of energy are stated."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that one kind of stimulation may be; 0 in a figure of current: no current flows at all.

    `current_ma`, `width_us`, `charge_uc`, `energy_mj`, `density_uc_cm2`: one pulse (density 0: no limit of
    its own; `train_density_uc_cm2` for single stimuli on demand). `rate_hz`: stimuli a second; `pulses`: of
    one stimulus, all its trains together; `interval_ms`: least between them; `rest_s`: least from the end of
    a stimulus of several pulses to the next one. `minute_pulses`, `case_*`: sums of one line.
    """

    name: str
    current_ma: float
    width_us: float
    charge_uc: float
    energy_mj: float
    density_uc_cm2: float
    train_density_uc_cm2: float
    rate_hz: float
    pulses: float
    interval_ms: float
    rest_s: float
    minute_pulses: float
    case_pulses: float
    case_charge_mc: float
    case_energy_j: float


CEILINGS: tuple[Ceiling, ...] = (
    # A click or a flash: no current through the patient.
    Ceiling("sensory", 0, 0, 0, 0, 0, 0, 100, 10, 1.0, 0.0, 6000, 2_000_000, 0, 0),
    # SSEP, TOF, H reflex: 100 mA for 0.3 ms, 30 mA for 1 ms; up to 20 a second through a whole day.
    Ceiling("peripheral", 100, 1000, 30, 3, 0, 0, 50, 10, 1.0, 0.0, 3000, 600_000, 5_000, 500),
    # TcMEP: 1000 V or 1 A for 0.05 ms, 220 mA for 0.5 ms; 9 pulses in each of two trains, a second apart.
    Ceiling("transcranial", 1500, 500, 110, 50, 0, 0, 1, 18, 1.0, 1.0, 600, 20_000, 1_000, 500),
    # Probe on nerve or screw: 30 mA for 0.4 ms; short trains.
    Ceiling("nerve", 30, 400, 12, 0.4, 0, 0, 10, 5, 1.0, 0.1, 600, 50_000, 300, 20),
    # On the cortex: 30 mA for 0.5 ms or 20 mA for 1 ms; Penfield 60 Hz. Repeated stimulation is held to
    # 40 uC/cm2 a phase; accepted trains of a few pulses reach 241 on a 2.3 mm disk.
    Ceiling("cortical", 30, 1000, 20, 0.5, 40, 300, 60, 9, 1.0, 1.0, 600, 10_000, 100, 5),
)
KINDS = tuple(ceiling.name for ceiling in CEILINGS)
MAX_RATE_HZ = max(ceiling.rate_hz for ceiling in CEILINGS)
FIGURES = tuple(field.name for field in fields(Ceiling) if field.name != "name")
_AT_LEAST = ("interval_ms", "rest_s")


def tightened(ceiling: Ceiling, changes: Mapping[str, float]) -> Ceiling:
    """`ceiling` with some figures made stricter. ValueError names the first one that is not."""
    for key, value in changes.items():
        if key not in FIGURES:
            raise ValueError(f"{key} is no limit; known are {', '.join(FIGURES)}")
        now = getattr(ceiling, key)
        if key in _AT_LEAST:
            stricter, cure = value >= now, f"write at least {now:g}"
        elif _none(key, now):
            stricter, cure = value > 0, "write one above 0"
        else:
            cure = f"write above 0, up to {now:g}" if now else f"leave {key} out"
            stricter = 0 < value <= now
        if not stricter:
            raise ValueError(f"{key} = {value:g} loosens {ceiling.name}, whose limit is {now:g}; {cure}")
    return Ceiling(ceiling.name, *(changes.get(key, getattr(ceiling, key)) for key in FIGURES))


def _none(key: str, now: float) -> bool:
    """Whether 0 in this figure stands for no limit."""
    return "density" in key and now == 0


def stricter(one: Ceiling, other: Ceiling) -> Ceiling:
    """Of every figure the stricter one; the name is the first one's."""
    chosen = []
    for key in FIGURES:
        a, b = getattr(one, key), getattr(other, key)
        either = key in _AT_LEAST or _none(key, a) or _none(key, b)
        chosen.append(max(a, b) if either else min(a, b))
    return Ceiling(one.name, *chosen)


def figures(ceiling: Ceiling) -> tuple[float, ...]:
    """A ceiling as the link carries it, without its name."""
    return tuple(float(x) for x in astuple(ceiling)[1:])


def from_figures(kind: int, values: Sequence[float]) -> Ceiling:
    """The ceiling that the link carried. ValueError for a kind or number of figures that there is not."""
    if not 0 <= kind < len(KINDS) or len(values) != len(FIGURES):
        raise ValueError(f"kind {kind} with {len(values)} figures is no ceiling of this version")
    if not all(0 <= value < 1e12 for value in values):  # nan neither
        raise ValueError(f"a figure of {KINDS[kind]} is negative or no number")
    return Ceiling(KINDS[kind], *values)


def charge_nc(plan: StimPlan) -> float:
    """Charge of one pulse."""
    return plan.current_ua * plan.width_us / 1000.0


def energy_nj(plan: StimPlan) -> float:
    """Energy of one pulse into LOAD_OHM."""
    return plan.current_ua**2 * plan.width_us * LOAD_OHM * 1e-9


def span_samples(plan: StimPlan) -> int:
    """Samples from the first to the last pulse of one stimulus."""
    return plan.trains * (plan.pulses - 1) * plan.interval + (plan.trains - 1) * plan.gap


def refuse(plan: StimPlan, rate_hz: float, lines: int, ceilings: Sequence[Ceiling] = CEILINGS) -> str:
    """Why `plan` may not run, naming limit and value; empty when it may. `rate_hz` is the sampling rate."""
    if lines == 0:
        return "this source cannot stimulate"
    if not 1 <= plan.line <= lines:
        return f"line {plan.line} is not one of 1..{lines}"
    if plan.alternate and (plan.alternate == plan.line or plan.alternate > lines):
        return f"alternate line {plan.alternate} is not another one of 1..{lines}"
    if plan.kind >= len(ceilings):
        return f"kind {plan.kind} is not one of 0..{len(ceilings) - 1}"
    ceiling = ceilings[plan.kind]
    return (
        _refuse_hold(plan, rate_hz)
        or _refuse_train(plan, rate_hz, ceiling)
        or _refuse_rate(plan, rate_hz, ceiling)
        or _refuse_dose(plan, ceiling)
    )


def _refuse_hold(plan: StimPlan, rate_hz: float) -> str:
    if plan.hold < MIN_HOLD_SAMPLES:
        return f"hold of {plan.hold} samples is under {MIN_HOLD_SAMPLES}: the status word could miss it"
    if plan.hold / rate_hz > MAX_HOLD_S + TOLERANCE:
        return f"hold of {plan.hold} samples exceeds the limit of {MAX_HOLD_S * 1e3:g} ms"
    if plan.period and plan.hold >= plan.period:
        return f"hold of {plan.hold} samples exceeds the period of {plan.period}"
    if plan.guard / rate_hz > MOST_GUARD_S:
        return f"lockout of {plan.guard} samples exceeds the limit of {MOST_GUARD_S:g} s"
    return ""


def _refuse_train(plan: StimPlan, rate_hz: float, ceiling: Ceiling) -> str:
    """A pulse of a train is proven before the next one: it must have been low in between."""
    if plan.pulses < 1 or plan.trains not in (1, 2):
        return f"{plan.trains} trains of {plan.pulses} pulses: a stimulus is 1 or 2 trains of 1 pulse or more"
    if (total := plan.pulses * plan.trains) > ceiling.pulses:
        return f"{total} pulses in one stimulus exceed the limit of {ceiling.pulses:g} for {ceiling.name}"
    waits = [("interval", plan.interval)] * (plan.pulses > 1) + [("gap", plan.gap)] * (plan.trains > 1)
    for name, samples in waits:
        if samples < plan.hold + LOW_SAMPLES:
            least = plan.hold + LOW_SAMPLES
            return (
                f"{name} of {samples} samples is under {least}: a pulse of {plan.hold} and {LOW_SAMPLES} low"
            )
        if samples / rate_hz * 1e3 < ceiling.interval_ms - TOLERANCE:
            shown = f"{samples / rate_hz * 1e3:.4g} ms"
            return f"{name} of {shown} is under the limit of {ceiling.interval_ms:g} ms for {ceiling.name}"
    return ""


def _refuse_rate(plan: StimPlan, rate_hz: float, ceiling: Ceiling) -> str:
    if plan.period == 0:
        return "" if plan.count == 1 else f"a single stimulus fires once, not {plan.count} times"
    span, total = span_samples(plan), plan.pulses * plan.trains
    if rate_hz / plan.period > ceiling.rate_hz + TOLERANCE:
        limit = f"the rate limit of {ceiling.rate_hz:g} Hz for {ceiling.name}"
        return f"a pulse every {plan.period} samples exceeds {limit}"
    if span + plan.hold >= plan.period:
        return f"a stimulus of {span + plan.hold} samples overlaps the next one, {plan.period} samples later"
    if plan.guard >= plan.period:
        late = f"is not over at the next stimulus, {plan.period} samples later: no other test could ever fire"
        return f"lockout of {plan.guard} samples {late}"
    rest_s = (plan.period - span) / rate_hz
    if total > 1 and rest_s < ceiling.rest_s - TOLERANCE:
        limit = f"the limit of {ceiling.rest_s:g} s for {ceiling.name}"
        return f"a rest of {rest_s:.5g} s between trains is under {limit}"
    # Stimuli that begin within any minute, whole ones: the loop refuses the one that would be too much.
    stimuli = math.ceil(60 * rate_hz / plan.period - TOLERANCE)
    minute = total * (min(stimuli, plan.count) if plan.count else stimuli)
    if minute > ceiling.minute_pulses:
        limit = f"the limit of {ceiling.minute_pulses:g} for {ceiling.name}"
        return f"{minute} pulses a minute exceed {limit}"
    return ""


def _refuse_dose(plan: StimPlan, ceiling: Ceiling) -> str:
    """What one pulse delivers. An area of 0 is not known, and its density cannot be reckoned."""
    if not 0 <= plan.area_cm2 <= MOST_AREA_CM2:  # nan neither
        return f"area of {plan.area_cm2:g} cm2 is no electrode's: the limit is {MOST_AREA_CM2:g} cm2"
    charge_uc = charge_nc(plan) / 1e3
    density = charge_uc / plan.area_cm2 if plan.area_cm2 > 0 else 0.0
    density_limit = ceiling.train_density_uc_cm2 if plan.period == 0 else ceiling.density_uc_cm2
    if density_limit and plan.current_ua and not plan.area_cm2 > 0:
        return f"{ceiling.name} stimulation needs the electrode's area: its charge density is limited"
    for what, value, limit, unit in (
        ("current", plan.current_ua / 1e3, ceiling.current_ma, "mA"),
        ("width", plan.width_us, ceiling.width_us, "us"),
        ("charge", charge_uc, ceiling.charge_uc, "uC"),
        ("energy", energy_nj(plan) / 1e6, ceiling.energy_mj, "mJ"),
        ("charge density", density, density_limit or float("inf"), "uC/cm2"),
    ):
        if value > limit * (1 + TOLERANCE):
            return f"{what} of {value:.6g} {unit} exceeds the limit of {limit:g} {unit} for {ceiling.name}"
    return ""
