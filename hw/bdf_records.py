"""Data records of EDF and BDF files as pure bytes <-> arrays: little-endian, 16 or 24 bits, signal by signal.

Owns the layout of a record. Refuses I/O, and refuses bytes that are not whole records.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hw.bdf import Header
from hw.bdf_annotations import Annotation, decode_tals, encode_tals


def encode_record(
    header: Header,
    counts: Sequence[NDArray[np.int32]],
    onset_s: float = 0.0,
    annotations: Sequence[Annotation] = (),
) -> bytes:
    """One data record: `counts` (samples_per_record,) for each signal that is not annotations, in order.

    The first annotation signal takes the time-keeping `onset_s` and `annotations`; further ones stay empty.
    Raises ValueError for a wrong shape, a count outside the sample's bits, or annotations that do not fit.
    """
    ordinary = [s for s in header.signals if not s.is_annotations]
    if len(counts) != len(ordinary):
        raise ValueError(f"a record has {len(ordinary)} signals, got {len(counts)}")
    rows = iter(counts)
    tals_written = False
    parts: list[bytes] = []
    for signal in header.signals:
        if not signal.is_annotations:
            parts.append(_encode_counts(header, next(rows), signal.samples_per_record, signal.label))
            continue
        n_bytes = signal.samples_per_record * header.bytes_per_sample
        parts.append(bytes(n_bytes) if tals_written else encode_tals(onset_s, annotations, n_bytes))
        tals_written = True
    if annotations and not tals_written:
        raise ValueError("annotations need an annotation signal, the header has none")
    return b"".join(parts)


def decode_record(
    header: Header, data: bytes
) -> tuple[list[NDArray[np.int32]], float | None, tuple[Annotation, ...]]:
    """One record's counts (one array per signal that is not annotations), time-keeping onset, annotations.

    Raises ValueError unless `data` is exactly one record with sound annotations.
    """
    if len(data) != header.record_bytes:
        raise ValueError(f"a record has {header.record_bytes} bytes, got {len(data)}")
    ordinary = [k for k, s in enumerate(header.signals) if not s.is_annotations]
    counts = [decode_records(header, data, (k,))[:, 0] for k in ordinary]
    onset_s: float | None = None
    found: list[Annotation] = []
    for start, stop in annotation_ranges(header):
        keeping, annotations = decode_tals(data[start:stop])
        onset_s = keeping if onset_s is None else onset_s
        found += annotations
    return counts, onset_s, tuple(found)


def decode_records(header: Header, data: bytes, signals: Sequence[int]) -> NDArray[np.int32]:
    """Counts (time, channel) of the `signals` (their numbers in the header) in any number of whole records.

    Raises ValueError when `data` is not whole records or the signals differ in samples per record.
    """
    lengths = {header.signals[k].samples_per_record for k in signals}
    if len(lengths) != 1:
        raise ValueError("signals of one array must have the same samples per record")
    if len(data) % header.record_bytes:
        raise ValueError(f"{len(data)} bytes are not whole records of {header.record_bytes} bytes")
    n_samples = lengths.pop()
    n_records, size = len(data) // header.record_bytes, header.bytes_per_sample
    counts = np.empty((n_records, n_samples, len(signals)), np.int32)
    if counts.size == 0:
        return counts.reshape(n_records * n_samples, len(signals))
    # Words of 32 bits that overlap, each ending with its sample: the shift drops the foreign bytes before it
    # and brings the sign. The first sample of all has none before it: its record is decoded from a copy.
    foreign, offsets = 4 - size, header.offsets
    starts = [offsets[k] - foreign for k in signals]
    steps = {after - before for before, after in pairwise(starts)}
    if len(steps) > 1 or min(steps, default=0) < 0:  # not one behind the other
        for column, k in enumerate(signals):
            counts[:, :, column] = decode_records(header, data, (k,)).reshape(n_records, n_samples)
        return counts.reshape(n_records * n_samples, len(signals))
    strides = (header.record_bytes, size, steps.pop() if steps else 0)
    copied = int(starts[0] < 0)
    behind = copied * header.record_bytes
    head = bytes(foreign) + data[:behind]
    parts = ((head, starts[0] + foreign, counts[:copied]), (data, starts[0] + behind, counts[copied:]))
    for source, start, out in parts:
        if len(out):
            words: NDArray[np.int32] = np.ndarray(out.shape, "<i4", source, start, strides)
            np.right_shift(words, 8 * foreign, out=out)
    return counts.reshape(n_records * n_samples, len(signals))


def annotation_ranges(header: Header) -> tuple[tuple[int, int], ...]:
    """Byte ranges [start, stop) of the annotation signals within a record."""
    return tuple(
        (start, start + signal.samples_per_record * header.bytes_per_sample)
        for start, signal in zip(header.offsets, header.signals, strict=True)
        if signal.is_annotations
    )


def _encode_counts(header: Header, counts: NDArray[np.int32], n_samples: int, label: str) -> bytes:
    low, high = header.count_range
    if counts.shape != (n_samples,):
        raise ValueError(f"signal {label!r} has {n_samples} samples per record, got shape {counts.shape}")
    if counts.min() < low or counts.max() > high:
        raise ValueError(f"signal {label!r} holds a count outside {low} to {high}")
    quads = np.ascontiguousarray(counts, "<i4").view(np.uint8).reshape(-1, 4)
    return quads[:, : header.bytes_per_sample].tobytes()
