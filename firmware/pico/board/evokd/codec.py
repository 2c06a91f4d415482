"""Bytes of the link on the coprocessor: COBS, CRC, frames of samples. Compiled by viper where bytes are many.

The same bytes as hw.link and hw.cobs make; tests hold them equal. A frame can be stuffed piece by piece, so
that samples go from the ring to the port without being copied on the way.
"""

import binascii
from array import array

import micropython

AT, CODE_AT = 0, 1
"""Where a frame stands: the next byte of `out`, and the place of the code of the run under way."""
LONGEST = 255


@micropython.viper
def stuff(k: int, at: int, data: ptr8, end: int, out: ptr8, state: ptr32):  # noqa: F821
    """COBS of data[k:end] into `out` from `at` on; `state` is [at, where the run's code will stand].

    The two that change with every byte are its first arguments: those have registers of their own. A run of
    254 bytes gets its code at once, and begins the next only when there is more.
    """
    code_at = state[1]
    longest = code_at + 255
    while k < end:
        byte = data[k]
        if byte:
            if at == longest:
                out[code_at] = 255
                code_at = at
                longest = at + 255
                at += 1
            out[at] = byte
            at += 1
            k += 1
        else:
            if at == longest:
                out[code_at] = 255
                code_at = at
                at += 1
            out[code_at] = at - code_at
            code_at = at
            longest = at + 255
            at += 1
            k += 1
    state[0] = at
    state[1] = code_at


def begin(state):
    """A frame begins."""
    state[0], state[1] = 1, 0


def finish(state, out):
    """A frame ends: its last code and the delimiter; how many bytes there are in `out`."""
    at, code_at = state[0], state[1]
    out[code_at] = at - code_at
    out[at] = 0
    return at + 1


@micropython.viper
def levels(rows: ptr8, first: int, end: int, step: int, out: ptr8) -> int:  # noqa: F821
    """The GPIO nibble of rows[first:end] into `out`; the first of them whose header is not 1100, or `end`."""
    k = first
    at = first * step
    while k < end:
        if rows[at] >> 4 != 12:
            return k
        out[k] = rows[at + 2] & 15
        at += step
        k += 1
    return end


@micropython.viper
def add_levels(rows: ptr8, first: int, end: int, step: int, out: ptr8) -> int:  # noqa: F821
    """The second converter's nibble into bits 5 to 8 of `out`; as `levels`."""
    k = first
    at = first * step
    while k < end:
        if rows[at] >> 4 != 12:
            return k
        out[k] |= (rows[at + 2] & 15) << 4
        at += step
        k += 1
    return end


@micropython.viper
def broken(rows: ptr8, first: int, end: int, step: int) -> int:  # noqa: F821
    """The first of rows[first:end] whose header is not 1100, or `end`."""
    k = first
    while k < end:
        if rows[k * step] >> 4 != 12:
            return k
        k += 1
    return end


@micropython.viper
def changed(bits: ptr8, first: int, end: int, before: int) -> int:  # noqa: F821
    """The first of bits[first:end] that is not `before`, or `end`."""
    k = first
    while k < end:
        if bits[k] != before:
            return k
        k += 1
    return end


def unstuff(frame):
    """The bytes that an encoder was given; None for what is no frame."""
    out = bytearray()
    at, size = 0, len(frame)
    while at < size:
        code = frame[at]
        if code == 0 or at + code > size:
            return None
        out += frame[at + 1 : at + code]
        at += code
        if code != 255 and at < size:
            out.append(0)
    return out


def put(out, at, value, size):
    """`value`, an integer of either sign, little-endian; the offset behind it."""
    for k in range(at, at + size):
        out[k] = value & 255
        value >>= 8
    return at + size


def sealed(body, size, out):
    """The frame of body[:size] behind its CRC; the number of bytes in `out`. `body` has room for the CRC."""
    end = put(body, size, binascii.crc32(memoryview(body)[:size]), 4)
    state = array("I", [1, 0])
    stuff(0, 1, body, end, out, state)
    return finish(state, out)
