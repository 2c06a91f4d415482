"""The bus: numbered without holes, topics on their endpoints, late joiners complete, busy said in a line."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zmq

from hostd import wire
from hostd.bus import Bus
from hostd.client import Joined, Subscription, request, snapshot
from hostd.control import Request, RequestError, error_reply, ok_reply, parse
from hostd.endpoints import Endpoints, parse_bus
from hostd.errors import BusError
from hostd.keys import KeyRing, Secret
from hostd.outgoing import Outgoing
from hostd.peers import Peer
from tests.support.ports import free_bus
from tests.support.session import Ear, until


class Served:
    """A bus with a serving thread; `handled` keeps what was asked. Answers hello and snapshot."""

    def __init__(self, address: str, ring: KeyRing | None = None, most: int | None = None) -> None:
        self.address = address
        self.at: Endpoints = parse_bus(address)
        self.bus = Bus(self.at, "b007", "case-1", lambda index: (index * 1000, index * 1000 + 5), ring, most)
        self.handled: list[bytes] = []
        self.peers: list[Peer] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while not self._stop.is_set():
            self.bus.serve(5, self._handle)
        self.bus.close()

    def _handle(self, body: bytes, answer: Any, peer: Peer) -> None:
        self.handled.append(body)
        self.peers.append(peer)
        try:
            asked: Request = parse(body)
        except RequestError as error:
            answer(error.reply)
            return
        if asked.command == "snapshot":
            answer(ok_reply(asked.id, {"messages": self.bus.snapshot()}))
        elif asked.command == "hello":
            answer(ok_reply(asked.id))
        else:
            answer(error_reply(asked.id, "bad_state", "not here"))

    def __enter__(self) -> "Served":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(free_bus()) as bus:
        yield bus


def hears(served: Served, ear: Ear) -> None:
    """Wait until `ear` is subscribed on both endpoints."""

    def probed() -> bool:
        served.bus.post(Outgoing("event", 0, {}), Outgoing("spectrum", 0, {}))
        ear.listen(5)
        return len({m.topic for m in ear.heard}) == 2

    until(probed, "the subscription")
    ear.heard.clear()


def test_every_topic_counts_from_one_without_holes_whoever_posts(served: Served) -> None:
    topics = ["status", "event", "measure.a", "average.a", "average.b", "sweep.a", "alert"]
    with Ear(served.address) as ear:
        hears(served, ear)

        def post(name: str) -> None:
            for k in range(60):  # fewer than a queue holds
                served.bus.post(Outgoing(topics[k % len(topics)], k, {"from": name, "k": k}))

        threads = [threading.Thread(target=post, args=(name,)) for name in "xyz"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: ear.listen() is not None and len(ear.heard) >= 180, "180 messages")
        for topic in topics:
            heard = [m for m in ear.of(topic) if "k" in m.header]
            seqs = [m.header["seq"] for m in heard]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), topic
            assert seqs[0] == 1 or topic == "event"  # the probes were events
            for name in "xyz":  # one poster's messages keep their order
                own = [m.header["k"] for m in heard if m.header["from"] == name]
                assert own == sorted(own) and len(own) == len(range(topics.index(topic), 60, len(topics)))


def test_headers_are_complete_and_arrays_little_endian(served: Served) -> None:
    mean = np.arange(6, dtype=">f4").reshape(3, 2)
    with Ear(served.address) as ear:
        hears(served, ear)
        served.bus.post(Outgoing("average.x", 4000, {"mean_uv": mean, "n_sweeps": 3}))
        message = ear.until(lambda m: m.topic == "average.x", "the average")
    assert dict(message.header) == {
        "v": wire.SCHEMA_VERSION,
        "boot": "b007",
        "seq": 1,
        "case": "case-1",
        "index": 4000,
        "t_ns": 4_000_000,
        "utc_ns": 4_000_005,
        "mean_uv": {"dtype": "<f4", "shape": [3, 2], "part": 0},
        "n_sweeps": 3,
    }
    assert message.array("mean_uv").tobytes() == mean.astype("<f4").tobytes()


def test_topics_leave_by_the_endpoint_of_their_kind(served: Served) -> None:
    events = ["beat", "status", "stim", "event", "alert", "measure.a", "emg", "tof", "impedance"]
    traces = ["sweep.a", "average.a", "baseline.a", "spectrum", "wave.g", "emg.audio"]
    with Ear(served.address, raw=True) as ear:
        hears(served, ear)
        until(lambda: served.bus.raw_wanted, "the reader of raw")
        served.bus.post(*(Outgoing(topic, 1, {}) for topic in [*events, *traces, "raw"]))
        until(lambda: ear.listen() is not None and len({m.topic for m in ear.heard}) == 16, "16 topics")
        wanted = {t: {"events"} for t in events} | {t: {"traces"} for t in traces} | {"raw": {"raw"}}
        assert ear.endpoint_of == wanted


def test_raw_is_wanted_while_somebody_subscribes(served: Served) -> None:
    def subscriber(topic: bytes) -> "zmq.Socket[bytes]":
        socket = zmq.Context.instance().socket(zmq.SUB)
        socket.linger = 0
        socket.subscribe(topic)
        socket.connect(served.at.raw)
        return socket

    assert not served.bus.raw_wanted
    first, second = subscriber(b"raw"), subscriber(b"raw")
    other = subscriber(b"")
    until(lambda: served.bus.raw_wanted, "the first reader")
    first.close()
    other.close()

    def arrives() -> bool:
        served.bus.post(Outgoing("raw", 0, {}))
        return bool(second.poll(5))

    until(arrives, "raw at the second reader")
    assert served.bus.raw_wanted, "the second reader is still there"
    second.unsubscribe(b"raw")
    until(lambda: not served.bus.raw_wanted, "nobody to be left")
    second.subscribe(b"raw")
    until(lambda: served.bus.raw_wanted, "the reader to come back")
    second.close()
    until(lambda: not served.bus.raw_wanted, "the reader to be gone")


def test_bytes_sent_to_the_publishers_change_nothing(served: Served) -> None:
    for address in (served.at.events, served.at.traces, served.at.raw):
        rude = zmq.Context.instance().socket(zmq.XSUB)
        rude.linger = 1000
        rude.connect(address)
        for junk in (b"", b"\x02hello", b"\x00never subscribed", b"\xff" * 1000):
            rude.send(junk)
        rude.send_multipart([b"\x07a", b"", b"\x00raw"])
        rude.close()
    with Ear(served.address) as ear:
        hears(served, ear)
    assert request(served.address, "hello", {})["ok"] is True
    assert not served.bus.raw_wanted


TOPICS = ("status", "measure.a", "average.a", "average.b", "sweep.a")


def late_joiner(address: str, enough: int, key: Secret | None = None) -> Counter[tuple[str, int]]:
    """Subscribe first, then ask, then drop what is not newer: how often each (topic, seq) was taken."""
    taken: Counter[tuple[str, int]] = Counter()
    latest: dict[str, int] = {}
    with Subscription(address, key=key) as subscription:
        assert subscription.connected(5000)
        for message in snapshot(address, key=key):
            latest[message.topic] = message.header["seq"]
            taken[message.topic, message.header["seq"]] += 1
        while sum(taken.values()) < enough:
            for message in subscription.receive(1000):
                topic, seq = message.topic, message.header["seq"]
                if message.header["seq"] > latest.get(topic, 0):
                    latest[topic] = seq
                    taken[topic, seq] += 1
    return taken


def joined(address: str, enough: int, key: Secret | None = None) -> Counter[tuple[str, int]]:
    """The same by `Joined`, as it comes."""
    taken: Counter[tuple[str, int]] = Counter()
    with Joined(address, key=key) as case:
        while sum(taken.values()) < enough:
            taken.update((m.topic, m.header["seq"]) for m in case.receive(1000))
        assert case.holes == 0
    return taken


@contextlib.contextmanager
def publishing(served: Served) -> Iterator[None]:
    """All TOPICS, again and again, slowly enough for no queue to overflow."""
    stop = threading.Event()

    def publish() -> None:
        k = 0
        while not stop.wait(0.002):
            served.bus.post(*(Outgoing(topic, k, {"k": k}) for topic in TOPICS))
            k += 1

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        until(lambda: len(served.bus.latest_seq) == len(TOPICS), "the publisher")
        yield
    finally:
        stop.set()
        publisher.join()


def whole(taken: Counter[tuple[str, int]]) -> bool:
    """Whether each was taken once, and of every topic none is missing."""
    for topic in TOPICS:
        seqs = sorted(seq for name, seq in taken if name == topic)
        if not seqs or seqs != list(range(seqs[0], seqs[0] + len(seqs))):
            return False
    return set(taken.values()) == {1}


def test_late_joiners_lose_and_repeat_nothing(served: Served) -> None:
    with publishing(served):
        for k in range(50):
            assert whole((late_joiner, joined)[k % 2](served.address, 40))


def test_a_client_that_missed_something_asks_again_and_goes_on(served: Served) -> None:
    served.bus.post(*(Outgoing(topic, 0, {}) for topic in TOPICS))
    with Joined(served.address, ("status", "average.")) as case:
        until(lambda: len(case.receive(20)) >= 3, "the snapshot")
        asked = served.handled.count(SNAPSHOT)
        case._latest["status"] = -5  # as if its queue had been full
        served.bus.post(Outgoing("status", 1, {}))
        until(lambda: case.receive(20) and case.holes == 6, "the hole")
        served.bus.post(Outgoing("status", 2, {}))
        assert [m.header["seq"] for m in until(lambda: case.receive(20), "what follows")] == [3]
        assert served.handled.count(SNAPSHOT) == asked + 1 and case.holes == 6


SNAPSHOT = wire.encode_map({"id": 1, "command": "snapshot", "args": {}})


def test_a_snapshot_holds_the_latest_of_every_topic_that_is_state(served: Served) -> None:
    uv = np.ones((2, 1), np.float32)
    for k in range(3):
        served.bus.post(Outgoing("average.a", k, {"mean_uv": k * uv}), Outgoing("status", k, {"k": k}))
        served.bus.post(Outgoing("beat", k, {}), Outgoing("raw", k, {"counts": uv}))
    until(lambda: served.bus.latest_seq.get("raw") == 3, "the messages")
    messages = {m.topic: m for m in snapshot(served.address)}
    assert set(messages) == {"average.a", "status"}
    assert messages["status"].header["seq"] == 3 and messages["status"].header["k"] == 2
    assert messages["average.a"].array("mean_uv").tolist() == [[2.0], [2.0]]


@pytest.mark.parametrize("offset", range(4))
def test_a_busy_port_is_one_line_and_leaves_nothing_open(offset: int) -> None:
    address = free_bus()
    at = parse_bus(address)
    taken = (at.events, at.control, at.traces, at.raw)[offset]
    holder = zmq.Context.instance().socket(zmq.PUB)
    holder.linger = 0
    holder.bind(taken)
    with pytest.raises(BusError) as caught:
        Bus(at, "b", "c", lambda index: (0, 0))
    line = str(caught.value)
    assert taken in line and "Address already in use" in line and "--bus" in line and "\n" not in line
    holder.unbind(taken)
    holder.close()
    opened = until(lambda: opened_bus(at), "the ports to be free again")
    opened.close()


def opened_bus(at: Endpoints) -> Bus | None:
    with contextlib.suppress(BusError):
        return Bus(at, "b", "c", lambda index: (0, 0))
    return None


def test_an_address_of_another_machine_is_one_line() -> None:
    with pytest.raises(BusError, match=r"192\.0\.2\.1.*; name an address of this machine") as caught:
        Bus(parse_bus("tcp://192.0.2.1:7000"), "b", "c", lambda index: (0, 0))
    assert "\n" not in str(caught.value)


def test_ipv6_serves_too() -> None:
    port = free_bus().rpartition(":")[2]
    try:
        served = Served(f"tcp://[::1]:{port}")
    except BusError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with served:
        assert request(served.address, "hello", {})["ok"] is True
        with Subscription(served.address) as subscription:

            def arrived() -> list[wire.Message]:
                served.bus.post(Outgoing("status", 1, {}))
                return subscription.receive(5)

            until(arrived, "a message over IPv6")


def test_nobody_there_is_one_line() -> None:
    address = free_bus()
    with pytest.raises(BusError, match=r"does not answer 'hello'; is evokd running there\?"):
        request(address, "hello", {}, timeout_ms=50)
    with pytest.raises(BusError, match="snapshot"):
        snapshot(address, timeout_ms=50)


def talk(kind: int, address: str, frames: list[bytes]) -> list[bytes]:
    """What a client with a socket of `kind` gets back for `frames`."""
    socket = zmq.Context.instance().socket(kind)
    socket.linger = 0
    try:
        socket.connect(address)
        socket.send_multipart(frames)
        assert socket.poll(5000), "no answer"
        answer: list[bytes] = socket.recv_multipart()
        return answer
    finally:
        socket.close()


def test_req_and_dealer_clients_get_their_answer_in_their_own_envelope(served: Served) -> None:
    asked = wire.encode_map({"id": "x", "command": "hello"})
    said = wire.encode_map(ok_reply("x"))
    assert talk(zmq.REQ, served.at.control, [asked]) == [said]
    assert talk(zmq.DEALER, served.at.control, [asked]) == [said]
    assert talk(zmq.DEALER, served.at.control, [b"", asked]) == [b"", said]


def test_requests_of_many_clients_are_answered_each_to_its_own(served: Served) -> None:
    sockets = []
    for k in range(20):
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(served.at.control)
        for n in range(5):
            socket.send(wire.encode_map({"id": [k, n], "command": "hello"}))
        sockets.append(socket)
    for k, socket in enumerate(sockets):
        for n in range(5):
            assert socket.poll(5000)
            assert wire.decode_map(socket.recv())["id"] == [k, n]
        socket.close()


def test_a_client_that_leaves_before_its_answer_harms_nobody(served: Served) -> None:
    for _ in range(20):
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.linger = 100
        socket.connect(served.at.control)
        socket.send(wire.encode_map({"id": 1, "command": "snapshot"}))
        socket.close()
    assert request(served.address, "hello", {})["ok"] is True


def test_frames_around_a_request_harm_nobody(served: Served) -> None:
    asked = wire.encode_map({"id": 1, "command": "hello"})
    for frames in ([b"", b""], [b"", b"", asked], [b"x", asked], [b"a", b"b", b"c"]):
        assert wire.decode_map(talk(zmq.DEALER, served.at.control, frames)[-1])["ok"] in (True, False)
    assert request(served.address, "hello", {})["ok"] is True


def test_a_message_beyond_all_measure_ends_that_connection_alone(served: Served) -> None:
    rude = zmq.Context.instance().socket(zmq.DEALER)
    rude.linger = 0
    rude.connect(served.at.control)
    rude.send(bytes(2 << 20))
    assert not rude.poll(200)
    rude.close()
    assert all(len(body) < 1 << 20 for body in served.handled)
    assert request(served.address, "hello", {})["ok"] is True
