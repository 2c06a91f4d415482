"""The host's end of the link: connect, shake hands, configure, then messages both ways.

Addresses: unix:PATH, tcp:HOST:PORT, serial:URL. One reader thread; `send` from any. Every failure is a
LinkError of one line; flipped bits are counted and never delivered.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from hostd import strangers
from hostd.errors import LinkError, UsageError
from hostd.peers import is_loopback, is_own
from hostd.serial_port import BROKEN, Device, SerialWire, open_wire
from hw.limits import HEARTBEAT_EVERY_S
from hw.link import (
    Configure,
    Description,
    Fault,
    Heartbeat,
    Hello,
    Message,
    Receiver,
    Rows,
    Sender,
    check_hello,
    hello,
)
from hw.rows import block_of

Answer = TypeVar("Answer", Hello, Description)

CONNECT_S = 10.0
COMPILES_S = 300.0
"""How long an edge that was just started may take: the first time it compiles its loop for the machine."""
ANSWER_S = 10.0
ASK_AGAIN_NS = 500_000_000
ASK_POLL_S = 0.05
HEARTBEAT_EVERY_NS = round(HEARTBEAT_EVERY_S * 1e9)
PROMPT_NS = 1_500_000_000
"""How long a MicroPython prompt may answer: a board that was just plugged in is starting."""


class _Wire(Protocol):
    @property
    def same_machine(self) -> bool: ...
    def read(self, timeout_s: float) -> bytes: ...
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class _SocketWire:
    def __init__(self, address: str, connected: socket.socket) -> None:
        self._address, self._socket = address, connected
        self._socket.settimeout(CONNECT_S)
        if connected.family != socket.AF_UNIX:  # a command must not wait for the answer to the one before
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        there = "127.0.0.1" if connected.family == socket.AF_UNIX else str(connected.getpeername()[0])
        self.same_machine = is_loopback(there) or is_own(there)

    def read(self, timeout_s: float) -> bytes:
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return b""
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionResetError("closed by the edge")
        return data

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class EdgeLink:
    """One connection to an edge. Raises UsageError for a bad address, LinkError when nobody is there.

    `beats`: whoever receives is alive, and `receive` says so; else whoever owns the link calls `beat`.
    `usb`: who was at a serial address, to be found wherever it is plugged in now (see `serial_port`).
    `ending`: whether nobody waits for an answer any more.
    """

    def __init__(
        self,
        address: str,
        give_up: threading.Event | None = None,
        within_s: float = CONNECT_S,
        beats: bool = True,
        usb: str = "",
        ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self.address, self._beats, self._ending = address, beats, ending
        self._wire = _open(address, give_up or threading.Event(), within_s, usb)
        self._strange = bytearray()
        self._greeted = False
        self._sender, self._receiver = Sender(), Receiver()
        self._lock = threading.Lock()
        self._beat_ns = 0
        self._early: list[Message] = []
        self.edge_boot = 0

    @property
    def counters(self) -> dict[str, int]:
        """Frames received, frames that failed their check, holes in the sequence."""
        r = self._receiver
        return {"frames": r.frames, "bad_frames": r.bad_frames, "lost_frames": r.lost_frames}

    @property
    def same_machine(self) -> bool:
        """Whether the edge is a process here: its clock is ours, and the kernel tells of its end."""
        return self._wire.same_machine

    @property
    def device(self) -> Device | None:
        """The serial device that is open; None for a socket."""
        return self._wire.device if isinstance(self._wire, SerialWire) else None

    def open(self, wanted: Configure) -> Description:
        """Shake hands and configure. Raises LinkError for another version, a refusal, silence or somebody
        else."""
        peer = self.meet("host")
        if refusal := check_hello(peer):
            device = self.device
            cure = "" if device is None else f": evokd flash --port {device.path}"
            raise LinkError(f"{self.address}: {refusal}{cure}")
        description = self._ask(wanted, Description)
        # An edge that begins anew for what is wanted says who it is once more.
        self.edge_boot = next((m.boot for m in reversed(self._early) if isinstance(m, Hello)), peer.boot)
        self._early = [m for m in self._early if not isinstance(m, Hello)]
        return description

    def meet(self, role: str) -> Hello:
        """Shake hands and no more: who is there, be it of another version. Raises LinkError for silence or
        somebody else."""
        peer = self._ask(hello(role, time.time_ns() & 0xFFFFFFFFFFFFFFFF), Hello)
        self._greeted = True
        self._strange.clear()
        self.edge_boot = peer.boot
        return peer

    def _ask(self, question: Message, kind: type[Answer]) -> Answer:
        """The next message of `kind`, asked for again until it comes: a frame may break, and a serial port
        forgets what came before it was opened. What comes before a Hello was for the host before us and is
        dropped; later messages wait until they are received, but for a fatal fault."""
        began_ns = time.monotonic_ns()
        ask_ns = 0
        others: list[Message] = []
        while (now_ns := time.monotonic_ns()) < began_ns + round(ANSWER_S * 1e9) and not self._ending():
            if now_ns >= ask_ns:
                ask_ns = now_ns + ASK_AGAIN_NS
                self.send(question)
            messages = self.receive(ASK_POLL_S)
            for at, message in enumerate(messages):
                if isinstance(message, Fault) and message.fatal and kind is not Hello:
                    fault = UsageError if message.code == "config" else LinkError
                    raise fault(f"edge: {message.text}")
                if isinstance(message, kind) and message != question:  # which a device may echo
                    self._early = messages[at + 1 :] if kind is Hello else others + messages[at + 1 :]
                    return message
                others.append(message)
            if now_ns > began_ns + PROMPT_NS and strangers.is_prompt(bytes(self._strange)):
                break
        raise LinkError(f"{self.address}: {self._no_answer(kind, question in others)}")

    def _no_answer(self, kind: type[Message], echoed: bool) -> str:
        if kind is not Hello:
            return f"the edge does not answer with {kind.__name__}; is it free of another host?"
        port = "" if self.device is None else self.device.path
        return strangers.told(bytes(self._strange), port, echoed)

    def receive(self, timeout_s: float) -> list[Message]:
        """Messages that have arrived, waiting at most `timeout_s`. Raises LinkError when the link is gone."""
        deadline_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            if self._beats and (now_ns := time.monotonic_ns()) - self._beat_ns > HEARTBEAT_EVERY_NS:
                self._beat_ns = now_ns
                self.send(Heartbeat(now_ns))
            if self._early:
                early, self._early = self._early, []
                return early
            left_s = (deadline_ns - time.monotonic_ns()) / 1e9
            wait_s = min(max(left_s, 0.0), HEARTBEAT_EVERY_NS / 1e9) if self._beats else timeout_s
            try:
                data = self._wire.read(wait_s)
            except BROKEN as error:
                raise LinkError(f"{self.address}: link lost: {error}; is the edge running?") from None
            if not self._greeted:
                self._strange += data
                del self._strange[: -strangers.MOST_KEPT]
            if data or not self._beats or left_s <= wait_s:
                heard = self._receiver.feed(data)
                return [block_of(m) if isinstance(m, Rows) else m for m in heard]

    def beat(self) -> None:
        """Say that the host is alive. Raises LinkError when the link is gone."""
        self.send(Heartbeat(time.monotonic_ns()))

    def send(self, message: Message) -> None:
        """Send one message. Raises LinkError when the link is gone, ValueError for what no frame can hold."""
        with self._lock:
            frame = self._sender.frame(message)
            try:
                self._wire.write(frame)
            except BROKEN as error:
                raise LinkError(f"{self.address}: link lost: {error}; is the edge running?") from None

    def close(self) -> None:
        """Hang up."""
        self._wire.close()


def _open(address: str, give_up: threading.Event, within_s: float, usb: str) -> _Wire:
    kind, _, rest = address.partition(":")
    if kind == "serial" and rest:
        return open_wire(rest, usb)
    if kind == "unix" and rest:
        return _connect(address, lambda: _unix(rest), give_up, within_s)
    host, _, port = rest.rpartition(":")
    if kind == "tcp" and host and port.isdecimal() and 0 < int(port) < 65536:
        where = (host, int(port))
        return _connect(address, lambda: socket.create_connection(where, CONNECT_S), give_up, within_s)
    raise UsageError(f"{address!r} is no edge; write unix:PATH, tcp:HOST:PORT or serial:DEVICE")


def _unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(CONNECT_S)  # else it waits for ever in the queue of a busy edge
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


class _Dial(Protocol):
    def __call__(self) -> socket.socket: ...


def _connect(address: str, dial: _Dial, give_up: threading.Event, within_s: float) -> _Wire:
    """Connect, trying again while the edge is still starting."""
    deadline_ns = time.monotonic_ns() + round(within_s * 1e9)
    while True:
        try:
            return _SocketWire(address, dial())
        except (OSError, UnicodeError) as error:
            hopeless = isinstance(error, UnicodeError)
            if hopeless or time.monotonic_ns() > deadline_ns or give_up.wait(0.05):
                reason = getattr(error, "strerror", None) or str(error)
                raise LinkError(f"no edge at {address}: {reason}; start one or check the address") from None
