"""The compiled loop over pipes in place of device nodes: edges are events in a pipe, one frame answers all.

What a frame holds is proven on the rig; here: what edges, errors and commands do.
"""

import os
import threading
import time

import numpy as np
import pytest

from firmware.errors import PortError
from firmware.loop import nodes as loop_linux
from firmware.loop.nodes import HEADERLESS, SILENT, STOPPED
from firmware.loop.state import BLIND, EXPECTED, OUTPUTS, READ_ERRORS, RECORDS_IN, SPURIOUS
from hw.link import Fault, Reply, StimStop
from hw.samples import Gap
from tests.support.loop_bench import AHEAD_NS, T_NS, benches, feed
from tests.support.looped import armed, plan


@pytest.fixture
def bench():
    with benches() as make:
        yield make


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


@pytest.mark.control("H14.7")
def test_a_frame_without_its_header_is_torn_and_half_a_second_of_them_returns(bench) -> None:
    box = bench(frame=bytes(27))
    done = threading.Thread(target=feed, args=(box, 2100))
    done.start()
    assert box.serve() == HEADERLESS
    done.join()
    assert [f.code for f in box.said(Fault)] == ["torn_frames"]
    assert box.blocks() == []
    assert box.state.scalars[BLIND] == 1


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
    for command in armed(plan(period=400, phase=5, hold=4)):
        box.loop.command(command)
    box.loop.command(plan(2, period=20))  # beyond the limits of one plan
    box.loop.command(StimStop(7, 2))
    for k in range(7):
        box.edge(k)
    box.end()
    with pytest.raises(PortError):
        box.serve()
    replies = {reply.command: reply.refusal for reply in box.said(Reply)}
    assert replies[201] == replies[101] == replies[7] == ""
    assert "rate limit of 100 Hz" in replies[102]
    assert box.state.scalars[OUTPUTS] == 1  # the pulse of sample 5 is out


def test_more_commands_than_the_mailbox_holds_are_refused_and_none_is_lost(bench) -> None:
    box = bench()
    for number in range(100):
        box.loop.command(StimStop(number, 5))
    box.edge(0)
    box.end()
    with pytest.raises(PortError):
        box.serve()
    replies = {reply.command: reply.refusal for reply in box.said(Reply)}
    assert len(replies) == 100
    assert [n for n, refusal in replies.items() if refusal] == list(range(64, 100))


@pytest.mark.control("H1.8")
def test_a_half_written_command_is_not_believed(bench) -> None:
    box = bench()
    for command in armed(plan(period=400, phase=5, hold=4)):
        box.loop.command(command)
    box.loop.io.mail[1, 4] += 1  # as if the checksum had arrived before the row
    for k in range(7):
        box.edge(k)
    box.end()
    with pytest.raises(PortError):
        box.serve()
    assert box.said(Reply) == [Reply(201, "")]
    assert box.state.scalars[OUTPUTS] == 0


@pytest.mark.control("H2.6")
def test_a_pulse_does_not_outlast_the_edges(bench) -> None:
    box = bench()
    for command in armed(plan(period=400, phase=5, hold=4)):
        box.loop.command(command)
    for k in range(7):
        box.edge(k)
    assert box.serve() == SILENT  # a few milliseconds after the last edge the line is low already
    assert box.state.scalars[OUTPUTS] == 0


def test_the_drain_delivers_while_the_loop_runs_and_ends_it(bench) -> None:
    box = bench()
    stopped, over = threading.Event(), threading.Event()
    drain = threading.Thread(target=box.loop.drain, args=(box.assembler, box.items.append, stopped, over, 80))
    drain.start()
    feeding = threading.Thread(target=feed, args=(box, 120))
    feeding.start()
    assert box.loop.serve() == STOPPED  # after the 80 samples that it was asked for
    feeding.join()
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
