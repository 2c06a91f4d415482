"""Repair: a file cut anywhere opens again with every whole record; other files stay as they are."""

import io
import os
from datetime import UTC, datetime

import edfio
import numpy as np
import pyedflib
import pytest

from hostd.errors import RecordingError
from hostd.recorder import Recorder
from hostd.repair import RepairReport, repair, repair_all, repair_unclosed
from hw.recording import RecordingReader, read_header
from hw.samples import SampleBlock

START = datetime(2026, 11, 23, 17, 4, 9, tzinfo=UTC)
N = 25


def record(path, n_samples=110, close=False, segment_s=600.0):
    """110 samples at 250 Hz: four whole records of 25, and ten samples that only a close writes."""
    recorder = Recorder(
        path, ["CP3"], 250.0, [0.1], [0.0], "gain 24", "case", START, -0.5, segment_s=segment_s
    )
    counts = np.arange(n_samples, dtype=np.int32)[:, None]
    recorder.append(SampleBlock(0, counts, np.ones(n_samples, np.uint8)))
    assert recorder._file.flush(30.0)
    if close:
        recorder.close()
    return recorder


@pytest.fixture
def killed(tmp_path):
    """A recording whose process died: never closed, lock gone."""
    path = tmp_path / "raw.bdf"
    record(path)._file.abandon()
    return path


def opened(data):
    reader = RecordingReader(io.BytesIO(data))
    counts = [b.counts[:, 0] for b in reader.blocks(1000)]
    return reader, np.concatenate(counts) if counts else np.zeros(0, np.int32)


@pytest.mark.control("H9.4")
def test_a_file_cut_anywhere_behind_its_header_opens_with_every_whole_record(killed):
    whole = killed.read_bytes()
    header = read_header(io.BytesIO(whole))
    for length in range(header.header_bytes, len(whole) + 1, 3):
        killed.write_bytes(whole[:length])
        records = (length - header.header_bytes) // header.record_bytes
        report = repair(killed)
        left = length - header.header_bytes - records * header.record_bytes
        assert report == RepairReport(killed, records, left, -1)
        reader, counts = opened(killed.read_bytes())
        assert (reader.header.n_records, reader.torn_bytes) == (records, 0)
        np.testing.assert_array_equal(counts, np.arange(records * N))
        assert not repair(killed).changed


@pytest.mark.parametrize("cut", [0, 1, 200])
def test_other_readers_open_a_repaired_file(killed, cut):
    os.truncate(killed, killed.stat().st_size - cut)
    with pytest.raises(OSError, match="Number of Datarecords"):
        pyedflib.EdfReader(str(killed))
    records = repair(killed).records
    assert records == (4 if cut == 0 else 3)
    with pyedflib.EdfReader(str(killed)) as edflib:
        np.testing.assert_array_equal(edflib.readSignal(0, digital=True), np.arange(records * N))
    np.testing.assert_array_equal(edfio.read_bdf(killed).signals[0].digital, np.arange(records * N))


@pytest.mark.parametrize("close", [True, False])
def test_repairing_twice_changes_nothing(tmp_path, close):
    path = tmp_path / "raw.bdf"
    recorder = record(path, close=close)
    if not close:
        recorder._file.abandon()
    first = repair(path)
    assert first.changed is not close
    before, touched = path.read_bytes(), path.stat().st_mtime_ns
    assert repair(path) == RepairReport(path, first.records, 0, first.records)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, touched)


def test_a_count_that_is_wrong_is_put_right(killed):
    for stated in (b"99      ", b"1       "):
        data = bytearray(killed.read_bytes())
        data[236:244] = stated
        killed.write_bytes(data)
        assert repair(killed) == RepairReport(killed, 4, 0, int(stated))
        assert len(opened(killed.read_bytes())[1]) == 100


def test_length_without_bytes_is_no_record(killed):
    length = killed.stat().st_size
    record_bytes = read_header(io.BytesIO(killed.read_bytes())).record_bytes
    os.truncate(killed, length + 2 * record_bytes + 7)
    assert repair(killed) == RepairReport(killed, 4, 2 * record_bytes + 7, -1)
    assert killed.stat().st_size == length


def a_foreign_file(path):
    signal = edfio.BdfSignal(np.zeros(100), 100, label="CP3", physical_range=(-1, 1))
    edfio.Bdf([signal]).write(path)


def test_foreign_files_are_refused_untouched(tmp_path):
    for name, make in (
        ("foreign.bdf", a_foreign_file),
        ("text.bdf", lambda p: p.write_text("hello " * 100)),
        ("empty.bdf", lambda p: p.touch()),
    ):
        path = tmp_path / name
        make(path)
        before = path.read_bytes()
        with pytest.raises(
            RecordingError, match=f"{name} (was not recorded by evokd|cannot be repaired)"
        ) as caught:
            repair(path)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before
    with pytest.raises(RecordingError, match="cannot be repaired: No such file"):
        repair(tmp_path / "absent.bdf")


def test_a_damaged_header_is_refused_in_one_line(killed):
    data = bytearray(killed.read_bytes())
    data[252] ^= 0x40
    killed.write_bytes(data)
    with pytest.raises(
        RecordingError, match="cannot be repaired: header field 'number of signals'"
    ) as caught:
        repair(killed)
    assert "\n" not in str(caught.value)


def test_a_running_recording_is_left_alone(tmp_path):
    (tmp_path / "case").mkdir()
    path = tmp_path / "case" / "raw.bdf"
    recorder = record(path)
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="is being recorded; close its case first"):
        repair(path)
    assert repair_unclosed(tmp_path) == ()
    assert path.read_bytes() == before
    recorder.close()
    assert repair_unclosed(tmp_path) == ()
    assert not repair(path).changed


def test_only_what_was_never_closed_is_repaired(tmp_path):
    for name in ("closed", "damaged", "foreign", "killed", "torn"):
        (tmp_path / name).mkdir()
    raw = {p.name: p / "raw.bdf" for p in tmp_path.iterdir()}
    record(raw["closed"], close=True)
    for name in ("damaged", "killed", "torn"):
        record(raw[name])._file.abandon()
    os.truncate(raw["torn"], raw["torn"].stat().st_size - 10)
    os.truncate(raw["damaged"], 300)
    a_foreign_file(raw["foreign"])
    with raw["foreign"].open("r+b") as file:
        file.seek(236)
        file.write(b"-1      ")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a file").touch()
    reports = {r.path.parent.name: r for r in repair_unclosed(tmp_path)}
    assert sorted(reports) == ["damaged", "foreign", "killed", "torn"]
    assert (reports["killed"].records, reports["killed"].dropped_bytes) == (4, 0)
    assert (reports["torn"].records, reports["torn"].fault) == (3, "")
    assert "the header is cut off" in reports["damaged"].fault
    assert "was not recorded by evokd" in reports["foreign"].fault
    assert not reports["foreign"].changed
    assert sorted(r.path.parent.name for r in repair_unclosed(tmp_path)) == ["damaged", "foreign"]


def spoil(path, *numbers):
    """Other bytes in the middle of these records, as a sector that was never written."""
    data = bytearray(path.read_bytes())
    header = read_header(io.BytesIO(data))
    for number in numbers:
        at = header.header_bytes + number * header.record_bytes
        data[at + 10 : at + 40] = bytes(30)
    path.write_bytes(data)


def test_a_record_torn_by_a_power_cut_is_dropped_by_its_crc(killed):
    spoil(killed, 3)
    report = repair(killed)
    assert (report.records, report.mismatched, report.stated_records) == (3, (), -1)
    np.testing.assert_array_equal(opened(killed.read_bytes())[1], np.arange(75))


@pytest.mark.control("H6.4")
def test_a_record_in_the_middle_is_told_and_stays(killed, capsys):
    spoil(killed, 1)
    report = repair(killed)
    assert (report.records, report.mismatched) == (4, (1,))
    assert report.line == (
        f"{killed}: 4 whole records, 0 torn bytes dropped; "
        "not what was written, by their CRC: record 1 (at 0.1 s)"
    )
    assert repair(killed).line.startswith(f"{killed}: 4 whole records, nothing to repair; not what")


def test_a_closed_file_loses_nothing_to_a_crc(tmp_path):
    path = tmp_path / "raw.bdf"
    record(path, close=True)
    spoil(path, 4)
    before = path.read_bytes()
    assert (repair(path).records, repair(path).mismatched) == (5, (4,))
    assert path.read_bytes() == before


def test_a_wrong_sidecar_drops_no_sample(killed, tmp_path):
    sidecar = killed.with_suffix(".crc")
    good = sidecar.read_bytes()
    entry = len(good) // 4
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "raw.bdf"
    record(other)._file.abandon()
    spoil(other, 0, 1, 2, 3)  # every entry is another's
    assert (repair(other).records, repair(other).mismatched) == (4, (0, 1, 2, 3))
    for wrong in (b"", b"garbage" * 30, good[:-5], good[: entry * 2], good[:-8] + b"0000000\n"):
        sidecar.write_bytes(wrong)
        assert (repair(killed).records, repair(killed).mismatched) == (4, ())
    sidecar.unlink()
    assert repair(killed).records == 4


def test_more_than_a_power_cut_tears_is_not_dropped(tmp_path):
    path = tmp_path / "raw.bdf"
    record(path, n_samples=1000)._file.abandon()
    spoil(path, *range(15, 40))  # 2.5 s
    report = repair(path)
    assert (report.records, report.mismatched) == (40, tuple(range(15, 40)))
    assert report.line.endswith("record 15 (at 1.5 s), 16 (at 1.6 s), 17 (at 1.7 s), 18 (at 1.8 s), 19 "
                                "(at 1.9 s) and 20 more")  # fmt: skip


def test_every_segment_of_a_killed_case_is_repaired(tmp_path):
    case = tmp_path / "data" / "case"
    case.mkdir(parents=True)
    record(case / "raw.bdf", segment_s=0.2)._file.abandon()
    last = case / "raw-0002.bdf"
    os.truncate(last, last.stat().st_size - 7)
    spoil(case / "raw.bdf", 0)
    reports = repair_all(case)
    assert [(r.path.name, r.records, r.stated_records, r.mismatched) for r in reports] == [
        ("raw.bdf", 2, 2, (0,)),
        ("raw-0002.bdf", 1, -1, ()),
    ]
    assert not any(r.changed for r in repair_all(case / "raw.bdf"))
    with last.open("r+b") as file:
        file.seek(236)
        file.write(b"-1      ")
    spoil(last, 0)
    assert [(r.path.name, r.records, r.mismatched) for r in repair_unclosed(tmp_path / "data")[:1]] == [
        ("raw-0002.bdf", 1, (0,))
    ]


@pytest.mark.parametrize("at_start", [True, False])
def test_a_further_segment_without_a_record_is_removed(tmp_path, at_start):
    case = tmp_path / "case"
    case.mkdir()
    record(case / "raw.bdf", segment_s=0.2)._file.abandon()
    header = read_header(io.BytesIO((case / "raw-0002.bdf").read_bytes()))
    for length in (0, 7, 300, header.header_bytes, header.header_bytes + header.record_bytes - 1):
        stub = case / "raw-0003.bdf"
        stub.write_bytes((case / "raw-0002.bdf").read_bytes()[:length])
        if length >= header.header_bytes:
            with stub.open("r+b") as file:
                file.seek(236)
                file.write(b"-1      ")
        stub.with_suffix(".crc").touch()
        report = (repair_unclosed(tmp_path) if at_start else repair_all(case))[-1]
        assert (report.path, report.removed, report.records) == (stub, True, 0)
        assert report.line == f"{stub}: no whole record, removed"
        assert sorted(p.name for p in case.iterdir()) == [
            "raw-0002.bdf",
            "raw-0002.crc",
            "raw.bdf",
            "raw.crc",
        ]
    (case / "raw-0003.bdf").write_bytes(b"garbage " * 100)
    assert "not an EDF or BDF file" in (repair_unclosed(tmp_path) if at_start else repair_all(case))[-1].fault
    first = tmp_path / "cut" / "raw.bdf"
    first.parent.mkdir()
    first.write_bytes(b"")
    with pytest.raises(RecordingError, match="the header is cut off"):
        repair(first)
    assert first.exists(), "the first segment is never removed"


def test_the_start_looks_at_the_end_of_a_recording_alone(tmp_path):
    path = tmp_path / "case" / "raw.bdf"
    path.parent.mkdir()
    record(path, n_samples=10_000)._file.abandon()
    spoil(path, 5, 200)
    assert [r.mismatched for r in repair_unclosed(tmp_path)] == [(200,)]
    assert repair(path).mismatched == (5, 200)


def test_no_data_directory_is_nothing_to_repair(tmp_path):
    assert repair_unclosed(tmp_path / "absent") == ()
