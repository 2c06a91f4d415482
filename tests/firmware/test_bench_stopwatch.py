"""The compiled loop with a stopwatch over pipes: which edge, when, and when no more."""

import fcntl
import os
import socket
import struct
import time

import numpy as np
import pytest

from firmware.acquisition import acquisition_state
from firmware.bench.item_held import rate_of
from firmware.bench.stopwatch import BEGUN_NS, DONE_NS, EDGE_NS, INDEX, run_timed
from firmware.errors import PortError
from firmware.loop.runner import ChipRead, LinuxLoop
from hw.frames import encode_frame

RATE_HZ, T_NS = 4000.0, 250_000
FIONREAD = 0x541B  # an ioctl that always succeeds on a socket: "the transfer went well"
EVENT = struct.Struct("=QIIII24x")


class Nodes:
    """An edge line that is a pipe, and a transfer that a frame answers."""

    def __init__(self, command: int = FIONREAD) -> None:
        self.edges, self.edge_in = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
        fcntl.fcntl(self.edge_in, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.spi, self.other = socket.socketpair()
        self.state = acquisition_state(RATE_HZ, 0, 27)
        read = ChipRead(self.spi.fileno(), bytes([0x12]) + bytes(27), 1, 27, 8_000_000)
        self.loop = LinuxLoop(self.state, RATE_HZ, self.edges, -1, [read], command, check_length=False)
        self.loop.io.reply[0, 1:] = np.frombuffer(encode_frame(range(8)), np.uint8)

    def edge(self, t_ns: int, seq: int) -> None:
        os.write(self.edge_in, EVENT.pack(t_ns, 2, 17, seq, seq))

    def close(self) -> None:
        for fd in (self.edges, self.edge_in):
            if fd >= 0:
                os.close(fd)
        self.spi.close()
        self.other.close()
        self.loop.close()


@pytest.fixture
def nodes():
    made = []

    def make(**options) -> Nodes:
        made.append(Nodes(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_rows_are_timed_against_their_own_edges(nodes) -> None:
    one = nodes()
    ahead_ns = time.monotonic_ns() + 10**12  # edges of the future wait for nobody
    for k in range(20):
        one.edge(ahead_ns + k * T_NS, k + 1)
    times = run_timed(one.loop, one.state, 20)
    assert times[:, INDEX].tolist() == list(range(20))
    assert times[:, EDGE_NS].tolist() == [ahead_ns + k * T_NS for k in range(20)]
    assert (times[:, DONE_NS] > times[:, BEGUN_NS]).all()
    assert (np.diff(times[:, BEGUN_NS]) > 0).all()


def test_edges_that_waited_too_long_are_lost_rows(nodes) -> None:
    one = nodes()
    past_ns = time.monotonic_ns() - 10**9
    for k in range(6):
        one.edge(past_ns + k * T_NS, k + 1)
    os.close(one.edge_in)
    one.edge_in = -1
    with pytest.raises(PortError, match="data-ready line is gone"):
        run_timed(one.loop, one.state, 20)


def test_it_stops_when_no_edge_comes_any_more(nodes) -> None:
    one = nodes()
    ahead_ns = time.monotonic_ns() + 10**12
    for k in range(5):
        one.edge(ahead_ns + k * T_NS, k + 1)
    times = run_timed(one.loop, one.state, 50)
    assert len(times) == 5
    assert rate_of(times, RATE_HZ).rows == 4


def test_a_transfer_that_fails_is_named(nodes) -> None:
    one = nodes(command=0xDEAD)
    one.edge(time.monotonic_ns() + 10**12, 1)
    with pytest.raises(PortError, match="SPI transfer failed"):
        run_timed(one.loop, one.state, 1)
