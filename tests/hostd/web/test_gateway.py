"""The web gateway against a fake daemon on loopback: state, updates, and everything that goes wrong."""

import asyncio
import contextlib
import socket

import aiohttp
import numpy as np
import pytest

from hostd.errors import BusError, UsageError
from hostd.web.gateway import WebOptions, serve
from hostd.wire import SCHEMA_VERSION, encode
from tests.support.fakebus import FakeBus, average_fields, median_ssep, peak_fields, status_fields
from tests.support.webclient import Browser, array, browser, gateway, health, run

TESTS = {"median-left": "running", "median-right": "running"}


def test_a_browser_gets_the_state_and_then_every_update_with_exact_bytes() -> None:
    first, second = median_ssep(0.1, seed=1), median_ssep(0.1, seed=2)
    second[5, 1] = np.nan

    async def scenario(port: int, bus: FakeBus) -> None:
        async with browser(port) as early:
            said, buffers = await early.topic("baseline.median-left")
            assert array(said, buffers, "mean_uv").tobytes() == first.tobytes(), "from the snapshot alone"
            bus.publish("sweep.median-left", {"weight": 1.0})
            bus.publish("average.median-left", average_fields(second, None, 50, "left wrist"))
            said, buffers = await early.topic("average.median-left")
            assert array(said, buffers, "mean_uv").tobytes() == second.tobytes()
            assert said["header"]["noise_uv"] == [None] * 4 and said["header"]["site"] == "left wrist"
            bus.publish("measure.median-left", {"peaks": [peak_fields("N20", "CP4-CP3", float("nan"), 2.5)]})
            said, _ = await early.topic("measure.median-left")
            assert said["header"]["peaks"][0]["latency_ms"] is None
            assert not any(one["topic"].startswith("sweep.") for one in early.seen)
            async with browser(port) as late:
                said, buffers = await late.topic("average.median-left")
                assert array(said, buffers, "mean_uv").tobytes() == second.tobytes()
                assert late.seen[0]["topic"] == "gateway" and late.seen[0]["header"]["bus_age_ms"] < 3000

    with FakeBus() as bus:
        bus.publish("baseline.median-left", average_fields(first, 0.1, 300, "left wrist"))
        with gateway(bus.address) as port:
            bus.wait_subscribed()
            run(scenario(port, bus))


@pytest.mark.control("H16.3")
def test_garbage_on_the_bus_does_no_harm() -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        async with browser(port) as client:
            for frames in (
                [b"status"],
                [b"status", b"\xc1"],
                [b"status", b"\x81" * 5000],
                [b"event\xff", b"\x80"],
            ):
                bus.send_raw(frames)
            bus.send_raw([b"average.x", b"\x90", b"123"], traces=True)
            bus.send_raw(encode("status", {"v": SCHEMA_VERSION}, []))
            bus.send_raw(encode("status", {"boot": bus.boot, "seq": 1 << 60, "tests": b"\xff"}, []))
            bus.send_raw(
                encode("event", {"boot": bus.boot, "seq": 1, "text": {"a": [b"x", float("inf")]}}, [b"1"])
            )
            said, _ = await client.topic("event")
            assert said["header"]["text"] == {"a": [None, None]}
            assert (await health(port))["refused"] == 1

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        run(scenario(port, bus))


def test_a_daemon_that_comes_back_starts_from_nothing_and_is_asked_again() -> None:
    async def before(client: Browser, bus: FakeBus) -> None:
        bus.publish("average.old", average_fields(median_ssep(0.1), 0.1, 9, "wrist"))
        await client.topic("average.old")

    async def scenario(port: int, bus: FakeBus) -> None:
        async with browser(port) as client:
            await before(client, bus)
            bus.close()
            with FakeBus(bus.port, boot="b00701") as again:
                again.publish("baseline.new", average_fields(median_ssep(0.1), 0.1, 300, "wrist"))
                again.wait_subscribed()
                again.publish("status", status_fields(TESTS))
                said, _ = await client.topic("baseline.new")
                assert said["header"]["boot"] == "b00701", "only the snapshot had it"
                async with browser(port) as late:
                    await late.topic("status")
                    assert {one["header"]["boot"] for one in late.seen} == {"b00701"}
                    await late.ws.send_str('{"ping": 12.5}')
                    said, _ = await late.until(lambda one: one["header"].get("ping") == 12.5)
                    assert not any(one["topic"] == "average.old" for one in late.seen)

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        run(scenario(port, bus))


def test_the_gateway_runs_without_a_daemon_and_says_so() -> None:
    async def scenario(port: int) -> None:
        async with browser(port) as client:
            said, _ = await client.until(lambda one: one["topic"] == "gateway")
            assert said["header"]["bus_age_ms"] is None
            for nonsense in ("{}", "[]", "x", '{"ping": "a"}', '{"ping": NaN}', "[" * 900):
                await client.ws.send_str(nonsense)
            await client.ws.send_str('{"ping": 3}')
            said, _ = await client.until(lambda one: one["topic"] == "gateway")
            assert said["header"]["ping"] == 3
            now = await health(port)
            assert now["ok"] is False and now["bus_age_ms"] is None and now["clients"] == 1

    with FakeBus() as bus:
        address = bus.address
    with gateway(address) as port:
        run(scenario(port))


def test_prometheus_is_told_by_the_gateway_and_told_nothing_of_a_silent_box() -> None:
    async def told(port: int, query: str = "") -> tuple[int, str]:
        at = f"http://127.0.0.1:{port}/metrics{query}"
        async with aiohttp.ClientSession() as session, session.get(at) as answer:
            return answer.status, await answer.text()

    async def scenario(port: int, bus: FakeBus) -> None:
        assert "evokd_up 0.0" in (await told(port))[1]
        async with browser(port) as page:
            bus.publish("status", status_fields(TESTS, samples=123_456))
            await page.topic("status")
        status, text = await told(port)
        assert status == 200 and "evokd_up 1.0" in text and "123456.0" in text
        assert (await told(port, "?box=other"))[0] == 404

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        run(scenario(port, bus))


@pytest.mark.control("H15.3")
def test_a_browser_that_never_reads_delays_nobody() -> None:
    wide = np.zeros((12_000, 2), np.float32)

    async def scenario(port: int, bus: FakeBus) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readline()
        async with browser(port) as good:
            while (await good.topic("gateway", None))[0]["header"]["clients"] < 2:
                await good.ws.send_str('{"ping": 1}')
            for seq in range(1, 301):
                bus.publish("average.x", {"mean_uv": wide})
                bus.publish("event", {"text": str(seq)})
                await good.topic("event", seq)
            now = await health(port)
            assert now["clients"] == 2 and now["dropped"] > 100
        writer.transport.abort()

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        run(scenario(port, bus))


def test_ten_browsers_each_get_every_event() -> None:
    events = 400

    async def read(page: Browser) -> list[int]:
        seqs: list[int] = []
        while not seqs or seqs[-1] < events:
            said, _ = await page.until(lambda one: one["topic"] == "event")
            seqs.append(said["header"]["seq"])
        return seqs

    async def scenario(port: int, bus: FakeBus) -> None:
        async with contextlib.AsyncExitStack() as stack:
            pages = [await stack.enter_async_context(browser(port)) for _ in range(10)]
            for page in pages:
                await page.until(lambda one: one["topic"] == "rights")
            reading = asyncio.gather(*map(read, pages))
            for number in range(events):
                bus.publish("event", {"text": str(number)})
                bus.publish("average.x", {"mean_uv": median_ssep(0.1)})
                if number % 20 == 0:
                    await asyncio.sleep(0)
            assert await reading == [list(range(1, events + 1))] * 10
        assert (await health(port))["missed"] == 0

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        run(scenario(port, bus))


def test_a_busy_port_is_one_line_with_its_cure() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(BusError, match=rf"--http 127.0.0.1:{port}: .*in use; .*choose another") as caught:
            serve(WebOptions({"box": "tcp://127.0.0.1:5750"}, f"127.0.0.1:{port}"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("bus", "http"), [("nonsense", "127.0.0.1:0"), ("tcp://127.0.0.1:5750", "nonsense")])
def test_a_malformed_address_is_a_usage_error(bus: str, http: str) -> None:
    with pytest.raises(UsageError, match="nonsense"):
        serve(WebOptions({"box": bus}, http))


@pytest.mark.control("H5.4")
def test_headers_are_strict_and_foreign_origins_stay_out() -> None:
    async def scenario(port: int) -> None:
        at = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session:
            for path in ("/", "/style.css", "/main.js", "/healthz", "/nothing"):
                async with session.get(at + path) as answer:
                    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
                    assert answer.headers["Cache-Control"] == "no-store"
                    assert answer.status == (404 if path == "/nothing" else 200)
            for path in ("/..%2fgateway.py", "/%2e%2e/gateway.py", "/gateway.py", "/static/main.js"):
                async with session.get(at + path) as answer:
                    assert answer.status == 404, path
            for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port + 1}"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    await session.ws_connect(at + "/ws", headers={"Origin": origin})
                assert caught.value.status == 403
            async with session.ws_connect(at + "/ws", headers={"Origin": at}, compress=15) as ws:
                assert ws.compress == 0, "never compressed, even when asked"

    with FakeBus() as bus, gateway(bus.address) as port:
        run(scenario(port))


def test_a_silent_box_is_shown_by_its_mirror_and_asked_there_until_it_is_heard_itself() -> None:
    async def scenario(port: int, box: FakeBus, mirror: FakeBus) -> None:
        async with browser(port) as client:
            box.publish("status", status_fields(TESTS, mirrors=[mirror.address]))
            said, _ = await client.topic("status")
            assert client.seen[0]["header"]["mirror"] == ""
            mirror.wait_subscribed()  # after two seconds of silence
            mirror.publish("status", status_fields(TESTS))  # number 1 again: it is known
            mirror.publish("event", {"text": "by the mirror", "kind": "note", "author": "a"})
            said, _ = await client.topic("event")
            await client.until(lambda said: said["topic"] == "rights")
            await client.ws.send_json({"ping": 1.0})
            said, _ = await client.until(lambda said: said["topic"] == "gateway")
            assert said["header"]["mirror"] == mirror.address
            await client.ws.send_json({"ask": {"id": 7, "command": "mark", "args": {"text": "x"}}})
            await client.until(lambda said: said["topic"] == "reply" and said["header"]["id"] == 7)
            assert mirror.asked[-1] == ("mark", {"text": "x"}) and ("mark", {"text": "x"}) not in box.asked

            async def home() -> None:
                while not any(
                    s["topic"] == "gateway" and s["header"]["mirror"] == "" for s in client.seen[-5:]
                ):
                    box.publish("beat", {"latest": {}})
                    await client.ws.send_json({"ping": 2.0})
                    await client.until(lambda said: said["topic"] == "gateway")

            await asyncio.wait_for(home(), 20)
            assert sum(s["topic"] == "status" for s in client.seen) == 1, "nothing is told twice"

    with FakeBus() as box, FakeBus(boot=box.boot) as mirror, gateway(box.address) as port:
        box.wait_subscribed()
        run(scenario(port, box, mirror))
