"""[test.NAME] of a case file, judged and resolved to a plan with every default filled.

Owns what makes sense within one test; form is `casefile_faults`, peaks and derivations are `casefile_peaks`,
the stimulus is `casefile_stimulus`.
A check is left out when a key that it rests on is at fault already, so that one error is told once.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hostd.case import RecordingMap, TestPlan
from hostd.casefile_course import (
    check_averaging,
    resolve_mains,
    resolve_sharpen,
    resolve_smallest_uv,
    resolve_virtual,
)
from hostd.casefile_faults import Faults, choose, read, show_key
from hostd.casefile_peaks import TestScope, resolve_derivations, resolve_peaks
from hostd.casefile_schema import TestTable
from hostd.casefile_setup import MAX_LINES, Setup
from hostd.casefile_stimulus import resolve_stimulus
from hostd.modalities import MODALITIES, Modality
from hw.limits import MAX_RATE_HZ as MAX_STIMULUS_HZ

# 16 sub-averages carry the noise estimate, so fewer sweeps have no error bar.
MIN_SWEEPS = 16
MAX_SWEEPS = 1_000_000
MAX_WINDOW_MS = 10_000
# Digital filters need room below the Nyquist frequency.
BAND_LIMIT = 0.45
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class _Timing:
    stimulus_hz: float
    window_ms: tuple[float, float]
    blank_ms: float
    response_ms: float
    weighting: Literal["noise", "none"]

    @property
    def period_ms(self) -> float:
        """Infinite for single stimuli: nothing follows that a window could reach."""
        return 1000.0 / self.stimulus_hz if self.stimulus_hz else math.inf


def resolve_tests(
    raw: Mapping[str, object] | None, setup: Setup, recording: RecordingMap, faults: Faults
) -> tuple[TestPlan, ...]:
    """The plans of [test.*] in the order of the file; those at fault are left out."""
    if not raw:
        if not faults.at(("test",)):
            faults.add(("test",), "no test", "add one, as [test.left_median] with modality, side and line")
        return ()
    plans = []
    users: dict[int, str] = {}
    for name, table in raw.items():
        path = ("test", name)
        if not isinstance(table, dict):
            faults.add(path, "expected a table", "write [test.NAME] and its keys below")
            continue
        if not _NAME.fullmatch(name):
            cure = "use 1 to 64 letters, digits, '_' and '-', as [test.left_median]"
            faults.add(path, "this name cannot be a topic on the bus", cure)
        fields = read(TestTable, table, path, faults)
        _check_line(path, fields.line, users, recording, faults)
        _check_alternate(path, fields, users, faults)
        plan = _plan(name, fields, setup, faults)
        if plan is not None:
            plans.append(plan)
    return tuple(plans)


def _check_line(
    test: tuple[str, str], line: int | None, users: dict[int, str], recording: RecordingMap, faults: Faults
) -> None:
    path = (*test, "line")
    if faults.at(path):
        return
    if line is None:
        faults.add(path, "missing", f"write the trigger line that stimulates, 1 to {MAX_LINES}, as line = 1")
    elif not 1 <= line <= MAX_LINES:
        faults.add(path, f"{line} is no trigger line", f"choose 1 to {MAX_LINES}")
    elif line in users:
        faults.add(
            path, f"line {line} belongs to [test.{show_key(users[line])}]", "give every test its own line"
        )
    elif recording.annotations and line not in recording.annotations.values():
        cure = f'add an annotation for it, as annotations = {{ "click" = {line} }}'
        faults.add(path, f"no annotation of [recording] gives line {line}", cure)
    elif recording.threshold is not None and line != 1:
        faults.add(path, f"[recording] threshold gives line 1 only, not {line}", "write line = 1")
    else:
        users[line] = test[1]


def _check_alternate(test: tuple[str, str], table: TestTable, users: dict[int, str], faults: Faults) -> None:
    path, line = (*test, "alternate_line"), table.alternate_line
    if line is None:
        return
    if not 1 <= line <= MAX_LINES:
        faults.add(path, f"{line} is no trigger line", f"choose 1 to {MAX_LINES}")
    elif line in users:
        owner = show_key(users[line])
        faults.add(path, f"line {line} belongs to [test.{owner}]", "give the other polarity its own line")
    elif table.fire == "single":
        faults.add(path, "single stimuli do not alternate", "leave alternate_line out, or write another test")
    else:
        users[line] = test[1]


def _plan(name: str, table: TestTable, setup: Setup, faults: Faults) -> TestPlan | None:
    path = ("test", name)
    modality = _modality(path, table, faults)
    if modality is None:
        return None
    scope = TestScope(path, table, modality, setup, faults)
    timing = _timing(scope)
    sweeps = modality.sweeps if table.sweeps is None else table.sweeps
    baseline_sweeps = table.baseline_sweeps
    if baseline_sweeps is None:
        baseline_sweeps = min(modality.baseline_sweeps, sweeps)
    _check_sweeps(scope, sweeps, baseline_sweeps)
    check_averaging(scope, sweeps)
    derivations = resolve_derivations(scope)
    band_hz = _band(scope)
    peaks = resolve_peaks(scope, derivations, timing.window_ms, timing.blank_ms)
    return TestPlan(
        name=name,
        modality=modality.name,
        site=table.site if table.site is not None else f"{table.side or ''} {modality.site}".strip(),
        line=table.line or 0,
        stimulus_hz=timing.stimulus_hz,
        window_ms=timing.window_ms,
        band_hz=band_hz,
        sweeps=sweeps,
        derivations=derivations,
        reject_uv=_reject(scope),
        weighting=timing.weighting,
        blank_ms=timing.blank_ms,
        response_ms=timing.response_ms,
        baseline=table.baseline or "auto",
        baseline_sweeps=baseline_sweeps,
        peaks=peaks,
        averaging=table.averaging or "running",
        stop=table.stop or "sweeps",
        smallest_uv=resolve_smallest_uv(scope),
        sharpen=resolve_sharpen(scope, band_hz),
        choice=table.choice or "best",
        virtual=resolve_virtual(scope, derivations, peaks),
        mains=resolve_mains(scope, timing.stimulus_hz, timing.response_ms),
        droop=table.droop or "leave",
        stimulus=resolve_stimulus(scope),
        rate_written=table.rate_hz is not None,
    )


def _modality(path: tuple[str, str], table: TestTable, faults: Faults) -> Modality | None:
    place = (*path, "modality")
    if faults.at(place):
        return None
    if table.modality is None:
        faults.add(place, "missing", f'write modality = "NAME"; {choose("", MODALITIES)}')
        return None
    if table.modality not in MODALITIES:
        faults.add(
            place, f"unknown modality '{show_key(table.modality)}'", choose(table.modality, MODALITIES)
        )
    return MODALITIES.get(table.modality)


def _timing(scope: TestScope) -> _Timing:
    """Rate, window, blanking and end of the response; judged in this order, each with what came before."""
    table, modality = scope.table, scope.modality
    stimulus_hz = _stimulus_hz(scope)
    window_ms = table.window_ms or modality.window_ms
    if window_ms is None:
        scope.fault("window_ms", "missing", "write the window around the stimulus, as window_ms = [-10, 80]")
    window_ms = window_ms or (0.0, 1.0)
    response_ms = modality.response_ms if table.response_ms is None else table.response_ms
    timing = _Timing(
        stimulus_hz=stimulus_hz,
        window_ms=window_ms,
        blank_ms=modality.blank_ms if table.blank_ms is None else table.blank_ms,
        response_ms=window_ms[1] if response_ms is None else response_ms,
        weighting=table.weighting or modality.weighting,
    )
    if scope.fine("window_ms"):
        _check_window(scope, timing)
    _check_blank(scope, timing)
    _check_response(scope, timing)
    return timing


def _stimulus_hz(scope: TestScope) -> float:
    """Stimuli per second, 0 for single ones; 1 where it is at fault."""
    written_hz = scope.table.rate_hz
    if scope.table.fire == "single":
        if written_hz is not None:
            scope.fault("rate_hz", "single stimuli have no rate", "leave rate_hz out")
        return 0.0
    # A recording's triggers say when the stimuli were; the rate only bounds the window there.
    default_hz = 1.0 if scope.setup.recorded else scope.modality.rate_hz
    stimulus_hz = default_hz if written_hz is None else written_hz
    if stimulus_hz is None:
        scope.fault("rate_hz", "missing", "write the stimulus rate, as rate_hz = 2.692")
    elif not 0 < stimulus_hz <= MAX_STIMULUS_HZ:
        cure = f"choose above 0, up to {MAX_STIMULUS_HZ:g}"
        scope.fault("rate_hz", f"{stimulus_hz:g} stimuli/s cannot be fired", cure)
    return stimulus_hz if stimulus_hz and scope.fine("rate_hz") else 1.0


def _check_window(scope: TestScope, timing: _Timing) -> None:
    start, end = timing.window_ms
    rate_hz = scope.setup.rate_hz
    shown = f"{start:g}..{end:g} ms"
    if start >= end:
        scope.fault(
            "window_ms", f"{shown} ends before it starts", "write [from, to], as window_ms = [-10, 80]"
        )
    elif not start <= 0 < end:
        cure = "start it at or before 0 and end it after, as window_ms = [-10, 80]"
        scope.fault("window_ms", f"{shown} does not hold the stimulus, which is at 0", cure)
    elif scope.fine("rate_hz") and end >= timing.period_ms:
        what = f"{shown} reaches the next stimulus, {timing.period_ms:g} ms later"
        scope.fault("window_ms", what, f"end it before, or stimulate slower than {timing.stimulus_hz:g}/s")
    elif end - start > MAX_WINDOW_MS:
        scope.fault("window_ms", f"{shown} is longer than {MAX_WINDOW_MS} ms", "shorten it")
    elif rate_hz is not None and (end - start) * rate_hz < 1000 * MIN_SWEEPS:
        what = f"{shown} holds fewer than {MIN_SWEEPS} samples at {rate_hz:g}/s"
        scope.fault("window_ms", what, "widen it, or sample faster")


def _check_blank(scope: TestScope, timing: _Timing) -> None:
    if not scope.fine("blank_ms"):
        return
    if timing.blank_ms < 0:
        scope.fault("blank_ms", f"{timing.blank_ms:g} ms is negative", "write 0 for no blanking")
    elif scope.fine("window_ms") and timing.blank_ms >= timing.window_ms[1]:
        what = f"{timing.blank_ms:g} ms covers the whole window, which ends at {timing.window_ms[1]:g} ms"
        scope.fault("blank_ms", what, "blank the artifact only, as blank_ms = 4, or write 0")


def _check_response(scope: TestScope, timing: _Timing) -> None:
    if not scope.fine("response_ms"):
        return
    if scope.table.response_ms is not None and timing.response_ms <= 0:
        cure = "write when the response has ended, as response_ms = 60"
        scope.fault("response_ms", f"{timing.response_ms:g} ms is not after the stimulus", cure)
        return
    judged = timing.weighting == "noise" and scope.fine("window_ms", "rate_hz", "weighting")
    if judged and timing.response_ms >= timing.period_ms:
        what = f"{timing.response_ms:g} ms leaves nothing free of response before the next stimulus"
        cure = f'write less than {timing.period_ms:g}, stimulate slower, or write weighting = "none"'
        scope.fault("response_ms", what, cure)


def _check_sweeps(scope: TestScope, sweeps: int, baseline_sweeps: int) -> None:
    if scope.fine("sweeps") and not MIN_SWEEPS <= sweeps <= MAX_SWEEPS:
        what = f"{sweeps} sweeps" + (" are too few to estimate the noise" if sweeps < MIN_SWEEPS else "")
        scope.fault("sweeps", what, f"write {MIN_SWEEPS} to {MAX_SWEEPS}")
    if scope.fine("sweeps", "baseline_sweeps") and not MIN_SWEEPS <= baseline_sweeps <= sweeps:
        what = f"a baseline of {baseline_sweeps} sweeps cannot be had from averages of {sweeps}"
        scope.fault("baseline_sweeps", what, f"write {MIN_SWEEPS} to {sweeps}")


def _band(scope: TestScope) -> tuple[float, float] | None:
    """The band; a default's upper edge gives way to the sampling rate, a written one is at fault."""
    written = scope.table.band_hz
    if written == "off" or not scope.fine("band_hz"):
        return None
    band = written or scope.modality.band_hz
    if band is None or isinstance(band, str):
        return None
    low, high = band
    limit_hz = None if scope.setup.rate_hz is None else BAND_LIMIT * scope.setup.rate_hz
    if written is None and limit_hz is not None:
        high = min(high, limit_hz)
    if low <= 0:
        scope.fault(
            "band_hz", f"the lower edge {low:g} Hz is not above 0", 'raise it, or write band_hz = "off"'
        )
    elif low >= high:
        what = f"the lower edge {low:g} Hz is not below the upper, {high:g} Hz"
        scope.fault("band_hz", what, "write [low, high], as band_hz = [30, 1000], or sample faster")
    elif limit_hz is not None and high > limit_hz:
        what = f"the upper edge {high:g} Hz needs more than {scope.setup.rate_hz:g} samples/s"
        scope.fault(
            "band_hz", what, f"lower it to {limit_hz:g} ({BAND_LIMIT:g} of rate_hz), or sample faster"
        )
    return low, high


def _reject(scope: TestScope) -> float | None:
    written = scope.table.reject_uv
    reject_uv = scope.modality.reject_uv if written is None else written
    if isinstance(reject_uv, str) or reject_uv is None:
        return None
    if reject_uv <= 0:
        scope.fault(
            "reject_uv", f"{reject_uv:g} uV rejects every sweep", 'raise it, or write reject_uv = "off"'
        )
    return reject_uv
