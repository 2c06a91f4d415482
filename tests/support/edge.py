"""An edge for tests: the real server in a thread, a source that the test scripts, hosts that misbehave."""

import contextlib
import os
import queue
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from firmware.ports import Command, Put, Source
from firmware.server import Server
from firmware.transport import Listener, SocketStream, Stream
from firmware.update.talk import Updates
from hw.frames import unpack24
from hw.link import (
    Block,
    Configure,
    Description,
    Ended,
    Heartbeat,
    Hello,
    Message,
    Receiver,
    Sender,
    Start,
    StimStop,
    hello,
)
from hw.samples import SampleBlock

WITHIN_S = 8.0
Kind = TypeVar("Kind", bound=Message)


def wanted(rate_hz: float = 4000.0, threshold: float = float("nan")) -> Configure:
    """A configuration as the host sends it; its threshold is NaN, as it mostly is."""
    channels = ("CP3", "CP4", "Fpz", "C5S")
    return Configure(rate_hz, 24, channels, ("left median",), ("",) * 4, "", threshold, ())


class ScriptedSource:
    """Delivers what the test puts into `items`, until Ended or an exception; keeps its `commands`.

    `heard_ns` is when its host was heard last (-1: never), `beats` how often.
    """

    def __init__(self, patient: bool = False) -> None:
        self.patient = patient
        self.items: queue.SimpleQueue[SampleBlock | Message | BaseException] = queue.SimpleQueue()
        self.commands: queue.Queue[Command] = queue.Queue()
        self.configured: list[Configure] = []
        self.refusal: BaseException | None = None
        self.description = Description("scripted", 4000.0, ("a", "b", "c"), (1.0,) * 3, (0.0,) * 3, 0.0, 4)
        self.delivered, self.ended = threading.Event(), threading.Event()
        self.heard_ns, self.beats = -1, 0

    def configure(self, wanted: Configure) -> Description:
        if self.refusal is not None:
            raise self.refusal
        self.configured.append(wanted)
        return self.description

    def command(self, command: Command) -> None:
        self.commands.put(command)

    def heard(self, t_ns: int) -> None:
        self.heard_ns = t_ns
        self.beats += t_ns > 0

    def run(self, put: Put, stop: threading.Event) -> None:
        try:
            self._run(put, stop)
        finally:
            self.ended.set()

    def _run(self, put: Put, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                item = self.items.get(timeout=0.01)
            except queue.Empty:
                self.delivered.set()
                continue
            if isinstance(item, BaseException):
                raise item
            put(item)
            if isinstance(item, Ended):
                return

    def stopped(self) -> StimStop:
        """The next StimStop that it was given, other commands passed over."""
        while True:
            if isinstance(command := self.commands.get(timeout=WITHIN_S), StimStop):
                return command


class HandedOver:
    """A listener whose next hosts are what the test puts into `queue`: streams, or errors to raise."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Stream | Exception] = queue.SimpleQueue()

    def accept(self, stopped: Callable[[], bool]) -> Stream | None:
        while not stopped():
            with contextlib.suppress(queue.Empty):
                item = self.queue.get(timeout=0.005)
                if isinstance(item, Exception):
                    raise item
                return item
        return None

    def close(self) -> None:
        """Nothing is open."""

    def host(self, breaks_at: bytes = b"") -> "RawHost":
        """A host over a socket pair; writing a frame that holds `breaks_at` finds it gone."""
        ours, theirs = socket.socketpair()
        stream = SocketStream(theirs)
        real = stream.write

        def write(data: bytes) -> None:
            if breaks_at and breaks_at in data:
                raise EOFError("broken")
            real(data)

        stream.write = write  # type: ignore[method-assign]
        self.queue.put(stream)
        return RawHost(ours)


class Served:
    """A server that runs in a thread; `failure` is what it raised."""

    def __init__(self, source: Source, listener: "str | HandedOver", updates: Updates | None = None) -> None:
        self.address = listener if isinstance(listener, str) else ""
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self._listener: Any = Listener(listener) if isinstance(listener, str) else listener
        self.server = Server(source, self._listener, self.stop, updates=updates)
        self._thread = threading.Thread(target=self._run, name="test-edge", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.server.run()
        except BaseException as error:  # noqa: BLE001 (the test looks at it)
            self.failure = error

    def ended(self) -> bool:
        """Whether it ends by itself, in time."""
        self._thread.join(WITHIN_S)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop it; an edge that does not stop is a failed test."""
        self.stop.set()
        ended = self.ended()
        self._listener.close()
        assert ended, "the edge does not end"


@contextlib.contextmanager
def served(source: Source, listener: "str | HandedOver") -> Iterator[Served]:
    """`source` served at an address, or to hosts that are handed over, until the block is left."""
    edge = Served(source, listener)
    try:
        yield edge
    finally:
        edge.close()


class RawHost:
    """A host by hand: nothing is sent that the test does not send, heartbeats neither."""

    def __init__(self, where: str | socket.socket) -> None:
        kind, _, rest = where.partition(":") if isinstance(where, str) else ("", "", "")
        if isinstance(where, socket.socket):
            self.socket = where
        elif kind == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(rest)
        else:
            host, _, port = rest.rpartition(":")
            self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(WITHIN_S)
        self._sender, self._receiver = Sender(), Receiver()
        self._early: list[Message] = []

    def send(self, *messages: Message) -> None:
        """Send frames."""
        self.socket.sendall(b"".join(map(self._sender.frame, messages)))

    def hear(self) -> Message:
        """The next message; EOFError when the edge has hung up."""
        while not self._early:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError
            self._early += self._receiver.feed(data)
        return self._early.pop(0)

    def until(self, kind: type[Kind]) -> Kind:
        """The next message of `kind`, others passed over."""
        while not isinstance(message := self.hear(), kind):
            pass
        return message

    def open(self, configure: Configure) -> Description:
        """Hello and Configure, as a good host does."""
        self.send(hello("host", 1))
        assert isinstance(self.hear(), Hello)
        self.send(configure)
        return self.until(Description)

    def start(self, configure: Configure) -> "RawHost":
        """All that a good host does before its first block."""
        self.open(configure)
        self.send(Heartbeat(0), Start(0))
        return self

    def hang_up(self) -> None:
        """Vanish, whatever is still under way."""
        self.socket.close()


class Wire:
    """Two pseudo terminals joined by a thread, as a cable joins two serial ports: `edge` and `host`."""

    def __init__(self) -> None:
        self._masters, self._slaves = [], []
        for _ in range(2):
            master, slave = os.openpty()
            for end in (master, slave):
                tty.setraw(end)
            os.set_blocking(master, False)
            self._masters.append(master)
            self._slaves.append(slave)
        self.edge, self.host = (f"serial:{os.ttyname(slave)}" for slave in self._slaves)
        self._end, self._told = os.pipe()
        self._thread = threading.Thread(target=self._carry, name="test-wire", daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        there, back = self._masters
        waiting = {there: bytearray(), back: bytearray()}
        other = {there: back, back: there}
        while True:
            readers = [end for end in waiting if len(waiting[other[end]]) < 1 << 16]
            writers = [end for end, data in waiting.items() if data]
            # A flush of a full terminal makes room without waking who waits for it: look again now and then.
            ready, room, _ = select.select([*readers, self._end], writers, [], 0.02)
            if self._end in ready:
                return
            for end in ready:
                waiting[other[end]] += os.read(end, 1 << 12)
            for end in room:
                with contextlib.suppress(BlockingIOError):
                    del waiting[end][: os.write(end, waiting[end][: 1 << 10])]

    def close(self) -> None:
        """Unplug."""
        os.close(self._told)
        self._thread.join(WITHIN_S)
        for end in (*self._masters, *self._slaves, self._end):
            os.close(end)


@contextlib.contextmanager
def serial_wire() -> Iterator[Wire]:
    """A wire that is unplugged when the block is left."""
    wire = Wire()
    try:
        yield wire
    finally:
        wire.close()


def heard_block(message: Message) -> SampleBlock:
    """The sample block of a Block, its gaps as the edge named them."""
    assert isinstance(message, Block)
    n = len(message.bits)
    counts = unpack24(np.frombuffer(message.samples, np.uint8).reshape(n, 3 * message.channels))
    bits = np.frombuffer(message.bits, np.uint8)
    return SampleBlock(message.first_index, counts, bits, message.t_ns, message.gaps)


def poll_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the tests the time for which an idle server waits."""
    monkeypatch.setattr("firmware.session.POLL_S", 0.005)
    monkeypatch.setattr("firmware.transport.ACCEPT_POLL_S", 0.005)


def unix(folder: Path) -> str:
    """An address in `folder`."""
    return f"unix:{folder / 'edge.sock'}"
