"""The store: on disk when closed, readable when killed, and one word about a disk that refuses."""

import json
import math
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostd import casefile
from hostd.alerts import Alerts
from hostd.audit import first_break, parse_head
from hostd.case_folder import CaseFolder, new_case_id
from hostd.errors import RecordingError
from hostd.ledger import Ledger
from hostd.outgoing import Outgoing, event
from hostd.store import Store, read_rows, reading
from hw.link import NOT_SEEN, Description, Stimulus
from hw.samples import Gap, SampleBlock
from tests.support.session import ROOT, until

CASE = casefile.procedure("median_ssep")
N = len(CASE.channels)
DESCRIPTION = Description("simulated", 4000.0, CASE.channels, (0.5,) * N, (0.0,) * N, -1.0, 2)


def test_rows_are_on_disk_when_closed(tmp_path: Path) -> None:
    store = Store(tmp_path / "case.sqlite")
    for k in range(1000):
        store.put("gaps", k, k + 1, "missed")
    store.setting("a", {"b": [1, None]})
    store.setting("a", "the last one counts")
    store.close()
    rows = read_rows(tmp_path / "case.sqlite", "SELECT * FROM gaps ORDER BY rowid")
    assert rows == [(k, k + 1, "missed") for k in range(1000)]
    settings = read_rows(tmp_path / "case.sqlite", "SELECT * FROM settings WHERE key != 'audit_head'")
    assert settings == [("a", '"the last one counts"')]


def test_rows_of_many_threads_all_arrive_in_each_ones_order(tmp_path: Path) -> None:
    store = Store(tmp_path / "case.sqlite")
    writers = [
        threading.Thread(target=lambda n=n: [store.put("gaps", k, n, "x") for k in range(300)])
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    store.close()
    rows = read_rows(tmp_path / "case.sqlite", "SELECT sample, length FROM gaps ORDER BY rowid")
    for n in range(4):
        assert [sample for sample, length in rows if length == n] == list(range(300))


def test_rows_that_keep_coming_do_not_put_off_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "case.sqlite"
    store = Store(path)
    done = threading.Event()

    def trickle() -> None:
        k = 0
        while not done.wait(0.02):
            store.put("gaps", k, 1, "x")
            k += 1

    writer = threading.Thread(target=trickle)
    writer.start()
    try:
        until(lambda: len(read_rows(path, "SELECT * FROM gaps")) > 5, "rows while rows come", 2.0)
    finally:
        done.set()
        writer.join()
        store.close()


def test_a_row_that_is_waited_for_is_committed_at_once_with_all_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostd.store.COMMIT_EVERY_NS", 1 << 60)
    path = tmp_path / "case.sqlite"
    store = Store(path)
    store.put("gaps", 7, 1, "x")
    store.put("commands", 1, 7, "mark", "{}", 0, soon=True)
    until(lambda: read_rows(path, "SELECT n FROM commands") == [(1,)], "the command on file")
    assert read_rows(path, "SELECT sample FROM gaps") == [(7,)]
    store.close()


KILLED = """
import sys, time
from pathlib import Path
from hostd.store import Store
store = Store(Path(sys.argv[1]))
k = 0
while True:
    store.put("gaps", k, 1, "x")
    k += 1
    time.sleep(0.002)
"""


@pytest.mark.control("H9.4")
def test_a_killed_writer_leaves_a_readable_database(tmp_path: Path) -> None:
    path = tmp_path / "case.sqlite"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT)
    try:
        until(lambda: path.exists() and path.with_name("case.sqlite-wal").exists(), "the database")
        until(lambda: len(_gaps(path)) > 20, "rows on disk")
    finally:
        process.kill()
        process.wait()
    gaps = _gaps(path)
    assert gaps == [(k,) for k in range(len(gaps))] and len(gaps) > 20
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert read_rows(path, "PRAGMA journal_mode") == [("wal",)]


def _gaps(path: Path) -> list[tuple[Any, ...]]:
    try:
        return read_rows(path, "SELECT sample FROM gaps ORDER BY rowid")
    except RecordingError:  # not made yet
        return []


class Disk:
    """A database connection that refuses everything while `full`."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self._real = real
        self.full = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __enter__(self) -> Any:
        return self._real.__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self._real.__exit__(*error)

    def execute(self, *args: Any) -> Any:
        if self.full:
            self.refused += 1
            raise sqlite3.OperationalError("database or disk is full")
        return self._real.execute(*args)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[Disk]:
    """The disks behind the stores that are opened from now on."""
    opened: list[Disk] = []
    connect = sqlite3.connect

    def through_a_disk(*args: Any, **options: Any) -> Any:
        if options.get("uri"):
            return connect(*args, **options)
        opened.append(Disk(connect(*args, **options)))
        return opened[-1]

    monkeypatch.setattr("hostd.store.sqlite3.connect", through_a_disk)
    monkeypatch.setattr("hostd.store.COMMIT_EVERY_NS", 1_000_000)
    return opened


@pytest.mark.control("H9.5")
def test_a_full_disk_is_told_once_and_loses_nothing_once_there_is_room(
    tmp_path: Path, disk: list[Disk]
) -> None:
    path = tmp_path / "case.sqlite"
    store = Store(path)
    assert store.take_fault() is None
    disk[0].full = True
    faults: list[RecordingError] = []
    for k in range(5):
        refused = disk[0].refused
        store.put("gaps", k, 1, "x")
        until(lambda r=refused: disk[0].refused > r, "another try")
        fault = until(store.take_fault, "the fault") if k == 0 else store.take_fault()
        faults += [fault] if fault else []
    assert len(faults) == 1
    line = str(faults[0])
    assert str(path) in line and "disk is full" in line and "check disk space" in line and "\n" not in line
    disk[0].full = False
    store.put("gaps", 5, 1, "x")
    until(lambda: len(_gaps(path)) == 6, "all rows")
    assert store.take_fault() is None
    disk[0].full = True
    store.put("gaps", 6, 1, "x")
    until(store.take_fault, "new trouble, told anew")
    disk[0].full = False
    store.close()
    assert _gaps(path) == [(k,) for k in range(7)]


def test_a_disk_that_refuses_to_the_end_is_said_at_closing(tmp_path: Path, disk: list[Disk]) -> None:
    store = Store(tmp_path / "case.sqlite")
    disk[0].full = True
    store.put("gaps", 1, 1, "x")
    with pytest.raises(RecordingError, match="disk is full"):
        store.close()


def test_a_value_that_no_database_holds_does_not_end_the_writer(tmp_path: Path, disk: list[Disk]) -> None:
    store = Store(tmp_path / "case.sqlite")
    store.put("gaps", 1 << 70, 1, "x")
    assert "too large" in str(until(store.take_fault, "the fault"))
    with pytest.raises(RecordingError):
        store.close()


@pytest.mark.parametrize("obstacle", ["a directory", "garbage", "nowhere"])
def test_a_database_that_cannot_be_made_is_one_line(tmp_path: Path, obstacle: str) -> None:
    path = tmp_path / "case.sqlite"
    if obstacle == "a directory":
        path.mkdir()
    elif obstacle == "garbage":
        path.write_bytes(b"garbage " * 100)
    else:
        path = tmp_path / "none" / "case.sqlite"
    before = threading.active_count()
    for attempt in (lambda: Store(path), lambda: read_rows(path, "SELECT * FROM settings")):
        with pytest.raises(RecordingError) as caught:
            attempt()
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert threading.active_count() == before


@pytest.mark.control("H9.7")
def test_case_ids_sort_by_time_and_do_not_collide() -> None:
    ids = [new_case_id() for _ in range(50)]
    assert len(set(ids)) == 50 and [i[:15] for i in ids] == sorted(i[:15] for i in ids)


def block(first: int, n: int = 40, gaps: tuple[Gap, ...] = ()) -> SampleBlock:
    return SampleBlock(first, np.full((n, N), 7, np.int32), np.zeros(n, np.uint8), first, gaps)


def peak(**fields: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("latency_ms", "latency_ci_ms", "amplitude_uv", "amplitude_ci_uv", "change_pct"))
    return {"name": "N20", "derivation": "CP4-CP3", "present": False} | empty | fields


def test_a_case_is_three_files_with_everything_in_them(tmp_path: Path) -> None:
    folder = CaseFolder(tmp_path, "c1", CASE, DESCRIPTION)
    folder.anchor(39, 10, 1000)
    folder.append(block(0))
    folder.gaps(block(80, gaps=(Gap(40, 40, "missed"),)))
    folder.command(40, "test.start", {"test": "left_median", "author": ""})
    folder.command(80, "mark", {"text": "x", "kind": "note", "author": "me"})
    folder.stimulus(Stimulus(1, 2, 3, 1, 100, 101))
    folder.stimulus(Stimulus(1, 2, 4, 1, 200, NOT_SEEN))
    folder.audit("me", "opened", {"what": "case", "blob": b"\1", "level": math.nan}, 80)
    folder.pulse("edge", 101, {"line": 1, "seen": 101})
    folder.keep(event(5, "dura opened", "note", "me", values={"map_mmhg": 71.0}), 123)
    keep_alerts(folder)
    good = peak(present=True, latency_ms=20.5, latency_ci_ms=[20.0, 21.0], amplitude_uv=math.nan)
    folder.keep(Outgoing("measure.left_median", 90, {"peaks": [good, peak(name="N13")]}), 0)
    mean = np.arange(6, dtype=np.float32).reshape(3, 2)
    average = {"mean_uv": mean, "n_sweeps": 4, "final": True}
    folder.keep(Outgoing("average.left_median", 91, average), 0)
    folder.keep(Outgoing("average.left_median", 92, average | {"final": False}), 0)
    folder.keep(Outgoing("baseline.left_median", 93, average), 0)
    folder.last_average(Outgoing("average.right_median", 94, average | {"final": False}))
    folder.keep(Outgoing("sweep.left_median", 1, {}), 0)
    assert folder.take_fault() is None
    assert folder.recording["path"] == str(tmp_path / "c1") and folder.recording["bytes"] > 0
    folder.close()
    assert sorted(p.name for p in (tmp_path / "c1").iterdir()) == [
        "case.sqlite",
        "case.toml",
        "raw.bdf",
        "raw.crc",
    ]
    assert (tmp_path / "c1" / "case.toml").read_text() == CASE.text

    def rows(query: str) -> list[tuple[Any, ...]]:
        return read_rows(tmp_path / "c1" / "case.sqlite", query)

    settings = {key: json.loads(value) for key, value in rows("SELECT * FROM settings")}
    assert settings["anchor"] == [39, 10, 1000] and settings["rate_hz"] == 4000.0
    assert settings["channels"] == list(CASE.channels) and settings["case"] == "c1"
    assert rows("SELECT * FROM gaps") == [(40, 40, "missed")]
    assert [(n, sample, name) for n, sample, name, *_ in rows("SELECT * FROM commands")] == [
        (1, 40, "test.start"),
        (2, 80, "mark"),
    ]
    assert json.loads(rows("SELECT args FROM commands WHERE n = 2")[0][0])["text"] == "x"
    assert rows("SELECT commanded, seen FROM stimuli") == [(100, 101), (200, -1)]
    assert rows("SELECT sample, utc_ns, kind, author, text, test, numbers FROM events") == [
        (5, 123, "note", "me", "dura opened", "", '{"map_mmhg": 71.0}')
    ]
    states = [(1000, "raised", "focal"), (1300, "acknowledged", "focal"), (2000, "cleared", "focal")]
    assert rows("SELECT sample, state, cause FROM alerts") == states
    assert json.loads(rows("SELECT likelihood FROM alerts")[0][0]) == {"focal": 0.9}
    steps = "event, detected, confirmed, acknowledged, told, acted, recovered"
    assert rows(f"SELECT alert, test, {steps} FROM ledger") == [
        ("change-1", "left_median", 500, 1000, None, 1300, 1400, None, 2000)
    ], "one row an alert, the last state of it"
    assert json.loads(rows("SELECT notes FROM ledger")[0][0])[0]["text"] == "surgeon"
    measured = rows("SELECT test, peak, present, latency_ms, latency_low_ms, amplitude_uv FROM measurements")
    assert measured == [
        ("left_median", "N20", 1, 20.5, 20.0, None),
        ("left_median", "N13", 0, None, None, None),
    ]
    kept = rows("SELECT test, role, sample, header, mean_uv FROM averages")
    assert [(test, role, sample) for test, role, sample, *_ in kept] == [
        ("left_median", "average", 91),
        ("left_median", "baseline", 93),
        ("right_median", "last", 94),
    ]
    for *_, header, blob in kept:
        said = json.loads(header)
        assert np.frombuffer(blob, "<f4").reshape(said["shape"]).tolist() == mean.tolist()
    assert rows("SELECT n, sample, actor, action, detail FROM audit") == [
        (1, 80, "me", "opened", '{"blob":"01","level":null,"what":"case"}'),
        (2, 101, "edge", "pulse", '{"line":1,"seen":101}'),
        (3, 101, "evokd", "closed", '{"outcome":"ok"}'),
    ]
    assert chained(tmp_path / "c1" / "case.sqlite", "c1") == 3


def keep_alerts(folder: CaseFolder) -> None:
    """An alert from its raising to its end, as the pipeline tells it."""
    alerts, ledger = Alerts(), Ledger(100.0)
    evidence = {"index": 1000, "since_index": 500}
    raised = alerts.raise_(1000, "left_median", "change", "medium", "down", evidence, "focal", {"focal": 0.9})
    seen = alerts.acknowledge(1300, "change-1", "Ann")
    for message in [*raised, *seen]:
        for one in [message, *ledger.after(message)]:
            folder.keep(one, 0)
    folder.keep(ledger.note(1400, "change-1", "told", "surgeon", "Ann")[0], 0)
    (gone,) = alerts.clear(2000, "change", "left_median")
    for one in [gone, *ledger.after(gone)]:
        folder.keep(one, 0)


def test_recording_off_writes_nothing_and_says_so(tmp_path: Path) -> None:
    folder = CaseFolder(None, "c1", CASE, DESCRIPTION)
    folder.append(block(0))
    folder.command(0, "mark", {})
    folder.audit("me", "mark", {}, 0)
    folder.pulse("edge", 0, {})
    folder.keep(Outgoing("event", 5, {"text": "x", "kind": "note", "author": ""}), 0)
    folder.last_average(Outgoing("average.x", 1, {"mean_uv": np.ones(2)}))
    off = {"path": None, "bytes": 0, "state": "off", "waiting_s": 0.0, "lost_samples": 0, "fingerprint": None}
    assert folder.recording == off and folder.take_fault() is None
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_leaves_no_thread_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = threading.active_count()
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match=r"cannot be made: Not a directory; choose another --data"):
        CaseFolder(tmp_path / "file", "c1", CASE, DESCRIPTION)
    monkeypatch.setattr("hostd.case_folder.Store", _no_store)
    with pytest.raises(RecordingError, match="no room"):
        CaseFolder(tmp_path, "c2", CASE, DESCRIPTION)
    until(lambda: threading.active_count() == threads, "the recorder's thread to end")


def _no_store(path: Path, back_to: Any) -> None:
    raise RecordingError(f"{path}: no room")


def chained(path: Path, case_id: str) -> int:
    """How many audit entries a database holds; its chain is whole up to the head on file."""
    with reading(path) as database:
        (text,) = database.execute("SELECT value FROM settings WHERE key = 'audit_head'").fetchone()
        head = parse_head(text)
        assert first_break(lambda: database.execute("SELECT * FROM audit ORDER BY n"), case_id, head) is None
        assert head is not None
        return head.n


def test_audit_entries_of_many_threads_are_one_chain_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "case.sqlite"
    store = Store(path)
    writers = [
        threading.Thread(target=lambda n=n: [store.audit(f"w{n}", "mark", {"k": k}, k) for k in range(300)])
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    store.close()
    assert chained(path, tmp_path.name) == 1201
    rows = read_rows(path, "SELECT actor, sample, utc_ns FROM audit ORDER BY n")
    for n in range(4):
        assert [sample for actor, sample, _ in rows if actor == f"w{n}"] == list(range(300))
    assert rows == sorted(rows, key=lambda row: row[2]) and rows[-1][:2] == ("evokd", 299)


def test_the_head_is_on_file_before_and_with_every_entry(tmp_path: Path) -> None:
    path = tmp_path / "case.sqlite"
    store = Store(path)
    assert chained(path, tmp_path.name) == 0
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.001):
            store.audit("me", "mark", {}, 0)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {until(lambda: chained(path, tmp_path.name), "an entry")}
        until(lambda: seen.add(chained(path, tmp_path.name)) or len(seen) > 2, "more entries")
    finally:
        done.set()
        writer.join()
        store.close()


def test_a_chain_goes_on_from_the_head_on_file(tmp_path: Path) -> None:
    path = tmp_path / "case.sqlite"
    for k in range(3):
        store = Store(path)
        store.audit("me", "opened", {"k": k}, k)
        store.close()
    assert chained(path, tmp_path.name) == 6


def test_what_no_column_holds_does_not_end_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "case.sqlite"
    store = Store(path)
    store.audit("\ud800", "a\0b", {"\udfff": "\ud800"}, 1 << 70)
    store.audit("me", "mark", {}, -5)
    store.close()
    assert chained(path, tmp_path.name) == 3
    rows = read_rows(path, "SELECT sample, actor, action, detail FROM audit ORDER BY n")
    assert rows[0] == (-1, "?", "a\0b", '{"\\udfff":"\\ud800"}') and rows[1][0] == -1


def test_a_full_disk_breaks_no_chain_and_rows_it_costs_are_noted(
    tmp_path: Path, disk: list[Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostd.store.QUEUED_ROWS", 10)
    path = tmp_path / "case.sqlite"
    store = Store(path)
    disk[0].full = True
    for k in range(100):
        store.audit("me", "mark", {"k": k}, k)
    until(lambda: store._lost_rows > 0 and store._rows.empty(), "more rows than wait")
    disk[0].full = False
    store.close()
    n = chained(path, tmp_path.name)
    rows = read_rows(path, "SELECT action, detail FROM audit ORDER BY n")
    lost = sum(json.loads(detail)["rows"] for action, detail in rows if action == "rows.lost")
    kept = [json.loads(detail)["k"] for action, detail in rows if action == "mark"]
    assert lost > 0 and len(kept) + lost == 100 and kept[-1] == 99
    assert rows[-1][0] == "closed" and n == len(rows)


def test_a_disk_that_hangs_holds_up_nobody_and_what_it_costs_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("QUEUED_ROWS", 10), ("PATIENCE_S", 0.01), ("CLOSE_S", 0.02)):
        monkeypatch.setattr(f"hostd.store.{name}", value)
    entered, gate = threading.Event(), threading.Event()
    insert = Store._insert

    def hanging(store: Store, rows: Any) -> Any:
        entered.set()
        assert gate.wait(30)
        return insert(store, rows)

    path = tmp_path / "case.sqlite"
    store = Store(path)
    monkeypatch.setattr(Store, "_insert", hanging)
    store.audit("me", "mark", {"k": 0}, 0)
    assert entered.wait(30)
    for k in range(1, 100):
        store.audit("me", "mark", {"k": k}, k)
    assert "no more rows fit" in str(store.take_fault()) and store.take_fault() is None
    with pytest.raises(RecordingError, match=r"the disk has not answered for 0\.02 s"):
        store.close()
    gate.set()
    monkeypatch.setattr("hostd.store.CLOSE_S", 30.0)
    until(lambda: store._rows.empty() and store._unqueued == 0, "the rows that waited")
    store.close()
    rows = read_rows(path, "SELECT action, detail FROM audit ORDER BY n")
    lost = sum(json.loads(detail)["rows"] for action, detail in rows if action == "rows.lost")
    kept = [json.loads(detail)["k"] for action, detail in rows if action == "mark"]
    assert kept[:11] == list(range(11)) and len(kept) + lost >= 100
    assert chained(path, tmp_path.name) == len(rows)


def test_closing_writes_a_full_queue(tmp_path: Path) -> None:
    store = Store(tmp_path / "case.sqlite")
    for k in range(20_000):
        store.put("gaps", k, 1, "x")
    store.close()
    assert read_rows(tmp_path / "case.sqlite", "SELECT count(*) FROM gaps") == [(20_000,)]
