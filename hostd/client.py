"""A bus client: what every display of ours uses, and no private door beside it.

Not thread-safe (ZeroMQ sockets are not): one object, one thread.
"""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import zmq

from hostd import wire
from hostd.endpoints import is_ipv6, parse_bus
from hostd.errors import BusError

RECEIVE_HWM = 1000


class Subscription:
    """SUB sockets on events and traces (and raw when asked), read through one `receive`.

    `refused`: why messages of another schema version were dropped, "" while there was none.
    """

    def __init__(self, bus: str, topics: Iterable[str] = ("",), raw: bool = False) -> None:
        at = parse_bus(bus)
        self.refused = ""
        self._poller = zmq.Poller()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._waiting: list[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]] = []
        for address in [at.events, at.traces] + ([at.raw] if raw else []):
            socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
            socket.linger = 0
            socket.rcvhwm = RECEIVE_HWM
            socket.ipv6 = is_ipv6(address)
            for topic in topics:
                socket.subscribe(topic)
            monitor = socket.get_monitor_socket(zmq.Event.HANDSHAKE_SUCCEEDED)
            self._waiting.append((socket, monitor))
            socket.connect(address)
            self._sockets.append(socket)
            self._poller.register(socket, zmq.POLLIN)

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
                    continue
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


def request(bus: str, command: str, args: dict[str, Any], timeout_ms: int = 3000) -> dict[str, Any]:
    """Send one control request, return the reply map. Raises BusError when nobody answers in time."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    address = parse_bus(bus).control
    socket.ipv6 = is_ipv6(address)
    try:
        socket.connect(address)
        socket.send_multipart([b"", wire.encode_map({"id": 1, "command": command, "args": args})])
        if not socket.poll(timeout_ms):
            raise BusError(f"{address} does not answer {command!r}; is evokd running there?")
        return wire.decode_map(socket.recv_multipart()[-1])
    finally:
        socket.close(0)


def snapshot(bus: str, timeout_ms: int = 3000) -> list[wire.Message]:
    """The latest message of every topic, for a late joiner: subscribe first (see `connected`), then ask, then
    drop what is not newer. Raises BusError when nobody answers."""
    reply = request(bus, "snapshot", {}, timeout_ms)
    listed = reply.get("result", {}).get("messages", [])
    return [wire.Message(m["topic"], m["header"], m["parts"]) for m in listed]
