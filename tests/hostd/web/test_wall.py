"""The wall: who needs somebody first, what is old says so, and a tile opens its box."""

import asyncio
import contextlib
from typing import Any

import pytest
import zmq

from hostd.web.board import Board
from hostd.web.tiles import order, tile
from hostd.wire import Message
from tests.hostd.web.test_reading import CHANNELS, TOML, blocks, raw_fields
from tests.support.chromium import Page
from tests.support.fakebus import FakeBus, average_fields, median_ssep, peak_fields, status_fields
from tests.support.webcase import ALL, alert
from tests.support.webclient import browser, gateway, health, run

S = 1_000_000_000


def board(*messages: tuple[str, int, dict[str, Any]]) -> Board:
    made = Board()
    for seq, (topic, t_ns, fields) in enumerate(messages, 1):
        assert made.accept(Message(topic, {"boot": "b", "seq": seq, "t_ns": t_ns, **fields}))
    return made


def measured(t_ns: int, present: bool, test: str = "left") -> tuple[str, int, dict[str, Any]]:
    peak = peak_fields("N20", "CP4-CP3", 20.0 if present else None, 2.0 if present else None)
    return f"measure.{test}", t_ns, {"peaks": [peak | {"baseline_amplitude_uv": 2.5}], "leading": "N20"}


def raised(priority: str, state: str = "raised") -> tuple[str, int, dict[str, Any]]:
    return "alert", 5 * S, {"id": "a", "test": "left", "priority": priority, "state": state, "text": "x"}


STATUS = ("status", 0, {"state": "running", "tests": {"left": "running"}})


def test_the_box_that_needs_somebody_most_comes_first() -> None:
    boxes = {
        "well": (board(STATUS, measured(9 * S, True)), 100.0),
        "long unseen": (board(STATUS, measured(9 * S, True), ("beat", 400 * S, {"latest": {}})), 100.0),
        "seen": (board(STATUS, raised("high", "acknowledged")), 100.0),
        "low": (board(STATUS, raised("low")), 100.0),
        "medium": (board(STATUS, raised("medium")), 100.0),
        "high": (board(STATUS, raised("high")), 100.0),
        "silent": (board(STATUS, measured(9 * S, True)), 5000.0),
        "critical": (board(STATUS, ("case", 1, {"phase": "critical", "critical": True})), 100.0),
        "over": (board(("status", 0, {"state": "closed"})), 60_000.0),
        "cleared": (board(STATUS, raised("high", "cleared")), 100.0),
        "never": (Board(), None),
    }
    tiles = [tile(name, *shown) for name, shown in boxes.items()]
    assert [one["box"] for one in order(tiles)] == [
        *(
            "high",
            "seen",
            "medium",
            "silent",
            "critical",
            "low",
            "over",
            "never",
            "long unseen",
            "well",
            "cleared",
        )
    ]


def test_a_tile_says_since_when_nothing_good_was_seen() -> None:
    lost = board(STATUS, measured(60 * S, True), measured(400 * S, False), ("beat", 420 * S, {"latest": {}}))
    told = tile("a", lost, 20.0)
    assert told["tests"][0] | {"latency_ms": None} == {
        **{"test": "left", "peak": "N20", "present": False, "latency_ms": None, "change_pct": None},
        **{"had_baseline": True, "state": "running", "since_s": 360.0},
    }
    assert told["worst_s"] == 360.0 and told["silent"] is False
    assert tile("a", lost, 3001.0)["silent"] is True and tile("a", lost, None)["silent"] is True


def test_a_tile_survives_what_a_foreign_daemon_says() -> None:
    strange = board(
        ("status", 0, {"tests": 3, "recording": "x", "faults": {"a": 1}, "samples": "many", "rate_hz": 0}),
        ("measure.x", 0, {"peaks": [None, 4], "leading": []}),
        ("measure.y", 0, {"peaks": "none"}),
        ("alert", 0, {"id": 7, "priority": [], "state": None}),
        ("alert", 0, {"id": "a", "priority": "purple", "state": 4, "text": None}),
        ("case", 0, {"phase": {}, "critical": "yes"}),
    )
    assert [one["test"] for one in order([tile("a", strange, 1.0)])[0]["tests"]] == ["x", "y"]


def test_twenty_boxes_on_one_wall_and_a_tile_opens_its_box(devtools: int) -> None:
    async def scenario(port: int, buses: dict[str, FakeBus]) -> None:
        async with Page(devtools, width=1600, height=1000) as page:
            await page.go(f"http://127.0.0.1:{port}/")
            await page.until("evokd.tiles.length === 20 && evokd.tiles.every((one) => !one.silent)")
            buses["OR 7"].close()
            first = "document.querySelector('.tile')"
            assert await page.ask(f"{first}.dataset.box") == "OR 1", "alike: in the order named"
            alert(buses["OR 13"], "confirmed")
            await page.until(f"{first}.dataset.box === 'OR 13' && {first}.dataset.priority === 'high'")
            said = await page.ask(f"{first}.innerText")
            assert "!!!" in said and "N20 down 72 %" in said and "likely focal" in said
            assert await page.ask("document.getElementById('alarmed').innerText") == "1"
            await page.until(
                "document.querySelector('[data-box=\"OR 7\"]').innerText.includes('not heard for')"
            )
            assert await page.ask(
                "document.querySelector('[data-box=\"OR 7\"]').classList.contains('silent')"
            )
            await page.ask("document.querySelector('[data-box=\"OR 13\"]').click()")
            await page.until(
                "location.search === '?box=OR%2013' && window.evokd?.state?.tests().includes('left')"
            )
            await page.until("document.querySelector('#banner .strip') && evokd.latest['average.left']")
            assert page.complaints == []
        now = await health(port)
        assert now["boxes"]["OR 13"]["boot"] == buses["OR 13"].boot and now["ok"] is False

    names = [f"OR {k}" for k in range(1, 21)]
    with contextlib.ExitStack() as stack:
        buses = {name: stack.enter_context(FakeBus(boot=f"b{k:05x}")) for k, name in enumerate(names)}
        with gateway({name: bus.address for name, bus in buses.items()}) as port:
            for bus in buses.values():
                bus.may = ALL
                bus.wait_subscribed_any()
                bus.t_ns = 60 * S
                bus.publish("status", status_fields({"left": "running"}, samples=240_000))
                bus.publish("average.left", average_fields(median_ssep(0.1), 0.1, 300, "wrist"))
                _, _, fields = measured(0, True)
                bus.publish("measure.left", fields)
            run(beating(scenario(port, buses), buses))


async def beating(scenario: Any, buses: dict[str, FakeBus]) -> None:
    """The scenario while every box that is not closed goes on to beat."""

    async def beat() -> None:
        while True:
            for bus in buses.values():
                with contextlib.suppress(zmq.ZMQError):  # closed by the scenario
                    bus.publish("beat", {"latest": {}})
            await asyncio.sleep(0.1)

    beats = asyncio.create_task(beat())
    try:
        await scenario
    finally:
        beats.cancel()


def test_only_what_the_wall_shows_is_heard_until_a_box_is_opened() -> None:
    async def scenario(port: int, one: FakeBus) -> None:
        one.publish("average.left", average_fields(median_ssep(0.1), 0.1, 300, "wrist"))
        async with browser(port, "?view=wall") as page:
            said, _ = await page.until(
                lambda said: said["topic"] == "wall" and said["header"]["tiles"][0]["name"]
            )
            assert {told["box"] for told in said["header"]["tiles"]} == {"a", "b"}
            await page.ws.send_str('{"ping": 4}')
            await page.until(lambda said: said["topic"] == "gateway" and said["header"]["ping"] == 4)
            for nonsense in ("x", "{}", '{"ping": []}'):
                await page.ws.send_str(nonsense)
        with pytest.raises(TimeoutError):
            one.wait_raw(True, 0.2)
        async with browser(port, "?box=a") as page:
            await page.topic("average.left")
            one.wait_raw(True)

    with (
        FakeBus() as one,
        FakeBus(boot="b00701") as two,
        gateway({"a": one.address, "b": two.address}) as port,
    ):
        for bus in (one, two):
            bus.wait_subscribed_any()
            bus.publish("status", status_fields({"left": "running"}) | {"name": "x"})
        run(scenario(port, one))


def test_the_reader_chooses_and_the_cart_is_not_disturbed(devtools: int) -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        async with Page(devtools, width=1400, height=900) as page:
            await page.go(f"http://127.0.0.1:{port}/reader")
            await page.until("evokd.rights.role && document.getElementById('derivations').value")
            assert (
                await page.ask("document.getElementById('derivations').value")
                == "CP4-CP3\nCP4-Fpz\nC5S-Fpz\nEPL-EPR"
            )
            bus.wait_raw(True)
            for block in blocks(800):
                bus.publish("raw", {k: v for k, v in raw_fields(block).items() if k != "boot"})
            choose = (
                "for (const [id, value] of Object.entries({})) document.getElementById(id).value = value;"
            )
            fields = {"derivations": "CP4-Fpz\nEPL-EPR", "low": 30, "high": 500, "from": -5, "to": 45}
            await page.ask(choose.replace("{}", str(fields), 1))
            await page.ask("document.getElementById('choice').requestSubmit()")
            await page.until("evokd.own.reading.average?.n_sweeps > 60")
            assert await page.ask("evokd.own.reading.average.derivations") == ["CP4-Fpz", "EPL-EPR"]
            await page.until("document.querySelector('#peaks tr')")
            rows = await page.ask("[...document.querySelectorAll('#peaks tr')].map((row) => row.innerText)")
            assert len(rows) == 1 and rows[0].startswith("N9") and "present" in rows[0]
            said = await page.ask("document.querySelector('#view .facts').innerText")
            assert "sweeps" in said and "30–500 Hz" in said
            against = "document.getElementById('against')"
            await page.ask(f"{against}.value = 'own'; {against}.dispatchEvent(new Event('change'))")
            span = {
                "span": "own",
                "span-from": "0:08",
                "span-to": "0:15",
                "against-from": "0:00",
                "against-to": "7",
            }
            await page.ask(choose.replace("{}", str(span), 1))
            await page.ask("document.getElementById('choice').requestSubmit()")
            await page.until(
                "evokd.own.reading.average?.n_sweeps > 30 && evokd.own.reference.average?.n_sweeps > 30"
            )
            assert await page.ask("evokd.asked.span_s") == [8, 15]
            assert await page.ask("evokd.asked.reference_s") == [0, 7]
            await page.ask("document.getElementById('derivations').value = 'CP4-Nowhere'")
            await page.ask("document.getElementById('choice').requestSubmit()")
            error = await page.until("document.getElementById('error').innerText")
            assert "no channel Nowhere" in error
            await page.ask("document.getElementById('reset').click()")
            await page.press("p")
            await page.press("m")
            await page.ask("document.getElementById('mark-text').value = 'looks real to me'")
            await page.ask("document.getElementById('mark').requestSubmit()")
            await page.until("!document.getElementById('mark-dialog').open")
            assert [one for one in bus.asked if one[0] != "config.get"] == [
                ("mark", {"text": "looks real to me", "kind": "reader", "author": "reader"})
            ]
            assert page.complaints == []

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.may, bus.toml = ALL, TOML
        bus.wait_subscribed()
        bus.t_ns = 16 * S
        shown = status_fields({"left": "running"}, samples=64_000) | {"channels": list(CHANNELS)}
        bus.publish("status", shown | {"timebase": {"filter_delay_samples": 1.5}})
        bus.publish("average.left", average_fields(median_ssep(0.1), 0.1, 300, "wrist"))
        run(scenario(port, bus))
