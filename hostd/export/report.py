"""The case report as blocks, the same for HTML and PDF: head, overview, alerts, ledger, tests, and the rest.

Owns the order and the words. Refuses to judge: alerts, verdicts and sentences are those of the case.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from hostd.audit import HEAD_KEY, parse_head
from hostd.errors import RecordingError
from hostd.export.axes import time_of
from hostd.export.change_words import change_words
from hostd.export.document import Block, Facts, Heading, Paragraph, Report, Table
from hostd.export.identity import Identity
from hostd.export.ledger import STEPS, ledger_rows
from hostd.export.plots import Span
from hostd.export.record import Record
from hostd.export.report_rest import events, gaps, impedances, moment, stimulation
from hostd.export.report_tests import Told, overview, test_blocks
from hostd.export.report_watches import watch_blocks
from hostd.export.rows import Alert, Event

NO_DEVICE = "evokd is not a medical device: nothing here has been cleared for use on people."
_QUIET_EVENTS = ("test.start", "test.stop", "baseline")
_TONE = {"high": "bad", "medium": "warn"}


@dataclass(frozen=True, slots=True)
class _Extent:
    """Samples of the case: its end, how many were recorded (None: they cannot be read, `fault` says why)."""

    end: int
    recorded: int | None
    fault: str = ""


def report(record: Record, tests: tuple[str, ...], identity: Identity | None) -> Report:
    """The report of `tests`. Raises RecordingError."""
    extent = _extent(record)
    alerts = [a for a in record.rows(Alert) if not a.test or a.test in tests]
    numbers: dict[str, int] = {}
    for alert in alerts:
        numbers.setdefault(alert.id, len(numbers) + 1)
    marks = [e for e in record.each(Event) if e.kind not in _QUIET_EVENTS]
    told = {
        plan.name: Told(record, plan, _span(record, extent, alerts, numbers, marks, plan.name))
        for plan in record.case.tests
        if plan.name in tests
    }
    watched = [w for w in record.case.watches if w.name in tests]
    span = _span(record, extent, [], {}, marks, "")
    blocks: list[Block] = [*_head(record, extent, identity)]
    blocks += overview(told.values())
    blocks += _alerts(record, alerts, numbers)
    blocks += _ledger(record, tests, numbers)
    for one in told.values():
        blocks += test_blocks(one)
    for watch in watched:
        blocks += watch_blocks(record, watch, span)
    blocks += events(record)
    blocks += stimulation(record, tests)
    blocks += impedances(record)
    blocks += gaps(record, extent.recorded, extent.fault)
    blocks += _provenance(record)
    footer = (
        f"{record.id} \N{MIDDLE DOT} evokd {metadata.version('evokd')} \N{MIDDLE DOT} not a medical device"
    )
    return Report("Neuromonitoring case report", footer, tuple(blocks))


def _extent(record: Record) -> _Extent:
    """Where the case ends: by its samples, or by what was told last where they are not there."""
    try:
        with record.samples() as reader:
            return _Extent(reader.first_index + reader.n_samples, reader.n_samples)
    except RecordingError as error:
        return _Extent(record.last_sample(), None, str(error))


def _span(
    record: Record,
    extent: _Extent,
    alerts: list[Alert],
    numbers: dict[str, int],
    marks: list[Event],
    test: str,
) -> Span:
    raised = {a.id: a for a in reversed(alerts) if a.test in ("", test)}
    at = tuple(sorted((numbers[a.id], record.seconds(a.sample)) for a in raised.values()))
    return Span(record.seconds(extent.end), at, tuple(record.seconds(e.sample) for e in marks))


def _head(record: Record, extent: _Extent, identity: Identity | None) -> Iterator[Block]:
    s = record.settings
    begun, ended = record.utc(0), record.utc(max(extent.end - 1, 0))
    when = (
        "not known"
        if begun is None or ended is None
        else f"{begun:%Y-%m-%d %H:%M:%S} to {ended:%H:%M:%S} UTC"
    )
    source = str(s.get("source") or "not stated")
    channels = s.get("channels") or record.case.channels
    head = parse_head(json.dumps(s.get(HEAD_KEY)))
    yield Heading(record.case.name or "Case", 1)
    if source == "simulated":
        yield Paragraph("A simulated patient: nothing in this report is of a person.", "warn")
    who = [(_WHO.get(k, k), v) for k, v in identity.fields()] if identity else []
    yield Facts(
        (
            *who,
            ("Case", record.id),
            ("Time", f"{when} ({time_of(record.seconds(extent.end))})"),
            ("Box", f"{source}, {len(channels)} channels at {record.rate_hz:g} samples/s"),
            ("Reference", str(s.get("reference") or record.case.reference or "not stated")),
            ("Software", f"evokd {metadata.version('evokd')} wrote this report"),
            ("Audit chain", f"{head.n} entries, head {head.hash}" if head else "none"),
        )
    )


_WHO = {"name": "Patient", "id": "Patient's number", "born": "Born", "sex": "Sex", "note": "Note"}


def _alerts(record: Record, alerts: list[Alert], numbers: dict[str, int]) -> Iterator[Block]:
    yield Heading("Alerts")
    if not alerts:
        yield Paragraph("No alert was raised.", "quiet")
        return
    grouped: dict[tuple[str, str, str], list[Alert]] = {}
    for a in alerts:
        grouped.setdefault((a.id, a.priority, a.text), []).append(a)
    rows, tones = [], []
    for (number, priority, text), changes in grouped.items():
        first, last = changes[0], changes[-1]
        states = "; ".join(f"{a.state} {time_of(record.seconds(a.sample))}" for a in changes)
        evidence = _evidence(record, last)
        what = f"{text if text.endswith('.') else f'{text}.'}{f' Evidence: {evidence}' if evidence else ''}"
        rows.append(
            (str(numbers[number]), moment(record, first.sample), first.test or "all", priority, states, what)
        )
        tones.append(_TONE.get(priority, "plain") if last.state in ("raised", "confirmed") else "plain")
    columns = ("No.", "When", "Test", "Priority", "States", "Sentence and evidence")
    yield Table(columns, tuple(rows), (4, 13, 14, 10, 15, 44), "rlllll", tuple(tones))


def _evidence(record: Record, alert: Alert) -> str:
    """The evidence in one line; what is nested stays as it is on file."""
    evidence = record.json(alert.evidence or "{}", f"table alerts, {alert.id}")
    if alert.kind == "change":
        return change_words(evidence, lambda sample: time_of(record.seconds(sample)))
    return "; ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in evidence.items())[:1200]


def _value(value: Any) -> str:
    match value:
        case float():
            return f"{value:.4g}"
        case str():
            return value
        case list() if all(isinstance(v, str | int | float) for v in value):
            return ", ".join(_value(v) for v in value)
    return json.dumps(value, ensure_ascii=False)


def _ledger(record: Record, tests: tuple[str, ...], numbers: dict[str, int]) -> Iterator[Block]:
    entries = [e for e in ledger_rows(record) if not e.test or e.test in tests]
    if not entries:
        return
    steps = [
        s for s in STEPS if any(sample is not None for e in entries for step, sample in e.steps if step == s)
    ]
    yield Heading("Response ledger")
    rows = []
    for entry in entries:
        at = dict(entry.steps)
        cells = (moment(record, sample) if (sample := at[s]) is not None else "" for s in steps)
        known = str(numbers[entry.alert]) if entry.alert in numbers else entry.alert
        rows.append((known, entry.test or "all", *cells))
    widths = (8.0, 16.0, *(76 / max(len(steps), 1) for _ in steps))
    yield Table(("Alert", "Test", *map(str.capitalize, steps)), tuple(rows), widths, "rl" + "l" * len(steps))
    if "ledger" not in record.tables:
        yield Paragraph(
            "From the states of the alerts: what was told and done outside the box is not noted.", "quiet"
        )


def _provenance(record: Record) -> Iterator[Block]:
    yield Heading("About this report")
    yield Paragraph(
        "Numbers are those that the case stored; intervals are of 95 %. Worst is the smallest amplitude "
        "after the baseline, or not seen, of whole averages and of single answers. Trends begin when an "
        "average has the sweeps of a baseline. Times are since the first sample, and UTC by the box's clock."
    )
    yield Paragraph(NO_DEVICE, "warn")
