"""The keys of [test.NAME] for answers to single stimuli: where they are looked for, what they may not do.

Also of trains of four, whose answers are read pulse by pulse.
"""

from collections.abc import Sequence
from dataclasses import replace

from hostd.case import ResponsePlan, TestPlan
from hostd.casefile_faults import Faults, choose, show_key
from hostd.casefile_peaks import TestScope
from hostd.casefile_rules import NONE

LEAST_QUIET_ROWS = 16
MOST_STACK = 100
_GUARD_MS = 0.5
_BEHIND_MS = 5.0
_AVERAGE_KEYS = (
    *("sweeps", "reject_uv", "weighting", "averaging", "stop", "sharpen", "choice", "virtual", "mains"),
    *("leading", "control", "analysis", "peak", "alert", "droop", "delay_ms"),
    *("mute_ms", "listen", "full_scale_uv", "squelch_uv"),
)
_REGIONS = {"C": "cervical", "T": "thoracic", "L": "lumbar", "S": "lumbar"}


def resolve_response(scope: TestScope, plan: TestPlan) -> TestPlan:
    """`plan` with how its single responses are read."""
    table, modality = scope.table, scope.modality
    for key in _AVERAGE_KEYS:
        if getattr(table, key) is not None:
            scope.fault(
                key, f"{modality.name} reads single responses, which have no such key", "leave it out"
            )
    stack = _count(scope, "stack", 5, MOST_STACK)
    baseline = _count(scope, "baseline_sweeps", 3, MOST_STACK)
    search_ms = _search(scope, plan)
    response = ResponsePlan(
        search_ms=search_ms,
        quiet_ms=_quiet(scope, plan, search_ms),
        stack=stack,
        pooled=_count(scope, "pooled", 1, MOST_STACK),
        drop_pct=_drop(scope),
        confirm=_count(scope, "confirm", 2, 10),
        gate=_gate(scope),
        gate_for=modality.protocol.gate_for,
        m_ms=scope.value("m_ms"),
        region=_region(scope),
        track=_track(scope),
        control=_control(scope, plan),
    )
    if plan.kind == "tof":
        _check_train(scope, plan)
    if not plan.smallest_uv > 0 and scope.fine("smallest_uv"):
        scope.fault(
            "smallest_uv", "0 uV is no response", "write the smallest that counts, as smallest_uv = 30"
        )
    return replace(
        plan, sweeps=stack, baseline_sweeps=baseline, response=response, weighting="none", reject_uv=None
    )


def _count(scope: TestScope, key: str, usual: int, most: int) -> int:
    value = scope.value(key)
    if value is not None and not 1 <= value <= most:
        scope.fault(key, f"{value} is none", f"write 1 to {most}")
    return value or usual


def _search(scope: TestScope, plan: TestPlan) -> tuple[float, float]:
    """Where a response may be: within the window, behind the artifact of the last pulse.

    The modality's window is that of its own train, and moves with the end of a longer or shorter one.
    """
    stimulus, blank_ms = plan.stimulus, plan.blank_ms
    search_ms: tuple[float, float] | None = scope.value("search_ms")
    artifact_ms = blank_ms if plan.kind == "tof" else stimulus.train_ms + blank_ms
    if search_ms is not None and scope.table.search_ms is None and plan.kind != "tof":
        later_ms = stimulus.train_ms - scope.modality.stimulus.train_ms
        search_ms = max(search_ms[0] + later_ms, artifact_ms), search_ms[1] + later_ms
    if search_ms is None:
        if scope.fine("search_ms"):
            scope.fault("search_ms", "missing", "write where a response may be, as search_ms = [15, 90]")
        return (1.0, 2.0)
    if not scope.fine("search_ms", "window_ms", "blank_ms"):
        return search_ms
    (low, high), window_ms = search_ms, plan.window_ms
    shown = f"{low:g}..{high:g} ms"
    if low >= high:
        scope.fault(
            "search_ms", f"{shown} ends before it starts", "write [from, to], as search_ms = [15, 90]"
        )
    elif low < 0 or high > window_ms[1]:
        if scope.table.search_ms is None and scope.table.window_ms is not None:
            what = f"it ends at {window_ms[1]:g} ms, and responses are sought at {shown}"
            scope.fault("window_ms", what, f"end it at {high:g} or later")
        else:
            what = f"{shown} is outside the test's window, which ends at {window_ms[1]:g} ms"
            scope.fault("search_ms", what, "widen window_ms, or move it")
    elif low < artifact_ms and scope.fine("pulses", "interval_ms", "trains", "gap_ms"):
        pulse = "the pulse" if artifact_ms == blank_ms else f"the last pulse at {stimulus.train_ms:g} ms"
        what = f"{shown} reaches into the {blank_ms:g} ms that are blanked behind {pulse}"
        scope.fault("search_ms", what, f"begin it at {artifact_ms:g} or later")
    return search_ms


def _quiet(
    scope: TestScope, plan: TestPlan, search_ms: tuple[float, float]
) -> tuple[tuple[float, float], ...]:
    """What a response is judged against: what lies before the stimulus, and well behind the search window."""
    rate_hz = scope.setup.rate_hz
    spans = [(plan.window_ms[0], -_GUARD_MS)] if plan.window_ms[0] < -_GUARD_MS else []
    if plan.window_ms[1] - search_ms[1] > 4 * _BEHIND_MS:
        spans.append((search_ms[1] + _BEHIND_MS, plan.window_ms[1] - _BEHIND_MS))
    held_ms = sum(high - low for low, high in spans)
    if rate_hz is not None and held_ms * rate_hz < 1000 * LEAST_QUIET_ROWS and scope.fine("window_ms"):
        what = f"{plan.window_ms[0]:g}..{plan.window_ms[1]:g} ms leaves too little before the stimulus"
        scope.fault("window_ms", what, f"begin it at {-1e3 * LEAST_QUIET_ROWS / rate_hz - 1:g} or earlier")
    return tuple(spans)


def _drop(scope: TestScope) -> float:
    written = scope.value("drop_pct")
    if written is None or isinstance(written, str):
        return 0.0
    if not 0 < written <= 100:
        scope.fault("drop_pct", f"{written:g} % is no fall", 'write above 0, up to 100, or "off"')
    return float(written)


def _gate(scope: TestScope) -> str:
    written = scope.table.allowed_by
    return "" if written in (None, NONE) else str(written)


def _track(scope: TestScope) -> tuple[float, float, float] | None:
    written = scope.table.track
    if written is None:
        return None
    low, high, step = written
    if not 0 < low < high or not 0 < step <= high - low:
        cure = "write [lowest, highest, step], as track = [200, 800, 20]"
        scope.fault("track", f"{low:g} to {high:g} by {step:g} is no range to follow a threshold in", cure)
    elif scope.value("steps_ma") is not None and scope.table.current_ma is None:
        scope.fault("track", "steps_ma searches the threshold already", "keep either track or steps_ma")
    return written


def _region(scope: TestScope) -> str:
    kind, root = scope.modality.protocol.region, scope.table.root
    if kind == "root":
        return _REGIONS.get(root[0], "") if root else ""
    return kind


def _control(scope: TestScope, plan: TestPlan) -> bool:
    """Whether a single pulse goes before every train: of trains on demand, which alone can wait for it."""
    stimulus = plan.stimulus
    single, train = stimulus.mode == "single", stimulus.pulses * stimulus.trains > 1
    if scope.table.control_pulse and not single:
        what = "only a stimulus on demand can wait for its control"
        scope.fault("control_pulse", what, 'write fire = "single", or leave control_pulse out')
    elif scope.table.control_pulse and not train and scope.fine("pulses"):
        scope.fault("control_pulse", "a single pulse is its own control", "leave it out, or write pulses = 4")
    return bool(scope.value("control_pulse")) and single and train


def _check_train(scope: TestScope, plan: TestPlan) -> None:
    if plan.stimulus.pulses != 4 and scope.fine("pulses"):
        scope.fault("pulses", f"{plan.stimulus.pulses} pulses are no train of four", "leave pulses out")
    if len(plan.derivations) > 1 and scope.table.derivations is not None:
        scope.fault("derivations", "a train of four is of one muscle", "name one")


def check_gates(plans: Sequence[TestPlan], faults: Faults) -> None:
    """A gate is another test of the case, a train of four."""
    trains = [plan.name for plan in plans if plan.kind == "tof"]
    for plan in plans:
        gate = plan.response.gate if plan.response is not None else ""
        if gate and gate not in trains:
            cure = choose(gate, trains) if trains else 'add a test with modality = "train_of_four"'
            place = ("test", plan.name, "allowed_by")
            faults.add(place, f"{show_key(gate)} is no train-of-four test of this case", cure)
