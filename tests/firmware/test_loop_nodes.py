"""The compiled loop over pipes in place of device nodes: edges are events in a pipe, one frame answers all.

What a frame holds is proven on the rig; here: what edges, errors and commands do.
"""

import fcntl
import os
import socket
import struct
import threading
import time

import numpy as np
import pytest

from firmware.acquisition import acquisition_state
from firmware.blocks import Assembler
from firmware.errors import PortError
from firmware.loop import nodes as loop_linux
from firmware.loop.nodes import HEADERLESS, SILENT, STOPPED
from firmware.loop.runner import ChipRead, LinuxLoop
from firmware.loop.state import BLIND, EXPECTED, OUTPUTS, READ_ERRORS, RECORDS_IN, SPURIOUS
from hw.frames import decode_frames, encode_frame
from hw.link import ALL_PLANS, Fault, Message, Reply, StimStop
from hw.samples import Gap, SampleBlock
from tests.support.looped import plan

RATE_HZ = 4000.0
T_NS = 250_000
FIONREAD = 0x541B  # an ioctl that always succeeds on a socket: "the transfer went well"
EVENT = struct.Struct("=QIIII24x")
AHEAD_NS = time.monotonic_ns() + 10**12
"""Edges of the future are never late."""


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


@pytest.fixture
def bench():
    made: list[Bench] = []

    def make(**options) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_every_edge_is_a_sample_and_a_line_that_vanishes_is_named(bench) -> None:
    box = bench()
    for k in range(100):
        box.edge(k)
    box.end()
    with pytest.raises(PortError, match="data-ready line is gone"):
        box.serve()
    assert [(b.first_index, len(b.counts)) for b in box.blocks()] == [(0, 40), (40, 40), (80, 20)]
    assert all((b.counts == np.arange(8)).all() for b in box.blocks())
    assert box.blocks()[0].t_ns == AHEAD_NS + 39 * T_NS


def test_dropped_events_and_unseen_interrupts_are_gaps_and_a_bounce_is_nothing(bench) -> None:
    box = bench()
    for k in range(10):
        box.edge(k)
    box.edge(15, seq=16)  # five events were dropped
    box.edge(16)
    box.edge(20)  # three interrupts were never seen
    box.edge(20.1)
    box.edge(21)
    box.end()
    with pytest.raises(PortError):
        box.serve()
    assert [(b.first_index, len(b.counts), b.gaps) for b in box.blocks()] == [
        (0, 10, ()),
        (15, 2, (Gap(10, 5, "missed"),)),
        (20, 2, (Gap(17, 3, "missed"),)),
    ]
    assert box.state.scalars[SPURIOUS] == 1


def test_edges_that_waited_too_long_are_missed_and_the_frame_is_the_newest_ones(bench) -> None:
    box = bench()
    past_ns = time.monotonic_ns() - 10**9
    for k in range(6):
        box.edge(k, base_ns=past_ns)
    box.end()
    with pytest.raises(PortError):
        box.serve()
    (block,) = box.blocks()
    assert (block.first_index, len(block.counts), block.gaps) == (5, 1, (Gap(0, 5, "missed"),))


def test_a_frame_without_its_header_is_torn_and_half_a_second_of_them_returns(bench) -> None:
    box = bench(frame=bytes(27))
    done = threading.Thread(target=_feed, args=(box, 2100))
    done.start()
    assert box.serve() == HEADERLESS
    done.join()
    assert [f.code for f in box.said(Fault)] == ["torn_frames"]
    assert box.blocks() == []
    assert box.state.scalars[BLIND] == 1


def _feed(box: Bench, n: int) -> None:
    for k in range(n):
        while True:
            try:
                box.edge(k, seq=k + 1)
                break
            except BlockingIOError:
                os.sched_yield()


def test_a_transfer_that_fails_is_a_gap_and_its_fault_is_told_once(bench) -> None:
    box = bench()
    pipe_in, pipe_out = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    box.loop.io.wiring[loop_linux.N_WIRING] = null  # no ioctl there: ENOTTY
    for k in range(5):
        box.edge(k)
    box.end()
    with pytest.raises(PortError):
        box.serve()
    (fault,) = box.said(Fault)
    assert (fault.code, fault.fatal) == ("spi_error", 0)
    assert "sample 0 failed with errno 25" in fault.text
    assert box.state.scalars[READ_ERRORS] == 5
    assert box.state.scalars[EXPECTED] == 5
    for fd in (pipe_in, pipe_out, null):
        os.close(fd)


def test_a_device_that_is_gone_ends_the_loop_with_its_name(bench) -> None:
    box = bench()
    box.loop.io.wiring[loop_linux.N_WIRING] = 999_999  # EBADF
    box.edge(0)
    with pytest.raises(PortError, match="SPI device is gone"):
        box.serve()
    assert box.state.scalars[EXPECTED] == 1  # the sample that was lost is counted


def test_silence_returns_and_is_told(bench) -> None:
    box = bench()
    box.edge(0)
    assert box.serve() == SILENT
    assert [f.code for f in box.said(Fault)] == ["no_data_ready"]
    assert [len(b.counts) for b in box.blocks()] == [1]


def test_stop_returns_at_once_and_nothing_is_lost(bench) -> None:
    box = bench()
    for k in range(3):
        box.edge(k)
    box.loop.stop()
    assert box.serve() == STOPPED
    assert box.state.scalars[RECORDS_IN] == 0  # stopped before the first sample was taken


def test_commands_are_taken_between_samples_and_answered_in_order(bench) -> None:
    box = bench()
    box.loop.command(plan(period=400, phase=5, hold=4))
    box.loop.command(plan(2, period=20))  # beyond the limits of one plan
    box.loop.command(StimStop(7, 2))
    for k in range(7):
        box.edge(k)
    box.end()
    with pytest.raises(PortError):
        box.serve()
    replies = {reply.command: reply.refusal for reply in box.said(Reply)}
    assert replies[101] == replies[7] == ""
    assert "rate limit of 100 Hz" in replies[102]
    assert box.state.scalars[OUTPUTS] == 1  # the pulse of sample 5 is out


def test_more_commands_than_the_mailbox_holds_are_refused_and_none_is_lost(bench) -> None:
    box = bench()
    for number in range(100):
        box.loop.command(StimStop(number, ALL_PLANS))
    box.edge(0)
    box.end()
    with pytest.raises(PortError):
        box.serve()
    replies = {reply.command: reply.refusal for reply in box.said(Reply)}
    assert len(replies) == 100
    assert [n for n, refusal in replies.items() if refusal] == list(range(64, 100))


def test_a_half_written_command_is_not_believed(bench) -> None:
    box = bench()
    box.loop.command(plan(period=400, phase=5, hold=4))
    box.loop.io.mail[0, 4] += 1  # as if the checksum had arrived before the row
    for k in range(7):
        box.edge(k)
    box.end()
    with pytest.raises(PortError):
        box.serve()
    assert box.said(Reply) == []
    assert box.state.scalars[OUTPUTS] == 0


def test_a_pulse_does_not_outlast_the_edges(bench) -> None:
    box = bench()
    box.loop.command(plan(period=400, phase=5, hold=4))
    for k in range(7):
        box.edge(k)
    assert box.serve() == SILENT  # a few milliseconds after the last edge the line is low already
    assert box.state.scalars[OUTPUTS] == 0


def test_the_drain_delivers_while_the_loop_runs_and_ends_it(bench) -> None:
    box = bench()
    stopped, over = threading.Event(), threading.Event()
    drain = threading.Thread(target=box.loop.drain, args=(box.assembler, box.items.append, stopped, over, 80))
    drain.start()
    feed = threading.Thread(target=_feed, args=(box, 120))
    feed.start()
    assert box.loop.serve() == STOPPED  # after the 80 samples that it was asked for
    feed.join()
    over.set()
    drain.join()
    box.loop.finish(box.assembler, box.items.append)
    assert [b.first_index for b in box.blocks()][:2] == [0, 40]


def test_a_consumer_that_fails_stops_the_loop_and_is_raised(bench) -> None:
    box = bench()
    stopped, over = threading.Event(), threading.Event()

    def put(item: object) -> None:
        raise RuntimeError("ring")

    drain = threading.Thread(target=box.loop.drain, args=(box.assembler, put, stopped, over))
    drain.start()
    for k in range(60):
        box.edge(k)
    assert box.loop.serve() == STOPPED
    over.set()
    drain.join()
    with pytest.raises(RuntimeError, match="ring"):
        box.loop.finish(box.assembler, put)
