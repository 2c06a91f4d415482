"""Reading a recording: any EDF, EDF+, BDF or BDF+ as sample blocks on the time line.

Owns the walk from records to `SampleBlock`s. Refuses to open files (the caller hands them in), to scale
(blocks are counts), and to hand out filler: a block ends before a gap and the next one carries the `Gap`.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hw.bdf_annotations import Annotation
from hw.bdf_records import decode_records
from hw.raw_bdf import Origin, parse_gap, parse_recording_field
from hw.recording_segments import Segment, joined_annotations, open_segments, read_header, whole_records
from hw.recording_signals import TriggerMap, select, trigger_bits
from hw.recording_timeline import annotation_triggers, continuous_spans, discontinuous_spans
from hw.samples import SampleBlock

__all__ = ["RecordingReader", "TriggerMap", "read_header", "whole_records"]

_CHUNK_BYTES = 1 << 18
_LEAST_HZ, _GREATEST_HZ = 1e-3, 1e7
_Rows = tuple[NDArray[np.int32], NDArray[np.uint8]]


class RecordingReader:
    """A recording in `file` (binary, seekable, opened and closed by the caller), read from one thread.

    `further` are the files of the segments behind the first, in order: they are one recording, what is
    missing between them is a gap. `channels` None takes every signal in a unit of voltage. Raises ValueError,
    one line, for a file that is no EDF or BDF, for segments that do not belong together, and for channels,
    units, rates or triggers that it cannot give. Records that were never finished are left out, see
    `torn_bytes`.
    """

    def __init__(
        self,
        file: BinaryIO,
        channels: tuple[str, ...] | None = None,
        mapping: TriggerMap | None = None,
        further: Sequence[BinaryIO] = (),
    ) -> None:
        self._mapping = mapping or TriggerMap()
        self.header = header = read_header(file)
        self._selection = selection = select(header, channels, self._mapping)
        self._samples_per_record = header.signals[selection.signals[0]].samples_per_record
        self.rate_hz = self._samples_per_record / header.record_duration_s
        if not _LEAST_HZ <= self.rate_hz <= _GREATEST_HZ:
            raise ValueError(
                f"the recording's rate is {self.rate_hz:g} Hz, expected {_LEAST_HZ:g} to {_GREATEST_HZ:g}"
            )
        own = parse_recording_field(header.recording)
        self._origin = own or Origin()
        self._segments, torn_bytes = open_segments(file, header, self._samples_per_record, further)
        self.n_records = sum(s.n_records for s in self._segments)
        self.torn_bytes = torn_bytes
        self.damaged_records = sum(s.notes.damaged_records for s in self._segments)
        self._start_s = self._segments[0].start_s
        said = joined_annotations(self._segments, self.rate_hz)
        gaps = [gap for a in said if own and (gap := parse_gap(a.text))]
        self.annotations: tuple[Annotation, ...] = tuple(a for a in said if not (own and parse_gap(a.text)))
        if header.reserved[:5] in ("EDF+D", "BDF+D"):
            onsets_s = self._segments[0].notes.record_onsets_s
            self._spans = discontinuous_spans(onsets_s, self._samples_per_record, self.rate_hz)
        else:
            parts = ((s.first_index, s.n_samples) for s in self._segments)
            self._spans = continuous_spans(parts, gaps)
        self._trigger_indices, self._trigger_line_bits = annotation_triggers(
            self.annotations, self._mapping.annotations, self._start_s, self.rate_hz, self.first_index
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names, in the order of the blocks' columns."""
        return self._selection.channels

    @property
    def lsb_uv(self) -> tuple[float, ...]:
        """Microvolts per count, per channel; microvolts = counts x lsb_uv + offset_uv."""
        return self._selection.lsb_uv

    @property
    def offset_uv(self) -> tuple[float, ...]:
        """Microvolts of count 0, per channel."""
        return self._selection.offset_uv

    @property
    def first_index(self) -> int:
        """Sample index of the first sample; 0 in a foreign file."""
        return self._origin.first_index

    @property
    def latency_offset_samples(self) -> float:
        """How late the trigger bits lie, in samples, as our recorder noted it; 0 in a foreign file."""
        return self._origin.latency_offset_samples

    @property
    def n_samples(self) -> int:
        """Samples on the time line from the first to the last one recorded, gaps between them included."""
        return self._spans[-1].index + self._spans[-1].length - self.first_index if self._spans else 0

    def annotation_index(self, annotation: Annotation) -> int:
        """The sample index nearest to an annotation's onset."""
        seconds = annotation.onset_s - self._start_s
        return self.first_index + int(np.floor(seconds * self.rate_hz + 0.5))

    def blocks(self, samples_per_block: int) -> Iterator[SampleBlock]:
        """The whole recording, `samples_per_block` at a time, fewer before a gap and at the end.

        `t_ns` counts from sample index 0 at the recording's rate. Arrays are read-only. Raises ValueError
        for a block length below 1, for an analogue trigger channel without threshold (as soon as it shows),
        and when the file ends while it is read.
        """
        if samples_per_block < 1:
            raise ValueError(f"{samples_per_block} samples per block, expected 1 or more")
        return self._walk(samples_per_block)

    def _walk(self, samples_per_block: int) -> Iterator[SampleBlock]:
        start = stop = 0
        counts, bits = self._decode(self._segments[0], 0, 0)
        for span in self._spans:
            gaps = span.gaps
            segment = next(s for s in reversed(self._segments) if s.position <= span.position)
            span_end = span.position + span.length
            for at in range(span.position, span_end, samples_per_block):
                end = min(at + samples_per_block, span_end)
                if not start <= at <= end <= stop:
                    start, stop = self._chunk(segment, at, end)
                    counts, bits = self._decode(segment, start, stop)
                rows = slice(at - start, end - start)
                index = span.index + at - span.position
                t_ns = round((index + end - at - 1) * 1e9 / self.rate_hz)
                marked = self._mark_annotations(bits[rows], index)
                yield SampleBlock(index, counts[rows], marked, t_ns, gaps)
                gaps = ()

    def _chunk(self, segment: Segment, at: int, end: int) -> tuple[int, int]:
        """Positions of whole records of `segment` that hold [at, end) and enough more to be worth a read."""
        per_record = self._samples_per_record
        first, last = (at - segment.position) // per_record, -((segment.position - end) // per_record)
        last = min(max(last, first + _CHUNK_BYTES // self.header.record_bytes), segment.n_records)
        return segment.position + first * per_record, segment.position + last * per_record

    def _decode(self, segment: Segment, start: int, stop: int) -> _Rows:
        """Counts (time, channel) and trigger-channel bits (time,) of records by position, read-only."""
        header = self.header
        n_bytes = (stop - start) // self._samples_per_record * header.record_bytes
        first_record = (start - segment.position) // self._samples_per_record
        segment.file.seek(header.header_bytes + first_record * header.record_bytes)
        data = segment.file.read(n_bytes)
        if len(data) != n_bytes:
            raise ValueError(f"the recording ended in record {first_record}: it was cut while being read")
        counts = decode_records(header, data, self._selection.signals)
        trigger = self._selection.trigger
        if trigger is None:
            bits = np.zeros(len(counts), np.uint8)
        else:
            values = decode_records(header, data, (trigger,))[:, 0]
            bits = trigger_bits(values, header.signals[trigger], self._mapping.threshold)
        counts.flags.writeable = bits.flags.writeable = False
        return counts, bits

    def _mark_annotations(self, bits: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        low, high = np.searchsorted(self._trigger_indices, (index, index + len(bits)))
        if low == high:
            return bits
        marked = bits.copy()
        np.bitwise_or.at(marked, self._trigger_indices[low:high] - index, self._trigger_line_bits[low:high])
        marked.flags.writeable = False
        return marked
