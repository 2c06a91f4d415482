"""The READMEs' pictures of the web display, by the same browser that tests it, from seeded simulated cases.

    python -m tests.hostd.web.pictures      (or: make pictures; about three minutes)

Cases are recorded in lockstep (`hostd.fixture`) and told to a fake bus: a picture shows the same moment
on every machine; only the pens of muscles and EEG run in real time.
"""

import asyncio
import contextlib
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hostd import casefile, wire
from hostd.fixture import lines
from hostd.fixture.record import write_fixture
from hostd.wire import Message
from tests.support.chromium import Page, chromium
from tests.support.fakebus import TRACE_TOPICS, FakeBus
from tests.support.session import ROOT
from tests.support.webcase import ALL
from tests.support.webclient import gateway, run

HERE = ROOT / "hostd" / "web"
WIDE, HIGH = 1600, 1000
LIVE_S = 12.0
PASSING = ("wave.", "emg.audio", "beat")
"""Not worth telling of what is long past."""
AT_ONCE = 40
SCENARIOS = ROOT / "hostd" / "procedures" / "scenarios"


class Teller:
    """Tells a fake bus what a file of messages holds."""

    def __init__(self, bus: FakeBus, file: Path) -> None:
        self._bus, self._lines = bus, lines.read(file)
        self._seq: Counter[str] = Counter()
        self.now_s = 0.0
        self._next: lines.Line | None = None

    async def until(self, seconds: float, live: bool = False) -> None:
        """Everything before that second of the case, at once or in real time."""
        loop = asyncio.get_running_loop()
        begin, told = loop.time() - self.now_s, 0
        for line in self._take(seconds):
            at_s = line.at_s or 0.0
            if live:
                await asyncio.sleep(max(0.0, begin + at_s - loop.time()))
            elif line.message.topic.startswith(PASSING) and at_s < seconds - 2:
                continue
            self.send(line.message)
            told += 1
            if told % AT_ONCE == 0:
                await asyncio.sleep(0.01)
        self.now_s = seconds

    def send(self, message: Message) -> None:
        """As the bus would."""
        self._seq[message.topic] += 1
        about = {
            "v": wire.SCHEMA_VERSION,
            "boot": self._bus.boot,
            "seq": self._seq[message.topic],
            "case": "case",
        }
        frames = wire.encode(message.topic, dict(message.header) | about, list(message.parts))
        if message.topic == "raw":
            self._bus.send_raw_samples(frames)
        else:
            self._bus.send_raw(frames, traces=message.topic.startswith(TRACE_TOPICS))

    def _take(self, seconds: float) -> Iterator[lines.Line]:
        while True:
            line, self._next = self._next or next(self._lines, None), None
            if line is None:
                return
            if (line.at_s or 0.0) >= seconds:
                self._next = line
                return
            yield line


async def _live(teller: Teller, seconds: float) -> None:
    await teller.until(teller.now_s + seconds, live=True)


async def cart(devtools: int, port: int, teller: Teller, at_s: float, into: Path) -> None:
    """The cart with an alert, and its evidence."""
    async with Page(devtools, width=WIDE, height=HIGH) as page:
        await page.go(f"http://127.0.0.1:{port}/")
        await page.until("window.evokd?.rights.role")
        await teller.until(at_s)
        await _live(teller, LIVE_S)
        await page.until("document.querySelector('#banner .strip')")
        (into / "cart.png").write_bytes(await page.picture())
        await page.press("e")
        going = asyncio.create_task(_live(teller, 3.0))
        await page.until("document.getElementById('evidence').open")
        (into / "evidence.png").write_bytes(await page.picture())
        await going


async def reader(devtools: int, port: int, teller: Teller, into: Path) -> None:
    """The reader with derivations of his own."""
    async with Page(devtools, width=1400, height=860) as page:
        await page.go(f"http://127.0.0.1:{port}/reader")
        await page.until("window.evokd?.rights.role")
        await teller.until(60.0)
        await page.until("document.getElementById('derivations').value")
        chosen = {
            "derivations": "CP4-CP3\nCP4-Fpz\nCP4-(CP3+CPz)/2\nEPL-EPR",
            "low": 30,
            "high": 750,
            "to": 60,
        }
        fill = "for (const [id, value] of Object.entries(CHOSEN)) document.getElementById(id).value = value;"
        await page.ask(fill.replace("CHOSEN", str(chosen)))
        await page.ask("document.getElementById('choice').requestSubmit()")
        going = asyncio.create_task(_live(teller, 4.0))
        await page.until("evokd.own.reading.average?.n_sweeps > 100")
        await asyncio.sleep(1.0)
        (into / "reader.png").write_bytes(await page.picture())
        await going


async def wall(devtools: int, port: int, tellers: list[Teller], into: Path) -> None:
    """Eight rooms at eight moments of the same case."""
    async with Page(devtools, width=1400, height=620) as page:
        await page.go(f"http://127.0.0.1:{port}/")
        for k, teller in enumerate(tellers):
            await teller.until(12.0 + 10.0 * k)
        going = asyncio.gather(*(_live(teller, 2.5) for teller in tellers[:-1]))
        await page.until("evokd.tiles.length === 8 && evokd.tiles.every((one) => one.case)")
        await going
        (into / "wall.png").write_bytes(await page.picture())


@contextlib.contextmanager
def _recorded(folder: Path, procedure: str | None, seconds: float, raw: bool = False) -> Iterator[Path]:
    out = folder / f"{procedure or 'default'}.jsonl"
    scenario = SCENARIOS / f"{procedure}.toml"
    of = scenario if procedure and scenario.exists() else None
    write_fixture(None, procedure, of, seconds, 1, raw, out, threading.Event())
    yield out
    out.unlink()


def main(into: Path = HERE) -> int:
    """Take them all."""
    into.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as at,
        chromium(f"{at}/profile") as devtools,
    ):
        folder = Path(at)
        with _recorded(folder, "median_ssep", 66.0, raw=True) as file, FakeBus() as bus:
            bus.may, bus.toml = ALL, casefile.procedure("median_ssep").text
            with gateway(bus.address) as port:
                bus.wait_subscribed()
                run(reader(devtools, port, Teller(bus, file), into), 120)
        with _recorded(folder, None, 90.0) as file, contextlib.ExitStack() as stack:
            buses = [stack.enter_context(FakeBus(boot=f"b{k:05x}")) for k in range(8)]
            with gateway({f"OR {k + 1}": bus.address for k, bus in enumerate(buses)}) as port:
                for bus in buses:
                    bus.wait_subscribed_any()
                run(wall(devtools, port, [Teller(bus, file) for bus in buses], into), 120)
        with _recorded(folder, "scoliosis", 236.0) as file, FakeBus() as bus:
            bus.may = ALL
            with gateway(bus.address) as port:
                bus.wait_subscribed()
                run(cart(devtools, port, Teller(bus, file), 216.0, into), 240)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
