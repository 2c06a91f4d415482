"""Converters' frames, as an edge that does not decode passes them on, into the block that they are."""

import numpy as np

from hw.board import LINES_PER_CHIP
from hw.frames import STATUS_BYTES
from hw.link_messages import Block, Rows

LINE_CHIPS = 2
"""Lines return through the first two converters."""


def block_of(message: Rows) -> Block:
    """The same samples as a Block: channels side by side, trigger bits out of the status words.

    Frames that do not come out even give a Block without samples, which no receiver takes.
    """
    chips, size = message.chips, message.frame_bytes
    row_bytes = chips * size
    n, left = divmod(len(message.rows), row_bytes) if row_bytes else (0, 1)
    if left or size <= STATUS_BYTES or 3 * message.channels > chips * (size - STATUS_BYTES):
        return Block(message.first_index, message.t_ns, message.channels, b"", b"", message.gaps)
    frames = np.frombuffer(message.rows, np.uint8).reshape(chips, n, size)
    samples = frames[:, :, STATUS_BYTES:].transpose(1, 0, 2).reshape(n, -1)[:, : 3 * message.channels]
    levels = frames[:LINE_CHIPS, :, STATUS_BYTES - 1] & 0x0F
    shifts = np.arange(len(levels), dtype=np.uint8)[:, None] * LINES_PER_CHIP
    bits = np.bitwise_or.reduce(levels << shifts, axis=0).astype(np.uint8)
    gaps = message.gaps
    return Block(message.first_index, message.t_ns, message.channels, samples.tobytes(), bits.tobytes(), gaps)
