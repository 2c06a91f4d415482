"""A BDF+ file of some channels of a recording, from its blocks in order.

Unlike the recorder it waits for the disk and never goes on without it: an error ends the export.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hostd.errors import UsageError
from hostd.raw_header import ANNOTATION_BYTES, raw_header, raw_signals
from hw.bdf import encode_header
from hw.bdf_annotations import Annotation, encode_tal, encode_timekeeping
from hw.bdf_records import encode_record
from hw.raw_bdf import FILLER_COUNTS, Origin, gap_text, note_text, recording_field
from hw.recording import RecordingReader
from hw.samples import Gap, SampleBlock

NOTE_BYTES = 160


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of whom and when: the patient's field of EDF+, and the aware start."""

    patient: str
    start: datetime


class BdfWriter:
    """Writes `path` while used as a context manager. `notes` are (sample, text); those before the first
    sample are left out. Raises UsageError for what no BDF file can hold, OSError."""

    def __init__(
        self,
        path: Path,
        reader: RecordingReader,
        channels: Sequence[str],
        notes: Sequence[tuple[int, str]],
        head: Head,
    ) -> None:
        self._columns = [reader.channels.index(name) for name in channels]
        lsb_uv = [reader.lsb_uv[k] for k in self._columns]
        offset_uv = [reader.offset_uv[k] for k in self._columns]
        self._first = self._end = reader.first_index
        self._rate_hz = reader.rate_hz
        try:
            signals = raw_signals(channels, reader.rate_hz, lsb_uv, offset_uv, "")
            header = raw_header(head.start, "X", signals, reader.rate_hz)
            origin = Origin(reader.first_index, reader.latency_offset_samples)
            said = recording_field(header.start, origin)
            self._header = replace(header, patient=head.patient, recording=said)
            encode_header(self._header)
        except ValueError as error:
            raise UsageError(f"{path.name} cannot be written: {error}") from None
        self._subsecond_s = head.start.microsecond / 1e6
        self._rows = np.empty((signals[0].samples_per_record, len(channels) + 1), np.int32)
        self._n_rows = self._n_records = 0
        later = sorted(note for note in notes if note[0] >= self._first)
        self._notes = deque((index, note_text(text, NOTE_BYTES)) for index, text in later)
        self._gaps: deque[Gap] = deque()
        self._file = path.open("wb")

    def __enter__(self) -> Self:
        self._file.write(encode_header(self._header))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._finish()

    def append(self, block: SampleBlock) -> None:
        """The next block; what is missing before it is filled, and named."""
        self._gaps.extend(gap for gap in block.gaps if gap.index >= self._first)
        while self._end < block.first_index:
            self._fill(min(block.first_index - self._end, len(self._rows) - self._n_rows))
        self._put(block.counts[:, self._columns], block.trigger_bits)

    def _put(self, counts: NDArray[np.int32], trigger_bits: NDArray[np.uint8]) -> None:
        at = 0
        while at < len(counts):
            taken = min(len(counts) - at, len(self._rows) - self._n_rows)
            rows = self._rows[self._n_rows : self._n_rows + taken]
            rows[:, :-1] = counts[at : at + taken]
            rows[:, -1] = trigger_bits[at : at + taken]
            at += taken
            self._advance(taken)

    def _fill(self, n_rows: int) -> None:
        rows = self._rows[self._n_rows : self._n_rows + n_rows]
        rows[:, :-1] = FILLER_COUNTS
        rows[:, -1] = 0
        self._advance(n_rows)

    def _advance(self, n_rows: int) -> None:
        self._n_rows += n_rows
        self._end += n_rows
        if self._n_rows < len(self._rows):
            return
        onset_s = self._subsecond_s + self._n_records * self._header.record_duration_s
        said = self._annotations(onset_s)
        self._file.write(encode_record(self._header, list(self._rows.T), onset_s, said))
        self._n_rows = 0
        self._n_records += 1

    def _annotations(self, onset_s: float) -> list[Annotation]:
        """What has happened until the end of this record and fits it, gaps first."""
        room = ANNOTATION_BYTES - len(encode_timekeeping(onset_s))
        said: list[Annotation] = []
        while self._gaps or (self._notes and self._notes[0][0] < self._end):
            index, text = (self._gaps[0].index, gap_text(self._gaps[0])) if self._gaps else self._notes[0]
            one = Annotation(self._subsecond_s + (index - self._first) / self._rate_hz, None, text)
            room -= len(encode_tal(one))
            if room < 0:
                break
            said.append(one)
            (self._gaps if self._gaps else self._notes).popleft()
        return said

    def _finish(self) -> None:
        """Fill the last record, add some while annotations wait, and state how many there are."""
        while self._n_rows or self._gaps or self._notes:
            left = len(self._rows) - self._n_rows
            self._gaps.append(Gap(self._end, left, "file"))
            if not self._n_rows:
                self._notes = deque((min(index, self._end), text) for index, text in self._notes)
            self._fill(left)
        self._file.seek(0)
        self._file.write(encode_header(replace(self._header, n_records=self._n_records)))
