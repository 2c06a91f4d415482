"""Byte stuffing: published vectors, a twin written from the paper, refusal of what nobody can have sent."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw import cobs


def ascending(first: int, last: int) -> bytes:
    return bytes(range(first, last + 1))


# The examples of the published descriptions of COBS, without the delimiter.
VECTORS = [
    (b"", b"\x01"),
    (b"\x00", b"\x01\x01"),
    (b"\x00\x00", b"\x01\x01\x01"),
    (b"\x00\x11\x00", b"\x01\x02\x11\x01"),
    (b"\x11\x22\x00\x33", b"\x03\x11\x22\x02\x33"),
    (b"\x11\x22\x33\x44", b"\x05\x11\x22\x33\x44"),
    (b"\x11\x00\x00\x00", b"\x02\x11\x01\x01\x01"),
    (ascending(1, 254), b"\xff" + ascending(1, 254)),
    (b"\x00" + ascending(1, 254), b"\x01\xff" + ascending(1, 254)),
    (ascending(1, 255), b"\xff" + ascending(1, 254) + b"\x02\xff"),
    (ascending(2, 255) + b"\x00", b"\xff" + ascending(2, 255) + b"\x01\x01"),
    (ascending(3, 255) + b"\x00\x01", b"\xfe" + ascending(3, 255) + b"\x02\x01"),
]


def naive_encode(data: bytes) -> bytes:
    """Byte by byte, as the paper tells it."""
    out, code_at = bytearray(1), 0
    for at, byte in enumerate(data):
        if byte:
            out.append(byte)
        full = len(out) - code_at == 255
        if not byte or (full and at + 1 < len(data)):
            out[code_at] = len(out) - code_at
            code_at = len(out)
            out.append(0)
    out[code_at] = len(out) - code_at
    return bytes(out)


# Long runs without a zero are the hard cases, and random bytes hardly ever hold one.
runs = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.builds(lambda n: b"\x07" * n, st.sampled_from([1, 252, 253, 254, 255, 256, 508, 509])),
    ),
    max_size=6,
).map(b"".join)


@pytest.mark.parametrize(("plain", "stuffed"), VECTORS)
def test_the_published_vectors(plain: bytes, stuffed: bytes) -> None:
    assert cobs.encode(plain) == stuffed
    assert cobs.decode(stuffed) == plain


@given(runs)
def test_round_trip_without_zeros_within_the_promised_length(data: bytes) -> None:
    stuffed = cobs.encode(data)
    assert 0 not in stuffed
    assert len(stuffed) <= len(data) + 1 + len(data) // cobs.LONGEST_RUN
    assert stuffed == naive_encode(data)
    assert cobs.decode(stuffed) == data


@pytest.mark.parametrize(
    "broken", [b"", b"\x00", b"\x03\x11", b"\x02\x00", b"\x02\x11\x05\x22", b"\x03\x11\x00"]
)
def test_what_no_encoder_makes_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError):
        cobs.decode(broken)


@given(st.binary(max_size=300))
def test_any_bytes_give_an_answer_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert len(cobs.decode(data)) < len(data)
