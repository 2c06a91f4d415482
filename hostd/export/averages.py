"""The averages of a case as it stored them: header and trace together, and which of them matter in a report.

Owns the joining of the two columns and the choice of baseline, last and worst; measures nothing anew.
"""

import json
import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from dsp.limits import SUB_AVERAGES
from hostd.case import TestPlan
from hostd.errors import RecordingError
from hostd.export.record import Record
from hostd.export.rows import Average, Command, Peak, Reading


class Header(msgspec.Struct):
    """What exports use of an average's stored header."""

    derivations: list[str]
    t0_ms: float
    dt_ms: float
    shape: tuple[int, int]
    n_sweeps: int
    n_rejected: int = 0
    n_effective: float = 0.0
    noise_uv: list[float | None] = []
    first_index: int = 0
    last_index: int = 0
    rate_hz: float | None = None
    band_hz: tuple[float, float] | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """One stored average: `mean_uv` (time, derivation); `role` is baseline, average or last."""

    test: str
    role: str
    sample: int
    header: Header
    mean_uv: NDArray[np.float32]

    @property
    def times_ms(self) -> NDArray[np.float64]:
        """Of the rows, after the stimulus."""
        rows = np.arange(len(self.mean_uv), dtype=np.float64)
        return self.header.t0_ms + self.header.dt_ms * rows

    def size_uv(self, derivation: str, from_ms: float) -> float:
        """Peak to peak of a derivation from some time on."""
        part = self.mean_uv[self.times_ms >= from_ms, self.header.derivations.index(derivation)]
        return float(np.ptp(part)) if len(part) else 0.0

    def row_at(self, latency_ms: float) -> int:
        """The row nearest to a latency."""
        row = round((latency_ms - self.header.t0_ms) / self.header.dt_ms)
        return min(max(row, 0), len(self.mean_uv) - 1)


def traces(record: Record, test: str) -> list[Trace]:
    """The stored averages of a test with a sweep in them, in the order of writing; raises RecordingError."""
    found = []
    for row in record.rows(Average, "test = ?", test):
        header = record.json_as(row.header, f"table averages, test {test}", Header)
        rows, columns = header.shape
        if len(row.mean_uv) != 4 * rows * columns or columns != len(header.derivations) or header.dt_ms <= 0:
            raise RecordingError(
                f"{record.folder}: an average of {test} has {len(row.mean_uv)} bytes for {rows} x {columns}; "
                "see evokd audit"
            )
        if rows and header.n_sweeps:
            mean = np.frombuffer(row.mean_uv, "<f4").reshape(rows, columns)
            found.append(Trace(test, row.role, row.sample, header, mean))
    return found


def baseline_of(found: list[Trace]) -> Trace | None:
    """The baseline that stood last."""
    return next((t for t in reversed(found) if t.role == "baseline"), None)


def last_of(found: list[Trace]) -> Trace | None:
    """The average with which the case ended."""
    return max((t for t in found if t.role != "baseline"), key=lambda t: t.sample, default=None)


@dataclass(frozen=True, slots=True)
class Course:
    """One peak over the case: `rows` in time order, those of averages with sweeps enough to be judged;
    `baseline`, `worst`, `last` of them, None where there is none; no worst without a peak in the baseline."""

    peak: str
    derivation: str
    rows: tuple[Peak, ...]
    baseline: Peak | None
    worst: Peak | None
    last: Peak | None


def courses(record: Record, plan: TestPlan, found: list[Trace]) -> list[Course]:
    """Every peak of a test over the case, in the order of the test's peaks."""
    by_peak: dict[tuple[str, str], list[Peak]] = {}
    for row in record.each(Peak, "test = ?", plan.name):
        by_peak.setdefault((row.peak, row.derivation), []).append(row)
    if plan.response is not None:
        return [_of_answers(record, plan, *name, rows) for name, rows in by_peak.items()]
    starts = _restarts(record, plan.name)
    finals = {t.sample for t in found if t.header.final}
    baseline = baseline_of(found)
    return [_course(record, plan, name, rows, starts, finals, baseline) for name, rows in by_peak.items()]


def _course(
    record: Record,
    plan: TestPlan,
    name: tuple[str, str],
    rows: list[Peak],
    starts: list[int],
    finals: set[int],
    baseline: Trace | None,
) -> Course:
    """Young averages are left out, and in a test that begins anew after each result all but the results; the
    worst is of whole averages, where there is one."""
    told = [r for r in rows if r.sample in finals]
    whole = told
    if plan.kind == "average" and plan.stop != "certain" and plan.stimulus_hz:
        per_sweep = record.rate_hz / plan.stimulus_hz
        ages = [(r, math.inf if r.sample in finals else _age(r.sample, starts)) for r in rows]
        told = [r for r, age in ages if age >= max(plan.baseline_sweeps, SUB_AVERAGES) * per_sweep]
        whole = [r for r, age in ages if age >= plan.sweeps * per_sweep] or told
    told = told or rows[-1:]
    before = None if baseline is None else _at(rows, baseline.sample)
    after = [r for r in whole if baseline is not None and r.sample > baseline.sample]
    worst = min(after, key=_standing, default=None) if before is not None and before.present else None
    return Course(*name, tuple(told), before, worst, told[-1])


class _Answer(msgspec.Struct):
    name: str
    baseline_uv: float | None = None


class _Answers(msgspec.Struct):
    responses: list[_Answer]


def _of_answers(record: Record, plan: TestPlan, peak: str, derivation: str, rows: list[Peak]) -> Course:
    """One muscle over its single answers, its baseline as the last one was compared with, and the change of
    each by itself: what the case tells is that of the last few."""
    before_uv, at = None, 0
    for reading in record.each(Reading, "topic = ?", f"response.{plan.name}"):
        told = record.json_as(reading.header, f"table readings, {reading.topic}", _Answers)
        now_uv = next((one.baseline_uv for one in told.responses if one.name == derivation), before_uv)
        if now_uv != before_uv:
            before_uv, at = now_uv, reading.sample
    if before_uv is None:
        return Course(peak, derivation, tuple(rows), None, None, rows[-1])
    first = _at(rows, at) or rows[0]
    replace = msgspec.structs.replace
    own = [
        replace(r, change_pct=100 * (r.amplitude_uv / before_uv - 1) if r.amplitude_uv is not None else None)
        for r in rows
    ]
    before = replace(
        first,
        present=1,
        amplitude_uv=before_uv,
        amplitude_low_uv=None,
        amplitude_high_uv=None,
        change_pct=None,
    )
    worst = min((r for r in own if r.sample > at), key=_standing, default=None)
    return Course(peak, derivation, tuple(own), before, worst, own[-1])


def _age(sample: int, starts: list[int]) -> float:
    """Samples since the average began anew."""
    return sample - max((s for s in starts if s <= sample), default=0)


def _restarts(record: Record, test: str) -> list[int]:
    """Samples at which the test's average began anew."""
    commands = record.each(
        Command, "name IN ('test.start', 'test.rate') AND instr(args, ?)", json.dumps(test)
    )
    return [command.sample for command in commands]


def _at(rows: list[Peak], sample: int) -> Peak | None:
    """What was measured last at or before a sample."""
    return next((row for row in reversed(rows) if row.sample <= sample), None)


def _standing(row: Peak) -> float:
    """The smaller, the worse: an absent peak is below all that are present."""
    return row.amplitude_uv if row.present and row.amplitude_uv is not None else -math.inf
