"""A case whose database or header is damaged: one line from every command, and no good record is lost."""

import contextlib
import io
import shutil
import sqlite3
from pathlib import Path

import pytest

from hostd import cli
from hostd.errors import RecordingError
from hostd.repair import repair, repair_all
from hw.recording import read_header
from tests.fuzz.good import closed, killed
from tests.fuzz.oracle import bounded


@pytest.fixture(scope="module")
def good_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a case in two segments, closed."""
    return closed(tmp_path_factory.mktemp("data"))


@pytest.fixture
def case(good_case: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(good_case, tmp_path / "case"))


def evokd(*words: object) -> tuple[int, str]:
    """Exit code and what was said on stderr."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = cli.main([str(word) for word in words])
    return code, err.getvalue()


def changed(case: Path, *orders: str) -> None:
    """Carry out SQL on its database."""
    with contextlib.closing(sqlite3.connect(case / "case.sqlite")) as database, database:
        for order in orders:
            database.execute(order)


DEEP = "printf('%.*c', 100000, '[')"


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ("UPDATE commands SET args = '[1]' WHERE n = 1", "table commands holds"),
        ("UPDATE commands SET args = NULL WHERE n = 1", "table commands holds"),
        (f"UPDATE commands SET args = {DEEP} WHERE n = 1", "table commands holds"),
        ("UPDATE commands SET sample = 'x' WHERE n = 1", "table commands holds"),
        ("UPDATE commands SET name = x'ff' WHERE n = 1", "table commands holds"),
        ("""UPDATE commands SET args = '{"test": 5}' WHERE n = 1""", "table commands holds"),
        ("""UPDATE commands SET args = '{"test": ["left_median"]}' WHERE n = 1""", "table commands holds"),
        ("""UPDATE commands SET args = '{"author": 5}' WHERE name = 'test.start'""", "is damaged"),
        ("UPDATE stimuli SET seen = NULL", "table stimuli holds"),
        ("UPDATE stimuli SET commanded = 'soon'", "table stimuli holds"),
        ("UPDATE stimuli SET line = 9", "table stimuli holds"),
        ("UPDATE settings SET value = 'x' WHERE key = 'anchor'", "setting anchor"),
        ("UPDATE settings SET value = '[]' WHERE key = 'anchor'", "setting anchor"),
        ("""UPDATE settings SET value = '[1, "x", {}]' WHERE key = 'anchor'""", "setting anchor"),
        (f"UPDATE settings SET value = {DEEP} WHERE key = 'anchor'", "setting anchor"),
        ("UPDATE settings SET value = '{}' WHERE key = 'filter_delay_samples'", "setting filter_delay"),
        ("UPDATE settings SET value = 'NaN' WHERE key = 'filter_delay_samples'", "setting filter_delay"),
        ("UPDATE timebase SET sample = 'x'", "table timebase holds"),
        ("UPDATE timebase SET t_ns = x'ff'", "table timebase holds"),
        ("UPDATE timebase SET ns_per_sample = NULL", "table timebase holds"),
    ],
)
def test_a_database_that_no_recorder_wrote_is_told_in_one_line(case: Path, order: str, says: str) -> None:
    if "NULL" in order or "x'ff'" in order:  # a table that would refuse it is made anew by who edits it
        table = order.split()[1]
        changed(case, f"CREATE TABLE fresh AS SELECT * FROM {table}", f"DROP TABLE {table}")
        changed(case, f"ALTER TABLE fresh RENAME TO {table}")
    changed(case, order)
    code, said = evokd("replay", case, "--out", case / "out.jsonl")
    assert code == 1 and says in said and "evokd audit" in said
    assert len(said.splitlines()) == 1


def test_a_setting_that_replay_does_not_read_does_not_keep_it_from_replaying(case: Path) -> None:
    changed(case, "UPDATE settings SET value = 'no JSON' WHERE key = 'name'")
    assert evokd("replay", case, "--out", case / "out.jsonl") == (0, "")


@pytest.mark.parametrize("topics", [DEEP, """'{"event": [Infinity, "x"]}'""", """'{"event": []}'"""])
def test_a_fingerprint_of_another_kind_is_told(case: Path, topics: str) -> None:
    changed(case, f"UPDATE fingerprints SET topics = {topics}")
    code, said = evokd("replay", case, "--verify")
    assert code == 2 and "its fingerprint cannot be read" in said and len(said.splitlines()) == 1


def test_a_setting_nested_without_end_does_not_keep_a_case_from_being_exported(case: Path) -> None:
    changed(case, f"UPDATE settings SET value = {DEEP} WHERE key = 'name'")
    assert evokd("export", case, "--to", "csv") == (0, "")


@pytest.mark.parametrize("utc_ns", [-(1 << 62), 0, 3_700_000_000_000_000_000])
def test_a_time_that_no_recording_can_have_is_told_by_an_export(case: Path, utc_ns: int) -> None:
    changed(case, f"UPDATE settings SET value = '[0, 0, {utc_ns}]' WHERE key = 'anchor'")
    changed(case, "DELETE FROM timebase")
    code, said = evokd("export", case, "--to", "edf")
    assert code == 1 and "after 1970" in said and len(said.splitlines()) == 1


def test_what_sqlite_quotes_of_a_damaged_file_cannot_move_the_cursor(case: Path) -> None:
    data = (case / "case.sqlite").read_bytes()
    (case / "case.sqlite").write_bytes(
        data.replace(b"CREATE TABLE readings (", b"CREATE TABLE readings \x1b")
    )
    code, said = evokd("export", case, "--to", "csv")
    assert code == 1 and "malformed database schema" in said and "\x1b" not in said


def test_an_identity_nested_without_end_is_told(case: Path) -> None:
    (case / "patient.toml").write_text("name = " + "[" * 20_000)
    code, said = evokd("identity", case, "name=Ann")
    assert code == 2 and "is no TOML" in said and len(said.splitlines()) == 1


def field(path: Path, offset: int, text: bytes) -> None:
    """Overwrite a field of a header."""
    data = bytearray(path.read_bytes())
    data[offset : offset + len(text)] = text
    path.write_bytes(data)


def samples_per_record(path: Path, signal: int) -> int:
    """Where the header of a file with four signals says it."""
    with path.open("rb") as file:
        n = len(read_header(file).signals)
    return 256 + n * 216 + 8 * signal


@pytest.mark.parametrize("name", ["raw.bdf", "raw-0002.bdf"])
@pytest.mark.parametrize("sidecar", [True, False])
@pytest.mark.parametrize(
    ("signal", "says"), [(0, b"200     "), (3, b"99999999"), (3, b"1       "), (2, b"101     ")]
)
def test_a_damaged_header_costs_no_sample_in_a_repair(
    good_case: Path, tmp_path: Path, name: str, sidecar: bool, signal: int, says: bytes
) -> None:
    path = killed(good_case, tmp_path / "case") / name
    if not sidecar:
        path.with_suffix(".crc").unlink()
    field(path, samples_per_record(path, signal), says)
    before = path.read_bytes()
    with pytest.raises(RecordingError, match=r"its header is damaged: .*; its samples are left"):
        repair(path)
    assert path.read_bytes() == before
    with contextlib.suppress(RecordingError):
        assert [bool(report.fault) for report in repair_all(path.parent)] == [False, True]
    assert path.read_bytes() == before


def test_a_header_that_tells_a_terabyte_allocates_none(good_case: Path, tmp_path: Path) -> None:
    path = killed(good_case, tmp_path / "case") / "raw-0002.bdf"
    path.with_suffix(".crc").unlink()
    with path.open("rb") as file:
        header = read_header(file)
    path.write_bytes(path.read_bytes()[: header.header_bytes + header.record_bytes // 2])
    signals = len(header.signals)
    for signal in range(signals):
        field(path, samples_per_record(path, signal), b"99999999")
    with bounded(more_bytes=1 << 29):
        assert repair(path).removed, "one record that was begun, of whatever length"


def test_a_record_damaged_in_its_middle_does_not_make_the_header_a_suspect(
    good_case: Path, tmp_path: Path
) -> None:
    path = killed(good_case, tmp_path / "case") / "raw-0002.bdf"
    path.with_suffix(".crc").unlink()
    with path.open("rb") as file:
        header = read_header(file)
    field(path, header.header_bytes, bytes(3 * header.record_bytes))
    assert repair(path).records == 19


def test_a_file_without_a_record_whose_sidecar_has_crcs_is_left_alone(
    good_case: Path, tmp_path: Path
) -> None:
    path = killed(good_case, tmp_path / "case") / "raw-0002.bdf"
    with path.open("rb") as file:
        header = read_header(file)
    path.write_bytes(path.read_bytes()[: header.header_bytes + header.record_bytes // 2])
    with pytest.raises(RecordingError, match="the sidecar has CRCs of some"):
        repair(path)
    assert path.exists() and path.with_suffix(".crc").exists()
