"""What a browser may ask of a box, from where, with which key; others' pages and names get nowhere."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest

from hostd.cli import main
from hostd.web import desk
from hostd.web.guard import known_host, own_names, same_origin
from tests.support.fakebus import FakeBus, status_fields
from tests.support.keys import NAMES, made
from tests.support.session import LiveHost
from tests.support.webcase import ALL
from tests.support.webclient import Browser, ask, browser, gateway, heard, rights, run


def test_a_browser_here_may_what_the_gateway_may_and_the_box_hears_who_asks() -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        async with browser(port) as page:
            told = await rights(page)
            assert told["role"] == "operator" and set(told["may"]) == set(ALL) and told["here"] is True
            assert (await ask(page, 1, "stim.arm", test="left"))["ok"] is True
            assert (await ask(page, 2, "alert.acknowledge", id="change-1"))["ok"] is True
            bus.refusals["stim.fire"] = "left is not armed"
            refused = await ask(page, 3, "stim.fire", test="left")
            assert refused["ok"] is False and refused["error"]["message"] == "left is not armed"
            assert bus.asked == [
                ("stim.arm", {"test": "left"}),
                ("alert.acknowledge", {"id": "change-1"}),
                ("stim.fire", {"test": "left"}),
            ]
            await page.ws.send_json({"sign_in": {"name": "  Ann \n B "}})
            assert (await rights(page))["name"] == "Ann B"

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.may = ALL
        bus.wait_subscribed()
        run(scenario(port, bus))


@pytest.mark.control("H5.4")
@pytest.mark.parametrize("command", ["snapshot", "hello", "case.start", "no.such", ""])
def test_what_no_button_asks_for_never_leaves_the_gateway(command: str) -> None:
    async def scenario(port: int) -> None:
        async with browser(port) as page:
            reply = await ask(page, 1, command)
            assert reply["ok"] is False and reply["error"]["code"] == "unknown_command"

    with FakeBus() as bus, gateway(bus.address) as port:
        run(scenario(port))
        assert bus.asked == []


@pytest.mark.control("H5.4")
def test_a_browser_elsewhere_observes_and_its_key_does_not_travel_in_the_open() -> None:
    async def scenario(port: int) -> None:
        at = f"http://127.0.0.1:{port}/ws"
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(at, headers={header: "10.0.0.9"}) as ws,
            ):
                page = Browser(ws)
                told = await rights(page)
                assert told["role"] == "observer" and told["here"] is False and "stim.fire" not in told["may"]
                await ws.send_json({"sign_in": {"name": "Eve", "key": "name = 'anna'"}})
                assert "travel in the open" in (await rights(page))["error"]

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.may = ALL
        bus.wait_subscribed()
        run(scenario(port))


def test_elsewhere_nothing_is_seen_before_a_key_is_shown_or_anyone_looks() -> None:
    async def scenario(port: int, bus: FakeBus, looks: bool) -> None:
        bus.publish("status", status_fields({}))
        await asyncio.sleep(0)
        at = f"http://127.0.0.1:{port}/ws"
        away = {"X-Forwarded-For": "10.0.0.9"}
        async with aiohttp.ClientSession() as session, session.ws_connect(at, headers=away) as ws:
            page = Browser(ws)
            assert (await rights(page))["admitted"] is looks
            bus.publish("event", {"text": "secret"})
            async with browser(port) as here:
                await here.topic("event")
            await ws.send_json({"read": {"test": "left"}})
            await ws.send_json({"ping": 7})
            await page.until(lambda one: one["topic"] == "gateway" and one["header"]["ping"] == 7)
            assert ({one["topic"] for one in page.seen} <= {"gateway", "rights"}) is not looks
            wall = session.ws_connect(at + "?view=wall", headers=away)
            if looks:
                async with wall:
                    return
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await wall
            assert caught.value.status == 403

    for looks in (False, True):
        with FakeBus() as bus, gateway(bus.address, anyone_looks=looks) as port:
            bus.wait_subscribed()
            run(scenario(port, bus, looks))


def test_a_key_shown_from_elsewhere_over_https_lets_in_and_starts_no_current(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate")
    keys = made(tmp_path / "keys")
    text = (tmp_path / "keys" / "anna.secret").read_text()
    pem = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=box"]
    subprocess.run([*make, "-out", pem[0], "-keyout", pem[1]], check=True, capture_output=True)

    async def scenario(port: int) -> None:
        at, away = f"https://127.0.0.1:{port}/ws", {"X-Forwarded-For": "10.0.0.9"}
        async with aiohttp.ClientSession() as session, session.ws_connect(at, headers=away, ssl=False) as ws:
            page = Browser(ws)
            told = await rights(page)
            assert told["admitted"] is False and told["secure"] is True and told["role"] == "observer"
            await ws.send_json({"sign_in": {"name": "Ann", "key": text}})
            told = await rights(page, role="remote")
            assert told["admitted"] is True and told["key"]["name"] == "anna"
            assert not {"stim.arm", "stim.fire", "alarm.signal"} & set(told["may"])
            await heard(page, lambda one: one["topic"] == "status")
            assert (await ask(page, 1, "stim.arm", test="left_median"))["error"]["code"] == "not_allowed"
            assert (await ask(page, 2, "test.stop", test="left_median"))["ok"] is True
            assert (await ask(page, 3, "mark", text="seen"))["ok"] is True
            said = await heard(page, lambda one: one["topic"] == "event" and one["header"]["text"] == "seen")
            assert "Ann from 127.0.0.1, anna (technologist)" in said["header"]["author"]

    with (
        LiveHost(keys=tmp_path / "keys", asks=keys["engineer"]) as host,
        gateway(host.bus, key=keys["observer"], tls=pem) as port,
    ):
        run(scenario(port))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--http", "0.0.0.0:0"], "open to other machines; give --tls and --keys"),
        (["--http", "0.0.0.0:0", "--tls", "a.pem", "b.pem"], "open to other machines; give --tls and --keys"),
        (["--tls", "a.pem", "b.pem"], "--tls a.pem b.pem: No such file or directory"),
        (["--box", "x"], "--box 'x' is not NAME=tcp://HOST:PORT"),
        (["--box", "x=tcp://127.0.0.1:1", "--box", "x=tcp://127.0.0.1:9"], "is there already"),
        (["--box", "x=udp://127.0.0.1:1"], "is not an endpoint"),
        (["--raw-mb", "0"], "--raw-mb 0 is not from 1 to 16384"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["web", *words]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert main(["run", "--http", "0.0.0.0:5780"]) == 2
    assert "evokd web --http 0.0.0.0:5780 --tls CERT KEY" in capsys.readouterr().err


def test_keys_are_shown_to_the_box_and_what_is_none_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = made(tmp_path / "keys")
    text = {role: (tmp_path / "keys" / f"{key.name}.secret").read_text() for role, key in keys.items()}
    made(tmp_path / "others")
    stranger = (tmp_path / "others" / "anna.secret").read_text()

    async def scenario(port: int) -> None:
        async with browser(port) as page:
            await rights(page, role="observer", key={"name": "olli", "role": "observer"})  # the gateway's own
            for role, may in (
                ("technologist", "operator"),
                ("engineer", "operator"),
                ("observer", "observer"),
            ):
                await page.ws.send_json({"sign_in": {"name": "Ann", "key": text[role]}})
                told = await rights(page, role=may, key={"name": NAMES[role], "role": role})
                assert told["error"] == ""
                assert ("stim.fire" in told["may"]) is (may == "operator")
                reply = await ask(page, 1, "case.critical", on=True)
                assert reply["ok"] is (may == "operator")
            for wrong in ("nonsense", "x = 1", "[" * 4000, text["engineer"].replace("secret", "sacred")):
                await page.ws.send_json({"sign_in": {"name": "", "key": wrong}})
                assert "this key" in (await rights(page))["error"]
            monkeypatch.setattr(desk, "ANSWER_MS", 700)  # nobody answers to that one
            await page.ws.send_json({"sign_in": {"name": "", "key": stranger}})
            told = await rights(page)
            assert "another" in told["error"] or "not the one that this key was made for" in told["error"]
            monkeypatch.undo()
            await page.ws.send_json({"sign_in": {"name": "", "key": ""}})
            assert (await rights(page))["role"] == "observer"

    with (
        LiveHost(keys=tmp_path / "keys", asks=keys["engineer"]) as host,
        gateway(host.bus, key=keys["observer"]) as port,
    ):
        run(scenario(port))


@pytest.mark.control("H1.7")
def test_a_stop_waits_behind_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        async with browser(port) as page:
            await rights(page)
            bus.hangs.add("stim.arm")
            for number in range(1, 12):
                await page.ws.send_json(
                    {"ask": {"id": number, "command": "stim.arm", "args": {"test": "left"}}}
                )
            said, _ = await page.until(lambda one: one["topic"] == "reply")
            assert said["header"]["error"]["code"] == "busy", "so many wait for the box already"
            reply = await ask(page, 99, "stim.stop")
            assert reply["ok"] is True and not any(
                one["topic"] == "reply" and one["header"].get("ok") for one in page.seen[:-1]
            )

    monkeypatch.setattr(desk, "ANSWER_MS", 300)
    with FakeBus() as bus, gateway(bus.address) as port:
        bus.may = ALL
        bus.wait_subscribed()
        run(scenario(port, bus))


def test_a_box_that_is_away_is_said_and_asked_again_when_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(port: int, address: int) -> None:
        async with browser(port) as page:
            assert "does not answer" in (await rights(page))["error"]
            reply = await ask(page, 1, "mark", text="x")
            assert reply["ok"] is False and "does not answer" in reply["error"]["message"]
            with FakeBus(address) as bus:
                bus.wait_subscribed()
                bus.publish("status", status_fields({}))
                assert (await rights(page))["role"] == "operator"

    monkeypatch.setattr(desk, "ANSWER_MS", 200)
    with FakeBus() as bus:
        address = bus.port
    with gateway(f"tcp://127.0.0.1:{address}") as port:
        run(scenario(port, address))


def test_a_box_that_babbles_is_said_and_harms_nobody() -> None:
    async def scenario(port: int, bus: FakeBus) -> None:
        bus.babbles |= {"hello", "mark"}
        async with browser(port) as page:
            assert "no reply" in (await rights(page))["error"]
            bus.babbles -= {"hello"}
            await page.ws.send_json({"sign_in": {}})
            await rights(page, role="operator")
            assert "no reply" in (await ask(page, 1, "mark", text="x"))["error"]["message"]
            bus.babbles.clear()
            assert (await ask(page, 2, "mark", text="x"))["ok"] is True

    with FakeBus() as bus, gateway(bus.address) as port:
        bus.may = ALL
        bus.wait_subscribed()
        run(scenario(port, bus))


@pytest.mark.control("H5.4")
def test_names_that_are_not_this_machines_are_refused() -> None:
    async def scenario(port: int) -> None:
        async with aiohttp.ClientSession() as session:
            for name, status in (
                ("evil.example", 421),
                (f"evil.example:{port}", 421),
                ("theatre.example", 200),
            ):
                at = f"http://127.0.0.1:{port}/"
                async with session.get(at, headers={"Host": name}) as answer:
                    assert answer.status == status, name
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                away = {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}
                await session.ws_connect(f"http://127.0.0.1:{port}/ws", headers=away)
            assert caught.value.status == 421, "rebinding: origin and host agree, and are not ours"

    with FakeBus() as bus, gateway(bus.address, names=("Theatre.example",)) as port:
        run(scenario(port))


def test_hosts_and_origins() -> None:
    names = own_names()
    assert all(known_host(h, names) for h in ("127.0.0.1", "10.1.2.3:5780", "[::1]:5780", "localhost:5780"))
    assert not any(known_host(h, names) for h in ("evil.example", "127.0.0.1.evil.example", "", "[", "a:b:c"))
    assert same_origin(None, "h:1") and same_origin("https://H:1", "h:1") and same_origin("http://h:1", "h:1")
    assert not any(same_origin(o, "h:1") for o in ("null", "http://h:2", "ftp://h:1", "http://h:1.evil", ""))
