"""The keys of [test.NAME] that only averages have: sweeps, peaks, rules, what an average comes to."""

from dataclasses import replace

from hostd.case import TestPlan
from hostd.casefile_course import check_averaging, resolve_mains, resolve_sharpen, resolve_virtual
from hostd.casefile_peaks import TestScope, resolve_peaks
from hostd.casefile_rules import resolve_control, resolve_leading, resolve_rules
from hostd.casefile_timing import resolve_later

# 16 sub-averages carry the noise estimate, so fewer sweeps have no error bar.
MIN_SWEEPS = 16
MAX_SWEEPS = 1_000_000
RESPONSE_KEYS = (
    "search_ms",
    "m_ms",
    "stack",
    "pooled",
    "drop_pct",
    "confirm",
    "allowed_by",
    "track",
    "control_pulse",
)
WATCH_KEYS = ("mute_ms", "listen", "full_scale_uv", "squelch_uv")


def resolve_average(scope: TestScope, plan: TestPlan) -> TestPlan:
    """`plan` with all that makes it an average."""
    table, modality = scope.table, scope.modality
    for key in (*RESPONSE_KEYS, *WATCH_KEYS):
        if getattr(table, key) is not None:
            scope.fault(key, f"{modality.name} is averaged, which has no such key", "leave it out")
    sweeps = modality.sweeps if table.sweeps is None else table.sweeps
    baseline_sweeps = table.baseline_sweeps
    if baseline_sweeps is None:
        baseline_sweeps = min(modality.baseline_sweeps, sweeps)
    _check_sweeps(scope, sweeps, baseline_sweeps)
    check_averaging(scope, sweeps)
    later_ms = resolve_later(scope)
    peaks, normals = resolve_peaks(scope, plan.derivations, plan.window_ms, plan.blank_ms, later_ms)
    _check_reversal(scope, plan)
    return replace(
        plan,
        sweeps=sweeps,
        baseline_sweeps=baseline_sweeps,
        peaks=peaks,
        averaging=scope.value("averaging") or "running",
        stop=scope.value("stop") or "sweeps",
        sharpen=resolve_sharpen(scope, plan.band_hz),
        choice=scope.value("choice") or "best",
        virtual=resolve_virtual(scope, plan.derivations, peaks),
        mains=resolve_mains(scope, plan.stimulus_hz, plan.response_ms),
        normals=normals,
        leading=resolve_leading(scope, peaks),
        control=resolve_control(scope, peaks),
        rules=resolve_rules(scope, peaks),
        analysis=scope.value("analysis") or "peaks",
    )


def _check_reversal(scope: TestScope, plan: TestPlan) -> None:
    if scope.value("analysis") != "reversal" or not scope.fine("analysis", "derivations", "window_ms"):
        return
    if 0 < len(plan.derivations) < 3:
        what = f"{len(plan.derivations)} contacts are no row across which a response turns over"
        scope.fault("derivations", what, "name three or more, in their order")
    elif plan.window_ms[1] < 31:
        shown = f"{plan.window_ms[0]:g}..{plan.window_ms[1]:g} ms"
        scope.fault("window_ms", f"{shown} does not hold 15..30 ms, where it turns over", "widen it")


def _check_sweeps(scope: TestScope, sweeps: int, baseline_sweeps: int) -> None:
    if scope.fine("sweeps") and not MIN_SWEEPS <= sweeps <= MAX_SWEEPS:
        what = f"{sweeps} sweeps" + (" are too few to estimate the noise" if sweeps < MIN_SWEEPS else "")
        scope.fault("sweeps", what, f"write {MIN_SWEEPS} to {MAX_SWEEPS}")
    if scope.fine("sweeps", "baseline_sweeps") and not MIN_SWEEPS <= baseline_sweeps <= sweeps:
        what = f"a baseline of {baseline_sweeps} sweeps cannot be had from averages of {sweeps}"
        scope.fault("baseline_sweeps", what, f"write {MIN_SWEEPS} to {sweeps}")
