"""The web page in a real browser, fed by a fake daemon through a real gateway."""

import re

import pytest

from tests.support.chromium import Page
from tests.support.fakebus import FakeBus, average_fields, median_ssep, peak_fields, status_fields
from tests.support.webclient import gateway, run

TESTS = {"median-left": "running", "median-right": "running"}


# Topmost (or lowest) trace-coloured pixel of the first row in every column, in CSS pixels, or null.
EDGE = """((lowest) => {
  const canvas = document.querySelector('[data-test="median-left"] .waves canvas');
  const ratio = canvas.width / canvas.clientWidth, height = Math.floor(canvas.height / 4) - 12;
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, height).data;
  return Array.from({ length: canvas.clientWidth }, (_, x) => {
    let found = null;
    for (let y = 0; y < height; y++) {
      const at = (y * canvas.width + Math.round(x * ratio)) * 4;
      const [r, g, b, a] = pixels.slice(at, at + 4);
      if (a > 200 && b > 200 && g > 150 && r < 150) { found = y / ratio; if (!lowest) break; }
    }
    return found;
  });
})"""


CLOCK = (
    "{ const real = performance.now.bind(performance); let ahead = 0; performance.now = () => real() + ahead;"
)
CLOCK += " window.forward = (ms) => { ahead += ms; }; }"

# The enlarged panel has its size: the same for two looks.
SETTLED = """(() => {
  const { x, y } = evokd.locate('median-left', 0, 60, 0), was = window.was;
  window.was = x;
  return y > 34 && x === was;
})()"""


def publish_case(bus: FakeBus) -> None:
    bus.t_ns += 200_000_000
    disk = {
        "path": "/data/2031-07",
        "bytes": 2_500_000,
        "state": "failing",
        "waiting_s": 3.0,
        "lost_samples": 9,
    }
    status = status_fields(TESTS, samples=14_400_000, lost_samples=37, gaps=2, recording=disk)
    bus.publish("status", status)
    for test in TESTS:
        bus.publish(f"average.{test}", average_fields(median_ssep(0.0), 0.31, 150, "wrist"))


async def open_page(page: Page, port: int) -> None:
    await page.go(f"http://127.0.0.1:{port}/")
    await page.until(
        "evokd.latest['average.median-right'] && !evokd.stale && evokd.locate('median-right', 0, 0, 0)"
    )


@pytest.mark.control("H7.5")
def test_the_waveform_is_where_axis_and_gain_say(devtools: int) -> None:
    async def scenario(port: int) -> None:
        async with Page(devtools, ratio=2.0) as page:
            await open_page(page, port)
            await page.press("1")
            await page.until(SETTLED)
            wide = "((canvas) => canvas.width / canvas.clientWidth)(document.querySelector('.waves canvas'))"
            assert await page.ask(wide) == pytest.approx(2.0, abs=0.01), "sharp on a dense screen"
            place = "evokd.locate('median-left', 0, {}, 0)"
            x = await page.ask(f"[-10, 20, 59.75].map((ms) => {place.format('ms')}.x)")
            assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx(30 / 69.75)
            for lowest, sense in (("false", -1), ("true", 1)):
                edge = await page.ask(f"{EDGE}({lowest})")
                held = {k: sense * y for k, y in enumerate(edge) if y is not None and x[0] < k < x[2]}
                assert max(held, key=held.__getitem__) == pytest.approx(x[1], abs=2), (
                    "N20 stands out at 20 ms"
                )
                scale = await page.ask(place.format(20))
                rise = max(held.values()) - held[round(x[2]) - 8]
                assert rise == pytest.approx(2.5 * scale["division"] / scale["step_uv"], abs=3)
                drawn = await page.ask("evokd.redraws")
                await page.press("p")
                await page.until(f"evokd.redraws > {drawn} && evokd.view.negativeUp === {lowest}")
            assert page.complaints == []

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        publish_case(bus)
        run(scenario(port))


def test_the_page_says_what_was_sent_and_asks_nobody_else(devtools: int) -> None:
    was = {"baseline_latency_ms": 20.0, "baseline_amplitude_uv": 2.9, "change_pct": -14.2}
    peaks = [peak_fields("N20", "CP4-CP3", 20.37, 2.48, **was), peak_fields("N13", "C5S-Fpz", None, None)]

    async def scenario(port: int) -> None:
        async with Page(devtools, width=768, height=1024) as page:
            await open_page(page, port)
            rows = await page.until(
                "(() => { const rows = [...document.querySelectorAll('[data-test=median-left] tbody tr')];"
                " return rows.length && rows.map((row) => [...row.cells].map((c) => c.textContent)); })()"
            )
            assert rows[0] == ["N20 CP4−CP3", "20.37 ± 0.20", "2.48 ± 0.30", "+0.37", "−14", "present"]
            assert rows[1] == ["N13 C5S−Fpz", "against noise 0.31 µV", "absent"]
            text = await page.until("document.querySelector('#log li') && document.body.innerText")
            recording = "document.getElementById('recording-field')"
            assert await page.ask(f"{recording}.classList.contains('bad')")
            assert await page.ask(f"{recording}.title") == "/data/2031-07, 9 samples missing"
            for said in (
                ", disk failing",
                "2031-07",
                "37 in 2 gaps",
                "1:00:00",
                "150 / 300",
                "Not a medical device".upper(),
            ):
                assert said in text
            assert "<img src=x>" in text and await page.ask("document.images.length") == 0
            assert await page.ask("document.documentElement.scrollWidth") == 768
            own = (f"http://127.0.0.1:{port}/", f"ws://127.0.0.1:{port}/ws")
            assert page.requests and [url for url in page.requests if not url.startswith(own)] == []
            assert page.complaints == []

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        publish_case(bus)
        bus.publish("measure.median-left", {"peaks": peaks})
        bus.publish("event", {"text": "<img src=x>", "author": "tech", "kind": "note"})
        run(scenario(port))


@pytest.mark.control("H8.1")
def test_a_silent_daemon_greys_the_page_out_and_its_return_revives_it(devtools: int) -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        async with Page(devtools) as page:
            await open_page(page, port)
            assert await page.ask("getComputedStyle(document.getElementById('panels')).filter") == "none"
            age_ms = await page.until("document.body.classList.contains('stale') && evokd.age_ms")
            assert age_ms < 3000
            assert "grayscale" in await page.ask("getComputedStyle(document.getElementById('panels')).filter")
            await page.until("document.getElementById('silence').innerText.match(/No data for [2-9] s/)")
            publish_case(bus)
            await page.until("!document.body.classList.contains('stale') && !evokd.stale")
            bus.publish(
                "alert", {"id": "1", "priority": "high", "state": "raised", "text": "Right N20 is absent"}
            )
            await page.until("document.getElementById('banner').innerText.includes('Right N20 is absent')")
            bus.publish(
                "alert", {"id": "1", "priority": "high", "state": "cleared", "text": "Right N20 is back"}
            )
            await page.until("document.getElementById('banner').innerText === ''")
            assert page.complaints == []

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        publish_case(bus)
        run(scenario(port, bus))


@pytest.mark.control("H8.1")
def test_a_dead_gateway_is_noticed_by_the_pages_own_clock(devtools: int) -> None:
    async def scenario(bus: FakeBus) -> None:
        async with Page(devtools) as page:
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=CLOCK)
            with gateway(bus.address) as port:
                bus.wait_subscribed()
                publish_case(bus)
                await open_page(page, port)
            await page.ask("forward(4000)")
            said = await page.until("evokd.stale && document.getElementById('silence').innerText")
            assert re.search("No data for [4-9] s", said) and "No connection to the gateway" in said
            assert "Live" not in await page.ask("document.getElementById('badge').innerText")

    with FakeBus() as bus:
        run(scenario(bus))
