"""The gateway's ear on the bus: one thread that reads a `Subscription` and asks for snapshots when told to.

An ordinary bus client without a private door. Keeps no state about the case; refuses to wait for anything
longer than its stop event may.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from hostd.client import Subscription, snapshot
from hostd.errors import BusError
from hostd.keys import Secret
from hostd.route import Route
from hostd.wire import Message

# What no page shows (`sweep.*`) is not even asked for.
OVERVIEW = ("beat", "status", "event", "alert", "alarms", "case", "measure.", "response.", "tof", "mains")
"""What a wall of boxes shows of each."""
ALL = (
    *OVERVIEW,
    *("stim", "average.", "baseline.", "impedance", "emg", "wave.", "spectrum", "eeg", "plugs.", "ledger"),
)
"""What the pages of one box show; `emg` is its sound too."""
RECEIVE_MS = 100
SNAPSHOT_MS = 1000

Heard = Callable[[list[Message]], None]


class Feed:
    """Reads the bus until `stop`; hands every batch to `heard`, called in the feed's thread."""

    def __init__(
        self,
        route: Route,
        heard: Heard,
        stop: threading.Event,
        key: Secret | None = None,
        topics: tuple[str, ...] = ALL,
    ) -> None:
        self._route, self._key = route, key
        self._topics = topics
        self._heard = heard
        self._stop = stop
        self._wanted = threading.Event()
        self._wanted.set()

    @property
    def topics(self) -> tuple[str, ...]:
        """What is heard."""
        return self._topics

    def want_snapshot(self) -> None:
        """Ask the daemon for its latest messages as soon as it answers. Any thread."""
        self._wanted.set()

    def want(self, topics: tuple[str, ...]) -> None:
        """Hear these too from now on, beginning with the latest of each. Any thread."""
        if not set(topics) <= set(self._topics):
            self._topics = (*self._topics, *(topic for topic in topics if topic not in self._topics))
            self._wanted.set()

    def run(self) -> None:
        """Read until `stop`, where the box is heard. Raises UsageError for a malformed bus address."""
        try:
            with ThreadPoolExecutor(1, "snapshot") as asker:
                while not self._stop.is_set():
                    self._wanted.set()
                    self._listen(asker)
        finally:
            self._route.close()

    def _listen(self, asker: ThreadPoolExecutor) -> None:
        """Read one bus, until `stop` or until the box is to be heard elsewhere."""
        bus, answered = self._route.bus, False
        asking: Future[list[Message]] | None = None
        # Subscribe first, ask then: nothing published between the two can be missed.
        with Subscription(bus, heard := self._topics, key=self._key) as subscription:
            while not self._stop.is_set() and not self._route.moved(answered):
                if heard is not self._topics:
                    subscription.subscribe(topic for topic in self._topics if topic not in heard)
                    heard = self._topics
                batch = subscription.receive(RECEIVE_MS)
                if asking is not None and asking.done():
                    # After the live ones, so that no event is taken for older than the snapshot's latest.
                    batch += subscription.receive(0) + self._answer(asking)
                    answered = answered or not self._wanted.is_set()
                    asking = None
                if batch:
                    self._route.heard(batch)
                    self._heard(batch)
                if asking is None and self._wanted.is_set():
                    self._wanted.clear()
                    asking = asker.submit(snapshot, bus, SNAPSHOT_MS, key=self._key)

    def _answer(self, asking: "Future[list[Message]]") -> list[Message]:
        """The snapshot's messages; none when the daemon is away or answers nonsense, then asked again."""
        try:
            messages = asking.result()
            return [m for m in messages if _well_formed(m, self._topics)]
        except BusError:
            self._wanted.set()
        except (ValueError, KeyError, TypeError, AttributeError):
            # Hostile or foreign reply; the live messages fill the state in by themselves.
            pass
        return []


def _well_formed(message: Message, topics: tuple[str, ...]) -> bool:
    """False for what a foreign or broken daemon may have put into its snapshot, and for topics not shown."""
    topic: object = message.topic
    return (
        isinstance(topic, str)
        and topic.startswith(topics)
        and isinstance(message.header, dict)
        and isinstance(message.parts, list)
        and all(isinstance(part, bytes) for part in message.parts)
    )
