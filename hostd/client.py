"""A bus client: what every display of ours uses, and no private door beside it.

Not thread-safe (ZeroMQ sockets are not): one object, one thread. `key`, where the box asks for keys, is what
`hostd.keys.client_secret` reads.
"""

import contextlib
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from hostd import wire
from hostd.endpoints import is_ipv6, parse_bus
from hostd.errors import BusError
from hostd.keys import Secret

RECEIVE_HWM = 1000
ANSWER_MS = 3000
_SHAKEN = zmq.EVENT_HANDSHAKE_SUCCEEDED
_REFUSED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Subscription:
    """SUB sockets on events and traces (and raw when asked), read through one `receive`.

    `refused`: why messages of another schema version were dropped, "" while there was none; `malformed`: how
    many were no messages.
    """

    def __init__(
        self, bus: str, topics: Iterable[str] = ("",), raw: bool = False, key: Secret | None = None
    ) -> None:
        at = parse_bus(bus)
        self.refused = ""
        self._topics, self._hears_raw = tuple(topics), raw
        self.malformed = 0
        self._poller = zmq.Poller()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._waiting: list[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]] = []
        for address in [at.events, at.traces] + ([at.raw] if raw else []):
            socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
            socket.linger = 0
            socket.rcvhwm = RECEIVE_HWM
            socket.ipv6 = is_ipv6(address)
            if key is not None:
                key.apply(socket)
            for topic in self._topics:
                socket.subscribe(topic)
            monitor = socket.get_monitor_socket(_SHAKEN)
            self._waiting.append((socket, monitor))
            socket.connect(address)
            self._sockets.append(socket)
            self._poller.register(socket, zmq.POLLIN)

    def subscribe(self, topics: Iterable[str]) -> None:
        """Hear these topics too from now on."""
        more = tuple(topics)
        self._topics += more
        for socket in self._sockets if self._hears_raw or len(self._sockets) < 3 else self._sockets[:2]:
            for topic in more:
                socket.subscribe(topic)

    def connected(self, timeout_ms: int) -> bool:
        """Wait for every endpoint: True when a snapshot asked for from now on joins without a hole.

        Without waiting the question may overtake the subscriptions; holes then show in `seq`, and cure is to
        ask once more.
        """
        deadline_ns = time.monotonic_ns() + timeout_ms * 1_000_000
        while self._waiting:
            socket, monitor = self._waiting[0]
            if not monitor.poll(max(0, (deadline_ns - time.monotonic_ns()) // 1_000_000)):
                return False
            self._waiting.pop(0)
            socket.disable_monitor()
        return True

    def hear_raw(self, wanted: bool) -> None:
        """Subscribe to raw samples, or no longer: the box makes none while nobody does. Needs `raw`."""
        if wanted == self._hears_raw:
            return
        self._hears_raw = wanted
        for topic in self._topics:
            if wanted:
                self._sockets[-1].subscribe(topic)
            else:
                self._sockets[-1].unsubscribe(topic)

    def receive(self, timeout_ms: int) -> list[wire.Message]:
        """Everything that has arrived, waiting at most `timeout_ms` for the first; malformed is dropped."""
        messages: list[wire.Message] = []
        for socket, _ in self._poller.poll(timeout_ms):
            while True:
                try:
                    frames = socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                try:
                    messages.append(wire.decode(frames))
                except wire.VersionError as error:
                    self.refused = str(error)
                except ValueError:
                    self.malformed += 1
        return messages

    def close(self) -> None:
        """Close the sockets."""
        for socket, _ in self._waiting:
            socket.disable_monitor()
        for socket in self._sockets:
            socket.close(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Joined:
    """A late joiner: the latest message of every topic first, then all that follows, each once and in order.

    Subscribes, asks for the snapshot, drops what is not newer. After a hole (its own queue was full, or the
    box was started anew) it asks again; `holes` counts the messages that it missed. `answer_ms`: how long an
    answer is waited for.
    """

    def __init__(
        self,
        bus: str,
        topics: tuple[str, ...] = ("",),
        raw: bool = False,
        key: Secret | None = None,
        answer_ms: int = ANSWER_MS,
    ) -> None:
        self._bus, self._topics, self._key, self._answer_ms = bus, topics, key, answer_ms
        self._raw = raw
        self._subscription = Subscription(bus, topics, raw, key)
        self._boot = ""
        self._old_boots: deque[str] = deque(maxlen=16)
        self._latest: dict[str, int] = {}
        self._ask = True
        self.holes = 0

    @property
    def malformed(self) -> int:
        """How many messages were dropped because they were none."""
        return self._subscription.malformed

    @property
    def refused(self) -> str:
        """Why messages of another schema version were dropped, "" while there was none."""
        return self._subscription.refused

    @property
    def joined(self) -> bool:
        """Whether the snapshot is here: all that is known of the case is known."""
        return not self._ask

    def move(self, bus: str) -> None:
        """Go on at another bus that says the same messages (`hostd.route`): what is known stays known."""
        self._subscription.close()
        self._bus, self._ask = bus, True
        self._subscription = Subscription(bus, self._topics, self._raw, self._key)

    def receive(self, timeout_ms: int) -> list[wire.Message]:
        """What is new, waiting `timeout_ms` at most. Raises BusError when nobody lets us in at first."""
        told: list[wire.Message] = []
        if self._ask:
            told = self._joined(max(timeout_ms, self._answer_ms))
        return told + self._new(self._subscription.receive(0 if told else timeout_ms))

    def _joined(self, timeout_ms: int) -> list[wire.Message]:
        """The snapshot, behind what is here already; at first it is an error when nobody answers."""
        first = not self._boot
        if not self._subscription.connected(timeout_ms) and first:
            raise BusError(f"{self._bus} does not let us in; is evokd running there, and is this its key?")
        try:
            latest = snapshot(self._bus, timeout_ms, key=self._key)
        except BusError:
            if first:
                raise
            return []
        self._ask = False
        return ([] if first else self._new(self._subscription.receive(0))) + self._new(latest)

    def _new(self, messages: list[wire.Message]) -> list[wire.Message]:
        new = []
        for message in messages:
            topic, header = message.topic, message.header
            boot, seq = header.get("boot"), header.get("seq")
            if not topic.startswith(self._topics) or not isinstance(boot, str) or not isinstance(seq, int):
                continue
            if boot != self._boot:
                if boot in self._old_boots:
                    continue
                self._ask = self._boot != ""
                self._old_boots.append(self._boot)
                self._boot = boot
                self._latest.clear()
            before = self._latest.get(topic)
            if before is not None and seq <= before:
                continue
            if before is not None and seq > before + 1:
                self.holes += seq - before - 1
                self._ask = True
            self._latest[topic] = seq
            new.append(message)
        return new

    def close(self) -> None:
        """Close the sockets."""
        self._subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Control:
    """A control connection that stays open, so that the box knows whose requests are one client's.

    A reply that comes after its time is dropped. Not thread-safe.
    """

    def __init__(self, bus: str, key: Secret | None = None) -> None:
        self._address = parse_bus(bus).control
        self._key = key
        self._asked = 0
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        socket.linger, socket.ipv6 = 0, is_ipv6(self._address)
        if key is not None:
            key.apply(socket)
        self._socket = socket
        self._monitor: zmq.Socket[bytes] = socket.get_monitor_socket(_REFUSED)
        socket.connect(self._address)

    def send(self, command: str, args: dict[str, Any], timeout_ms: int = ANSWER_MS) -> int:
        """Send one request, wait for nothing; its id. The box answers requests in order."""
        self._asked += 1
        self._socket.sndtimeo = timeout_ms  # a connection that was refused takes nothing any more
        body = wire.encode_map({"id": self._asked, "command": command, "args": args})
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart([b"", body])
        return self._asked

    def ask(self, command: str, args: dict[str, Any], timeout_ms: int = ANSWER_MS) -> dict[str, Any]:
        """Send one request, return the reply map. Raises BusError when nobody answers in time."""
        asked = self.send(command, args, timeout_ms)
        deadline_ns = time.monotonic_ns() + timeout_ms * 1_000_000
        while self._socket.poll(max(0, (deadline_ns - time.monotonic_ns()) // 1_000_000)):
            reply = wire.decode_map(self._socket.recv_multipart()[-1])
            if reply.get("id") == asked:
                return reply
        raise BusError(f"{self._address} does not answer {command!r}; {_reason(self._monitor, self._key)}")

    def close(self) -> None:
        """Close the connection; what was sent and not delivered is dropped."""
        self._socket.disable_monitor()
        self._socket.close(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def request(
    bus: str, command: str, args: dict[str, Any], timeout_ms: int = ANSWER_MS, *, key: Secret | None = None
) -> dict[str, Any]:
    """Send one control request, return the reply map. Raises BusError when nobody answers in time."""
    with Control(bus, key) as control:
        return control.ask(command, args, timeout_ms)


def _reason(monitor: "zmq.Socket[bytes]", key: Secret | None) -> str:
    """What the handshakes that failed say of why nobody answers."""
    event = None
    while monitor.poll(0):
        event = recv_monitor_message(monitor)
    if event is None:
        return "is evokd running there?"
    if key is None:
        return "it asks for a key: give --keys"
    if event["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH and event["value"] == 400:
        return f"it does not know the key {key.name!r}, or has revoked it"
    if event["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return "it has no room for another client now"
    return "its own key is not the one that this key was made for, or it has no keys at all"


def snapshot(bus: str, timeout_ms: int = ANSWER_MS, *, key: Secret | None = None) -> list[wire.Message]:
    """The latest message of every topic, for a late joiner: subscribe first (see `connected`), then ask, then
    drop what is not newer. Raises BusError when nobody answers."""
    reply = request(bus, "snapshot", {}, timeout_ms, key=key)
    listed = reply.get("result", {}).get("messages", [])
    return [wire.Message(m["topic"], m["header"], m["parts"]) for m in listed]
