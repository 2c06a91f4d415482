"""The bus of a check: what it says, what it holds back, and what the client under check reports of it.

Owns the box's own bus, closed and opened anew as a box that was restarted; one thread. Knows no verdicts.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hostd import wire
from hostd.bus import NOT_KEPT, Bus
from hostd.client_check import report
from hostd.client_check.report import Report
from hostd.client_check.script import TEST, Script, Shown, shown
from hostd.control import error_reply, ok_reply
from hostd.endpoints import parse_bus
from hostd.fixture.desk import FixtureDesk
from hostd.outgoing import Outgoing
from hostd.peers import Peer
from hostd.wire import Message

BEAT_S = 0.1
SERVE_MS = 10
HELD_S = 0.15
"""The first snapshot is answered so late that what is newer has come before it."""
SUBSCRIBED_S = 0.5
"""What is newer is said so long after the first snapshot was asked for. A subscription comes by a connection
of its own, and on a busy machine later than the request: said before it, a message would be lost on the
client. The next beat tells a display of a box of it; a check without others of that topic would take the
loss for the display's fault."""
CASE_ID = "check"
Answer = Callable[[dict[str, Any]], None]


class Stage:
    """Raises BusError where a port is taken. `now_s` is monotonic."""

    def __init__(self, bus: str, seed: int) -> None:
        self._at = parse_bus(bus)
        self._draw = np.random.default_rng(seed)
        self.truth: dict[str, Shown] = {}
        self.report: Report | None = None
        self.wrong = ""
        """What is wrong with the last report that could not be read."""
        self.reports = self.asked = 0
        self.on_snapshot: Callable[[], Callable[[], None]] | None = None
        """Called once, when a snapshot is asked for: after the answer was made up, before it is given; what
        it returns is called when it has been given, and surely arrived."""
        self.beats = True
        self.last_beat_s = 0.0
        self._late: list[tuple[float, Callable[[], None]]] = []
        self._open()

    def _open(self) -> None:
        self.script = Script(secrets.token_hex(8), self._draw)
        self._bus = Bus(
            self._at, self.script.boot, CASE_ID, lambda index: (time.monotonic_ns(), time.time_ns())
        )
        self._desk = FixtureDesk(self._bus, self.script.boot, CASE_ID, "check", {TEST: "left median"}, "")

    def restart(self) -> None:
        """The box is started anew: another boot, numbers from 1, nothing known."""
        self._bus.close()
        self.truth.clear()
        self._late.clear()
        self._open()

    def close(self) -> None:
        """Close the endpoints."""
        self._bus.close()

    def say(self, topic: str, more: Mapping[str, Any] | None = None) -> Message:
        """Publish the next message of a topic, as a box does."""
        message = self.script.message(topic, more)
        self._bus.send(topic, dict(message.header), list(message.parts))
        self.keep(message)
        return message

    def keep(self, message: Message) -> None:
        """It is in the snapshot, and the client is to show it."""
        if message.topic not in NOT_KEPT:
            self._bus.keep(message.topic, dict(message.header), list(message.parts))
        self.truth[message.topic] = shown(message)

    def send(self, message: Message) -> None:
        """It is sent, and the client is not to show it for that."""
        self._bus.send(message.topic, dict(message.header), list(message.parts))

    def send_frames(self, topic: str, frames: list[bytes]) -> None:
        """Frames as they are, where `topic` belongs."""
        self._bus.send_frames(topic, frames)

    @property
    def waiting(self) -> bool:
        """Whether something is still to be said late."""
        return bool(self._late)

    @property
    def clients(self) -> int:
        """Connections to events and traces."""
        return self._bus.clients["events"] + self._bus.clients["traces"]

    def serve(self) -> None:
        """One round of 10 ms."""
        now_s = time.monotonic()
        if self.beats and now_s - self.last_beat_s >= BEAT_S:
            self.last_beat_s = now_s
            latest = {"latest": dict(self.script.seq)}
            self._bus.publish(Outgoing("beat", self.script.index, latest))
        self._bus.serve(SERVE_MS, self._handle)
        for due in [one for one in self._late if one[0] <= now_s]:
            self._late.remove(due)
            due[1]()

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Serve until `condition`, so long at most; whether it came."""
        end_s = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end_s:
                return False
            self.serve()
        return True

    def _handle(self, body: bytes, answer: Answer, peer: Peer) -> None:
        try:
            asked = wire.decode_map(body)
        except ValueError as error:
            asked, self.wrong = {}, f"a request of it cannot be read: {error}"
        if asked.get("command") == report.COMMAND:
            self._reported(asked, answer)
            return
        if asked.get("command") == "snapshot":
            self.asked += 1
            if (hook := self.on_snapshot) is not None:
                self.on_snapshot = None
                self._hold(asked, answer, hook)
                return
        self._desk.handle(body, answer, peer)

    def _hold(self, asked: Mapping[str, Any], answer: Answer, hook: Callable[[], Callable[[], None]]) -> None:
        """Answer a snapshot with what was latest when it was asked for, late."""
        reply = ok_reply(asked.get("id"), {"messages": self._bus.snapshot()})

        def newer() -> None:
            after = hook()

            def given() -> None:
                answer(reply)
                # A connection of its own: without waiting it might overtake the answer, and be no straggler.
                self._later(HELD_S, after)

            self._later(HELD_S, given)

        self._later(SUBSCRIBED_S, newer)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self._late.append((time.monotonic() + seconds, do))

    def _reported(self, asked: Mapping[str, Any], answer: Answer) -> None:
        try:
            self.report = report.parse(asked.get("args"), time.monotonic())
        except ValueError as error:
            self.wrong = str(error)
            answer(error_reply(asked.get("id"), "bad_request", self.wrong))
            return
        self.reports += 1
        self.wrong = ""
        answer(ok_reply(asked.get("id")))
