"""The compiled loop on a bench: pipes for device nodes, edges are events in a pipe, one frame answers all."""

import contextlib
import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from firmware.acquisition import acquisition_state
from firmware.blocks import Assembler
from firmware.loop.runner import ChipRead, LinuxLoop
from hw.frames import decode_frames, encode_frame
from hw.link import Message
from hw.samples import SampleBlock

RATE_HZ = 4000.0
T_NS = 250_000
FIONREAD = 0x541B  # an ioctl that always succeeds on a socket: "the transfer went well"
EVENT = struct.Struct("=QIIII24x")
AHEAD_NS = time.monotonic_ns() + 10**16
"""Edges of the future are never late, however long the tests before these take."""


class Bench:
    """A loop whose edges are written by the test; `rows` answers every transfer."""

    def __init__(self, frame: bytes | None = None, lines: int = 4) -> None:
        self.edges, self._edge_in = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
        fcntl.fcntl(self._edge_in, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.spi, self._other = socket.socketpair()
        self.state = acquisition_state(RATE_HZ, lines, 27)
        read = ChipRead(self.spi.fileno(), bytes([0x12]) + bytes(27), 1, 27, 8_000_000)
        self.loop = LinuxLoop(self.state, RATE_HZ, self.edges, -1, [read], FIONREAD, check_length=False)
        frame = encode_frame(range(8)) if frame is None else frame
        self.loop.io.reply[0, 1:] = np.frombuffer(frame, np.uint8)
        self.assembler = Assembler(self.state, RATE_HZ, 8, decode_frames)
        self.items: list[SampleBlock | Message] = []
        self._seq = 0

    def edge(self, index: float, seq: int | None = None, base_ns: int = AHEAD_NS) -> None:
        """The kernel saw an edge at `index` periods."""
        self._seq = self._seq + 1 if seq is None else seq
        os.write(self._edge_in, EVENT.pack(base_ns + round(index * T_NS), 2, 17, self._seq, self._seq))

    def end(self) -> None:
        """The edge line vanishes once its events are read."""
        os.close(self._edge_in)
        self._edge_in = -1

    def serve(self) -> int:
        """Run the loop to its return, then deliver."""
        try:
            return self.loop.serve()
        finally:
            self.loop.finish(self.assembler, self.items.append)

    def blocks(self) -> list[SampleBlock]:
        return [item for item in self.items if isinstance(item, SampleBlock)]

    def said(self, kind: type) -> list:
        return [item for item in self.items if isinstance(item, kind)]

    def close(self) -> None:
        for fd in (self.edges, self._edge_in):
            if fd >= 0:
                os.close(fd)
        self.spi.close()
        self._other.close()
        self.loop.close()


def feed(box: Bench, n: int) -> None:
    """Write `n` edges, as fast as they are read."""
    for k in range(n):
        while True:
            try:
                box.edge(k, seq=k + 1)
                break
            except BlockingIOError:
                os.sched_yield()


@contextlib.contextmanager
def benches() -> Iterator[Callable[..., Bench]]:
    """Makes benches, which are closed when the block is left."""
    with contextlib.ExitStack() as made:

        def make(**options: Any) -> Bench:
            box = Bench(**options)
            made.callback(box.close)
            return box

        yield make
