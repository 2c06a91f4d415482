"""A mirror: everything that a box says, said again on a bus of our own, unchanged, and kept.

Owns the ear at the box and our bus. Boots and numbers are the box's own, so that a display that knows the box
comes and goes without taking anything twice. Says nothing of its own, not even a beat: while the box is
silent, so is its mirror, and no display takes old data for live. What it knows of the case it tells whoever
asks, for as long as it runs.
"""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hostd.bus import Bus
from hostd.client import Joined, Subscription
from hostd.endpoints import parse_bus
from hostd.errors import BusError, CrashedError
from hostd.keys import KeyRing, Secret
from hostd.mirror.copy import CaseCopy
from hostd.mirror.desk import MirrorDesk
from hostd.mirror.voice import Voice
from hostd.wire import Message

RECEIVE_MS: Final = 20
SERVE_MS: Final = 50
AGAIN_S: Final = 0.5
SILENT_S: Final = 2.0
ANSWER_MS: Final = 1000
"""Of a box that is there; one that dies meanwhile is not waited for longer than that."""


@dataclass(frozen=True, slots=True)
class MirrorOptions:
    """The box's bus and the key for it, our own bus and who may come there, where the case is kept (None:
    nowhere)."""

    of: str
    key: Secret | None
    bus: str
    ring: KeyRing | None
    peers: int | None
    data: Path | None


class Mirror:
    """Of one box, until `stop`. Raises BusError where a port is taken.

    `beat` is called by each of our two threads with its name, `says` with a line for whoever watches over us.
    """

    def __init__(
        self,
        options: MirrorOptions,
        stop: threading.Event,
        beat: Callable[[str], None] = lambda stage: None,
        says: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._options, self._stop, self._beat, self._says = options, stop, beat, says
        self._bus = Bus(parse_bus(options.bus), "", "", lambda index: (0, 0), options.ring, options.peers)
        self._voice = Voice(options.of, options.bus, options.key)
        self._desk = MirrorDesk(self._bus, self._voice, options.of)
        self._copy = None if options.data is None else CaseCopy(options.data, self._tell)
        self._heard_ns = time.monotonic_ns() - round(SILENT_S * 1e9)
        self._silent = True
        self._boot = ""
        self._failure: BaseException | None = None

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`."""
        ear = threading.Thread(target=self._guarded, name="mirror ear")
        ear.start()
        ready()
        try:
            while not self._stop.is_set() and ear.is_alive():
                self._bus.serve(SERVE_MS, self._desk.handle)
                now_ns = time.monotonic_ns()
                self._voice.pulse(now_ns)
                for answer in self._voice.answers(now_ns):
                    answer()
                self._look(now_ns)
                self._beat("server")
        finally:
            self._stop.set()
            ear.join()
            self._voice.close()
            self._bus.close()
        if self._failure is not None:
            raise CrashedError(f"the mirror cannot go on: {self._failure!r}") from self._failure

    def _look(self, now_ns: int) -> None:
        """Tell when the box falls silent, and when it is heard again."""
        silent_s = (now_ns - self._heard_ns) / 1e9
        self._desk.silent_s = silent_s
        if (silent_s > SILENT_S) != self._silent:
            self._silent = not self._silent
            self._tell(f"{self._options.of} {'is silent' if self._silent else 'is heard'}")

    def _tell(self, line: str) -> None:
        self._says(line)
        sys.stderr.write(f"evokd mirror: {line}\n")
        sys.stderr.flush()

    def _guarded(self) -> None:
        try:
            self._listen()
        except BaseException as error:  # noqa: BLE001 - told by the thread that serves, which ends for it
            self._failure = error
        finally:
            if self._copy is not None:
                self._copy.close()

    def _listen(self) -> None:
        key, why = self._options.key, ""
        raw = Subscription(self._options.of, ("raw",), raw=True, key=key)
        raw.hear_raw(False)
        joined: Joined | None = None
        try:
            while not self._stop.is_set():
                self._beat("ear")
                try:
                    joined = joined or Joined(self._options.of, key=key, answer_ms=ANSWER_MS)
                    messages = joined.receive(RECEIVE_MS)
                except BusError as error:  # not there yet, or it does not know our key
                    if str(error) != why:
                        why = str(error)
                        self._tell(why)
                    if joined is not None:
                        joined.close()
                        joined = None
                    self._stop.wait(AGAIN_S)
                    continue
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # the snapshot of something that is no evokd
                raw.hear_raw(self._copy is not None or self._bus.raw_wanted)
                self._heard(messages + raw.receive(0))
        finally:
            raw.close()
            if joined is not None:
                joined.close()

    def _heard(self, messages: list[Message]) -> None:
        """In the ear's thread: to the bus first, then to the file."""
        if not messages:
            return
        self._heard_ns = time.monotonic_ns()
        self._bus.post(lambda: self._say(messages))
        if self._copy is not None:
            self._copy.take(messages, self._desk.about)

    def _say(self, messages: list[Message]) -> None:
        """In the serving thread: what was kept of another start of the box is over."""
        for message in messages:
            header: dict[str, Any] = dict(message.header)
            boot = header.get("boot")
            if boot != self._boot and isinstance(boot, str) and message.topic != "raw":
                self._boot = boot
                self._bus.forget()
            self._bus.pass_on(message.topic, header, message.parts)
