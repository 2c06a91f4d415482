"""A mirror says what its box says, keeps the case, hands on what may be asked for, and has the displays."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostd.cli import main
from hostd.client import Control, Joined, request
from hostd.fixture import lines
from hostd.keys import KeyRing, client_secret, new_client, new_server
from hostd.mirror.serve import Mirror, MirrorOptions
from hostd.replay import Replay
from hostd.route import Route
from hostd.show.ear import Ear as ShowEar
from hw.recording import RecordingReader
from tests.support.fakebus import FakeBus, status_fields
from tests.support.ports import free_bus
from tests.support.session import DEADLINE_S, Ear, LiveHost, until

Line = Callable[..., str]


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Line:
    """What a mirror says that cannot be, asked for with some words."""

    def said(words: list[str], of: str = "tcp://127.0.0.1:9") -> str:
        capsys.readouterr()
        assert main(["host", "--mirror", of, "--bus", free_bus(), *words]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        return told

    return said


class Mirrored:
    """A mirror of the box at `of`, as a thread of the test."""

    def __init__(self, of: str, data: Path | None = None, keys: Path | None = None) -> None:
        self.bus = free_bus()
        self.said: list[str] = []
        self.stop = threading.Event()
        key = None if keys is None else client_secret(keys, "mirror")
        ring = None if keys is None else KeyRing(keys)
        options = MirrorOptions(of, key, self.bus, ring, None, data)
        self._mirror = Mirror(options, self.stop, says=self.said.append)
        self._thread = threading.Thread(target=self._mirror.run, daemon=True)

    def __enter__(self) -> "Mirrored":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self.stop.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def ask(self, command: str, **args: Any) -> dict[str, Any]:
        return request(self.bus, command, args)

    def knows(self) -> dict[str, Any]:
        """What it says of itself, once it knows its box."""
        until(lambda: self.ask("hello")["ok"], "the box known to its mirror")
        result: dict[str, Any] = self.ask("hello")["result"]
        return result


def numbers(ear: Ear, of: str = "") -> dict[tuple[str, str, int], tuple[Any, ...]]:
    """Every message heard, by topic, boot and number."""
    return {
        (m.topic, m.header["boot"], m.header["seq"]): (dict(m.header), *map(bytes, m.parts))
        for m in ear.heard
        if m.topic.startswith(of)
    }


def test_a_mirror_says_what_its_box_says_byte_by_byte_and_keeps_the_case(tmp_path: Path) -> None:
    with LiveHost(data=tmp_path / "box") as host, Mirrored(host.bus, tmp_path / "kept") as mirror:
        with Ear(mirror.bus, raw=True) as there, Ear(host.bus, raw=True) as here:
            told = mirror.knows()
            here.until(lambda m: m.topic == "raw", "raw at the box")
            first = there.until(lambda m: m.topic == "raw", "raw at the mirror", True)
            host.ok("mark", text="clip on")
            wanted = lambda m: m.topic == "event" and m.header["text"] == "clip on"  # noqa: E731
            there.until(wanted, "the mark"), here.until(wanted, "the mark")
            until(lambda: there.listen() and len(there.of("average.")) > 3, "averages")
            status = here.until(lambda m: m.topic == "status", "a status", True)
            there.until(
                lambda m: (m.topic, m.header["seq"]) == ("status", status.header["seq"]), "the same one"
            )
        heard, said = numbers(there), numbers(here)
        both = heard.keys() & said.keys()
        assert len(both) > 50 and {key[0] for key in both} >= {
            "raw",
            "beat",
            "status",
            "event",
            "average.left_median",
        }
        assert all(heard[key] == said[key] for key in both)
        mine = host.ok("hello")
        assert {k: told[k] for k in ("boot", "case", "tests")} == {
            k: mine[k] for k in ("boot", "case", "tests")
        }
        assert told["role"] == "remote" and told["endpoints"]["events"] == mirror.bus
        assert told["mirror"]["of"] == host.bus and told["mirror"]["silent_s"] < DEADLINE_S
        assert mirror.ask("config.get")["result"] == host.ok("config.get")
    (case,) = (tmp_path / "kept").iterdir()
    assert case.name == f"{mine['case']}.mirror"
    with Replay(case) as kept, Replay(tmp_path / "box" / mine["case"]) as own:
        at = kept.reader.first_index
        a, b = _samples(kept.reader), _samples(own.reader)
        assert at <= first.header["first_index"] < at + len(a)
        assert np.array_equal(a, b[at : at + len(a)]) and a[:, :-1].any() and a[:, -1].any(), (
            "none is missing"
        )
        assert any(m.topic == "average.left_median" for m in kept.messages()), "and it is averaged anew"
    topics = [line.message.topic for line in lines.read(case / "bus.jsonl")]
    assert "event" in topics and topics[0] == "status" and not {"beat", "raw"} & set(topics)
    texts = [line.message.header.get("text") for line in lines.read(case / "bus.jsonl")]
    assert "clip on" in texts


def _samples(reader: RecordingReader) -> np.ndarray:
    """All that were recorded, without what fills gaps and the last record."""
    return np.concatenate([np.column_stack((b.counts, b.trigger_bits)) for b in reader.blocks(1000)])


@pytest.mark.control("H8.7")
def test_who_comes_late_and_after_the_box_is_gone_is_told_what_is_known() -> None:
    with FakeBus() as box, Mirrored(box.address) as mirror:
        box.results["hello"] = {"boot": box.boot, "case": "2031-07", "tests": {"left": "arm"}}
        box.publish("status", status_fields({"left": "running"}))
        box.publish("alert", {"id": "a-1", "state": "raised"})
        until(lambda: len(mirror.ask("snapshot")["result"]["messages"]) == 2, "what was said before")
        mirror.knows()
        box.close()
        until(lambda: mirror.said[-1:] == [f"{box.address} is silent"], "the silence told")
        with Joined(mirror.bus) as late:
            known = {m.topic: m.header["seq"] for m in late.receive(1000)}
            assert known == {"status": 1, "alert": 1}
            assert late.receive(500) == [], "a mirror says nothing of its own: no display takes it for live"
        assert mirror.ask("hello")["result"]["mirror"]["silent_s"] > 2.0
        refused = mirror.ask("mark", text="x")
        assert (
            refused["error"]["code"] == "bad_state" and "ask at the box itself" in refused["error"]["message"]
        )
        other = FakeBus(box.port, boot="c0ffee")
        other.publish("case", {"phase": "setup"})
        with other, Joined(mirror.bus, ("case",)) as display, _beating(other):
            new = until(
                lambda: [m for m in display.receive(50) if m.header["boot"] == "c0ffee"], "another start"
            )
            assert new[0].topic == "case"
            latest = mirror.ask("snapshot")["result"]["messages"]
            assert [m["topic"] for m in latest] == ["case"], "what was known is of a start that is over"


def test_a_mirror_is_named_by_its_box_while_it_is_there() -> None:
    with LiveHost() as host, Ear(host.bus, ("status", "alert")) as ear:
        with Mirrored(host.bus) as mirror:
            ear.until(lambda m: m.topic == "status" and m.header["mirrors"] == [mirror.bus], "named")
        ear.until(lambda m: m.topic == "status" and not m.header["mirrors"], "no longer", True)
        assert not [m for m in ear.of("alert") if m.header["kind"] == "link"], (
            "nobody misses what was stopped"
        )
        host.ok("hello", name="mirror at x", watch_s=0.2, mirror=mirror.bus)
        lost = ear.until(lambda m: m.topic == "alert" and m.header["kind"] == "link", "missed").header
        assert "mirror at x" in lost["text"]
        ear.until(lambda m: m.topic == "status" and not m.header["mirrors"], "not named while silent", True)
        for args, why in (({"mirror": "B:1"}, "is not tcp://HOST:PORT"), ({"mirror": mirror.bus}, "watch_s")):
            code, text = host.error(
                "hello", name="mirror", **({"watch_s": 5} if "B" in str(args) else {}), **args
            )
            assert code == "bad_request" and why in text
        assert (
            host.error("hello", name="m", watch_s=5, mirror=mirror.bus, role="observer")[0] == "not_allowed"
        )


def test_what_may_be_asked_for_from_elsewhere_is_handed_on_under_the_asker_s_name(tmp_path: Path) -> None:
    with (
        LiveHost(data=tmp_path) as host,
        Mirrored(host.bus) as mirror,
        Ear(host.bus, ("event", "status")) as ear,
    ):
        case = mirror.knows()["case"]
        ear.until(lambda m: True, "a word of the box")  # who has just subscribed would not hear the mark
        with Control(mirror.bus) as ward:
            ward.ask("hello", {"name": "Dr Ward"})
            assert ward.ask("mark", {"text": "seen at the mirror"})["ok"]
        ear.until(lambda m: m.header.get("text") == "seen at the mirror", "the mark")
        for command in ("stim.arm", "stim.fire", "test.start"):
            refused = mirror.ask(command, test="left_median")["error"]
            assert refused["code"] == "not_allowed" and "mirror of" in refused["message"]
        wrong = mirror.ask("baseline.set", test="nobody")["error"]
        assert wrong == host.ask("baseline.set", test="nobody")["error"], "the box's own words"
        assert mirror.ask("stim.stop")["ok"]
        ear.until(
            lambda m: m.topic == "status" and "running" not in m.header["tests"].values(), "all stopped", True
        )
        assert mirror.ask("alert.shout")["error"]["code"] == "unknown_command"
    with contextlib.closing(sqlite3.connect(tmp_path / case / "case.sqlite")) as kept:
        actors = kept.execute("SELECT actor FROM audit WHERE action = 'mark'").fetchall()
    assert ("Dr Ward@127.0.0.1 by the mirror@127.0.0.1",) in actors


def test_a_request_that_the_box_never_answers_is_answered() -> None:
    with FakeBus() as box, Mirrored(box.address) as mirror:
        box.results["hello"] = {"boot": box.boot, "case": "2031-07"}
        box.hangs.add("mark")
        mirror.knows()
        reply = request(mirror.bus, "mark", {"text": "x"}, 10_000)
        assert reply["error"]["code"] == "internal" and "not known" in reply["error"]["message"]


def test_a_display_goes_to_the_mirror_and_comes_home_and_takes_nothing_twice() -> None:
    with FakeBus() as box, Mirrored(box.address) as mirror:
        box.results["hello"] = {"boot": box.boot, "case": "2031-07"}
        ear = ShowEar(Route([box.address]), None, "tech")
        ear.start()
        try:
            box.wait_subscribed()
            box.publish("status", status_fields({}, mirrors=[mirror.bus]))
            box.publish("event", {"text": "one", "kind": "note", "author": "a"})
            until(
                lambda: {m["topic"] for m in mirror.ask("snapshot")["result"]["messages"]} >= {"event"},
                "mirrored",
            )
            heard = _heard(ear, lambda seen: ("event", 1) in seen)
            assert ear.via == ""
            until(lambda: ear.via == mirror.bus, "the display at the mirror")
            with _beating(box):
                until(lambda: ear.via == "", "the display at home again")
                box.publish("event", {"text": "two", "kind": "note", "author": "a"})
                heard += _heard(ear, lambda seen: ("event", 2) in seen)
            events = [seen for seen in heard if seen[0] == "event"]
            assert events == [("event", 1), ("event", 2)]
        finally:
            ear.stop()


def _heard(ear: ShowEar, enough: Any) -> list[tuple[str, int]]:
    seen: list[tuple[str, int]] = []

    def more() -> bool:
        seen.extend((m.topic, int(m.header["seq"])) for m, _ in ear.drain())
        return bool(enough(seen))

    until(more, "messages at the display")
    return seen


@contextlib.contextmanager
def _beating(box: FakeBus) -> Iterator[None]:
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.05):
            box.publish("beat", {"latest": {}})

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_with_keys_a_mirror_needs_the_box_s_folder_and_a_key_that_may_hear_samples(
    tmp_path: Path, line: Line
) -> None:
    keys = tmp_path / "keys"
    new_server(keys)
    new_client(keys, "mirror", "technologist")
    new_client(keys, "ward", "observer")
    ward = client_secret(keys, "ward")
    host = LiveHost(keys=keys, asks=client_secret(keys, "mirror"))
    with host, Mirrored(host.bus, keys=keys) as mirror, Joined(mirror.bus, ("status",), key=ward) as display:
        status = until(lambda: display.receive(100), "a status by the mirror, with the key for the box")
        assert status[0].topic == "status"
        until(lambda: request(mirror.bus, "hello", {}, key=ward)["ok"], "known")
        told = request(mirror.bus, "hello", {}, key=ward)["result"]
        assert told["role"] == "observer" and "mark" in told["may"] and "alert.acknowledge" not in told["may"]
        assert (
            request(mirror.bus, "baseline.clear", {"test": "left_median"}, key=ward)["error"]["code"]
            == "not_allowed"
        )
    other = tmp_path / "other"
    new_server(other)
    new_client(other, "mirror", "observer")
    assert line(["--keys", str(other)]).startswith("evokd: the key 'mirror' is an observer's; a mirror hears")
    (other / "mirror.secret").write_bytes((keys / "mirror.secret").read_bytes())
    assert "is for another box; copy the whole folder of keys" in line(["--keys", str(other)])


def test_bad_usage_is_one_line(line: Line) -> None:
    assert "is not a bus; write tcp://HOST:PORT" in line([], "nowhere")
    assert "--procedure is the box's to choose" in line(["--procedure", "median_ssep"])
    assert "a case file is the box's to choose" in line(["x.toml"])
    assert "--seconds is the box's to choose" in line(["--seconds", "3"])
    assert "--as names a key of --keys DIR" in line(["--as", "me"])
    same = free_bus()
    assert main(["host", "--mirror", same, "--bus", same]) == 2
    assert main(["host", "--as", "me"]) == 2
    assert main(["run", "--mirror", same, "--source", "pi", "--bus", free_bus()]) == 2


def test_a_disk_that_refuses_is_told_once_and_the_mirror_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        LiveHost() as host,
        Mirrored(host.bus, tmp_path / "file") as mirror,
        Ear(mirror.bus, ("beat",)) as ear,
    ):
        until(lambda: any("not kept here" in told for told in mirror.said), "told")
        ear.until(lambda m: m.topic == "beat", "it goes on", True)
    assert sum("file" in told for told in mirror.said) == 1
