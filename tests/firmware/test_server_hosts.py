"""Hosts that vanish, fall silent or follow one another: outputs low each time, and no sample lost by it."""

import socket
import struct
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from firmware.errors import PortError
from firmware.ports import Put
from firmware.session import STALE
from firmware.simulated import SimulatedSource
from hostd.blocks import Reassembler
from hw.link import (
    ALL_PLANS,
    LOCK_ELECTROSURGERY,
    LOCK_HOST,
    Block,
    Description,
    Ended,
    Fault,
    Heartbeat,
    Hello,
    Lockout,
    Message,
    Reply,
    Sender,
    Start,
    StimPlan,
    StimStop,
    hello,
)
from hw.samples import SampleBlock
from tests.support.edge import (
    WITHIN_S,
    HandedOver,
    RawHost,
    ScriptedSource,
    heard_block,
    poll_fast,
    served,
    unix,
    wanted,
)
from tests.support.links import is_true, tiles, true_block
from tests.support.looped import armed, plan
from tests.support.ports import free_block


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)


@pytest.mark.control("H1.5")
@pytest.mark.parametrize("address", ["unix", "tcp"])
def test_a_host_that_vanishes_takes_the_outputs_low(tmp_path: Path, address: str) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path) if address == "unix" else f"tcp:127.0.0.1:{free_block(1)}") as edge:
        host = RawHost(edge.address).start(wanted())
        host.send(plan())
        assert source.commands.get(timeout=WITHIN_S) == plan()
        if address == "tcp":  # as a machine does whose plug was pulled and that then comes back
            host.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        host.hang_up()
        assert source.stopped() == StimStop(0, ALL_PLANS)
        again = RawHost(edge.address).start(wanted())
        source.items.put(true_block(0, 4))
        assert heard_block(again.until(Block)).end_index == 4
        again.hang_up()


@pytest.mark.control("H1.5")
def test_no_command_of_a_host_that_is_gone_comes_after_the_stop(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        host.send(*(plan(n % 100) for n in range(500)))
        host.hang_up()
        while not isinstance(source.commands.get(timeout=WITHIN_S), StimStop):
            pass
        RawHost(edge.address).start(wanted()).hang_up()
        source.stopped()
        assert [type(source.commands.get(timeout=WITHIN_S)) for _ in range(2)] == [Lockout, Lockout]
        assert source.commands.empty()


@pytest.mark.control("H9.6")
def test_hosts_that_vanish_cost_no_sample(tmp_path: Path) -> None:
    """Eight hosts in a row leave at any moment, with blocks still in the socket; the next one goes on."""
    source, reassembler = ScriptedSource(), Reassembler()
    blocks: list[SampleBlock] = []
    with served(source, unix(tmp_path)) as edge:
        for number in range(8):
            host = RawHost(edge.address).start(wanted())
            first = number * 1000
            for at in range(first, first + 1000, 40):
                source.items.put(true_block(at, 40))
            for _ in range(1 + 3 * number):
                if (block := reassembler.take(host.until(Block))) is not None:
                    blocks.append(block)
            host.hang_up()
        host = RawHost(edge.address).start(wanted())
        source.items.put(Ended(8000))
        while not isinstance(message := host.hear(), Ended):
            if isinstance(message, Block) and (block := reassembler.take(message)) is not None:
                blocks.append(block)
        host.hang_up()
        assert edge.ended()
    assert tiles(blocks, 0)
    assert not any(block.gaps for block in blocks)
    assert all(map(is_true, blocks))
    assert blocks[-1].end_index == 8000


def test_the_simulated_box_goes_on_for_a_second_host(tmp_path: Path) -> None:
    source, reassembler = SimulatedSource(None, 1.0, 1), Reassembler()
    blocks = []
    with served(source, unix(tmp_path)) as edge:
        for n in (7, 21, 1000):
            host = RawHost(edge.address).start(wanted())
            for _ in range(n):
                if isinstance(message := host.hear(), Ended):
                    break
                if isinstance(message, Block) and (block := reassembler.take(message)) is not None:
                    blocks.append(block)
            host.hang_up()
        assert edge.ended()
    assert edge.failure is None
    assert tiles(blocks, 0)
    assert (blocks[-1].end_index, sum(len(b.gaps) for b in blocks)) == (4000, 0)


def test_the_end_is_told_to_a_host_that_comes_after_it(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        RawHost(edge.address).start(wanted()).hang_up()
        source.stopped()
        source.items.put(true_block(0, 4))
        source.items.put(Ended(4))
        host = RawHost(edge.address).start(wanted())
        assert [type(host.hear()), host.hear()] == [Block, Ended(4)]
        host.hang_up()
        assert edge.ended()


def test_a_host_that_is_gone_is_not_watched_and_what_it_locked_is_free(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        RawHost(edge.address).start(wanted()).hang_up()
        left_behind = [source.commands.get(timeout=WITHIN_S) for _ in range(3)]
        assert left_behind == [
            StimStop(0, ALL_PLANS),
            Lockout(0, LOCK_ELECTROSURGERY, 0),
            Lockout(0, LOCK_HOST, 0),
        ]
        assert source.heard_ns == 0


def test_every_message_of_a_host_is_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5]
    clock = SimpleNamespace(monotonic_ns=lambda: now[0], time_ns=lambda: 1)
    monkeypatch.setattr("firmware.session.time", clock)
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        host.send(plan(1))
        source.commands.get(timeout=WITHIN_S)
        assert (source.heard_ns, source.beats) == (5, 5)  # Hello, Configure, Heartbeat, Start, StimPlan
        now[0] = 77
        host.send(Heartbeat(1), plan(2))  # the second shows that the first was heard
        source.commands.get(timeout=WITHIN_S)
        assert (source.heard_ns, source.beats) == (77, 7)
        host.send(hello("host", 2))  # another one on the same wire: the first is gone
        assert source.stopped() == StimStop(0, ALL_PLANS)
        assert source.heard_ns == 0
        host.hang_up()


def test_a_source_that_waits_for_its_host_has_no_time_to_miss_it(tmp_path: Path) -> None:
    source = ScriptedSource(patient=True)
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        host.send(Heartbeat(1), plan(1))
        source.commands.get(timeout=WITHIN_S)
        assert source.beats == 0
        host.hang_up()


def test_silence_ends_the_stimuli_and_says_so_and_the_samples_go_on(tmp_path: Path) -> None:
    order = plan(period=400)
    with served(SimulatedSource(1.0, None, 1), unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        host.send(*armed(order, samples=40_000))
        fault = host.until(Fault)
        assert (fault.code, fault.fatal) == ("host_silent", 0)
        first = heard_block(host.until(Block)).first_index
        host.send(Heartbeat(1), order)
        assert host.until(Reply) == Reply(order.command, STALE)
        answer = Reply(order.command, STALE)
        while answer == Reply(order.command, STALE):
            host.send(Heartbeat(1), order)
            answer = host.until(Reply)
        assert answer == Reply(order.command, "it is not armed; arm it first")
        assert heard_block(host.until(Block)).first_index > first
        host.send(*armed(order))
        assert [host.until(Reply), host.until(Reply)] == [Reply(201, ""), Reply(order.command, "")]
        host.hang_up()


@pytest.mark.control("H1.5")
def test_a_plan_that_may_have_waited_on_the_way_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that stood still gives all at once what was said meanwhile: a start is refused until the host
    has been heard for as long as it was missed; a stop never is."""
    now = [1_000_000_000]
    clock = SimpleNamespace(monotonic_ns=lambda: now[0], time_ns=lambda: 1)
    monkeypatch.setattr("firmware.session.time", clock)
    source = ScriptedSource()

    def said(host: RawHost, number: int, after_ns: int) -> Message:
        now[0] += after_ns
        host.send(Heartbeat(1), plan(number), StimStop(1000 + number, number))
        heard = source.commands.get(timeout=WITHIN_S)
        if isinstance(heard, StimPlan):
            assert source.commands.get(timeout=WITHIN_S) == StimStop(1000 + number, number)
        return heard

    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        assert said(host, 1, 0) == plan(1)
        assert said(host, 2, 200_000_000) == plan(2)
        assert said(host, 3, 200_000_001) == StimStop(1003, 3)
        assert host.until(Reply) == Reply(plan(3).command, STALE)
        assert said(host, 4, 199_999_999) == StimStop(1004, 4)
        assert host.until(Reply) == Reply(plan(4).command, STALE)
        assert said(host, 5, 1) == plan(5)
        host.hang_up()


def test_a_source_that_waits_for_its_host_takes_plans_however_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000_000]
    clock = SimpleNamespace(monotonic_ns=lambda: now[0], time_ns=lambda: 1)
    monkeypatch.setattr("firmware.session.time", clock)
    source = ScriptedSource(patient=True)
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        host.send(plan(1))
        assert source.commands.get(timeout=WITHIN_S) == plan(1)
        now[0] += 10_000_000_000
        host.send(plan(2))
        assert source.commands.get(timeout=WITHIN_S) == plan(2)
        host.hang_up()


def test_the_loop_itself_misses_a_host_that_takes_nothing(tmp_path: Path) -> None:
    source = Noted(20.0, None, 1)
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        host.send(*armed(plan(period=400), samples=40_000))  # and reads no more
        assert source.silent.wait(WITHIN_S)
        host.hang_up()


class Noted(SimulatedSource):
    """Notes when its loop has missed the host, whoever takes what it says."""

    def __init__(self, speed: float, seconds: float | None, seed: int) -> None:
        super().__init__(speed, seconds, seed)
        self.silent = threading.Event()

    def run(self, put: Put, stop: threading.Event) -> None:
        def noted(item: SampleBlock | Message) -> None:
            if isinstance(item, Fault) and item.code == "host_silent":
                self.silent.set()
            put(item)

        super().run(noted, stop)


def test_a_new_hello_on_the_same_wire_is_a_new_host(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        host.send(plan())
        source.items.put(true_block(0, 4))
        assert isinstance(host.hear(), Block)
        host.send(hello("host", 2))  # a serial port never tells that the first host has gone
        assert source.stopped() == StimStop(0, ALL_PLANS)
        assert isinstance(host.hear(), Hello)
        source.items.put(true_block(4, 4))
        host.send(wanted())
        assert isinstance(host.hear(), Description)  # and no block before it asks for them
        host.send(Start(1))
        assert [heard_block(host.hear()).first_index for _ in range(2)] == [0, 4]
        host.send(Start(2), plan(3))  # nothing comes twice for a start too many
        source.items.put(true_block(8, 4))
        assert heard_block(host.hear()).first_index == 8
        host.hang_up()


def test_what_could_not_be_sent_is_for_the_next_host(tmp_path: Path) -> None:
    source, hosts = ScriptedSource(), HandedOver()
    with served(source, hosts) as edge:
        first = hosts.host(breaks_at=Sender().frame(Reply(9, "at the break"))[8:20]).start(wanted())
        source.items.put(true_block(0, 4))
        source.items.put(Reply(9, "at the break"))
        source.items.put(Ended(4))
        assert heard_block(first.hear()).end_index == 4
        with pytest.raises(EOFError):
            first.hear()
        second = hosts.host().start(wanted())
        heard = [second.hear() for _ in range(3)]
        assert heard_block(heard[0]).end_index == 4
        assert heard[1] == Reply(9, "at the break")
        while not isinstance(heard[-1], Ended):  # the stop that the first host left behind is answered too
            heard.append(second.hear())
        second.hang_up()
        assert edge.ended()


def test_a_port_that_fails_while_samples_come_in_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.server.REOPEN_S", 0.0)
    source, hosts = ScriptedSource(), HandedOver()
    with served(source, hosts) as edge:
        hosts.host().start(wanted()).hang_up()
        source.stopped()
        for _ in range(3):
            hosts.queue.put(PortError("cannot open serial port"))
        source.items.put(true_block(0, 4))
        again = hosts.host().start(wanted())
        assert heard_block(again.until(Block)).end_index == 4
        again.hang_up()
        assert edge.alive


def test_a_port_that_fails_with_nothing_to_lose_ends_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.server.REOPEN_S", 0.01)
    source, hosts = ScriptedSource(), HandedOver()
    with served(source, hosts) as edge:
        error = PortError("cannot open serial port")
        hosts.queue.put(error)
        assert edge.ended()
        assert edge.failure is error
    with served(source, hosts) as edge:
        hosts.host().start(wanted()).hang_up()
        source.stopped()
        source.items.put(PortError("SPI is gone"))
        assert source.ended.wait(WITHIN_S)
        for _ in range(100):  # its thread may take a moment to end
            hosts.queue.put(error)
        assert edge.ended()
        assert edge.failure is error
