"""Fixtures: the same file from the same options, with all that a bus says, played as by a box."""

import gzip
import json
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hostd import casefile, schema
from hostd.cli import main
from hostd.client import Joined, request
from hostd.fixture import lines
from hostd.fixture.course import Course
from hostd.fixture.play import Player
from hostd.fixture.record import write
from hostd.outgoing import Outgoing
from hostd.wire import Message
from hw.model.scenario import NO_CHANGE, parse_scenario
from tests.support.ports import free_bus
from tests.support.session import DEADLINE_S, ROOT, until

OWN = ROOT / "hostd" / "fixture"
SECONDS = 11.0
MEP = """
name = "MEP"
[acquisition]
rate_hz = 2000
channels = ["TAR1", "TAR2"]
[test.left_mep]
modality = "tcmep"
side = "left"
line = 1
volts = 400
baseline_sweeps = 5
derivations = ["TAR1-TAR2"]
"""
HURT = {"noise": [{"at_s": 0, "emg": 0.05}], "lesion": [{"at_s": 16.0, "place": "cord T8", "severity": 0.95}]}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped fixture's beginning."""
    out = tmp_path_factory.mktemp("fixture") / "fixture.jsonl.gz"
    assert main(["record-fixture", "--seconds", str(SECONDS), "--raw", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def read(file: Path) -> list[lines.Line]:
    return list(lines.read(file))


@contextmanager
def played(file: Path, bus: str, speed: float = 20.0) -> Iterator[threading.Event]:
    """The file on a bus; the event is set to end it."""
    stop, ready = threading.Event(), threading.Event()
    player = Player(file, bus, speed)
    thread = threading.Thread(target=player.play, args=(stop, ready.set), daemon=True)
    thread.start()
    try:
        assert ready.wait(DEADLINE_S)
        yield stop
    finally:
        stop.set()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


def test_a_fixture_says_everything_that_the_schema_declares(read: list[lines.Line]) -> None:
    topics = {line.message.topic for line in read}
    families = {t if t in schema.TOPICS else f"{t.partition('.')[0]}.TEST" for t in topics}
    later = {"alert", "ledger", "alarms", "emg", "baseline.TEST", "beat"}
    assert set(schema.TOPICS) - families <= later, set(schema.TOPICS) - families
    for line in read:
        message = line.message
        header = dict(message.header)
        msgspec.convert(header, schema.kind_of(message.topic), strict=True)
        for key in lines.arrays(header):
            message.array(key)


def test_lines_are_numbered_and_in_order(read: list[lines.Line]) -> None:
    seq: dict[str, int] = {}
    for line in read:
        topic = line.message.topic
        assert line.message.header["seq"] == seq.get(topic, 0) + 1
        seq[topic] = line.message.header["seq"]
    times = [line.at_s for line in read]
    assert times == sorted(times, key=lambda s: s or 0.0) and times[0] == 0.0 and times[-1] == SECONDS
    assert 11 <= seq["status"] <= 13 and seq["raw"] == 1100
    assert read[0].case["tests"]["left_mep"] == "left hemisphere"
    assert casefile.parse(read[0].case["toml"], "fixture").name == "Fixture for displays"
    assert not any(line.case for line in read[1:])


def test_status_tells_what_a_box_would(read: list[lines.Line]) -> None:
    told = [line.message.header for line in read if line.message.topic == "status"]
    first, last = told[1], told[-1]
    assert first["tests"] == dict.fromkeys(first["tests"], "running") and first["state"] == "running"
    assert last["state"] == "closed" and last["samples"] == SECONDS * 2000 and last["lost_samples"] == 0
    stimulation = last["stimulation"]
    assert stimulation["tests"]["left_median"]["fired"] > 30 and stimulation["never_seen"] == 0
    stims = [line.message.header for line in read if line.message.topic == "stim"]
    assert stims and all(stim["verified"] and stim["lag_samples"] == 1 for stim in stims)
    trains = [(stim["number"], stim["pulse"]) for stim in stims if stim["test"] == "left_mep"]
    assert trains[:6] == [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 1)]


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    case = casefile.parse((OWN / "case.toml").read_text("utf-8"), "case.toml")
    happens = parse_scenario(tomllib.loads((OWN / "scenario.toml").read_text("utf-8")))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(Course(case, happens, 1.5, seed), case, tmp_path / name, threading.Event())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_a_recording_that_is_stopped_is_a_fixture(tmp_path: Path) -> None:
    case, stop = casefile.parse(MEP, "mep.toml"), threading.Event()
    course = Course(case, NO_CHANGE, 3600.0, 1)
    said = course.messages()

    def until_stopped() -> Iterator[tuple[float, Outgoing]]:
        for number, one in enumerate(said):
            if number == 20:
                stop.set()
            yield one

    course.messages = until_stopped  # type: ignore[method-assign]
    assert write(course, case, tmp_path / "early.jsonl", stop) == 20
    assert len(list(lines.read(tmp_path / "early.jsonl"))) == 20


def test_somebody_sees_the_alert_and_acts() -> None:
    case = casefile.parse(MEP, "mep.toml")
    said = [(s, m) for s, m in Course(case, parse_scenario(HURT), 32.0, 1).messages()]

    def first(topic: str, **wanted: Any) -> tuple[float, Outgoing]:
        return next(
            (s, m) for s, m in said if m.topic == topic and all(m.fields[k] == v for k, v in wanted.items())
        )

    confirmed_s, _ = first("alert", state="confirmed", kind="change")
    seen_s, seen = first("alert", state="acknowledged")
    assert 16.0 < confirmed_s < 26.0 and seen_s - confirmed_s == pytest.approx(2.0, abs=0.05)
    assert seen.fields["text"].startswith("left hemisphere: TAR1-TAR2")
    notes = [note for _, m in said if m.topic == "ledger" for note in m.fields["notes"]]
    assert {(note["step"], note["author"]) for note in notes} >= {("told", "tech")}
    assert first("event", kind="vitals")[1].fields["values"]["map_mmhg"] == 82.0
    assert first("event", kind="case.critical")


def test_a_fixture_is_played_as_a_box_would(file: Path, read: list[lines.Line]) -> None:
    bus = free_bus()
    told: list[Message] = []
    with played(file, bus), Joined(bus, raw=True) as display:
        until(lambda: told.extend(display.receive(50)) or any(m.topic == "tof" for m in told), "the tof")
        hello = request(bus, "hello", {"name": "mine"})["result"]
        assert hello["tests"] == read[0].case["tests"] and hello["source"] == "fixture"
        assert request(bus, "config.get", {})["result"]["toml"] == read[0].case["toml"]
        assert request(bus, "mark", {"text": "seen", "kind": "note"})["ok"]
        assert request(bus, "stim.stop", {})["ok"]
        for command, args in (("stim.fire", {"test": "tof"}), ("alert.acknowledge", {"id": "change-1"})):
            error = request(bus, command, args)["error"]
            assert error["code"] == "bad_state" and "no box is behind it" in error["message"]
        assert request(bus, "no.such", {})["error"]["code"] == "unknown_command"
        until(lambda: told.extend(display.receive(50)) or any(m.topic == "mains" for m in told), "the mains")
        assert display.holes == 0
    assert {m.header["boot"] for m in told} == {hello["boot"]}
    assert hello["boot"] != read[0].message.header["boot"]
    beats = [m for m in told if m.topic == "beat"]
    assert beats and beats[-1].header["latest"]["status"] >= 1
    assert [m.header["text"] for m in told if m.topic == "event" and m.header["text"] == "seen"] == ["seen"]
    assert any(m.topic == "raw" for m in told)
    assert [m for m in told if m.topic == "status"][-1].header["clients"]["events"] == 1
    live = [m for m in told if m.topic == "average.left_median"][-1]
    asked = next(
        line.message
        for line in read
        if line.message.topic == live.topic and line.message.header["index"] == live.header["index"]
    )
    assert live.parts == asked.parts and live.header["n_sweeps"] == asked.header["n_sweeps"]
    assert (
        abs(
            live.header["utc_ns"]
            - live.header["t_ns"]
            - (beats[0].header["utc_ns"] - beats[0].header["t_ns"])
        )
        == 0
    )


def test_another_start_is_another_boot_and_what_replay_wrote_is_played_too(tmp_path: Path) -> None:
    path = tmp_path / "replayed.jsonl"
    head = {"v": 1, "seq": 1, "index": 0, "t_ns": 5_000_000_000, "utc_ns": 6}
    later = head | {"seq": 2, "index": 4000, "t_ns": 6_000_000_000}
    said = [{"topic": "event", "header": h | {"text": "t"}, "parts": []} for h in (head, later)]
    path.write_text("".join(json.dumps(line) + "\n" for line in said))
    bus, boots = free_bus(), []
    for _ in range(2):
        with played(path, bus, speed=0.2):
            boots.append(request(bus, "hello", {})["result"]["boot"])
            assert request(bus, "config.get", {})["error"]["code"] == "bad_state"
            (only,) = request(bus, "snapshot", {})["result"]["messages"]
            assert only["header"]["boot"] == boots[-1]
            assert only["header"]["case"] == "replayed" and only["header"]["text"] == "t"
    assert boots[0] != boots[1]


def test_at_top_speed_it_ends_by_itself_and_says_all(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bus = free_bus()
    assert main(["play-fixture", str(file), "--bus", bus, "--speed", "max"]) == 0
    assert capsys.readouterr().out == f"{file} is played at {bus}; look: evokd web --bus {bus}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty; make one with evokd record-fixture"),
        ("{}\n", ":1: no line of a message"),
        ('{"topic": "a", "header": {"index": 0}, "parts": []}\n', ":1: a: index and t_ns are missing"),
        ('{"topic": "a", "header": {"index": 0, "t_ns": 1}, "parts": ["%"]}\n', ":1: no line of a message"),
        (
            '{"topic": "a", "header": {"index": 0, "t_ns": 1, "x": {"dtype": "<f4", "shape": [2], "part": 0}}'
            ', "parts": []}\n',
            ":1: a: x is not an array",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text(text)
    assert main(["play-fixture", str(path), "--bus", free_bus()]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1


def test_a_torn_file_is_told_with_its_line(file: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(file.read_bytes()[:200_000])
    with pytest.raises(ValueError, match=r"torn.jsonl.gz:\d+: .*; make one"):
        list(lines.read(torn))
    with gzip.open(tmp_path / "half.jsonl.gz", "wt") as out:
        out.write('{"topic": "a"')
    with pytest.raises(ValueError, match=r"half.jsonl.gz:1: no line"):
        list(lines.read(tmp_path / "half.jsonl.gz"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["play-fixture", "FILE", "--speed", "0"], "--speed 0 is not 0.01 to 1000, or max"),
        (["play-fixture", "FILE", "--bus", "tcp://0.0.0.0:6000"], "open to other machines"),
        (["play-fixture", "/no/such"], "/no/such: No such file or directory; check the path"),
        (["record-fixture", "--seconds", "0", "--out", "OUT"], "--seconds 0 is not 1 to 100000"),
        (["record-fixture", "--seed", "-1", "--out", "OUT"], "--seed -1 is not 0 or more"),
        (["record-fixture", "--procedure", "spine", "--out", "OUT"], "not shipped"),
        (["record-fixture", "--scenario", "/no/such", "--out", "OUT"], "--scenario /no/such: No such file"),
        (["record-fixture", "a.toml", "--procedure", "acdf", "--out", "OUT"], "exclude each other"),
        (["record-fixture", "--out", "/no/such/folder/file"], "choose another file"),
        (["record-fixture", "--procedure", "mouse_abr", "--out", "OUT"], "'ABR' is not on the model patient"),
    ],
)
def test_bad_usage_is_one_line(
    words: list[str], says: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"FILE": str(file), "OUT": str(tmp_path / "out.jsonl")}
    assert main([places.get(word, word) for word in words]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()
