"""Where a recording's samples lie on the time line: annotations, gaps, and the spans between them.

Owns the pass over the annotation signal and the mapping file position <-> sample index. Refuses to
renumber: what was lost stays a gap.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hw.bdf import Header
from hw.bdf_annotations import Annotation, decode_tals
from hw.bdf_records import annotation_ranges
from hw.recording_signals import find_label
from hw.samples import Gap

_LISTED = 40


@dataclass(frozen=True, slots=True)
class Notes:
    """What the annotation signal says: onset of each record (NaN: not said), annotations in file order.

    `damaged_records` counts records whose annotation bytes were unreadable and were passed over.
    """

    record_onsets_s: NDArray[np.float64]
    annotations: tuple[Annotation, ...]
    damaged_records: int


@dataclass(frozen=True, slots=True)
class Span:
    """`length` contiguous samples: `position` in the file (samples from its start), `index` on the time
    line, and the `gaps` that lie before it."""

    position: int
    index: int
    length: int
    gaps: tuple[Gap, ...]


def read_notes(file: BinaryIO, header: Header, n_records: int) -> Notes:
    """One pass over the annotation signals of the first `n_records` records of `file`."""
    onsets_s = [math.nan] * n_records
    found: list[Annotation] = []
    damaged = 0
    ranges, record_bytes = annotation_ranges(header), header.record_bytes
    for record in range(n_records if ranges else 0):
        at = header.header_bytes + record * record_bytes
        for start, stop in ranges:
            file.seek(at + start)
            try:
                # Lists end with one zero; what is behind the last of them is as many empty ones.
                onset_s, annotations = decode_tals(file.read(stop - start).rstrip(b"\0"))
            except ValueError:
                damaged += 1
                continue
            found += annotations
            if onset_s is not None and math.isnan(onsets_s[record]):
                onsets_s[record] = onset_s
    return Notes(np.array(onsets_s, np.float64), tuple(found), damaged)


def continuous_spans(parts: Iterable[tuple[int, int]], gaps: Iterable[Gap]) -> tuple[Span, ...]:
    """Spans of continuous files, each (first sample index, number of samples), in which `gaps` are filler.

    A gap that several files name counts once; a hole between files that none names is a gap `file`. Gaps
    before a file are carried by its first span; a gap at the end has no span to carry it. Raises ValueError
    when a file begins before its predecessor ends.
    """
    spans: list[Span] = []
    waiting: list[Gap] = []
    named = deque(sorted(dict.fromkeys(gaps), key=lambda g: (g.index, g.length)))
    position, cursor, end = 0, -1, -1
    for first, n_samples in parts:
        if first < end:
            raise ValueError(f"the segment at sample {first} begins {end - first} samples too early")
        end = first + n_samples
        cursor = first if cursor < 0 else cursor
        while named and named[0].index < end:
            gap = named.popleft()
            waiting += _unnamed(cursor, min(gap.index, first))
            cursor = max(cursor, min(gap.index, first))
            if gap.index > cursor:
                spans.append(Span(position + cursor - first, cursor, gap.index - cursor, tuple(waiting)))
                waiting = []
            waiting.append(gap)
            cursor = max(cursor, gap.index + gap.length)
        waiting += _unnamed(cursor, first)
        cursor = max(cursor, first)
        if cursor < end:
            spans.append(Span(position + cursor - first, cursor, end - cursor, tuple(waiting)))
            waiting, cursor = [], end
        position += n_samples
    return tuple(spans)


def _unnamed(start: int, stop: int) -> list[Gap]:
    return [Gap(start, stop - start, "file")] if start < stop else []


def discontinuous_spans(
    record_onsets_s: NDArray[np.float64], samples_per_record: int, rate_hz: float
) -> tuple[Span, ...]:
    """Spans of an EDF+D or BDF+D file, whose records say when they begin; index 0 is its first sample.

    Raises ValueError when a record begins more than one sample before its predecessor ends.
    """
    spans: list[Span] = []
    gaps: tuple[Gap, ...] = ()
    position = index = length = 0
    for record, onset_s in enumerate(record_onsets_s - record_onsets_s[:1]):
        end = index + length
        lost = 0 if np.isnan(onset_s) else int(np.floor(onset_s * rate_hz + 0.5)) - end
        if lost < -1:
            raise ValueError(f"record {record} begins {-lost} samples before its predecessor ends")
        if lost > 0:
            if length:
                spans.append(Span(position, index, length, gaps))
            gaps = (Gap(end, lost, "file"),)
            position, index, length = record * samples_per_record, end + lost, 0
        length += samples_per_record
    return (*spans, Span(position, index, length, gaps)) if length else tuple(spans)


def annotation_triggers(
    annotations: Sequence[Annotation], lines: dict[str, int], start_s: float, rate_hz: float, first_index: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Sample indices (sorted, nearest to the onset) and bits of the annotations whose text `lines` maps.

    Raises ValueError for a mapped text that the recording never has.
    """
    texts = sorted({a.text for a in annotations})
    bits: dict[str, int] = {}
    for wanted, line in lines.items():
        found = find_label(texts, wanted)
        if not found:
            has = ", ".join(repr(t[:_LISTED]) for t in texts[:_LISTED]) or "no annotations"
            raise ValueError(f"annotation {wanted!r} is not in the recording; it has: {has}")
        for k in found:
            bits[texts[k]] = bits.get(texts[k], 0) | 1 << (line - 1)
    hits = [(a.onset_s, bits[a.text]) for a in annotations if a.text in bits]
    onsets_s = np.array([onset_s for onset_s, _ in hits], np.float64)
    indices = first_index + np.floor((onsets_s - start_s) * rate_hz + 0.5).astype(np.int64)
    order = np.argsort(indices, kind="stable")
    return indices[order], np.array([b for _, b in hits], np.uint8)[order]
