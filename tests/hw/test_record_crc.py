"""The CRC sidecar's lines: what was written comes back, and a damaged line never speaks."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.record_crc import ENTRY_BYTES, decode_entries, encode_entry, record_crc

SIDECAR = b"".join(encode_entry(n, n * 0x01234567) for n in range(5))
ENTRIES = {n: n * 0x01234567 for n in range(5)}


@given(st.dictionaries(st.integers(0, 99_999_999), st.integers(0, 2**32 - 1), max_size=20))
def test_entries_come_back(entries):
    sidecar = b"".join(encode_entry(n, crc) for n, crc in entries.items())
    assert len(sidecar) == ENTRY_BYTES * len(entries)
    assert decode_entries(sidecar) == (entries, 0)


def test_the_crc_is_the_one_that_other_tools_compute():
    assert record_crc(b"123456789") == 0xCBF43926
    line = encode_entry(12, 0xCBF43926)
    assert line == b"00000012 cbf43926 %08x\n" % zlib.crc32(b"00000012 cbf43926")


@given(st.integers(0, len(SIDECAR) - 1), st.integers(1, 255))
def test_a_damaged_byte_silences_its_line_alone(at, flip):
    sidecar = bytearray(SIDECAR)
    sidecar[at] ^= flip
    entries, unreadable = decode_entries(bytes(sidecar))
    wanted = {n: crc for n, crc in ENTRIES.items() if n != at // ENTRY_BYTES}
    assert (entries, unreadable) == (wanted, 1)


def test_a_torn_tail_is_no_line():
    for cut in range(1, ENTRY_BYTES):
        assert decode_entries(SIDECAR[:-cut]) == ({n: ENTRIES[n] for n in range(4)}, 1)
    assert decode_entries(b"") == ({}, 0)
    assert decode_entries(SIDECAR + bytes(ENTRY_BYTES)) == (ENTRIES, 1)


@pytest.mark.parametrize("number", [-1, 10**8])
def test_a_number_that_a_file_cannot_have_is_refused(number):
    with pytest.raises(ValueError, match="outside 0 to 99999999"):
        encode_entry(number, 0)
