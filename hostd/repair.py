"""Mending recordings that were never closed: whole records, a true record count, nothing else.

Owns the two changes that a killed recorder leaves to make. Refuses files that evokd did not record and
files that a running recorder holds.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hostd.errors import RecordingError
from hw.bdf import N_RECORDS_OFFSET, Header, text_field
from hw.raw_bdf import parse_recording_field
from hw.recording import read_header, whole_records

RAW_NAME = "raw.bdf"


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What `repair` found and did: `records` on file now, `dropped_bytes` of a record never finished,
    `stated_records` in the header before (-1: never closed). `fault` is why nothing was done, or empty."""

    path: Path
    records: int = 0
    dropped_bytes: int = 0
    stated_records: int = 0
    fault: str = ""

    @property
    def changed(self) -> bool:
        """False when the file was whole already."""
        return not self.fault and (self.dropped_bytes > 0 or self.stated_records != self.records)


def repair(path: Path) -> RepairReport:
    """Truncate `path` to whole records and state their number in its header; a whole file is not touched.

    Raises RecordingError, one line, when it is no recording of ours, is being recorded, or cannot be written.
    """
    try:
        with path.open("r+b") as file:
            return _repair(path, file)
    except RecordingError:
        raise
    except ValueError as error:
        raise RecordingError(f"{path} cannot be repaired: {error}") from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be repaired: {error.strerror or error}") from None


def repair_unclosed(data_dir: Path) -> tuple[RepairReport, ...]:
    """Repair every `data_dir`/*/raw.bdf that was never closed and that nobody is recording.

    Never raises for a single file: its report says in `fault` what is wrong with it.
    """
    reports: list[RepairReport] = []
    for path in sorted(data_dir.glob(f"*/{RAW_NAME}")):
        try:
            with path.open("rb") as file:
                if read_header(file).n_records != -1 or _held(file):
                    continue
            reports.append(repair(path))
        except (ValueError, OSError) as error:
            line = str(error) if isinstance(error, RecordingError) else f"{path} cannot be read: {error}"
            reports.append(RepairReport(path, fault=line))
    return tuple(reports)


def _repair(path: Path, file: BinaryIO) -> RepairReport:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecordingError(f"{path} is being recorded; close its case first") from None
    header = read_header(file)
    if parse_recording_field(header.recording) is None:
        raise RecordingError(f"{path} was not recorded by evokd; repair changes only its own recordings")
    records, dropped_bytes = whole_records(file, header)
    blank = _blank_tail(file, header, records)
    records, dropped_bytes = records - blank, dropped_bytes + blank * header.record_bytes
    report = RepairReport(path, records, dropped_bytes, header.n_records)
    if report.changed:
        file.truncate(header.header_bytes + records * header.record_bytes)
        file.seek(N_RECORDS_OFFSET)
        file.write(text_field("number of records", str(records), 8))
        file.flush()
        os.fsync(file.fileno())
    return report


def _blank_tail(file: BinaryIO, header: Header, records: int) -> int:
    """Whole records of zeros at the end: a power cut may leave the length without the bytes.

    No record that was written is all zeros, since each begins its annotations with its time.
    """
    blank = 0
    zeros = bytes(header.record_bytes)
    while blank < records:
        file.seek(header.header_bytes + (records - blank - 1) * header.record_bytes)
        if file.read(header.record_bytes) != zeros:
            break
        blank += 1
    return blank


def _held(file: BinaryIO) -> bool:
    """Whether a recorder holds the file; it does so to its last moment, however it ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False
