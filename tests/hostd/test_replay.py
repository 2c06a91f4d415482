"""Replay: what was published live comes out again bit for bit; what was killed opens and goes on."""

import base64
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyedflib
import pytest

from hostd import casefile, schema
from hostd.audit_samples import check_all_records
from hostd.cli import main
from hostd.errors import RecordingError, UsageError
from hostd.replay import Replay
from hostd.store import read_rows
from hostd.wire import Message, pack_arrays
from hw.recording import RecordingReader
from tests.hostd.conftest import Live
from tests.support import strict_bdf
from tests.support.session import Bench, Ear, LiveHost, gone, session, until

CASE = casefile.procedure("median_ssep")
TESTS = [t.name for t in CASE.tests]
OF_THE_DAY = {"boot", "case", "t_ns", "utc_ns"}  # of that start, not of the samples
FAMILIES = (
    *("average", "measure", "sweep", "baseline", "stim", "event", "mains", "case", "plugs"),
    *("alert", "impedance", "ledger", "alarms"),  # on occasion
)

Said = dict[tuple[str, int], tuple[dict[str, Any], list[bytes]]]


def replayed(path: Path, *options: object, out: Path) -> Said:
    """What `evokd replay` writes, by topic and sequence number."""
    assert main(["replay", str(path), *map(str, options), "--out", str(out)]) == 0
    said: Said = {}
    for line in out.read_text().splitlines():
        m = json.loads(line)
        assert set(m) == {"topic", "header", "parts"}
        said[m["topic"], m["header"]["seq"]] = m["header"], [base64.b64decode(p) for p in m["parts"]]
    return said


def own(header: Any) -> dict[str, Any]:
    """What a replay must repeat of a header."""
    return {key: value for key, value in header.items() if key not in OF_THE_DAY}


def identical(heard: list[Message], said: Said) -> int:
    """Every message heard live is in the replay, bit for bit; how many."""
    compared = 0
    for m in heard:
        if m.topic.partition(".")[0] not in FAMILIES:
            continue
        header, parts = said[m.topic, m.header["seq"]]
        assert own(header) == own(m.header), (m.topic, m.header["seq"])
        assert parts == list(m.parts), (m.topic, m.header["seq"])
        compared += 1
    return compared


@pytest.fixture(scope="module")
def again(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Said:
    return replayed(live.case, out=tmp_path_factory.mktemp("again") / "replay.jsonl")


@pytest.mark.control("H14.8")
def test_a_session_with_commands_in_its_middle_replays_bit_for_bit(live: Live, again: Said) -> None:
    assert identical(live.heard, again) > 200
    for family in FAMILIES[:-4]:
        assert any(m.topic.startswith(family) for m in live.heard), family
    for topic in {m.topic for m in live.heard} & {topic for topic, _ in again}:
        assert max(seq for t, seq in again if t == topic) == live.of(topic)[-1].header["seq"], "and no more"


def test_times_are_those_of_the_case_to_the_microsecond(live: Live, again: Said) -> None:
    """Live, time follows the newest edge; in replay, the first one: they differ by the clock's own drift."""
    for m in live.of("average.left_median"):
        header, _ = again[m.topic, m.header["seq"]]
        # At full speed the box's own time runs on as samples do, so both agree to rounding.
        assert abs(header["t_ns"] - m.header["t_ns"]) < 2000
        assert abs(header["utc_ns"] - m.header["utc_ns"]) < 2000


def test_the_raw_file_alone_replays_with_every_test_from_its_start(
    live: Live, again: Said, tmp_path: Path
) -> None:
    for name in ("raw.bdf", "case.toml"):
        shutil.copy(live.case / name, tmp_path)
    alone = replayed(tmp_path, out=tmp_path / "out")
    sweeps = {
        (t, h["trigger_index"]): (h["reason"], p) for (t, _), (h, p) in alone.items() if t[:5] == "sweep"
    }
    known = [(t, h, p) for (t, _), (h, p) in again.items() if t[:5] == "sweep"]
    assert len(sweeps) >= len(known) > 50  # more by those that a stop cut short
    for topic, header, parts in known:
        assert sweeps[topic, header["trigger_index"]] == (header["reason"], parts)
    first_command = 7_000
    for (topic, seq), (header, parts) in again.items():
        if topic.startswith(("average", "measure")) and header["index"] < first_command:
            assert alone[topic, seq][1] == parts and own(alone[topic, seq][0]) == own(header)
    assert all(h["command_id"] is None and h["verified"] for (t, _), (h, _) in alone.items() if t == "stim")
    started = [h["text"] for (t, _), (h, _) in alone.items() if t == "event" and h["kind"] == "test.start"]
    assert started == [f"test.start {name}" for name in TESTS]
    from_file = replayed(tmp_path / "raw.bdf", out=tmp_path / "out2")
    assert from_file == alone, "the file itself may be named as well as its directory"


def test_a_case_recorded_at_a_rate_that_is_refused_now_replays(live: Live, tmp_path: Path) -> None:
    shutil.copytree(live.case, tmp_path / "case")
    toml = tmp_path / "case" / "case.toml"
    toml.write_text(toml.read_text().replace("rate_hz = 2.692", "rate_hz = 5"))
    with pytest.raises(UsageError, match="locked to mains"):
        casefile.load(toml)
    with Replay(tmp_path / "case") as replay:
        assert any(m.topic.startswith("average.") for m in replay.messages())


def test_the_same_case_named_is_the_same_replay(live: Live, again: Said, tmp_path: Path) -> None:
    (tmp_path / "same.toml").write_text(CASE.text)
    assert replayed(live.case, "--case", tmp_path / "same.toml", out=tmp_path / "out") == again


def test_the_past_can_be_averaged_anew_in_another_band(live: Live, again: Said, tmp_path: Path) -> None:
    other = CASE.text.replace('side = "left"', 'side = "left"\nband_hz = [30, 500]')
    (tmp_path / "other.toml").write_text(other)
    said = replayed(live.case, "--case", tmp_path / "other.toml", out=tmp_path / "out")
    left = {seq: value for (t, seq), value in said.items() if t == "sweep.left_median"}
    for seq, (header, parts) in left.items():
        before, was = again["sweep.left_median", seq]
        assert header["trigger_index"] == before["trigger_index"]
        assert parts != was or not header["accepted"]
    right = {key: value for key, value in said.items() if key[0] == "average.right_median"}
    assert right == {key: value for key, value in again.items() if key[0] == "average.right_median"}


def test_tests_of_other_names_run_from_the_start(live: Live, tmp_path: Path) -> None:
    (tmp_path / "renamed.toml").write_text(CASE.text.replace("[test.left_median]", "[test.left_arm]"))
    said = replayed(live.case, "--case", tmp_path / "renamed.toml", out=tmp_path / "out")
    assert ("average.left_arm", 1) in said and ("average.right_median", 1) in said
    (tmp_path / "all.toml").write_text(
        CASE.text.replace("[test.left_median]", "[test.a]").replace("[test.right_median]", "[test.b]")
    )
    said = replayed(live.case, "--case", tmp_path / "all.toml", out=tmp_path / "out")
    assert ("average.a", 1) in said and ("average.b", 1) in said


def test_a_baseline_that_another_case_cannot_set_is_left_out(live: Live, tmp_path: Path) -> None:
    strict = CASE.text.replace('side = "left"', 'side = "left"\nreject_uv = 1')
    (tmp_path / "strict.toml").write_text(strict)
    said = replayed(live.case, "--case", tmp_path / "strict.toml", out=tmp_path / "out")
    assert ("baseline.left_median", 1) not in said and ("baseline.right_median", 1) in said
    assert said["sweep.left_median", 5][0]["reason"] == "amplitude"


def test_playing_the_recording_through_a_whole_host_gives_the_same_sweeps(live: Live, tmp_path: Path) -> None:
    """`--source file:` shows what replay writes: the same sweeps on a live bus."""
    with (
        session("--source", f"file:{live.case}", "--speed", "max", data=tmp_path) as run,
        Ear(run.bus) as ear,
    ):
        until(lambda: ear.listen(50) is not None and run.process.poll() is not None, "the end")
        until(lambda: ear.listen(50) == [], "the last messages")
        assert run.wait() == 0 and run.stderr == ""
        assert f"{live.clock} lost 0" in run.stdout
        known = {
            (m.topic, m.header["trigger_index"]): list(m.parts) for t in TESTS for m in live.of(f"sweep.{t}")
        }
        shown = {
            (m.topic, m.header["trigger_index"]): list(m.parts) for m in ear.heard if m.topic[:5] == "sweep"
        }
        common = set(known) & set(shown)
        assert len(common) > 30
        assert all(known[key] == shown[key] for key in common)
        assert {m.header["source"] for m in ear.of("status")} == {"file"}


@pytest.mark.control("H9.4")
def test_a_killed_session_opens_after_repair_and_lost_no_two_seconds(tmp_path: Path, capsys: Any) -> None:
    with session("--speed", "max", data=tmp_path / "data") as run, Ear(run.bus) as ear:
        ear.until(lambda m: m.topic == "average.right_median" and m.header["n_sweeps"] >= 30, "30 sweeps")
        os.kill(run.process.pid, signal.SIGSTOP)  # or it would start another host
        os.kill(run.child("hostd"), signal.SIGKILL)
        until(lambda: ear.listen(20) == [], "the host to be dead")
        run.process.kill()
        run.process.wait()
        until(lambda: all(gone(pid) for pid in run.pids), "the edge to end")
        until(lambda: ear.listen(20) == [], "the last messages")
        case = run.case
    reached = max(m.header["index"] for m in ear.heard if m.topic in ("beat", "stim"))
    rate_hz = 4000
    with (case / "raw.bdf").open("rb") as file:
        assert RecordingReader(file, CASE.channels).header.n_records == -1
    assert main(["repair", str(case)]) == 0
    assert "whole records" in capsys.readouterr().out
    with (case / "raw.bdf").open("rb") as file:
        reader = RecordingReader(file, CASE.channels)
        assert reader.header.n_records == reader.n_records > 0
        assert reader.n_samples >= reached - 2 * rate_hz
    assert strict_bdf.check(case / "raw.bdf") == reader.n_records
    with pyedflib.EdfReader(str(case / "raw.bdf")) as edflib:
        assert edflib.getNSamples()[0] == reader.n_samples
    records = check_all_records(case)
    assert records.why == ""
    assert 0 <= reader.n_records - records.matching <= 1, "killed between a record and its CRC at worst"
    said = replayed(case, out=tmp_path / "out")
    recorded = [
        m
        for m in ear.heard
        if m.topic.partition(".")[0] in ("sweep", "average", "measure", "event")
        and m.header["index"] < reader.n_samples - rate_hz
    ]
    assert identical(recorded, said) > 100
    assert main(["repair", str(case)]) == 0
    assert "nothing to repair" in capsys.readouterr().out


def test_the_next_start_repairs_by_itself(tmp_path: Path, live: Live) -> None:
    killed = tmp_path / "data" / "killed"
    shutil.copytree(live.case, killed)
    raw = bytearray((killed / "raw.bdf").read_bytes())
    raw[236:244] = b"-1      "
    (killed / "raw.bdf").write_bytes(bytes(raw[:-1000]))
    with LiveHost(data=tmp_path / "data", speed=None, seconds=1.0) as host:
        host.join()
        assert host.failure is None
    with (killed / "raw.bdf").open("rb") as file:
        assert RecordingReader(file, CASE.channels).header.n_records > 0


def test_a_fault_at_the_edge_is_replayed_too(tmp_path: Path) -> None:
    source = Bench(8.0, None, 1)
    with LiveHost(source=source, data=tmp_path) as host, Ear(host.bus) as ear:
        host.arm("left_median")
        host.ok("test.start", test="left_median")
        ear.until(lambda m: m.topic == "sweep.left_median" and m.header["accepted"], "a sweep")
        source.wired = False
        ear.until(lambda m: m.topic == "event" and m.header["kind"] == "fault", "the fault")
        host.ok("case.close")
        host.join()
        ear.listen()
    (case,) = tmp_path.iterdir()
    said = replayed(case, out=tmp_path / "out")
    assert identical(ear.heard, said) > 5
    assert main(["replay", str(case), "--verify"]) == 0
    kinds = [h["kind"] for (t, _), (h, _) in said.items() if t == "event"]
    assert [k for k in kinds if k != "impedance"] == ["test.start", "fault", "test.stop"]
    ((alert, _),) = [
        message
        for (topic, _), message in said.items()
        if topic == "alert" and message[0]["kind"] != "storage"
    ]
    assert (alert["kind"], alert["priority"], alert["state"]) == ("stimulus", "high", "raised")
    assert [h["verified"] for (t, _), (h, _) in said.items() if t == "stim"][-1] is False
    ((text,),) = read_rows(case / "case.sqlite", "SELECT text FROM events WHERE kind = 'fault'")
    assert text.startswith("missing: ")


def test_replayed_headers_are_what_the_schema_says(again: Said) -> None:
    common = {"boot", "case"}
    for (topic, _), (header, _) in again.items():
        declared = set(schema.kind_of(topic).__struct_fields__)
        assert set(header) == declared - common, topic


def test_a_long_case_replays_in_linear_time(live: Live) -> None:
    """Proofs are taken as their samples come, not all at the start: none is left waiting at the end."""
    with Replay(live.case) as replay:
        held = []

        def watched() -> Iterator[int]:
            from hostd.pipeline import Pipeline

            prove = Pipeline.prove

            def counting(pipeline: Pipeline, stimulus: Any) -> Any:
                held.append(len(pipeline._pulses._proofs))
                return prove(pipeline, stimulus)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Pipeline, "prove", counting)
                yield from (pack_arrays(m.fields)[0].get("seq", 0) for m in replay.messages())

        list(watched())
    assert len(held) > 60 and max(held) < 16  # those of two seconds, read at once


def test_a_recording_cut_while_it_is_read_is_one_line(live: Live, tmp_path: Path) -> None:
    for name in ("raw.bdf", "case.toml"):
        shutil.copy(live.case / name, tmp_path)
    with Replay(tmp_path) as replay:
        messages = replay.messages()
        next(messages)
        os.truncate(tmp_path / "raw.bdf", 100_000)
        with pytest.raises(RecordingError) as caught:
            list(messages)
    assert "cut while being read" in str(caught.value) and "\n" not in str(caught.value)
