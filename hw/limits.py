"""Stimulus limits: the one table, checked by the host before sending and by the edge before firing."""

from hw.link import StimPlan

MAX_RATE_HZ = 100.0
MIN_HOLD_SAMPLES = 2
MAX_HOLD_S = 0.01
MIN_SPACING_S = 0.005
HEARTBEAT_TIMEOUT_S = 1.0
RETURN_WITHIN_SAMPLES = 3


def refuse(plan: StimPlan, rate_hz: float, lines: int) -> str:
    """Why `plan` may not run, naming the limit; empty when it may. `rate_hz` is the sampling rate."""
    if lines == 0:
        return "this source cannot stimulate"
    if not 1 <= plan.line <= lines:
        return f"line {plan.line} is not one of 1..{lines}"
    if plan.period == 0 or rate_hz / plan.period > MAX_RATE_HZ:
        return f"a pulse every {plan.period} samples exceeds the rate limit of {MAX_RATE_HZ:g} Hz"
    if plan.hold < MIN_HOLD_SAMPLES:
        return f"hold of {plan.hold} samples is under {MIN_HOLD_SAMPLES}: the status word could miss it"
    if plan.hold / rate_hz > MAX_HOLD_S or plan.hold >= plan.period:
        return f"hold of {plan.hold} samples exceeds the limit of {MAX_HOLD_S * 1e3:g} ms or the period"
    return ""
