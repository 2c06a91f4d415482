"""The display's ear on the bus, and its voice: one thread that listens, and requests that never wait for it.

An ordinary bus client without a private door. Refuses to give up: a box that is away is waited for, a new
start of it is greeted anew. What is heard waits in a bounded queue for whoever shows it; a display that
lags loses the oldest, never the newest.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hostd.client import Joined, request
from hostd.errors import BusError
from hostd.keys import Secret
from hostd.route import Route
from hostd.show.view import Rights, Wish
from hostd.show.words import harmless
from hostd.wire import Message

# `sweep.*` is not shown, so it is not asked for; `emg` brings `emg.audio` along.
TOPICS = (
    *("beat", "status", "stim", "measure.", "alert", "alarms", "case", "plugs.", "response.", "tof", "emg"),
    *("eeg", "mains", "impedance", "event", "average.", "baseline.", "spectrum", "wave."),
)
RECEIVE_MS, ANSWER_MS = 100, 1000
MOST_WAITING = 20_000
NAME = "evokd show"

Heard = tuple[Message, int]
Requester = Callable[..., dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a wish, in one line."""

    text: str
    ok: bool


class Ear:
    """Listens to the box of `route` from `start` to `stop`. `drain`, `rights`, `why` and `answers` are for
    another thread.

    `overheard`, where given, sees every message in the listening thread (the sound must not wait for a
    screen).
    """

    def __init__(
        self,
        route: Route,
        key: Secret | None,
        author: str,
        overheard: Callable[[Message], None] | None = None,
    ) -> None:
        self._route, self._key, self._author = route, key, author
        self._overheard = overheard
        self._waiting: deque[Heard] = deque(maxlen=MOST_WAITING)
        self._answers: deque[Answer] = deque(maxlen=100)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)
        self._voice = ThreadPoolExecutor(2, "voice")
        # A stop never waits behind another request.
        self._stopper = ThreadPoolExecutor(1, "stop")
        self._boot = ""
        self.rights = Rights()
        self.why = ""
        self.malformed = 0
        self.arrived = threading.Event()

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more. What was asked for is not waited for."""
        self._stop.set()
        self._voice.shutdown(wait=False, cancel_futures=True)
        self._stopper.shutdown(wait=False)
        self._thread.join(2 * RECEIVE_MS / 1e3)

    def drain(self) -> list[Heard]:
        """What has been heard since, in order, each with its monotonic ns."""
        self.arrived.clear()
        heard: list[Heard] = []
        while self._waiting:
            heard.append(self._waiting.popleft())
        return heard

    def answers(self) -> list[Answer]:
        """What became of wishes since."""
        return [self._answers.popleft() for _ in range(len(self._answers))]

    def wish(self, wish: Wish, called: str) -> None:
        """Ask the box; the answer comes by `answers`, under the name `called`."""
        args = dict(wish.args)
        if wish.command in ("mark", "alert.acknowledge", "alarm.signal"):
            args["author"] = self._author
        pool = self._stopper if wish.command == "stim.stop" else self._voice
        pool.submit(self._ask, wish.command, args, called)

    def _ask(self, command: str, args: dict[str, Any], called: str) -> None:
        try:
            reply = request(self._route.bus, command, args, key=self._key)
            error = reply.get("error")
            ok = reply.get("ok") is True
            text = called if ok else str(error.get("message", "")) if isinstance(error, dict) else "refused"
        except (BusError, ValueError) as error:
            ok, text = False, str(error)
        self._answers.append(Answer(harmless(text if ok else f"{called}: {text}", 200), ok))
        self.arrived.set()

    @property
    def via(self) -> str:
        """The mirror by which the box is heard, "" while it is heard itself. Any thread."""
        return self._route.bus if self._route.away else ""

    def _listen(self) -> None:
        joined: Joined | None = None
        counted = 0
        while not self._stop.is_set():
            try:
                if self._route.moved(joined is not None and joined.joined):
                    if joined is not None:
                        joined.move(self._route.bus)
                        counted = joined.malformed
                    self._greet()
                if joined is None:
                    joined, counted = Joined(self._route.bus, TOPICS, key=self._key, answer_ms=ANSWER_MS), 0
                messages = joined.receive(RECEIVE_MS)
            except BusError as error:
                # Nobody lets us in: a connection that was refused for its key is not tried again by itself.
                self.why = str(error)
                if joined is not None:
                    joined.close()
                joined = None
                self._stop.wait(RECEIVE_MS / 1e3)
                continue
            except (ValueError, KeyError, TypeError, AttributeError):
                self.malformed += 1  # the snapshot of something that is no evokd
                continue
            self.malformed += joined.malformed - counted
            counted = joined.malformed
            self.why = joined.refused
            self._route.heard(messages)
            self._hear(messages)
        if joined is not None:
            joined.close()
        self._route.close()

    def _hear(self, messages: list[Message]) -> None:
        now_ns = time.monotonic_ns()
        if any(message.header.get("boot") != self._boot for message in messages):
            # The rate first: by it all others are told their time in the case.
            messages = sorted(messages, key=lambda message: message.topic != "status")
        for message in messages:
            if self._overheard is not None:
                self._overheard(message)
            self._waiting.append((message, now_ns))
            boot = message.header.get("boot")
            if isinstance(boot, str) and boot != self._boot:
                self._boot = boot
                self._greet()
        if messages:
            self.arrived.set()

    def _greet(self) -> None:
        """Ask the box who we are to it; rights of another start are none until it has said so."""
        self.rights = Rights()
        try:
            future: Future[dict[str, Any]] = self._voice.submit(
                request, self._route.bus, "hello", {"name": NAME}, key=self._key
            )
        except RuntimeError:  # we are stopping
            return
        future.add_done_callback(self._greeted)

    def _greeted(self, future: "Future[dict[str, Any]]") -> None:
        if future.cancelled() or future.exception() is not None:
            return
        result = future.result().get("result")
        if isinstance(result, dict) and isinstance(may := result.get("may"), list):
            role = harmless(result.get("role"), 30)
            self.rights = Rights(frozenset(str(one) for one in may) | {"stim.stop"}, role)
            self.arrived.set()
