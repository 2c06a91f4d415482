"""The web gateway: a plain bus client that serves the pages and forwards messages to browsers.

Uses no private door into the daemon; what a browser asks for goes the way of every client's requests. Owns
HTTP: which path is what, who is let in. Refuses other origins, names that are not this machine's, and files
that are not ours.
"""

import asyncio
import contextlib
import os
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from hostd.bridges.metrics import exposition
from hostd.endpoints import parse_http
from hostd.errors import BusError, UsageError
from hostd.keys import Secret
from hostd.peers import Peer
from hostd.route import buses
from hostd.web.box import Box
from hostd.web.clients import Clients
from hostd.web.guard import HEADERS, known_host, own_names, same_origin
from hostd.web.pages import pages
from hostd.web.visitor import At
from hostd.web.wall import Wall

MAX_CLIENTS = 64
ALIVE_MS = 3000
BEAT_S = 0.5
RAW_BYTES = 128 << 20
FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What to serve where: boxes by name with their buses, `http` "HOST:PORT" (port 0 takes a free one).

    `tls` (certificate, key) makes it https; `names`: other names of this machine that browsers may use;
    `raw_bytes`: samples of each box that are kept for readers. `anyone_looks`: a browser of another machine
    sees everything without a key. `alive` is called twice a second while the event loop turns.
    """

    boxes: Mapping[str, str]
    http: str
    key: Secret | None = None
    tls: tuple[Path, Path] | None = None
    names: tuple[str, ...] = ()
    raw_bytes: int = RAW_BYTES
    anyone_looks: bool = False
    alive: Callable[[], None] = lambda: None
    known: frozenset[str] = field(default_factory=own_names)


def serve(
    options: WebOptions,
    ready: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until `stop`. `ready` is called with the port once browsers can connect.

    The daemons may come, go and come back. Blocks; raises UsageError for a malformed address or a bad
    certificate, BusError when the port cannot be had.
    """
    for words in options.boxes.values():
        buses(words)
    parse_http(options.http)
    asyncio.run(_Gateway(options, stop or threading.Event()).run(ready))


class _Gateway:
    """Boxes, browsers and HTTP, all in one event loop; the feeds' threads only post batches into it."""

    def __init__(self, options: WebOptions, stop: threading.Event) -> None:
        self._options, self._stop = options, stop
        self._tls = None if options.tls is None else _context(*options.tls)
        self._names = options.known | {name.lower() for name in options.names}
        self.boxes: dict[str, Box] = {}
        self._wall = Wall(self.boxes)
        whole = len(options.boxes) == 1  # of many boxes only what the wall shows, until somebody opens one
        for name, bus in options.boxes.items():
            self.boxes[name] = Box(
                name, buses(bus), options.key, options.raw_bytes, stop, self._wall.told, whole
            )
        self._pages = pages()

    async def run(self, ready: Callable[[int], None] | None) -> None:
        runner = web.AppRunner(_app(self), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            bound = await _listen(runner, *parse_http(self._options.http), self._tls)
            running = [asyncio.create_task(box.run()) for box in self.boxes.values()]
            walling = asyncio.create_task(self._wall.run())
            beating = asyncio.create_task(self._beats())
            if ready is not None:
                ready(bound)
            try:
                await asyncio.gather(*running)
            finally:
                walling.cancel()
                beating.cancel()
        finally:
            self._stop.set()
            for clients in (self._wall.clients, *(box.clients for box in self.boxes.values())):
                clients.cut()
            await runner.cleanup()

    async def _beats(self) -> None:
        """The loop turns: whoever supervises us hears so."""
        while True:
            self._options.alive()
            await asyncio.sleep(BEAT_S)

    async def page(self, request: web.Request) -> web.Response:
        found = self._pages.get(request.match_info.get("name", "") or self._start())
        if found is None:
            raise web.HTTPNotFound(text="not here; the pages are /, /reader and /wall\n")
        body, content_type = found
        return web.Response(body=body, content_type=content_type, charset="utf-8")

    def _start(self) -> str:
        return "index.html" if len(self.boxes) == 1 else "wall.html"

    async def health(self, request: web.Request) -> web.Response:
        each = {name: self._health(box) for name, box in self.boxes.items()}
        whole = next(iter(each.values())) if len(each) == 1 else {"boxes": each}
        ok = all(one["ok"] for one in each.values())
        return web.json_response({**whole, "ok": ok, "walls": len(self._wall.clients)})

    def _health(self, box: Box) -> dict[str, Any]:
        age_ms = box.bus_age_ms
        return {
            "ok": age_ms is not None and age_ms < ALIVE_MS,
            "bus": box.bus,
            "bus_age_ms": age_ms,
            "boot": box.board.boot,
            "clients": len(box.clients),
            "dropped": box.clients.dropped,
            "refused": box.board.refused + box.refused,
            "missed": box.board.missed,
        }

    async def metrics(self, request: web.Request) -> web.Response:
        body = exposition(self._box(request).metrics)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _box(self, request: web.Request) -> Box:
        """The box that a request is about: the first where it names none."""
        name = request.query.get("box", next(iter(self.boxes)))
        if (box := self.boxes.get(name)) is None:
            raise web.HTTPNotFound(text=f"no box {name[:40]!r} here; there are {', '.join(self.boxes)}\n")
        return box

    async def ws(self, request: web.Request) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if not same_origin(origin, request.host):
            raise web.HTTPForbidden(
                text=f"origin {origin} is not this host; open the page from {request.host}\n"
            )
        box, wall = self._box(request), request.query.get("view") == "wall"
        if sum(len(one) for one in self._everybody()) >= MAX_CLIENTS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_CLIENTS} displays are connected; close one\n")
        if wall:
            if not (self._options.anyone_looks or self._at(request).here):
                cure = "look from the box, or start it with --anyone-looks"
                raise web.HTTPForbidden(text=f"the wall is not for other machines; {cure}\n")
            return await self._wall.clients.serve(request, self._wall.first, self._wall.meet)
        at = self._at(request)
        return await box.clients.serve(request, box.first, lambda outbox: box.meet(outbox, at))

    def _at(self, request: web.Request) -> At:
        """Where a browser is. A proxy on this machine would make every browser one of this machine's: none
        that says that it speaks for others is taken for the cart."""
        address = request.remote or ""
        forwarded = any(name in request.headers for name in FORWARDED)
        here = not forwarded and Peer(b"", address).here
        return At(address, here, request.secure, self._options.anyone_looks)

    def _everybody(self) -> list[Clients]:
        return [self._wall.clients, *(box.clients for box in self.boxes.values())]

    @web.middleware
    async def guarded(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        """Answers only under names of this machine: another's name for it is somebody's trick."""
        if not known_host(request.host, self._names):
            cure = "use its address, or start it with --name"
            raise web.HTTPMisdirectedRequest(
                text=f"{request.host[:80]!r} is no name of this machine; {cure}\n"
            )
        response: web.StreamResponse = await handler(request)
        return response


def _app(gateway: _Gateway) -> web.Application:
    app = web.Application(middlewares=[gateway.guarded], client_max_size=1 << 16)
    app.router.add_get("/", gateway.page)
    app.router.add_get("/healthz", gateway.health)
    app.router.add_get("/metrics", gateway.metrics)
    app.router.add_get("/ws", gateway.ws, allow_head=False)
    app.router.add_get("/{name}", gateway.page)
    app.on_response_prepare.append(_add_headers)
    return app


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
        raise UsageError(f"--tls {certificate} {key}: {why}; give a PEM certificate and its key") from None
    return context


async def _listen(runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None) -> int:
    """The port that is listened on. Raises BusError when it cannot be had."""
    site = web.TCPSite(runner, host, port, ssl_context=tls)
    try:
        await site.start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise BusError(
            f"--http {host}:{port}: {why}; stop the program that uses it or choose another, "
            f"e.g. --http {host}:{port + 1 if port < 65535 else 0}"
        ) from None
    with contextlib.suppress(IndexError):
        return int(runner.addresses[0][1])
    return port
