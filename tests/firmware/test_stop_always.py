"""Stopping everything has room in a full mailbox, stops what was posted before it, and is answered."""

import time

import pytest

from firmware.errors import PortError
from firmware.loop import nodes
from firmware.loop.runner import KEPT_SLOTS
from firmware.loop.state import ARMED_PLAN, LOCKS, OUTPUTS, PLAN, RECORDS_IN
from hw.link import ALL_PLANS, LOCK_HOST, Fault, Lockout, Reply, StimArm, StimStop
from hw.samples import SampleBlock
from tests.support.loop_bench import benches
from tests.support.looped import armed, plan

FULL = "too many commands at once; send it again"
PLANS_FIT = nodes.MAIL_SLOTS - KEPT_SLOTS


@pytest.fixture
def bench():
    with benches() as make:
        yield make


def run(box, edges: int, first: int = 0) -> None:
    """Serve `edges`, then lose the line."""
    for k in range(first, first + edges):
        box.edge(k)
    box.end()
    with pytest.raises(PortError, match="data-ready"):
        box.serve()


def test_stop_goes_into_a_mailbox_with_room_like_any_other(bench) -> None:
    box = bench()
    for command in (*armed(plan()), StimStop(7, ALL_PLANS)):
        box.loop.command(command)
    assert box.loop.io.wiring[nodes.HALT] == 0
    run(box, 5)
    assert box.said(Reply)[-1] == Reply(7, "")
    assert (box.state.plans[:, PLAN] == -1).all()


@pytest.mark.control("H1.7")
def test_stop_has_room_in_a_full_mailbox_and_stops_what_was_posted_before(bench) -> None:
    box = bench()
    for command in armed(plan(1, period=400)):
        box.loop.command(command)
    for number in range(2, nodes.MAIL_SLOTS):
        box.loop.command(StimStop(number, 5))
    box.loop.command(StimStop(777, 5))  # one too many
    box.loop.command(StimStop(888, ALL_PLANS))
    run(box, 50)
    replies = [(r.command, r.refusal) for r in box.said(Reply)]
    assert (777, FULL) in replies
    assert replies.index((888, "")) > replies.index((101, ""))
    assert box.state.scalars[OUTPUTS] == 0
    assert (box.state.plans[:, PLAN] == -1).all()
    assert (box.state.arms[:, ARMED_PLAN] == -1).all()
    assert box.loop.io.wiring[nodes.HALT] == 0


def test_after_that_stop_commands_are_obeyed_again(bench) -> None:
    box = bench()
    for number in range(nodes.MAIL_SLOTS):
        box.loop.command(StimStop(number, 5))
    box.loop.command(StimStop(888, ALL_PLANS))
    nodes.take_mail(box.state, box.loop.io)
    for command in armed(plan(1, period=400)):
        box.loop.command(command)
    run(box, 3)
    assert box.state.scalars[OUTPUTS] == 1
    assert box.said(Reply)[-1] == Reply(101, "")


def test_plans_leave_the_last_room_to_what_stops_and_locks(bench) -> None:
    box = bench()
    for number in range(PLANS_FIT):
        box.loop.command(StimArm(number + 1, number, 100))
    box.loop.command(StimArm(700, 1, 100))
    box.loop.command(plan(1))
    for number in range(KEPT_SLOTS - 1):
        box.loop.command(StimStop(800 + number, 5))
    box.loop.command(Lockout(900, LOCK_HOST, 1))
    box.loop.command(Lockout(901, LOCK_HOST, 0))
    run(box, 3)
    replies = {r.command: r.refusal for r in box.said(Reply)}
    assert [n for n, refusal in replies.items() if refusal] == [700, 101, 901]
    assert {replies[700], replies[101], replies[901]} == {FULL}
    assert box.state.scalars[LOCKS] == LOCK_HOST


@pytest.mark.control("H1.4")
def test_silence_of_the_host_ends_stimulation_in_the_compiled_loop(bench) -> None:
    box = bench()
    for command in (*armed(plan(1, period=400)), *armed(plan(2, line=2, period=400, phase=30))):
        box.loop.command(command)
    box.loop.heard(time.monotonic_ns() - nodes.HOST_SILENT_NS - 1)
    run(box, 200)
    (fault,) = box.said(Fault)
    assert (fault.code, fault.fatal, fault.index) == ("host_silent", 0, 0)
    assert fault.text == "no heartbeat from the host for 0.2 s; all stimuli were stopped"
    assert box.state.scalars[OUTPUTS] == 0
    assert (box.state.plans[:, PLAN] == -1).all()
    assert (box.state.arms[:, ARMED_PLAN] == -1).all()
    assert box.state.scalars[RECORDS_IN] == 200  # what it listens to goes on
    assert sum(len(b.counts) for b in box.items if isinstance(b, SampleBlock)) == 200


@pytest.mark.parametrize("heard_ns", [0, None])
def test_without_silence_nothing_ends(bench, heard_ns: int | None) -> None:
    box = bench()
    for command in armed(plan(1, period=4000, phase=3000)):
        box.loop.command(command)
    box.loop.heard(time.monotonic_ns() + 10**10 if heard_ns is None else 0)
    run(box, 200)
    assert box.said(Fault) == []
    assert (box.state.plans[:, PLAN] == 1).sum() == 1


def test_silence_with_nothing_to_end_is_no_fault_and_told_no_second_time(bench) -> None:
    box = bench()
    box.loop.heard(1)
    run(box, 50)
    assert box.said(Fault) == []
    assert box.loop.io.wiring[nodes.HEARD_NS] == 0
