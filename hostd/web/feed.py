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
from hostd.wire import Message

# `sweep.*`, `spectrum` and the like are not shown by the page, so they are not even asked for.
TOPICS = ("beat", "status", "stim", "event", "alert", "measure.", "average.", "baseline.", "impedance", "tof")
RECEIVE_MS = 100
SNAPSHOT_MS = 1000

Heard = Callable[[list[Message]], None]


class Feed:
    """Reads the bus until `stop`; hands every batch to `heard`, called in the feed's thread."""

    def __init__(self, bus: str, heard: Heard, stop: threading.Event, key: Secret | None = None) -> None:
        self._bus, self._key = bus, key
        self._heard = heard
        self._stop = stop
        self._wanted = threading.Event()
        self._wanted.set()

    def want_snapshot(self) -> None:
        """Ask the daemon for its latest messages as soon as it answers. Any thread."""
        self._wanted.set()

    def run(self) -> None:
        """Read until `stop`. Raises UsageError for a malformed bus address."""
        # Subscribe first, ask then: nothing published between the two can be missed.
        with (
            Subscription(self._bus, TOPICS, key=self._key) as subscription,
            ThreadPoolExecutor(1, "snapshot") as asker,
        ):
            asking: Future[list[Message]] | None = None
            while not self._stop.is_set():
                batch = subscription.receive(RECEIVE_MS)
                if asking is not None and asking.done():
                    # After the live ones, so that no event is taken for older than the snapshot's latest.
                    batch += subscription.receive(0) + self._answer(asking)
                    asking = None
                if batch:
                    self._heard(batch)
                if asking is None and self._wanted.is_set():
                    self._wanted.clear()
                    asking = asker.submit(snapshot, self._bus, SNAPSHOT_MS, key=self._key)

    def _answer(self, asking: "Future[list[Message]]") -> list[Message]:
        """The snapshot's messages; none when the daemon is away or answers nonsense, then asked again."""
        try:
            messages = asking.result()
            return [m for m in messages if _well_formed(m)]
        except BusError:
            self._wanted.set()
        except (ValueError, KeyError, TypeError, AttributeError):
            # Hostile or foreign reply; the live messages fill the state in by themselves.
            pass
        return []


def _well_formed(message: Message) -> bool:
    """False for what a foreign or broken daemon may have put into its snapshot, and for topics not shown."""
    topic: object = message.topic
    return (
        isinstance(topic, str)
        and topic.startswith(TOPICS)
        and isinstance(message.header, dict)
        and isinstance(message.parts, list)
        and all(isinstance(part, bytes) for part in message.parts)
    )
