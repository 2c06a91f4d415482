"""A test in the report: its overview line, traces over the baseline, trends, and a table of its peaks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hostd.case import TestPlan
from hostd.export.averages import Course, Trace, baseline_of, courses, last_of, traces
from hostd.export.axes import time_of
from hostd.export.document import BEFORE, NOW, WORST, Block, Figure, Heading, Paragraph, Table
from hostd.export.plots import Shown, Span, traces_drawing, trends_drawing
from hostd.export.record import Record
from hostd.export.report_watches import tof_blocks
from hostd.export.rows import Peak

NOT_SEEN = "not seen"
WRITTEN = {word.lower(): word for word in ("SSEP", "TcMEP", "CoMEP", "BAEP", "ECochG", "CNAP", "VEP", "CCEP")}
WRITTEN |= {word.lower(): word for word in ("BCR", "NAP", "EMG", "EEG", "MEP")}
MINUS = "\N{MINUS SIGN}"


@dataclass(slots=True)
class Told:
    """What the case has on file of one test."""

    record: Record
    plan: TestPlan
    span: Span
    traces: list[Trace] = field(init=False)
    courses: list[Course] = field(init=False)

    def __post_init__(self) -> None:
        self.traces = traces(self.record, self.plan.name)
        self.courses = courses(self.record, self.plan, self.traces)

    @property
    def leading(self) -> list[Course]:
        """What stands for the test in the overview: its leading peak, of single responses every muscle."""
        if self.plan.kind == "average" and self.plan.leading is not None and self.plan.peaks:
            name = self.plan.peaks[self.plan.leading].name
            return [c for c in self.courses if c.peak == name] or self.courses[:1]
        return self.courses


def overview(tests: Iterable[Told]) -> Iterator[Block]:
    """A line for each test: baseline, worst and last."""
    rows = []
    for told in tests:
        for k, course in enumerate(told.leading):
            name = told.plan.name if k == 0 else ""
            worst = _both(course.worst, "")
            if course.worst is not None:
                worst += f" at {time_of(told.record.seconds(course.worst.sample))}"
            change = _change(course.last, course.baseline)
            rows.append((name, course.peak, _both(course.baseline), worst, _both(course.last), change))
    if rows:
        yield Heading("Overview")
        columns = ("Test", "Peak", "Baseline", "Worst since", "Last", "Change")
        yield Table(columns, tuple(rows), (13, 15, 18, 25, 18, 11), "llllll")


def test_blocks(told: Told) -> Iterator[Block]:
    """Heading, facts, figures and the table of one test."""
    plan = told.plan
    yield Heading(f"{plan.name}: {modality_name(plan.modality)}, {plan.site}", 3)
    baseline, last = baseline_of(told.traces), last_of(told.traces)
    yield Paragraph("; ".join(_facts(told, baseline, last)) + ".", "quiet")
    if last is not None:
        yield Figure(traces_drawing(_shown(told, baseline, last), _judged_from_ms(plan), plan.name))
    if plan.kind == "tof":
        yield from tof_blocks(told.record, plan.name)
    seen = [c for c in told.courses if any(row.present for row in c.rows)]
    if seen:
        yield Figure(trends_drawing(seen, told.span, told.record.rate_hz, plan.name))
        yield _table(told, seen)
    if never := [c.peak for c in told.courses if c not in seen]:
        yield Paragraph(f"Never seen: {', '.join(never)}.", "quiet")


def modality_name(modality: str) -> str:
    """A modality as the field writes it: tibial SSEP."""
    return " ".join(WRITTEN.get(word, word) for word in modality.split("_"))


def _facts(told: Told, baseline: Trace | None, last: Trace | None) -> Iterator[str]:
    plan = told.plan
    yield f"line {plan.line}"
    if plan.stimulus_hz:
        yield f"{plan.stimulus_hz:g} stimuli a second"
    if plan.band_hz:
        yield f"{plan.band_hz[0]:g} to {plan.band_hz[1]:g} Hz"
    if plan.kind == "tof":
        return
    if baseline is None:
        yield "no baseline"
    else:
        at = time_of(told.record.seconds(baseline.sample))
        yield f"baseline of {baseline.header.n_sweeps} {'answers' if plan.response else 'sweeps'} at {at}"
    if last is None:
        yield "no average on file"
    else:
        what = "mean of the last {} answers" if plan.response else "last average of {} sweeps"
        yield f"{what.format(last.header.n_sweeps)} at {time_of(told.record.seconds(last.sample))}"


def _judged_from_ms(plan: TestPlan) -> float:
    """From where on the window shows the body and not the stimulus."""
    if plan.response is not None:
        return plan.response.search_ms[0]
    return max(plan.blank_ms, min((p.window_ms[0] for p in plan.peaks), default=0.0) - 2.0)


def _shown(told: Told, baseline: Trace | None, last: Trace) -> list[Shown]:
    """Baseline, the worst where its average is on file, and the last, which lies on top."""
    shown = []
    if baseline is not None:
        peaks = tuple(c.baseline for c in told.courses if c.baseline is not None)
        shown.append(Shown(baseline, BEFORE, 1.6, "baseline", peaks))
    worst = _worst_trace(told, baseline)
    if worst is not None and worst.sample != last.sample:
        at = time_of(told.record.seconds(worst.sample))
        shown.append(Shown(worst, WORST, 1.1, f"smallest, at {at}"))
    peaks = tuple(c.last for c in told.courses if c.last is not None)
    return [*shown, Shown(last, NOW, 1.2, "last", peaks)]


def _worst_trace(told: Told, baseline: Trace | None) -> Trace | None:
    """The stored average after the baseline in which the leading derivation moves least."""
    first = next((c for c in told.leading if c.worst is not None), None)
    if baseline is None or first is None:
        return None
    from_ms = _judged_from_ms(told.plan)
    after = [t for t in told.traces if t.role != "baseline" and t.sample > baseline.sample]
    having = [t for t in after if first.derivation in t.header.derivations]
    return min(having, key=lambda t: t.size_uv(first.derivation, from_ms), default=None)


def _table(told: Told, seen: list[Course]) -> Table:
    rows = []
    tones = []
    for c in seen:
        for k, (name, row) in enumerate((("baseline", c.baseline), ("worst", c.worst), ("last", c.last))):
            if row is None:
                continue
            first = k == 0 or c.baseline is None
            derivation = c.derivation if first and c.derivation != c.peak else ""
            what = (c.peak if first else "", derivation)
            when = time_of(told.record.seconds(row.sample))
            latency = _interval(row.latency_ms, row.latency_low_ms, row.latency_high_ms, row)
            amplitude = _interval(row.amplitude_uv, row.amplitude_low_uv, row.amplitude_high_uv, row)
            change = "" if name == "baseline" else _change(row, c.baseline)
            rows.append((*what, name, when, latency, amplitude, change))
            tones.append("plain")
    micro = "\N{MICRO SIGN}V"
    columns = ("Peak", "Derivation", "", "When", "Latency, ms (95 %)", f"Amplitude, {micro} (95 %)", "Change")
    return Table(columns, tuple(rows), (15, 12, 9, 9, 23, 23, 9), "lllrrrr", tuple(tones))


def _both(row: Peak | None, without: str = "none") -> str:
    if row is None:
        return without
    if not row.present:
        return NOT_SEEN
    latency = "" if row.latency_ms is None else f"{row.latency_ms:.2f} ms, "
    return f"{latency}{_size(row.amplitude_uv)} \N{MICRO SIGN}V"


def _interval(value: float | None, low: float | None, high: float | None, row: Peak) -> str:
    if not row.present:
        return NOT_SEEN
    if value is None:
        return "unknown"
    if low is None or high is None:
        return _size(value)
    return f"{_size(value)} ({_size(low)} to {_size(high)})"


def _size(value: float | None) -> str:
    """Three digits or two decimals, whichever is less to read."""
    if value is None:
        return "unknown"
    text = f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return text.replace("-", MINUS)


def _change(row: Peak | None, before: Peak | None) -> str:
    """The amplitude's change from baseline, as the case told it."""
    if row is None or before is None:
        return ""
    if not row.present:
        return "lost" if before.present else ""
    pct = row.change_pct
    return "" if pct is None else f"{pct:+.0f} %".replace("-", MINUS)
