"""Replay: a recording through the same pipeline, as fast as it goes, every message as a line of JSON.

What was published live comes out bit for bit: samples from `raw.bdf` and its further segments, commands and
stimulus proofs from `case.sqlite`, each at its sample index. A foreign recording needs a case file and starts
every test at once.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import msgspec
import pybase64

from hostd import casefile, wire
from hostd.case import Case
from hostd.errors import RecordingError, UsageError
from hostd.inputs import Inputs, Recorded
from hostd.outgoing import Outgoing
from hostd.past_time import PastTime, past_time
from hostd.segments import opened, segment_paths
from hostd.store import read_rows
from hostd.timebase import Timebase
from hw.link import LEADS_NOBODY, NOT_SEEN, Description, Stimulus
from hw.recording import RecordingReader, TriggerMap
from hw.samples import SampleBlock

BLOCK_S = 2.0

_lines = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Past:
    """What happened beside the samples: commands by sample index, proofs of stimulation, the time."""

    commands: tuple[tuple[int, str, dict[str, Any]], ...]
    stimuli: tuple[Stimulus, ...]
    time: PastTime


class Replay:
    """A recording opened for replay. Raises RecordingError or UsageError; close by `with`."""

    def __init__(self, recording: Path, case: Case | None = None, where: str = "case") -> None:
        raw, *_ = paths = segment_paths(recording)
        case, where, known = _chosen(recording, raw.parent / "case.toml", case, where)
        m = case.recording
        mapping = TriggerMap(m.channels, m.trigger_channel, m.threshold, m.annotations)
        with contextlib.ExitStack() as stack:
            files = _opened(paths, stack)
            try:
                self.reader = r = RecordingReader(files[0], case.channels or None, mapping, files[1:])
            except ValueError as error:
                raise RecordingError(f"recording {raw}: {error}") from None
            offset = r.latency_offset_samples
            scale = r.lsb_uv, r.offset_uv
            self.description = Description("file", r.rate_hz, r.channels, *scale, offset, 0, LEADS_NOBODY)
            self.case = casefile.at_rate(case, r.rate_hz, where)
            self._past = _past(raw.parent / "case.sqlite", self.case, known)
            told = self._past.time
            self.timebase = Timebase(r.rate_hz, told.delay_samples, told.anchor, told.utc_minus_t_ns)
            self.timebase.know(told.fitted)
            self._stack = stack.pop_all()

    def __enter__(self) -> "Replay":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def end_index(self) -> int:
        """Behind the last sample on file."""
        return self.reader.first_index + self.reader.n_samples

    def messages(self) -> Iterator[Outgoing]:
        """Everything that the pipeline says. Raises RecordingError when the file cannot be read on."""
        from hostd.pipeline import Pipeline  # its kernels are not for who reads samples alone

        try:
            pipeline = Pipeline(self.case, self.description)
        except ValueError as error:
            raise UsageError(f"case: {error}") from None
        inputs = Inputs(self._past.commands, self._past.stimuli)
        for block in self._blocks():
            yield from inputs.feed(pipeline, block)
        yield from inputs.rest(pipeline)
        yield from pipeline.finish()

    def _blocks(self) -> Iterator[SampleBlock]:
        try:
            yield from self.reader.blocks(max(1, round(BLOCK_S * self.reader.rate_hz)))
        except (OSError, ValueError) as error:
            raise RecordingError(f"recording: {error}") from None


def write_lines(replay: Replay, out: TextIO) -> int:
    """One line per message, `{"topic", "header", "parts": [base64]}`; returns how many."""
    seq: dict[str, int] = {}
    for message in replay.messages():
        seq[message.topic] = seq.get(message.topic, 0) + 1
        t_ns, utc_ns = replay.timebase.at(message.index)
        fields, parts = wire.pack_arrays(message.fields)
        own = {"v": wire.SCHEMA_VERSION, "seq": seq[message.topic], "index": message.index}
        header = own | {"t_ns": t_ns, "utc_ns": utc_ns} | fields
        coded = [msgspec.Raw(b'"' + pybase64.b64encode(part) + b'"') for part in parts]
        line = {"topic": message.topic, "header": header, "parts": coded}
        out.write(_lines.encode(line).decode())
        out.write("\n")
    return sum(seq.values())


def _opened(paths: tuple[Path, ...], stack: contextlib.ExitStack) -> tuple[BinaryIO, ...]:
    try:
        return stack.enter_context(opened(paths))
    except OSError as error:
        raise RecordingError(f"recording {error.filename}: {error.strerror}; check the path") from None


def _chosen(
    recording: Path, beside: Path, case: Case | None, where: str
) -> tuple[Case, str, set[str] | None]:
    """The case to replay with, where it stands, and the recorded one's tests when it is another one."""
    if case is not None:
        with contextlib.suppress(UsageError):  # missing or broken: then one is named because of it
            return case, where, {t.name for t in casefile.load(beside, recorded=True).tests}
        return case, where, set()
    if beside.exists():
        return casefile.load(beside, recorded=True), str(beside), None
    if recording.exists():
        raise UsageError(f"{recording}: no case.toml beside it; name one with --case")
    raise RecordingError(f"recording {recording} does not exist; check the path")


def _past(database: Path, case: Case, known: set[str] | None) -> Past:
    """What `case.sqlite` tells; without one every test starts before the first sample, and so do tests of
    another case that the recorded one did not have (`known`; empty: not known)."""
    if not database.exists():
        return Past(_starts(case, set()), (), PastTime())
    commands, stimuli = recorded(database)
    names = {t.name for t in case.tests}
    kept = tuple(c for c in commands if not c[2].get("test") or c[2]["test"] in names)
    if known is not None:
        kept = _starts(case, known or {c[2].get("test", "") for c in commands}) + kept
    return Past(kept, stimuli, past_time(database))


def recorded(database: Path, n: int = 0, rowid: int = 0) -> tuple[tuple[Recorded, ...], tuple[Stimulus, ...]]:
    """The commands behind the `n`-th and the proofs of pulses behind row `rowid`, as they were taken.

    Raises RecordingError for a database that cannot be read."""
    query = f"SELECT sample, name, args FROM commands WHERE n > {n:d} ORDER BY n"
    commands = tuple((index, name, json.loads(args)) for index, name, args in read_rows(database, query))
    columns = {row[1] for row in read_rows(database, "PRAGMA table_info(stimuli)")}
    pulse = "pulse" if "pulse" in columns else "1"  # recorded before there were trains
    of = "plan, command, number, line, commanded, seen"
    query = f"SELECT {of}, {pulse} FROM stimuli WHERE rowid > {rowid:d} ORDER BY rowid"
    stimuli = tuple(
        Stimulus(plan, command, number, line, commanded, NOT_SEEN if seen < 0 else seen, nth)
        for plan, command, number, line, commanded, seen, nth in read_rows(database, query)
    )
    return commands, stimuli


def _starts(case: Case, known: set[str]) -> tuple[tuple[int, str, dict[str, Any]], ...]:
    names = [t.name for t in case.tests if t.name not in known]
    return tuple((0, "test.start", {"test": name, "author": ""}) for name in names)
