"""The link server: one host at a time, blocks out, commands in.

Acquisition runs in its own thread and outlives every host: blocks wait in the ring (10 s), and what the last
host was sent in that time is sent to the next one again. A host that is gone takes the outputs low, and so
does the loop when it is silent. Whatever a host sends, the edge goes on. Interprets no sample.
"""

import struct
import threading
import time

from firmware.errors import ConfigError, EdgeError, PortError
from firmware.notify import Supervisor
from firmware.ports import QuietSource, Source
from firmware.ring import Ring
from firmware.session import STAGE_S, Session, one_line
from firmware.transport import Listener, Stream
from firmware.update.talk import Updates
from hw.link import (
    Configure,
    Description,
    Fault,
    Message,
    Sender,
    same,
)
from hw.samples import SampleBlock
from hw.stages import Stages

RING_S = 10.0
REOPEN_S = 0.5
# What a source can raise against all expectation; the outputs are low before it is told.
UNEXPECTED = (OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, struct.error)


class Server:
    """Serves `source` on `listener` until `stop`, the end of the source, or a fault.

    `run` raises the first EdgeError; outputs are low by then. `supervisor` hears from acquisition, from who
    serves and from who reads that they are alive.
    """

    def __init__(
        self,
        source: Source,
        listener: Listener,
        stop: threading.Event,
        supervisor: Supervisor | None = None,
        updates: Updates | None = None,
    ) -> None:
        self._source, self._listener, self._stop = source, listener, stop
        self.supervisor = supervisor or Supervisor(Stages(STAGE_S), {})
        self.updates = updates or Updates(None)
        self._boot = time.time_ns() & 0xFFFFFFFFFFFFFFFF
        self._wanted: Configure | None = None
        self._description: Description | None = None
        self._ring: Ring | None = None
        self._thread: threading.Thread | None = None
        self._failure: EdgeError | None = None
        self._done = threading.Event()

    def run(self) -> None:
        """Serve hosts one after the other."""
        try:
            self.supervisor.ready("waits for a host")
            while not self._stop.is_set() and not self._done.is_set():
                stream = self._accept()
                if stream is not None:
                    Session(self, stream).run()
        finally:
            self.supervisor.stopping()
            self._stop.set()
            if self._ring is not None:
                self._ring.close()
            if self._thread is not None:
                self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _accept(self) -> Stream | None:
        """The next host. While samples are coming in, a port that fails is tried again."""
        try:
            return self._listener.accept(self._still_waits)
        except PortError:
            if self._thread is None or not self._thread.is_alive():
                raise
            self._stop.wait(REOPEN_S)
            return None

    def _still_waits(self) -> bool:
        """Whether nobody need come any more. Who waits for a host is alive."""
        self.supervisor.beat("server")
        return self._stop.is_set()

    def configure(self, wanted: Configure) -> Description:
        """The description for `wanted`; one that is acquiring keeps its configuration. Raises EdgeError."""
        if self._description is not None and self._wanted is not None and same(wanted, self._wanted):
            return self._description
        if self._thread is not None:
            raise ConfigError("the edge is acquiring with another configuration; end that case first")
        self._description = self._wanted = None  # a source that refuses may have changed all the same
        try:
            description = self._source.configure(wanted)
            Sender().frame(description)
        except EdgeError:
            raise
        except UNEXPECTED as error:
            raise EdgeError(f"cannot configure: {type(error).__name__}: {error}") from error
        self._description, self._wanted = description, wanted
        return description

    def start(self) -> None:
        """Begin acquisition unless it runs; what the last host was sent comes again. Raises ConfigError."""
        if self._description is None:
            raise ConfigError("start before configure")
        if self._ring is None:
            self._ring = Ring(round(RING_S * self._description.rate_hz), self._source.patient)
            self._thread = threading.Thread(target=self._acquire, args=(self._ring,), name="acquisition")
            self._thread.start()
            self.supervisor.says(f"acquires {self._description.rate_hz:g} samples/s")
        self._ring.rewind()

    def _acquire(self, ring: Ring) -> None:
        cause = "an error that nobody foresaw"
        failure: EdgeError | None = None
        ended = False

        def put(item: SampleBlock | Message) -> None:
            if not self._source.patient:  # one that can wait may wait for ever
                self.supervisor.beat("acquisition")
            ring.put(item)

        if isinstance(self._source, QuietSource) and not self._source.patient:
            self._source.quiet = lambda: self.supervisor.beat("acquisition")
        try:
            self._source.run(put, self._stop)
            ended = True
        except EdgeError as error:
            cause, failure = one_line(error), error
        except UNEXPECTED as error:
            cause = one_line(f"{type(error).__name__}: {error}")
        finally:
            if not ended:
                text = f"acquisition stopped: {cause}"
                self._failure = failure or EdgeError(text)
                ring.put(Fault("acquisition", text, 1))
            self.supervisor.leave("acquisition")

    @property
    def source(self) -> Source:
        """What is served."""
        return self._source

    @property
    def acquiring(self) -> bool:
        """True from the first Start on, hosts or none."""
        return self._thread is not None

    @property
    def boot(self) -> int:
        """Names this start of the edge."""
        return self._boot

    def take(self, timeout_s: float) -> SampleBlock | Message | None:
        """The next item for the host."""
        return self._ring.get(timeout_s) if self._ring is not None else None

    def put_back(self, item: SampleBlock | Message) -> None:
        """`item`, the last one taken, could not be sent: it is for the next host."""
        if self._ring is not None:
            self._ring.put_back(item)

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
