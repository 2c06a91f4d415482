"""Where a client comes from and whose key it shows, as the control endpoint sees it, and what that allows."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from hostd import wire
from hostd.endpoints import parse_bus
from hostd.keys import Secret
from hostd.peers import Peer, is_own
from hostd.store import read_rows
from tests.support import keys as test_keys
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
Keys = dict[str, Secret]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return test_keys.made(tmp_path_factory.mktemp("box") / "keys")


@pytest.fixture(scope="module")
def open_host(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[LiveHost]:
    """A host that listens on every address, and takes connections of this machine's own for foreign ones."""
    folder = next(tmp_path_factory.getbasetemp().glob("box*/keys"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "free_bus", lambda: free_bus().replace("127.0.0.1", "0.0.0.0"))
        patch.setattr("hostd.peers.is_own", lambda address: False)
        data = tmp_path_factory.mktemp("data")
        with LiveHost(keys=folder, asks=keys["engineer"], data=data) as host:
            yield host


def asked(
    host: LiveHost, address: str, key: Secret | None, *requests: tuple[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """The replies to requests of one connection that comes by `address`; none when it is not let in."""
    port = parse_bus(host.bus).control.rpartition(":")[2]
    client = zmq.Context.instance().socket(zmq.DEALER)
    client.linger = 0
    if key is not None:
        key.apply(client)
    monitor = client.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    client.connect(f"tcp://{address}:{port}")
    replies = []
    try:
        assert monitor.poll(10_000), "nothing happens"
        if zmq.utils.monitor.recv_monitor_message(monitor)["event"] != zmq.EVENT_HANDSHAKE_SUCCEEDED:
            return []
        for command, args in requests:
            client.send(wire.encode_map({"id": command, "command": command, "args": args}))
            assert client.poll(10_000), "no answer"
            replies.append(wire.decode_map(client.recv()))
    finally:
        client.disable_monitor()
        client.close()
    return replies


def code(reply: dict[str, Any]) -> str:
    return "ok" if reply["ok"] else str(reply["error"]["code"])


def test_a_technologist_on_the_cart_operates(open_host: LiveHost, keys: Keys) -> None:
    hello, stopped, started, phantom = asked(
        open_host,
        "127.0.0.1",
        keys["technologist"],
        ("hello", {}),
        ("test.stop", {"test": "left_median"}),
        ("test.start", {"test": "left_median"}),
        ("impedance.start", {"phantom": True}),
    )
    assert hello["result"]["role"] == "operator" and hello["result"]["here"] is True
    assert hello["result"]["key"] == {"name": "anna", "role": "technologist"}
    assert hello["result"]["may"] == hello["result"]["commands"]
    assert stopped["ok"] and started["ok"] and code(phantom) == "not_allowed"


ELSEWHERE = [
    ("hello", {"role": "operator", "name": "from the corridor"}),
    ("test.start", {"test": "left_median"}),
    ("stim.arm", {"test": "left_median"}),
    ("stim.fire", {"test": "left_median"}),
    ("test.rate", {"test": "left_median", "rate_hz": 4.7}),
    ("impedance.start", {}),
    ("leads.watch", {}),
    ("case.close", {}),
    ("test.stop", {"test": "left_median"}),
    ("alert.acknowledge", {"id": "stimulus-1"}),
    ("mark", {"text": "heard outside"}),
    ("config.get", {}),
    ("stim.stop", {}),
]


@pytest.mark.control("H5.1")
@pytest.mark.skipif(ADDRESS is None, reason="this machine has no address but loopback")
@pytest.mark.parametrize("role", test_keys.NAMES)
def test_no_key_stimulates_from_elsewhere_and_every_key_stops(
    open_host: LiveHost, keys: Keys, role: str
) -> None:
    assert ADDRESS is not None
    open_host.ok("test.stop", test="right_median")
    open_host.ok("test.start", test="right_median")
    with Ear(open_host.bus.replace("0.0.0.0", "127.0.0.1"), ("status",), key=keys["observer"]) as ear:
        hello, *current, close, stop_one, acknowledge, mark, config, stop = asked(
            open_host, ADDRESS, keys[role], *ELSEWHERE
        )
        where = "observers" if role == "observer" else "clients that are not on the cart"
        assert hello["result"]["role"] == ("observer" if role == "observer" else "remote")
        assert hello["result"]["here"] is False
        for refused in (*current, close):
            assert code(refused) == "not_allowed", refused
            assert refused["error"]["message"].startswith(f"{where} may not {refused['id']}; ask at the box")
        lesser = ("not_allowed", "not_allowed") if role == "observer" else ("ok", "bad_state")
        assert (code(stop_one), code(acknowledge)) == lesser
        assert mark["ok"] and config["ok"] and stop["ok"]
        ear.until(
            lambda m: m.topic == "status" and set(m.header["tests"].values()) == {"stopped"}, "all stopped"
        )
    open_host.ok("test.start", test="left_median")
    open_host.ok("test.start", test="right_median")


@pytest.mark.control("H5.2")
def test_who_shows_no_key_or_another_is_not_let_in(open_host: LiveHost, keys: Keys, tmp_path: Path) -> None:
    strangers = test_keys.made(tmp_path / "elsewhere")
    stranger = strangers["engineer"]
    knows_the_box = Secret("eva", "engineer", stranger.public, stranger.secret, keys["engineer"].server)
    for key in (None, stranger, knows_the_box):
        assert asked(open_host, "127.0.0.1", key, ("hello", {}), ("stim.fire", {})) == []
    with Ear(open_host.bus.replace("0.0.0.0", "127.0.0.1"), key=knows_the_box) as deaf:
        open_host.ok("mark", text="something to hear")
        assert deaf.listen(200) == []
    assert open_host.ok("hello")["key"]["name"] == "eva"


@pytest.mark.control("H6.3")
def test_the_record_tells_key_role_and_place_of_every_command(open_host: LiveHost, keys: Keys) -> None:
    said = "Ann \N{GREEK SMALL LETTER ALPHA}"
    asked(
        open_host,
        "127.0.0.1",
        keys["technologist"],
        ("mark", {"text": "x", "author": said}),
        ("snapshot", {}),
    )
    asked(open_host, "127.0.0.1", keys["observer"], ("stim.fire", {"test": "left_median"}), ("mark", {}))
    assert open_host.data is not None
    (case,) = open_host.data.iterdir()

    def noted() -> list[tuple[str, str, str]]:
        rows = read_rows(case / "case.sqlite", "SELECT actor, action, detail FROM audit ORDER BY n")
        found = [(actor, action, json.loads(detail).get("key", "")) for actor, action, detail in rows]
        return found if any(action == "bad_request" for _, action, _ in found) else []

    rows = session.until(noted, "the record")
    anna, olli = keys["technologist"].public, keys["observer"].public
    assert (f"{said}, anna (technologist)@127.0.0.1", "mark", anna) in rows
    assert ("anna (technologist)@127.0.0.1", "snapshot", anna) in rows
    assert ("olli (observer)@127.0.0.1", "stim.fire", olli) in rows, "a refusal too"
    assert ("olli (observer)@127.0.0.1", "bad_request", olli) in rows, "and what is no request"


@pytest.mark.control("H6.3")
def test_nobody_signs_with_anothers_name_alone(open_host: LiveHost, keys: Keys) -> None:
    with Ear(open_host.bus.replace("0.0.0.0", "127.0.0.1"), ("event",), key=keys["observer"]) as ear:

        def listening() -> bool:
            open_host.ok("mark", text="is anybody there")
            return bool(ear.listen())

        session.until(listening, "an event")
        said = ("mark", {"text": "mine", "author": "eva (engineer)"})
        asked(open_host, "127.0.0.1", keys["observer"], said)
        event = ear.until(lambda m: m.header["text"] == "mine", "the note").header
    assert event["author"] == "eva (engineer), olli (observer)"


@pytest.mark.parametrize(
    "address", ["", "::1", "127.0.0.1", "10.0.0.1", "192.0.2.7", "::ffff:192.0.2.7", "no"]
)
def test_who_has_no_address_is_not_here(address: str) -> None:
    assert Peer(b"x", address).here is (address in ("::1", "127.0.0.1"))


@pytest.mark.skipif(ADDRESS is None, reason="this machine has no address but loopback")
def test_this_machines_own_address_is_here() -> None:
    assert ADDRESS is not None
    assert is_own(ADDRESS) and is_own(f"::ffff:{ADDRESS}")
    head, _, last = ADDRESS.rpartition(".")
    assert not is_own(f"{head}.{(int(last) + 1) % 255}"), "a neighbour"
