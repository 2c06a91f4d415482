"""The web gateway: a plain bus client that serves one page and forwards messages to browsers on `/ws`.

Uses no private door into the daemon and takes no commands from browsers. Refuses to make old data look live:
every answer to the page carries how long the bus has been silent.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from hostd.endpoints import parse_bus, parse_http
from hostd.errors import BusError
from hostd.keys import Secret
from hostd.web.board import Board
from hostd.web.clients import Clients
from hostd.web.feed import Feed
from hostd.web.frame import pack_frame
from hostd.wire import Message

MAX_CLIENTS = 64
ALIVE_MS = 3000
STATIC = Path(__file__).with_name("static")
CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def serve(
    bus: str,
    http: str,
    ready: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
    key: Secret | None = None,
) -> None:
    """Serve the page at `http` ("HOST:PORT", port 0 takes a free one) from the daemon at `bus` until `stop`.

    `ready` is called with the port once browsers can connect. The daemon may come, go and come back. Blocks;
    raises UsageError for a malformed address, BusError when the port cannot be had.
    """
    parse_bus(bus)
    host, port = parse_http(http)
    asyncio.run(_Gateway(bus, stop or threading.Event(), key).run(host, port, ready))


class _Gateway:
    """Board, browsers and HTTP, all in one event loop; the feed's thread only posts batches into it."""

    def __init__(self, bus: str, stop: threading.Event, key: Secret | None) -> None:
        self._bus = bus
        self._stop = stop
        self._board = Board()
        self._clients = Clients()
        self._feed = Feed(bus, self._post, stop, key)
        self._files = _static()
        self._heard_s: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, host: str, port: int, ready: Callable[[int], None] | None) -> None:
        self._loop = asyncio.get_running_loop()
        runner = web.AppRunner(_app(self), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            bound = await _listen(runner, host, port)
            feed = asyncio.create_task(asyncio.to_thread(self._feed.run))
            if ready is not None:
                ready(bound)
            await feed
        finally:
            self._stop.set()
            self._clients.cut()
            await runner.cleanup()

    def _post(self, batch: list[Message]) -> None:
        """Called in the feed's thread."""
        if self._loop is not None and not self._stop.is_set():
            self._loop.call_soon_threadsafe(self._publish, batch)

    def _publish(self, batch: list[Message]) -> None:
        for message in batch:
            before = self._board.boot
            if not self._board.accept(message):
                continue
            self._heard_s = self._now_s()
            if self._board.boot != before:
                self._feed.want_snapshot()
            self._clients.put(message.topic, pack_frame(message))

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _bus_age_ms(self) -> float | None:
        """Milliseconds since the bus last said something; None when it never did."""
        return None if self._heard_s is None else round((self._now_s() - self._heard_s) * 1e3, 1)

    def _answer(self, ping: float | None) -> bytes:
        """Frame `gateway`: the silence of the bus, and the browser's own clock back so it can add the way."""
        said = {
            "boot": self._board.boot,
            "bus_age_ms": self._bus_age_ms(),
            "ping": ping,
            "clients": len(self._clients),
        }
        return pack_frame(Message("gateway", said))

    def _first(self) -> Iterator[bytes]:
        return self._board.frames()

    async def page(self, request: web.Request) -> web.Response:
        found = self._files.get(request.match_info.get("name", "index.html"))
        if found is None:
            raise web.HTTPNotFound(text="not here; the page is at /\n")
        body, content_type = found
        return web.Response(body=body, content_type=content_type, charset="utf-8")

    async def health(self, request: web.Request) -> web.Response:
        age_ms = self._bus_age_ms()
        return web.json_response(
            {
                "ok": age_ms is not None and age_ms < ALIVE_MS,
                "bus": self._bus,
                "bus_age_ms": age_ms,
                "boot": self._board.boot,
                "clients": len(self._clients),
                "dropped": self._clients.dropped,
                "refused": self._board.refused,
            }
        )

    async def ws(self, request: web.Request) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
            raise web.HTTPForbidden(
                text=f"origin {origin} is not this host; open the page from {request.host}\n"
            )
        if len(self._clients) >= MAX_CLIENTS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_CLIENTS} displays are connected; close one\n")
        return await self._clients.serve(request, self._first, self._answer)


def _app(gateway: _Gateway) -> web.Application:
    app = web.Application()
    app.router.add_get("/", gateway.page)
    app.router.add_get("/healthz", gateway.health)
    app.router.add_get("/ws", gateway.ws, allow_head=False)
    app.router.add_get("/{name}", gateway.page)
    app.on_response_prepare.append(_add_headers)
    return app


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _static() -> dict[str, tuple[bytes, str]]:
    """Name -> (content, type) of every file that may be served; nothing else has a path to it."""
    return {
        path.name: (path.read_bytes(), CONTENT_TYPES[path.suffix])
        for path in STATIC.iterdir()
        if path.suffix in CONTENT_TYPES
    }


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    """The port that is listened on. Raises BusError when it cannot be had."""
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise BusError(
            f"--http {host}:{port}: {why}; stop the program that uses it or choose another, "
            f"e.g. --http {host}:{port + 1 if port < 65535 else 0}"
        ) from None
    return int(runner.addresses[0][1])
