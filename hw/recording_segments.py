"""The files of one recording: what each holds, where it stands in time, whether they belong together.

Owns the reading of headers and of what the annotation signals say. Refuses to open files and to repair them:
a last segment that was cut off in its header has no samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from hw.bdf import Header, decode_header, header_length
from hw.bdf_annotations import Annotation
from hw.raw_bdf import parse_recording_field
from hw.recording_timeline import Notes, read_notes


@dataclass(frozen=True, slots=True)
class Segment:
    """One file: `n_records` whole records with `n_samples` from `first_index` on; `position` counts samples
    from the start of the first file. Its first record begins `start_s` after its header's start time."""

    file: BinaryIO
    n_records: int
    n_samples: int
    position: int
    first_index: int
    start_s: float
    notes: Notes


def read_header(file: BinaryIO) -> Header:
    """The header of a seekable binary file. Raises ValueError, one line, when it has none."""
    file.seek(0)
    head = file.read(256)
    return decode_header(head + file.read(header_length(head) - 256))


def whole_records(file: BinaryIO, header: Header) -> tuple[int, int]:
    """How many whole records follow the header, and the bytes left behind them."""
    return divmod(max(file.seek(0, 2) - header.header_bytes, 0), header.record_bytes)


def open_segments(
    file: BinaryIO, header: Header, samples_per_record: int, further: Sequence[BinaryIO]
) -> tuple[tuple[Segment, ...], int]:
    """The segment in `file`, which begins with `header`, and those of `further`; bytes of records that were
    never finished. Raises ValueError for a file that is no segment of this recording."""
    segments: list[Segment] = []
    torn_bytes = position = 0
    for number, one in enumerate((file, *further), 1):
        size = one.seek(0, 2)
        if number > 1 and size < header.header_bytes:  # killed while it was made
            torn_bytes += size
            continue
        its = header if number == 1 else _header_of(number, one)
        origin = parse_recording_field(its.recording)
        if number > 1:
            _check_belongs(number, header, its)
        whole, tail = whole_records(one, its)
        # A count of -1 is a recording that was never closed, 0 one whose writer never came back to it.
        n_records = min(its.n_records, whole) if its.n_records > 0 else whole
        torn_bytes += tail + (whole - n_records) * its.record_bytes
        notes = read_notes(one, its, n_records)
        said = notes.record_onsets_s[:1]
        start_s = float(said[0]) if len(said) and np.isfinite(said[0]) else 0.0
        n_samples = n_records * samples_per_record
        first_index = origin.first_index if origin else 0
        segments.append(Segment(one, n_records, n_samples, position, first_index, start_s, notes))
        position += n_samples
    return tuple(segments), torn_bytes


def _header_of(number: int, file: BinaryIO) -> Header:
    try:
        return read_header(file)
    except ValueError as error:
        raise ValueError(f"segment {number}: {error}") from None


def _check_belongs(number: int, first: Header, its: Header) -> None:
    ours, theirs = (parse_recording_field(header.recording) for header in (first, its))
    if ours is None or theirs is None:
        raise ValueError(f"segment {number} is no continuation: evokd did not record both")
    same = (its.signals, its.record_duration_s, its.reserved) == (
        first.signals,
        first.record_duration_s,
        first.reserved,
    )
    if not same or theirs.latency_offset_samples != ours.latency_offset_samples:
        raise ValueError(
            f"segment {number} has other signals than the first: it belongs to another recording"
        )


def joined_annotations(segments: Sequence[Segment], rate_hz: float) -> tuple[Annotation, ...]:
    """The annotations of all segments, their onsets counted from the first one's start time."""
    first = segments[0]
    said: list[Annotation] = list(first.notes.annotations)
    for segment in segments[1:]:
        later_s = (segment.first_index - first.first_index) / rate_hz + first.start_s - segment.start_s
        said += [replace(a, onset_s=a.onset_s + later_s) for a in segment.notes.annotations]
    return tuple(said)
