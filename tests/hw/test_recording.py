"""Reading recordings: labels, units, triggers and gaps come out as blocks; refusals are one line."""

import io
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from hw.bdf import Header, Signal, encode_header
from hw.bdf_annotations import Annotation
from hw.bdf_records import encode_record
from hw.raw_bdf import Origin, annotation_signal, gap_text, recording_field, trigger_signal
from hw.recording import RecordingReader, TriggerMap
from hw.samples import Gap
from tests.support.mouse_abr import ANNOTATION, CHANNEL, FULL_SCALE_UV, RATE_HZ, TRIGGER, write_mouse_abr

N = 10
START = datetime(2026, 11, 23, 8, 0, 0)


def channel(label, unit="uV", limits=(-(2.0**23), 2.0**23 - 1), samples=N):
    return Signal(label, unit, *limits, -(2**23), 2**23 - 1, samples)


PAIR = (channel("CP3"), channel("CP4"), trigger_signal(N))


def a_file(
    signals=PAIR,
    n_records=3,
    notes=(),
    onsets_s=None,
    reserved="BDF+C",
    recording="Startdate 23-NOV-2026 X X bench",
    stated=None,
    values=None,
):
    """A file at 100 Hz; signal k holds 1000 k + sample number, or `values` (signal, time)."""
    signals = (*signals, replace(annotation_signal(100), samples_per_record=100))
    header = Header(3, "X X X X", recording, START, reserved, stated or n_records, 0.1, signals)
    total = n_records * N
    if values is None:
        values = np.arange(total) + 1000 * np.arange(len(signals) - 1)[:, None]
    values = np.asarray(values, np.int32)
    parts = [encode_header(header)]
    for k in range(n_records):
        rows = [
            values[j, k * N : k * N + s.samples_per_record]
            for j, s in enumerate(signals)
            if not s.is_annotations
        ]
        onset_s = 0.1 * k if onsets_s is None else onsets_s[k]
        # All notes stand in the last record: later than their time, as the standard allows.
        parts.append(encode_record(header, rows, onset_s, notes if k == n_records - 1 else ()))
    return io.BytesIO(b"".join(parts))


def joined(reader, size=7):
    blocks = list(reader.blocks(size))
    return (
        np.concatenate([b.counts for b in blocks]),
        np.concatenate([b.trigger_bits for b in blocks]),
        blocks,
    )


def test_blocks_are_the_files_counts():
    reader = RecordingReader(a_file())
    counts, bits, blocks = joined(reader)
    assert reader.channels == ("CP3", "CP4")
    assert reader.rate_hz == 100.0
    assert (reader.lsb_uv, reader.offset_uv) == ((1.0, 1.0), (0.0, 0.0))
    assert (reader.n_samples, reader.torn_bytes, reader.latency_offset_samples, reader.first_index) == (
        30,
        0,
        0,
        0,
    )
    np.testing.assert_array_equal(counts, np.arange(30)[:, None] + [0, 1000])
    np.testing.assert_array_equal(bits, (np.arange(30) + 2000) & 0xFF)
    assert [len(b.counts) for b in blocks] == [7, 7, 7, 7, 2]
    assert [b.first_index for b in blocks] == [0, 7, 14, 21, 28]
    assert [b.t_ns for b in blocks] == [60_000_000, 130_000_000, 200_000_000, 270_000_000, 290_000_000]
    assert blocks[0].counts.dtype == np.int32
    assert blocks[0].counts.flags.c_contiguous
    assert not blocks[0].counts.flags.writeable
    assert not blocks[0].trigger_bits.flags.writeable


@pytest.mark.parametrize("size", [1, 9, 10, 11, 30, 1000])
def test_any_block_length_gives_the_same_samples(size):
    counts, _, blocks = joined(RecordingReader(a_file()), size)
    np.testing.assert_array_equal(counts[:, 0], np.arange(30))
    assert max(len(b.counts) for b in blocks) == min(size, 30)


def test_reads_larger_than_a_chunk_join_without_a_seam(monkeypatch):
    monkeypatch.setattr("hw.recording._CHUNK_BYTES", 1000)
    counts, _, _ = joined(RecordingReader(a_file(n_records=50)), 13)
    np.testing.assert_array_equal(counts[:, 1], 1000 + np.arange(500))


def test_channels_are_chosen_in_order_and_renamed():
    reader = RecordingReader(a_file(), ("right", "cp3 "), TriggerMap(labels={"right": "CP4"}))
    counts, _, _ = joined(reader)
    assert reader.channels == ("right", "cp3 ")
    np.testing.assert_array_equal(counts[0], [1000, 0])


def test_an_exact_label_wins_over_one_that_differs_in_case():
    reader = RecordingReader(a_file((channel("cp3"), channel("CP3"), trigger_signal(N))), ("CP3",))
    assert joined(reader)[0][0, 0] == 1000


@pytest.mark.parametrize(
    ("unit", "lsb_uv"),
    [("uV", 0.5), ("\u00b5V", 0.5), ("\u03bcV", 0.5), ("mV", 500.0), ("V", 5e5), ("nV", 5e-4)],
)
def test_units_become_microvolts(unit, lsb_uv):
    signal = Signal("CP3", "uV", -4194302.0, 4194304.0, -8388606, 8388606, N)
    data = bytearray(a_file((signal, trigger_signal(N))).getvalue())
    at = 256 + 3 * 96
    data[at : at + 8] = unit.encode().ljust(8)
    reader = RecordingReader(io.BytesIO(data), ("CP3",))
    assert reader.lsb_uv == pytest.approx((lsb_uv,))
    assert reader.offset_uv == pytest.approx((2 * lsb_uv,))


def test_sixteen_bit_files_are_read():
    values = np.array([[-32768, 32767, -1, 0, 1, 2, 3, 4, 5, 6], [0, 1, 3, 0, 0, 0, 0, 0, 0, 128]], np.int32)
    signals = (
        Signal("CP3", "uV", -3276.8, 3276.7, -32768, 32767, N),
        Signal("STATUS", "", -32768.0, 32767.0, -32768, 32767, N),
    )
    header = Header(2, "", "", START, "", 1, 0.1, signals)
    reader = RecordingReader(io.BytesIO(encode_header(header) + encode_record(header, list(values))))
    counts, bits, _ = joined(reader)
    np.testing.assert_array_equal(counts[:, 0], values[0])
    np.testing.assert_array_equal(bits, values[1])
    assert reader.lsb_uv == pytest.approx((0.1,))


MISSING = "is not in the recording; it has: CP3, CP4, Trigger"


@pytest.mark.parametrize(
    ("channels", "mapping", "said"),
    [
        (("C5",), TriggerMap(), f"channel 'C5' {MISSING}"),
        (("C5",), TriggerMap(labels={"C5": "E7"}), rf"channel 'C5' \(signal 'E7'\) {MISSING}"),
        (("CP3",), TriggerMap(trigger_channel="TTL"), f"trigger channel 'TTL' {MISSING}"),
        (("BDF Annotations",), TriggerMap(), MISSING),
        (("Trigger",), TriggerMap(), "is in '', expected uV"),
        (("CP3",), TriggerMap(annotations={"click": 9}), "line 9, expected 1 to 8"),
        (("CP3",), TriggerMap(annotations={"click": 1}), "'click' is not in the recording; it has: 'tone'"),
        ((), TriggerMap(), "no channel of the recording has a unit of voltage"),
    ],
)
def test_what_the_file_lacks_is_said_in_one_line(channels, mapping, said):
    with pytest.raises(ValueError, match=said) as caught:
        RecordingReader(a_file(notes=(Annotation(0.1, None, "tone"),)), channels, mapping)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        ((channel("CP3"), channel("CP4")), "no trigger source; .*it has: CP3, CP4"),
        ((channel("CP3"), channel("CP4", samples=5), trigger_signal(N)), "one rate; .*CP3 100 Hz, CP4 50 Hz"),
        ((channel("CP3"), trigger_signal(5)), "one rate; .*Trigger 50 Hz"),
        ((channel("CP3"), channel("CP3"), trigger_signal(N)), "2 times"),
        ((channel("CP3", "kPa"), trigger_signal(N)), "is in 'kPa', expected uV"),
    ],
)
def test_signals_that_do_not_fit_are_said_in_one_line(signals, said):
    with pytest.raises(ValueError, match=said):
        RecordingReader(a_file(signals), tuple(s.label for s in signals if s.label.startswith("CP")))


def test_without_a_choice_only_voltages_are_channels():
    reader = RecordingReader(a_file((channel("CP3"), channel("Temp", "degC"), trigger_signal(N))))
    assert reader.channels == ("CP3",)


def test_an_analogue_trigger_is_line_1_above_its_threshold():
    volts = channel("TTL", "V", (-5.0, 5.0))
    raw = np.round(np.array([0, 1, 2.4, 2.6, 5, 4.9, 0, 0, 0, 3]) / volts.scale).clip(-(2**23), 2**23 - 1)
    file = a_file((channel("CP3"), volts), 1, values=np.vstack([np.zeros(N), raw]))
    reader = RecordingReader(file, ("CP3",), TriggerMap(trigger_channel="ttl", threshold=2.5))
    np.testing.assert_array_equal(joined(reader)[1], [0, 0, 0, 1, 1, 1, 0, 0, 0, 1])
    with pytest.raises(ValueError, match="'TTL' does not hold whole numbers; give a threshold"):
        joined(RecordingReader(file, ("CP3",), TriggerMap(trigger_channel="TTL")))


def test_a_scaled_trigger_channel_gives_its_physical_integers():
    signal = replace(channel("Stim", "", (0.0, 255.0)))
    raw = np.round((np.array([0, 1, 2, 4, 8, 255, 3, 0, 0, 0]) - signal.offset) / signal.scale)
    file = a_file((channel("CP3"), signal), 1, values=np.vstack([np.zeros(N), raw]))
    reader = RecordingReader(file, ("CP3",), TriggerMap(trigger_channel="Stim"))
    np.testing.assert_array_equal(joined(reader)[1], [0, 1, 2, 4, 8, 255, 3, 0, 0, 0])


def test_annotations_mark_the_nearest_sample_wherever_they_stand():
    notes = [
        Annotation(s, None, t)
        for s, t in ((0.0749, "left"), (0.1851, "Right "), (0.19, "left"), (0.0, "other"))
    ]
    mapping = TriggerMap(annotations={"left": 1, "right": 3})
    reader = RecordingReader(a_file(notes=notes), ("CP3",), mapping)
    _, bits, blocks = joined(reader)
    assert {int(k): int(bits[k]) for k in np.flatnonzero(bits)} == {7: 1, 19: 5}
    assert not blocks[1].trigger_bits.flags.writeable
    assert len(reader.annotations) == 4
    assert reader.annotation_index(reader.annotations[0]) == 7


def test_onsets_count_from_the_first_records_time():
    notes = (Annotation(0.55, None, "left"),)
    file = a_file(notes=notes, onsets_s=[0.5, 0.6, 0.7])
    reader = RecordingReader(file, ("CP3",), TriggerMap(annotations={"left": 1}))
    assert np.flatnonzero(joined(reader)[1]).tolist() == [5]


def own(first=0, offset=-0.5):
    return recording_field(START, Origin(first, offset))


def test_our_own_header_gives_index_and_latency_offset():
    reader = RecordingReader(a_file(recording=own(first=5000)))
    assert (reader.first_index, reader.latency_offset_samples) == (5000, -0.5)
    assert [b.first_index for b in reader.blocks(20)] == [5000, 5020]


def test_gaps_come_back_exactly_and_filler_never():
    gaps = [
        Gap(990, 10, "link"),
        Gap(1004, 3, "missed"),
        Gap(1007, 4, "torn"),
        Gap(1020, 1, "overflow"),
        Gap(1028, 2, "file"),
    ]
    notes = [Annotation(0.0, None, gap_text(g)) for g in reversed(gaps)]
    reader = RecordingReader(a_file(recording=own(first=1000), notes=notes), ("CP3",))
    counts, _, blocks = joined(reader, 100)
    assert [(b.first_index, len(b.counts), b.gaps) for b in blocks] == [
        (1000, 4, (gaps[0],)),
        (1011, 9, (gaps[1], gaps[2])),
        (1021, 7, (gaps[3],)),
    ]
    np.testing.assert_array_equal(counts[:, 0], [*range(4), *range(11, 20), *range(21, 28)])
    assert reader.n_samples == 28
    assert reader.annotations == ()


def test_gap_texts_in_a_foreign_file_are_only_texts():
    reader = RecordingReader(a_file(notes=[Annotation(0, None, "gap missed 3 at 4")]), ("CP3",))
    assert len(joined(reader)[0]) == 30
    assert [a.text for a in reader.annotations] == ["gap missed 3 at 4"]


@pytest.mark.control("H16.4")
@pytest.mark.parametrize(
    "gap", [Gap(0, 10**17, "link"), Gap(10**17, 5, "link"), Gap(29, 10**17, "link"), Gap(0, 30, "link")]
)
def test_hostile_gaps_never_break_the_walk(gap):
    reader = RecordingReader(a_file(recording=own(), notes=[Annotation(0, None, gap_text(gap))]), ("CP3",))
    rows = sum(len(b.counts) for b in reader.blocks(4))
    assert rows == max(0, 30 - max(0, min(gap.index + gap.length, 30) - min(gap.index, 30)))


def test_discontinuous_files_become_gaps():
    reader = RecordingReader(a_file(reserved="BDF+D", onsets_s=[3.0, 3.1, 3.45]), ("CP3",))
    counts, _, blocks = joined(reader, 100)
    assert [(b.first_index, len(b.counts), b.gaps) for b in blocks] == [
        (0, 20, ()),
        (45, 10, (Gap(20, 25, "file"),)),
    ]
    np.testing.assert_array_equal(counts[:, 0], np.arange(30))
    assert reader.n_samples == 55
    with pytest.raises(ValueError, match="record 1 begins 5 samples before"):
        RecordingReader(a_file(reserved="BDF+D", onsets_s=[3.0, 3.05, 3.15]))


@pytest.mark.parametrize("stated", [-1, 3, 99])
def test_a_torn_tail_is_dropped_and_reported(stated):
    data = a_file(stated=stated).getvalue()
    whole = RecordingReader(io.BytesIO(data))
    for cut in range(1, whole.header.record_bytes + 1, 41):
        reader = RecordingReader(io.BytesIO(data[:-cut]))
        assert reader.n_records == 2
        assert reader.torn_bytes == whole.header.record_bytes - cut
        np.testing.assert_array_equal(joined(reader)[0][:, 0], np.arange(20))


def test_bytes_behind_the_stated_records_are_no_samples():
    reader = RecordingReader(a_file(stated=2))
    assert (reader.n_samples, reader.torn_bytes) == (20, reader.header.record_bytes)


def test_a_file_without_records_gives_no_blocks():
    reader = RecordingReader(a_file(n_records=0, stated=-1), ("CP3",))
    assert list(reader.blocks(5)) == []
    assert reader.n_samples == 0


def test_damaged_annotations_cost_no_samples():
    file = a_file()
    data = bytearray(file.getvalue())
    at = data.index(b"+0.1\x14\x14")
    data[at : at + 4] = b"\xff\xff\xff\xff"
    reader = RecordingReader(io.BytesIO(data))
    assert reader.damaged_records == 1
    assert len(joined(reader)[0]) == 30


@pytest.mark.control("H16.4")
@pytest.mark.parametrize(("bytes_", "said"), [(b"", "cut off"), (b"x" * 300, "not an EDF or BDF file")])
def test_what_is_no_recording_is_refused(bytes_, said):
    with pytest.raises(ValueError, match=said):
        RecordingReader(io.BytesIO(bytes_))


def test_a_hostile_rate_is_refused():
    data = bytearray(a_file().getvalue())
    data[244:252] = b"1e-12   "
    with pytest.raises(ValueError, match="rate is"):
        RecordingReader(io.BytesIO(data))


def test_a_file_that_shrinks_while_read_is_said_in_one_line():
    file = a_file()
    reader = RecordingReader(file)
    file.truncate(len(file.getvalue()) - 100)
    with pytest.raises(ValueError, match="cut while being read"):
        list(reader.blocks(5))


def test_a_block_has_at_least_one_sample():
    with pytest.raises(ValueError, match="0 samples per block"):
        RecordingReader(a_file()).blocks(0)


@pytest.mark.parametrize("kind", ["edf-trigger", "bdf-trigger", "edf-annotations", "bdf-annotations"])
def test_real_sweeps_come_back_with_triggers_at_every_stimulus(tmp_path, kind):
    laid = write_mouse_abr(tmp_path / "abr", kind)
    by_signal = kind.endswith("trigger")
    mapping = TriggerMap(trigger_channel=TRIGGER) if by_signal else TriggerMap(annotations={ANNOTATION: 1})
    with (tmp_path / "abr").open("rb") as file:
        reader = RecordingReader(file, (CHANNEL,), mapping)
        counts, bits, _ = joined(reader, 500)
    assert reader.rate_hz == RATE_HZ
    rising = np.flatnonzero(np.diff(bits.astype(int), prepend=0) == 1)
    np.testing.assert_array_equal(rising, laid.trigger_indices)
    assert laid.n_sweeps > 800
    lsb_uv = 2 * FULL_SCALE_UV / (2 ** (16 if kind.startswith("edf") else 24) - 1)
    assert reader.lsb_uv[0] == pytest.approx(lsb_uv, rel=1e-12)
    uv = counts[:, 0] * reader.lsb_uv[0] + reader.offset_uv[0]
    assert np.abs(uv - laid.uv).max() <= 0.5001 * lsb_uv
