"""`evokd bridge lsl`: a case as streams of the Lab Streaming Layer, for research.

LSL knows no keys: whoever reaches this machine reads along. So it runs only when it is started, says so, and
opens outlets alone; nothing comes back from there. A new start of the daemon ends all streams and makes new
ones; silence, its end, and messages that were missed are told as markers. Raw samples are asked of the box
only while somebody listens to them. One thread.
"""

import sys
import threading
from collections import deque
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from hostd.bridges.lsl_case import KINDS, CaseStreams, Named, Say
from hostd.bridges.lsl_streams import library
from hostd.client import Subscription, request
from hostd.endpoints import parse_bus
from hostd.errors import BusError
from hostd.keys import Secret
from hostd.peers import READ_RAW
from hostd.wire import Message

OPEN = (
    "LSL has no access control: who reaches this machine by network reads this case, typed notes too; "
    "keep it on a network of its own. Outlets only, nothing is taken in."
)
TOPICS = ("beat", "status", "stim", "event", "alert", "average.", "raw")
SILENT_S = 1.0
RECEIVE_MS = 100
HELLO_MS = 1000
LINGER_S = 0.5
"""Outlets that ended stay so long: liblsl drops what it has not sent when one goes, and cannot be asked."""
MOST_EARLY = 2000
"""Messages that are kept until the first status says what they are about."""


@dataclass(frozen=True, slots=True)
class LslOptions:
    """`kinds` of streams; `here`: the bus is of this machine, so its edge may have this machine's clock."""

    bus: str
    box: str
    kinds: tuple[str, ...] = KINDS
    key: Secret | None = None
    here: bool = True


def serve(options: LslOptions, stop: threading.Event, say: Say | None = None) -> None:
    """Wait for the box, bridge until `stop`; the daemon may go and come back. Raises UsageError
    where LSL is missing or the address is none."""
    say = say or _say
    parse_bus(options.bus)
    lsl = library()
    say(OPEN)
    greeted = _greeted(options, stop, say)
    if greeted is None:
        return
    options = greeted
    bridge = LslBridge(options, lsl, say)
    with Subscription(options.bus, TOPICS, "raw" in options.kinds, options.key) as subscription:
        while not stop.is_set():
            if "raw" in options.kinds:
                subscription.hear_raw(bridge.wants_raw())
            for message in subscription.receive(RECEIVE_MS):
                bridge.accept(message)
            bridge.watch()
    bridge.end()
    threading.Event().wait(LINGER_S)


def _greeted(options: LslOptions, stop: threading.Event, say: Say) -> LslOptions | None:
    """What the box lets us have, once it answers; None when told to stop before."""
    told, why = None, ""
    while told is None:
        if stop.is_set():
            return None
        try:
            answer = request(options.bus, "hello", {"name": "LSL bridge"}, HELLO_MS, key=options.key)
            told = answer.get("result", {})
        except BusError as error:
            if str(error) != why:
                why = str(error)
                say(f"waiting for the box: {why}")
    kinds, key = options.kinds, told.get("key")
    if "raw" in kinds and key is not None and key.get("role") not in READ_RAW:
        say(f"no raw samples: the key {key.get('name')!r} is an observer's, who gets averages and markers")
        kinds = tuple(kind for kind in kinds if kind != "raw")
    return replace(options, kinds=kinds, here=told.get("here") is True)


class LslBridge:
    """Follows starts of the daemon, one `CaseStreams` each. `lsl` is pylsl."""

    def __init__(self, options: LslOptions, lsl: ModuleType, say: Say) -> None:
        self._options, self._lsl, self._say = options, lsl, say
        self._boot = ""
        self._old_boots: deque[str] = deque(maxlen=16)
        self._case: CaseStreams | None = None
        self._ended: list[tuple[float, CaseStreams]] = []
        self._early: deque[Message] = deque(maxlen=MOST_EARLY)
        self._seq: dict[str, int] = {}
        self._heard_s: float | None = None
        self._silent = False
        self.malformed = self.missed = 0

    def wants_raw(self) -> bool:
        """Whether raw samples are to be asked for now."""
        return self._case is None or self._case.wants_raw()

    def accept(self, message: Message) -> None:
        """Take in one message; what is malformed is counted and dropped."""
        boot = message.header.get("boot")
        if not isinstance(boot, str) or not boot or boot in self._old_boots:
            return
        if boot != self._boot:
            self.end()
            if self._boot:
                self._say("the box was started anew; so are all streams")
            self._silent = False
            self._old_boots.append(self._boot)
            self._boot = boot
        self._heard_s = self._lsl.local_clock()
        if self._silent:
            self._silent = False
            self._tell("back", {}, "the box speaks again")
        try:
            self._numbered(message)
            self._take(message)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            self.malformed += 1
            if self.malformed == 1:
                self._say(f"dropped a message ({message.topic}): {error}")

    def _take(self, message: Message) -> None:
        if self._case is not None:
            self._case.take(message)
        elif message.topic == "status":
            o = self._options
            named = Named(o.box, self._boot, str(message.header["case"]), o.here)
            self._case = CaseStreams(self._lsl, named, o.kinds, message.header, self._say)
            while self._early:
                self._case.take(self._early.popleft())
        else:
            self._early.append(message)

    def _numbered(self, message: Message) -> None:
        """Count what was missed; samples are counted by their index."""
        topic, seq = message.topic, message.header["seq"]
        before = self._seq.get(topic)
        self._seq[topic] = seq
        if before is not None and seq > before + 1 and topic != "raw":
            self.missed += seq - before - 1
            told = {"topic": topic, "messages": seq - before - 1}
            self._tell("missed", told, f"{seq - before - 1} messages {topic} were missed")

    def watch(self) -> None:
        """Tell when the box has fallen silent; let go of streams that have ended."""
        now_s = self._lsl.local_clock()
        self._ended = [(end_s, case) for end_s, case in self._ended if now_s - end_s < LINGER_S]
        if self._heard_s is None or self._silent:
            return
        silent_s = now_s - self._heard_s
        if silent_s > SILENT_S:
            self._silent = True
            self._tell("silent", {"seconds": round(silent_s, 1)}, "the box is silent; streams stand still")

    def _tell(self, what: str, told: dict[str, Any], text: str) -> None:
        self._say(text)
        if self._case is not None:
            self._case.mark_now(what, told)

    def end(self) -> None:
        """End all streams: nothing more is pushed, and `watch` lets go of them."""
        if self._case is not None:
            lost = dict(self._case.lost)
            self._tell(
                "end", {"lost_samples": lost}, f"streams end; samples lost while read: {_counted(lost)}"
            )
            self._ended.append((self._lsl.local_clock(), self._case))
        self._case = None
        self._early.clear()
        self._seq.clear()


def _counted(lost: dict[str, int]) -> str:
    return ", ".join(f"{n} by the {who}" for who, n in lost.items())


def _say(text: str) -> None:
    sys.stderr.write(f"evokd bridge lsl: {text}\n")
    sys.stderr.flush()
