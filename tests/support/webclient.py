"""A browser's side of the web gateway without a browser: start one, connect, take its frames apart.

Decodes by the layout's description, not with the gateway's own code.
"""

import asyncio
import json
import math
import queue
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import numpy as np

from hostd.web.gateway import WebOptions, serve


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def unframe(frame: bytes) -> tuple[dict, bytes]:
    """The JSON and the bytes of the buffers, by the layout's description."""
    length = int.from_bytes(frame[:4], "little")
    start = -(-(4 + length) // 8) * 8
    assert not any(frame[4 + length : start])
    return json.loads(frame[4 : 4 + length], parse_constant=refuse), frame[start:]


def array(said: dict, buffers: bytes, key: str) -> np.ndarray:
    at = said["header"][key]
    count = math.prod(at["shape"])
    return np.frombuffer(buffers, at["dtype"], count, at["offset"]).reshape(at["shape"])


def run(scenario: Coroutine[Any, Any, None], within_s: float = 90.0) -> None:
    """Run a test's scenario; TimeoutError when it takes longer."""
    asyncio.run(asyncio.wait_for(scenario, within_s))


@contextmanager
def gateway(bus: str | dict[str, str], **more: Any) -> Iterator[int]:
    """A gateway in a thread, of one box or of several by name; yields its port and joins the thread, whatever
    happened."""
    port: queue.SimpleQueue[int] = queue.SimpleQueue()
    stop = threading.Event()
    options = WebOptions(bus if isinstance(bus, dict) else {"box": bus}, "127.0.0.1:0", **more)
    thread = threading.Thread(target=serve, args=(options, port.put, stop), daemon=True)
    thread.start()
    try:
        yield port.get(timeout=10)
    finally:
        stop.set()
        thread.join(timeout=10)
        assert not thread.is_alive(), "the gateway stops when told to"


class Browser:
    """A WebSocket client that reads frames until one is what it wants."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.seen: list[dict[str, Any]] = []

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> tuple[dict[str, Any], bytes]:
        async with asyncio.timeout(10):
            while True:
                said, buffers = unframe(await self.ws.receive_bytes())
                self.seen.append(said)
                if wanted(said):
                    return said, buffers

    async def topic(self, topic: str, seq: int | None = 1) -> tuple[dict[str, Any], bytes]:
        return await self.until(lambda said: said["topic"] == topic and said["header"].get("seq") == seq)


@asynccontextmanager
async def browser(port: int, query: str = "") -> AsyncIterator[Browser]:
    at = f"http://127.0.0.1:{port}/ws{query}"
    async with aiohttp.ClientSession() as session, session.ws_connect(at) as ws:
        yield Browser(ws)


async def health(port: int) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as answer:
        said: dict[str, Any] = await answer.json()
        return said


async def rights(page: Browser, **like: Any) -> dict[str, Any]:
    """The next frame of rights whose fields are `like` that."""
    said, _ = await page.until(lambda one: one["topic"] == "rights" and like.items() <= one["header"].items())
    return said["header"]


async def ask(page: Browser, number: int, command: str, **args: Any) -> dict[str, Any]:
    await page.ws.send_json({"ask": {"id": number, "command": command, "args": args}})
    said, _ = await page.until(lambda one: one["topic"] == "reply" and one["header"]["id"] == number)
    return said["header"]


async def heard(page: Browser, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """A frame that has come already, or comes."""
    before = [one for one in page.seen if wanted(one)]
    return before[-1] if before else (await page.until(wanted))[0]
