"""A BIDS data set of one case: all channels as BDF+ with their tables, under a pseudonym and without a date.

Nothing that a person typed goes in (names of tests are the case file's), nor any identity, nor when it was:
whoever shares it need not search it. Electrode positions are not known, so that there is no electrodes.tsv.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from hostd.export.averages import traces
from hostd.export.bdf_writer import Head
from hostd.export.edf_averages import labels
from hostd.export.identity import Identity
from hostd.export.raw_files import NO_DATE, stimulus_notes, write_files
from hostd.export.record import Record
from hostd.export.rows import Alert, Event, Gap
from hostd.export.table_file import write_tsv
from hw.raw_bdf import TRIGGER_LABEL

VERSION = "1.10.0"
TASK = "ionm"
# Kinds of event that evokd itself gives; any other was typed by somebody.
_KINDS = ("test.start", "test.stop", "test.rate", "baseline", "fault", "electrosurgery", "impedance", "leads")
# The 10-20 system with its finer places: letters of the lobe, then a number or z.
_SCALP = ("Fp", "AF", "F", "FT", "FC", "T", "C", "TP", "CP", "P", "PO", "O", "I", "N", "A", "M")
EVENT_COLUMNS: dict[str, Any] = {
    "onset": {"Description": "Since the first sample", "Units": "s"},
    "duration": {"Description": "Of a gap; 0 otherwise", "Units": "s"},
    "trial_type": {
        "LongName": "What happened",
        "Levels": {
            "stimulus": "a stimulus or train of a test, at its first pulse",
            "gap": "samples that were lost; the file holds filler",
            "alert": "an alert changed its state",
            "baseline": "a baseline was set",
            "event": "the box noted something, see value",
        },
    },
    "value": {
        "Description": "Test of a stimulus; kind and state of an alert; kind of an event; reason of a gap"
    },
    "sample": {"Description": "Sample in the file, from 0"},
}


def pseudonym(record: Record) -> str:
    """The subject's label: of the case's id, which names a day, only a hash."""
    return sha256(record.id.encode("utf-8", "replace")).hexdigest()[:8]


def write_folder(record: Record, out: Path, tests: tuple[str, ...], identity: Identity | None) -> None:
    """The data set in the folder `out`; raises RecordingError, UsageError, OSError."""
    subject = f"sub-{pseudonym(record)}"
    folder = out / subject / "eeg"
    folder.mkdir(parents=True)
    stem = f"{subject}_task-{TASK}"
    notes = [(at, text) for test, at, text in stimulus_notes(record) if test in tests]
    with record.samples() as reader:
        channels, first, n_samples = reader.channels, reader.first_index, reader.n_samples
        write_files(reader, Head("X X X X", NO_DATE), {folder / f"{stem}_eeg.bdf": (channels, notes)})
    kinds = channel_kinds(record, channels)
    _json(out / "dataset_description.json", _description(record))
    _text(out / "README", README)
    write_tsv(out / "participants.tsv", ("participant_id",), [(subject,)])
    _json(out / "participants.json", {"participant_id": {"Description": "A hash of the case's id"}})
    _json(folder / f"{stem}_eeg.json", _sidecar(record, kinds, n_samples))
    _channels(record, folder / f"{stem}_channels.tsv", channels, kinds)
    rows = sorted(_events(record, tests, first))
    inside = [row for row in rows if 0 <= row[4] < n_samples]
    write_tsv(folder / f"{stem}_events.tsv", tuple(EVENT_COLUMNS), inside)
    _json(folder / f"{stem}_events.json", EVENT_COLUMNS)


README = """One monitored case, recorded by evokd and exported by `evokd export --to bids`.

The BDF+ file holds the converter's counts, 24 bits, and in channel Trigger the stimulus lines as bits (line 1
is bit 0). Where samples were lost it holds the least count, and events.tsv has a gap. Its date is not the
case's. What people wrote during the case is left out.
"""


def _description(record: Record) -> dict[str, Any]:
    made = {"Name": "evokd", "Version": metadata.version("evokd")}
    return {
        "Name": "Intraoperative neuromonitoring",
        "BIDSVersion": VERSION,
        "DatasetType": "raw",
        "GeneratedBy": [made | {"Description": "Recorded and exported by evokd"}],
    }


def channel_kinds(record: Record, channels: tuple[str, ...]) -> dict[str, str]:
    """BIDS's type of each channel: EMG where only muscles are read, EEG on the scalp, else MISC."""
    muscles, other = set[str](), set[str]()
    for plan in record.plans:
        into = muscles if plan.kind in ("response", "tof", "emg") else other
        for d in plan.derivations:
            into |= {name for name, weight in zip(channels, d.weights, strict=False) if weight}
    kinds = {}
    for name in channels:
        place = name.rstrip("0123456789zZ")
        scalp = place in _SCALP and place != name
        kinds[name] = "EEG" if scalp else "EMG" if name in muscles - other else "MISC"
    return kinds


def _sidecar(record: Record, kinds: dict[str, str], n_samples: int) -> dict[str, Any]:
    count = {f"{kind}ChannelCount": list(kinds.values()).count(kind) for kind in ("EEG", "EMG", "MISC")}
    simulated = record.settings.get("source") == "simulated"
    return {
        "TaskName": TASK,
        "TaskDescription": "Intraoperative neuromonitoring"
        + (" of a simulated patient" if simulated else ""),
        "Instructions": "n/a",
        "Manufacturer": "evokd",
        "SoftwareVersions": metadata.version("evokd"),
        "EEGReference": str(record.settings.get("reference") or record.case.reference or "n/a"),
        "SamplingFrequency": record.rate_hz,
        "PowerLineFrequency": record.case.mains_hz or "n/a",
        "SoftwareFilters": "n/a",
        "HardwareFilters": "n/a",
        "RecordingType": "continuous",
        "RecordingDuration": n_samples / record.rate_hz,
        **count,
        "EOGChannelCount": 0,
        "ECGChannelCount": 0,
        "TriggerChannelCount": 1,
    }


def _channels(record: Record, path: Path, channels: tuple[str, ...], kinds: dict[str, str]) -> None:
    reference = str(record.settings.get("reference") or record.case.reference or "") or None
    rows = [
        (label, kinds[name], "\N{MICRO SIGN}V", record.rate_hz, reference, "good")
        for name, label in zip(channels, labels(channels), strict=True)
    ]
    rows.append((TRIGGER_LABEL, "TRIG", "n/a", record.rate_hz, None, "good"))
    columns = ("name", "type", "units", "sampling_frequency", "reference", "status")
    write_tsv(path, columns, rows)


def _events(
    record: Record, tests: tuple[str, ...], first: int
) -> Iterator[tuple[float, float, str, str, int]]:
    """Rows of EVENT_COLUMNS; words of people are left out, only that they marked something stays."""

    def row(sample: int, length: int, kind: str, value: str) -> tuple[float, float, str, str, int]:
        at = sample - first
        return record.seconds(at), record.seconds(length), kind, value, at

    for test, sample, _ in stimulus_notes(record):
        if test in tests:
            yield row(sample, 0, "stimulus", test)
    for gap in record.each(Gap):
        yield row(gap.sample, gap.length, "gap", gap.reason)
    for alert in record.each(Alert):
        if not alert.test or alert.test in tests:
            yield row(alert.sample, 0, "alert", f"{alert.kind} {alert.state}")
    for test in tests:
        for trace in traces(record, test):
            if trace.role == "baseline":
                yield row(trace.sample, 0, "baseline", test)
    for event in record.each(Event):
        yield row(event.sample, 0, "event", event.kind if event.kind in _KINDS else "marked")


def _json(path: Path, value: dict[str, Any]) -> None:
    _text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
