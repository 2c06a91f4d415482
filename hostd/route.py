"""Where a display hears its box: at the box's own bus, or at a mirror of it while that is silent.

Owns when to go and when to come home, and which mirrors there are (the box says so in `status.mirrors`). A
mirror says what the box says, with the same boots and numbers, so that who comes takes nothing twice and only
asks for the snapshot. Refuses to leave a box that is heard, and to stay away from one that is heard again.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from hostd.client import Subscription
from hostd.endpoints import parse_bus
from hostd.errors import UsageError
from hostd.keys import Secret
from hostd.wire import Message

SILENT_S: Final = 2.0
"""What every display calls silence: then it goes to a mirror."""
ANSWERS_S: Final = 3.0
"""A mirror that has not let us in for so long is left for the next one."""
NEXT_S: Final = 10.0
"""So long one is listened to that has nothing to say, where there are others."""
BACK_S: Final = 1.0
"""The box is heard again: beats for so long, none later than that after the one before."""
MOST_MIRRORS: Final = 8


def buses(words: str) -> list[str]:
    """The buses in `BUS[,BUS...]`: a box, and mirrors of it. Raises UsageError for what is none."""
    found = [word.strip() for word in words.split(",")]
    for bus in found:
        parse_bus(bus)
    return found


class Route:
    """Of one display of the box at `buses[0]`, whose mirrors are at the others and where `status` says.

    `bus` and `away` may be read by any thread; all else belongs to the one that listens.
    """

    def __init__(
        self, buses: Sequence[str], key: Secret | None = None, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.home, *self._given = buses
        self.bus = self.home
        self._key, self._now_s = key, now_s
        self._told: list[str] = []
        self._heard_s = self._moved_s = now_s()
        self._ear: Subscription | None = None
        self._beats_since_s = self._beat_s = -math.inf

    @property
    def away(self) -> bool:
        """Whether a mirror is listened to."""
        return self.bus != self.home

    @property
    def mirrors(self) -> list[str]:
        """Where else the box can be heard, best first."""
        return list(dict.fromkeys(one for one in (*self._given, *self._told) if one != self.home))

    def heard(self, messages: Iterable[Message]) -> None:
        """These came, live or by a snapshot."""
        for message in messages:
            self._heard_s = self._now_s()
            if message.topic == "status":
                self._told = _endpoints(message.header.get("mirrors"))

    def moved(self, joined: bool) -> bool:
        """Once a round: whether `bus` has changed, so that it is to be joined there. `joined`: whether the
        present one has let us in."""
        now_s = self._now_s()
        if self.away and self._home_again(now_s):
            self._go(self.home, now_s)
            self._heard_s = now_s  # by those beats
            return True
        silent_s, here_s = now_s - self._heard_s, now_s - self._moved_s
        if silent_s <= SILENT_S or not (there := self.mirrors):
            return False
        if self.away and here_s <= (NEXT_S if joined else ANSWERS_S):
            return False
        at = there.index(self.bus) if self.bus in there else -1
        following = there[(at + 1) % len(there)]
        if following == self.bus:
            return False
        self._go(following, now_s)
        return True

    def close(self) -> None:
        """Listen for the box no more."""
        if self._ear is not None:
            self._ear.close()
            self._ear = None

    def _go(self, bus: str, now_s: float) -> None:
        self.bus, self._moved_s = bus, now_s
        self._beats_since_s = self._beat_s = -math.inf
        if not self.away:
            self.close()
        elif self._ear is None:
            self._ear = Subscription(self.home, ("beat",), key=self._key)

    def _home_again(self, now_s: float) -> bool:
        if self._ear is None:
            return False
        if self._ear.receive(0):
            if now_s - self._beat_s > BACK_S:
                self._beats_since_s = now_s
            self._beat_s = now_s
        return self._beat_s - self._beats_since_s >= BACK_S


def _endpoints(said: object) -> list[str]:
    """The buses in what a box says of its mirrors; what is none is left out."""
    found = []
    for bus in said[:MOST_MIRRORS] if isinstance(said, list) else []:
        with contextlib.suppress(UsageError):
            parse_bus(bus if isinstance(bus, str) else "")
            found.append(bus)
    return found
