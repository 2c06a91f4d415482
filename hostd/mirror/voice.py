"""What a mirror says to its box: that it is there, and what its own clients ask for.

Owns two connections: one keeps the promise to be heard of, by which the box tells displays where its mirror
is and misses it when it falls silent; the other hands requests on, each under the name of who asked. Serving
thread only. Waits for nothing.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import zmq

from hostd import wire
from hostd.control import error_reply
from hostd.endpoints import is_ipv6, parse_bus
from hostd.keys import Secret

PULSE_NS: Final = 1_000_000_000
WATCH_S: Final = 5.0
WITHIN_NS: Final = 3_000_000_000
"""A request that the box has not answered by then is answered with that."""
MOST_WAITING: Final = 200
FAREWELL_MS: Final = 500
Answer = Callable[[dict[str, Any]], None]


class Voice:
    """To the box at `of`; `here` is our own bus. `about` is the box's last answer to `hello`, {} at first."""

    def __init__(self, of: str, here: str, key: Secret | None) -> None:
        self._of, self._here, self._key = of, here, key
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._pulses, self._requests = self._connected(), self._connected()
        self._pulse_ns = 0
        self._asked = 0
        self._waiting: dict[int, tuple[Any, Answer, int]] = {}
        self.about: dict[str, Any] = {}
        self.toml = ""

    def _connected(self) -> "zmq.Socket[bytes]":
        address = parse_bus(self._of).control
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        socket.linger, socket.ipv6 = 0, is_ipv6(address)
        socket.immediate = True  # nothing waits for a box that is away, to be done when it comes back
        if self._key is not None:
            self._key.apply(socket)
        socket.connect(address)
        return socket

    def pulse(self, now_ns: int) -> None:
        """Once a round: say that we are there, when it is time."""
        if now_ns < self._pulse_ns:
            return
        self._pulse_ns = now_ns + PULSE_NS
        args = self._me | {"watch_s": WATCH_S, "mirror": self._here}
        if _sent(self._pulses, "hello", "hello", args) and not self.toml:
            _sent(self._pulses, "config", "config.get", {})

    def forward(self, request_id: Any, command: str, args: dict[str, Any], name: str, answer: Answer) -> bool:
        """Ask the box for `command` in the name of a client; `answer` is called when it has answered, with
        the client's own id. False when the box is away, or has too much to answer."""
        if len(self._waiting) >= MOST_WAITING:
            return False
        self._asked += 1
        # In order on one connection: who asks is known before what is asked for.
        if not (
            _sent(self._requests, "who", "hello", {"name": name, "role": "remote"})
            and _sent(self._requests, self._asked, command, args)
        ):
            return False
        self._waiting[self._asked] = request_id, answer, 0
        return True

    def answers(self, now_ns: int) -> Iterator[Callable[[], None]]:
        """What the box has answered since, to be told to whom it is for."""
        for reply in _received(self._pulses):
            self._greeted(reply)
        for reply in _received(self._requests):
            asked = reply.get("id")
            if isinstance(asked, int) and (waiting := self._waiting.pop(asked, None)) is not None:
                yield lambda w=waiting, r=reply: w[1]({**r, "id": w[0]})  # type: ignore[misc]
        for asked, (request_id, answer, since_ns) in list(self._waiting.items()):
            if not since_ns:
                self._waiting[asked] = request_id, answer, now_ns
            elif now_ns - since_ns > WITHIN_NS:
                del self._waiting[asked]
                text = (
                    f"{self._of} has not answered its mirror: whether it did it is not known; ask at the box"
                )
                reply = error_reply(request_id, "internal", text)
                yield lambda a=answer, r=reply: a(r)  # type: ignore[misc]

    def _greeted(self, reply: dict[str, Any]) -> None:
        result = reply.get("result")
        if not isinstance(result, dict):
            return
        if reply.get("id") == "config" and isinstance(result.get("toml"), str):
            self.toml = result["toml"]
        elif reply.get("id") == "hello" and isinstance(result.get("boot"), str):
            if result["boot"] != self.about.get("boot"):
                self.toml = ""  # another start may be another case
            self.about = result

    @property
    def _me(self) -> dict[str, Any]:
        return {"name": f"mirror at {self._here}", "role": "remote"}

    def close(self) -> None:
        """Take the promise back and close the connections: nobody misses a mirror that was stopped."""
        _sent(self._pulses, "farewell", "hello", self._me | {"watch_s": 0.0})
        self._pulses.close(FAREWELL_MS)
        self._requests.close(0)


def _sent(socket: "zmq.Socket[bytes]", request_id: Any, command: str, args: dict[str, Any]) -> bool:
    try:
        body = wire.encode_map({"id": request_id, "command": command, "args": args})
        socket.send_multipart([b"", body], zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True


def _received(socket: "zmq.Socket[bytes]") -> Iterator[dict[str, Any]]:
    while socket.poll(0):
        try:
            yield wire.decode_map(socket.recv_multipart()[-1])
        except ValueError:
            continue
