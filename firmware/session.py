"""The link server's talk with one host: one thread hears what it says, another sends what it gets.

Owns in which order a host is greeted, configured, started and answered, and what may be believed of what it
says. Interprets no sample; the samples and what outlives a host are the server's (`firmware.server`).
"""

import queue
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from firmware.errors import EdgeError
from firmware.ports import Command, LeadCommand, LeadSource
from firmware.transport import WRITE_TIMEOUT_S, Stream
from firmware.update.talk import WRITING
from hw import limits
from hw.frames import pack24
from hw.link import (
    ALL_PLANS,
    LOCK_ELECTROSURGERY,
    LOCK_HOST,
    LOCK_IMPEDANCE,
    Block,
    Configure,
    Ended,
    Fault,
    Hello,
    ImpedanceStart,
    ImpedanceStop,
    LeadWatch,
    Lockout,
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
from hw.link_update import UpdateRequest
from hw.samples import SampleBlock

if TYPE_CHECKING:
    from firmware.server import Server

POLL_S = 0.1
MOST_TEXT = 1000
STAGE_S = 3.0
"""A stage that is silent for longer is no longer trusted: acquisition says something every 10 ms, or while no
sample comes twice a second."""
SILENT_NS = round(limits.HEARTBEAT_TIMEOUT_S * 1e9)
STALE = "the host was silent until just now, and nobody knows how old this is; ask again"
CONFIGURE_S = 60.0
"""For chips to be brought up, or a patient to be made."""


def block_message(block: SampleBlock) -> Block:
    """A block as the link carries it."""
    samples = pack24(block.counts).tobytes()
    bits = np.ascontiguousarray(block.trigger_bits).tobytes()
    return Block(block.first_index, block.t_ns, block.counts.shape[1], samples, bits, block.gaps)


def one_line(text: object) -> str:
    """`text` without line breaks, no longer than a message should be."""
    return " ".join(str(text).split())[:MOST_TEXT]


class Session:
    """The talk with one host: a reader thread for what it says, the caller's thread for what it gets.

    The reader never writes, so that a host that takes nothing is still heard, and missed when it is silent.
    """

    def __init__(self, server: "Server", stream: Stream) -> None:
        self._server, self._stream = server, stream
        self._sender, self._receiver = Sender(), Receiver()
        # No SimpleQueue: when a signal's handler outlasts the timeout, its get waits for ever (CPython 3.11).
        self._answers: queue.Queue[Message] = queue.Queue()
        self._gone = threading.Event()
        self._started = threading.Event()
        self._leaving = threading.Event()
        self._met = self._greeted = False
        self._heard_ns = self._believed_ns = 0

    def run(self) -> None:
        """Until the host is gone or the server ends."""
        reader = threading.Thread(target=self._read, name="link-reader")
        reader.start()
        try:
            while not (self._gone.is_set() or self._server.stopping or self._server.finished):
                leaving = self._leaving.is_set()
                self._server.supervisor.beat("server")
                self._answer()
                if leaving:  # and the host has been told
                    self._gone.wait(limits.HANG_UP_S)
                    break
                if self._started.is_set():
                    self._deliver()
        except EOFError:
            pass
        finally:
            self._gone.set()
            self._server.supervisor.beat("server", CONFIGURE_S)  # the reader may be configuring
            reader.join()  # first, so that nobody reads from what is closed
            self._stream.close()
            if self._leaving.is_set():
                self._server.finish()

    def _answer(self) -> None:
        """Send what the reader has answered; wait for it while there is nothing else to send."""
        try:
            while True:
                self._send(self._answers.get(timeout=0 if self._started.is_set() else POLL_S))
        except queue.Empty:
            return

    def _deliver(self) -> None:
        item = self._server.take(POLL_S)
        if item is None:
            return
        try:
            self._send(block_message(item) if isinstance(item, SampleBlock) else item)
        except EOFError:
            self._server.put_back(item)
            raise
        if isinstance(item, Ended) or (isinstance(item, Fault) and item.fatal):
            self._server.finish()
            self._gone.wait(limits.HANG_UP_S)  # let the host hang up first

    def _send(self, message: Message) -> None:
        frame = self._sender.frame(message)
        self._server.supervisor.beat("server", WRITE_TIMEOUT_S + STAGE_S)  # a host that takes nothing
        self._stream.write(frame)
        self._server.supervisor.beat("server")

    def _read(self) -> None:
        try:
            while not self._gone.is_set():
                self._server.supervisor.beat("link reader")
                messages = self._receiver.feed(self._stream.read(POLL_S))
                if messages:
                    self._heard(time.monotonic_ns())
                for message in messages:
                    if not self._server.source.patient:  # one that waits for its host has no time of its own
                        self._server.source.heard(time.monotonic_ns())
                    self._hear(message)
        except EOFError:
            pass
        finally:
            self._stop_stimuli()
            self._gone.set()
            self._server.supervisor.leave("link reader")

    def _heard(self, now_ns: int) -> None:
        """After a silence in which its stimuli have ended, what comes first may have waited on the way: it
        is no order to stimulate until the host has been heard for as long again."""
        if self._heard_ns and now_ns - self._heard_ns > SILENT_NS:
            self._believed_ns = now_ns + SILENT_NS
        self._heard_ns = now_ns

    def _stop_stimuli(self) -> None:
        """The host is gone: nothing is stimulated or measured for it any more, and what it locked is free."""
        source = self._server.source
        source.heard(0)
        source.command(StimStop(0, ALL_PLANS))
        for reason in (LOCK_ELECTROSURGERY, LOCK_HOST):
            source.command(Lockout(0, reason, 0))
        if isinstance(self._server.source, LeadSource):
            self._server.source.lead_command(ImpedanceStop(0))

    def _hear(self, message: Message) -> None:
        if isinstance(message, Hello):
            self._greet(message)
        elif isinstance(message, UpdateRequest):
            self._update(message)
        elif not self._greeted:
            return  # of whom we know nothing, or another version: no message may be believed
        elif isinstance(message, Configure | Start) and self._server.updates.busy:
            self._refuse("busy", WRITING)
        elif isinstance(message, Configure):
            self._server.supervisor.beat("link reader", CONFIGURE_S)
            try:
                self._answers.put(self._server.configure(message))
            except EdgeError as error:
                self._refuse("config" if error.exit_code == 2 else "fault", error)
        elif isinstance(message, Command):
            self._command(message)
        elif isinstance(message, ImpedanceStart | ImpedanceStop | LeadWatch):
            self._lead_command(message)
        elif isinstance(message, Start) and not self._started.is_set():
            try:
                self._server.start()
            except EdgeError as error:
                self._refuse("config", error)
            else:
                self._heard_ns = self._believed_ns = time.monotonic_ns()  # to configure took its time
                self._started.set()

    def _greet(self, peer: Hello) -> None:
        """Begin anew: on a serial port a second host follows the first one without any other sign."""
        if self._started.is_set():
            self._started.clear()  # before the answer, so that no block comes between it and Start
            self._stop_stimuli()
        self._server.updates.hang_up()
        refusal = check_hello(peer)
        self._met, self._greeted = True, not refusal
        self._answers.put(hello("edge", self._server.boot))
        if refusal:
            self._refuse("version", refusal)

    def _update(self, request: UpdateRequest) -> None:
        """From a host of any version: an edge that only its own can update stays what it is."""
        updates = self._server.updates
        self._server.supervisor.beat("link reader", CONFIGURE_S)  # reading everything back may take its time
        if self._met and (state := updates.hear(request, self._server.acquiring)) is not None:
            self._answers.put(state)
            if updates.installed:
                self._leaving.set()

    def _command(self, command: Command) -> None:
        if not self._started.is_set():
            self._answers.put(Reply(command.command, "not acquiring"))
            return
        if isinstance(command, Lockout) and command.reason == LOCK_IMPEDANCE:
            self._answers.put(Reply(command.command, "the edge itself locks while impedance is measured"))
            return
        stale = isinstance(command, StimPlan) and time.monotonic_ns() < self._believed_ns
        if stale and not self._server.source.patient:
            self._answers.put(Reply(command.command, STALE))
            return
        self._server.source.command(command)

    def _lead_command(self, command: LeadCommand) -> None:
        source = self._server.source
        if not self._started.is_set():
            self._answers.put(Reply(command.command, "not acquiring"))
        elif isinstance(source, LeadSource):
            source.lead_command(command)
        else:
            self._answers.put(Reply(command.command, "this source has no electrodes to measure"))

    def _refuse(self, code: str, why: object) -> None:
        self._answers.put(Fault(code, one_line(why), 1))
