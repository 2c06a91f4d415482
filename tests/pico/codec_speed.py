"""Run by MicroPython: how many samples a second the board's code turns into frames of the link, here.

codec_speed.py SHIM BOARD SECONDS. Eight channels at 16 kSPS from rings as the DMA leaves them: trigger bits
looked at, CRC, COBS, gaps; what waits for the port is left out. Prints samples a second of the whole, and of
its parts alone.
"""

import sys

_, shim, board, seconds = sys.argv
sys.path[:] = [shim + "/speed", board]

import binascii  # noqa: E402
import time  # noqa: E402
from array import array  # noqa: E402

from evokd import codec  # noqa: E402
from evokd.acquisition import Acquisition  # noqa: E402
from evokd.pulses import Pulses  # noqa: E402
from evokd.reader import SLOTS  # noqa: E402

RATE_HZ, ROWS, FRAME = 16000, 286, 27


class Stimulator:
    def feed(self, earliest):
        return None

    def late(self):
        return False


class Reader:
    """Rings that are always full of noise about zero, whose edges go on a buffer at a time."""

    chips, frame_bytes, rows, clock_hz, missed = 1, FRAME, ROWS, 125000000, 0

    def __init__(self):
        self.count = 0
        seed = 12345
        ring = []
        for _ in range(SLOTS):
            buffer = bytearray(ROWS * FRAME)
            for row in range(ROWS):
                buffer[row * FRAME] = 0xC0
                for channel in range(8):
                    seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
                    count = (seed >> 12 & 0xFFF) - 2048
                    codec.put(buffer, row * FRAME + 3 + 3 * channel, 0, 3)
                    at = row * FRAME + 3 + 3 * channel
                    buffer[at], buffer[at + 1], buffer[at + 2] = (
                        count >> 16 & 255,
                        count >> 8 & 255,
                        count & 255,
                    )
            ring.append(buffer)
        self.buffers = [ring]

    def edges(self):
        return self.count

    def stamp(self, index):
        return -index * 3906 & 0xFFFFFFFF


def whole(us):
    """Samples a second through everything."""
    reader = Reader()
    pulses = Pulses(4, RATE_HZ, Stimulator(), 320, 72)
    acquisition = Acquisition(reader, pulses, RATE_HZ, 8)
    reader.count = 2
    begun = time.ticks_us()
    sent = n = 0
    while time.ticks_diff(time.ticks_us(), begun) < us:
        reader.count += ROWS
        acquisition.watch()
        if acquisition.waiting() and acquisition.look():
            sent += len(acquisition.frame(n))
            n += 1
    took = time.ticks_diff(time.ticks_us(), begun)
    return n * ROWS * 1000000 // took, sent // (n * ROWS)


def part(us, once):
    """Samples a second of one step over a buffer."""
    begun, n = time.ticks_us(), 0
    while time.ticks_diff(time.ticks_us(), begun) < us:
        once()
        n += ROWS
    return n * 1000000 // time.ticks_diff(time.ticks_us(), begun)


def main():
    us = int(float(seconds) * 1000000)
    buffer = Reader().buffers[0][0]
    out, state = bytearray(8192), array("I", [1, 0])
    levels = bytearray(ROWS)

    def stuff():
        codec.begin(state)
        codec.stuff(0, 1, buffer, len(buffer), out, state)

    every, size = whole(us)
    figures = {
        "samples_a_second": every,
        "bytes_a_sample": size,
        "crc": part(us // 4, lambda: binascii.crc32(buffer)),
        "cobs": part(us // 4, stuff),
        "levels": part(us // 4, lambda: codec.levels(buffer, 0, ROWS, FRAME, levels)),
    }
    print(figures)


main()
