"""Mending recordings that were never closed: whole records, a true record count, nothing else.

Owns the two changes that a killed recorder leaves to make, and the verdict on records by their CRC. Refuses
files that evokd did not record, files that a running recorder holds, and to drop a record for a bad sidecar.
"""

import fcntl
import math
import os
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from hostd.errors import RecordingError
from hostd.segments import CrcCheck, check_records, segment_paths
from hw.bdf import N_RECORDS_OFFSET, Header, header_length, text_field
from hw.bdf_annotations import decode_tals
from hw.bdf_records import annotation_ranges
from hw.raw_bdf import parse_recording_field, segment_number
from hw.record_crc import CRC_SUFFIX, decode_entries
from hw.recording import read_header, whole_records

TORN_S = 2.0
"""What a power cut may tear: the records since the last sync but one."""
_LISTED = 5
_LOOKED, _LOOKED_BYTES = 8, 1 << 20
_TIME = re.compile(rb"\+[0-9]{1,9}(?:\.[0-9]{1,7})?\x14\x14\0")
TAIL_S = 30.0
"""How much of a recording's end is held against its CRC when evokd starts."""


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What `repair` found and did: `records` on file now, `dropped_bytes` of records never finished,
    `stated_records` in the header before (-1: never closed). `mismatched` records on file are not what was
    written, says the sidecar. `removed`: a further segment without a whole record, which readers would refuse
    and nobody would miss. `fault` is why nothing was done, or empty."""

    path: Path
    records: int = 0
    dropped_bytes: int = 0
    stated_records: int = 0
    fault: str = ""
    mismatched: tuple[int, ...] = ()
    removed: bool = False
    record_s: float = field(default=0.0, compare=False)

    @property
    def changed(self) -> bool:
        """False when the file was whole already."""
        return not self.fault and (self.dropped_bytes > 0 or self.stated_records != self.records)

    @property
    def line(self) -> str:
        """The report in one line."""
        if self.fault:
            return self.fault
        if self.removed:
            return f"{self.path}: no whole record, removed"
        did = f"{self.dropped_bytes} torn bytes dropped" if self.changed else "nothing to repair"
        wrong = self.mismatched
        listed = ", ".join(f"{n} (at {n * self.record_s:.1f} s)" for n in wrong[:_LISTED])
        listed += f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        told = f"; not what was written, by their CRC: record {listed}" if wrong else ""
        return f"{self.path}: {self.records} whole records, {did}{told}"


def repair(path: Path, tail_s: float = math.inf) -> RepairReport:
    """Truncate `path` to whole records and state their number in its header; a whole file is not touched. Its
    last `tail_s` are held against their CRC.

    Raises RecordingError, one line, when it is no recording of ours, is being recorded, or cannot be written.
    """
    try:
        with path.open("r+b") as file:
            return _repair(path, file, tail_s)
    except RecordingError:
        raise
    except ValueError as error:
        raise RecordingError(f"{path} cannot be repaired: {error}") from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be repaired: {error.strerror or error}") from None


def repair_all(recording: Path) -> tuple[RepairReport, ...]:
    """Repair every segment of a case's directory, or of its raw.bdf; another file by itself.

    Raises RecordingError as `repair` does, for a first segment; a later one's report says it in `fault`.
    """
    first, *later = segment_paths(recording)
    reports = [repair(first)]
    for path in later:
        try:
            reports.append(repair(path))
        except RecordingError as error:
            reports.append(RepairReport(path, fault=str(error)))
    return tuple(reports)


def repair_unclosed(data_dir: Path) -> tuple[RepairReport, ...]:
    """Repair every segment in `data_dir`/* that was never closed and that nobody is recording.

    Never raises for a single file: its report says in `fault` what is wrong with it.
    """
    reports: list[RepairReport] = []
    for path in sorted(data_dir.glob("*/*.bdf")):
        if segment_number(path.name) is None:
            continue
        try:
            with path.open("rb") as file:
                if _held(file) or not (_cut_in_header(path, file) or read_header(file).n_records == -1):
                    continue
            reports.append(repair(path, TAIL_S))
        except (ValueError, OSError) as error:
            line = str(error) if isinstance(error, RecordingError) else f"{path} cannot be read: {error}"
            reports.append(RepairReport(path, fault=line))
    return tuple(reports)


def _repair(path: Path, file: BinaryIO, tail_s: float) -> RepairReport:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecordingError(f"{path} is being recorded; close its case first") from None
    if _cut_in_header(path, file):
        return _removed(path, file.seek(0, 2))
    header = read_header(file)
    if parse_recording_field(header.recording) is None:
        raise RecordingError(f"{path} was not recorded by evokd; repair changes only its own recordings")
    records, dropped_bytes = whole_records(file, header)
    first = max(0, records - math.ceil(min(tail_s / header.record_duration_s, records)))
    check = check_records(path, file, header, first, records)
    if why := _misfit(path, file, header, records, check):
        cure = "its samples are left as they are; put the header of a sound segment in its place"
        raise RecordingError(f"{path} cannot be repaired: its header is damaged: {why}; {cure}")
    lost = _blank_tail(file, header, records)
    if header.n_records == -1:
        lost = max(lost, _torn_tail(check.mismatched, records, check.matching, header))
    records, dropped_bytes = records - lost, dropped_bytes + lost * header.record_bytes
    mismatched = tuple(number for number in check.mismatched if number < records)
    duration_s = header.record_duration_s
    report = RepairReport(path, records, dropped_bytes, header.n_records, "", mismatched, record_s=duration_s)
    if not records and header.n_records == -1 and _is_further(path):
        return _removed(path, dropped_bytes)
    if report.changed:
        file.truncate(header.header_bytes + records * header.record_bytes)
        file.seek(N_RECORDS_OFFSET)
        file.write(text_field("number of records", str(records), 8))
        file.flush()
        os.fsync(file.fileno())
    return report


def _misfit(path: Path, file: BinaryIO, header: Header, records: int, check: CrcCheck) -> str:
    """Why the records are not as long as the header says, or "": on the word of a damaged header nothing may
    be cut off or removed. Any record that matches its CRC speaks for it; else that records begin, as each
    does, with their time; of a file without a whole one, that no second one has begun, and its sidecar:
    a further segment, which would be removed, must have none, a first one not be there whole after all."""
    if check.matching:
        return ""
    if records:
        looked = range(0, records, max(1, records // _LOOKED))
        timed = sum(_is_timed(file, header, number) for number in looked)
        return "" if 2 * timed >= len(looked) else "no record begins where it says"
    file.seek(header.header_bytes)
    there = file.read(_LOOKED_BYTES)
    if check.beyond and (_is_further(path) or _holds_first(path, there)):
        return "it has room for no record, and the sidecar has CRCs of some"
    begun = len(_TIME.findall(there))
    return f"{begun} records begin where it has room for none" if begun > 1 else ""


def _holds_first(path: Path, there: bytes) -> bool:
    """Whether the first record is whole in `there`, however long it is: a file that was cut within it is
    mended, one whose header is wrong is not."""
    entries, _ = decode_entries(path.with_suffix(CRC_SUFFIX).read_bytes())
    crc = 0
    for at in range(len(there)):
        crc = zlib.crc32(there[at : at + 1], crc)
        if crc == entries.get(0):
            return True
    return False


def _is_timed(file: BinaryIO, header: Header, number: int) -> bool:
    """Whether the annotations of a record begin with its time."""
    at = header.header_bytes + number * header.record_bytes
    for start, stop in annotation_ranges(header)[:1]:
        file.seek(at + start)
        try:
            return decode_tals(file.read(stop - start).rstrip(b"\0"))[0] is not None
        except ValueError:
            return False
    return False


def _is_further(path: Path) -> bool:
    """Whether this is the name of a segment behind the first."""
    return (segment_number(path.name) or 1) > 1


def _cut_in_header(path: Path, file: BinaryIO) -> bool:
    """Whether a further segment was killed while it was made."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(256)
    return _is_further(path) and (len(head) < 256 or (head[:1] == b"\xff" and size < header_length(head)))


def _removed(path: Path, dropped_bytes: int) -> RepairReport:
    path.with_suffix(CRC_SUFFIX).unlink(missing_ok=True)
    path.unlink()
    return RepairReport(path, 0, dropped_bytes, -1, removed=True)


def _torn_tail(mismatched: tuple[int, ...], records: int, matching: int, header: Header) -> int:
    """How many records at the end of a file that was never closed were not wholly written.

    None when there are more of them than a power cut tears, or when no other record matches: then it may be
    the sidecar that is wrong, and samples are not dropped on its word.
    """
    wrong = set(mismatched)
    torn = 0
    while torn < records and records - 1 - torn in wrong:
        torn += 1
    return torn if matching and torn * header.record_duration_s <= TORN_S else 0


def _blank_tail(file: BinaryIO, header: Header, records: int) -> int:
    """Whole records of zeros at the end: a power cut may leave the length without the bytes.

    No record that was written is all zeros, since each begins its annotations with its time.
    """
    blank = 0
    zeros = bytes(
        header.record_bytes if records else 0
    )  # the length that a damaged header tells is not on file
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
