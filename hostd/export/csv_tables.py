"""CSV: one file a table that people analyse, in long format, units in the names of the columns.

Every row has its `sample`, `time_s` (since sample 0, at the nominal rate) and `utc`. Writes what is on file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hostd.export import csv_watches
from hostd.export.averages import traces
from hostd.export.identity import Identity
from hostd.export.ledger import ledger_rows
from hostd.export.record import Record
from hostd.export.rows import Alert, Event, Gap, Peak
from hostd.export.stimuli import impedances, pulses
from hostd.export.table_file import said, write_csv

WHEN = ("sample", "time_s", "utc")
Rows = Iterator[tuple[Any, ...]]


def write_folder(record: Record, out: Path, tests: tuple[str, ...], identity: Identity | None) -> None:
    """The folder `out` with a file for each table that has rows; raises RecordingError, OSError."""
    out.mkdir()
    if identity is not None:
        write_csv(out / "patient.csv", ("field", "value"), ((k, said(v)) for k, v in identity.fields()))
    tables: dict[str, tuple[tuple[str, ...], Rows]] = {
        "measurements": (MEASUREMENTS, _measurements(record, tests)),
        "averages": (AVERAGES, _averages(record, tests)),
        "responses": (csv_watches.RESPONSES, csv_watches.responses(record, tests)),
        "trains_of_four": (csv_watches.TRAINS_OF_FOUR, csv_watches.trains_of_four(record, tests)),
        "muscle_activity": (csv_watches.MUSCLES, csv_watches.muscles(record, tests)),
        "eeg": (csv_watches.EEG, csv_watches.eeg(record, tests)),
        "alerts": (ALERTS, _alerts(record, tests)),
        "ledger": (LEDGER, _ledger(record, tests)),
        "events": ((*WHEN, "kind", "author", "text"), _events(record)),
        "stimuli": (STIMULI, _stimuli(record, tests)),
        "impedances": (IMPEDANCES, _impedances(record)),
        "gaps": ((*WHEN, "length_samples", "length_s", "reason"), _gaps(record)),
    }
    for name, (columns, rows) in tables.items():
        path = out / f"{name}.csv"
        if not write_csv(path, columns, rows):
            path.unlink()


def when(record: Record, sample: int) -> tuple[Any, ...]:
    """The columns WHEN of a sample."""
    return sample, record.seconds(sample), record.utc(sample)


MEASUREMENTS = (
    "test",
    "peak",
    "derivation",
    *WHEN,
    "present",
    "latency_ms",
    "latency_low_ms",
    "latency_high_ms",
    "amplitude_uv",
    "amplitude_low_uv",
    "amplitude_high_uv",
    "change_pct",
)


def _measurements(record: Record, tests: tuple[str, ...]) -> Rows:
    for test in tests:
        for p in record.each(Peak, "test = ?", test):
            latency = (p.latency_ms, p.latency_low_ms, p.latency_high_ms)
            amplitude = (p.amplitude_uv, p.amplitude_low_uv, p.amplitude_high_uv)
            what = (test, p.peak, p.derivation, *when(record, p.sample), p.present)
            yield (*what, *latency, *amplitude, p.change_pct)


AVERAGES = (
    "test",
    "role",
    "derivation",
    *WHEN,
    "n_sweeps",
    "n_rejected",
    "noise_uv",
    "peak_to_peak_uv",
    "first_sample",
    "last_sample",
    "stimulus_hz",
    "final",
)


def _averages(record: Record, tests: tuple[str, ...]) -> Rows:
    for test in tests:
        for t in traces(record, test):
            h = t.header
            sizes_uv = (t.mean_uv.max(axis=0) - t.mean_uv.min(axis=0)).tolist()
            for k, name in enumerate(h.derivations):
                noise_uv = h.noise_uv[k] if k < len(h.noise_uv) else None
                counts = (h.n_sweeps, h.n_rejected, noise_uv, sizes_uv[k])
                spans = (h.first_index, h.last_index, h.rate_hz, h.final)
                yield (test, t.role, name, *when(record, t.sample), *counts, *spans)


ALERTS = ("id", "test", "kind", "priority", "state", *WHEN, "text", "evidence")


def _alerts(record: Record, tests: tuple[str, ...]) -> Rows:
    for a in record.each(Alert):
        if not a.test or a.test in tests:
            yield (
                a.id,
                a.test,
                a.kind,
                a.priority,
                a.state,
                *when(record, a.sample),
                said(a.text),
                a.evidence,
            )


LEDGER = ("test", "alert_id", "step", *WHEN)


def _ledger(record: Record, tests: tuple[str, ...]) -> Rows:
    for entry in ledger_rows(record):
        if not entry.test or entry.test in tests:
            for step, sample in entry.steps:
                if sample is not None:
                    yield (entry.test, entry.alert, step, *when(record, sample))


def _events(record: Record) -> Rows:
    for e in record.each(Event):
        yield (*when(record, e.sample), said(e.kind), said(e.author), said(e.text))


STIMULI = (
    "test",
    "line",
    "command",
    "number",
    "pulse",
    *WHEN,
    "commanded_sample",
    "lag_samples",
    "verified",
    "current_ma",
    "current_known",
    "control",
)


def _stimuli(record: Record, tests: tuple[str, ...]) -> Rows:
    for p in pulses(record):
        if p.test is None or p.test in tests:
            what = (p.test, p.line, p.command, p.number, p.pulse, *when(record, p.sample))
            yield (*what, p.commanded, p.lag, p.verified, p.current_ma, p.current_known, p.control)


IMPEDANCES = ("lead", *WHEN, "ohm", "low_ohm", "high_ohm", "frequency_hz", "current_na", "note")


def _impedances(record: Record) -> Rows:
    for told in impedances(record):
        for lead in told.leads:
            ohms = (lead.ohm, lead.low_ohm, lead.high_ohm, told.frequency_hz, told.current_na)
            yield (lead.lead, *when(record, told.sample), *ohms, said(lead.note))


def _gaps(record: Record) -> Rows:
    for gap in record.each(Gap):
        yield (*when(record, gap.sample), gap.length, record.seconds(gap.length), gap.reason)
