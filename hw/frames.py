"""The one decoder of frame bytes: what the converters shift out, as counts and status bits, and back.

A frame is `1100 | LOFF_STATP | LOFF_STATN | GPIOD` and 24 bits per channel, MSB first [DS-A p27]. A row is
what the edge reads per sample: the frames of a board's chips one after the other, each from its own chip
select (star), or all in one transfer through a daisy chain, where some say that one dummy bit lies between
two chips and others none (facts 1.7). Refuses to judge: what lacks a header is decoded and marked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from hw.board import LINES_PER_CHIP
from hw.chips import COUNTS_MAX, COUNTS_MIN, FULL_SCALE_COUNTS, VREF_V

STATUS_BYTES = 3
HEADER = 0xC
_NIBBLE = np.uint8(4)
MOST_CHIPS = 4
GAP_CHOICES = (0, 1)
ROWS_TO_DECIDE = 4
_CHANNEL_CHOICES = (4, 6, 8)


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """n frames: `counts` (n, channel) int32; the rest (n,): GPIO bits (bit 0 = line 1), lead-off flags
    (bit 0 = channel 1) uint8, and `header_ok` bool, False for a torn or stale frame.
    """

    counts: NDArray[np.int32]
    trigger_bits: NDArray[np.uint8]
    lead_off_p: NDArray[np.unsignedinteger]
    lead_off_n: NDArray[np.unsignedinteger]
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


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """`channels` of each chip in the order of its bits; `gap_bits` between two chips of a daisy chain.

    Raises ValueError for no chip, more than four, a number of channels that no part has, or a gap without a
    daisy chain.
    """

    channels: tuple[int, ...]
    daisy: bool = False
    gap_bits: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.channels) <= MOST_CHIPS:
            raise ValueError(f"a board has 1 to {MOST_CHIPS} chips, got {len(self.channels)}")
        if any(count not in _CHANNEL_CHOICES for count in self.channels):
            raise ValueError(f"chips have 4, 6 or 8 channels, got {self.channels}")
        if self.gap_bits not in (GAP_CHOICES if self.daisy else (0,)):
            raise ValueError(f"{self.gap_bits} gap bits: a daisy chain has 0 or 1, other boards none")

    @property
    def chips(self) -> int:
        """Number of chips."""
        return len(self.channels)

    @property
    def total_channels(self) -> int:
        """Channels of all chips."""
        return sum(self.channels)

    @property
    def frame_bytes(self) -> tuple[int, ...]:
        """Bytes of each chip's frame."""
        return tuple(STATUS_BYTES + 3 * count for count in self.channels)

    @property
    def first_bits(self) -> tuple[int, ...]:
        """The bit of the row at which each chip's header begins, 0 = MSB of byte 0."""
        steps = (8 * size + self.gap_bits for size in self.frame_bytes[:-1])
        return tuple(accumulate(steps, initial=0))

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, the last one filled up."""
        return (self.first_bits[-1] + 7) // 8 + self.frame_bytes[-1]


@dataclass(frozen=True, slots=True)
class BoardFrames(DecodedFrames):
    """n rows of a board: `counts` (n, channels of all chips) int32, in the order of the chips.

    `trigger_bits`: bit 0 is line 1, lines 5 to 8 return to the second chip; `lead_off_p` and `lead_off_n`
    (n,) uint32 have one bit per channel of the board, bit 0 = the first; `header_ok` (n,) is True when every
    chip's header is there. Each chip's own: `chip_gpio` (n, chips) uint8, `chip_header_ok` (n, chips) bool.
    """

    chip_gpio: NDArray[np.uint8]
    chip_header_ok: NDArray[np.bool_]


def decode_board(rows: NDArray[np.uint8], layout: FrameLayout, lines: int = LINES_PER_CHIP) -> BoardFrames:
    """(n, at least layout.row_bytes) uint8 -> counts and status bits of all chips.

    Bytes beyond the layout's are ignored; so are the second chip's GPIO unless more than four `lines` use
    them. Raises ValueError for another type or shorter rows; never for what
    the bytes say.
    """
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] < layout.row_bytes:
        raise ValueError(
            f"decode_board: rows of {layout.row_bytes} uint8 are expected, got {rows.shape} {rows.dtype}"
        )
    n = len(rows)
    counts = np.empty((n, layout.total_channels), np.int32)
    lead_off = np.zeros((2, n), np.uint32)
    gpio = np.empty((n, layout.chips), np.uint8)
    header_ok = np.empty((n, layout.chips), np.bool_)
    channel = 0
    for chip, first_bit in enumerate(layout.first_bits):
        own = decode_frames(_aligned(rows, first_bit, layout.frame_bytes[chip]))
        count = layout.channels[chip]
        counts[:, channel : channel + count] = own.counts
        lead_off[0] |= _widened(own.lead_off_p, count, channel)
        lead_off[1] |= _widened(own.lead_off_n, count, channel)
        gpio[:, chip], header_ok[:, chip] = own.trigger_bits, own.header_ok
        channel += count
    whole: NDArray[np.bool_] = np.logical_and.reduce(header_ok, axis=1)
    return BoardFrames(
        counts=counts,
        trigger_bits=_bits(gpio, lines),
        lead_off_p=lead_off[0],
        lead_off_n=lead_off[1],
        header_ok=whole,
        chip_gpio=gpio,
        chip_header_ok=header_ok,
    )


def _bits(gpio: NDArray[np.uint8], lines: int) -> NDArray[np.uint8]:
    """Levels of the lines from the GPIO of every chip (n, chips)."""
    bits: NDArray[np.uint8] = np.ascontiguousarray(gpio[:, 0])
    if lines > LINES_PER_CHIP and gpio.shape[1] > 1:
        bits = bits | gpio[:, 1] << np.uint8(LINES_PER_CHIP)
    return bits


def find_gap_bits(rows: NDArray[np.uint8], channels: Sequence[int]) -> int:
    """How many dummy bits lie between two chips of a daisy chain: 0 or 1, by the headers of all next chips.

    `rows` (n, bytes) uint8 as read from the chain, one byte longer than the frames; `channels` of each chip.
    Rows whose first header is missing are torn and have no vote. No row can speak for both. Raises
    ValueError unless at least four rows vote and agree.
    """
    layouts = [FrameLayout(tuple(channels), daisy=True, gap_bits=gap) for gap in GAP_CHOICES]
    if layouts[0].chips == 1:
        return 0
    votes = [decode_board(rows, layout).chip_header_ok for layout in layouts]
    whole = votes[0][:, 0]
    agreeing = [int((vote[whole].all(axis=1)).sum()) for vote in votes]
    voters = int(whole.sum())
    for gap in GAP_CHOICES:
        if voters >= ROWS_TO_DECIDE and agreeing[gap] == voters:
            return gap
    heard = (votes[0] | votes[1])[whole, 1:].sum(axis=0)
    chip = 1 + int(np.argmin(heard))
    raise ValueError(
        f"daisy chain: of {len(rows)} rows {voters} begin with a header, {agreeing[0]} fit 0 gap bits and "
        f"{agreeing[1]} fit 1: check the wire from DOUT of chip {chip + 1} to DAISY_IN of chip {chip}"
    )


def _aligned(rows: NDArray[np.uint8], first_bit: int, size: int) -> NDArray[np.uint8]:
    """`size` bytes of every row from bit `first_bit` on, moved to whole bytes."""
    start, shift = divmod(first_bit, 8)
    if shift == 0:
        return rows[:, start : start + size]
    bits = np.uint8(shift)
    moved = np.left_shift(rows[:, start : start + size], bits)
    moved |= np.right_shift(rows[:, start + 1 : start + size + 1], np.uint8(8 - shift))
    return moved


def _widened(flags: NDArray[np.unsignedinteger], count: int, channel: int) -> NDArray[np.uint32]:
    """Flags of a chip of `count` channels as bits of the board, whose first channel here is `channel`."""
    own = flags.astype(np.uint32) & np.uint32((1 << count) - 1)
    widened: NDArray[np.uint32] = np.left_shift(own, np.uint32(channel))
    return widened
