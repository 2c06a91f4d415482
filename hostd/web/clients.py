"""Browsers: one bounded outbox and one sender each, so that a slow or dead one delays nobody else.

Pictures are replaced by newer ones when a browser cannot keep up; events are never dropped: a browser that
falls too far behind with those is cut off and gets the whole state when it comes back.
"""

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Protocol

from aiohttp import WSMsgType, web

EVENTS_QUEUED = 4000
PER_TOPIC_QUEUED = 2
SCROLLING_QUEUED = 20
SEND_TIMEOUT_S = 10.0
MOST_BYTES_SAID = 1 << 14
# A deep kernel buffer would hold seconds of data that is old when a slow network delivers it.
SOCKET_BUFFER_BYTES = 1 << 17
REPLACEABLE = ("sweep.", "average.", "gateway", "wall", "reading.", "reference.", "spectrum")
SCROLLING = ("wave.", "emg.audio")
"""Each is a piece of what went before: of two seconds of them the oldest go, which the page sees."""
OUTSIDE = ("gateway", "rights")
"""What somebody hears who has not been let in yet."""
ASKED_FOR = ("emg.audio", "halves")
"""What a browser gets only if it says so."""


class Outbox:
    """Frames waiting for one browser, and what it asked for beside the usual. One thread (the loop's)."""

    def __init__(self, events_queued: int = EVENTS_QUEUED) -> None:
        self.admitted = True  # until then only what is said to it by name: rights, and that we are there
        self.wants: frozenset[str] = frozenset()
        self._frames: deque[tuple[str, bytes]] = deque()
        self._waiting: Counter[str] = Counter()
        self._limit = events_queued
        self._filled = asyncio.Event()
        self.dropped = 0
        self.overflowed = False

    def put(self, topic: str, frame: bytes) -> None:
        """Queue `frame`; over its limit a replaceable topic drops its oldest, any other overflows."""
        if not self.admitted and topic not in OUTSIDE:
            return
        if topic.startswith(REPLACEABLE):
            self._make_room(topic, PER_TOPIC_QUEUED)
        elif topic.startswith(SCROLLING):
            self._make_room(topic, SCROLLING_QUEUED)
        elif len(self._frames) >= self._limit:
            self.overflowed = True
        if not self.overflowed:
            self._frames.append((topic, frame))
            self._waiting[topic] += 1
        self._filled.set()

    def admit(self, first: Iterable[bytes]) -> None:
        """From here on everything, the `first` frames before it."""
        self.admitted = True
        for frame in first:
            self.put("state", frame)

    def _make_room(self, topic: str, most: int) -> None:
        if self._waiting[topic] < most:
            return
        del self._frames[next(k for k, queued in enumerate(self._frames) if queued[0] == topic)]
        self._waiting[topic] -= 1
        self.dropped += 1

    async def get(self) -> bytes | None:
        """The next frame, or None once the outbox has overflowed."""
        while not self._frames and not self.overflowed:
            self._filled.clear()
            await self._filled.wait()
        if self.overflowed:
            return None
        topic, frame = self._frames.popleft()
        self._waiting[topic] -= 1
        return frame


class Visitor(Protocol):
    """Who is at the other end: hears what the browser says, and that it is gone."""

    async def said(self, text: str) -> None:
        """One message of the browser, of at most MOST_BYTES_SAID."""

    def close(self) -> None:
        """It is gone."""


class Clients:
    """All browsers that look at one thing. One thread (the event loop's)."""

    def __init__(self) -> None:
        self.outboxes: set[Outbox] = set()
        self._transports: set[asyncio.Transport] = set()

    def __len__(self) -> int:
        return len(self.outboxes)

    @property
    def dropped(self) -> int:
        """Frames dropped for the browsers that are connected now."""
        return sum(outbox.dropped for outbox in self.outboxes)

    def put(self, topic: str, frame: bytes) -> None:
        """Queue `frame` for every browser."""
        for outbox in self.outboxes:
            outbox.put(topic, frame)

    def cut(self) -> None:
        """Cut every connection now, without waiting for a peer to say goodbye."""
        for transport in self._transports:
            transport.abort()

    async def serve(
        self,
        request: web.Request,
        first: Callable[[], Iterable[bytes]],
        meet: Callable[[Outbox], Visitor],
    ) -> web.StreamResponse:
        """One browser's life: the `first` frames, then all that is put; its visitor hears what it says."""
        ws = web.WebSocketResponse(compress=False, max_msg_size=MOST_BYTES_SAID, heartbeat=5.0)
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws
        _shrink_send_buffer(transport)
        outbox = Outbox()
        # No await between these lines: nothing can be published between the state and the first update.
        visitor = meet(outbox)
        if outbox.admitted:
            outbox.admit(first())
        self.outboxes.add(outbox)
        self._transports.add(transport)
        sender = asyncio.create_task(_send_all(ws, outbox, transport))
        try:
            async for said in ws:
                if said.type is WSMsgType.TEXT:
                    await visitor.said(said.data)
        finally:
            self.outboxes.discard(outbox)
            self._transports.discard(transport)
            visitor.close()
            sender.cancel()
        return ws


async def _send_all(ws: web.WebSocketResponse, outbox: Outbox, transport: asyncio.Transport) -> None:
    """Send until the browser is gone; one that does not take a frame in time, or overflows, is cut off."""
    try:
        while (frame := await outbox.get()) is not None:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await ws.send_bytes(frame)
    except (TimeoutError, ConnectionError):
        pass
    finally:
        transport.abort()


def _shrink_send_buffer(transport: asyncio.Transport) -> None:
    peer = transport.get_extra_info("socket")
    if peer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
