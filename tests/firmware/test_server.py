"""The link server: what a host is told, what it is refused, and what ends the edge."""

import math
import signal
import socket
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from firmware import server, session
from firmware.errors import ChipError, ConfigError, EdgeError, PortError
from firmware.transport import SocketStream
from hw.link import (
    ALL_PLANS,
    Block,
    Ended,
    Fault,
    Hello,
    Reply,
    Start,
    StimStop,
    hello,
    same,
)
from hw.samples import Gap
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
from tests.support.links import is_true, other_version, true_block
from tests.support.looped import plan


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)


def test_hello_configure_start_blocks_and_the_end(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address)
        host.send(hello("host", 7))
        greeting = host.hear()
        assert isinstance(greeting, Hello)
        assert same(greeting, hello("edge", greeting.boot))
        assert greeting.boot > 0
        host.send(wanted())
        assert host.hear() == source.description
        assert same(source.configured[0], wanted())
        source.items.put(true_block(3, 5, gaps=(Gap(0, 3, "torn"),)))
        source.items.put(Reply(9, ""))
        source.items.put(Ended(8))
        host.send(Start(1))
        block = heard_block(host.hear())
        assert is_true(block)
        assert (block.first_index, block.t_ns, block.gaps) == (3, 8000, (Gap(0, 3, "torn"),))
        assert [host.hear(), host.hear()] == [Reply(9, ""), Ended(8)]
        host.hang_up()
        assert edge.ended()
        assert edge.failure is None


@pytest.mark.control("H1.1")
def test_nothing_is_acquired_or_fired_before_start(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address)
        host.open(wanted())
        host.send(plan(), StimStop(4, ALL_PLANS))
        assert [host.hear(), host.hear()] == [Reply(101, "not acquiring"), Reply(4, "not acquiring")]
        assert source.commands.empty()
        host.hang_up()


def test_commands_go_to_the_source_and_its_answers_come_back(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        host.send(plan(), StimStop(5, 1))
        assert source.commands.get(timeout=WITHIN_S) == plan()
        assert source.commands.get(timeout=WITHIN_S) == StimStop(5, 1)
        source.items.put(Reply(5, ""))
        assert host.hear() == Reply(5, "")
        host.hang_up()


@pytest.mark.control("H17.3")
def test_another_version_is_refused_in_one_line_and_hears_no_more(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        stranger = RawHost(edge.address)
        stranger.socket.sendall(other_version(b"a longer payload", role=b"host"))
        assert isinstance(stranger.hear(), Hello)
        text = "peer speaks link version 4, this side 3; update the older one"
        assert stranger.hear() == Fault("version", text, 1)
        stranger.send(wanted(), Start(1), plan())
        stranger.socket.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            stranger.hear()
        assert source.configured == []
        RawHost(edge.address).start(wanted()).hang_up()


@pytest.mark.control("H17.3")
def test_another_message_table_is_refused(tmp_path: Path) -> None:
    with served(ScriptedSource(), unix(tmp_path)) as edge:
        stranger = RawHost(edge.address)
        stranger.send(replace(hello("host", 1), table=5))
        assert "message table 00000005" in stranger.until(Fault).text
        stranger.hang_up()


def test_who_does_not_say_hello_gets_nothing(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        rude = RawHost(edge.address)
        rude.send(wanted(), Start(1), hello("host", 1))
        assert isinstance(rude.hear(), Hello)
        assert source.configured == []
        rude.send(Start(1))
        assert rude.hear() == Fault("config", "start before configure", 1)
        rude.hang_up()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("electrode 'Xq' is unknown"), "config"),
        (ChipError("expected 0x3E in ID, got 0x00"), "fault"),
        (PortError("no SPI"), "fault"),
        (ValueError("odd\nthings"), "fault"),
        (IndexError("tuple index out of range"), "fault"),
        (OverflowError("too large"), "fault"),
        (TypeError("None"), "fault"),
        (OSError(5, "i/o error"), "fault"),
    ],
)
def test_what_the_source_cannot_do_is_told_in_one_line_and_the_edge_lives(
    tmp_path: Path, error: Exception, code: str
) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        source.refusal = error
        host = RawHost(edge.address)
        host.send(hello("host", 1), wanted())
        fault = host.until(Fault)
        assert (fault.code, fault.fatal) == (code, 1)
        assert str(error).split("\n")[0].split("]")[-1].strip() in fault.text
        assert "\n" not in fault.text
        source.refusal = None
        host.send(wanted())
        assert host.hear() == source.description
        host.hang_up()
        assert edge.alive


def test_a_refusal_of_any_length_fits_the_link(tmp_path: Path) -> None:
    source = ScriptedSource()
    source.refusal = ConfigError("\0" * 300_000)
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address)
        host.send(hello("host", 1), wanted())
        assert len(host.until(Fault).text) <= 1000
        source.refusal = None
        source.description = replace(source.description, channels=("x" * 70_000,))
        host.send(wanted())
        assert "Description.channels" in host.until(Fault).text
        host.send(Start(1))
        assert host.until(Fault).text == "start before configure"
        host.hang_up()


def test_one_that_acquires_keeps_its_configuration(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        RawHost(edge.address).start(wanted()).hang_up()
        source.stopped()
        host = RawHost(edge.address)
        host.send(hello("host", 2), wanted(rate_hz=1000.0))
        text = "the edge is acquiring with another configuration; end that case first"
        assert host.until(Fault) == Fault("config", text, 1)
        host.send(wanted())  # its threshold is NaN, which equals nothing but is the same
        assert host.hear() == source.description
        assert math.isnan(source.configured[0].threshold)
        assert len(source.configured) == 1
        host.hang_up()


def test_after_a_refused_configuration_the_one_before_does_not_start(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address)
        host.open(wanted())
        source.refusal = ConfigError("no")  # whatever it has changed by then
        host.send(wanted(rate_hz=1000.0), Start(1))
        assert [host.hear(), host.hear()] == [
            Fault("config", "no", 1),
            Fault("config", "start before configure", 1),
        ]
        host.hang_up()


def test_a_source_that_fails_tells_its_host_and_the_caller(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        source.items.put(true_block(0, 4))
        error = PortError("SPI is gone; check the cable")
        source.items.put(error)
        assert isinstance(host.hear(), Block)
        text = "acquisition stopped: SPI is gone; check the cable"
        assert host.hear() == Fault("acquisition", text, 1)
        host.hang_up()
        assert edge.ended()
        assert edge.failure is error


@pytest.mark.parametrize(
    "error", [RuntimeError("odd\nline"), TypeError("no"), struct.error("x"), KeyError("k")]
)
def test_an_unexpected_failure_is_told_as_an_edge_error_of_one_line(tmp_path: Path, error: Exception) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        source.items.put(error)
        fault = host.until(Fault)
        assert (fault.code, fault.fatal, "\n" in fault.text) == ("acquisition", 1, False)
        host.hang_up()
        assert edge.ended()
        assert isinstance(edge.failure, EdgeError)
        assert type(error).__name__ in str(edge.failure)
        assert "\n" not in str(edge.failure)


def test_a_failure_without_a_host_is_told_to_the_next(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        RawHost(edge.address).start(wanted()).hang_up()
        source.stopped()
        source.items.put(PortError("gone"))
        host = RawHost(edge.address).start(wanted())
        assert host.until(Fault).text == "acquisition stopped: gone"
        host.hang_up()
        assert edge.ended()


def test_stop_ends_it_with_a_host_that_listens_or_none(tmp_path: Path) -> None:
    ended = threading.Event()

    class Ending(ScriptedSource):
        def run(self, put, stop) -> None:
            super().run(put, stop)
            ended.set()

    with served(Ending(), unix(tmp_path)) as edge:
        RawHost(edge.address).start(wanted())
        edge.stop.set()
        assert edge.ended()
        assert ended.is_set()
        assert edge.failure is None
    with served(ScriptedSource(), unix(tmp_path)) as edge:
        edge.stop.set()
        assert edge.ended()


def test_a_signal_whose_handler_outlasts_the_wait_does_not_stop_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found by a loaded machine: told to stop just then, an edge waited for ever (queue.SimpleQueue does)."""
    calls: list[int] = []

    def busy(*_: object) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise TimeoutError("it waits for ever")
        end = time.monotonic() + 3 * session.POLL_S
        while time.monotonic() < end:
            pass

    monkeypatch.setattr(session, "POLL_S", 0.05)
    before = signal.signal(signal.SIGALRM, busy)
    near, far = socket.socketpair()
    with near, far:
        edge = server.Server(ScriptedSource(), HandedOver(), threading.Event())
        talk = session.Session(edge, SocketStream(near))
        signal.setitimer(signal.ITIMER_REAL, session.POLL_S / 10, 30.0)
        try:
            talk._answer()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert calls == [1]
