"""BDF+: for each test, the raw channels that it uses, the trigger bits, and what happened as annotations.

Written by the case's own recorder, so that counts, scales, gaps and sample indices are those of the case and
`evokd replay` takes the file too. Refuses a case without samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hostd.errors import UsageError
from hostd.export.identity import Identity
from hostd.export.record import Record
from hostd.export.rows import Alert, Event
from hostd.export.stimuli import pulses
from hostd.recorder import Recorder
from hw.bdf import text_field
from hw.recording import RecordingReader

BLOCK_S = 2.0
PATIENT_OFFSET = 8
# What nobody is to find a person by begins here, as tools that anonymise EDF+ write it.
NO_DATE = datetime(1985, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Head:
    """What the header says of whom and when; `patient` None: as the recorder writes it."""

    case_id: str
    start: datetime
    patient: str | None = None


def write_folder(record: Record, out: Path, tests: tuple[str, ...], identity: Identity | None) -> None:
    """The folder `out` with `TEST_raw.bdf` for each test; raises UsageError, RecordingError, OSError."""
    out.mkdir()
    used = channels_of(record)
    notes = list(_notes(record))
    for test in tests:
        mine = notes + [(at, text) for of, at, text in stimulus_notes(record) if of == test]
        with record.samples(used[test]) as reader:
            start = record.utc(reader.first_index) or NO_DATE
            patient = identity.edf_field() if identity else None
            write_file(out / f"{test}_raw.bdf", reader, mine, Head(record.id, start, patient))


def write_file(path: Path, reader: RecordingReader, notes: Sequence[tuple[int, str]], head: Head) -> None:
    """`path` with all that `reader` has, every note at its sample. Raises UsageError, RecordingError."""
    waiting = sorted(notes, reverse=True)
    recorder = Recorder(
        path,
        reader.channels,
        reader.rate_hz,
        reader.lsb_uv,
        reader.offset_uv,
        "",
        head.case_id,
        head.start,
        reader.latency_offset_samples,
        sync_interval_s=60.0,
    )
    with recorder:
        for block in reader.blocks(max(1, round(BLOCK_S * reader.rate_hz))):
            while waiting and waiting[-1][0] < block.end_index:
                index, text = waiting.pop()
                if index >= reader.first_index:
                    recorder.annotate(index, text)
            recorder.append(block)
    if head.patient is not None:
        with path.open("r+b") as file:
            file.seek(PATIENT_OFFSET)
            file.write(text_field("patient", head.patient, 80))


def channels_of(record: Record) -> dict[str, tuple[str, ...]]:
    """The channels whose samples each test and watch uses, in the order of the case."""
    names = record.case.channels or tuple(record.settings.get("channels") or ())
    if not names:
        raise UsageError(f"{record.folder}: neither case.toml nor the database names channels")
    return {
        plan.name: tuple(
            name
            for k, name in enumerate(names)
            if any(d.weights[k : k + 1] != (0.0,) for d in plan.derivations)
        )
        for plan in record.plans
    }


def stimulus_notes(record: Record) -> Iterator[tuple[str, int, str]]:
    """(test, sample, text) of every stimulus: a train is one, at its first pulse. Where nothing was
    commanded (a recording that was played), they are the edges in the samples."""
    told = False
    for p in pulses(record):
        told = True
        if p.test is not None and p.pulse == 1:
            text = f"stim {p.test}" if p.verified else f"stim {p.test} not seen"
            yield p.test, p.sample, f"control {text}" if p.control else text
    if not told:
        yield from _edges(record)


def _edges(record: Record) -> Iterator[tuple[str, int, str]]:
    from dsp.triggers import EdgeFinder

    lines = {test.line: test.name for test in record.case.tests}
    finder = EdgeFinder()
    with record.samples() as reader:
        for block in reader.blocks(max(1, round(BLOCK_S * reader.rate_hz))):
            for edge in finder.find(block):
                if edge.line in lines:
                    yield lines[edge.line], edge.index, f"stim {lines[edge.line]}"


def _notes(record: Record) -> Iterator[tuple[int, str]]:
    """Events and alerts, as the recorder has noted them in `raw.bdf`."""
    for event in record.each(Event):
        yield event.sample, event.text
    for alert in record.each(Alert):
        yield alert.sample, f"alert {alert.state}: {alert.text}"
