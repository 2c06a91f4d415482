"""The host's end of the link against edges that are old, silent, wrong, or not there at all."""

import contextlib
import socket
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from firmware.session import block_message
from hostd import edge_link
from hostd.edge_link import EdgeLink
from hostd.errors import LinkError, UsageError
from hw.link import Configure, Ended, Fault, Heartbeat, Hello, Message, Start, hello
from tests.support.edge import WITHIN_S, ScriptedSource, unix, wanted
from tests.support.fake_edge import FakeEdge, fake_edge, linked, until
from tests.support.links import other_version, true_block
from tests.support.ports import free_block

DESCRIPTION = ScriptedSource().description


@pytest.mark.control("H17.3")
def test_an_edge_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    def serve(edge: FakeEdge) -> None:
        edge.hear(Hello)
        edge.host.sendall(other_version(b"a longer payload"))
        edge.until_hung_up()

    with fake_edge(tmp_path, serve) as edge, linked(edge.address) as link, pytest.raises(LinkError) as caught:
        link.open(wanted())
    expected = f"{edge.address}: peer speaks link version 4, this side 3; update the older one"
    assert str(caught.value) == expected
    assert [type(m) for m in edge.heard if not isinstance(m, Heartbeat)] == [
        Hello
    ]  # and nothing was configured


@pytest.mark.control("H17.3")
def test_an_edge_of_another_message_table_is_refused_in_one_line(tmp_path: Path) -> None:
    def serve(edge: FakeEdge) -> None:
        edge.say(replace(hello("edge", 1), table=7))
        edge.until_hung_up()

    text = "edge has message table 00000007, this side"
    with (
        fake_edge(tmp_path, serve) as edge,
        linked(edge.address) as link,
        pytest.raises(LinkError, match=text),
    ):
        link.open(wanted())


def test_an_edge_that_is_none_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_link, "ANSWER_S", 0.05)

    def serve(edge: FakeEdge) -> None:
        edge.host.sendall(b"220 mail.example.org ESMTP\r\n\0")
        edge.until_hung_up()

    text = "does not answer with Hello; is it an evokd edge"
    with (
        fake_edge(tmp_path, serve) as edge,
        linked(edge.address) as link,
        pytest.raises(LinkError, match=text),
    ):
        link.open(wanted())
    assert link.counters["bad_frames"] == 1


def test_what_was_said_to_the_host_before_is_passed_over(tmp_path: Path) -> None:
    def serve(edge: FakeEdge) -> None:
        stale = block_message(true_block(7, 3)), Fault("config", "not ours", 1)
        edge.say(Fault("missing", "of the host before us", 0), *stale, hello("edge", 5))
        edge.hear(Hello)
        edge.say(Fault("missing", "ours", 0), DESCRIPTION, Ended(0))
        edge.until_hung_up()

    with fake_edge(tmp_path, serve) as edge, linked(edge.address) as link:
        assert link.open(wanted()) == DESCRIPTION
        assert link.edge_boot == 5
        assert until(link, lambda m: isinstance(m, Ended)) == [Fault("missing", "ours", 0), Ended(0)]


def test_what_comes_right_after_the_description_is_not_lost(tmp_path: Path) -> None:
    def serve(edge: FakeEdge) -> None:
        edge.say(hello("edge", 5), DESCRIPTION, Fault("missing", "already", 0), Ended(3))
        edge.until_hung_up()

    with fake_edge(tmp_path, serve) as edge, linked(edge.address) as link:
        link.open(wanted())
        heard = until(link, lambda m: isinstance(m, Ended))
        assert heard == [Fault("missing", "already", 0), Ended(3)]


def test_what_gets_lost_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge that opens its serial port late, or a frame that breaks, costs no case."""
    monkeypatch.setattr(edge_link, "ASK_AGAIN_NS", 1_000_000)

    def serve(edge: FakeEdge) -> None:
        for kind, answer in ((Hello, hello("edge", 5)), (Configure, DESCRIPTION)):
            while sum(isinstance(m, kind) for m in edge.heard) < 3:
                edge.heard += edge.receiver.feed(edge.host.recv(1 << 16))
            edge.say(answer)
        edge.until_hung_up()

    with fake_edge(tmp_path, serve) as edge, linked(edge.address) as link:
        assert link.open(wanted()) == DESCRIPTION
        link.send(Start(0))
    kinds = [type(m) for m in edge.heard if not isinstance(m, Heartbeat)]
    assert kinds == sorted(kinds, key=[Hello, Configure, Start].index)  # nothing is asked after its answer


def test_heartbeats_are_sent_while_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_link, "HEARTBEAT_EVERY_NS", 1_000_000)

    def serve(edge: FakeEdge) -> None:
        edge.say(hello("edge", 5), DESCRIPTION)
        while sum(isinstance(m, Heartbeat) for m in edge.heard) < 5:
            edge.heard += edge.receiver.feed(edge.host.recv(1 << 16))
        edge.say(Ended(0))
        edge.until_hung_up()

    with fake_edge(tmp_path, serve) as edge, linked(edge.address) as link:
        link.open(wanted())
        heard: list[Message] = []
        while Ended(0) not in heard:
            heard += link.receive(0.002)
    stamps = [m.t_ns for m in edge.heard if isinstance(m, Heartbeat)]
    assert all(b - a >= 1_000_000 for a, b in pairwise(stamps))


def test_heartbeats_are_sent_while_it_waits_for_a_silent_edge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_link, "HEARTBEAT_EVERY_NS", 1_000_000)

    def serve(edge: FakeEdge) -> None:
        edge.say(hello("edge", 5), DESCRIPTION)
        while sum(isinstance(m, Heartbeat) for m in edge.heard) < 20:
            edge.heard += edge.receiver.feed(edge.host.recv(1 << 16))
        edge.say(Ended(0))
        edge.until_hung_up()

    with fake_edge(tmp_path, serve) as edge, linked(edge.address) as link:
        link.open(wanted())
        assert link.receive(WITHIN_S) == [Ended(0)], "one call waits for all of it"


def test_a_link_that_breaks_is_one_line_for_whoever_uses_it(tmp_path: Path) -> None:
    def serve(edge: FakeEdge) -> None:
        edge.say(hello("edge", 5), DESCRIPTION)
        edge.hear(Start)

    with fake_edge(tmp_path, serve) as edge:
        link = EdgeLink(edge.address)
        link.open(wanted())
        link.send(Start(0))
        for use in (lambda: link.receive(WITHIN_S), lambda: [link.send(Start(0)) for _ in range(1000)]):
            with pytest.raises(LinkError) as caught:
                while True:
                    use()
            assert str(caught.value).startswith(f"{edge.address}: link lost: ")
            assert "\n" not in str(caught.value)
        link.close()
        for use in (lambda: link.receive(0), lambda: link.send(Start(0))):
            with pytest.raises(LinkError):
                use()
        link.close()


@pytest.mark.parametrize("port", ["", ":", ":0", ":65536", ":-1", ":²", ":http"])
def test_a_port_of_no_known_form_is_one_line(port: str) -> None:
    with pytest.raises(UsageError, match="is no edge; write unix:PATH, tcp:HOST:PORT or serial:DEVICE"):
        EdgeLink(f"tcp:here{port}")


@pytest.mark.parametrize("address", ["", "unix:", "unix", "serial:", "tcp:", "tcp::5000", "pi", "file:x.bdf"])
def test_an_address_of_no_known_form_is_one_line(address: str) -> None:
    with pytest.raises(UsageError, match="is no edge; write unix:PATH, tcp:HOST:PORT or serial:DEVICE"):
        EdgeLink(address)


def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    give_up = threading.Event()
    give_up.set()
    for address in (unix(tmp_path), f"tcp:127.0.0.1:{free_block(1)}", "tcp:\udcff:5", f"unix:{'x' * 200}"):
        with pytest.raises(LinkError, match="no edge at ") as caught:
            EdgeLink(address, give_up)
        assert "start one or check the address" in str(caught.value)
    with pytest.raises(LinkError, match="cannot open serial port /dev/ttyNone"):
        EdgeLink("serial:/dev/ttyNone")
    with pytest.raises(LinkError, match="no edge at "):
        EdgeLink(unix(tmp_path), within_s=0.0)


def test_an_edge_with_a_full_queue_is_tried_again_and_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "edge.sock"
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        for _ in range(5):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(str(path))
        give_up = threading.Event()
        give_up.set()
        with pytest.raises(LinkError, match="no edge at "):
            EdgeLink(unix(tmp_path), give_up)
