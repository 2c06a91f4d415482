"""Who may come in: answers ZeroMQ's question about every handshake (ZAP), and bounds what is inside.

With keys: no client without one, no observer on the raw endpoint. Without: this machine only. Counts
connections by their file descriptor, which libzmq tells with every event and message, and hangs up on those
that break a bound. Serving thread only. Refuses to let anybody in whom it cannot count.
"""

import contextlib
import os
import socket as sockets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from hostd.keys import KeyRing
from hostd.peers import READ_RAW, UNKNOWN_KEY, Key, is_loopback

MOST_PEERS = 32
MOST_LOCAL_PEERS = 128
"""Connections of one endpoint with keys, where the network may come, and without, where only programs of this
machine may; `--peers` chooses another number."""
KEPT_FOR_OPERATORS = 8
"""So many of them are not given to observers: who may operate finds room."""
MOST_HALF_OPEN = 64
MOST_FILTERS = 256
HANDSHAKE_MS = 1000
SETTLED_NS = 2_000_000_000
"""A connection that is older has shaken hands, or libzmq has cut it."""
SHUNNED_NS = 10_000_000_000
"""For so long a key is not let in again whose connection broke a bound."""
LOOK_NS, AT_A_KNOCK_NS = 500_000_000, 50_000_000
"""How often the key files are looked at, and at most when somebody knocks: each is a call to the system."""
EVENTS_A_ROUND = 2000
_ZAP = "inproc://zeromq.zap.01"
_EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)


@dataclass(slots=True)
class _Entrance:
    """One endpoint. `since`: when each connection came, by descriptor; `granted`, `refused`: when handshakes
    were, whose connections are too young to be told apart."""

    name: str
    monitor: "zmq.Socket[bytes]"
    since: dict[int, int] = field(default_factory=dict)
    granted: deque[int] = field(default_factory=deque)
    refused: deque[int] = field(default_factory=deque)
    filters: dict[int, set[bytes]] = field(default_factory=dict)
    users: dict[int, str] = field(default_factory=dict)
    shown_out: set[int] = field(default_factory=set)
    broke: bool = False

    def taken(self, now_ns: int) -> int:
        """How many connections have shaken hands: never too few, for a moment too many."""
        for recent in (self.granted, self.refused):
            while recent and now_ns - recent[0] >= SETTLED_NS:
                recent.popleft()
        return len(self.granted) + sum(now_ns - at_ns >= SETTLED_NS for at_ns in self.since.values())

    def slowest(self, now_ns: int) -> int:
        """The oldest connection that may still be shaking hands; the newest when there is none."""
        young = (fd for fd, at_ns in self.since.items() if now_ns - at_ns < SETTLED_NS)
        waiting = (fd for fd in young if fd not in self.users and fd not in self.shown_out)
        return next(waiting, next(reversed(self.since)))

    def gone(self, fd: int, now_ns: int) -> None:
        """A connection has ended."""
        at_ns = self.since.pop(fd, None)
        self.filters.pop(fd, None)
        self.users.pop(fd, None)
        self.shown_out.discard(fd)
        if at_ns is None or now_ns - at_ns >= SETTLED_NS or self.broke:
            return
        self.taken(now_ns)
        for recent in (self.refused, self.granted):  # in doubt it was one that was not let in
            if recent:
                recent.popleft()
                return


class Door:
    """Guards the sockets of one context. `ring` None: no keys, loopback only. `clock` is monotonic ns."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        ring: KeyRing | None,
        most: int | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._context, self._ring, self._clock = context, ring, clock
        self._most = most or (MOST_LOCAL_PEERS if ring is None else MOST_PEERS)
        self._entrances: dict[str, _Entrance] = {}
        self._shunned: dict[tuple[str, str], int] = {}
        self._followed_ns = clock()
        self.counts = {"refused": 0, "full": 0, "cut": 0}
        self._zap = context.socket(zmq.REP)
        self._zap.linger = 0
        self._zap.bind(_ZAP)
        self._sockets = [self._zap]

    def guard(self, name: str, socket: "zmq.Socket[bytes]") -> None:
        """Have `socket`, not bound yet, ask here about every client."""
        socket.zap_domain = name.encode()
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)  # whoever was unplugged leaves its place within half a minute
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 10)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 5)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 4)
        if self._ring is not None:
            socket.curve_server = True
            socket.curve_publickey = self._ring.server.public.encode()
            socket.curve_secretkey = self._ring.server.secret.encode()
        told = f"inproc://door-{id(self)}-{name}"
        socket.monitor(told, _EVENTS)
        monitor = self._context.socket(zmq.PAIR)
        monitor.linger, monitor.rcvhwm = 0, 0  # a monitor that is full would stop libzmq's thread
        monitor.connect(told)
        self._entrances[name] = _Entrance(name, monitor)
        self._sockets.append(monitor)

    @property
    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """What wakes the serving thread for `attend`."""
        return self._sockets

    def attend(self) -> None:
        """One round: who came and went, and who wants to come in."""
        self._count()
        for _ in range(EVENTS_A_ROUND):
            if not self._zap.poll(0):
                break
            self._answer(self._zap.recv_multipart())

    def follow(self, every_ns: int = LOOK_NS) -> None:
        """Learn of new keys, and hang up on connections whose key was revoked, or no longer is for what they
        read; unless that was done less than `every_ns` ago."""
        now_ns = self._clock()
        if self._ring is None or now_ns - self._followed_ns < every_ns:
            return
        self._followed_ns = now_ns
        self._shunned = {who: until for who, until in self._shunned.items() if until > now_ns}
        if not self._ring.refresh():
            return
        for entrance in self._entrances.values():
            for fd, public in list(entrance.users.items()):
                key = self._ring.of(public)
                if key is None or (entrance.name == "raw" and key.role not in READ_RAW):
                    self._cut(entrance, fd)

    def key(self, frame: "zmq.Frame") -> Key | None:
        """The key that sent `frame`; None where no keys are used."""
        if self._ring is None:
            return None
        return self._ring.of(_property(frame, "User-Id")) or UNKNOWN_KEY

    def filtered(self, name: str, frame: "zmq.Frame") -> None:
        """A subscriber of `name` has said what it wants, or wants no longer: at most MOST_FILTERS things."""
        entrance, fd, said = self._entrances[name], _property(frame, "__fd"), bytes(frame.buffer)
        if not fd or said[:1] not in (b"\0", b"\1") or int(fd) not in entrance.since:
            return
        if int(fd) in entrance.shown_out:
            return
        wanted = entrance.filters.setdefault(int(fd), set())
        entrance.users[int(fd)] = user = _property(frame, "User-Id")
        if said[0]:
            wanted.add(said[1:])
        else:
            wanted.discard(said[1:])
        if len(wanted) > MOST_FILTERS:
            wanted.clear()
            self._cut(entrance, int(fd))
            if self._ring is not None:
                self._shunned[name, user] = self._clock() + SHUNNED_NS

    def asked(self, name: str, frame: "zmq.Frame") -> None:
        """A client of `name` has asked for something: from now on its connection is known by its key."""
        fd = _property(frame, "__fd")
        if fd and int(fd) in self._entrances[name].since:
            self._entrances[name].users[int(fd)] = _property(frame, "User-Id")

    def readers(self, name: str) -> int:
        """How many connections of `name` have asked for anything."""
        return sum(map(bool, self._entrances[name].filters.values()))

    @property
    def status(self) -> dict[str, int]:
        """Connections by endpoint, handshakes refused for the key or for want of room, connections cut."""
        return {name: len(e.since) for name, e in self._entrances.items()} | self.counts

    @property
    def faults(self) -> list[str]:
        """What is wrong with the key files."""
        return [] if self._ring is None else self._ring.faults

    def close(self) -> None:
        """Close what is the door's own; the guarded sockets are closed by now."""
        for socket in self.sockets:
            socket.close(0)

    def _count(self) -> None:
        for entrance in self._entrances.values():
            for _ in range(EVENTS_A_ROUND):
                if not entrance.monitor.poll(0):
                    break
                told = parse_monitor_message(entrance.monitor.recv_multipart())
                self._happened(entrance, int(told["event"]), int(told["value"]))

    def _happened(self, entrance: _Entrance, event: int, fd: int) -> None:
        if event == zmq.EVENT_ACCEPTED:
            entrance.since[fd] = self._clock()
            entrance.filters.pop(fd, None)
            entrance.shown_out.discard(fd)
            if len(entrance.since) - len(entrance.shown_out) > self._most + MOST_HALF_OPEN:
                self._cut(entrance, entrance.slowest(self._clock()))
        elif event == zmq.EVENT_DISCONNECTED:
            entrance.gone(fd, self._clock())
        entrance.broke = event not in (zmq.EVENT_ACCEPTED, zmq.EVENT_DISCONNECTED)

    def _answer(self, question: list[bytes]) -> None:
        """Say yes or no to one handshake (ZeroMQ's RFC 27)."""
        version, number, domain, address, _, _, *credentials = question
        entrance, now_ns = self._entrances[domain.decode()], self._clock()
        self._count()
        public = z85.encode(credentials[0]).decode() if credentials else ""
        code, text = self._judged(entrance, address.decode(), public, now_ns)
        (entrance.granted if code == b"200" else entrance.refused).append(now_ns)
        if code != b"200":
            self.counts["full" if code == b"300" else "refused"] += 1
        self._zap.send_multipart([version, number, code, text.encode(), public.encode(), b""])

    def _judged(self, entrance: _Entrance, address: str, public: str, now_ns: int) -> tuple[bytes, str]:
        """200, 400 (no) or 300 (not now), and why."""
        room = self._most
        if self._ring is None:
            if not is_loopback(address):
                return b"400", "without keys this bus is for programs of its own machine"
        else:
            self.follow(AT_A_KNOCK_NS)
            key = self._ring.of(public)
            if key is None:
                return b"400", "this key is not known here"
            if entrance.name == "raw" and key.role not in READ_RAW:
                return b"400", "observers do not read raw samples"
            if self._shunned.get((entrance.name, public), 0) > now_ns:
                return b"300", f"it asked for more than {MOST_FILTERS} topics; wait"
            if key.role == "observer":
                room -= min(KEPT_FOR_OPERATORS, room // 4)
        if entrance.taken(now_ns) >= room:
            return b"300", f"{room} clients are here"
        return b"200", ""

    def _cut(self, entrance: _Entrance, fd: int) -> None:
        """Hang up on a connection. libzmq has no call for it: its socket is shut down below it, and it finds
        its peer gone."""
        if fd not in entrance.since or fd in entrance.shown_out:
            return
        self.counts["cut"] += 1
        entrance.shown_out.add(fd)
        with contextlib.suppress(OSError), sockets.socket(fileno=os.dup(fd)) as connection:
            connection.getpeername()  # raises unless it is a connection
            connection.shutdown(sockets.SHUT_RDWR)


def _property(frame: "zmq.Frame", name: str) -> str:
    """What libzmq says of where a frame came from, "" when it says nothing."""
    try:
        return str(frame.get(name))
    except zmq.ZMQError:
        return ""
