"""The web display under load: bus message to pixels, frames, memory over ten thousand updates, ten browsers.

`evokd web` as its user starts it, a bus that says what a case with 32 channels of muscles says, and headless
Chromium. Frames and ages are this machine's; their ratio to a page that shows nothing is what travels.
"""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import numpy as np

from hostd.web.pages import pages
from tests.support.chromium import PROGRAM, Page, chromium
from tests.support.fakebus import FakeBus, average_fields, median_ssep, peak_fields, status_fields
from tests.support.ports import free_block
from tests.support.webclient import Browser

CHANNELS = 32
TESTS = ("left_median", "right_median", "left_tibial", "right_tibial")
SECONDS = 10.0
FEW, MANY = 1_000, 10_000
BROWSERS, EVENTS = 10, 3_000
COLLECTIONS = 4
ELSEWHERE = ("wall.", "reader.")
"""Files of the other pages, which the cart does not load."""


def weight_kb() -> float:
    """Everything that the cart loads, uncompressed."""
    files = {
        name: body for name, (body, _) in pages().items() if "." in name and not name.startswith(ELSEWHERE)
    }
    return sum(map(len, files.values())) / 1e3


@contextlib.contextmanager
def gateway(bus: str) -> Iterator[int]:
    """`evokd web` at `bus`; its port."""
    port = free_block(1)
    command = [sys.executable, "-m", "hostd", "web", "--bus", bus, "--http", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


class Case:
    """What a box says, as fast as it is asked to."""

    def __init__(self, bus: FakeBus) -> None:
        self._bus = bus
        self._traces = median_ssep(0.1)
        rng = np.random.default_rng(1)
        self._rows = rng.normal(0, 20, (100, CHANNELS)).astype(np.float32)
        self._names = [f"M{k}1-M{k}2" for k in range(CHANNELS)]
        self._waves = 0

    def wave(self) -> None:
        """A tenth of a second of muscles, marked with the time at which it was sent."""
        self._bus.t_ns += 100_000_000
        fields = {"test": "emg", "modality": "free_emg", "derivations": self._names, "rate_hz": 1000.0}
        fields |= {"first_index": 400 * self._waves, "rows_per": 4, "uv": self._rows, "low_uv": -self._rows}
        self._bus.publish("wave.emg", fields | {"utc_ns": time.time_ns()})
        self._waves += 1

    def average(self, test: str) -> None:
        """One update of a test."""
        self._bus.publish(f"average.{test}", average_fields(self._traces, 0.2, 150, "wrist"))
        peaks = [peak_fields("N20", "CP4-CP3", 20.1, 2.5)]
        self._bus.publish(f"measure.{test}", {"peaks": peaks, "leading": "N20"})

    def second(self) -> None:
        """What is said once a second."""
        shown = {**dict.fromkeys(TESTS, "running")}
        self._bus.publish("status", status_fields(shown, samples=int(self._bus.t_ns * 4e-6)))
        self._bus.publish("beat", {"latest": {}})

    async def live(self, seconds: float) -> None:
        """In real time."""
        begin = time.monotonic()
        for k in range(round(seconds * 10)):
            await asyncio.sleep(max(0.0, begin + k / 10 - time.monotonic()))
            self.wave()
            if k % 3 == 0:
                for test in TESTS:
                    self.average(test)
            if k % 5 == 0:
                self.second()


async def _frames(page: Page, seconds: float) -> float:
    """Animation frames a second, as the page itself counts them."""
    count = (
        "new Promise((done) => { let n = 0; const end = performance.now() + 1000 * SECONDS;"
        " const tick = (now) => now < end ? (n += 1, requestAnimationFrame(tick)) : done(n / SECONDS);"
        " requestAnimationFrame(tick); })"
    )
    rate: float = await page.ask(count.replace("SECONDS", str(seconds)))
    return rate


async def _pixels(devtools: int, port: int, case: Case) -> dict[str, float]:
    async with Page(devtools, width=1600, height=1000) as page:
        await page.go("about:blank")
        idle = await _frames(page, 3.0)
        await page.go(f"http://127.0.0.1:{port}/")
        await page.until("window.evokd && evokd.link.connected")
        await case.live(2.0)
        await page.ask(
            "(window.ages = [], Object.defineProperty(evokd, 'scrolled', { set: (header) => ages.push("
            "performance.timeOrigin + performance.now() - header.utc_ns / 1e6) }), 0)"
        )
        feeding = asyncio.create_task(case.live(SECONDS + 1))
        await asyncio.sleep(0.5)
        live = await _frames(page, SECONDS - 1)
        await feeding
        ages = sorted(await page.ask("ages"))
        redraw = await page.ask("evokd.redraw_ms_max")
    return {
        "frames": live,
        "frames_vs_idle": live / idle,
        "pixels_p50": ages[len(ages) // 2],
        "pixels_p95": ages[int(len(ages) * 0.95)],
        "redraw_ms_max": redraw,
    }


async def _heap(devtools: int, port: int, bus: FakeBus, case: Case) -> float:
    """Bytes after many updates over bytes after few; an update is a wave, an average and an event."""
    used = []
    async with Page(devtools, width=1600, height=1000) as page:
        await page.call("HeapProfiler.enable")
        await page.go(f"http://127.0.0.1:{port}/")
        await page.until("window.evokd && evokd.link.connected")
        for number in range(1, MANY + 1):
            case.wave()
            case.average(TESTS[number % 4])
            bus.publish("event", {"text": f"event {number}", "author": "tech", "kind": "note"})
            if number % 10 == 0:
                case.second()
                await asyncio.sleep(0.02)
            if number in (FEW, MANY):
                await page.until(f"evokd.state.log[0]?.header.text === 'event {number}'")
                for _ in range(COLLECTIONS):  # what is drawn late is drawn, what is dead is gone
                    case.second()
                    await asyncio.sleep(0.7)
                    await page.call("HeapProfiler.collectGarbage")
                heap = await page.call("Runtime.getHeapUsage")
                used.append(heap["usedSize"] + heap.get("backingStorageSize", 0))
    return float(used[1] / used[0])


async def _ten(port: int, bus: FakeBus, case: Case) -> float:
    """Events that the tenth of ten browsers did not get while all were read and pictures went by."""
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        pages_ = []
        for _ in range(BROWSERS):
            ws = await stack.enter_async_context(session.ws_connect(f"http://127.0.0.1:{port}/ws"))
            pages_.append(Browser(ws))
        heard = [set[int]() for _ in pages_]
        first = bus.publish("event", {"text": "first"}).header["seq"]

        async def read(page: Browser, into: set[int]) -> None:
            while first + EVENTS not in into:
                said, _ = await page.until(lambda one: one["topic"] == "event")
                page.seen.clear()
                into.add(said["header"]["seq"])

        reading = [asyncio.create_task(read(page, into)) for page, into in zip(pages_, heard, strict=True)]
        for number in range(EVENTS):
            bus.publish("event", {"text": f"event {number}"})
            if number % 5 == 0:
                case.wave()
                case.average(TESTS[number % 4])
                await asyncio.sleep(0.005)
        await asyncio.wait_for(asyncio.gather(*reading), 60)
        wanted = set(range(first, first + EVENTS + 1))
    return float(len(wanted - heard[-1]))


def measure() -> dict[str, Any] | None:
    """All figures; None without Chromium."""
    if PROGRAM is None:
        return None
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        chromium(profile) as devtools,
        FakeBus() as bus,
        gateway(bus.address) as port,
    ):
        bus.wait_subscribed(timeout_s=20.0)
        case = Case(bus)
        case.second()
        for test in TESTS:
            case.average(test)
        figures = asyncio.run(_pixels(devtools, port, case))
        figures["heap"] = asyncio.run(_heap(devtools, port, bus, case))
        figures["tenth_lost"] = asyncio.run(_ten(port, bus, case))
    return figures | {"weight_kb": weight_kb()}
