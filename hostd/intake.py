"""The receiving thread: link frames in, raw file first, then the processing queue.

Owns the link and the raw recording while a case runs. A link that breaks is opened again: the edge holds ten
seconds, and one that was started anew is taken back; what is missing then is a gap. Refuses to interpret a
sample.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hostd.blocks import ProofsOnce, Reassembler
from hostd.case_folder import CaseFolder
from hostd.edge_link import ANSWER_S, CONNECT_S, EdgeLink
from hostd.errors import CrashedError, EvokdError, LinkError, RecordingError
from hostd.lead_meter import LeadCommand, LeadMeter, meter
from hostd.resume import Resumed
from hostd.shifted import for_edge
from hostd.standing import Standing
from hostd.succession import Succession, clock_of
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
    same,
)
from hw.link import Stimulus as Proof
from hw.link import Timebase as Report
from hw.samples import SampleBlock

QUEUED = 1000
PASSED_ON = (Proof, Reply, Fault, Excited, Impedance, Leads, Unfired, StimState)
RECONNECT_S = 60.0
"""For an edge to come back in: a plug found again, a board or a process that starts."""
RECEIVE_S, AGAIN_S = 0.05, 0.1
REOPEN_S = 2 * ANSWER_S + 10.0
"""What an attempt to have the edge back takes at most: two questions, and a port that opens slowly."""
SILENT_NS = 3_000_000_000
"""An edge elsewhere that was delivering and says nothing for so long has gone: no kernel tells of it."""
# What can be raised against all expectation; the outputs go safe before it is told.
UNEXPECTED = (EvokdError, OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)


@dataclass(frozen=True, slots=True)
class End:
    """No more samples will come: the source ended, the case was closed, or we are stopping."""


Item = SampleBlock | Proof | Reply | Fault | Report | Excited | Impedance | Leads | Unfired | StimState | End


@dataclass(frozen=True, slots=True)
class _Outage:
    """The link has been gone since `since_ns`, for what `error` says."""

    since_ns: int
    error: LinkError

    @property
    def over_due(self) -> bool:
        return time.monotonic_ns() - self.since_ns > RECONNECT_S * 1e9


class _PlayedAnewError(LinkError):
    """What is played has no place in the case that it began."""


class Intake:
    """Receives from `address` into `items`. `failure` holds the first error; `items` always ends with End."""

    def __init__(self, address: str, stop: threading.Event, within_s: float = CONNECT_S) -> None:
        self._address, self._stop = address, stop
        self._link = EdgeLink(address, stop, within_s, beats=False)
        self._way = self._link, 0
        self._standing, self._telling = Standing(), threading.Lock()
        self._blocks, self._proven = Reassembler(), ProofsOnce()
        self._meter: LeadMeter | None = None
        self._thread: threading.Thread | None = None
        self._beating: threading.Thread | None = None
        self._hung_up = threading.Event()
        self.alive: Callable[[], bool] = lambda: True
        self.beat: Callable[[float | None], None] = lambda within_s: None
        self._limit: int | None = None
        self._outage: _Outage | None = None
        self._heard_ns = 0
        self.closing = threading.Event()
        self.items: queue.Queue[Any] = queue.Queue(QUEUED)
        self.failure: EvokdError | None = None
        self.faults: list[str] = []
        self.connected = self.anew = False

    def open(self, wanted: Configure) -> Description:
        """Shake hands and configure. Raises LinkError or UsageError."""
        description = self._link.open(wanted)
        self._wanted, self._description = wanted, description
        clock = clock_of(description.source, self._link.same_machine)
        self._succession = Succession(description.rate_hz, clock, self._standing)
        self._meter = meter(description, lambda message: self._way[0].send(message))
        self.connected = True
        return description

    @property
    def edge_boot(self) -> int:
        """Which start of an edge is served."""
        return self._link.edge_boot

    def go_on(self, resumed: Resumed) -> None:
        """Take up a case where it stood, before `begin`."""
        self._blocks = Reassembler(resumed.on_file.end)
        self._proven = ProofsOnce(resumed.proofs)
        if resumed.same_edge:
            self._succession.go_on(resumed.edge.shift, resumed.edge.offset_ns)
            self._way = self._link, resumed.edge.shift
            return
        self.anew = True
        last = resumed.on_file.end - 1
        self._succession.go_on_anew(last, resumed.timebase(self._description.rate_hz).edge_ns(last))

    def begin(self) -> None:
        """Let the edge acquire; its samples wait until `start`. It hears from now on that we are alive."""
        self._link.send(Start(0))
        self._beating = threading.Thread(target=self._beat, name="heartbeat")
        self._beating.start()

    def start(self, folder: CaseFolder, timebase: Timebase, limit_samples: int | None) -> None:
        """Receive in a thread of our own, `limit_samples` at most."""
        self._folder, self._timebase, self._limit = folder, timebase, limit_samples
        if not self._succession.awaited:  # else the one before it stands until this one's place is known
            self._note_edge()
        self._thread = threading.Thread(target=self._run, name="intake")
        self._thread.start()

    @property
    def state(self) -> dict[str, Any]:
        """What `status` says of the link."""
        own = {"repeated_samples": self._blocks.repeated, "malformed_blocks": self._blocks.malformed}
        outage, device = self._outage, self._link.device
        lost_s = None if outage is None else round((time.monotonic_ns() - outage.since_ns) / 1e9, 1)
        told: dict[str, Any] = {"address": self._address, "connected": self.connected, "lost_s": lost_s}
        at = {} if device is None else {"device": device.path, "usb": device.usb or None}
        return told | at | self._link.counters | own

    def send(self, message: Message) -> None:
        """Send a command to the edge, or to whoever measures for it. Raises LinkError when the link is gone.
        Any thread."""
        if self._meter is not None and isinstance(message, LeadCommand):
            if not self.connected:
                raise LinkError(f"{self._address}: the link is lost; wait until it is back")
            self._meter.command(message)
            return
        with self._telling:
            self._standing.said(message)
            link, shift = self._way
        link.send(for_edge(message, shift))

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

    def _ending(self) -> bool:
        return self._stop.is_set() or self.closing.is_set()

    def _run(self) -> None:
        try:
            while not self._ending():
                self.beat(None)
                if any(self._take(m) for m in self._messages()):
                    break
            if self._outage is None:
                with contextlib.suppress(LinkError):  # it has no host any more, and has stopped by itself
                    self._link.send(StimStop(0, ALL_PLANS))
        except UNEXPECTED as error:
            self.failure = (
                error if isinstance(error, EvokdError) else CrashedError(f"intake stopped: {error!r}")
            )
        finally:
            try:
                self._folder.close_raw()
            except RecordingError as error:
                self.failure = self.failure or error
            self.items.put(End())

    def _messages(self) -> list[Message]:
        """What has come, on the case's time line. Raises LinkError when an edge has not come back in time."""
        messages: list[Message] = []
        try:
            heard = self._link.receive(RECEIVE_S)
            now_ns = time.monotonic_ns()
            self._must_speak(heard, now_ns)
            newest = next((m for m in reversed(heard) if isinstance(m, Block)), None)
            messages = [m for h in heard for m in self._succession.heard(h, now_ns, newest)]
            if self._outage is not None and not self._succession.awaited:
                self._back(self._standing.all)
            elif self._way[1] != self._succession.shift:  # a case that goes on with another edge
                self._placed()
        except LinkError as error:
            self._lost(error)
            self._regain(self._outage or _Outage(time.monotonic_ns(), error))
        if self._outage is not None and self._outage.over_due:
            raise LinkError(f"{self._outage.error}; what came back delivers no samples")
        return messages

    def _must_speak(self, heard: list[Message], now_ns: int) -> None:
        """An edge elsewhere whose blocks have stopped is taken for gone."""
        if any(isinstance(m, Block) for m in heard) or (heard and self._heard_ns):
            self._heard_ns = now_ns
        if self._heard_ns and not self._link.same_machine and now_ns - self._heard_ns > SILENT_NS:
            silent = f"it has been silent for {SILENT_NS / 1e9:g} s"
            raise LinkError(f"{self._address}: link lost: {silent}; check cable and edge")

    def _take(self, message: Message) -> bool:
        """Pass one message on; True when it was the last."""
        if self._meter is not None and self._meter.heard(message):
            return False
        if isinstance(message, Block):
            block = self._blocks.take(message)
            return block is not None and self._record(block)
        if isinstance(message, Fault):
            self.faults.append(f"{message.code}: {message.text}")
            if message.fatal:
                raise LinkError(f"edge: {message.text}")
        if isinstance(message, Proof) and not self._proven.take(message):
            return False
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
        for said in () if self._meter is None else self._meter.block(block):
            self._take(said)
        return self._limit is not None and block.end_index >= self._limit

    def _lost(self, error: LinkError) -> None:
        """The link is gone: nobody is stimulated any more, and that is told at once."""
        self._link.close()
        if self._outage is not None:  # it was not back yet
            return
        self.connected = False
        self._outage = _Outage(time.monotonic_ns(), error)
        self.faults.append(f"link: {error}")
        if self._meter is not None:
            self._meter.lost()
        self.items.put(Fault("link", "the link broke; stimulation was stopped", 0))

    def _regain(self, outage: _Outage) -> None:
        """Open the link again, for a minute. Raises LinkError when that fails, or when a recording would be
        played anew; returns early when nobody wants it any more."""
        why = ""
        while not self._ending():
            if outage.over_due:
                raise LinkError(f"{outage.error}; not back within {RECONNECT_S:g} s: {why}")
            why = self._reopen()
            if not why:
                return
            self._stop.wait(AGAIN_S)

    def _reopen(self) -> str:
        """One attempt; why it failed, or ""."""
        self.beat(REOPEN_S)
        device = self._link.device
        usb = "" if device is None else device.usb
        try:
            link = EdgeLink(self._address, self._stop, 0.0, beats=False, usb=usb, ending=self._ending)
        except EvokdError as error:
            return str(error)
        try:
            self._take_back(link)
        except _PlayedAnewError:
            link.close()
            raise
        except EvokdError as error:
            link.close()
            return str(error)
        return ""

    def _take_back(self, link: EdgeLink) -> None:
        """Go on with an edge: the same one, or one that was started anew and delivers the same. Raises
        EvokdError when it is another, or refuses."""
        description = link.open(self._wanted)
        is_new = link.edge_boot != self._link.edge_boot
        if is_new and self._description.source == "file":
            anew = "the edge was started anew, and plays its recording from the start"
            raise _PlayedAnewError(f"{self._address}: {anew}; start evokd again for a new case")
        if is_new and not same(description, self._description):
            other = f"another edge is there now ({description.source})"
            raise LinkError(f"{self._address}: {other}; connect the one that the case began with")
        link.send(Start(0))
        if is_new:
            self.anew = True
            self._succession.anew()
            if self._meter is not None:
                self._meter.anew()
        self._link, self._heard_ns = link, 0
        if not self._succession.awaited:
            self._back(self._standing.locks)
            self.items.put(Fault("link", "the link broke and came back; stimulation was stopped", 0))

    def _back(self, again: list[Message]) -> None:
        """The edge serves the case again: what it must know comes before anything that may be armed."""
        with self._telling:
            for message in again:
                self._link.send(message)
        self._placed()
        self._outage, self.connected = None, True

    def _placed(self) -> None:
        """It is known where the edge lies in the case."""
        with self._telling:
            self._way = self._link, self._succession.shift
        self._note_edge()

    def _note_edge(self) -> None:
        """Which edge serves the case, and where it lies in it, for a host that takes the case up."""
        where = self._succession
        self._folder.edge(self._link.edge_boot, where.shift, where.offset_ns)
