"""What a browser asks of the gateway beside commands: sound, halves, a reading; and what is nonsense."""

import asyncio

import aiohttp
import numpy as np

from tests.hostd.web.test_reading import CHANNELS, TOML, blocks, raw_fields
from tests.support.fakebus import FakeBus, status_fields
from tests.support.webclient import Browser, array, browser, gateway, health, rights, run


def test_sound_and_halves_come_to_who_asks_for_them() -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        async with browser(port) as plain, browser(port) as keen:
            for page in (plain, keen):
                await rights(page)
            await keen.ws.send_json({"want": ["emg.audio", "halves", "everything"]})
            await keen.ws.send_json({"ping": 1})
            await keen.until(lambda one: one["header"].get("ping") == 1)
            halves = np.ones((2, 5, 1), np.float32)
            bus.publish(
                "emg.audio", {"samples": np.zeros(160, np.int16), "rate_hz": 8000.0, "first_index": 0}
            )
            bus.publish("average.a", {"mean_uv": np.zeros((5, 1), np.float32), "halves_uv": halves})
            said, buffers = await keen.topic("average.a")
            assert array(said, buffers, "halves_uv").tobytes() == halves.tobytes()
            said, buffers = await plain.topic("average.a")
            assert said["header"]["halves_uv"] is None and len(buffers) == 24, "nor its bytes"
            assert array(said, buffers, "mean_uv").shape == (5, 1)
            bus.publish("event", {"text": "after"})
            for page, heard in ((plain, False), (keen, True)):
                await page.topic("event")
                assert any(one["topic"] == "emg.audio" for one in page.seen) is heard

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        run(scenario(port, bus))


def test_a_reader_averages_by_the_gateway_what_the_box_sends_raw() -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        async with browser(port) as page:
            await rights(page)
            await page.ws.send_json({"read": {"test": "nowhere"}})
            said, _ = await page.until(lambda one: one["topic"] == "reading.error")
            assert "has not said yet what it records" in said["header"]["text"]
            fields = status_fields({"left": "running"}) | {"channels": list(CHANNELS)}
            bus.publish("status", fields | {"timebase": {"filter_delay_samples": 1.5}})
            await page.topic("status")
            bus.wait_raw(True)
            for block in blocks(800):
                bus.publish("raw", {k: v for k, v in raw_fields(block).items() if k != "boot"})
            await page.ws.send_json({"read": {"test": "left", "derivations": ["CP4-Fpz"]}})
            said, buffers = await page.until(
                lambda one: one["topic"] == "reading.average" and one["header"]["n_sweeps"] > 60
            )
            assert said["header"]["derivations"] == ["CP4-Fpz"] and said["header"]["test"] == "left"
            assert array(said, buffers, "mean_uv").min() < -1.2
            await page.ws.send_json({"read": {"test": "left", "derivations": ["CP4-XX"]}})
            said, _ = await page.until(lambda one: one["topic"] == "reading.error")
            assert "no channel XX" in said["header"]["text"]
            assert not any(one["topic"] == "average.left" for one in page.seen), "the cart sees nothing of it"
            assert [command for command, _ in bus.asked] == ["config.get"]

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.toml = TOML
        bus.wait_subscribed()
        run(scenario(port, bus))


def test_raw_samples_are_not_for_who_only_observes() -> None:
    async def scenario(port: int) -> None:
        at = f"http://127.0.0.1:{port}/ws"
        async with aiohttp.ClientSession() as session, session.ws_connect(at, headers={"Via": "x"}) as ws:
            page = Browser(ws)
            await rights(page)
            await ws.send_json({"read": {"test": "left"}})
            said, _ = await page.until(lambda one: one["topic"] == "reading.error")
            assert "not for observers" in said["header"]["text"]

    with FakeBus() as bus, gateway(bus.address, anyone_looks=True) as port:
        bus.wait_subscribed()
        run(scenario(port))


def test_nonsense_and_huge_bodies_of_a_browser_cost_only_itself() -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        async with browser(port) as good:
            await rights(good)
            async with browser(port) as page:
                for nonsense in (
                    '{"ask": 3}',
                    '{"ask": {"id": "x"}}',
                    '{"sign_in": []}',
                    '{"eval": "1"}',
                    "[]",
                    "\x00",
                ):
                    await page.ws.send_str(nonsense)
                await page.ws.send_bytes(b"\xff" * 100)
                await page.ws.send_json({"ping": 5})
                await page.until(lambda one: one["header"].get("ping") == 5)
                assert (await health(port))["refused"] == 6
                await page.ws.send_str('{"ping": 1' + " " * 20_000 + "}")
                async with asyncio.timeout(10):
                    while (await page.ws.receive()).type not in (
                        aiohttp.WSMsgType.CLOSE,
                        aiohttp.WSMsgType.CLOSED,
                    ):
                        pass
            at = f"http://127.0.0.1:{port}/"
            async with aiohttp.ClientSession() as session, session.post(at, data=b"x" * 200_000) as answer:
                assert answer.status == 405
            bus.publish("event", {"text": "still here"})
            await good.topic("event")

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        run(scenario(port, bus))
