"""A whole session: `evokd run` from start to every kind of end, seen only from outside."""

import itertools
import json
import os
import re
import signal
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from hostd import casefile
from hostd.edge_link import EdgeLink
from hostd.fingerprint import verdict
from hostd.pipeline import Pipeline
from hostd.replay import Replay
from hostd.segments import segment_paths
from hostd.store import read_rows
from hw.recording import RecordingReader, read_header
from tests.hostd.conftest import Live
from tests.support.ports import free_block
from tests.support.session import Ear, LiveHost, Session, gone, session, until

CASE = casefile.procedure("median_ssep")
TESTS = [t.name for t in CASE.tests]


def records(case: Path) -> int:
    """The record count that the header of `raw.bdf` states; -1 when it was never closed."""
    with (case / "raw.bdf").open("rb") as file:
        return read_header(file).n_records


def test_it_ends_well_and_says_little(live: Live) -> None:
    assert live.exit_code == 0
    assert live.stderr == ""
    first, *lines, closed = live.stdout.splitlines()
    assert re.fullmatch(
        rf"{live.case}: \d+ messages, sha256 \w{{64}}; evokd replay {live.case} --verify .+", closed
    )
    assert "Median nerve SSEP" in first and str(live.data) in first and "tcp://127.0.0.1:" in first
    assert lines
    for line in lines:
        assert re.fullmatch(r"\d\d:\d\d lost 0 \| .+", line), line
    assert "\x1b" not in live.stdout, "no escape codes where nobody is looking"
    last = lines[-1]
    assert last.startswith(f"{live.clock} ")
    for test in TESTS:
        assert re.search(rf"{test} \d+ sweeps \(\d+ rejected\) N\d+ ", last)
    assert live.children and all(gone(pid) for pid in live.children)


def test_every_topic_is_heard_on_its_endpoint(live: Live) -> None:
    traces = {f"{kind}.{test}" for kind in ("sweep", "average", "baseline") for test in TESTS}
    events = {f"{kind}.{test}" for kind in ("measure", "plugs") for test in TESTS}
    events |= {"beat", "status", "stim", "event", "mains", "case"}
    wanted = {t: {"traces"} for t in traces} | {t: {"events"} for t in events} | {"raw": {"raw"}}
    assert live.endpoint_of == wanted


def test_sequences_have_no_holes_and_indices_do_not_run_back(live: Live) -> None:
    for topic in live.topics:
        heard = live.of(topic)
        seqs = [m.header["seq"] for m in heard]
        if topic != "raw":  # that queue may drop where nobody can keep up
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), topic
        assert seqs[0] >= 1
        if topic != "event":  # a test's own event speaks of its trigger, which lies behind
            indices = [m.header["index"] for m in heard]
            assert indices == sorted(indices), topic


def test_one_session_has_one_boot_and_one_case(live: Live) -> None:
    assert len({m.header["boot"] for m in live.heard}) == 1
    assert {m.header["case"] for m in live.heard} == {live.case.name}
    for m in live.heard:
        assert m.header["utc_ns"] > m.header["t_ns"] > 0


def test_nothing_is_lost_and_all_is_counted(live: Live) -> None:
    last = live.of("status")[-1].header
    assert last["samples"] > 40_000 and (last["lost_samples"], last["gaps"]) == (0, 0)
    assert last["faults"] == []
    assert last["link"]["bad_frames"] == last["link"]["lost_frames"] == last["link"]["repeated_samples"] == 0
    assert last["source"] == "simulated" and last["channels"] == list(CASE.channels)
    with (live.case / "raw.bdf").open("rb") as file:
        reader = RecordingReader(file, CASE.channels)
        assert records(live.case) == reader.n_records > 0
        assert sum(len(b.counts) for b in reader.blocks(4000)) == live.samples


def test_raw_is_what_was_recorded(live: Live) -> None:
    with (live.case / "raw.bdf").open("rb") as file:
        counts = [
            (b.first_index, b.counts, b.trigger_bits)
            for b in RecordingReader(file, CASE.channels).blocks(4000)
        ]
    heard = live.of("raw")
    assert len(heard) > 100
    for m in heard:
        first = m.header["first_index"]
        told = m.array("counts")
        at, stored, bits = counts[first // 4000]
        rows = slice(first - at, min(first - at + len(told), 4000))
        assert told[: rows.stop - rows.start].tolist() == stored[rows].tolist()
        assert m.array("trigger_bits")[: rows.stop - rows.start].tolist() == bits[rows].tolist()


def test_every_stimulus_is_proven_and_becomes_a_sweep(live: Live) -> None:
    stims = [m.header for m in live.of("stim")]
    assert len(stims) > 60
    assert all(s["verified"] and s["lag_samples"] in (1, 2) and s["command_id"] for s in stims)
    assert {s["test"] for s in stims} == set(TESTS)
    sweeps = {m.header["trigger_index"] for t in TESTS for m in live.of(f"sweep.{t}")}
    assert sweeps <= {s["index"] for s in stims} | {0} | {m for m in sweeps if m < stims[0]["index"]}
    apart = [b["index"] - a["index"] for a, b in itertools.pairwise(stims)]
    assert min(apart) > 0.005 * 4000


def test_the_controls_answer_as_the_contract_says(live: Live) -> None:
    assert {command: reply["ok"] for command, reply in live.replies.items()} == dict.fromkeys(
        live.replies, True
    )
    hello = live.replies["hello"]["result"]
    assert hello["case"] == live.case.name and hello["boot"] == live.heard[0].header["boot"]
    assert live.replies["config.get"]["result"]["toml"] == (live.case / "case.toml").read_text() == CASE.text
    snapshot = {m["topic"]: m for m in live.replies["snapshot"]["result"]["messages"]}
    assert {"status", "event", "stim", *(f"average.{t}" for t in TESTS)} <= set(snapshot)
    heard = {(m.topic, m.header["seq"]): m for m in live.heard}
    for topic, m in snapshot.items():
        same = heard[topic, m["header"]["seq"]]
        assert dict(same.header) == m["header"] and list(same.parts) == m["parts"]


def test_what_was_done_is_told_and_kept(live: Live) -> None:
    events = [(m.header["kind"], m.header["text"], m.header["author"]) for m in live.of("event")]
    assert ("note", "dura opened", "tech") in events
    assert ("surgeon", "clip on; \N{GREEK SMALL LETTER MU}V \n second line", "") in events
    for text in ("test.stop right_median", "test.start right_median", "baseline.set left_median"):
        assert any(text == said for _, said, _ in events), text
    database = live.case / "case.sqlite"
    kept = read_rows(database, "SELECT kind, text, author FROM events")
    assert set(events) <= set(kept)
    audit = read_rows(database, "SELECT actor, action, detail FROM audit ORDER BY rowid")
    own = ("pulse", "stim.plan")
    asked = [(actor, action) for actor, action, _ in audit if actor != "evokd" and action not in own]
    somebody = "operator@127.0.0.1"
    assert asked[0] == ("tech@127.0.0.1", "mark") and asked[-1] == (somebody, "case.close")
    assert [a for _, a in asked].count("baseline.set") == 2 and (somebody, "test.stop") in asked
    pulses = {actor for actor, action, _ in audit if action == "pulse"}
    assert pulses == {"evokd", somebody}, "started by itself, and by a person"
    answered = [
        (action, json.loads(detail).get("outcome"))
        for actor, action, detail in audit
        if actor == "evokd" and action not in own
    ]
    assert ("test.stop", "ok") in answered and ("mark", "ok") in answered
    assert {"hello", "snapshot", "config.get"} <= {action for _, action in asked}, "reading is noted too"
    commands = [name for (name,) in read_rows(database, "SELECT name FROM commands ORDER BY n")]
    assert commands == [
        *["test.start", "stim.plan"] * 2,
        "mark",
        "baseline.set",
        "test.stop",
        "mark",
        "plugs.check",
        "test.start",
        "stim.plan",
        "baseline.set",
        "baseline.clear",
        *["test.stop"] * 2,  # with the case
    ]
    stims = [m.header["index"] for m in live.of("stim")]
    seen = [index for (index,) in read_rows(database, "SELECT seen FROM stimuli ORDER BY rowid")]
    assert set(stims) <= set(seen)
    averages = read_rows(database, "SELECT test, role FROM averages")
    assert {(t, role) for t in TESTS for role in ("baseline", "last")} <= set(averages)
    with (live.case / "raw.bdf").open("rb") as file:
        notes = {a.text for a in RecordingReader(file, CASE.channels).annotations}
    assert "dura opened" in notes


def test_a_beat_knows_the_latest_of_every_topic(live: Live) -> None:
    latest: dict[str, int] = {}
    for m in live.heard:
        latest[m.topic] = max(latest.get(m.topic, 0), m.header["seq"])
    last = live.of("beat")[-1].header["latest"]
    assert set(last) <= set(latest) | {"beat"}
    assert all(seq <= latest[topic] for topic, seq in last.items() if topic in latest)
    assert len(live.of("beat")) >= 3


def begun(run: Session, samples: int = 8000) -> Ear:
    """An ear on `run` that has heard so many samples; its children are known by then."""
    ear = Ear(run.bus)
    ear.until(lambda m: m.topic == "status" and m.header["samples"] >= samples, f"{samples} samples")
    run.children()
    return ear


def closed_whole(run: Session) -> None:
    """Nothing runs any longer, and the recording was closed as a recording is."""
    until(lambda: all(gone(pid) for pid in run.pids), "the children to end")
    assert records(run.case) > 0
    assert not (run.case / "case.sqlite-wal").exists(), "the database was closed"


def test_seconds_of_samples_end_it_by_themselves(tmp_path: Path) -> None:
    with session("--source", "simulated", "--speed", "max", "--seconds", "5", data=tmp_path) as run:
        ear = begun(run, 0)
        assert run.wait() == 0 and run.stderr == ""
        assert re.search(
            r"\n00:05 lost 0 \| left_median 1\d sweeps .*right_median 1\d sweeps .*\n.* --verify .*\n$",
            run.stdout,
        )
        until(lambda: ear.listen() == [], "the last messages")
        assert ear.of("status")[-1].header["samples"] == 20_000
        ear.close()
        closed_whole(run)


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    with session("--speed", "4", data=tmp_path) as run, begun(run) as ear:
        assert len(run.pids) == 2
        run.process.terminate()
        assert run.wait() == 0 and run.stderr == ""
        ear.listen()
        assert ear.of("status")[-1].header["recording"]["path"] == str(run.case)
        closed_whole(run)


def test_ctrl_c_ends_it_cleanly_and_the_page_was_there(tmp_path: Path) -> None:
    http = f"127.0.0.1:{free_block(1)}"

    def page() -> Any:
        try:
            with urllib.request.urlopen(f"http://{http}/", timeout=5) as answer:
                return answer.read()
        except OSError:
            return b""

    with session("--speed", "4", data=tmp_path, http=http) as run, begun(run):
        assert b"<html" in until(page, "the page").lower()
        run.children()
        assert len(run.pids) == 3
        os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does: to all of them
        assert run.wait() == 0 and run.stderr == ""
        assert f"page http://{http}/" in run.stdout
        closed_whole(run)


@pytest.mark.control("H16.5")
def test_without_their_supervisor_the_processes_end_by_themselves(tmp_path: Path) -> None:
    with session("--speed", "4", data=tmp_path) as run:
        begun(run).close()
        assert len(run.pids) == 2
        run.process.kill()
        at_once_s = 8.0  # a host that only lost its edge would wait for ten
        until(lambda: all(gone(pid) for pid in run.pids), "the children to end", at_once_s)
        closed_whole(run)


def serving(run: Session) -> int:
    """The process that serves, a child of the one that keeps it."""
    keeper = run.child("hostd")
    (pid,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return int(pid)


def killed_and_back(run: Session, ear: Ear, pid: int) -> None:
    """`pid` is killed; wait until the same case goes on under another start of the host."""
    before = ear.heard[-1].header
    os.kill(pid, signal.SIGKILL)
    back = ear.until(
        lambda m: m.topic == "status" and m.header["boot"] != before["boot"] and m.header["samples"] > 0,
        "another host",
    )
    assert back.header["case"] == before["case"] and back.header["lost_samples"] == 0
    ear.until(lambda m: m.topic == "beat" and m.header["index"] > before["index"] + 4000, "samples")


def test_hosts_that_are_killed_are_followed_by_others_in_the_same_case(tmp_path: Path) -> None:
    with session("--speed", "4", data=tmp_path) as run:
        ear = begun(run, 24_000)
        killed_and_back(run, ear, serving(run))
        killed_and_back(run, ear, run.child("hostd"))
        ear.close()
        run.children()
        run.process.terminate()
        assert run.wait() == 0
        assert run.stderr.splitlines() == [
            "evokd: the host was killed by signal 9; another one takes up its case",
            "evokd: the host process was killed by signal 9; it is started anew",
        ]
        closed_whole(run)
        assert len(segment_paths(run.case)) == 3
        with Replay(run.case) as replay:
            equal, line = verdict(run.case, replay.messages(), replay.end_index)
            assert equal and "checkpoint" not in line, line


def test_an_edge_that_is_killed_is_started_anew_and_taken_back(tmp_path: Path) -> None:
    with session("--speed", "4", data=tmp_path) as run:
        ear = begun(run)
        os.kill(run.child("firmware"), signal.SIGKILL)
        anew = ear.until(lambda m: m.topic == "event" and "started anew" in m.header["text"], "another edge")
        assert "the edge was started anew" in anew.header["text"]
        ear.until(lambda m: m.topic == "beat" and m.header["index"] > anew.header["index"] + 4000, "samples")
        ear.close()
        run.children()
        run.process.terminate()
        assert run.wait() == 0
        assert run.stderr == "evokd: the edge process was killed by signal 9; it is started anew\n"
        closed_whole(run)


@pytest.mark.control("H1.6")
def test_a_link_that_breaks_and_comes_back_loses_no_sample_and_restarts_no_stimulus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[EdgeLink] = []
    connect = EdgeLink.open

    def remembered(link: EdgeLink, wanted: Any) -> Any:
        opened.append(link)
        return connect(link, wanted)

    monkeypatch.setattr(EdgeLink, "open", remembered)
    with LiveHost(data=tmp_path) as host, Ear(host.bus) as ear:
        ear.until(lambda m: m.topic == "sweep.left_median", "a sweep")
        opened[0].close()
        back = "link: the link broke and came back; stimulation was stopped"
        fault = ear.until(lambda m: m.topic == "event" and m.header["text"] == back, "its return").header
        faults = [m.header["text"] for m in ear.of("event") if m.header["kind"] == "fault"]
        assert faults == ["link: the link broke; stimulation was stopped", back], (
            "told at once, not when it is over"
        )
        status = ear.until(
            lambda m: m.topic == "status" and m.header["index"] > fault["index"] + 4000, "samples again"
        ).header
        assert len(opened) == 2 and status["link"]["connected"] is True
        assert set(status["tests"].values()) == {"stopped"} and status["lost_samples"] == 0
        assert [f for f in status["faults"] if f.startswith("link: ")]
        before = len(ear.of("stim"))
        host.ok("test.start", test="left_median")
        until(lambda: ear.listen() is not None and len(ear.of("stim")) > before, "stimuli when asked for")


def test_recording_off_leaves_nothing(tmp_path: Path) -> None:
    with LiveHost(speed=None, seconds=2.0) as host:
        host.join()
        assert host.failure is None
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_written_stops_no_monitoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = threading.Event()

    def write(store: Any) -> None:
        rows: list[Any] = []
        while not store._gather(rows):
            if broken.is_set():
                store._keep(OSError("no space left on device"))
            rows.clear()

    monkeypatch.setattr("hostd.store.Store._write", write)
    with LiveHost(data=tmp_path) as host, Ear(host.bus) as ear:
        ear.until(lambda m: m.topic == "average.left_median", "an average")
        broken.set()
        status = ear.until(lambda m: m.topic == "status" and m.header["faults"], "the fault told").header
        (fault,) = status["faults"]
        assert fault.startswith("recording: ") and "no space left on device" in fault
        later = ear.until(
            lambda m: m.topic == "average.left_median" and m.header["index"] > status["index"],
            "averages all the same",
        )
        again = ear.until(
            lambda m: m.topic == "status" and m.header["index"] > later.header["index"], "status", True
        )
        assert again.header["faults"] == [fault], "told once"
        host.ok("case.close")
        host.join()
        assert "no space left on device" in str(host.failure)
    (case,) = tmp_path.iterdir()
    assert records(case) > 0


@pytest.mark.control("H16.5")
@pytest.mark.parametrize("method", ["feed", "prove", "command"])
def test_an_unexpected_error_in_processing_ends_the_host_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    whole = getattr(Pipeline, method)
    calls = iter(range(1000))

    def fails(pipeline: Pipeline, *args: Any) -> Any:
        if next(calls) >= 5:
            raise ZeroDivisionError("division by zero")
        return whole(pipeline, *args)

    monkeypatch.setattr(Pipeline, method, fails)
    with LiveHost(data=tmp_path) as host:
        if method == "command":
            host.ok("mark", text="the fifth command")
            assert host.error("mark", text="the sixth") == ("bad_state", "the case has ended")
        host.join()
        assert str(host.failure) == "processing stopped: ZeroDivisionError('division by zero')"
        assert host.failure is not None and host.failure.exit_code == 1
    (case,) = tmp_path.iterdir()
    assert records(case) > 0, "the recording was closed"
