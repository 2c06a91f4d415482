"""Bytes of the link on the coprocessor: COBS, CRC, frames of samples. Compiled by viper where bytes are many.

The same bytes as hw.link and hw.cobs make; tests hold them equal. Blocks are put together in memory that was
taken once, so that no block costs a collection of garbage.
"""

import binascii

import micropython

HEAD = 26
"""Bytes of a block's frame before its samples: type, sequence, first index, time, channels, length."""


@micropython.viper
def stuff(data: ptr8, size: int, out: ptr8) -> int:  # noqa: F821
    """COBS of `size` bytes, its delimiter behind; how many are in `out`: up to size + size // 254 + 2."""
    at = 1
    code_at = 0
    code = 1
    k = 0
    while k < size:
        byte = data[k]
        k += 1
        if byte == 0:
            out[code_at] = code
            code_at = at
            at += 1
            code = 1
        else:
            out[at] = byte
            at += 1
            code += 1
            if code == 255 and k < size:
                out[code_at] = 255
                code_at = at
                at += 1
                code = 1
    out[code_at] = code
    out[at] = 0
    return at + 1


@micropython.viper
def gather(rows: ptr8, shape: ptr16, out: ptr8):  # noqa: F821
    """Copy bytes of each row. `shape`: rows, bytes of a row, first, how many, offset in `out`, its stride."""
    n = shape[0]
    step = shape[1]
    take = shape[3]
    stride = shape[5]
    source = shape[2]
    target = shape[4]
    while n > 0:
        k = 0
        while k < take:
            out[target + k] = rows[source + k]
            k += 1
        source += step
        target += stride
        n -= 1


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
    return stuff(body, end, out)
