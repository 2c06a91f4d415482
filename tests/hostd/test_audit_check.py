"""`evokd audit`: a case as it was written holds; whatever is changed in it is found, and where."""

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostd.audit import COLUMNS, Head, first_head
from hostd.audit_check import Report, check
from hostd.cli import main
from hostd.errors import RecordingError, UsageError
from hostd.recorder import Recorder
from hostd.store import Store, reading
from hw.limits import RETURN_WITHIN_SAMPLES
from hw.samples import Gap, SampleBlock

ROOT = Path(__file__).parents[2]
START = datetime(2026, 11, 23, 17, 4, 9, tzinfo=UTC)
RATE_HZ, N_SAMPLES, HELD = 1000.0, 5000, 4
GAP = Gap(2000, 300, "link")


@dataclass(frozen=True)
class Pulse:
    """One pulse, as log, proofs and samples have it when nothing is wrong."""

    seen: int | None
    line: int = 1
    number: int = 1
    logged: bool = True
    proven: bool = True
    in_samples: bool = True

    @property
    def fields(self) -> dict[str, Any]:
        told = {"plan": self.line, "command": 7, "number": self.number, "pulse": 1, "line": self.line}
        commanded = 100 if self.seen is None else self.seen - 1
        named = {"test": "left_median", "site": "left wrist", "current_ma": None}
        return told | named | {"commanded": commanded, "seen": self.seen}

    @property
    def row(self) -> tuple[int, ...]:
        f = self.fields
        seen = -1 if self.seen is None else self.seen
        return (f["plan"], f["command"], f["number"], f["line"], f["commanded"], seen, f["pulse"])


PULSES = tuple(
    Pulse(seen, line, number)
    for number, first in enumerate(range(100, 4900, 200), 1)
    for seen, line in ((first, 1), (first + 50, 2), (first + 50, 8))
    if not GAP.index <= first <= GAP.index + GAP.length
)


def record(
    folder: Path,
    pulses: Iterable[Pulse],
    closed: bool = True,
    gap: Gap | None = None,
    segment_s: float = 600.0,
) -> None:
    """The samples of a case; `closed` False leaves the file as a killed recorder does."""
    bits = np.zeros(N_SAMPLES, np.uint8)
    for p in pulses:
        if p.in_samples and p.seen is not None:
            bits[p.seen : p.seen + HELD] |= 1 << (p.line - 1)
    head = (["CP3"], RATE_HZ, [0.1], [0.0], "gain 24", folder.name, START)
    recorder = Recorder(folder / "raw.bdf", *head, segment_s=segment_s)
    for first in range(0, N_SAMPLES, 100):
        gaps: tuple[Gap, ...] = ()
        if gap is not None and gap.index <= first < gap.index + gap.length:
            continue
        if gap is not None and first == gap.index + gap.length:
            gaps = (gap,)
        counts = np.full((100, 1), 7, np.int32)
        recorder.append(SampleBlock(first, counts, bits[first : first + 100], gaps=gaps))
    if closed:
        recorder.close()
    else:
        recorder._file.abandon()


def kill(store: Store) -> None:
    """Write what is queued and go, without a word."""
    store._rows.put(None)
    store._thread.join()
    store._database.close()


def write(
    folder: Path,
    pulses: Iterable[Pulse] = PULSES,
    *,
    closed: bool = True,
    gap: Gap | None = None,
    source: str = "simulated",
    samples: bool = True,
    segment_s: float = 600.0,
) -> Path:
    """A whole case with these pulses."""
    folder.mkdir()
    pulses = tuple(pulses)
    if samples:
        record(folder, pulses, closed, gap, segment_s)
    store = Store(folder / "case.sqlite")
    store.setting("case", folder.name)
    store.setting("source", source)
    store.audit("tech", "test.start", {"args": {"test": "left_median"}}, 0)
    for p in pulses:
        if p.proven:
            store.put("stimuli", *p.row)
        if p.logged:
            store.audit("edge", "pulse", p.fields, p.seen or 0)
    store.audit("tech", "mark", {"args": {"text": "dura opened; \N{MICRO SIGN}V"}}, 4000)
    if closed:
        store.close()
    else:
        kill(store)
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case that nothing is wrong with; for reading only."""
    return write(tmp_path_factory.mktemp("data") / "20261123-170409-00000001")


def copied(good: Path, to: Path) -> Path:
    shutil.copytree(good, to)
    return to


def change(case: Path, *statements: str) -> None:
    with sqlite3.connect(case / "case.sqlite") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def said(report: Report) -> list[str]:
    return [*report.lines]


def test_a_whole_case_holds_line_by_line(good: Path) -> None:
    report = check(good)
    n = len(PULSES)
    assert report.why == "" and report.broken_n is None and report.closed and report.head_matches
    assert (report.entries, report.pulses, report.edges, report.not_judged) == (n + 3, n, n, 0)
    assert said(report) == [
        f"audit: {n + 3} entries, chain whole, head matches, closed",
        f"pulses: {n} logged, {n} in the samples, one to one",
        "samples: 50 records match their CRC",
    ]


def test_large_numbers_are_grouped() -> None:
    report = Report(1204, True, True, 1560, 2, 1558, 3)
    assert said(report) == [
        "audit: 1,204 entries, chain whole, head matches, closed",
        "pulses: 1,560 logged (2 never seen), 1,558 in the samples, one to one, 3 not judged",
    ]


def test_a_copied_case_under_another_name_holds_but_a_moved_chain_does_not(
    good: Path, tmp_path: Path
) -> None:
    assert check(copied(good, tmp_path / "copy")).why == ""
    other = write(tmp_path / "20261123-170409-00000002", ())
    change(
        other,
        f"ATTACH '{good / 'case.sqlite'}' AS good",
        "DELETE FROM audit",
        "INSERT INTO audit SELECT * FROM good.audit",
        "UPDATE settings SET value = (SELECT value FROM good.settings WHERE key = 'audit_head') "
        "WHERE key = 'audit_head'",
    )
    report = check(other)
    assert report.broken_n == 1 and "does not follow from the case's id" in report.why


@pytest.mark.control("H6.1")
def test_every_random_tampering_with_the_database_is_found_at_its_place(good: Path, tmp_path: Path) -> None:
    r = random.Random(1)
    path = copied(good, tmp_path / "case") / "case.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=DELETE")
    pristine = path.read_bytes()
    with reading(path) as database:
        written = {row[0]: row for row in database.execute("SELECT * FROM audit")}
    tampered = 0
    while tampered < 320:
        path.write_bytes(pristine)
        statement = tampering(r, len(written))
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA synchronous=OFF")
            changed = database.execute(statement).rowcount
        database.close()
        with reading(path) as database:
            now = {row[0]: row for row in database.execute("SELECT * FROM audit")}
        differ = [n for n in now.keys() | written.keys() if now.get(n) != written.get(n)]
        differ = [n for n in differ if n > 0] or differ
        report = check(path.parent)
        if not differ and "settings" not in statement:
            assert report.why == "", statement
            continue
        tampered += 1
        assert report.why and changed and not report.lines, statement
        assert report.broken_n == min(differ, default=len(written)), (statement, report)


def tampering(r: random.Random, n: int) -> str:
    """One statement that changes audit or head; a few change nothing."""
    at, column = r.randint(1, n), r.choice(COLUMNS[1:])
    hostile = ("detail || ' '", "upper(detail)", "CAST(detail AS BLOB)", "CAST(X'ff' AS TEXT)", "''", "1.5")
    hostile += (
        "'{}'",
        "utc_ns + 1",
        "sample",
        "-1",
        f"(SELECT {column} FROM audit WHERE n = {r.randint(1, n)})",
    )
    match r.randrange(9):
        case 0 | 1 | 2:
            return f"UPDATE audit SET {column} = {r.choice(hostile)} WHERE n = {at}"
        case 3:
            return f"UPDATE audit SET n = {r.choice((0, -2, n + 1, n + 9, 1 << 40))} WHERE n = {at}"
        case 4:
            return f"DELETE FROM audit WHERE n = {at}"
        case 5:
            return f"DELETE FROM audit WHERE n {r.choice(('>', '<'))} {at}"
        case 6:
            new = r.choice((0, n + 1, n + 2, -5))
            copy = ", ".join(COLUMNS[1:])
            return f"INSERT INTO audit SELECT {new}, {copy} FROM audit WHERE n = {at}"
        case 7:
            head = r.choice((Head(n - 3, "x"), Head(n, "0" * 64), Head(n, "")))
            return f"UPDATE settings SET value = '{head.as_json()}' WHERE key = 'audit_head'"
        case _:
            return r.choice(("DELETE FROM settings WHERE key = 'audit_head'", "DELETE FROM audit"))


def test_one_lost_tail_is_told_in_numbers(good: Path, tmp_path: Path, capsys: Any) -> None:
    case = copied(good, tmp_path / "case")
    n = len(PULSES) + 3
    change(case, f"DELETE FROM audit WHERE n > {n - 3}")
    assert main(["audit", str(case)]) == 1
    out, err = capsys.readouterr()
    missing = f"the last entries are missing: head says n = {n}, the table ends at {n - 3}"
    assert out == "" and err == f"evokd: {case}: audit: removed at n = {n - 2}: {missing}\n"


@pytest.mark.control("H6.2")
@pytest.mark.parametrize("closed", [True, False])
def test_a_pulse_that_is_not_everywhere_is_named(tmp_path: Path, closed: bool) -> None:
    at = 30
    p = PULSES[at]
    assert p.seen is not None
    wrong = {
        "unlogged": (
            replace(p, logged=False, proven=False),
            f"the samples show one at sample {p.seen} on line 1",
        ),
        "invented": (
            replace(p, in_samples=False),
            f"the one at sample {p.seen} on line 1 (entry n = {at + 2})",
        ),
        "unproven": (replace(p, proven=False), f"at sample {p.seen} on line 1 (plan 1, command 7, number"),
        "unwritten": (replace(p, logged=False), f"at sample {p.seen} on line 1 (plan 1, command 7, number"),
    }
    for name, (pulse, line) in wrong.items():
        case = write(tmp_path / name, (*PULSES[:at], pulse, *PULSES[at + 1 :]), closed=closed)
        report = check(case)
        assert report.why.startswith("pulses: ") and line in report.why, name
        assert report.broken_n == (None if not pulse.logged else at + 2)
        assert len(report.lines) == 1 and report.lines[0].startswith("audit: ")


def test_moved_doubled_and_swapped_pulses_are_named_by_the_first_sample(tmp_path: Path) -> None:
    p = PULSES[30]
    assert p.seen is not None
    moved = replace(p, seen=p.seen - 1, in_samples=False)
    there = replace(p, logged=False, proven=False)
    cases = {
        "moved": ((moved, there), f"sample {p.seen - 1} on line 1 (entry"),
        "twice": ((p, p), f"sample {p.seen} on line 1 (entry"),
        "other line": (
            (replace(p, line=3, in_samples=False), there),
            f"sample {p.seen} on line 1 that is not",
        ),
    }
    for name, (pulses, line) in cases.items():
        report = check(write(tmp_path / name, (*PULSES[:30], *pulses, *PULSES[31:])))
        assert line in report.why, (name, report.why)


def test_a_pulse_that_never_came_back_needs_no_edge_but_a_row(tmp_path: Path) -> None:
    never = Pulse(None, 1, 99)
    report = check(write(tmp_path / "a", (*PULSES, never)))
    assert report.why == "" and report.never_seen == 1 and "(1 never seen)" in report.lines[1]
    unproven = check(write(tmp_path / "b", (*PULSES[:3], replace(never, proven=False), *PULSES[3:])))
    assert "the pulse never seen on line 1" in unproven.why and unproven.broken_n == 5


def test_what_a_gap_hides_is_counted_not_judged(tmp_path: Path) -> None:
    end = GAP.index + GAP.length
    hidden = (Pulse(GAP.index + 20, 3, 1), Pulse(GAP.index + 20, 3, 2, logged=False, proven=False))
    behind = Pulse(end, 4, 1)  # high in the first sample behind the gap
    held = Pulse(end - 2, 5, 1, logged=False, proven=False)  # still high there, its edge lost
    late = Pulse(end + RETURN_WITHIN_SAMPLES, 6, 1, logged=False, proven=False)
    report = check(write(tmp_path / "a", (*PULSES, *hidden, behind, held, late), gap=GAP))
    assert report.why == "" and report.not_judged == 4
    for name, pulse in {
        "low": replace(behind, in_samples=False),
        "later": replace(late, seen=end + RETURN_WITHIN_SAMPLES + 1),
        "before": replace(late, seen=GAP.index - 1),
    }.items():
        report = check(write(tmp_path / name, (*PULSES, pulse), gap=GAP))
        assert f"sample {pulse.seen} on line {pulse.line}" in report.why, name


def test_pulses_outside_the_samples_and_a_line_high_at_the_start_are_not_judged(tmp_path: Path) -> None:
    outside = (Pulse(N_SAMPLES, 1, 91, in_samples=False), Pulse(0, 3, 92, logged=False, proven=False))
    report = check(write(tmp_path / "a", (*PULSES, *outside)))
    assert report.why == "" and report.not_judged == 2


def test_a_recording_that_is_played_has_pulses_that_nobody_commanded(tmp_path: Path) -> None:
    foreign = [replace(p, logged=False, proven=False) for p in PULSES]
    played = check(write(tmp_path / "a", foreign, source="file"))
    assert played.why == "" and played.not_judged == len(PULSES) and "is a recording" in played.lines[-1]
    assert "that is not in the audit" in check(write(tmp_path / "b", foreign)).why


def test_a_killed_case_holds_with_a_remark_and_its_last_moments_are_not_judged(tmp_path: Path) -> None:
    last = PULSES[-1]
    tail = (replace(p, logged=False, proven=False) for p in PULSES[-12:])
    torn = replace(last, logged=False)
    for name, pulses, unjudged in (
        ("whole", PULSES, 0),
        ("samples ahead", (*PULSES[:-12], *tail), 12),
        ("one table ahead", (*PULSES[:-1], torn), 2),
        ("log ahead", (*PULSES, Pulse(N_SAMPLES + 5, 2, 77, in_samples=False)), 1),
    ):
        report = check(write(tmp_path / name, pulses, closed=False))
        assert report.why == "" and not report.closed and report.not_judged == unjudged, name
        assert "not closed: the case was killed" in report.lines[0]
        if name in ("samples ahead", "one table ahead"):
            assert check(write(tmp_path / f"{name}, closed", pulses)).why


KILLED = """
import sys, time
from pathlib import Path
from hostd.store import Store
store = Store(Path(sys.argv[1]) / "case.sqlite")
store.setting("case", Path(sys.argv[1]).name)
k = 0
while True:
    k += 1
    store.audit("tech", "mark", {"k": k}, k)
    time.sleep(0.001)
"""


def test_a_process_that_is_killed_leaves_a_chain_that_holds(tmp_path: Path) -> None:
    case = tmp_path / "case"
    case.mkdir()
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(case)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 30
        while (
            time.monotonic() < deadline and _entries(case) < 100
        ):  # a case being recorded can be checked too
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    report = check(case)
    assert report.why == "" and report.entries >= 100 and report.edges is None and not report.closed
    assert "no samples to compare with" in report.lines[1]


def _entries(case: Path) -> int:
    try:
        report = check(case)
    except (UsageError, RecordingError):  # not made yet
        return 0
    assert report.why == ""
    return report.entries


def test_a_case_killed_before_its_first_entry_holds_but_an_emptied_one_does_not(tmp_path: Path) -> None:
    case = tmp_path / "case"
    case.mkdir()
    kill(Store(case / "case.sqlite"))
    assert check(case).why == "" and check(case).entries == 0
    change(case, "DELETE FROM settings")
    assert "the settings have no head" in check(case).why


def test_stimuli_with_another_column_or_other_values(good: Path, tmp_path: Path) -> None:
    case = copied(good, tmp_path / "a")
    change(case, "ALTER TABLE stimuli ADD COLUMN later INTEGER")
    assert check(case).why == ""
    case = copied(good, tmp_path / "before")  # recorded before there were trains
    change(case, "ALTER TABLE stimuli DROP COLUMN pulse")
    assert check(case).why == ""
    for name, value in (("b", "seen + 0.5"), ("c", "NULL"), ("d", "'x'")):
        case = copied(good, tmp_path / name)
        change(case, f"UPDATE stimuli SET seen = {value} WHERE rowid = 3")
        with pytest.raises(RecordingError, match="no whole numbers"):
            check(case)


@pytest.mark.parametrize(
    "detail", [{}, {"seen": 1}, {"seen": True}, {"line": 9}, {"plan": "1"}, {"number": 1 << 70}, {"seen": -7}]
)
def test_an_entry_that_is_no_pulse_is_named(tmp_path: Path, detail: dict[str, object]) -> None:
    case = tmp_path / "case"
    case.mkdir()
    store = Store(case / "case.sqlite")
    store.audit(
        "edge", "pulse", Pulse(5).fields | detail if len(detail) and detail != {"seen": 1} else detail, 0
    )
    store.close()
    report = check(case)
    assert report.broken_n == 1 and "entry n = 1 is no record of a pulse" in report.why


def refusal(capsys: Any, case: Path) -> tuple[int, str]:
    code = main(["audit", str(case)])
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("evokd: ")
    return code, err


def test_the_command_line_says_it_all_in_lines(good: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["audit", str(good)]) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.splitlines() == said(check(good))
    case = write(tmp_path / "case", (*PULSES[:-1], replace(PULSES[-1], in_samples=False)))
    assert main(["audit", str(case)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == said(check(case))[:1] and err == f"evokd: {case}: {check(case).why}\n"


def test_what_is_no_case_is_exit_2(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        code, line = refusal(capsys, path)
        assert code == 2 and "is no case: it has no case.sqlite" in line


OLD = "CREATE TABLE audit (utc_ns INTEGER, actor TEXT, action TEXT, detail TEXT)"


@pytest.mark.parametrize(
    ("statements", "line"),
    [
        (("DROP TABLE audit", OLD), "was recorded before the audit had a chain"),
        (("DROP TABLE audit",), "has no audit table"),
        (("ALTER TABLE audit DROP COLUMN hash",), "its audit table has the columns"),
        (("DROP TABLE settings",), "no such table: settings"),
        (("DROP TABLE stimuli",), "no such table: stimuli"),
    ],
)
def test_other_databases_are_one_line(
    good: Path, tmp_path: Path, capsys: Any, statements: tuple[str, ...], line: str
) -> None:
    case = copied(good, tmp_path / "case")
    change(case, *statements)
    code, err = refusal(capsys, case)
    assert code == 1 and line in err


@pytest.mark.parametrize("name", ["case.sqlite", "raw.bdf"])
def test_damaged_files_are_one_line(good: Path, tmp_path: Path, capsys: Any, name: str) -> None:
    case = copied(good, tmp_path / "case")
    (case / name).write_bytes(b"garbage " * 200)
    code, err = refusal(capsys, case)
    assert code == 1 and name in err


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good case in three segments; for reading only."""
    return write(tmp_path_factory.mktemp("data") / "case", segment_s=2.0, gap=GAP)


def spoil(path: Path, record: int) -> None:
    """A bit turned over in the middle of a record."""
    data = bytearray(path.read_bytes())
    record_bytes = 3 * (100 + 100 + 100)
    data[256 * 4 + record * record_bytes + 150] ^= 1
    path.write_bytes(data)


def test_segments_are_audited_as_one_recording(segmented: Path) -> None:
    report = check(segmented)
    assert (report.why, report.remarks, report.records) == ("", (), 50)
    assert report.edges == len(PULSES) and report.not_judged == 0


@pytest.mark.control("H6.4")
def test_the_first_record_that_is_not_what_was_written_is_named_with_its_time(
    segmented: Path, tmp_path: Path, capsys: Any
) -> None:
    case = copied(segmented, tmp_path / "case")
    for name, number in (("raw-0003.bdf", 2), ("raw-0002.bdf", 19), ("raw-0002.bdf", 7)):
        spoil(case / name, number)
    code, err = main(["audit", str(case)]), capsys.readouterr().err
    where = "record 7 of raw-0002.bdf (from sample 2700, 2.7 s of acquisition, 17:04:11 UTC)"
    assert code == 1
    assert f"samples: {where} is not what was written: its CRC does not match, 2 in all" in err


def test_a_segment_that_is_missing_or_short_is_named(segmented: Path, tmp_path: Path, capsys: Any) -> None:
    case = copied(segmented, tmp_path / "case")
    data = (case / "raw-0002.bdf").read_bytes()
    (case / "raw-0002.bdf").write_bytes(data[:-901])
    code, err = main(["audit", str(case)]), capsys.readouterr().err
    assert code == 1 and "samples: raw-0002.bdf has 18 of 20 records" in err
    (case / "raw-0002.bdf").unlink()
    code, err = main(["audit", str(case)]), capsys.readouterr().err
    assert code == 1 and "samples: raw-0002.bdf is missing" in err


def test_what_no_crc_speaks_of_is_a_remark(segmented: Path, tmp_path: Path) -> None:
    case = copied(segmented, tmp_path / "case")
    (case / "raw.crc").unlink()
    entries = (case / "raw-0002.crc").read_bytes()
    (case / "raw-0002.crc").write_bytes(entries[:-30])
    (case / "raw-0003.crc").write_bytes(entries)
    report = check(case)
    assert report.why.startswith("samples: record 0 of raw-0003.bdf"), "another segment's sidecar"
    (case / "raw-0003.crc").unlink()
    report = check(case)
    assert report.why == "" and report.records == 18
    assert report.remarks == (
        "20 records of raw.bdf have no CRC to hold them against",
        "2 records of raw-0002.bdf have no CRC to hold them against",
        "1 lines of the CRC sidecar of raw-0002.bdf are damaged",
        "10 records of raw-0003.bdf have no CRC to hold them against",
    )


def test_rows_lost_to_a_full_disk_are_a_remark(tmp_path: Path) -> None:
    case = tmp_path / "case"
    case.mkdir()
    store = Store(case / "case.sqlite")
    store.audit("evokd", "rows.lost", {"rows": 12}, -1)
    store.close()
    report = check(case)
    assert report.why == "" and report.remarks == (
        'rows were lost to a full disk, says entry n = 1: {"rows":12}',
    )


def test_a_case_id_that_is_no_text_is_taken_from_the_folder(good: Path, tmp_path: Path) -> None:
    case = copied(good, tmp_path / good.name)
    change(case, "UPDATE settings SET value = '{' WHERE key = 'case'")
    assert check(case).why == ""
    change(case, f"UPDATE settings SET value = '{json.dumps('x')}' WHERE key = 'case'")
    assert check(case).broken_n == 1
    assert first_head("x").n == 0
