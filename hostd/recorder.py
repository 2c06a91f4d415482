"""The raw recording of a case: sample blocks in, records of append-only BDF+C files out, a file per segment.

Owns the time line of the recording: every count untouched, every gap filled and named, annotations beside
them. Refuses to renumber time, to overwrite a file, and to wait for a disk (see `RecordWriter`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hostd.errors import RecordingError, UsageError
from hostd.raw_header import raw_header, raw_signals, segment_header
from hostd.record_notes import RecordNotes
from hostd.record_writer import BACKLOG_BYTES, RecordWriter, Storage
from hw.bdf import RECORDING_OFFSET, Header, encode_header, text_field
from hw.bdf_records import encode_record
from hw.raw_bdf import (
    COUNT_MAX,
    COUNT_MIN,
    FILLER_COUNTS,
    Origin,
    recording_field,
    segment_name,
)
from hw.samples import Gap, SampleBlock

SEGMENT_S = 600.0
"""A segment is closed after ten minutes at the latest."""
MAX_FILL_S = 5.0
"""A longer gap, or one that half the queue cannot take, is not filled: the next segment begins behind it."""
CATCH_UP_S = 10.0
"""What an edge may hold for a host that was away; samples further ahead of the clock are played, not live."""
WAIT_S = 0.5
# Onsets in seconds have nine digits.
_LONGEST_S = 9e8
# The last part of a segment, in which it is closed as soon as no name of a gap waits for room.
_EARLY = 60


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is on file of a recording that goes on: the header of its first segment, its `first` sample,
    behind its last one (`told`) and behind the filler with which a recorder that was closed ended its last
    record (`end`), the number of its last `segment`, and how many bytes."""

    header: Header
    first: int
    told: int
    end: int
    segment: int
    n_bytes: int


class Recorder:
    """A new recording whose first segment is `path`, or one that goes on behind `recorded` in a further
    segment. Raises UsageError for names, rate or scale that a BDF file cannot hold, RecordingError when the
    file cannot be created.

    `lsb_uv` and `offset_uv` are per channel; `gain` is a text for the signal headers; `start_utc` must be
    aware. `append` and `close` belong to one thread, `annotate` and `storage` to any. None but `close` waits
    for the disk: what it has not taken waits in the writer's queue, and is lost to the file, counted and
    named there as a gap, when that is full. Only samples that come faster than time wait for room, 0.5 s a
    block at most.
    """

    def __init__(
        self,
        path: Path,
        channels: Sequence[str],
        rate_hz: float,
        lsb_uv: Sequence[float],
        offset_uv: Sequence[float],
        gain: str,
        case_id: str,
        start_utc: datetime,
        latency_offset_samples: float = 0.0,
        sync_interval_s: float = 1.0,
        segment_s: float = SEGMENT_S,
        now_ns: Callable[[], int] = time.monotonic_ns,
        recorded: Recorded | None = None,
    ) -> None:
        self.path = path
        self._offset_samples = latency_offset_samples
        self._first: int | None = None
        self._end = self._padding = self._lost = 0
        self._disk_lost = self._closed = False
        self._notes = RecordNotes()
        try:
            if recorded is None:
                signals = raw_signals(channels, rate_hz, lsb_uv, offset_uv, gain)
                header = raw_header(start_utc, case_id, signals, rate_hz)
            else:
                header = replace(recorded.header, n_records=-1)
                signals = header.signals
            # The field is written again with the first block; its longest form must fit now.
            recording_field(header.start, Origin(int(_LONGEST_S * rate_hz), latency_offset_samples))
            origin = Origin(0, latency_offset_samples)
            self._header = replace(header, recording=recording_field(header.start, origin))
            encoded = encode_header(self._header)
        except ValueError as error:
            raise UsageError(f"{path} cannot be recorded: {error}") from None
        self._start_utc = start_utc
        self._subsecond_s = start_utc.microsecond / 1e6
        self._segment, self._segment_first = 1, 0
        self._begins: tuple[Path, bytes] | None = None
        self._max_records = max(1, int(segment_s / header.record_duration_s))
        self._per_record = signals[0].samples_per_record
        self._rows = np.empty((self._per_record, len(signals) - 1), np.int32)
        self._n_rows = self._n_records = 0
        at_once = BACKLOG_BYTES // 2 // header.record_bytes * self._per_record
        self._max_fill = min(MAX_FILL_S * self._rate_hz, at_once)
        self._now_ns, self._began_ns = now_ns, now_ns()
        if recorded is None:
            self._file = RecordWriter(path, encoded, sync_interval_s, now_ns=now_ns)
        else:
            n_bytes = recorded.n_bytes
            self._file = RecordWriter(path, None, sync_interval_s, now_ns=now_ns, finished_bytes=n_bytes)
            self._go_on(recorded)

    @property
    def bytes_written(self) -> int:
        """Bytes on file."""
        return self._file.bytes_written

    @property
    def samples(self) -> int:
        """Samples recorded, filled gaps included."""
        return 0 if self._first is None else self._end - self._padding - self._first

    @property
    def lost_samples(self) -> int:
        """Samples that came while no more could wait for the disk."""
        return self._lost

    @property
    def storage(self) -> Storage:
        """How the disk does now."""
        disk = self._file.storage
        return replace(disk, state="failing" if self._disk_lost else disk.state, lost_samples=self._lost)

    def append(self, block: SampleBlock) -> None:
        """Record a block; gaps before it are filled and named, the ones it does not explain as `link`.

        The block is taken in any case. Then a write or sync fault that came up is raised, once, as
        RecordingError. Raises ValueError for a block out of order, of wrong shape or beyond 24 bits, and
        RecordingError after `close`: these blocks are not taken.
        """
        if self._closed:
            raise RecordingError(f"{self.path} is closed, a block came after it; start a new recording")
        self._check(block)
        if self._first is None:
            self._begin(block.first_index, block.gaps)
        ready = self._file.ready(self._ahead_s())
        if ready:
            self._notes.announce(block.gaps, self._end, block.first_index, disk_lost=self._disk_lost)
            self._disk_lost = False
            if block.first_index - self._end > self._max_fill:
                self._next_segment(block.first_index)
            self._fill_to(block.first_index)
        if ready and self._end == block.first_index:
            self._put(block.counts, block.trigger_bits)
        else:  # the disk has refused for too long: what is dropped here becomes a gap once it works again
            self._lost += len(block.counts)
            self._disk_lost = True  # in this order: what `storage` tells of a loss is told with its samples
        if fault := self._file.take_fault():
            raise fault

    def annotate(self, index: int, text: str) -> None:
        """Note `text` (cut behind 160 bytes) at a sample index; it is on file a record or two later.

        Raises ValueError for an index that no recording reaches.
        """
        self._check_index(index)
        self._notes.note(index, text)

    def close(self) -> None:
        """Finish the last record, write the record count, sync, release the file; closing again does nothing.

        Raises RecordingError when the disk refuses or hangs; the file then is as a killed recorder leaves it.
        """
        if self._closed:
            return
        self._closed = True
        if self._first is None and self._notes:
            self._begin(0, ())
        while self._n_rows or self._notes:
            left = self._per_record - self._n_rows
            self._padding += left
            self._notes.name(Gap(self._end, left, "file"))
            self._fill(left)
        self._file.close()
        if fault := self._file.take_fault():
            raise fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ahead_s(self) -> float:
        """How long a source that is played faster than time can be kept waiting: it loses nothing by it."""
        samples_s = (self._end - (self._first or 0)) / self._rate_hz
        ahead_s = samples_s - (self._now_ns() - self._began_ns) / 1e9 - CATCH_UP_S
        return min(ahead_s, WAIT_S)

    def _check(self, block: SampleBlock) -> None:
        n_rows, n_channels = len(block.counts), self._rows.shape[1] - 1
        if block.counts.shape != (n_rows, n_channels) or block.trigger_bits.shape != (n_rows,):
            raise ValueError(
                f"block {block.first_index} has shapes {block.counts.shape} and {block.trigger_bits.shape}, "
                f"expected (n, {n_channels}) and (n,)"
            )
        if n_rows and (block.counts.min() < COUNT_MIN or block.counts.max() > COUNT_MAX):
            raise ValueError(f"block {block.first_index} holds a count beyond 24 bits")
        if self._first is not None and block.first_index < self._end:
            raise ValueError(f"block {block.first_index} is out of order, expected {self._end} or later")
        self._check_index(block.first_index)

    def _check_index(self, index: int) -> None:
        if not 0 <= index < _LONGEST_S * self._rate_hz:
            raise ValueError(f"sample index {index} is outside any recording")

    @property
    def _rate_hz(self) -> float:
        return self._per_record / self._header.record_duration_s

    def _begin(self, first_index: int, gaps: Sequence[Gap]) -> None:
        """The first sample decides the file's first index; gaps before it are named, not filled."""
        self._first = self._end = self._segment_first = first_index
        if first_index:
            text = recording_field(self._header.start, Origin(first_index, self._offset_samples))
            self._file.patch(RECORDING_OFFSET, text_field("recording", text, 80))
        self._notes.begin(first_index, gaps)

    def _go_on(self, recorded: Recorded) -> None:
        """Behind what is on file; the next segment is made with its first record."""
        self._first, self._end, self._segment = recorded.first, recorded.end, recorded.segment
        self._began_ns -= round((recorded.end - recorded.first) / self._rate_hz * 1e9)
        self._notes.begin(recorded.end, ())
        self._next_segment(recorded.end)

    def _next_segment(self, first_index: int) -> None:
        """Go on in a new file at `first_index`; filler of a gap that was named ends the record under way.
        Gaps that reach the new file are named there again: each file must tell its own filler."""
        if self._n_rows:
            self._fill(self._per_record - self._n_rows)
        if self._begins is None:  # else there is none yet of that number
            self._segment += 1
        self._segment_first = self._end = first_index
        later_s = (first_index - (self._first or 0)) / self._rate_hz
        origin = Origin(first_index, self._offset_samples)
        header, self._subsecond_s = segment_header(self._header, self._start_utc, later_s, origin)
        self._n_records = 0
        self._notes.go_on(first_index)
        self._begins = (self.path.with_name(segment_name(self._segment)), encode_header(header))

    def _segment_is_full(self) -> bool:
        """Whether the next record belongs into another file; the last of a recording never does."""
        early = self._max_records - self._max_records // _EARLY
        least = self._max_records if self._notes.naming else early
        return not self._closed and not self._n_rows and self._n_records >= least

    def _seconds(self, index: int) -> float:
        return self._subsecond_s + (index - self._segment_first) / self._rate_hz

    def _fill_to(self, index: int) -> None:
        while self._end < index and self._file.ready():
            self._fill(min(index - self._end, self._per_record - self._n_rows))

    def _fill(self, n_rows: int) -> None:
        """Filler that ends at the latest with the record."""
        rows = self._room(n_rows)
        rows[:, :-1] = FILLER_COUNTS
        rows[:, -1] = 0
        self._advance(n_rows)

    def _put(self, counts: NDArray[np.int32], trigger_bits: NDArray[np.uint8]) -> None:
        at = 0
        while at < len(counts):
            taken = min(len(counts) - at, self._per_record - self._n_rows)
            rows = self._room(taken)
            rows[:, :-1] = counts[at : at + taken]
            rows[:, -1] = trigger_bits[at : at + taken]
            at += taken
            self._advance(taken)

    def _room(self, n_rows: int) -> NDArray[np.int32]:
        """Where the next rows go, in a segment that may take them."""
        if self._segment_is_full():
            self._next_segment(self._end)
        return self._rows[self._n_rows : self._n_rows + n_rows]

    def _advance(self, n_rows: int) -> None:
        self._n_rows += n_rows
        self._end += n_rows
        if self._n_rows < self._per_record:
            return
        onset_s = self._subsecond_s + self._n_records * self._header.record_duration_s
        said = self._notes.take(onset_s, self._segment_first, self._seconds)
        record = encode_record(self._header, list(self._rows.T), onset_s, said)
        self._n_rows = 0
        self._n_records += 1
        if self._begins is not None:  # not before its first record: strict readers refuse a file without one
            self._file.begin(*self._begins)
            self._begins = None
        self._file.append(record)
