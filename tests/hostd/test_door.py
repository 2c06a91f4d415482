"""The door of the bus: who is let in with which key, how many, what a client may ask for before it is shown
out, and that nobody else notices."""

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from hostd import keys as key_files
from hostd import wire
from hostd.bus import MAX_FILTER_BYTES, REQUESTS_A_ROUND, Bus
from hostd.client import request
from hostd.door import MOST_FILTERS, MOST_HALF_OPEN, SETTLED_NS, _Entrance
from hostd.endpoints import parse_bus
from hostd.errors import BusError
from hostd.keys import KeyRing, Secret
from hostd.outgoing import Outgoing
from hostd.route import Route
from hostd.web.feed import Feed
from tests.hostd.test_bus import Served, hears, joined, late_joiner, publishing, whole
from tests.support.keys import made
from tests.support.ports import free_bus
from tests.support.session import Ear, until

Keys = dict[str, Secret]
SHAKEN = zmq.EVENT_HANDSHAKE_SUCCEEDED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def keys(folder: Path) -> Keys:
    return made(folder)


@pytest.fixture
def kept(folder: Path, keys: Keys) -> Iterator[Served]:
    """A bus with keys and room for eight at each endpoint, six of them observers."""
    with Served(free_bus(), KeyRing(folder), most=8) as bus:
        yield bus


@pytest.fixture
def plain() -> Iterator[Served]:
    with Served(free_bus(), most=8) as bus:
        yield bus


class Knocking:
    """A client that connects to `address` with `key`; `events` tell whether it was let in or shown out."""

    def __init__(self, kind: int, address: str, key: Secret | None = None, filters: int = 1) -> None:
        self.socket = zmq.Context.instance().socket(kind)
        self.socket.linger = 0
        if key is not None:
            key.apply(self.socket)
        self._monitor = self.socket.get_monitor_socket(SHAKEN | zmq.EVENT_DISCONNECTED)
        self.events: list[int] = []
        if kind == zmq.SUB:
            for k in range(filters):
                self.socket.subscribe(b"" if k == 0 else b"%d" % k)
        self.socket.connect(address)

    def _look(self) -> list[int]:
        while self._monitor.poll(5):
            self.events.append(recv_monitor_message(self._monitor)["event"])
        return self.events

    def waits_inside(self) -> None:
        until(lambda: self._look()[-1:] == [SHAKEN], "being let in")

    def waits_outside(self, times: int = 1) -> None:
        until(lambda: self._look().count(zmq.EVENT_DISCONNECTED) >= times, "being shown out")

    def close(self) -> None:
        if not self.socket.closed:
            self.socket.disable_monitor()
            self.socket.close()


@contextlib.contextmanager
def knocking(*given: Knocking) -> Iterator[tuple[Knocking, ...]]:
    try:
        yield given
    finally:
        for one in given:
            one.close()


def test_late_joiners_with_keys_lose_and_repeat_nothing(kept: Served, keys: Keys) -> None:
    with publishing(kept):
        for k in range(30):
            join = (late_joiner, joined)[k % 2]
            assert whole(join(kept.address, 30, tuple(keys.values())[k % 3]))


@pytest.mark.parametrize("role", ["observer", "technologist", "engineer"])
def test_raw_samples_are_not_for_observers(kept: Served, keys: Keys, role: str) -> None:
    with knocking(Knocking(zmq.SUB, kept.at.raw, keys[role])) as (reader,):
        if role == "observer":
            reader.waits_outside()
            assert not kept.bus.raw_wanted and SHAKEN not in reader.events
        else:
            until(lambda: kept.bus.raw_wanted, "the reader")


@pytest.mark.control("H5.2")
def test_without_a_key_of_the_box_every_endpoint_stays_shut(kept: Served, keys: Keys, tmp_path: Path) -> None:
    stranger = made(tmp_path / "others")["engineer"]
    other = Secret("eva", "engineer", stranger.public, stranger.secret, keys["engineer"].server)
    ends = {
        kept.at.events: zmq.SUB,
        kept.at.control: zmq.DEALER,
        kept.at.traces: zmq.SUB,
        kept.at.raw: zmq.SUB,
    }
    for address, kind in ends.items():
        for key in (None, stranger, other):
            with knocking(Knocking(kind, address, key)) as (client,):
                client.waits_outside()
                assert SHAKEN not in client.events
    assert not kept.handled


@pytest.mark.parametrize(
    ("who", "why"),
    [(None, "give --keys"), ("other", "does not know the key"), ("stranger", "its own key is not")],
)
def test_who_is_not_let_in_hears_why(
    kept: Served, keys: Keys, tmp_path: Path, who: str | None, why: str
) -> None:
    stranger = made(tmp_path / "others")["engineer"]
    other = Secret("eva", "engineer", stranger.public, stranger.secret, keys["engineer"].server)
    key = {"other": other, "stranger": stranger}.get(who or "")
    with pytest.raises(BusError, match=why):
        request(kept.address, "hello", {}, 500, key=key)


@pytest.mark.control("H16.1")
def test_a_full_house_keeps_room_for_who_operates_and_lets_in_again(kept: Served, keys: Keys) -> None:
    observers = [Knocking(zmq.SUB, kept.at.events, keys["observer"]) for _ in range(6)]
    with knocking(*observers):
        for one in observers:
            one.waits_inside()
        with (
            knocking(Knocking(zmq.SUB, kept.at.events, keys["observer"])) as (seventh,),
            knocking(*(Knocking(zmq.SUB, kept.at.events, keys["engineer"]) for _ in range(2))) as operators,
        ):
            seventh.waits_outside()
            for one in operators:
                one.waits_inside()
            with knocking(Knocking(zmq.SUB, kept.at.events, keys["engineer"])) as (ninth,):
                ninth.waits_outside()
                assert SHAKEN not in ninth.events and SHAKEN not in seventh.events
            operators[0].close()
            observers[0].close()
            observers[1].close()
            seventh.waits_inside()
    assert kept.bus.clients["full"] >= 2


@pytest.mark.parametrize("end", ["control", "raw"])
def test_without_keys_connections_are_counted_too(plain: Served, end: str) -> None:
    kind = zmq.DEALER if end == "control" else zmq.SUB
    address = getattr(plain.at, end)
    inside = [Knocking(kind, address) for _ in range(8)]
    with knocking(*inside):
        for one in inside:
            one.waits_inside()
        with knocking(Knocking(kind, address)) as (ninth,):
            ninth.waits_outside()
            assert SHAKEN not in ninth.events


@pytest.mark.control("H16.1")
def test_who_asks_for_too_many_topics_is_shown_out_and_nobody_else(kept: Served, keys: Keys) -> None:
    with Ear(kept.address, key=keys["technologist"]) as ear:
        hears(kept, ear)
        just = Knocking(zmq.SUB, kept.at.events, keys["engineer"], MOST_FILTERS)
        over = Knocking(zmq.SUB, kept.at.events, keys["observer"], MOST_FILTERS + 1)
        with knocking(just, over):
            over.waits_outside()
            just.waits_inside()
            kept.bus.post(Outgoing("status", 1, {}))
            ear.until(lambda m: m.topic == "status", "what is published")
            until(lambda: just.socket.poll(20), "the same")
            over.waits_outside(2)
            assert over.events.count(SHAKEN) == 1, "it comes again and is not let in"
            assert zmq.EVENT_DISCONNECTED not in just.events
    assert kept.bus.clients["cut"] == 1


def test_topics_taken_back_are_not_counted(plain: Served) -> None:
    with knocking(Knocking(zmq.SUB, plain.at.events)) as (client,):
        for k in range(3 * MOST_FILTERS):
            client.socket.subscribe(b"t%d" % k)
            client.socket.unsubscribe(b"t%d" % k)
        client.socket.subscribe(b"status")

        def heard() -> bool:
            plain.bus.post(Outgoing("status", 1, {}))
            return bool(client.socket.poll(5))

        until(heard, "a message")
        client.waits_inside()
    assert plain.bus.clients["cut"] == 0


def test_a_topic_beyond_all_measure_ends_that_connection_alone(plain: Served) -> None:
    with Ear(plain.address) as ear, knocking(Knocking(zmq.SUB, plain.at.traces)) as (rude,):
        hears(plain, ear)
        rude.waits_inside()
        rude.socket.subscribe(b"x" * (MAX_FILTER_BYTES + 1))
        rude.waits_outside()
        hears(plain, ear)


@pytest.mark.control("H16.1")
def test_half_open_connections_are_bounded_and_keep_nobody_out(kept: Served, keys: Keys) -> None:
    port = int(kept.at.control.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        for _ in range(8 + MOST_HALF_OPEN + 20):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        until(lambda: kept.bus.clients["cut"] >= 20, "as many to be shown out")
        assert request(kept.address, "hello", {}, key=keys["technologist"])["ok"], "who does shake hands"
    until(lambda: kept.bus.clients["control"] == 0, "all gone")


@pytest.mark.control("H5.3")
def test_a_key_that_is_revoked_hears_no_more(kept: Served, keys: Keys, folder: Path) -> None:
    anna, eva = keys["technologist"], keys["engineer"]
    with (
        Ear(kept.address, key=eva) as ear,
        knocking(Knocking(zmq.SUB, kept.at.events, anna), Knocking(zmq.DEALER, kept.at.control, anna)) as (
            subscriber,
            asker,
        ),
    ):
        hears(kept, ear)
        asker.socket.send(wire.encode_map({"id": 1, "command": "hello"}))
        assert asker.socket.poll(10_000)
        until(lambda: subscriber.socket.poll(20) or hears(kept, ear), "the subscription")
        key_files.revoke(folder, "anna")
        with contextlib.suppress(BusError):  # somebody knocks before the door has looked by itself
            request(kept.address, "hello", {}, 50, key=anna)
        subscriber.waits_outside()
        asker.waits_outside()
        subscriber.waits_outside(2)
        assert subscriber.events.count(SHAKEN) == 1
        hears(kept, ear)


def test_an_engineer_made_observer_reads_no_more_raw(kept: Served, keys: Keys, folder: Path) -> None:
    with knocking(Knocking(zmq.SUB, kept.at.raw, keys["engineer"])) as (reader,):
        until(lambda: kept.bus.raw_wanted, "the reader")
        path = folder / "eva.key"
        path.write_text(path.read_text().replace("engineer", "observer"))
        reader.waits_outside()
        until(lambda: not kept.bus.raw_wanted, "nobody")


def test_the_web_displays_ear_shows_its_key(kept: Served, keys: Keys) -> None:
    stop, heard = threading.Event(), queue.SimpleQueue[list[wire.Message]]()
    topics: set[str] = set()
    kept.bus.post(Outgoing("status", 1, {"kept": True}))
    feed = threading.Thread(target=Feed(Route([kept.address]), heard.put, stop, keys["observer"]).run)
    feed.start()

    def lively() -> bool:
        if topics:  # the snapshot has come, and will not be asked for again
            kept.bus.post(Outgoing("event", 1, {}))
        with contextlib.suppress(queue.Empty):
            topics.update(m.topic for m in heard.get(timeout=0.05))
        return topics == {"status", "event"}

    try:
        until(lively, "the snapshot and what follows it")
    finally:
        stop.set()
        feed.join()


@pytest.mark.control("H15.3")
def test_a_flood_of_requests_leaves_time_to_publish() -> None:
    bus = Bus(parse_bus(address := free_bus()), "b", "c", lambda index: (0, 0))
    client = zmq.Context.instance().socket(zmq.DEALER)
    client.linger = 0
    client.connect(parse_bus(address).control)
    for _ in range(500):
        client.send(b"x")
    handled: list[int] = [0]
    most = 0
    while sum(handled) < 500:
        handled.append(0)

        def count(*_: object) -> None:
            handled[-1] += 1

        bus.serve(20, count)
        most = max(most, handled[-1])
    client.close()
    bus.close()
    assert most == REQUESTS_A_ROUND


def test_seats_are_never_reckoned_too_few() -> None:
    end = _Entrance("events", None)  # type: ignore[arg-type]
    for fd in (1, 2, 3):  # two were let in, one is still shaking hands
        end.since[fd] = 0
    end.granted.extend((0, 10))
    assert end.taken(20) == 2
    end.gone(1, 30)
    assert end.taken(40) == 1, "one that came and went leaves its place at once"
    end.refused.append(50)
    end.since[4] = 45
    end.gone(4, 60)
    assert end.taken(70) == 1, "one that was refused took none"
    assert end.taken(SETTLED_NS + 20) == 2, "what is old and still there has been let in"
    end.gone(2, SETTLED_NS + 30)
    assert end.taken(SETTLED_NS + 40) == 1


def test_of_too_many_half_open_connections_the_slowest_goes() -> None:
    end = _Entrance("events", None)  # type: ignore[arg-type]
    for fd in (7, 3, 9, 4):
        end.since[fd] = SETTLED_NS if fd != 7 else 0
    end.users[3] = "somebody"
    assert end.slowest(SETTLED_NS + 1) == 9, "7 has shaken hands long ago, 3 has been heard"
    end.shown_out.add(9)
    assert end.slowest(SETTLED_NS + 1) == 4
    assert end.slowest(3 * SETTLED_NS) == 4, "none is left: the newest"
