"""One box as the gateway knows it: its board, the browsers that look at it, and who reads or asks there.

Refuses to make old data look live: every answer to a page carries how long the bus has been silent.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hostd.bridges.metrics import Metrics
from hostd.keys import Secret
from hostd.route import Route
from hostd.web.board import LEFT_OUT, Board
from hostd.web.clients import ASKED_FOR, Clients, Outbox
from hostd.web.feed import ALL, OVERVIEW, Feed
from hostd.web.frame import pack_frame
from hostd.web.readers import Readers
from hostd.web.visitor import At, Visitor
from hostd.wire import Message


class Box:
    """A box at the first of `buses`, its mirrors at the others. All in the event loop's thread, but for the
    feed's, which only posts batches into it.

    `told` is called after every batch, with whether an alert was in it.
    """

    def __init__(
        self,
        name: str,
        buses: Sequence[str],
        key: Secret | None,
        raw_bytes: int,
        stop: threading.Event,
        told: Callable[[bool], None],
        whole: bool = True,
    ) -> None:
        self.name, self.key = name, key
        self._route = Route(buses, key)
        self._at = self._route.bus
        self.board = Board()
        self.clients = Clients()
        self.metrics = Metrics()
        self.refused = 0
        self._stop, self._told, self._whole = stop, told, whole
        self._feed = Feed(self._route, self._post, stop, key, ALL if whole else OVERVIEW)
        self._readers = Readers(self._route, raw_bytes, stop)
        self._visitors: set[Visitor] = set()
        self._heard_s: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Hear the bus until the gateway stops."""
        self._loop = asyncio.get_running_loop()
        # A thread of its own: the loop's pool has a handful, and a wall has more boxes than that.
        with ThreadPoolExecutor(1, f"feed {self.name}") as ear:
            try:
                await self._loop.run_in_executor(ear, self._feed.run)
            finally:
                self._stop.set()
                self._readers.close()

    @property
    def bus(self) -> str:
        """Where the box is heard now."""
        return self._route.bus

    @property
    def bus_age_ms(self) -> float | None:
        """Milliseconds since the bus last said something; None when it never did."""
        if self._heard_s is None or self._loop is None:
            return None
        return round((self._loop.time() - self._heard_s) * 1e3, 1)

    def meet(self, outbox: Outbox, at: At) -> Visitor:
        """A browser has come."""
        self._feed.want(ALL)
        self._readers.listen(self.key)
        visitor = Visitor(self, outbox, at, self._visitors.discard)
        self._visitors.add(visitor)
        return visitor

    def first(self) -> Iterator[bytes]:
        """What a browser that comes now must be told first."""
        return self.board.frames()

    def answer(self, ping: float | None) -> bytes:
        """Frame `gateway`: the silence of the bus, and the browser's own clock back so it can add the way."""
        said = {
            "boot": self.board.boot,
            "box": self.name,
            "bus_age_ms": self.bus_age_ms,
            "ping": ping,
            "clients": len(self.clients),
            "mirror": self.bus if self._route.away else "",
        }
        return pack_frame(Message("gateway", said))

    def read(self, outbox: Outbox, wanted: dict[str, Any], key: Secret | None) -> None:
        """As `visitor.BoxDoor`."""
        self._readers.begin(outbox, wanted, self.board.latest.get("status"), key)

    def cut(self) -> None:
        """Cut every browser off."""
        self.clients.cut()

    def _post(self, batch: list[Message]) -> None:
        """Called in the feed's thread."""
        if self._loop is not None and not self._stop.is_set():
            self._loop.call_soon_threadsafe(self._publish, batch)

    def _publish(self, batch: list[Message]) -> None:
        alert = False
        self._follow()
        for message in batch:
            before = self.board.boot
            if not self.board.accept(message):
                continue
            self._heard_s = asyncio.get_running_loop().time()
            self.metrics.accept(message)
            if message.topic == "beat" and self.board.behind(message, self._feed.topics):
                self._feed.want_snapshot()
            alert = alert or message.topic in ("alert", "alarms")
            if self.board.boot != before:
                self._feed.want_snapshot()
                if self._whole:  # of a wall of boxes only those that somebody has opened
                    self._readers.listen(self.key)
                for visitor in self._visitors:
                    visitor.greet()
            self._forward(message)
        self._told(alert)

    def _follow(self) -> None:
        """Ask where the box is heard now; what may be asked there is another thing."""
        if self._at != self.bus:
            self._at = self.bus
            for visitor in self._visitors:
                visitor.move()

    def _forward(self, message: Message) -> None:
        """To every browser what it wants of a message, packed once for all who want the same."""
        packed: dict[bool, bytes] = {}
        for outbox in self.clients.outboxes:
            if message.topic in ASKED_FOR and message.topic not in outbox.wants:
                continue
            whole = "halves" in outbox.wants
            if whole not in packed:
                packed[whole] = pack_frame(message, without=() if whole else LEFT_OUT)
            outbox.put(message.topic, packed[whole])
