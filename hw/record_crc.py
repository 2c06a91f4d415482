"""The CRC sidecar of a recording's file: one line of fixed length per data record, as pure bytes.

A line is the record's number (eight digits, from 0), the CRC-32 of its bytes and the CRC-32 of the line so
far, each in eight hexadecimal digits. Owns that layout. Refuses to believe a line that fails its own check: a
bad sidecar must not cast doubt on a good record.
"""

import re
import zlib

CRC_SUFFIX = ".crc"
ENTRY_BYTES = 27
_ENTRY = re.compile(rb"([0-9]{8}) ([0-9a-f]{8}) ([0-9a-f]{8})\n")


def record_crc(record: bytes) -> int:
    """CRC-32 of a record, that of zlib, PNG and Ethernet."""
    return zlib.crc32(record)


def encode_entry(number: int, crc: int) -> bytes:
    """The line of record `number`. Raises ValueError for a number of more than eight digits."""
    if not 0 <= number < 10**8:
        raise ValueError(f"record number {number} is outside 0 to 99999999")
    line = b"%08d %08x" % (number, crc)
    return b"%s %08x\n" % (line, zlib.crc32(line))


def decode_entries(sidecar: bytes) -> tuple[dict[int, int], int]:
    """CRC by record number, the last where one is given twice; and how many lines are torn or damaged."""
    entries: dict[int, int] = {}
    unreadable = 0
    for at in range(0, len(sidecar), ENTRY_BYTES):
        match = _ENTRY.fullmatch(sidecar, at, at + ENTRY_BYTES)
        if match is None or zlib.crc32(sidecar[at : at + 17]) != int(match[3], 16):
            unreadable += 1
            continue
        entries[int(match[1])] = int(match[2], 16)
    return entries, unreadable
