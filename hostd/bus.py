"""The bus: four endpoints, numbered messages, the latest of every topic kept for late joiners.

The only place that publishes. One thread owns the sockets; others hand messages over with `post`. Queues are
per endpoint, so that an alert never waits behind a trace. Who may come in is the door's to say.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from hostd import wire
from hostd.door import Door
from hostd.endpoints import Endpoints, is_ipv6
from hostd.errors import BusError
from hostd.keys import KeyRing
from hostd.outgoing import Outgoing
from hostd.peers import Peer

EVENT_HWM = 10_000
TRACE_HWM = 200
RAW_HWM = 200
ANSWER_HWM = 200
MAX_REQUEST_BYTES = 1 << 16
MAX_RECEIVED_BYTES = MAX_REQUEST_BYTES + 4096
"""A request that is a little too long hears so; libzmq hangs up on whoever sends more."""
MAX_FILTER_BYTES = 4096
REQUESTS_A_ROUND, FILTERS_A_ROUND = 64, 1000
"""A flood of requests or of topics must not keep the serving thread from publishing."""
NOT_KEPT = ("beat", "raw")
TRACES = ("sweep.", "average.", "baseline.", "spectrum", "wave.", "emg.audio")

Stamp = Callable[[int], tuple[int, int]]


Handler = Callable[[bytes, Callable[[dict[str, Any]], None], Peer], None]


class Bus:
    """Opens the endpoints: with the keys of `ring`, or for this machine alone. Raises BusError when one
    cannot be bound. `most`: connections of an endpoint, None for what is usual."""

    def __init__(
        self,
        at: Endpoints,
        boot: str,
        case: str,
        stamp: Stamp,
        ring: KeyRing | None = None,
        most: int | None = None,
    ) -> None:
        self._boot, self._case, self._stamp = boot, case, stamp
        self.addresses = {"events": at.events, "control": at.control, "traces": at.traces, "raw": at.raw}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._posted: queue.SimpleQueue[Outgoing | Callable[[], None]] = queue.SimpleQueue()
        self._seq: dict[str, int] = {}
        self._latest: dict[str, tuple[dict[str, Any], list[bytes]]] = {}
        self._raw_readers = 0
        self._wake_lock = threading.Lock()
        wake = f"inproc://wake-{id(self)}"
        self._wake_out = self._context.socket(zmq.PUSH)
        self._wake_in = self._context.socket(zmq.PULL)
        self._wake_in.bind(wake)
        self._wake_out.connect(wake)
        self._door = Door(self._context, ring, most)
        try:
            self._events = self._bind("events", zmq.XPUB, at.events, EVENT_HWM)
            self._control = self._bind("control", zmq.ROUTER, at.control, ANSWER_HWM)
            self._traces = self._bind("traces", zmq.XPUB, at.traces, TRACE_HWM)
            self._raw = self._bind("raw", zmq.XPUB, at.raw, RAW_HWM)
        except BusError:
            self._context.destroy(0)
            raise
        self._subscribed = {"events": self._events, "traces": self._traces, "raw": self._raw}
        self._poller = zmq.Poller()
        for socket in (self._wake_in, self._control, *self._subscribed.values(), *self._door.sockets):
            self._poller.register(socket, zmq.POLLIN)

    def _bind(self, name: str, kind: int, address: str, hwm: int) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.linger = 500
        socket.sndhwm = hwm
        socket.maxmsgsize = MAX_FILTER_BYTES if kind == zmq.XPUB else MAX_RECEIVED_BYTES
        if kind == zmq.XPUB:
            socket.setsockopt(zmq.XPUB_VERBOSER, 1)  # the door counts filters by connection
        self._door.guard(name, socket)
        socket.ipv6 = is_ipv6(address)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            busy = error.errno == zmq.EADDRINUSE
            cure = "another evokd there? choose another --bus" if busy else "name an address of this machine"
            raise BusError(f"cannot open {address}: {zmq.strerror(error.errno or 0)}; {cure}") from None
        return socket

    @property
    def raw_wanted(self) -> bool:
        """True while somebody subscribes to raw. Any thread."""
        return self._raw_readers > 0

    def post(self, *items: Outgoing | Callable[[], None]) -> None:
        """Hand messages (or something to do) to the serving thread, in order. Any thread."""
        for item in items:
            self._posted.put(item)
        if items:
            with self._wake_lock, contextlib.suppress(zmq.Again):  # full: it is awake
                self._wake_out.send(b"", zmq.NOBLOCK)

    def serve(self, timeout_ms: int, handle: Handler) -> None:
        """One round of the serving thread: publish what was posted, answer what was asked."""
        ready = {socket for socket, _ in self._poller.poll(timeout_ms)}
        if not ready.isdisjoint(self._door.sockets):
            self._door.attend()
        self._door.follow()
        if self._wake_in in ready:
            while self._wake_in.poll(0):
                self._wake_in.recv()
        self._publish_posted()
        self._subscriptions()
        if self._control in ready:
            self._requests(handle)
        self._publish_posted()

    def _publish_posted(self) -> None:
        while not self._posted.empty():
            item = self._posted.get()
            if isinstance(item, Outgoing):
                self.publish(item)
            else:
                item()

    def publish(self, message: Outgoing) -> None:
        """Number and send one message. Serving thread only."""
        topic = message.topic
        seq = self._seq.get(topic, 0) + 1
        self._seq[topic] = seq
        fields, parts = wire.pack_arrays(message.fields)
        t_ns, utc_ns = self._stamp(message.index)
        header = {
            "v": wire.SCHEMA_VERSION,
            "boot": self._boot,
            "seq": seq,
            "case": self._case,
            "index": message.index,
            "t_ns": t_ns,
            "utc_ns": utc_ns,
        } | fields
        self.send(topic, header, parts)
        if topic not in NOT_KEPT:
            self.keep(topic, header, parts)

    def send(self, topic: str, header: dict[str, Any], parts: list[bytes]) -> None:
        """Send one message that is numbered already, where its topic belongs. Serving thread only."""
        self.send_frames(topic, wire.encode(topic, header, parts))

    def send_frames(self, topic: str, frames: list[bytes]) -> None:
        """Send frames as they are where `topic` belongs. Serving thread only."""
        if topic == "raw":
            socket = self._raw
        elif topic.startswith(TRACES):
            socket = self._traces
        else:
            socket = self._events
        socket.send_multipart(frames, copy=False)

    def keep(self, topic: str, header: dict[str, Any], parts: list[bytes]) -> None:
        """Have a message in the snapshot. Serving thread only."""
        self._latest[topic] = (header, parts)

    def pass_on(self, topic: str, header: dict[str, Any], parts: Sequence[bytes]) -> None:
        """Send another box's message as it is, and keep it if it is state. Serving thread only."""
        self.send(topic, header, list(parts))
        if topic not in NOT_KEPT:
            self.keep(topic, header, list(parts))

    def forget(self) -> None:
        """Have nothing in the snapshot any more: what comes is of another start. Serving thread only."""
        self._latest.clear()

    @property
    def clients(self) -> dict[str, int]:
        """What `status` says of who is connected. Serving thread only."""
        return self._door.status

    @property
    def faults(self) -> list[str]:
        """What is wrong with the keys of a running box. Serving thread only."""
        return self._door.faults

    @property
    def latest_seq(self) -> dict[str, int]:
        """Latest sequence number per topic."""
        return dict(self._seq)

    def snapshot(self) -> list[dict[str, Any]]:
        """The latest message of every topic that is state. Serving thread only."""
        return [{"topic": t, "header": h, "parts": p} for t, (h, p) in self._latest.items()]

    def _subscriptions(self) -> None:
        """Take note of who came and went. Polling makes them count from the next message on; sending alone
        looks for them about once a millisecond."""
        for name, socket in self._subscribed.items():
            for _ in range(FILTERS_A_ROUND):
                if not socket.poll(0):
                    break
                self._door.filtered(name, socket.recv(copy=False))
        self._raw_readers = self._door.readers("raw")

    def _requests(self, handle: Handler) -> None:
        for _ in range(REQUESTS_A_ROUND):
            if not self._control.poll(0):
                return
            frames = self._control.recv_multipart(copy=False)
            identity, *rest = (bytes(frame.buffer) for frame in frames)
            peer = Peer(identity, _address(frames[-1]), self._door.key(frames[-1]))
            self._door.asked("control", frames[-1])
            self._subscriptions()  # who subscribed before asking for a snapshot gets all that follows it
            envelope = rest[:-1] if len(rest) > 1 and not rest[0] else []
            body = rest[-1] if rest else b""

            def reply(answer: dict[str, Any], to: list[bytes] = [identity, *envelope]) -> None:  # noqa: B006
                self._control.send_multipart([*to, wire.encode_map(answer)])

            handle(body, reply, peer)

    def close(self) -> None:
        """Close the endpoints; what was sent gets half a second to leave."""
        self._publish_posted()
        for socket in (self._events, self._control, self._traces, self._raw, self._wake_out, self._wake_in):
            socket.close()
        self._door.close()
        self._context.term()


def _address(frame: "zmq.Frame") -> str:
    """The address that a frame came from, "" when it is not known."""
    try:
        return str(frame.get("Peer-Address"))
    except zmq.ZMQError:
        return ""
