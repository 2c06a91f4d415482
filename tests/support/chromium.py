"""Headless Chromium driven over the DevTools protocol with aiohttp alone: open a page, ask it, listen to it.

Waits are conditions evaluated inside the page, never fixed sleeps. Loopback only.
"""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


@contextmanager
def chromium(profile: str) -> Iterator[int]:
    """A running browser with its profile in the folder `profile`; yields the DevTools port."""
    if PROGRAM is None:
        raise FileNotFoundError("no Chromium on this machine")
    process = subprocess.Popen(
        [PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.PIPE, text=True
    )
    if process.stderr is None:
        raise RuntimeError("Chromium has no stderr")
    try:
        listening = next(line for line in process.stderr if "DevTools listening on" in line)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield int(listening.split("://")[1].split("/")[0].rsplit(":", 1)[1])
    finally:
        process.terminate()
        process.wait()


class Page:
    """One tab. `complaints` are its console errors and exceptions, `requests` every address it asked for."""

    def __init__(self, port: int, width: int = 1280, height: int = 800, ratio: float = 1.0) -> None:
        self._port = port
        self._size = (width, height, ratio)
        self._calls: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        self.requests: list[str] = []

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        at = f"http://127.0.0.1:{self._port}"
        async with self._session.put(f"{at}/json/new?about:blank") as answer:
            tab = await answer.json()
        self._close_url = f"{at}/json/close/{tab['id']}"
        self._ws = await self._session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0)
        self._reader = asyncio.create_task(self._read())
        for domain in ("Runtime", "Log", "Network", "Page"):
            await self.call(f"{domain}.enable")
        width, height, ratio = self._size
        size = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.cancel()
        await self._ws.close()
        async with self._session.get(self._close_url):
            pass
        await self._session.close()

    async def _read(self) -> None:
        async for said in self._ws:
            message = json.loads(said.data)
            if "id" in message:
                self._calls.pop(message["id"]).set_result(message)
                continue
            method, params = message["method"], message["params"]
            if method == "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            elif method == "Network.webSocketCreated":
                self.requests.append(params["url"])
            elif method == "Runtime.exceptionThrown" or (
                (method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"))
                or (method == "Log.entryAdded" and params["entry"]["level"] == "error")
            ):
                self.complaints.append(json.dumps(params)[:800])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One DevTools command; its result. Raises RuntimeError with the browser's words."""
        number = next(self._numbers)
        future = self._calls[number] = asyncio.get_running_loop().create_future()
        await self._ws.send_json({"id": number, "method": method, "params": params})
        answer = await asyncio.wait_for(future, 15)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def go(self, url: str) -> None:
        """Load `url`."""
        await self.call("Page.navigate", url=url)

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression (a promise is awaited)."""
        result = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def until(self, expression: str) -> Any:
        """The value of `expression` once it is true in the page, or in the one that it goes to meanwhile;
        TimeoutError after 15 s."""
        asked = (
            "(async () => { for (;;) { let held = null; try { held = "
            + expression
            + " } catch { held = null }"
            " if (held) return held; await new Promise((done) => setTimeout(done, 20)); } })()"
        )
        async with asyncio.timeout(15):
            while True:
                try:
                    return await self.ask(asked)
                except RuntimeError as error:
                    if "navigated" not in str(error) and "context" not in str(error):
                        raise

    async def press(self, key: str, shift: bool = False) -> None:
        """Press one key."""
        typed = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, modifiers=8 * shift, **typed)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self) -> bytes:
        """A PNG of what is seen."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])
