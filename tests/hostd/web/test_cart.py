"""Every view and button of the cart in a real browser, on a fake box that does what it is asked for."""

import itertools

import numpy as np
import pytest

from tests.support.chromium import Page
from tests.support.fakebus import FakeBus, average_fields, median_ssep
from tests.support.webcase import ALL, alert, case, click, open_page, spectrum, status, text, wave
from tests.support.webclient import gateway, run


def test_what_a_technologist_does(devtools: int) -> None:
    """Arms and fires in two acts, is refused in words, sets a baseline, marks, measures, stops everything."""

    async def scenario(port: int, bus: FakeBus) -> None:
        async with Page(devtools, width=1600, height=1000) as page:
            await open_page(page, port)
            fire = '[data-test="left_mep"] [data-command="stim.fire"]'
            assert await page.ask(f"document.querySelector('{fire}').disabled"), "not armed"
            await click(page, fire)
            await click(page, '[data-test="left_mep"] [data-command="stim.arm"]')
            await page.until("document.getElementById('said').innerText === 'stim.arm: done'")
            status(bus, stimulation={"armed_s": {"left_mep": 27.0}})
            await page.until(f"!document.querySelector('{fire}').disabled")
            assert "Armed 27 s" in await page.ask(text('[data-test="left_mep"] .controls'))
            bus.refusals["stim.fire"] = "the window of left_median is not over"
            await click(page, fire)
            said = "document.getElementById('said')"
            await page.until(f"{said}.innerText.includes('the window of left_median is not over')")
            assert await page.ask(f"{said}.className") == "bad"
            shown = "'[data-test=left_median] .controls button:not([hidden])'"
            texts = f"[...document.querySelectorAll({shown})].map((b) => b.textContent)"
            assert await page.ask(texts) == ["Stop", "Baseline"], "it runs"
            await click(page, '[data-test="left_median"] [data-command="baseline.set"]')
            await click(page, '[data-test="left_median"] [data-command="test.stop"]')
            start = '[data-test="right_median"] [data-command="test.start"]'
            assert await page.ask(f"document.querySelector('{start}').disabled"), "not armed"
            status(bus, stimulation={"armed_s": {"right_median": 30.0}})
            await page.until(f"!document.querySelector('{start}').disabled")
            await click(page, start)
            await page.press("m")
            await page.until("document.getElementById('mark-dialog').open")
            await click(page, "#mark-quick button")
            await page.until("!document.getElementById('mark-dialog').open")
            await page.press("m")
            await page.until("document.getElementById('mark-dialog').open")
            await page.ask("document.getElementById('mark-text').value = 'rod in'")
            await page.ask("document.getElementById('mark-map_mmhg').value = '72'")
            await page.ask("document.getElementById('mark').requestSubmit()")
            await page.until("!document.getElementById('mark-dialog').open")
            await page.press("c")
            await page.press("l")
            await click(page, "#leads-field")
            await page.until("document.getElementById('leads-dialog').open")
            await click(page, "#measure-leads")
            await page.until(f"{said}.innerText === 'impedance.start: done'")
            await click(page, "#leads-dialog .close")
            await page.press("X", shift=True)
            await page.until(f"{said}.innerText === 'stim.stop: done'")
            assert [command for command, _ in bus.asked] == [
                *("stim.arm", "stim.fire", "baseline.set", "test.stop", "test.start", "mark", "mark"),
                *("case.critical", "alarm.signal", "impedance.start", "stim.stop"),
            ]
            assert bus.asked[5][1]["text"] == "incision" and bus.asked[4][1] == {"test": "right_median"}
            asked = dict(bus.asked)
            assert asked["mark"] == {
                "text": "rod in",
                "kind": "note",
                "author": "",
                "values": {"map_mmhg": 72},
            }
            assert asked["case.critical"]["on"] is True and asked["alarm.signal"]["state"] == "paused"
            assert asked["alarm.signal"]["what"] == "audio" and asked["alarm.signal"]["seconds"] <= 120
            assert page.complaints == []

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.may = ALL
        bus.wait_subscribed()
        case(bus)
        run(scenario(port, bus))


def test_an_alert_is_seen_heard_explained_acknowledged_and_gone(devtools: int) -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        async with Page(devtools, width=1280, height=800) as page:
            await open_page(page, port)
            assert await page.ask("document.getElementById('banner').children.length") == 0
            alert(bus, "confirmed")
            await page.until("document.querySelector('#banner .strip') && evokd.alarm.sounding === 'high'")
            banner = await page.ask(text("#banner"))
            assert "!!!" in banner and "N20 down 72 %" in banner and "likely focal, 95 %" in banner
            flash = "getComputedStyle(document.querySelector('#banner .sign'))"
            assert 1.4 <= 1 / float((await page.ask(f"{flash}.animationDuration"))[:-1]) <= 2.8
            assert (
                await page.ask(text('[data-test="left_median"] h2'))
                and await page.ask("document.querySelector('[data-test=left_median]').dataset.alarm")
                == "high"
            )
            await page.press("s")
            await page.until("evokd.alarm.bursts > 0")
            await page.press("e")
            await page.until("document.getElementById('evidence').open")
            told = await page.ask(text("#evidence-body"))
            for said in (
                "28 %",
                "10 % to 45 %",
                "left_median N9",
                "absent",
                "ok, artifact 99 % of the usual",
            ):
                assert said in told, said
            for said in ("85 to 60 mmHg", "amplitude fall > 50 %", "focal", "Repeat at once", "<b>look</b>"):
                assert said in told, said
            await click(page, "#evidence input[type=checkbox]")
            await click(page, "#evidence .close")
            await page.press("a")
            await page.until("document.getElementById('said').innerText === 'alert.acknowledge: done'")
            assert ("alert.acknowledge", {"id": "change-1"}) in bus.asked
            assert bus.asked[0] == ("mark", {"text": "checked: Repeat at once", "kind": "checklist"})
            alert(bus, "acknowledged")
            await page.until("evokd.alarm.sounding === null")
            assert await page.ask(f"{flash}.animationName") == "none", "seen: shown, and quiet"
            for step, button in (("told", 2), ("acted", 3)):
                asked = await page.ask("evokd.link.number")
                await click(page, f"#banner .buttons button:nth-child({button})")
                await page.until(f"evokd.link.number > {asked} && evokd.link.asked.size === 0")
                assert bus.asked[-1] == ("alert.note", {"id": "change-1", "step": step})
            alert(
                bus,
                "raised",
                "medium",
                id="x-2",
                test="right_median",
                text="right median: P<img src=x> may have fallen",
            )
            await page.until("document.getElementById('alerts').innerText.includes('P<img src=x> may have')")
            assert (
                0.4
                <= 1
                / float(
                    (
                        await page.ask(
                            "getComputedStyle(document.querySelector('#alerts .sign')).animationDuration"
                        )
                    )[:-1]
                )
                <= 0.8
            )
            alert(bus, "cleared")
            alert(bus, "cleared", id="x-2")
            await page.until(
                "!document.querySelector('#banner .strip') && !document.querySelector('#alerts .alert')"
            )
            assert await page.ask("document.images.length") == 0
            assert page.complaints == []

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.may = ALL
        bus.wait_subscribed()
        case(bus)
        run(scenario(port, bus))


def test_an_observer_looks_marks_and_stops(devtools: int) -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        async with Page(devtools) as page:
            await open_page(page, port)
            alert(bus, "confirmed")
            await page.until("document.querySelector('#banner .strip')")
            buttons = "[...document.querySelectorAll('button')].filter((b) => b.offsetParent)"
            shown = set(await page.ask(f"{buttons}.map((b) => b.textContent)"))
            assert {"⇧XStop all", "MMark", "Evidence (E)"} <= shown
            assert not shown & {
                "Arm",
                "Start",
                "Fire",
                "Stop",
                "Baseline",
                "Acknowledge (A)",
                "CCritical step",
            }
            for key in ("a", "c", "l"):
                await page.press(key)
            await page.press("X", shift=True)
            await page.until("document.getElementById('said').innerText === 'stim.stop: done'")
            assert [command for command, _ in bus.asked] == ["stim.stop"]
            await page.press("i")
            await page.until("document.getElementById('sign-in-dialog').open")
            bus.may = ALL
            await page.ask("document.getElementById('sign-in-name').value = 'Ann'")
            await page.ask("document.getElementById('sign-in').requestSubmit()")
            await page.until(
                "!document.getElementById('sign-in-dialog').open && evokd.rights.may.has('stim.arm')"
            )
            await page.until(
                "[...document.querySelectorAll('[data-command=\"stim.arm\"]')].some((b) => !b.hidden)"
            )
            assert page.complaints == []

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.wait_subscribed()
        case(bus)
        run(scenario(port, bus))


def test_views_of_a_case_and_what_a_late_joiner_finds(devtools: int) -> None:
    """Who joins after everything was said finds waterfall, trends, density array, log. Keys switch views."""

    async def scenario(port: int, bus: FakeBus) -> None:
        async with Page(devtools, width=1600, height=1000) as page:
            await open_page(page, port)
            history = await page.ask(
                "((h) => [h.fall('left_median').rows.length, h.trend('left_median').length,"
                " h.spectra.rows.length, evokd.state.log.length])(evokd.state.history)"
            )
            assert history == [3, 3, 5, 1]
            assert "3 of 4, T4/T1 40 %" in await page.ask(text(".tof"))
            assert "MEP barred: 3 of 4" in await page.ask(text(".tof"))
            assert await page.ask("document.querySelectorAll('.bars .gone').length") == 1
            assert "verdict in 8 s" in await page.ask(text('[data-test="left_median"]'))
            assert "2.10 µV" in await page.ask(text("#bar"))
            trend = "document.querySelector('[data-test=left_median] .trend')"
            await page.until(f"{trend}.innerText.includes('N20 latency')")
            assert await page.ask(f"{trend}.querySelectorAll('canvas').length") == 2
            painted = "((s, c = document.querySelector(s)) => c.getContext('2d')"
            painted += ".getImageData(0, 0, c.width, c.height).data.some((v, k) => k % 4 === 3 && v > 0))"
            await page.until(f"{painted}('[data-watch=eeg] .dsa canvas')")
            wave(bus, 1)
            wave(bus, 2)
            await page.until("evokd.scrolled?.first_index === 800")
            assert await page.ask(f"{painted}('[data-watch=emg] .scroll canvas')")
            await page.press("1")
            await page.until(
                "evokd.view.alone === 1 && document.querySelectorAll('.panel:not([hidden])').length === 1"
            )
            await page.until(f"{painted}('[data-test=left_median] .fall canvas')")
            await page.press("ArrowDown")
            await page.press("r")
            await page.until("evokd.view.replicates && evokd.link.wants.has('halves')")
            bus.t_ns += 1_000_000_000
            bus.publish(
                "average.left_median",
                average_fields(median_ssep(0.05), 0.2, 10, "wrist")
                | {"halves_uv": np.zeros((2, *median_ssep(0.05).shape), np.float32)},
            )
            await page.until("evokd.latest['average.left_median'].halves_uv")
            await page.press("Escape")
            await page.press("w")
            await page.until(
                "getComputedStyle(document.querySelector('[data-test=left_mep] .waves')).display === 'none'"
            )
            for key in ("w", "b", "n", "p", "g"):
                await page.press(key)
            await page.until("evokd.sound.on && evokd.link.wants.has('emg.audio')")
            bus.publish(
                "emg.audio", {"samples": np.zeros(160, np.int16), "rate_hz": 8000.0, "first_index": 0}
            )
            bus.publish(
                "emg.audio", {"samples": np.zeros(160, np.int16), "rate_hz": 8000.0, "first_index": 160}
            )
            await page.until("evokd.sound.played >= 160 || evokd.sound.context.state !== 'running'")
            assert page.complaints == []

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.may = ALL
        bus.wait_subscribed()
        case(bus)
        wave(bus, 0)
        for _ in range(5):
            bus.t_ns += 1_000_000_000
            spectrum(bus)
        bus.publish("event", {"text": "incision", "author": "tech", "kind": "note"})
        run(scenario(port, bus))


@pytest.mark.control("H11.5")
def test_alarm_bursts_are_as_the_standard_has_them(devtools: int) -> None:
    async def scenario(port: int) -> None:
        async with Page(devtools) as page:
            await page.go(f"http://127.0.0.1:{port}/")
            await page.until("window.evokd")
            bursts = await page.ask(
                "import('./alarm.js').then((m) => Object.fromEntries(['high', 'medium', 'low']"
                ".map((p) => [p, { pulses: m.pulses(p), every: m.everySeconds(p) }])))"
            )
            counts = {priority: len(burst["pulses"]) for priority, burst in bursts.items()}
            assert counts == {"high": 10, "medium": 3, "low": 2}
            for priority, burst in bursts.items():
                pulses = burst["pulses"]
                low, high = (0.075, 0.2) if priority == "high" else (0.125, 0.25)
                assert all(low <= p["length"] <= high and 150 <= p["hz"] <= 1000 for p in pulses)
                gaps = [b["start"] - a["start"] - a["length"] for a, b in itertools.pairwise(pulses)]
                pause = burst["every"] - pulses[-1]["start"] - pulses[-1]["length"]
                if priority == "high":
                    assert 0.05 <= gaps[0] <= 0.125 and gaps[2] > 2 * gaps[0], "three, two, and again"
                    assert (
                        0.35 <= gaps[4] <= 1.3 and gaps[:4] == pytest.approx(gaps[5:]) and 2.5 <= pause <= 15
                    )
                elif priority == "medium":
                    assert all(0.125 <= gap <= 0.25 for gap in gaps) and 2.5 <= pause <= 30
                else:
                    assert pause >= 15

    with FakeBus() as bus, gateway(bus.address) as port:
        run(scenario(port))
