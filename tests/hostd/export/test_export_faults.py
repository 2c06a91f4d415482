"""Whatever is wrong is one line, says what to do, and leaves nothing half written."""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostd.cli import main
from hostd.errors import RecordingError, UsageError
from hostd.export import html, identity
from hostd.export.command import FORMS


def refused(capsys: Any, *words: object) -> tuple[int, str]:
    """Exit code and the one line on stderr."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("evokd: ")
    return code, said.err[7:-1]


def test_bad_words_are_one_line(recorded: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "there").touch()
    cases: tuple[tuple[tuple[object, ...], str], ...] = (
        ((tmp_path / "nowhere", "--to", "csv"), "nowhere is no case: it has no case.sqlite"),
        ((tmp_path, "--to", "html"), "is no case: it has no case.sqlite; name the directory of a case"),
        ((recorded, "--to", "nwb"), "invalid choice: 'nwb'"),
        ((recorded,), "the following arguments are required: --to"),
        ((recorded, "--to", "csv", "--test", "right_mep"), "it has left_median, left_mep, tof, emg, eeg"),
        ((recorded, "--to", "edf", "--test", "eeg"), "no averages of eeg are on file; nothing to export"),
        ((recorded, "--to", "bids", "--identity"), "--to bids never holds an identity; leave --identity out"),
        ((recorded, "--to", "html", "--identity"), "has no patient.toml; evokd identity"),
    )
    for words, told in cases:
        out = tmp_path / "out"
        code, line = refused(capsys, "export", *words, "--out", out)
        assert code == 2 and told in line, line
        assert not out.exists() and {p.name for p in tmp_path.iterdir()} == {"there"}


@pytest.mark.parametrize("to", FORMS)
def test_nothing_is_written_over(recorded: Path, tmp_path: Path, capsys: Any, to: str) -> None:
    out = tmp_path / "there"
    out.write_text("mine")
    code, line = refused(capsys, "export", recorded, "--to", to, "--out", out)
    assert code == 2 and line == f"{out} exists; remove it, or choose another --out"
    assert out.read_text() == "mine"


def test_where_nothing_can_be_written_is_one_line(recorded: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").touch()
    code, line = refused(capsys, "export", recorded, "--to", "csv", "--out", tmp_path / "file" / "out")
    assert (
        code == 2 and line == f"--out {tmp_path}/file/out: Not a directory; choose another place"
    ) or "exists" in line


def _garbage(case: Path) -> None:
    (case / "case.sqlite").write_bytes(b"\x00garbage" * 999)


def _another(case: Path) -> None:
    (case / "case.sqlite").unlink()
    with sqlite3.connect(case / "case.sqlite") as database:
        database.execute("CREATE TABLE of_something_else (x)")


def _sql(query: str) -> Callable[[Path], None]:
    def done(case: Path) -> None:
        with sqlite3.connect(case / "case.sqlite") as database:
            database.execute(query)

    return done


def _no_raw(case: Path) -> None:
    (case / "raw.bdf").unlink()


def _cut(case: Path) -> None:
    os.truncate(case / "raw.bdf", 1000)


def _no_toml(case: Path) -> None:
    (case / "case.toml").unlink()


BROKEN: dict[str, tuple[Callable[[Path], None], str, int, str]] = {
    "garbage": (_garbage, "html", 1, "the database is damaged or no case's, see evokd audit"),
    "another database": (_another, "csv", 2, "is no case's database: it has no settings"),
    "no raw": (_no_raw, "bdf", 1, "raw.bdf: No such file or directory; check the path"),
    "no raw for BIDS": (_no_raw, "bids", 1, "raw.bdf: No such file"),
    "raw cut in its header": (_cut, "bdf", 1, "the header is cut off"),
    "no case.toml": (_no_toml, "csv", 2, "case.toml: no such file"),
    "text for a number": (_sql("UPDATE gaps SET length = 'many'"), "html", 1, "table gaps: Expected `int`"),
    "broken header": (_sql("UPDATE averages SET header = '{'"), "edf", 1, "table averages, test left_median"),
    "cut average": (_sql("UPDATE averages SET mean_uv = x'00'"), "edf", 1, "has 1 bytes for"),
    "broken evidence": (
        _sql("UPDATE alerts SET evidence = '[1]'"),
        "html",
        1,
        "no JSON object; see evokd audit",
    ),
    "broken reading": (_sql("UPDATE readings SET header = 'x'"), "csv", 1, "table readings, "),
    "odd rate": (_sql("UPDATE settings SET value = '-3' WHERE key = 'rate_hz'"), "csv", 1, "rate_hz is -3"),
    "odd anchor": (_sql("UPDATE settings SET value = '[1]' WHERE key = 'anchor'"), "csv", 1, "settings: "),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_case_is_one_line_and_leaves_nothing(case: Path, capsys: Any, name: str) -> None:
    damage, to, expected, told = BROKEN[name]
    damage(case)
    before = {p.name for p in case.iterdir()}
    code, line = refused(capsys, "export", case, "--to", to)
    assert code == expected and told in line, line
    after = {p.name for p in case.iterdir()} - {"case.sqlite-wal", "case.sqlite-shm"}
    assert after - before <= {"export"} and not list((case / "export").glob("*")), "no half an export"


def test_a_full_disk_is_one_line_and_leaves_nothing(
    recorded: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(html, "page", full)
    code, line = refused(capsys, "export", recorded, "--to", "html", "--out", tmp_path / "out" / "r.html")
    assert code == 1 and line.endswith("cannot be written: No space left on device; nothing is left of it")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_export_leaves_nothing(
    recorded: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = signal.getsignal(number)

    def interrupted(*_: object) -> str:
        assert list(tmp_path.iterdir()), "it is being written"
        os.kill(os.getpid(), number)
        return ""

    monkeypatch.setattr(html, "page", interrupted)
    code, line = refused(capsys, "export", recorded, "--to", "html", "--out", tmp_path / "r.html")
    assert (code, line) == (1, "export interrupted; nothing is left of it")
    assert list(tmp_path.iterdir()) == [] and signal.getsignal(number) is before


def test_identity_is_checked(case: Path, capsys: Any) -> None:
    for word, told in (
        ("born=1961", "born is a date, as 1980-02-29"),
        ("born=2001-02-30", "born is a date"),
        ("sex=female", "sex is one of F, M, X"),
        ("surname=x", "'surname' is not one of name, id, born, sex, note"),
        ("name=a\nb", "name is one line of text"),
        (f"note={'x' * 201}", "200 characters at most"),
        ("name", "'name' is not key=value"),
    ):
        code, line = refused(capsys, "identity", case, word)
        assert code == 2 and told in line, line
        assert not (case / "patient.toml").exists()
    code, line = refused(capsys, "identity", case.parent, "name=x")
    assert code == 2 and "is no case" in line


def test_identity_goes_to_a_file_for_its_owner_alone_and_is_changed_there(case: Path, capsys: Any) -> None:
    names = ['Ann "the" \\ Lee', "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}"]
    assert main(["identity", str(case), f"name={names[0]}", "sex=F"]) == 0
    path = case / "patient.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr().out == f"{path}: name, sex\n", "what is known, not who"
    assert identity.read(case) == identity.Identity(name=names[0], sex="F")
    assert main(["identity", str(case), f"name={names[1]}", "sex=", "born=1961-05-04"]) == 0
    assert identity.read(case) == identity.Identity(name=names[1], born="1961-05-04")
    assert identity.read(case).edf_field() == "X X 04-MAY-1961 Zoe"


@pytest.mark.control("H13.2")
def test_an_identity_that_others_can_read_or_that_is_no_good_is_refused(case: Path) -> None:
    identity.write(case, {"name": "x"})
    path = case / "patient.toml"
    path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        identity.read(case)
    path.chmod(0o600)
    for text, told in (
        ("name = ", "is no TOML"),
        ("name = 3", "one line of text"),
        ("age = 'x'", "'age' is not"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=told):
            identity.read(case)


def test_identity_that_cannot_be_written_is_one_line(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordingError, match="No space left"):
        identity.write(case, {"name": "x"})
    assert not list(case.glob("*patient.toml*"))
