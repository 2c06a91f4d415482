"""The link server: one host at a time, blocks out, commands in.

Acquisition runs in its own thread and outlives every host: blocks wait in the ring (10 s). A host that is
silent for a second, or gone, takes the outputs low. Interprets no sample.
"""

import threading
import time

import numpy as np

from firmware.errors import ConfigError, EdgeError
from firmware.ports import Source
from firmware.ring import Ring
from firmware.transport import Listener, Stream
from hw import limits
from hw.frames import pack24
from hw.link import (
    ALL_PLANS,
    Block,
    Configure,
    Description,
    Ended,
    Fault,
    Hello,
    Message,
    Receiver,
    Reply,
    Sender,
    Start,
    StimPlan,
    StimStop,
    check_hello,
    hello,
)
from hw.samples import SampleBlock

RING_S = 10.0
POLL_S = 0.1


def block_message(block: SampleBlock) -> Block:
    """A block as the link carries it."""
    samples = pack24(block.counts).tobytes()
    bits = np.ascontiguousarray(block.trigger_bits).tobytes()
    return Block(block.first_index, block.t_ns, block.counts.shape[1], samples, bits, block.gaps)


class Server:
    """Serves `source` on `listener` until `stop`, the end of the source, or a fault.

    `run` raises the first EdgeError; outputs are low by then.
    """

    def __init__(self, source: Source, listener: Listener, stop: threading.Event) -> None:
        self._source, self._listener, self._stop = source, listener, stop
        self._boot = time.time_ns() & 0xFFFFFFFFFFFFFFFF
        self._wanted: Configure | None = None
        self._description: Description | None = None
        self._ring: Ring | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._done = threading.Event()

    def run(self) -> None:
        """Serve hosts one after the other."""
        try:
            while not self._stop.is_set() and not self._done.is_set():
                stream = self._listener.accept(self._stop.is_set)
                if stream is not None:
                    _Session(self, stream).run()
        finally:
            self._stop.set()
            if self._ring is not None:
                self._ring.close()
            if self._thread is not None:
                self._thread.join()
        if self._failure is not None:
            raise self._failure

    def configure(self, wanted: Configure) -> Description:
        """The description for `wanted`; one that is acquiring keeps its configuration."""
        if self._description is not None and wanted == self._wanted:
            return self._description
        if self._thread is not None:
            raise ConfigError("the edge is acquiring with another configuration; end that case first")
        self._description = self._source.configure(wanted)
        self._wanted = wanted
        return self._description

    def start(self) -> None:
        """Begin acquisition unless it runs."""
        if self._description is None:
            raise ConfigError("start before configure")
        if self._thread is None:
            self._ring = Ring(round(RING_S * self._description.rate_hz), self._source.patient)
            self._thread = threading.Thread(target=self._acquire, args=(self._ring,), name="acquisition")
            self._thread.start()

    def _acquire(self, ring: Ring) -> None:
        try:
            self._source.run(ring.put, self._stop)
        except (EdgeError, OSError, ValueError, LookupError, ArithmeticError, RuntimeError) as error:
            self._failure = error
            ring.put(Fault("acquisition", f"acquisition stopped: {error}", 1))

    @property
    def source(self) -> Source:
        """What is served."""
        return self._source

    @property
    def boot(self) -> int:
        """Names this start of the edge."""
        return self._boot

    def take(self, timeout_s: float) -> SampleBlock | Message | None:
        """The next item for the host."""
        return self._ring.get(timeout_s) if self._ring is not None else None

    def finish(self) -> None:
        """The host has all there is."""
        self._done.set()

    @property
    def finished(self) -> bool:
        """True when the source has ended and the host has been told."""
        return self._done.is_set()

    @property
    def stopping(self) -> bool:
        """True when this edge ends."""
        return self._stop.is_set()


class _Session:
    """The talk with one host: a reader thread for what it says, this thread for what it gets."""

    def __init__(self, server: Server, stream: Stream) -> None:
        self._server, self._stream = server, stream
        self._sender, self._receiver = Sender(), Receiver()
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self._started = threading.Event()
        self._heard_ns = time.monotonic_ns()
        self._alive = True

    def run(self) -> None:
        """Until the host is gone or the server ends."""
        reader = threading.Thread(target=self._read, name="link-reader")
        reader.start()
        try:
            while not (self._gone.is_set() or self._server.stopping or self._server.finished):
                self._watch_heartbeat()
                if not self._started.wait(POLL_S):
                    continue
                self._deliver(self._server.take(POLL_S))
        except EOFError:
            pass
        finally:
            self._gone.set()
            self._server.source.command(StimStop(0, ALL_PLANS))
            self._stream.close()
            reader.join()

    def _deliver(self, item: SampleBlock | Message | None) -> None:
        if item is None:
            return
        self._send(block_message(item) if isinstance(item, SampleBlock) else item)
        if isinstance(item, Ended) or (isinstance(item, Fault) and item.fatal):
            self._server.finish()
            self._gone.wait(limits.HEARTBEAT_TIMEOUT_S)  # let the host hang up first

    def _watch_heartbeat(self) -> None:
        silent_s = (time.monotonic_ns() - self._heard_ns) / 1e9
        if self._alive and silent_s > limits.HEARTBEAT_TIMEOUT_S:
            self._alive = False
            self._server.source.command(StimStop(0, ALL_PLANS))

    def _send(self, message: Message) -> None:
        with self._lock:
            self._stream.write(self._sender.frame(message))

    def _read(self) -> None:
        try:
            while not self._gone.is_set():
                for message in self._receiver.feed(self._stream.read(POLL_S)):
                    self._heard_ns = time.monotonic_ns()
                    self._alive = True
                    self._hear(message)
        except EOFError:
            self._gone.set()

    def _hear(self, message: Message) -> None:
        if isinstance(message, Hello):
            self._send(hello("edge", self._server.boot))
            if refusal := check_hello(message):
                self._refuse("version", refusal)
        elif isinstance(message, Configure):
            try:
                self._send(self._server.configure(message))
            except EdgeError as error:
                self._refuse("config" if error.exit_code == 2 else "fault", str(error))
        elif isinstance(message, StimPlan | StimStop):
            if self._started.is_set():
                self._server.source.command(message)
            else:
                self._send(Reply(message.command, "not acquiring"))
        elif isinstance(message, Start):
            self._start()

    def _start(self) -> None:
        try:
            self._server.start()
        except EdgeError as error:
            self._refuse("config", str(error))
            return
        self._started.set()

    def _refuse(self, code: str, text: str) -> None:
        self._send(Fault(code, text, 1))
