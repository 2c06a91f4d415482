"""A driver's sample loop at its leanest, compiled: poll, read the edge, one SPI message.

Usage: rig_client.py FRAMES. Prints JSON: frames, seconds, and how many samples and edges were missing.
"""

import json
import struct
import sys
import time

import gpiod
import numpy as np
import spidev
from gpiod.line import Direction, Edge
from numba import njit, types

from firmware.rig.bodies import RAMP_SAMPLES
from firmware.rig.uapi import SPI_IOC_MESSAGE_1

i32, i64, u64, ptr = types.int32, types.int64, types.uint64, types.intp
c_poll = types.ExternalFunction("poll", i32(ptr, u64, i32))
c_read = types.ExternalFunction("read", i64(i32, ptr, u64))
c_ioctl = types.ExternalFunction("ioctl", i32(i32, u64, ptr))
EVENTS = 16


@njit(nogil=True, cache=True)
def acquire(pollfd, events, words, line_fd, spi_fd, message, rx, out):
    """Rows of `out`: the first channel's counts, the edge's line_seqno. The number of rows filled."""
    n = 0
    while n < out.shape[0]:
        if c_poll(pollfd.ctypes.data, 1, 5000) <= 0:
            break
        got = c_read(line_fd, events.ctypes.data, events.nbytes)
        for k in range(got // 48):
            if c_ioctl(spi_fd, SPI_IOC_MESSAGE_1, message.ctypes.data) < 0 or n == out.shape[0]:
                return n
            out[n, 0] = (np.int32(rx[4]) << 24 | np.int32(rx[5]) << 16 | np.int32(rx[6]) << 8) >> 8
            out[n, 1] = words[12 * k + 5]
            n += 1
    return n


def prepare():
    """A chip that converts at 250 SPS, gain 1, read by RDATA."""
    spi = spidev.SpiDev()
    spi.open(0, 0)
    spi.mode, spi.max_speed_hz = 1, 4_000_000
    time.sleep(0.2)
    for command in ((0x06,), (0x11,), (0x43, 0, 0xE0), (0x41, 0, 0x96), (0x45, 7, *[0] * 8), (0x55, 0, 0x20)):
        spi.xfer2(command)
        time.sleep(0.001)
    time.sleep(0.2)
    spi.xfer2((0x08,))
    spi.xfer2((0x0A,))
    setting = gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)
    lines = gpiod.request_lines("/dev/gpiochip0", consumer="bench", config={17: setting})
    spi.xfer2((0x08,))
    return spi, lines


def main():
    """Read, then count what is missing."""
    frames = int(sys.argv[1])
    spi, lines = prepare()
    tx, rx = np.zeros(28, np.uint8), np.zeros(28, np.uint8)
    tx[0] = 0x12
    packed = struct.pack("=QQIIHBBBBBB", tx.ctypes.data, rx.ctypes.data, 28, 0, 0, 8, 0, 0, 0, 0, 0)
    message = np.frombuffer(packed, np.uint8).copy()
    pollfd = np.frombuffer(struct.pack("=ihh", lines.fd, 1, 0), np.uint8).copy()
    events = np.zeros(6 * EVENTS, np.int64)
    out = np.zeros((frames, 2), np.int64)
    args = (pollfd, events, events.view(np.int32), lines.fd, spi.fileno(), message, rx)
    acquire(*args, out[:50])
    start = time.perf_counter()
    n = acquire(*args, out)
    seconds = time.perf_counter() - start
    lsb = 4.5 / (1 << 23)
    sample = np.round((out[:n, 0] * lsb + 4.0) / 100e-6).astype(np.int64)
    steps = np.diff(sample) % RAMP_SAMPLES
    # the converter's filter rounds the ramp's corner
    turning = np.abs(sample - RAMP_SAMPLES // 2) > RAMP_SAMPLES // 2 - 8
    steps[turning[1:] | turning[:-1]] = 1
    lost = int(np.sum(steps[steps < RAMP_SAMPLES // 2] - 1)) + frames - n + int(np.sum(steps != 1))
    lost_edges = int(np.sum(np.diff(out[:n, 1]) - 1))
    print(json.dumps({"frames": n, "seconds": seconds, "lost": lost, "lost_edges": lost_edges}))


if __name__ == "__main__":
    main()
