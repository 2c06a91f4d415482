"""The wall: every box as a tile, told to its browsers once a second and at once when an alert changes."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import msgspec

from hostd.web.board import Board
from hostd.web.clients import Clients, Outbox, Visitor
from hostd.web.frame import pack_frame
from hostd.web.tiles import order, tile
from hostd.wire import Message

EVERY_S = 1.0


class Heard(Protocol):
    """What the wall needs of a box."""

    board: Board

    @property
    def bus_age_ms(self) -> float | None:
        """Milliseconds since it was last heard."""


class Wall:
    """All browsers that look at all boxes. Event loop's thread."""

    def __init__(self, boxes: Mapping[str, Heard]) -> None:
        self.clients = Clients()
        self._boxes = boxes
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Tell, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            if len(self.clients):
                self.clients.put("wall", self._frame(None))

    def told(self, alert: bool) -> None:
        """A box has said something; of an alert the wall is told at once."""
        if alert:
            self._changed.set()

    def first(self) -> Iterator[bytes]:
        """What a browser that comes now is told first."""
        yield self._frame(None)

    def meet(self, outbox: Outbox) -> Visitor:
        """A browser has come."""
        return _Onlooker(outbox, self._frame)

    def _frame(self, ping: float | None) -> bytes:
        tiles = [tile(name, box.board, box.bus_age_ms) for name, box in self._boxes.items()]
        return pack_frame(Message("wall", {"boot": "wall", "ping": ping, "tiles": order(tiles)}))


class _Ping(msgspec.Struct, frozen=True):
    ping: float


class _Onlooker:
    """A browser at the wall: it pings, and asks for nothing."""

    def __init__(self, outbox: Outbox, frame: Callable[[float | None], bytes]) -> None:
        self._outbox, self._frame = outbox, frame

    async def said(self, text: str) -> None:
        """Its clock back, so that it can tell how old what it shows is."""
        try:
            ping = msgspec.json.decode(text, type=_Ping).ping
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return
        said = {"boot": "wall", "bus_age_ms": 0, "ping": ping}
        self._outbox.put("gateway", pack_frame(Message("gateway", said)))

    def close(self) -> None:
        """Nothing was begun for it."""
