"""The samples of a case as the audit sees them: trigger bits, and whether every record is what was written.

Owns the reading of all segments and the check against their CRC. Refuses to repair; the first record that
does not match is named with its time.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsp.triggers import EdgeFinder
from hostd.errors import RecordingError
from hostd.segments import CrcCheck, check_records, opened, segment_paths
from hw.raw_bdf import Origin, parse_recording_field, segment_name, segment_number
from hw.recording import RecordingReader, read_header, whole_records

BLOCK_SAMPLES = 1 << 16

Keys = NDArray[np.int64]
"""Pulses, (pulse, field): the fields are sample seen (-1: never), line, plan, command, number, or the first
two of them."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Spans of samples [start, end), the trigger bits of the first in each, rising edges within spans."""

    starts: Keys
    ends: Keys
    first_bits: Keys
    edges: Keys
    rate_hz: float


@dataclass(frozen=True, slots=True)
class Records:
    """What the CRCs say of a case's records: how many match, `why` the first does not (or which segment is
    missing), and `remarks` that are no faults."""

    matching: int = 0
    why: str = ""
    remarks: tuple[str, ...] = ()


def read_samples(directory: Path) -> Samples | None:
    """The trigger bits of a case; None when it has no samples. Raises RecordingError."""
    paths = segment_paths(directory)
    if not any(path.exists() for path in paths):
        return None
    starts: list[int] = []
    ends: list[int] = []
    first_bits: list[int] = []
    edges: list[tuple[int, int]] = []
    finder = EdgeFinder()
    try:
        with opened(paths) as (first, *further):
            reader = RecordingReader(first, (read_header(first).signals[0].label,), None, further)
            for block in reader.blocks(BLOCK_SAMPLES):
                if block.gaps or not starts:
                    starts.append(block.first_index)
                    ends.append(block.first_index)
                    first_bits.append(int(block.trigger_bits[0]))
                ends[-1] = block.end_index
                edges += [(t.index, t.line) for t in finder.find(block) if t.index > starts[-1]]
    except (OSError, ValueError) as error:
        raise RecordingError(f"recording {paths[0]}: {error}") from None
    starts_, ends_, bits = (np.array(values, np.int64) for values in (starts, ends, first_bits))
    pulses = np.array(edges, np.int64) if edges else np.zeros((0, 2), np.int64)
    return Samples(starts_, ends_, bits, pulses, reader.rate_hz)


def check_all_records(directory: Path) -> Records:
    """Hold every record of a case against its CRC. Raises RecordingError when a file cannot be read."""
    matching = 0
    why = ""
    remarks: list[str] = []
    numbers: list[int] = []
    for path in segment_paths(directory):
        if not path.exists():
            continue
        numbers.append(segment_number(path.name) or 1)
        try:
            check, said = _check_file(path)
        except (OSError, ValueError) as error:
            raise RecordingError(f"recording {path}: {error}") from None
        matching += check.matching
        why = why or said
        remarks += _remarks(path, check)
    missing = [n for n in range(1, max(numbers, default=0)) if n not in numbers]
    if missing and not why:
        why = f"samples: {segment_name(missing[0])} is missing"
    return Records(matching, why, tuple(remarks))


def _check_file(path: Path) -> tuple[CrcCheck, str]:
    with path.open("rb") as file:
        header = read_header(file)
        whole, _ = whole_records(file, header)
        records = min(header.n_records, whole) if header.n_records > 0 else whole
        check = check_records(path, file, header, 0, records)
    if not check.mismatched:
        short = header.n_records - whole
        said = f"samples: {path.name} has {whole} of {header.n_records} records" if short > 0 else ""
        return check, said
    bad = check.mismatched[0]
    per_record = header.signals[0].samples_per_record
    first = (parse_recording_field(header.recording) or Origin()).first_index + bad * per_record
    at_s = first * header.record_duration_s / per_record
    utc = header.start + timedelta(seconds=bad * header.record_duration_s)
    more = f", {len(check.mismatched)} in all" if len(check.mismatched) > 1 else ""
    where = (
        f"record {bad} of {path.name} (from sample {first}, {at_s:.1f} s of acquisition, {utc:%H:%M:%S} UTC)"
    )
    return check, f"samples: {where} is not what was written: its CRC does not match{more}"


def _remarks(path: Path, check: CrcCheck) -> list[str]:
    said = []
    if check.unchecked:
        said.append(f"{check.unchecked:,} records of {path.name} have no CRC to hold them against")
    if check.beyond:
        said.append(f"{check.beyond:,} records were written behind the end of {path.name} and are gone")
    if check.damaged_lines:
        said.append(f"{check.damaged_lines:,} lines of the CRC sidecar of {path.name} are damaged")
    return said
