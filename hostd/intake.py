"""The receiving thread: link frames in, raw file first, then the processing queue.

Owns the link and the raw recording while a case runs. A link that breaks is opened again (the edge holds ten
seconds); what is missing then is a gap. Refuses to interpret a sample.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hostd.blocks import Reassembler
from hostd.case_folder import CaseFolder
from hostd.edge_link import CONNECT_S, EdgeLink
from hostd.errors import EvokdError, LinkError, RecordingError
from hostd.timebase import Timebase
from hw.limits import HEARTBEAT_EVERY_S
from hw.link import (
    ALL_PLANS,
    Block,
    Configure,
    Description,
    Ended,
    Excited,
    Fault,
    Impedance,
    Leads,
    Message,
    Reply,
    Start,
    StimState,
    StimStop,
    Unfired,
)
from hw.link import Stimulus as Proof
from hw.link import Timebase as Report
from hw.samples import SampleBlock

QUEUED = 1000
PASSED_ON = (Proof, Reply, Fault, Excited, Impedance, Leads, Unfired, StimState)
RECONNECT_S = 10.0
# What can be raised against all expectation; the outputs go safe before it is told.
UNEXPECTED = (EvokdError, OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)


@dataclass(frozen=True, slots=True)
class End:
    """No more samples will come: the source ended, the case was closed, or we are stopping."""


Item = SampleBlock | Proof | Reply | Fault | Report | Excited | Impedance | Leads | Unfired | StimState | End


class Intake:
    """Receives from `address` into `items`. `failure` holds the first error; `items` always ends with End."""

    def __init__(self, address: str, stop: threading.Event, within_s: float = CONNECT_S) -> None:
        self._address, self._stop = address, stop
        self._link = EdgeLink(address, stop, within_s, beats=False)
        self._wanted: Configure | None = None
        self._blocks = Reassembler()
        self._thread: threading.Thread | None = None
        self._beating: threading.Thread | None = None
        self._hung_up = threading.Event()
        self.alive: Callable[[], bool] = lambda: True
        self._limit: int | None = None
        self.closing = threading.Event()
        self.items: queue.Queue[Any] = queue.Queue(QUEUED)
        self.failure: EvokdError | None = None
        self.faults: list[str] = []
        self.connected = False

    def open(self, wanted: Configure) -> Description:
        """Shake hands and configure. Raises LinkError or UsageError."""
        self._wanted = wanted
        description = self._link.open(wanted)
        self.connected = True
        return description

    def begin(self) -> None:
        """Let the edge acquire; its samples wait until `start`. It hears from now on that we are alive."""
        self._link.send(Start(0))
        self._beating = threading.Thread(target=self._beat, name="heartbeat")
        self._beating.start()

    def start(self, folder: CaseFolder, timebase: Timebase, limit_samples: int | None) -> None:
        """Receive in a thread of our own, `limit_samples` at most."""
        self._folder, self._timebase, self._limit = folder, timebase, limit_samples
        self._thread = threading.Thread(target=self._run, name="intake")
        self._thread.start()

    @property
    def state(self) -> dict[str, Any]:
        """What `status` says of the link."""
        own = {"repeated_samples": self._blocks.repeated, "malformed_blocks": self._blocks.malformed}
        return {"address": self._address, "connected": self.connected} | self._link.counters | own

    def send(self, message: Message) -> None:
        """Send a command to the edge. Raises LinkError when the link is gone. Any thread."""
        self._link.send(message)

    def end(self) -> None:
        """Take no more samples; `items` gets its End even when none was ever taken."""
        self.closing.set()
        if self._thread is None:
            self.items.put(End())

    def close(self) -> None:
        """Wait for the threads and hang up."""
        if self._thread is not None:
            self._thread.join()
        self._hung_up.set()
        self._link.close()
        if self._beating is not None:
            self._beating.join()

    def _beat(self) -> None:
        """Tell the edge that the host is alive, as long as it is: a host that hangs must not stimulate."""
        while not self._hung_up.wait(HEARTBEAT_EVERY_S):
            if self.alive():
                with contextlib.suppress(LinkError):  # told by whoever receives
                    self._link.beat()

    def _run(self) -> None:
        try:
            while not (self._stop.is_set() or self.closing.is_set()):
                try:
                    messages = self._link.receive(0.05)
                except LinkError as error:
                    self._reconnect(error)
                    continue
                if any(self._take(m) for m in messages):
                    break
            self._link.send(StimStop(0, ALL_PLANS))
        except UNEXPECTED as error:
            self.failure = (
                error if isinstance(error, EvokdError) else EvokdError(f"intake stopped: {error!r}")
            )
        finally:
            try:
                self._folder.close_raw()
            except RecordingError as error:
                self.failure = self.failure or error
            self.items.put(End())

    def _take(self, message: Message) -> bool:
        """Pass one message on; True when it was the last."""
        if isinstance(message, Block):
            block = self._blocks.take(message)
            return block is not None and self._record(block)
        if isinstance(message, Fault):
            self.faults.append(f"{message.code}: {message.text}")
            if message.fatal:
                raise LinkError(f"edge: {message.text}")
        if isinstance(message, PASSED_ON) or (isinstance(message, Report) and self._timebase.learn(message)):
            self.items.put(message)
        return isinstance(message, Ended)

    def _record(self, block: SampleBlock) -> bool:
        self._timebase.follow(block.end_index - 1, block.t_ns)
        try:
            self._folder.append(block)
        except RecordingError as error:  # monitoring goes on without the disk, and says so
            self.faults.append(f"recording: {error}")
        self.items.put(block)
        return self._limit is not None and block.end_index >= self._limit

    def _reconnect(self, error: LinkError) -> None:
        """Open the link again within ten seconds. Raises `error` when that fails or the edge is new."""
        self.connected = False
        self.faults.append(f"link: {error}")
        if self._wanted is None:
            raise error
        deadline_ns = time.monotonic_ns() + round(RECONNECT_S * 1e9)
        boot = self._link.edge_boot
        self._link.close()
        while time.monotonic_ns() < deadline_ns and not self._stop.is_set():
            try:
                link = EdgeLink(self._address, self._stop, beats=False)
                link.open(self._wanted)
            except EvokdError:
                self._stop.wait(0.1)
                continue
            if link.edge_boot != boot:
                link.close()
                raise LinkError(
                    f"{self._address}: the edge was started anew; start evokd again for a new case"
                )
            self._link = link
            self._link.send(Start(0))
            self.connected = True
            self.items.put(Fault("link", "the link broke and came back; stimulation was stopped", 0))
            return
        raise error
