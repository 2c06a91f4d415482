"""EDF+: the averages of each test in time order, one data record each, 16 bits scaled so that nothing clips.

A record is one average, from the first row of its window on, filled with zeros up to a length that the
header can state: a viewer whose page is one record shows one average a page. Annotations say when each was
taken, and where in it the stimulus lies. Time in the file is not the case's: the annotations have that.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostd.errors import UsageError
from hostd.export.averages import Trace, traces
from hostd.export.identity import Identity
from hostd.export.raw_files import NO_DATE
from hostd.export.record import Record
from hostd.export.table_file import iso
from hw.bdf import Header, Signal, encode_header, format_number
from hw.bdf_annotations import Annotation, encode_tal, encode_timekeeping
from hw.bdf_records import encode_record
from hw.raw_bdf import edf_date

COUNT_MAX = 32767
LABEL = 16
_MOST_FILL = 4096


def write_folder(record: Record, out: Path, tests: tuple[str, ...], identity: Identity | None) -> None:
    """The folder `out` with `TEST_averages.edf` for each test that has averages, `-2` and so on behind it
    where window or montage changed. Raises UsageError where there is none, RecordingError, OSError."""
    out.mkdir()
    written = 0
    for test in tests:
        found = sorted(traces(record, test), key=lambda t: (t.sample, t.role != "baseline"))
        for k, (_, alike) in enumerate(groupby(found, key=_form)):
            name = f"{test}_averages{f'-{k + 1}' if k else ''}.edf"
            (out / name).write_bytes(_file(record, list(alike), identity))
            written += 1
    if not written:
        raise UsageError(f"{record.folder}: no averages of {', '.join(tests)} are on file; nothing to export")


def _form(trace: Trace) -> tuple[object, ...]:
    h = trace.header
    return (*h.derivations, h.t0_ms, h.dt_ms, h.shape)


def _file(record: Record, found: Sequence[Trace], identity: Identity | None) -> bytes:
    """The bytes of one file of averages that are alike."""
    first = found[0]
    rows, duration_s = record_length(len(first.mean_uv), first.header.dt_ms)
    greatest_uv = np.max([np.abs(t.mean_uv).max(axis=0) for t in found], axis=0)
    said = [_annotations(record, t, k * duration_s) for k, t in enumerate(found)]
    room = max(
        len(encode_timekeeping(k * duration_s)) + sum(len(encode_tal(a)) for a in each)
        for k, each in enumerate(said)
    )
    names = labels(first.header.derivations)
    prefilter = _prefilter(first)
    signals = [
        Signal(name, "uV", -limit, limit, -COUNT_MAX, COUNT_MAX, rows, full, prefilter)
        for name, full, limit in zip(
            names, first.header.derivations, map(_limit, greatest_uv.tolist()), strict=True
        )
    ]
    notes = Signal("EDF Annotations", "", -1.0, 1.0, -32768, 32767, -(-room // 2) + 1)
    start = (record.utc(first.sample) or NO_DATE).replace(tzinfo=None, microsecond=0)
    header = Header(
        bytes_per_sample=2,
        patient=identity.edf_field() if identity else f"X X X X {record.id.replace(' ', '_')}"[:80],
        recording=_recording(start, first.test),
        start=start,
        reserved="EDF+C",
        n_records=len(found),
        record_duration_s=duration_s,
        signals=(*(_ascii(s) for s in signals), notes),
    )
    parts = [encode_header(header)]
    for k, (trace, each) in enumerate(zip(found, said, strict=True)):
        counts = [_counts(trace.mean_uv[:, d], s, rows) for d, s in enumerate(signals)]
        parts.append(encode_record(header, counts, k * duration_s, each))
    return b"".join(parts)


def record_length(rows: int, dt_ms: float) -> tuple[int, float]:
    """Samples and seconds of a record that holds `rows`, the shortest that eight characters state exactly."""
    for n in range(rows, rows + _MOST_FILL):
        duration_s = float(np.round(n * dt_ms / 1e3, 9))
        try:
            format_number(duration_s)
        except ValueError:
            continue
        return n, duration_s
    raise UsageError(f"averages with a row every {dt_ms:g} ms fit no EDF record; export csv or html instead")


def labels(names: Sequence[str]) -> list[str]:
    """Names as signal labels: 16 characters of ASCII, each different."""
    found: list[str] = []
    for name in names:
        label = "".join(c if c.isascii() and c.isprintable() else "?" for c in name)[:LABEL].strip() or "?"
        n = 1
        while label in found:
            n += 1
            label = f"{label[: LABEL - len(str(n)) - 1]}~{n}"
        found.append(label)
    return found


def _limit(greatest_uv: float) -> float:
    """The least physical maximum that a header field with its sign holds and that nothing exceeds."""
    if not 0 < greatest_uv < 9_999_999:
        return 1.0
    digits = max(0, 6 - len(str(int(greatest_uv))))
    step = 10.0**-digits
    return float(np.round(np.ceil(greatest_uv / step) * step, digits))


def _counts(uv: NDArray[np.float32], signal: Signal, rows: int) -> NDArray[np.int32]:
    counts = np.zeros(rows, np.int32)
    counts[: len(uv)] = np.rint(np.nan_to_num(uv.astype(np.float64)) / signal.scale).astype(np.int32)
    return counts


def _annotations(record: Record, trace: Trace, onset_s: float) -> list[Annotation]:
    """When and what the average is, and where its stimulus lies if that is in the window."""
    h = trace.header
    at = record.seconds(trace.sample)
    clock = f"{int(at // 3600)}:{int(at // 60 % 60):02d}:{at % 60:06.3f}"
    text = f"{trace.role} at {clock} ({iso(record.utc(trace.sample)) or 'no time'}), {h.n_sweeps} sweeps"
    found = [Annotation(onset_s, None, text)]
    if 0 <= -h.t0_ms < h.dt_ms * len(trace.mean_uv):
        found.append(Annotation(onset_s - h.t0_ms / 1e3, None, "stimulus"))
    return found


def _prefilter(trace: Trace) -> str:
    band = trace.header.band_hz
    return f"HP:{band[0]:g}Hz LP:{band[1]:g}Hz" if band else ""


def _recording(start: datetime, test: str) -> str:
    day = edf_date(start) if start.year > NO_DATE.year else "X"
    return f"Startdate {day} X X evokd averages {test}"[:80]


def _ascii(signal: Signal) -> Signal:
    full = "".join(c if c.isascii() and c.isprintable() else "?" for c in signal.transducer)[:80]
    return Signal(
        signal.label,
        signal.unit,
        signal.physical_min,
        signal.physical_max,
        signal.digital_min,
        signal.digital_max,
        signal.samples_per_record,
        full,
        signal.prefilter,
    )
