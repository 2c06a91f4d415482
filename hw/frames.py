"""The one decoder of frame bytes: what an ADS1299 shifts out, as counts and status bits, and back.

A frame is `1100 | LOFF_STATP | LOFF_STATN | GPIOD` and 24 bits per channel, MSB first [DS-A p27].
Refuses to judge: a frame without its header is decoded all the same and marked by `header_ok`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from hw.chips import COUNTS_MAX, COUNTS_MIN, FULL_SCALE_COUNTS, VREF_V

STATUS_BYTES = 3
HEADER = 0xC
_NIBBLE = np.uint8(4)


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """n frames: `counts` (n, channel) int32; the rest (n,): GPIO bits (bit 0 = line 1), lead-off flags
    (bit 0 = channel 1) uint8, and `header_ok` bool, False for a torn or stale frame.
    """

    counts: NDArray[np.int32]
    trigger_bits: NDArray[np.uint8]
    lead_off_p: NDArray[np.uint8]
    lead_off_n: NDArray[np.uint8]
    header_ok: NDArray[np.bool_]


def lsb_uv(gain: float, vref_v: float = VREF_V) -> float:
    """Microvolts per count, VREF / (gain x 2^23); ValueError unless both are positive (facts 1.1)."""
    if not (gain > 0 and vref_v > 0):
        raise ValueError(f"gain and reference must be positive, got {gain} and {vref_v} V")
    return vref_v * 1e6 / (gain * FULL_SCALE_COUNTS)


def _counts(
    buffer: NDArray[np.uint8], offset: int, shape: tuple[int, int], row_bytes: int
) -> NDArray[np.int32]:
    """Counts of `shape` from 32-bit words that overlap: each starts one byte before its 24-bit sample.

    The shift to the left drops that foreign byte, the shift to the right brings the sign (facts/dsp.md 2.5).
    """
    if 0 in shape:
        return np.zeros(shape, np.int32)
    words: NDArray[np.int32] = np.ndarray(shape, ">i4", buffer, offset, (row_bytes, 3)).astype(np.int32)
    np.left_shift(words, 8, out=words)
    return np.right_shift(words, 8, out=words)


def _rows(raw: NDArray[np.uint8], what: str) -> NDArray[np.uint8]:
    """`raw` checked to be rows of whole 24-bit words and made contiguous."""
    if raw.dtype != np.uint8 or raw.ndim != 2 or raw.shape[1] % 3:
        raise ValueError(f"{what}: rows of 3 x k uint8 are expected, got {raw.shape} {raw.dtype}")
    return np.ascontiguousarray(raw)


def unpack24(raw: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(n, 3 x channels) uint8, 24-bit two's complement, MSB first -> (n, channels) int32.

    Raises ValueError for another type or shape.
    """
    rows = _rows(raw, "unpack24")
    n, row_bytes = rows.shape
    padded = np.zeros(rows.size + 1, np.uint8)
    padded[1:] = rows.reshape(-1)
    return _counts(padded, 0, (n, row_bytes // 3), row_bytes)


def pack24(counts: NDArray[np.integer]) -> NDArray[np.uint8]:
    """(n, channels) integers -> (n, 3 x channels) uint8, the inverse of `unpack24`.

    Clips nothing: ValueError names the first count that 24 bits cannot hold.
    """
    if counts.ndim != 2 or not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"pack24: (n, channels) integers are expected, got {counts.shape} {counts.dtype}")
    outside = (counts < COUNTS_MIN) | (counts > COUNTS_MAX)
    if outside.any():
        row, channel = (int(i) for i in np.argwhere(outside)[0])
        value = int(counts[row, channel])
        raise ValueError(
            f"pack24: {value} in row {row}, channel {channel} needs more than 24 bits: clip it first"
        )
    words = counts.astype(">i4").view(np.uint8).reshape(*counts.shape, 4)
    return words[:, :, 1:].reshape(len(counts), 3 * counts.shape[1])


def decode_frames(raw: NDArray[np.uint8]) -> DecodedFrames:
    """(n, 3 + 3 x channels) uint8, 27 bytes a row for eight channels -> counts and status bits.

    Raises ValueError for another type or a width that is no frame's; never for what the bytes say.
    """
    rows = _rows(raw, "decode_frames")
    n, row_bytes = rows.shape
    if row_bytes <= STATUS_BYTES:
        raise ValueError(f"decode_frames: a frame has a status word and channels, got {row_bytes} bytes")
    head, middle, tail = rows[:, 0], rows[:, 1], rows[:, 2]
    return DecodedFrames(
        counts=_counts(rows, STATUS_BYTES - 1, (n, row_bytes // 3 - 1), row_bytes),
        trigger_bits=tail & np.uint8(0x0F),
        lead_off_p=(head << _NIBBLE) | (middle >> _NIBBLE),
        lead_off_n=(middle << _NIBBLE) | (tail >> _NIBBLE),
        header_ok=(head >> _NIBBLE) == HEADER,
    )


@cache
def _words(channels: int) -> Struct:
    return Struct(f">I{channels}i")


def encode_frame(counts: Sequence[int], gpio: int = 0, lead_off_p: int = 0, lead_off_n: int = 0) -> bytes:
    """One frame of `counts` (one per channel) under a status word; plain Python, a few microseconds.

    Raises ValueError for a count beyond 24 bits or a status field beyond its bits.
    """
    if max(counts) > COUNTS_MAX or min(counts) < COUNTS_MIN:
        raise ValueError(f"encode_frame: a count of {list(counts)} needs more than 24 bits: clip it first")
    if not (0 <= gpio <= 0xF and 0 <= lead_off_p <= 0xFF and 0 <= lead_off_n <= 0xFF):
        raise ValueError(f"encode_frame: status fields out of range: {gpio}, {lead_off_p}, {lead_off_n}")
    status = HEADER << 20 | lead_off_p << 12 | lead_off_n << 4 | gpio
    frame = bytearray(_words(len(counts)).pack(status, *counts))
    del frame[::4]  # the top byte of every 32-bit word only repeats the sign
    return bytes(frame)
