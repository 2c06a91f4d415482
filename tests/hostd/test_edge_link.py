"""The host's end of the link against the real edge, over every kind of wire."""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from firmware.errors import ConfigError
from firmware.simulated import SimulatedSource
from hostd import edge_link
from hostd import run as run_module
from hostd.blocks import Reassembler
from hostd.edge_link import EdgeLink
from hostd.errors import LinkError, UsageError
from hostd.run import Child
from hw import limits
from hw.link import (
    ALL_PLANS,
    NOT_SEEN,
    Block,
    Description,
    Ended,
    Message,
    Reply,
    Start,
    StimStop,
    Stimulus,
)
from hw.samples import SampleBlock
from tests.support.edge import (
    WITHIN_S,
    RawHost,
    ScriptedSource,
    Wire,
    poll_fast,
    serial_wire,
    served,
    unix,
    wanted,
)
from tests.support.fake_edge import linked, until
from tests.support.links import is_true, tiles, true_block
from tests.support.looped import armed, plan
from tests.support.ports import free_block
from tests.support.session import until as eventually

WIRES = ["unix", "tcp", "serial"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)


@contextlib.contextmanager
def a_wire(kind: str, folder: Path) -> Iterator[tuple[str, str]]:
    """(where the edge listens, where the host connects)."""
    if kind == "serial":
        with serial_wire() as wire:
            yield wire.edge, wire.host
    else:
        address = unix(folder) if kind == "unix" else f"tcp:127.0.0.1:{free_block(1)}"
        yield address, address


def whole_case(kind: str, folder: Path) -> tuple[Description, list[SampleBlock]]:
    """Half a second of the simulated patient over one kind of wire."""
    reassembler = Reassembler()
    with a_wire(kind, folder) as (listens, connects), served(SimulatedSource(None, 0.5, 7), listens) as edge:
        with linked(connects) as link:
            description = link.open(wanted())
            assert link.edge_boot > 0
            link.send(Start(0))
            heard = until(link, lambda m: isinstance(m, Ended))
            assert link.counters["frames"] >= len(heard) + 2
            assert (link.counters["bad_frames"], link.counters["lost_frames"]) == (0, 0)
        assert heard[-1] == Ended(2000)
        assert edge.ended()
        assert edge.failure is None
    blocks = [b for m in heard if isinstance(m, Block) and (b := reassembler.take(m)) is not None]
    return description, blocks


def test_a_whole_case_is_the_same_over_every_wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_TIMEOUT_S", 0.3)  # how long a serial edge waits for the hanging up
    results = []
    for kind in WIRES:
        (tmp_path / kind).mkdir()
        results.append(whole_case(kind, tmp_path / kind))
    first, blocks = results[0]
    assert (first.source, first.channels, first.lines) == ("simulated", wanted().channels, 4)
    assert tiles(blocks, 0)
    assert blocks[-1].end_index == 2000
    for description, others in results[1:]:
        assert description == first
        assert len(others) == len(blocks)
        for a, b in zip(blocks, others, strict=True):
            assert (a.first_index, a.gaps) == (b.first_index, b.gaps)
            assert np.array_equal(a.counts, b.counts)
            assert np.array_equal(a.trigger_bits, b.trigger_bits)


@pytest.mark.parametrize("kind", WIRES)
def test_commands_are_answered_and_pulses_proven_over_every_wire(kind: str, tmp_path: Path) -> None:
    with (
        a_wire(kind, tmp_path) as (listens, connects),
        served(SimulatedSource(8.0, None, 1), listens),
        linked(connects) as link,
    ):
        link.open(wanted())
        link.send(Start(0))
        for order in (*armed(plan(1, period=400, phase=9, count=2)), plan(2, line=7)):
            link.send(order)
        heard = until(link, lambda m: isinstance(m, Stimulus) and m.number == 2)
        assert [m for m in heard if isinstance(m, Reply)] == [
            Reply(201, ""),
            Reply(101, ""),
            Reply(102, "line 7 is not one of 1..4"),
        ]
        proofs = [m for m in heard if isinstance(m, Stimulus)]
        assert all(p.commanded % 400 == 9 and p.seen == p.commanded + 1 != NOT_SEEN for p in proofs)
        link.send(StimStop(103, ALL_PLANS))
        until(link, lambda m: m == Reply(103, ""))


@pytest.mark.parametrize("kind", WIRES)
def test_a_second_host_goes_on_where_the_first_one_left(kind: str, tmp_path: Path) -> None:
    source, reassembler, blocks = ScriptedSource(), Reassembler(), []

    def take(messages: list[Message]) -> None:
        blocks.extend(b for m in messages if isinstance(m, Block) and (b := reassembler.take(m)) is not None)

    with a_wire(kind, tmp_path) as (listens, connects), served(source, listens) as edge:
        for host in range(3):
            link = EdgeLink(connects)
            link.open(wanted())
            link.send(Start(0))
            for at in range(1000 * host, 1000 * host + 1000, 50):
                source.items.put(true_block(at, 50))
            take(
                until(link, lambda m, host=host: isinstance(m, Block) and m.first_index >= 1000 * host + 200)
            )
            link.close()  # with blocks under way
        with linked(connects) as link:
            link.open(wanted())
            link.send(Start(0))
            source.items.put(true_block(3000, 10))
            take(until(link, lambda m: isinstance(m, Block) and m.first_index == 3000))
        assert edge.alive
    assert tiles(blocks, 0)
    assert all(map(is_true, blocks))
    assert not any(b.gaps for b in blocks)
    assert blocks[-1].end_index == 3010


@pytest.mark.parametrize(("kind", "here"), [("unix", True), ("tcp", True), ("serial", False)])
def test_whether_the_edge_is_on_this_machine_is_known(kind: str, here: bool, tmp_path: Path) -> None:
    with (
        a_wire(kind, tmp_path) as (listens, connects),
        served(ScriptedSource(), listens),
        linked(connects) as link,
    ):
        assert link.same_machine is here
        assert (link.device is None) is (kind != "serial")


def test_an_edge_at_an_address_that_is_not_ours_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    class Far(socket.socket):
        def getpeername(self) -> tuple[str, int]:
            return "192.0.2.7", 5000

    with socket.create_server(("127.0.0.1", 0)) as server:
        far = Far(socket.AF_INET)
        far.connect(server.getsockname())
        monkeypatch.setattr(edge_link.socket, "create_connection", lambda *_: far)
        with linked("tcp:far.example:5000") as link:
            assert link.same_machine is False


def test_a_second_configuration_is_refused_as_the_users_mistake(tmp_path: Path) -> None:
    with served(ScriptedSource(), unix(tmp_path)) as edge:
        with linked(edge.address) as link:
            link.open(wanted())
            link.send(Start(0))
        with linked(edge.address) as link, pytest.raises(UsageError) as caught:
            link.open(wanted(rate_hz=1000.0))
        assert str(caught.value) == (
            "edge: the edge is acquiring with another configuration; end that case first"
        )
        with linked(edge.address) as link:
            assert link.open(wanted()).source == "scripted"


@pytest.mark.parametrize(
    ("error", "raised"), [(ConfigError("no Xq"), UsageError), (OSError("no SPI"), LinkError)]
)
def test_what_the_edge_cannot_do_is_told_in_one_line(
    tmp_path: Path, error: Exception, raised: type[Exception]
) -> None:
    source = ScriptedSource()
    source.refusal = error
    with (
        served(source, unix(tmp_path)) as edge,
        linked(edge.address) as link,
        pytest.raises(raised) as caught,
    ):
        link.open(wanted())
    assert str(caught.value).startswith("edge: ")
    assert str(error) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unplugged_serial_port_is_one_line() -> None:
    wire = Wire()
    with served(ScriptedSource(), wire.edge) as edge:
        link = EdgeLink(wire.host)
        link.open(wanted())
        link.send(Start(0))
        wire.close()
        for use in (lambda: link.receive(WITHIN_S), lambda: [link.send(Start(0)) for _ in range(1000)]):
            with pytest.raises(LinkError, match="link lost: "):
                while True:
                    use()
        link.close()
        for use in (lambda: link.receive(0), lambda: link.send(Start(0))):
            with pytest.raises(LinkError, match="link lost: "):
                use()
        assert edge.alive  # its samples are not for the port that failed


def test_it_waits_for_an_edge_that_is_still_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, real = threading.Event(), edge_link._unix

    def dial(path: str) -> socket.socket:
        tried.set()
        return real(path)

    monkeypatch.setattr(edge_link, "_unix", dial)
    links: list[EdgeLink] = []
    early = threading.Thread(target=lambda: links.append(EdgeLink(unix(tmp_path))), daemon=True)
    early.start()
    assert tried.wait(WITHIN_S)
    with served(ScriptedSource(), unix(tmp_path)):
        early.join(WITHIN_S)
        assert links[0].open(wanted()).source == "scripted"
        links[0].close()


def test_a_second_host_at_the_same_time_waits_for_its_turn(tmp_path: Path) -> None:
    with served(ScriptedSource(), unix(tmp_path)) as edge:
        first = RawHost(edge.address).start(wanted())
        with linked(edge.address) as second:
            heard: list[Description] = []
            waiting = threading.Thread(target=lambda: heard.append(second.open(wanted())), daemon=True)
            waiting.start()
            first.send(StimStop(3, ALL_PLANS))
            first.hang_up()
            waiting.join(WITHIN_S)
            assert [d.source for d in heard] == ["scripted"]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    with served(ScriptedSource(), unix(tmp_path)) as edge:
        for _ in range(5):
            with linked(edge.address) as link:
                link.open(wanted())
    give_up = threading.Event()
    give_up.set()
    for _ in range(5):
        with pytest.raises(LinkError):
            EdgeLink(unix(tmp_path / "none"), give_up)
    eventually(lambda: descriptors() <= before, "the last thread of the edge to hang up")


def test_how_long_an_edge_may_take_to_start_is_the_callers(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="no edge at"):
        EdgeLink(unix(tmp_path / "none"), within_s=0.0)


def test_a_run_that_starts_its_own_edge_lets_it_compile_first(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts: list[list[str]] = []

    def start(name: str, module: str, args: list[str]) -> Child:
        if name == "host":
            hosts.append(args)
            raise KeyboardInterrupt
        return Child(name, [], subprocess.Popen(["true"], stdin=subprocess.PIPE))

    monkeypatch.setattr(run_module, "_start", start)
    for edge in (["--source", "simulated"], None):
        options = run_module.RunOptions(edge, [], None, "tcp:127.0.0.1:1", "tcp://127.0.0.1:1", {})
        with pytest.raises(KeyboardInterrupt):
            run_module.run(options, threading.Event())
    assert ["--edge-starts" in args for args in hosts] == [True, False]
