"""The recorder: what goes in comes out, and other readers agree."""

from datetime import UTC, datetime, timedelta, timezone

import edfio
import numpy as np
import pyedflib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostd.errors import RecordingError, UsageError
from hostd.recorder import Recorder
from hw.raw_bdf import FILLER_COUNTS
from hw.recording import RecordingReader, read_header
from hw.samples import Gap, SampleBlock

START = datetime(2026, 11, 23, 17, 4, 9, 250_000, tzinfo=UTC)
LSB_UV = 4.5e6 / 24 / 2**23
CHANNELS = ("CP3", "CP4")


def a_recorder(path, channels=CHANNELS, rate_hz=1000.0, lsb_uv=LSB_UV, **more):
    n = len(channels)
    settings_ = {"gain": "gain 24", "case_id": "case 7", "start_utc": START} | more
    return Recorder(path, channels, rate_hz, [lsb_uv] * n, [0.0] * n, **settings_)


def a_block(first, counts, bits=None, gaps=()):
    counts = np.asarray(counts, np.int32)
    bits = np.zeros(len(counts), np.uint8) if bits is None else np.asarray(bits, np.uint8)
    return SampleBlock(first, counts, bits, gaps=gaps)


def ramp(first, n):
    return a_block(
        first, np.arange(first, first + n)[:, None] + [0, 100_000], np.arange(first, first + n) % 4
    )


def read(path, size=64):
    with path.open("rb") as file:
        reader = RecordingReader(file)
        return reader, list(reader.blocks(size))


def joined(blocks):
    return np.concatenate([b.counts for b in blocks]), np.concatenate([b.trigger_bits for b in blocks])


count = st.integers(-(2**23), 2**23 - 1) | st.sampled_from((-(2**23), 2**23 - 1, -1, 0))


@given(
    st.lists(
        st.lists(st.tuples(count, count, st.integers(0, 255)), min_size=1, max_size=60),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=25, deadline=None)
def test_every_count_and_bit_comes_back(tmp_path_factory, blocks):
    path = tmp_path_factory.mktemp("case") / "raw.bdf"
    rows = np.array([row for block in blocks for row in block], np.int64)
    with a_recorder(path) as recorder:
        first = 12345
        for block in blocks:
            values = np.array(block, np.int64)
            recorder.append(a_block(first, values[:, :2], values[:, 2]))
            first += len(block)
        assert recorder.samples == len(rows)
    reader, back = read(path)
    counts, bits = joined(back)
    np.testing.assert_array_equal(counts, rows[:, :2])
    np.testing.assert_array_equal(bits, rows[:, 2])
    assert back[0].first_index == 12345
    assert all(not b.gaps for b in back)
    assert (reader.n_samples, recorder.samples) == (len(rows), len(rows))


@pytest.mark.parametrize("gain", [1, 2, 4, 6, 8, 12, 24])
@pytest.mark.parametrize("offset", [-0.5, 0.0, 1.25])
def test_the_file_alone_says_scale_rate_index_and_offset(tmp_path, gain, offset):
    lsb_uv = 4.5e6 / gain / 2**23
    path = tmp_path / "raw.bdf"
    with a_recorder(path, lsb_uv=lsb_uv, rate_hz=4000.0, latency_offset_samples=offset) as recorder:
        recorder.append(a_block(10**9, np.zeros((900, 2))))
    reader, _ = read(path)
    assert reader.lsb_uv == (lsb_uv, lsb_uv)
    assert reader.offset_uv == (0.0, 0.0)
    assert (reader.rate_hz, reader.channels) == (4000.0, CHANNELS)
    assert (reader.first_index, reader.latency_offset_samples) == (10**9, offset)
    assert reader.header.signals[0].transducer == "gain 24"
    assert reader.header.patient == "X X X X case_7"
    assert path.stat().st_size == recorder.bytes_written


def test_other_readers_agree_with_ours(tmp_path):
    path = tmp_path / "raw.bdf"
    rng = np.random.default_rng(5)
    counts = rng.integers(-(2**23), 2**23, (450, 2)).astype(np.int32)
    counts[:4] = [[-(2**23), 2**23 - 1], [0, -1], [1, 2**22], [8388606, -8388607]]
    bits = rng.integers(0, 256, 450).astype(np.uint8)
    with a_recorder(path) as recorder:
        recorder.append(a_block(700, counts, bits))
        recorder.annotate(712, "N20 µ-volts")
        recorder.annotate(1149, "closing")
    uv = counts * LSB_UV
    bdf = edfio.read_bdf(path)
    assert bdf.startdate == START.date()
    assert bdf.starttime == START.time()
    assert [s.label for s in bdf.signals] == [*CHANNELS, "Trigger"]
    notes = [(round(a.onset, 6), a.text) for a in bdf.annotations]
    assert notes == [(0.012, "N20 µ-volts"), (0.449, "closing"), (0.45, "gap file 50 at 1150")]
    for k in range(2):
        np.testing.assert_array_equal(bdf.signals[k].digital[:450], counts[:, k])
        np.testing.assert_allclose(bdf.signals[k].data[:450], uv[:, k], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(bdf.signals[2].data[:450], bits)
    with pyedflib.EdfReader(str(path)) as edflib:
        assert edflib.getSampleFrequency(0) == 1000
        # EDFlib's own fraction of a second is ten times too small; ours is edfio's.
        assert edflib.getStartdatetime().replace(microsecond=0) == datetime(2026, 11, 23, 17, 4, 9)
        onsets, _, texts = edflib.readAnnotations()
        assert sorted(zip(np.round(onsets, 6), texts, strict=True)) == notes
        for k in range(2):
            np.testing.assert_array_equal(edflib.readSignal(k, digital=True)[:450], counts[:, k])
            np.testing.assert_allclose(edflib.readSignal(k)[:450], uv[:, k], rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(edflib.readSignal(2)[:450], bits)


gaps_before = st.lists(
    st.tuples(st.integers(1, 250), st.sampled_from(("missed", "torn", "link", "overflow"))), max_size=3
)


@given(st.integers(0, 10**12), st.lists(st.tuples(gaps_before, st.integers(1, 150)), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_gaps_survive_exactly(tmp_path_factory, first, pieces):
    path = tmp_path_factory.mktemp("case") / "raw.bdf"
    blocks, at = [], first
    with a_recorder(path, rate_hz=24414.0625) as recorder:
        for lost, length in pieces:
            gaps = []
            for n, reason in lost:
                gaps.append(Gap(at, n, reason))
                at += n
            blocks.append(a_block(at, np.full((length, 2), FILLER_COUNTS), gaps=tuple(gaps)))
            at += length
            recorder.append(blocks[-1])
    _, back = read(path, 10**6)
    want = []
    for block in blocks:  # blocks that touch are one on file
        if want and not block.gaps:
            want[-1] = (*want[-1][:1], want[-1][1] + len(block.counts), want[-1][2])
        else:
            want.append((block.first_index, len(block.counts), block.gaps))
    assert [(b.first_index, len(b.counts), b.gaps) for b in back] == want


def test_what_no_gap_explains_was_lost_on_the_link(tmp_path):
    path = tmp_path / "raw.bdf"
    with a_recorder(path) as recorder:
        recorder.append(ramp(0, 10))
        recorder.append(
            a_block(
                40, np.zeros((5, 2)), gaps=(Gap(5, 10, "missed"), Gap(20, 5, "torn"), Gap(38, 9, "missed"))
            )
        )
        assert recorder.samples == 45
    _, (_, block) = read(path)
    assert block.gaps == (
        Gap(10, 5, "missed"),
        Gap(15, 5, "link"),
        Gap(20, 5, "torn"),
        Gap(25, 13, "link"),
        Gap(38, 2, "missed"),
    )


def test_filler_is_named_in_the_record_where_it_begins(tmp_path):
    path = tmp_path / "raw.bdf"
    recorder = a_recorder(path)
    recorder.append(ramp(0, 50))
    for k in range(40):
        recorder.annotate(k, "x" * 150)
    recorder.append(a_block(120, np.ones((10, 2)), gaps=(Gap(50, 70, "missed"),)))
    recorder._file.abandon()
    _, blocks = read(path)
    assert [(b.first_index, len(b.counts)) for b in blocks] == [(0, 50)]


def test_more_notes_than_a_record_holds_come_later_but_all(tmp_path):
    path = tmp_path / "raw.bdf"
    texts = [f"{k} " + "long note " * 40 for k in range(30)]
    with a_recorder(path) as recorder:
        recorder.append(ramp(0, 130))
        for k, text in enumerate(texts):
            recorder.annotate(k, text)
    reader, blocks = read(path)
    assert reader.n_samples == 130
    assert sum(len(b.counts) for b in blocks) == 130
    assert [reader.annotation_index(a) for a in reader.annotations] == list(range(30))
    assert all(
        a.text.startswith(f"{k} long note") and len(a.text) > 150 for k, a in enumerate(reader.annotations)
    )


def test_notes_without_a_sample_are_kept(tmp_path):
    path = tmp_path / "raw.bdf"
    with a_recorder(path) as recorder:
        recorder.annotate(0, "edge never came")
    reader, blocks = read(path)
    assert blocks == []
    assert [a.text for a in reader.annotations] == ["edge never came"]


def test_a_killed_recorder_leaves_every_whole_record(tmp_path):
    path = tmp_path / "raw.bdf"
    recorder = a_recorder(path)
    recorder.append(ramp(0, 777))
    recorder._file.abandon()
    with path.open("rb") as file:
        assert read_header(file).n_records == -1
    reader, blocks = read(path)
    assert (reader.n_samples, reader.torn_bytes) == (700, 0)
    np.testing.assert_array_equal(joined(blocks)[0][:, 0], np.arange(700))


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (ramp(50, 10), "out of order, expected 100"),
        (a_block(100, np.zeros((5, 3))), "shapes"),
        (a_block(100, np.zeros((5, 2)), np.zeros(4)), "shapes"),
        (a_block(100, np.full((5, 2), 2**23)), "beyond 24 bits"),
        (a_block(10**15, np.zeros((5, 2))), "outside any recording"),
    ],
)
def test_a_block_that_cannot_be_is_refused_and_harms_nothing(tmp_path, block, said):
    with a_recorder(tmp_path / "raw.bdf") as recorder:
        recorder.append(ramp(0, 100))
        with pytest.raises(ValueError, match=said):
            recorder.append(block)
        recorder.append(ramp(100, 10))
    assert read(tmp_path / "raw.bdf")[0].n_samples == 110


def test_an_index_no_recording_reaches_is_refused(tmp_path):
    with (
        a_recorder(tmp_path / "raw.bdf") as recorder,
        pytest.raises(ValueError, match="outside any recording"),
    ):
        recorder.annotate(10**15, "never")


def test_closed_is_closed(tmp_path):
    recorder = a_recorder(tmp_path / "raw.bdf")
    recorder.close()
    recorder.close()
    with pytest.raises(RecordingError, match="is closed"):
        recorder.append(ramp(0, 10))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"channels": ("a", "a")}, "'a' is empty, given twice"),
        ({"channels": ("Trigger",)}, "taken by the recording"),
        ({"channels": ("",)}, "is empty"),
        ({"channels": ()}, "0 channels"),
        ({"channels": ("x" * 17,)}, "label"),
        ({"case_id": "ü"}, "patient"),
        ({"gain": "g" * 81}, "transducer"),
        ({"rate_hz": 0.0}, "rate"),
        ({"lsb_uv": 0.0}, "scale"),
        ({"latency_offset_samples": float("nan")}, "latency offset"),
        ({"latency_offset_samples": -1.4720167562988673e-05}, "longer than 80"),
        ({"start_utc": datetime(2026, 11, 23)}, "no time zone"),
    ],
)
def test_what_a_file_cannot_hold_is_bad_usage_in_one_line(tmp_path, change, said):
    with pytest.raises(UsageError, match=said) as caught:
        a_recorder(tmp_path / "raw.bdf", **change)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "raw.bdf").exists()


def test_any_time_zone_is_recorded_as_utc(tmp_path):
    local = START.astimezone(timezone(timedelta(hours=2)))
    with a_recorder(tmp_path / "raw.bdf", start_utc=local) as recorder:
        recorder.append(ramp(0, 100))
    assert read(tmp_path / "raw.bdf")[0].header.start == datetime(2026, 11, 23, 17, 4, 9)


@pytest.mark.control("H9.7")
def test_a_recording_is_never_overwritten(tmp_path):
    a_recorder(tmp_path / "raw.bdf").close()
    with pytest.raises(RecordingError, match="exists already"):
        a_recorder(tmp_path / "raw.bdf")
    with pytest.raises(RecordingError, match="cannot be created: No such file"):
        a_recorder(tmp_path / "nowhere" / "raw.bdf")
