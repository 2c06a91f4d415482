"""The sample loop's own cost: compiled and over Python ports, on the same descriptors, without a device.

Edges are events in a pipe (one packet each, as the kernel tells one edge), the transfer is an ioctl that
always succeeds: poll, read and ioctl are real system calls, only the SPI controller's own time is missing.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import threading
import time

import numpy as np

from firmware.acquisition import Acquisition, acquisition_state
from firmware.errors import PortError
from firmware.loop.grid import edge_grid, place
from firmware.loop.runner import ChipRead, LinuxLoop
from firmware.loop.state import EXPECTED, RECORDS_IN, RECORDS_OUT
from firmware.ports import Edge
from hw.frames import encode_frame

RATE_HZ = 16_000.0
T_NS = 62_500
FRAMES, ROUNDS = 250, 60
FIONREAD = 0x541B
EVENT = struct.Struct("=QIIII24x")
MOSI = bytes([0x12]) + bytes(27)


def _edges(base_ns: int) -> int:
    """The read end of a pipe that holds FRAMES edges and then ends."""
    out, into = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 1 << 20)
    for k in range(FRAMES):
        os.write(into, EVENT.pack(base_ns + k * T_NS, 2, 17, k + 1, k + 1))
    os.close(into)
    return out


class _PythonPorts:
    """The same calls from Python: what a driver without a compiled loop does."""

    exhausted = False

    def __init__(self, edges: int, spi: int) -> None:
        self._edges, self._spi = edges, spi
        self._poll = select.poll()
        self._poll.register(edges, select.POLLIN)
        self._grid, self._clock = edge_grid(RATE_HZ)
        self._reply = encode_frame(range(8))
        self._message = bytearray(32)

    def wait(self, timeout_s: float) -> Edge | None:
        self._poll.poll(500)
        event = os.read(self._edges, 48 * 64)
        if not event:
            self.exhausted = True
            return None
        t_ns, _, _, _, number = EVENT.unpack(event)
        return Edge(int(place(self._grid, self._clock, number, t_ns)), t_ns)

    def read_frame(self) -> bytes:
        fcntl.ioctl(self._spi, FIONREAD, self._message)
        return self._reply

    def write(self, bits: int) -> None:
        """Outputs go nowhere."""


def measure() -> dict[str, float]:
    """Microseconds per frame of both loops, interleaved, medians; `ratio` compiled to Python."""
    spi, other = socket.socketpair()
    ahead_ns = time.monotonic_ns() + 10**12
    state = acquisition_state(RATE_HZ, 4, 27)
    state.raw[:], state.records[:] = 0, 0
    compiled, python = [], []
    for _ in range(ROUNDS):
        compiled.append(_compiled(state, spi.fileno(), ahead_ns))
        python.append(_python(spi.fileno(), ahead_ns))
    spi.close()
    other.close()
    us = {"compiled_us": float(np.median(compiled)), "python_us": float(np.median(python))}
    return us | {"ratio": us["compiled_us"] / us["python_us"]}


def _compiled(state, spi: int, base_ns: int) -> float:
    edges = _edges(base_ns)
    state.scalars[EXPECTED] = 0
    state.scalars[RECORDS_OUT] = first = int(state.scalars[RECORDS_IN])
    loop = LinuxLoop(state, RATE_HZ, edges, -1, [ChipRead(spi, MOSI, 1, 27, 8_000_000)], FIONREAD, False)
    loop.io.reply[0, 1:] = np.frombuffer(encode_frame(range(8)), np.uint8)
    start = time.perf_counter()
    with contextlib.suppress(PortError):  # the pipe has ended
        loop.serve()
    spent = time.perf_counter() - start
    if state.scalars[RECORDS_IN] - first != FRAMES:
        raise RuntimeError(f"{state.scalars[RECORDS_IN] - first} of {FRAMES} frames")
    loop.close()
    os.close(edges)
    return spent / FRAMES * 1e6


def _python(spi: int, base_ns: int) -> float:
    edges = _edges(base_ns)
    ports = _PythonPorts(edges, spi)
    loop = Acquisition(ports.read_frame, ports, ports, RATE_HZ, 4, 8)
    start = time.perf_counter()
    loop.run(lambda item: None, threading.Event())
    spent = time.perf_counter() - start
    os.close(edges)
    return spent / FRAMES * 1e6
