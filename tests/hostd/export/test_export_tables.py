"""CSV and BIDS: every row of the database, once, readable by others, and by BIDS's own rules."""

import csv
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyedflib
import pytest

from hostd.export.table_file import said, write_csv, write_tsv
from hostd.store import read_rows
from tests.support.recorded import CASE_ID, LOST

Export = Callable[..., Path]


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a file that is as RFC 4180 has it."""
    data = path.read_bytes()
    assert data.endswith(b"\r\n") and not data.startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, strict=True))
    assert {len(row) for row in rows} == {len(rows[0])}
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def count(case: Path, query: str) -> int:
    return int(read_rows(case / "case.sqlite", f"SELECT count(*) FROM {query}")[0][0])


def test_every_row_of_the_database_is_in_its_table(recorded: Path, export: Export) -> None:
    out = export("csv")
    tables = {path.stem: table(path) for path in out.iterdir()}
    same = {"measurements": "measurements", "events": "events", "alerts": "alerts", "gaps": "gaps"}
    same |= {"stimuli": "stimuli", "trains_of_four": "readings WHERE topic = 'tof'"}
    for name, query in same.items():
        assert len(tables[name]) == count(recorded, query) > 0, name
    assert len(tables["responses"]) == 2 * count(recorded, "readings WHERE topic = 'response.left_mep'")
    assert {row["lead"] for row in tables["impedances"]} == {"CP3+", "CP4+"}
    assert len(tables["eeg"]) > 2 * 9 * count(recorded, "readings WHERE topic = 'eeg'") - 1 > 0
    for name, rows in tables.items():
        for row in rows:
            moment = datetime.fromisoformat(row["utc"])
            assert float(row["time_s"]) == pytest.approx(int(row["sample"]) / 2000), name
            since = (moment - datetime.fromisoformat("2026-11-23T16:15:30.250Z")).total_seconds()
            assert since == pytest.approx(float(row["time_s"]), abs=0.002), name
    (gap,) = tables["gaps"]
    assert (int(gap["sample"]), int(gap["length_samples"]), gap["reason"]) == (
        LOST.index,
        LOST.length,
        "missed",
    )
    steps = [row["step"] for row in tables["ledger"] if row["alert_id"].startswith("stimulus")]
    assert steps == ["detected", "acknowledged", "recovered"]


def test_measurements_are_the_stored_numbers(recorded: Path, export: Export) -> None:
    rows = [row for row in table(export("csv") / "measurements.csv") if row["test"] == "left_median"]
    columns = "sample, peak, present, latency_ms, amplitude_high_uv"
    query = f"SELECT {columns} FROM measurements WHERE test = 'left_median'"
    for row, (sample, peak, present, latency_ms, high_uv) in zip(
        rows, read_rows(recorded / "case.sqlite", query), strict=True
    ):
        assert (int(row["sample"]), row["peak"], int(row["present"])) == (sample, peak, present)
        for text, value in ((row["latency_ms"], latency_ms), (row["amplitude_high_uv"], high_uv)):
            assert text == "" if value is None else float(text) == pytest.approx(value, rel=1e-9)
    assert any(row["present"] == "1" for row in rows)


def test_pulses_have_their_test_and_current(export: Export) -> None:
    by_test: dict[str, set[tuple[str, ...]]] = {}
    for row in table(export("csv") / "stimuli.csv"):
        by_test.setdefault(row["test"], set()).add(
            tuple(row[k] for k in ("current_ma", "current_known", "verified", "lag_samples"))
        )
    assert by_test == {
        "left_median": {("20", "1", "1", "1")},
        "left_mep": {("400", "1", "1", "1")},
        "tof": {("50", "1", "1", "1")},
    }


def test_one_test_alone(export: Export) -> None:
    out = export("csv", "--test", "left_mep")
    assert {row["test"] for row in table(out / "measurements.csv")} == {"left_mep"}
    assert not (out / "eeg.csv").exists() and not (out / "trains_of_four.csv").exists()


@pytest.mark.control("H16.6")
def test_what_a_person_wrote_is_no_formula(export: Export) -> None:
    texts = [row["text"] for row in table(export("csv") / "events.csv")]
    assert "'=1+1; <b>clip on</b> & \N{GREEK SMALL LETTER MU}V" in texts
    assert [said(t) for t in ("@x", "-1", "\tx", "a=b", "", None)] == ["'@x", "'-1", "'\tx", "a=b", "", None]


def test_cells_with_commas_quotes_and_lines_come_back(tmp_path: Path) -> None:
    rows = [('a "b", c', "x\r\ny", None, True, 1.5)]
    assert write_csv(tmp_path / "t.csv", ("a", "b", "c", "d", "e"), rows) == 1
    (row,) = table(tmp_path / "t.csv")
    assert list(row.values()) == ['a "b", c', "x\r\ny", "", "1", "1.5"]
    write_tsv(tmp_path / "t.tsv", ("a", "b"), [("x\ty\nz", None)])
    assert (tmp_path / "t.tsv").read_text() == "a\tb\nx y z\tn/a\n"


def test_tables_that_a_case_of_an_older_version_lacks_are_left_out(case: Path, export: Export) -> None:
    with sqlite3.connect(case / "case.sqlite") as database:
        database.execute("DROP TABLE readings")
        database.execute("DROP TABLE alerts")
        database.execute("ALTER TABLE stimuli DROP COLUMN pulse")
        database.execute("ALTER TABLE events ADD COLUMN of_a_later_version TEXT")
    out = export("csv", of=case)
    assert not (out / "responses.csv").exists() and not (out / "alerts.csv").exists()
    assert {row["pulse"] for row in table(out / "stimuli.csv")} == {"1"}


def test_a_ledger_in_the_database_is_the_ledger(case: Path, export: Export) -> None:
    with sqlite3.connect(case / "case.sqlite") as database:
        columns = "alert, test, event, detected, told, acted, recovered"
        values = "'change-7', 'left_mep', 100, 200, 300, 500, 600"
        database.execute(f"INSERT INTO ledger ({columns}) VALUES ({values})")
    rows = table(export("csv", of=case) / "ledger.csv")
    assert [(r["step"], r["sample"]) for r in rows if r["alert_id"] == "change-7"] == [
        (step, f"{sample}00")
        for step, sample in zip(("event", "detected", "told", "acted", "recovered"), "12356", strict=True)
    ]
    others = [r["step"] for r in rows if r["alert_id"].startswith("stimulus")]
    assert others == ["detected", "acknowledged", "recovered"], "a technical alert's states are its steps"


def tsv(path: Path) -> list[dict[str, str]]:
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(cell for line in lines for cell in line), "an empty cell is n/a"
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_bids_by_its_own_rules(export: Export) -> None:
    """The rules of BIDS 1.10 for an EEG data set, as far as this one needs them."""
    out = export("bids")
    description = json.loads((out / "dataset_description.json").read_text())
    assert {"Name", "BIDSVersion", "DatasetType", "GeneratedBy"} <= set(description)
    (row,) = tsv(out / "participants.tsv")
    subject = row["participant_id"]
    assert subject.startswith("sub-") and subject[4:].isalnum() and CASE_ID[-8:] not in subject
    folder = out / subject / "eeg"
    stem = f"{subject}_task-ionm_"
    names = {p.name.removeprefix(stem) for p in folder.iterdir()}
    assert names == {"eeg.bdf", "eeg.json", "channels.tsv", "events.tsv", "events.json"}
    sidecar = json.loads((folder / f"{stem}eeg.json").read_text())
    assert {"TaskName", "EEGReference", "SamplingFrequency", "PowerLineFrequency", "SoftwareFilters"} <= set(
        sidecar
    )
    channels = tsv(folder / f"{stem}channels.tsv")
    assert list(channels[0])[:3] == ["name", "type", "units"]
    kinds = {row["name"]: row["type"] for row in channels}
    assert (kinds["CP3"], kinds["ADMR1"], kinds["EPL"], kinds["Trigger"]) == ("EEG", "EMG", "MISC", "TRIG")
    for kind in ("EEG", "EMG", "MISC"):
        assert sidecar[f"{kind}ChannelCount"] == list(kinds.values()).count(kind)
    with pyedflib.EdfReader(str(folder / f"{stem}eeg.bdf")) as file:
        assert file.getSignalLabels() == [row["name"] for row in channels], "in the order of the file"
        assert {*file.getSampleFrequencies()} == {sidecar["SamplingFrequency"]} == {2000}
        assert file.getStartdatetime().year == 1985 and CASE_ID not in str(file.getHeader())
        assert sidecar["RecordingDuration"] == pytest.approx(file.getFileDuration(), abs=0.2)
        trigger = file.readSignal(len(channels) - 1, digital=True)
    events = tsv(folder / f"{stem}events.tsv")
    assert list(events[0])[:2] == ["onset", "duration"]
    assert set(events[0]) == set(json.loads((folder / f"{stem}events.json").read_text()))
    onsets = [float(row["onset"]) for row in events]
    assert onsets == sorted(onsets) and {row["trial_type"] for row in events} == {
        "stimulus",
        "gap",
        "alert",
        "baseline",
        "event",
    }
    for row in events:
        assert float(row["onset"]) == pytest.approx(int(row["sample"]) / 2000)
        if row["trial_type"] == "stimulus":
            at = int(row["sample"])
            assert trigger[at] and not trigger[at - 1], "where its edge is in the samples"
    fired = [row["value"] for row in events if row["trial_type"] == "stimulus"]
    assert fired.count("left_mep") == 3, "a train is one; the fourth was lost in the gap"


def test_bids_has_nothing_that_a_person_typed_and_no_date(export: Export) -> None:
    for path in export("bids").rglob("*"):
        assert CASE_ID not in path.name
        if path.is_file():
            data = path.read_bytes()
            for typed in (b"clip on", b"surgeon", b"tech", b"2026", CASE_ID.encode()):
                assert typed not in data, (path.name, typed)


def test_bids_names_please_its_validator(export: Export) -> None:
    validator: Any = pytest.importorskip(
        "bids_validator", reason="bids-validator is not installed"
    ).BIDSValidator()
    out = export("bids")
    for path in out.rglob("*"):
        assert path.is_dir() or validator.is_bids(f"/{path.relative_to(out)}"), path.name
