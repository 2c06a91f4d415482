"""BDF+: for each test, the raw channels that it uses, the trigger bits, and what happened as annotations.

Counts, scales, gaps and sample indices are those of the case, so that `evokd replay` takes the file too, with
a case file of its channels. Refuses a case without samples.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hostd.errors import UsageError
from hostd.export.bdf_writer import BdfWriter, Head
from hostd.export.identity import Identity
from hostd.export.record import Record
from hostd.export.rows import Alert, Event
from hostd.export.stimuli import pulses
from hw.recording import RecordingReader

BLOCK_S = 2.0
# What nobody is to find a person by begins here, as tools that anonymise EDF+ write it.
NO_DATE = datetime(1985, 1, 1, tzinfo=UTC)
Notes = Sequence[tuple[int, str]]
Files = dict[Path, tuple[tuple[str, ...], Notes]]


def write_folder(record: Record, out: Path, tests: tuple[str, ...], identity: Identity | None) -> None:
    """The folder `out` with `TEST_raw.bdf` for each test; raises UsageError, RecordingError, OSError."""
    out.mkdir()
    used, notes = channels_of(record), list(_notes(record))
    stimuli = list(stimulus_notes(record))
    with record.samples() as reader:
        patient = identity.edf_field() if identity else f"X X X X {record.id.replace(' ', '_')}"[:80]
        head = Head(patient, record.utc(reader.first_index) or NO_DATE)
        files: Files = {}
        for test in tests:
            own = [(at, text) for of, at, text in stimuli if of == test]
            files[out / f"{test}_raw.bdf"] = (used[test], notes + own)
        write_files(reader, head, files)


def write_files(
    reader: RecordingReader, head: Head, files: dict[Path, tuple[tuple[str, ...], Notes]]
) -> None:
    """Each file with its channels and notes (sample, text), all in one pass over the samples. Raises
    UsageError, OSError; ValueError as the reader does."""
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(BdfWriter(path, reader, channels, notes, head))
            for path, (channels, notes) in files.items()
        ]
        for block in reader.blocks(max(1, round(BLOCK_S * reader.rate_hz))):
            for writer in writers:
                writer.append(block)


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
