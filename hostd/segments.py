"""The files of a recording on disk: its segments in order, and the check of one against its CRC sidecar.

Opens for reading only. Refuses to judge: what does not match is told, with where it stands.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hw.bdf import Header
from hw.raw_bdf import RAW_NAME, segments_of
from hw.record_crc import CRC_SUFFIX, decode_entries, record_crc


@dataclass(frozen=True, slots=True)
class CrcCheck:
    """Records of a file that match their CRC, that do not (their numbers), and that have none; `beyond`
    records have a CRC but are not on file; `damaged_lines` of the sidecar tell nothing."""

    matching: int = 0
    mismatched: tuple[int, ...] = ()
    unchecked: int = 0
    beyond: int = 0
    damaged_lines: int = 0


def segment_paths(recording: Path) -> tuple[Path, ...]:
    """The files of `recording`: a case's directory or its raw.bdf, all segments; any other file by itself."""
    path = recording / RAW_NAME if recording.is_dir() else recording
    try:
        beside = [other.name for other in path.parent.iterdir()]
    except OSError:  # said when the file is opened
        beside = []
    return tuple(path.with_name(name) for name in segments_of(path.name, beside))


@contextlib.contextmanager
def opened(paths: tuple[Path, ...]) -> Iterator[tuple[BinaryIO, ...]]:
    """The files, for reading. Raises OSError."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(path.open("rb")) for path in paths)


def check_records(path: Path, file: BinaryIO, header: Header, first: int, end: int) -> CrcCheck:
    """Hold records [first, end) of `file` against the sidecar of `path`; all are unchecked when it has none.
    Raises OSError."""
    try:
        entries, damaged = decode_entries(path.with_suffix(CRC_SUFFIX).read_bytes())
    except FileNotFoundError:
        return CrcCheck(unchecked=end - first)
    matching, unchecked = 0, 0
    mismatched: list[int] = []
    file.seek(header.header_bytes + first * header.record_bytes)
    for number in range(first, end):
        crc, record = entries.get(number), file.read(header.record_bytes)
        if crc is None:
            unchecked += 1
        elif crc == record_crc(record):
            matching += 1
        else:
            mismatched.append(number)
    return CrcCheck(matching, tuple(mismatched), unchecked, sum(n >= end for n in entries), damaged)
