"""EDF+ of averages, BDF+ of raw channels: opened by pyedflib, edfio and MNE, with the numbers of the case."""

import importlib.util
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import edfio
import numpy as np
import pyedflib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.export.averages import traces
from hostd.export.bdf_writer import Head
from hostd.export.edf_averages import COUNT_MAX, _limit, labels, record_length
from hostd.export.raw_files import channels_of, write_files
from hostd.export.record import Record
from hostd.store import read_rows
from hw.bdf import format_number
from hw.recording import RecordingReader
from tests.support.recorded import CASE_ID, LOST, START

Export = Callable[..., Path]
MNE = importlib.util.find_spec("mne") is not None


def test_averages_come_back_within_half_a_count(recorded: Path, export: Export) -> None:
    out = export("edf")
    assert {p.name for p in out.iterdir()} == {"left_median_averages.edf", "left_mep_averages.edf"}
    for test in ("left_median", "left_mep"):
        stored = sorted(traces(Record(recorded), test), key=lambda t: (t.sample, t.role != "baseline"))
        rows = len(stored[0].mean_uv)
        path = out / f"{test}_averages.edf"
        with pyedflib.EdfReader(str(path)) as file:
            assert file.getSignalLabels() == stored[0].header.derivations
            assert file.datarecords_in_file == len(stored)
            per_record = file.getNSamples()[0] // len(stored)
            assert file.getSampleFrequency(0) == pytest.approx(1e3 / stored[0].header.dt_ms)
            for d in range(file.signals_in_file):
                scale = (file.getPhysicalMaximum(d) - file.getPhysicalMinimum(d)) / (2 * COUNT_MAX)
                uv = file.readSignal(d).reshape(len(stored), per_record)
                for k, trace in enumerate(stored):
                    assert np.abs(uv[k, :rows] - trace.mean_uv[:, d]).max() <= 0.501 * scale
                    assert not uv[k, rows:].any()
                counts = file.readSignal(d, digital=True)
                assert 0.98 * COUNT_MAX < np.abs(counts).max() <= COUNT_MAX, (
                    "all of the 16 bits, nothing clips"
                )
            onsets_s, _, texts = file.readAnnotations()
        record_s = per_record * stored[0].header.dt_ms / 1e3
        said = [(round(at / record_s, 3), text) for at, text in zip(onsets_s, texts, strict=True)]
        begun = [text for k, text in said if k == int(k)]
        assert len(begun) == len(stored) and begun[0].startswith(f"{stored[0].role} at 0:00:")
        assert f"{stored[0].header.n_sweeps} sweeps" in begun[0] and "2026-11-23T16:15:" in begun[0]
        zero = [at - k * record_s for k, at in enumerate(onsets_s[[t == "stimulus" for t in texts]])]
        assert zero == pytest.approx([-stored[0].header.t0_ms / 1e3] * len(stored), abs=1e-6)


def test_others_open_the_averages_too(export: Export) -> None:
    path = export("edf", "--test", "left_median") / "left_median_averages.edf"
    file = edfio.read_edf(path)
    assert [s.label for s in file.signals] == ["CP4-CP3", "C5S-Fpz", "EPL-EPR"]
    assert file.signals[0].physical_dimension == "uV" and len(file.annotations) >= 2 * file.num_data_records
    if MNE:
        import mne

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
        assert raw.get_data()[0] == pytest.approx(1e-6 * file.signals[0].data, abs=1e-10)


def test_raw_channels_of_a_test_are_the_cases_counts(recorded: Path, export: Export) -> None:
    out = export("bdf")
    used = channels_of(Record(recorded))
    assert {p.name for p in out.iterdir()} == {f"{test}_raw.bdf" for test in used}
    assert used["left_median"] == ("CP3", "CP4", "Fpz", "C5S", "EPL", "EPR")
    assert used["eeg"] == ("CP3", "F3", "C3")
    for test, channels in used.items():
        with (recorded / "raw.bdf").open("rb") as whole, (out / f"{test}_raw.bdf").open("rb") as part:
            theirs, ours = RecordingReader(whole, channels), RecordingReader(part)
            assert ours.channels == channels and ours.lsb_uv == theirs.lsb_uv
            assert (ours.first_index, ours.n_samples) == (theirs.first_index, theirs.n_samples)
            for a, b in zip(theirs.blocks(4096), ours.blocks(4096), strict=True):
                assert (a.first_index, a.gaps) == (b.first_index, b.gaps)
                assert np.array_equal(a.counts, b.counts) and np.array_equal(a.trigger_bits, b.trigger_bits)


def test_stimuli_events_and_gaps_are_annotations(recorded: Path, export: Export) -> None:
    path = export("bdf", "--test", "left_mep") / "left_mep_raw.bdf"
    with pyedflib.EdfReader(str(path)) as file:
        onsets_s, _, texts = file.readAnnotations()
        trigger = file.readSignal(file.getSignalLabels().index("Trigger"), digital=True)
        assert file.getStartdatetime().isoformat(timespec="seconds") == "2026-11-23T16:15:30"
    said = [(round(s * 2000), text) for s, text in zip(onsets_s, texts, strict=True)]
    at = {text: index for index, text in said}
    fired = [index for index, text in said if text == "stim left_mep"]
    query = "SELECT seen FROM stimuli WHERE line = 2 AND pulse = 1"
    assert fired == [seen for (seen,) in read_rows(recorded / "case.sqlite", query)]
    assert all(trigger[k] & 2 and not trigger[k - 1] & 2 for k in fired)
    assert at[f"gap missed {LOST.length} at {LOST.index}"] == LOST.index
    assert "alert raised: the pulse on line 1 never came back" in at and "stim left_median" not in at
    assert edfio.read_bdf(path).num_signals == 5
    if MNE:
        import mne

        raw = mne.io.read_raw_bdf(path, verbose="error")
        assert raw.info["sfreq"] == 2000 and "stim left_mep" in set(raw.annotations.description)


def test_more_notes_than_a_record_holds_are_all_there(recorded: Path, tmp_path: Path) -> None:
    with Record(recorded).samples() as reader:
        end = reader.first_index + reader.n_samples
        many = [(at, f"note {at} {k} {'x' * 60}") for at in (0, 3000, end - 1, end + 500) for k in range(30)]
        head = Head("X X X X", START)
        write_files(reader, head, {tmp_path / "many.bdf": (("TAR2", "CP3"), [*many, (5, "a" * 999)])})
    with pyedflib.EdfReader(str(tmp_path / "many.bdf")) as file:
        onsets_s, _, texts = file.readAnnotations()
    found = dict(zip(texts, onsets_s, strict=True))
    assert all(found[text] == pytest.approx(min(at / 2000, found[text]), abs=1e-4) for at, text in many)
    assert max(map(len, texts)) <= 160
    with (tmp_path / "many.bdf").open("rb") as part, Record(recorded).samples() as whole:
        ours = RecordingReader(part)
        assert ours.channels == ("TAR2", "CP3") and ours.first_index == whole.first_index
        columns = [whole.channels.index(name) for name in ours.channels]
        theirs = np.vstack([block.counts[:, columns] for block in whole.blocks(4096)])
        assert np.array_equal(np.vstack([block.counts for block in ours.blocks(4096)]), theirs)


def test_a_case_that_was_played_has_the_edges_in_its_samples(case: Path, export: Export) -> None:
    import sqlite3

    stimuli = read_rows(case / "case.sqlite", "SELECT seen FROM stimuli WHERE line = 1")
    with sqlite3.connect(case / "case.sqlite") as database:
        database.execute("DELETE FROM stimuli")
    path = export("bdf", "--test", "left_median", of=case) / "left_median_raw.bdf"
    with pyedflib.EdfReader(str(path)) as file:
        texts = list(file.readAnnotations()[2])
    assert texts.count("stim left_median") == len(stimuli)


def test_averages_of_another_window_are_a_file_of_their_own(case: Path, export: Export) -> None:
    import sqlite3

    with sqlite3.connect(case / "case.sqlite") as database:
        query = "SELECT rowid, header FROM averages WHERE test = 'left_median' ORDER BY sample DESC"
        row, text = database.execute(query).fetchone()
        header = json.loads(text)
        n = header["shape"][0]
        header |= {"shape": [n - 40, 3]}
        said = (json.dumps(header), row)
        database.execute(
            "UPDATE averages SET header = ?, mean_uv = substr(mean_uv, 481) WHERE rowid = ?", said
        )
    out = export("edf", "--test", "left_median", of=case)
    assert {p.name for p in out.iterdir()} == {"left_median_averages.edf", "left_median_averages-2.edf"}


@given(st.floats(1e-6, 9_999_998.0))
def test_a_limit_holds_its_value_in_eight_characters(greatest_uv: float) -> None:
    limit = _limit(greatest_uv)
    assert limit >= greatest_uv and limit <= greatest_uv * 1.001 + 1.1e-5
    assert format_number(-limit) and format_number(limit)


@given(st.integers(1, 3000), st.sampled_from([1e3 / r for r in (250, 500, 1000, 2000, 4000, 8000, 16_000)]))
def test_a_record_holds_its_average_and_little_more(rows: int, dt_ms: float) -> None:
    n, duration_s = record_length(rows, dt_ms)
    assert rows <= n < rows + 32 and n / duration_s == pytest.approx(1e3 / dt_ms, rel=1e-12)


def test_labels_are_sixteen_characters_each_its_own() -> None:
    names = [
        "Cz-(A1+A2)/2",
        "a very long derivation",
        "a very long derivative",
        "\N{GREEK SMALL LETTER MU}",
        "",
    ]
    made = labels([*names, "?"])
    assert made[0] == names[0] and len(set(made)) == len(made)
    assert all(0 < len(label) <= 16 and label.isascii() for label in made)


def test_the_case_is_named_and_nobody_else(export: Export) -> None:
    with pyedflib.EdfReader(str(export("edf") / "left_mep_averages.edf")) as file:
        assert file.getPatientName() == "X" and CASE_ID in file.getHeader()["patient_additional"]
