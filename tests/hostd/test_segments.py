"""Segments: each is a recording by itself that any reader opens; together they are what was recorded."""

import itertools
from datetime import timedelta

import edfio
import numpy as np
import pyedflib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostd.recorder import MAX_FILL_S
from hostd.segments import opened, segment_paths
from hw.raw_bdf import FILLER_COUNTS, segment_name, segment_number, segments_of
from hw.recording import RecordingReader
from hw.samples import Gap
from tests.hostd.test_recorder import START, a_block, a_recorder, joined, ramp, read
from tests.support import strict_bdf


def together(path, size=64):
    with opened(segment_paths(path)) as (first, *further):
        reader = RecordingReader(first, further=further)
        return reader, list(reader.blocks(size))


def merged(blocks):
    """First index, length and gaps of what lies between gaps, however it was cut; and the counts."""
    spans = []
    for b in blocks:
        if spans and not b.gaps and spans[-1][0] + spans[-1][1] == b.first_index:
            spans[-1] = (spans[-1][0], spans[-1][1] + len(b.counts), spans[-1][2])
        else:
            spans.append((b.first_index, len(b.counts), b.gaps))
    return spans


pieces_of = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(1, 180), st.sampled_from(("missed", "torn", "link"))), max_size=3),
        st.integers(1, 230),
    ),
    min_size=1,
    max_size=10,
)


@given(st.integers(0, 10**9), pieces_of, st.integers(1, 4), st.integers(1, 97))
@settings(max_examples=15, deadline=None)
def test_segments_are_one_recording_and_each_tells_the_truth_alone(tmp_path_factory, first, pieces, n, size):
    folder = tmp_path_factory.mktemp("case")
    at, counts = first, {}
    with (
        a_recorder(folder / "raw.bdf", segment_s=n / 10, latency_offset_samples=-0.5) as recorder,
        a_recorder(folder / "whole.bdf", latency_offset_samples=-0.5) as whole,
    ):
        for lost, length in pieces:
            gaps = []
            for k, reason in lost:
                gaps.append(Gap(at, k, reason))
                at += k
            block = a_block(at, np.arange(at, at + length)[:, None] % 1000 + [0, 5], gaps=tuple(gaps))
            counts |= dict(zip(range(at, at + length), block.counts[:, 0].tolist(), strict=True))
            recorder.append(block)
            whole.append(block)
            recorder.annotate(at, f"note {at}")
            whole.annotate(at, f"note {at}")
            at += length
    reader, blocks = together(folder, size)
    alone, expected = read(folder / "whole.bdf", 10**6)
    assert merged(blocks) == merged(expected)
    np.testing.assert_array_equal(joined(blocks)[0], joined(expected)[0])
    assert (reader.first_index, reader.n_samples) == (alone.first_index, alone.n_samples)
    notes = [(reader.annotation_index(a), a.text) for a in reader.annotations]
    assert notes == [(alone.annotation_index(a), a.text) for a in alone.annotations]
    found = {}
    for path in segment_paths(folder):
        segment, its = read(path, size)
        assert segment.n_records <= n or path == segment_paths(folder)[-1]
        for b in its:
            found |= dict(zip(range(b.first_index, b.end_index), b.counts[:, 0].tolist(), strict=True))
    assert found == counts, "no filler read as samples, none missing, none twice"


def a_segmented_case(folder, n=1250, segment_s=0.5):
    rng = np.random.default_rng(3)
    counts = rng.integers(-(2**23), 2**23, (n, 2)).astype(np.int32)
    with a_recorder(folder / "raw.bdf", segment_s=segment_s) as recorder:
        for at in range(0, n, 50):
            recorder.append(a_block(700 + at, counts[at : at + 50], np.full(50, at % 7)))
            if at == 500:
                recorder.annotate(700 + 480, "before the boundary, told behind it")
    return counts


def test_other_readers_and_the_strict_rules_accept_every_segment(tmp_path):
    counts = a_segmented_case(tmp_path)
    paths = segment_paths(tmp_path)
    assert [p.name for p in paths] == ["raw.bdf", "raw-0002.bdf", "raw-0003.bdf"]
    for k, path in enumerate(paths):
        part = counts[500 * k : 500 * (k + 1)]
        assert strict_bdf.check(path) == -(-len(part) // 100)
        bdf = edfio.read_bdf(path)
        begins = START + timedelta(seconds=0.5 * k)
        assert (bdf.startdate, bdf.starttime) == (begins.date(), begins.time())
        np.testing.assert_array_equal(bdf.signals[1].digital[: len(part)], part[:, 1])
        with pyedflib.EdfReader(str(path)) as edflib:
            np.testing.assert_array_equal(edflib.readSignal(0, digital=True)[: len(part)], part[:, 0])
            onsets, _, texts = edflib.readAnnotations()
        notes = {a.text: round(a.onset, 6) for a in bdf.annotations}
        assert notes == dict(zip(texts, np.round(onsets, 6), strict=True))
        assert (notes.get("before the boundary, told behind it") == -0.02) == (k == 1)


def test_mne_opens_every_segment(tmp_path):
    mne = pytest.importorskip("mne", reason="no MNE here: `make bench` installs it")
    counts = a_segmented_case(tmp_path)
    for k, path in enumerate(segment_paths(tmp_path)):
        raw = mne.io.read_raw_bdf(path, verbose="error")
        part = counts[500 * k : 500 * (k + 1)]
        lsb = 4.5 / 24 / 2**23
        np.testing.assert_allclose(raw.get_data()[1][: len(part)], part[:, 1] * lsb, rtol=1e-9, atol=1e-15)


def test_a_segment_is_closed_in_time_whatever_happens(tmp_path):
    with a_recorder(tmp_path / "raw.bdf", segment_s=6.0) as recorder:
        for k in range(150):
            first = 100 * k
            gaps = [Gap(first + 2 * g, 1, "missed") for g in range(12)]  # more than a record can name
            recorder.append(a_block(first + 25, np.full((75, 2), k), gaps=tuple(gaps)))
            recorder.annotate(first, "x" * 150)
    records = [read(path)[0].n_records for path in segment_paths(tmp_path)]
    assert records[:2] == [60, 60]
    _, blocks = together(tmp_path)
    assert FILLER_COUNTS not in joined(blocks)[0]
    assert sum(len(b.counts) for b in blocks) == 150 * 75


def test_a_long_gap_begins_a_segment_and_writes_no_filler(tmp_path):
    gap = round(3600 * 1000 * 1.5)
    with a_recorder(tmp_path / "raw.bdf") as recorder:
        recorder.append(ramp(0, 150))
        recorder.append(a_block(150 + gap, np.full((200, 2), 7), gaps=(Gap(200, 300, "missed"),)))
    assert segment_paths(tmp_path)[1:] == (tmp_path / "raw-0002.bdf",)
    assert recorder.bytes_written < 100_000
    expected = (Gap(150, 50, "link"), Gap(200, 300, "missed"), Gap(500, gap - 350, "link"))
    assert [(b.first_index, b.gaps) for b in together(tmp_path)[1][3:4]] == [(150 + gap, expected)]
    (behind, *_) = read(tmp_path / "raw-0002.bdf")[1]
    assert (behind.first_index, behind.gaps) == (150 + gap, expected[-1:])
    assert read(tmp_path / "raw.bdf")[0].n_samples == 150
    with a_recorder(tmp_path / "short.bdf") as recorder:
        recorder.append(ramp(0, 150))
        recorder.append(ramp(150 + round(MAX_FILL_S * 1000), 10))
    assert recorder.samples == read(tmp_path / "short.bdf")[0].n_samples == 5160


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_segment_that_is_gone_is_a_gap(tmp_path, gone):
    a_segmented_case(tmp_path, 1500)
    (tmp_path / segment_name(gone)).unlink()
    _, blocks = together(tmp_path, 10**6)
    expected = {
        1: [(1200, 500, ()), (1700, 500, ())],
        2: [(700, 500, ()), (1700, 500, (Gap(1200, 500, "file"),))],
        3: [(700, 500, ()), (1200, 500, ())],
    }
    assert [(b.first_index, len(b.counts), b.gaps) for b in blocks] == expected[gone]


def test_a_segment_killed_while_it_was_made_has_no_samples(tmp_path):
    a_segmented_case(tmp_path, 1000)
    header = (tmp_path / "raw.bdf").read_bytes()[:400]
    for torn in (b"", header):
        (tmp_path / "raw-0003.bdf").write_bytes(torn)
        reader, blocks = together(tmp_path)
        assert reader.torn_bytes == len(torn)
        assert sum(len(b.counts) for b in blocks) == 1000


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"channels": ("CP3", "CP5")}, "segment 2 has other signals than the first"),
        ({"latency_offset_samples": 1.0}, "segment 2 has other signals than the first"),
        ({}, "the segment at sample 10 begins 90 samples too early"),
    ],
)
def test_what_does_not_belong_together_is_refused_in_one_line(tmp_path, other, said):
    with a_recorder(tmp_path / "raw.bdf") as recorder:
        recorder.append(ramp(0, 100))
    with a_recorder(tmp_path / "raw-0002.bdf", **other) as recorder:
        recorder.append(ramp(10, 100))
    with pytest.raises(ValueError, match=said) as caught:
        together(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_foreign_file_has_no_further_segments(tmp_path):
    signals = [
        edfio.BdfSignal(np.zeros(100), 100, label=label, physical_dimension="uV", physical_range=(-1, 1))
        for label in ("CP3", "Status")
    ]
    for name in ("raw.bdf", "raw-0002.bdf"):
        edfio.Bdf(signals).write(tmp_path / name)
    with pytest.raises(ValueError, match="segment 2 is no continuation"):
        together(tmp_path)


def test_names_of_segments_sort_by_number_and_no_other_name_is_one():
    names = [segment_name(n) for n in (1, 2, 10, 9999, 10_000)]
    assert names == ["raw.bdf", "raw-0002.bdf", "raw-0010.bdf", "raw-9999.bdf", "raw-10000.bdf"]
    assert [segment_number(name) for name in names] == [1, 2, 10, 9999, 10_000]
    others = [
        "raw-0001.bdf",
        "raw-00002.bdf",
        "raw-2.bdf",
        "raw-0002.crc",
        "raw.edf",
        "a raw.bdf",
        "raw-.bdf",
    ]
    assert not any(segment_number(name) for name in others)
    for beside in itertools.islice(itertools.permutations(names), 0, 120, 7):
        assert segments_of("raw.bdf", [*beside, *others]) == tuple(names)
    assert segments_of("raw-0002.bdf", names) == ("raw-0002.bdf",)
    assert segments_of("else.bdf", names) == ("else.bdf",)
    assert segments_of("raw.bdf", []) == ("raw.bdf",)
