"""Where a client comes from, as the control endpoint sees it, and what it may do because of that."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from hostd import wire
from hostd.endpoints import parse_bus
from hostd.peers import Peer
from tests.support import session
from tests.support.ports import free_bus
from tests.support.session import Ear, LiveHost


def own_address() -> str | None:
    """An address of this machine that is not loopback; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


ADDRESS = own_address()


@pytest.fixture(scope="module")
def open_host() -> Iterator[LiveHost]:
    """A host that listens on every address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "free_bus", lambda: free_bus().replace("127.0.0.1", "0.0.0.0"))
        with LiveHost() as host:
            yield host


def asked(host: LiveHost, address: str, *requests: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The replies to requests of one connection that comes by `address`."""
    port = parse_bus(host.bus).control.rpartition(":")[2]
    client = zmq.Context.instance().socket(zmq.DEALER)
    client.linger = 0
    client.connect(f"tcp://{address}:{port}")
    replies = []
    for command, args in requests:
        client.send(wire.encode_map({"id": command, "command": command, "args": args}))
        assert client.poll(10_000), "no answer"
        replies.append(wire.decode_map(client.recv()))
    client.close()
    return replies


def test_a_client_on_this_machine_operates(open_host: LiveHost) -> None:
    hello, stopped, started = asked(
        open_host,
        "127.0.0.1",
        ("hello", {}),
        ("test.stop", {"test": "left_median"}),
        ("test.start", {"test": "left_median"}),
    )
    assert hello["result"]["role"] == "operator" and stopped["ok"] and started["ok"]


@pytest.mark.skipif(ADDRESS is None, reason="this machine has no address but loopback")
def test_a_client_from_elsewhere_looks_marks_and_stops_whatever_it_says(open_host: LiveHost) -> None:
    assert ADDRESS is not None
    with Ear(open_host.bus.replace("0.0.0.0", "127.0.0.1"), ("status", "event")) as ear:
        hello, start, stop_one, acknowledge, mark, config, stop = asked(
            open_host,
            ADDRESS,
            ("hello", {"role": "operator", "name": "from the corridor"}),
            ("test.start", {"test": "left_median"}),
            ("test.stop", {"test": "left_median"}),
            ("alert.acknowledge", {"id": "stimulus-1"}),
            ("mark", {"text": "heard outside"}),
            ("config.get", {}),
            ("stim.stop", {}),
        )
        assert hello["result"]["role"] == "observer"
        for refused in (start, stop_one, acknowledge):
            assert refused["error"]["code"] == "not_allowed"
            assert "ask at the box itself" in refused["error"]["message"]
        assert mark["ok"] and config["ok"] and stop["ok"]
        ear.until(
            lambda m: m.topic == "status" and set(m.header["tests"].values()) == {"stopped"}, "all stopped"
        )


@pytest.mark.parametrize("address", ["", "::1", "127.0.0.1", "10.0.0.1"])
def test_who_has_no_address_is_not_here(address: str) -> None:
    assert Peer(b"x", address).here is (address in ("::1", "127.0.0.1"))
