"""A case whose host dies goes on: nothing is lost that the edge still holds, nothing is counted twice, and
the whole of it is replayed to the bit, wherever the host died and whatever it had kept."""

import json
import random
import sqlite3
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostd import checkpoints, fingerprint, resume
from hostd.audit_check import check
from hostd.outgoing import event
from hostd.replay import Replay
from hostd.segments import opened, segment_paths
from hostd.store import Store, read_rows, reading
from hostd.store_marks import marks
from hw.link import Stimulus
from hw.link import Timebase as Report
from hw.recording import RecordingReader
from hw.samples import Gap, SampleBlock
from tests.support import strict_bdf
from tests.support.interrupted import EDGE, Given, Host, case, given, taken_up

CASE, DESCRIPTION = case()
CASE_RECORD_BYTES = 3 * (200 * 13 + 100)
"""0.1 s at 2 kSPS of twelve channels and trigger bits, and 300 bytes of annotations."""


@pytest.fixture(scope="module")
def all_given() -> list[Given]:
    return given(CASE)


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Memory that outlives a host, of this test alone."""
    folder = tmp_path / "memory"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    return folder / "checkpoints"


def before(all_given: list[Given], seconds: float) -> list[Given]:
    """What an edge had given by then."""
    end = seconds * DESCRIPTION.rate_hz
    blocks = [k for k, g in enumerate(all_given) if isinstance(g, SampleBlock) and g.end_index <= end]
    return all_given[: max(blocks) + 1]


def begun(data: Path, all_given: list[Given], seconds: float, remembered_s: float | None) -> Host:
    """A host that runs until then, and has kept in mind what it knew at `remembered_s`."""
    host = Host(data, CASE, DESCRIPTION)
    host.start()
    host.not_yet()
    if remembered_s is not None:
        host.give(before(all_given, remembered_s - 0.1))
        host.remember()
    early = len(before(all_given, remembered_s - 0.1)) if remembered_s is not None else 0
    host.give(before(all_given, seconds)[early:])
    return host


def test_what_was_asked_behind_the_last_sample_on_file_comes_before_what_is_asked_later(
    tmp_path: Path, all_given: list[Given]
) -> None:
    host = begun(tmp_path / "data", all_given, 4.05, 2.0)
    host.command("mark", text="first", kind="note")
    index = host.index
    path = host.died()
    again, _ = taken_up(tmp_path / "data", CASE, DESCRIPTION)
    assert again is not None and again.resumed is not None and again.resumed.on_file.end < index
    again.command("mark", text="second", kind="note")
    again.give(all_given)
    again.closed()
    marks = read_rows(path / "case.sqlite", "SELECT sample, text FROM events WHERE kind = 'note'")
    assert [text for _, text in marks] == ["first", "second"] and marks[0][0] == index
    verified(path)


def samples(path: Path) -> tuple[int, int]:
    """Samples on file, and gaps named among them."""
    with opened(segment_paths(path)) as (first, *further):
        blocks = list(RecordingReader(first, further=further).blocks(2000))
    return sum(len(b.counts) for b in blocks), sum(g.length for b in blocks for g in b.gaps)


def verified(path: Path) -> str:
    """What `evokd replay --verify` says, which must be: equal."""
    with Replay(path) as replay:
        equal, line = fingerprint.verdict(path, replay.messages(), replay.end_index)
    assert equal, line
    assert check(path).why == ""
    return line


@pytest.mark.control("H9.9")
@pytest.mark.parametrize("seed", range(5))
def test_wherever_hosts_die_the_case_is_one_and_is_replayed_to_the_bit(
    seed: int, tmp_path: Path, all_given: list[Given]
) -> None:
    dice = random.Random(seed)
    data = tmp_path / "data"
    host = begun(data, all_given, dice.uniform(3.0, 7.0), dice.uniform(1.0, 2.5))
    deaths = dice.randint(1, 2)
    for _ in range(deaths):
        host.lose_commits()
        host.give(before(all_given, host.index / DESCRIPTION.rate_hz + dice.uniform(0.2, 0.8)))
        died_at = host.index
        assert host.died() == data / "case"
        again, why = taken_up(data, CASE, DESCRIPTION)
        assert again is not None and why == ""
        host = again
        assert host.resumed is not None and host.resumed.remembered is not None
        assert died_at - 0.2 * DESCRIPTION.rate_hz <= host.resumed.on_file.end <= died_at
        if dice.random() < 0.5:
            host.not_yet()
        host.give(before(all_given, died_at / DESCRIPTION.rate_hz + dice.uniform(0.5, 3.0)))
    host.give(all_given)
    path = host.closed()
    assert [p.name for p in data.iterdir()] == ["case"]
    end = max(g.end_index for g in all_given if isinstance(g, SampleBlock))
    n, lost = samples(path)
    assert (n, lost) == (end, 0)
    assert "equal" in verified(path) and "last checkpoint" not in verified(path)
    faults = read_rows(path / "case.sqlite", "SELECT text FROM events WHERE kind = 'fault'")
    assert len(faults) == deaths and all("started anew; 0 samples" in text for (text,) in faults)
    proofs = read_rows(path / "case.sqlite", "SELECT command, number, pulse FROM stimuli")
    assert len(set(proofs)) == len(proofs) == sum(isinstance(g, Stimulus) for g in all_given)
    for segment in segment_paths(path):
        strict_bdf.check(segment)
    assert len(segment_paths(path)) == deaths + 1
    assert not list(path.glob("*.state")) and not (path / "edge.json").exists(), (
        "a case that is over is not kept in mind"
    )


def test_what_was_known_goes_on_as_if_nobody_had_died(tmp_path: Path, all_given: list[Given]) -> None:
    lone, torn = (begun(tmp_path / name, all_given, 6.0, 4.0) for name in ("lone", "torn"))
    for host in (lone, torn):
        host.command("mark", text="clip on", kind="surgeon")
    torn.give(before(all_given, 6.2))
    lone.give(before(all_given, 9.0)[len(before(all_given, 6.0)) :])
    torn.died()
    again, _ = taken_up(tmp_path / "torn", CASE, DESCRIPTION)
    assert again is not None
    again.give(before(all_given, 9.0))
    assert again.index == lone.index

    def averages(host: Host) -> list[tuple[int, bytes]]:
        told = [m for m in host.bus.said if m.topic == "average.left_median"]
        return [(m.index, np.asarray(m.fields["mean_uv"]).tobytes()) for m in told]

    alone, together = averages(lone), averages(again)
    assert len(together) > 8 and together[1:] == alone[-len(together) + 1 :]
    marks = [m for m in again.bus.said if m.topic == "event" and m.fields["kind"] == "surgeon"]
    assert [m.fields["text"] for m in marks] == ["clip on"]
    said = []
    for segment in segment_paths(again.closed()):
        with segment.open("rb") as file:
            said += [a.text for a in RecordingReader(file).annotations if a.text == "clip on"]
    assert len(said) <= 1, "what stands beside the samples already is not written there again"


def test_what_the_edge_no_longer_holds_is_a_gap_with_a_name(tmp_path: Path, all_given: list[Given]) -> None:
    host = begun(tmp_path / "data", all_given, 4.0, 2.0)
    host.died()
    again, _ = taken_up(tmp_path / "data", CASE, DESCRIPTION)
    assert again is not None
    late = all_given[len(before(all_given, 9.5)) :]
    first = next(g for g in late if isinstance(g, SampleBlock))
    assert again.resumed is not None
    missing = first.first_index - again.resumed.on_file.end
    gap = Gap(again.resumed.on_file.end, missing, "overflow")
    again.give([replace(g, gaps=(gap,)) if g is first else g for g in late])
    path = again.closed()
    _, lost = samples(path)
    assert lost == missing > 5 * 2000, "too long to be filled"
    assert [p.name for p in segment_paths(path)] == ["raw.bdf", "raw-0002.bdf"]
    (text,) = next(iter(read_rows(path / "case.sqlite", "SELECT text FROM events WHERE kind = 'fault'")))
    assert f"{missing} samples ({missing / 2000:.1f} s) are missing" in text
    verified(path)


def test_a_host_that_dies_after_its_recording_was_closed_leaves_filler_that_has_a_name(
    tmp_path: Path, all_given: list[Given]
) -> None:
    host = begun(tmp_path / "data", all_given, 4.05, 2.0)
    host.folder.close_raw()
    path = host.died()
    again, _ = taken_up(tmp_path / "data", CASE, DESCRIPTION)
    assert again is not None and again.resumed is not None
    on_file = again.resumed.on_file
    assert on_file.told < on_file.end <= on_file.told + 200
    again.give(all_given)
    again.closed()
    n, lost = samples(path)
    assert lost == on_file.end - on_file.told and n + lost == max(
        g.end_index for g in all_given if isinstance(g, SampleBlock)
    )
    assert read_rows(path / "case.sqlite", "SELECT sample, length, reason FROM gaps") == [
        (on_file.told, lost, "file")
    ]
    verified(path)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_without_a_checkpoint_all_is_computed_anew(tmp_path: Path, all_given: list[Given]) -> None:
    host = begun(tmp_path / "data", all_given, 5.0, None)
    path = host.died()
    again, why = taken_up(tmp_path / "data", CASE, DESCRIPTION)
    assert again is not None and "computed anew" in why
    again.give(all_given)
    again.closed()
    verified(path)
    assert len(read_rows(path / "case.sqlite", "SELECT 1 FROM events WHERE kind = 'test.start'")) == 3


def test_memory_that_went_with_the_machine_leaves_the_checkpoint_on_disk(
    tmp_path: Path, all_given: list[Given], memory: Path
) -> None:
    data = tmp_path / "data"
    host = begun(data, all_given, 5.0, 3.0)
    path = host.died()
    for file in (memory / "case").iterdir():
        file.unlink()
    (on_disk,) = path.glob("resume-*.state")
    again, why = taken_up(data, CASE, DESCRIPTION)
    assert again is not None and why == "" and again.resumed is not None
    assert again.resumed.begins > 5000
    again.died()
    for file in (memory / "case").iterdir():
        file.unlink()
    damage(on_disk)
    _, why = taken_up(data, CASE, DESCRIPTION)
    assert "does not match its CRC" in why and "computed anew" in why


def test_a_checkpoint_whose_place_in_the_record_never_came_to_file_is_passed_over(
    tmp_path: Path, all_given: list[Given]
) -> None:
    host = begun(tmp_path / "data", all_given, 5.0, 2.0)
    host.remember()
    host.give(before(all_given, 6.0)[len(before(all_given, 5.0)) :])
    path = host.died()
    with sqlite3.connect(path / "case.sqlite") as database:
        database.execute("DELETE FROM checkpoints WHERE n = (SELECT max(n) FROM checkpoints)")
    again, _ = taken_up(tmp_path / "data", CASE, DESCRIPTION)
    assert again is not None and again.resumed is not None
    assert again.resumed.begins < 5000
    again.give(all_given)
    again.closed()
    verified(path)


def test_a_checkpoint_of_samples_that_are_not_on_file_is_passed_over_and_forgotten(
    tmp_path: Path, all_given: list[Given], memory: Path
) -> None:
    host = begun(tmp_path / "data", all_given, 5.0, 2.0)
    host.remember()
    host.give(before(all_given, 6.0)[len(before(all_given, 5.0)) :])
    path = host.died()
    with (path / "raw.bdf").open("r+b") as file:  # what a power cut takes with it
        file.truncate(file.seek(0, 2) - 20 * CASE_RECORD_BYTES)
    again, _ = taken_up(tmp_path / "data", CASE, DESCRIPTION)
    assert again is not None and again.resumed is not None
    assert again.resumed.begins < again.resumed.on_file.end < 5 * 2000
    assert {file.name for file in (memory / "case").iterdir()} == {"1.state"}
    again.give(all_given)
    verified(again.closed())


def test_the_last_pulses_of_a_dead_host_do_not_clear_the_alert_that_it_died(
    tmp_path: Path, all_given: list[Given]
) -> None:
    proof = next(g for g in all_given if isinstance(g, Stimulus) and g.seen > 4 * 2000)
    begun(tmp_path / "data", all_given, (proof.seen - 40) / 2000, 2.0).died()
    again, _ = taken_up(tmp_path / "data", CASE, DESCRIPTION)
    assert again is not None and again.resumed is not None
    assert again.resumed.on_file.end <= proof.seen < again.resumed.on_file.end + 0.5 * 2000
    again.give(before(all_given, proof.seen / 2000 + 0.5))
    (alert,) = (a for a in again.processing._pipeline.alerts.open if a.kind == "stimulus")
    assert "the host was started anew" in alert.text and alert.state == "raised"


def test_suspicions_of_the_past_fire_nothing_now(tmp_path: Path, all_given: list[Given]) -> None:
    begun(tmp_path / "data", all_given, 3.0, 2.0).died()
    again, _ = taken_up(tmp_path / "data", CASE, DESCRIPTION)
    assert again is not None
    fired: list[str] = []
    again.processing.on_replicate = fired.append
    again.processing._heed(event(1, "replicate", "replicate", "auto", test="left_mep"))
    assert fired == []
    again.give(before(all_given, 4.0))
    again.processing._heed(event(1, "replicate", "replicate", "auto", test="left_mep"))
    assert fired == ["left_mep"]


def test_times_on_record_stay_on_the_first_clock(
    tmp_path: Path, all_given: list[Given], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "PLAYED", ())
    path = begun(tmp_path / "data", all_given, 3.0, 2.0).died()
    aged(path, 200.0)
    again, _ = taken_up(tmp_path / "data", CASE, DESCRIPTION, EDGE + 1)
    assert again is not None and again.resumed is not None
    assert again.resumed.ahead_ns == pytest.approx(200e9, abs=1e9)
    again.folder.fitted(Report(6000, 10**12, 5e5, 0.0, 0.0, 0.0, 0, 1))
    again.closed()
    rows = read_rows(path / "case.sqlite", "SELECT t_ns FROM timebase WHERE sample = 6000")
    assert rows == [(10**12 + again.resumed.ahead_ns,)]


def test_the_database_goes_back_to_where_it_was_and_keeps_what_it_was_told(tmp_path: Path) -> None:
    def filled(store: Store, word: str, sample: int) -> None:
        store.put("events", sample, 0, "note", "", word, "", "{}")
        store.put("gaps", sample, 1, word)
        store.put("commands", sample, sample, word, "{}", 0)
        store.replace("ledger", "a-1", word, sample, 0, *[None] * 7, "[]")

    path = tmp_path / "case.sqlite"
    store = Store(path)
    filled(store, "before", 1)
    store.mark(7, 10)
    filled(store, "after", 12)
    store.replace("ledger", "a-2", "new", 12, 0, *[None] * 7, "[]")
    store.mark(8, 20)
    store.close()
    with reading(path) as database:
        found = marks(database)
    assert {n: mark.sample for n, mark in found.items()} == {7: 10, 8: 20}
    Store(path, (found[7], 12)).close()
    assert read_rows(path, "SELECT text FROM events") == [("before",)]
    assert read_rows(path, "SELECT alert, test FROM ledger") == [("a-1", "before")]
    assert read_rows(path, "SELECT reason FROM gaps") == [("before",)]
    assert read_rows(path, "SELECT name FROM commands") == [("before",), ("after",)]
    assert read_rows(path, "SELECT n FROM checkpoints") == [(7,)]


def test_an_edge_that_came_just_before_the_death_is_known(tmp_path: Path, all_given: list[Given]) -> None:
    host = begun(tmp_path / "data", all_given, 3.0, 2.0)
    host.lose_commits()
    host.folder.edge(EDGE + 1, 77, 5)
    path = host.died()
    again, why = taken_up(tmp_path / "data", CASE, DESCRIPTION, EDGE + 1)
    assert again is not None and again.resumed is not None, why
    assert again.resumed.same_edge and (again.resumed.edge.shift, again.resumed.edge.offset_ns) == (77, 5)
    again.died()
    (path / "edge.json").write_text('["x", null]')
    assert "a simulated one begins anew" in taken_up(tmp_path / "data", CASE, DESCRIPTION, EDGE + 1)[1]


def test_a_case_that_was_closed_is_over(tmp_path: Path, all_given: list[Given]) -> None:
    begun(tmp_path / "data", all_given, 2.0, 1.0).closed()
    assert taken_up(tmp_path / "data", CASE, DESCRIPTION) == (None, "")


@pytest.mark.control("H13.1")
def test_another_case_file_another_box_or_another_edge_of_a_simulation_is_another_case(
    tmp_path: Path, all_given: list[Given]
) -> None:
    begun(tmp_path / "data", all_given, 3.0, 2.0).died()
    other = replace(CASE, text=CASE.text + "\n# changed\n")
    assert taken_up(tmp_path / "data", other, DESCRIPTION)[1].endswith("its case file is another one")
    louder = replace(DESCRIPTION, lsb_uv=tuple(2 * lsb for lsb in DESCRIPTION.lsb_uv))
    assert taken_up(tmp_path / "data", CASE, louder)[1].endswith("its lsb_uv was another one")
    why = taken_up(tmp_path / "data", CASE, DESCRIPTION, EDGE + 1)[1]
    assert why.endswith("its edge is gone, and a simulated one begins anew")


def aged(path: Path, seconds: float) -> None:
    """The case as if its clock had been read so much earlier."""
    with sqlite3.connect(path / "case.sqlite") as database:
        index, t_ns, utc = json.loads(
            database.execute("SELECT value FROM settings WHERE key = 'anchor'").fetchone()[0]
        )
        row = json.dumps([index, t_ns, utc - round(seconds * 1e9)])
        database.execute("UPDATE settings SET value = ? WHERE key = 'anchor'", (row,))
        database.execute("UPDATE settings SET value = '{}' WHERE key = 'clocks'")


@pytest.mark.parametrize(
    ("seconds", "is_taken_up"), [(-1800, True), (200, True), (700, False), (-7200, False)]
)
def test_with_another_edge_a_case_goes_on_for_ten_minutes(
    seconds: float, is_taken_up: bool, tmp_path: Path, all_given: list[Given], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edge was started anew too: the machine was. Its clock may have lost up to an hour."""
    monkeypatch.setattr(resume, "PLAYED", ())
    path = begun(tmp_path / "data", all_given, 3.0, 2.0).died()
    aged(path, seconds)
    host, why = taken_up(tmp_path / "data", CASE, DESCRIPTION, EDGE + 1)
    assert (host is not None) == is_taken_up, why
    assert is_taken_up or "minutes old" in why


def test_a_wall_clock_that_was_set_ends_no_case(
    tmp_path: Path, all_given: list[Given], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Host and edge died on a machine that goes on: its own clock tells how long ago."""
    monkeypatch.setattr(resume, "PLAYED", ())
    begun(tmp_path / "data", all_given, 3.0, 2.0).died()
    hour_ns, now_ns = 3_600_000_000_000, time.time_ns
    monkeypatch.setattr(resume.time, "time_ns", lambda: now_ns() + hour_ns)
    host, why = taken_up(tmp_path / "data", CASE, DESCRIPTION, EDGE + 1)
    assert host is not None, why


def test_a_case_that_another_host_records_is_left_alone(tmp_path: Path, all_given: list[Given]) -> None:
    host = begun(tmp_path / "data", all_given, 3.0, 2.0)
    assert resume.interrupted(tmp_path / "data", CASE, DESCRIPTION, EDGE) == (None, "")
    host.closed()


def test_a_case_that_cannot_be_read_costs_a_line(tmp_path: Path, all_given: list[Given]) -> None:
    path = begun(tmp_path / "data", all_given, 3.0, 2.0).died()
    (path / "case.sqlite").write_bytes(b"no database" * 1000)
    host, why = taken_up(tmp_path / "data", CASE, DESCRIPTION)
    assert host is None and why.startswith("case cannot be taken up: ") and "\n" not in why


@pytest.mark.control("H2.8")
def test_desks_know_again_what_ran_at_which_rate_and_how_much_was_given(
    tmp_path: Path, all_given: list[Given]
) -> None:
    host = begun(tmp_path / "data", all_given, 2.0, 1.0)
    host.command("test.rate", test="left_median", rate_hz=3.9, period=513)
    host.command("test.stop", test="left_mep")
    lead: dict[str, Any] = {"command_id": 1, "first_index": 0, "last_index": 1, "frequency_hz": 31.25}
    measured = host.index
    host.command("impedance.result", **lead, current_na=24, board=None, leads=[])
    host.give(before(all_given, 3.0)[len(before(all_given, 2.0)) :])
    host.died()
    again, _ = taken_up(tmp_path / "data", CASE, DESCRIPTION)
    assert again is not None and again.resumed is not None
    desk = again.resumed.desk
    assert set(desk.running) == {"left_median", "tof"} and desk.rates == {"left_median": 3.9}
    assert desk.checked_at == measured
    pulses = [g for g in before(all_given, 3.0) if isinstance(g, Stimulus)]
    assert desk.pulses == Counter((p.command, p.line) for p in pulses)
    assert checkpoints.memory_folder() is not None


@pytest.mark.control("H16.8")
def test_memory_that_others_can_write_is_not_trusted(memory: Path) -> None:
    assert checkpoints.memory_folder() == memory
    memory.chmod(0o770)
    assert checkpoints.memory_folder() is None
    memory.rmdir()
    memory.symlink_to(memory.parent)
    assert checkpoints.memory_folder() is None
