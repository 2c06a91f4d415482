"""[test.NAME] of a case file, judged and resolved to a plan with every default filled.

Owns what makes sense within one test; form is `casefile_faults`, peaks and derivations are `casefile_peaks`,
the stimulus is `casefile_stimulus`.
A check is left out when a key that it rests on is at fault already, so that one error is told once.
"""

import re
from collections.abc import Mapping

from hostd.case import Kind, RecordingMap, TestPlan, WatchPlan
from hostd.casefile_average import resolve_average
from hostd.casefile_course import resolve_smallest_uv
from hostd.casefile_faults import Faults, choose, read, show, show_key
from hostd.casefile_peaks import TestScope, resolve_derivations
from hostd.casefile_response import check_gates, resolve_response
from hostd.casefile_schema import TestTable
from hostd.casefile_setup import MAX_LINES, Setup
from hostd.casefile_stimulus import resolve_stimulus
from hostd.casefile_timing import resolve_timing
from hostd.casefile_watch import resolve_watch
from hostd.modalities import MODALITIES, Modality

# Digital filters need room below the Nyquist frequency.
BAND_LIMIT = 0.45
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def resolve_tests(
    raw: Mapping[str, object] | None, setup: Setup, recording: RecordingMap, faults: Faults
) -> tuple[tuple[TestPlan, ...], tuple[WatchPlan, ...]]:
    """The plans of [test.*] in the order of the file, and what is watched without a stimulus; those at fault
    are left out."""
    if not raw:
        if not faults.at(("test",)):
            faults.add(("test",), "no test", "add one, as [test.left_median] with modality, side and line")
        return (), ()
    plans: list[TestPlan] = []
    watches: list[WatchPlan] = []
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
        modality = _modality(path, fields, faults)
        if modality is not None and modality.protocol.kind in ("emg", "eeg"):
            watches.append(resolve_watch(TestScope(path, fields, modality, setup, faults)))
            continue
        _check_line(path, fields.line, users, recording, faults)
        _check_alternate(path, fields, users, faults)
        if modality is not None:
            plans.append(_plan(name, TestScope(path, fields, modality, setup, faults)))
    check_gates(plans, faults)
    return tuple(plans), tuple(watches)


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


def _plan(name: str, scope: TestScope) -> TestPlan:
    table, modality = scope.table, scope.modality
    timing = resolve_timing(scope)
    derivations = resolve_derivations(scope)
    band_hz = _band(scope)
    _check_rate(scope)
    plan = TestPlan(
        name=name,
        modality=modality.name,
        site=_site(scope),
        line=table.line or 0,
        stimulus_hz=timing.stimulus_hz,
        window_ms=timing.window_ms,
        band_hz=band_hz,
        sweeps=0,
        derivations=derivations,
        reject_uv=_reject(scope),
        weighting=timing.weighting,
        blank_ms=timing.blank_ms,
        response_ms=timing.response_ms,
        baseline=scope.value("baseline") or "auto",
        baseline_sweeps=0,
        smallest_uv=resolve_smallest_uv(scope),
        droop=scope.value("droop") or "leave",
        stimulus=resolve_stimulus(scope),
        rate_written=table.rate_hz is not None,
        keeps_hz=modality.protocol.keeps_hz,
        kind=_kind(modality),
    )
    return resolve_average(scope, plan) if plan.kind == "average" else resolve_response(scope, plan)


def _kind(modality: Modality) -> Kind:
    kind = modality.protocol.kind
    return "average" if kind == "emg" or kind == "eeg" else kind


def _site(scope: TestScope) -> str:
    """What is stimulated, as written, else the side and the modality's nerve, or the root that is named."""
    table, roots = scope.table, scope.modality.protocol.roots
    what = scope.modality.site
    if table.root is not None and table.root not in roots:
        cure = choose(table.root, roots) if roots else "leave it out"
        scope.fault("root", f"{show_key(table.root)} is no root of {scope.modality.name}", cure)
    elif roots and table.root is None and table.site is None and scope.fine("root"):
        scope.fault("root", f"missing, and {scope.modality.name} is of one", f"write root = {show(roots[0])}")
    elif table.root is not None:
        what = what.replace("{root}", table.root)
    return f"{table.side or ''} {what}".strip() if table.site is None else table.site


def _check_rate(scope: TestScope) -> None:
    """A modality's own band needs a sampling rate; a recording has what it has, a written band its own."""
    rate_hz, needs_hz = scope.setup.rate_hz, scope.modality.protocol.needs_hz
    if rate_hz is None or rate_hz >= needs_hz or scope.setup.recorded or scope.table.band_hz is not None:
        return
    what = f"{scope.modality.name} needs {needs_hz:g} samples/s, this case has {rate_hz:g}"
    cure = "write [acquisition] rate_hz higher or leave it out, or write a band_hz that fits"
    scope.fault("modality", what, cure)


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
