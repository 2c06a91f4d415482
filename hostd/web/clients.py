"""Browsers: one bounded outbox and one sender each, so that a slow or dead one delays nobody else.

Averages are replaced by newer ones when a browser cannot keep up; events are never dropped: a browser that
falls too far behind with those is cut off and gets the whole state when it comes back.
"""

import asyncio
import json
import math
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable

from aiohttp import WSMsgType, web

EVENTS_QUEUED = 4000
PER_TOPIC_QUEUED = 2
SEND_TIMEOUT_S = 10.0
# A deep kernel buffer would hold seconds of data that is old when a slow network delivers it.
SOCKET_BUFFER_BYTES = 1 << 17
REPLACEABLE = ("sweep.", "average.", "gateway")


class Outbox:
    """Frames waiting for one browser. One thread (the event loop's)."""

    def __init__(self, events_queued: int = EVENTS_QUEUED) -> None:
        self._frames: deque[tuple[str, bytes]] = deque()
        self._waiting: Counter[str] = Counter()
        self._limit = events_queued
        self._filled = asyncio.Event()
        self.dropped = 0
        self.overflowed = False

    def put(self, topic: str, frame: bytes) -> None:
        """Queue `frame`; over its limit a replaceable topic drops its oldest, any other overflows."""
        if topic.startswith(REPLACEABLE):
            if self._waiting[topic] >= PER_TOPIC_QUEUED:
                del self._frames[next(k for k, queued in enumerate(self._frames) if queued[0] == topic)]
                self._waiting[topic] -= 1
                self.dropped += 1
        elif len(self._frames) >= self._limit:
            self.overflowed = True
        if not self.overflowed:
            self._frames.append((topic, frame))
            self._waiting[topic] += 1
        self._filled.set()

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


class Clients:
    """All connected browsers. One thread (the event loop's)."""

    def __init__(self) -> None:
        self._outboxes: set[Outbox] = set()
        self._transports: set[asyncio.Transport] = set()

    def __len__(self) -> int:
        return len(self._outboxes)

    @property
    def dropped(self) -> int:
        """Frames dropped for the browsers that are connected now."""
        return sum(outbox.dropped for outbox in self._outboxes)

    def put(self, topic: str, frame: bytes) -> None:
        """Queue `frame` for every browser."""
        for outbox in self._outboxes:
            outbox.put(topic, frame)

    def cut(self) -> None:
        """Cut every connection now, without waiting for a peer to say goodbye."""
        for transport in self._transports:
            transport.abort()

    async def serve(
        self,
        request: web.Request,
        first: Callable[[], Iterable[bytes]],
        answer: Callable[[float | None], bytes],
    ) -> web.StreamResponse:
        """One browser's life: the `first` frames, then all that is put, and an `answer` to each ping."""
        ws = web.WebSocketResponse(compress=False, max_msg_size=1024, heartbeat=5.0)
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws
        _shrink_send_buffer(transport)
        outbox = Outbox()
        # No await between these lines: nothing can be published between the state and the first update.
        outbox.put("gateway", answer(None))
        for frame in first():
            outbox.put("state", frame)
        self._outboxes.add(outbox)
        self._transports.add(transport)
        sender = asyncio.create_task(_send_all(ws, outbox, transport))
        try:
            async for said in ws:
                ping = _ping(said.data) if said.type is WSMsgType.TEXT else None
                if ping is not None:
                    outbox.put("gateway", answer(ping))
        finally:
            self._outboxes.discard(outbox)
            self._transports.discard(transport)
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


def _ping(text: str) -> float | None:
    """The browser's clock in `{"ping": ms}`; None for anything else."""
    try:
        ping = json.loads(text)["ping"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return ping if isinstance(ping, int | float) and math.isfinite(ping) else None


def _shrink_send_buffer(transport: asyncio.Transport) -> None:
    peer = transport.get_extra_info("socket")
    if peer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
