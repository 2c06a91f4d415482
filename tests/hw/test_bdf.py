"""EDF and BDF bytes: encode and decode are inverse, limits carry every gain, hostile bytes give one line."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.bdf import Header, Signal, decode_header, encode_header, format_number
from hw.bdf_annotations import Annotation, decode_tals, encode_tal, encode_tals, encode_timekeeping
from hw.bdf_limits import choose_limits, choose_record
from hw.bdf_records import decode_record, decode_records, encode_record
from hw.raw_bdf import (
    Origin,
    annotation_signal,
    gap_text,
    note_text,
    parse_gap,
    parse_recording_field,
    recording_field,
)
from hw.samples import Gap

GAINS = (1, 2, 4, 6, 8, 12, 24)


def a_header(bytes_per_sample=3, n_signals=2, samples_per_record=5, annotations=True):
    top = 2 ** (8 * bytes_per_sample - 1)
    signals = [
        Signal(f"CP{k}", "uV", -187500.0, 187500.0, -top, top - 1, samples_per_record, "cup", "HP:0.1Hz")
        for k in range(n_signals)
    ]
    if annotations:
        tail = annotation_signal(40)
        signals.append(replace(tail, digital_min=-top, digital_max=top - 1))
    return Header(
        bytes_per_sample,
        "X X X X case-7",
        "Startdate 23-NOV-2026 X X bench",
        datetime(2026, 11, 23, 17, 4, 9),
        "BDF+C" if bytes_per_sample == 3 else "EDF+C",
        -1,
        0.1,
        tuple(signals),
    )


field_text = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8)


@st.composite
def headers(draw):
    size = draw(st.sampled_from((2, 3)))
    top = 2 ** (8 * size - 1)
    signals = draw(
        st.lists(
            st.builds(
                Signal,
                field_text,
                field_text,
                st.integers(-9_999_999, -1).map(float),
                st.integers(1, 99_999_999).map(float) | st.sampled_from((0.1, 187499.9, 0.000123)),
                st.integers(-top, -1),
                st.integers(0, top - 1),
                st.integers(1, 99999),
                field_text,
                field_text,
            ),
            min_size=1,
            max_size=4,
        )
    )
    start = draw(st.datetimes(datetime(1985, 1, 1), datetime(2084, 12, 31))).replace(microsecond=0)
    n_records, duration_s = (
        draw(st.integers(-1, 99_999_999)),
        draw(st.sampled_from((0.1, 0.149914, 1.0, 30.0))),
    )
    return Header(
        size,
        draw(field_text),
        draw(field_text),
        start,
        draw(field_text),
        n_records,
        duration_s,
        tuple(signals),
    )


@given(headers())
def test_header_round_trip(header):
    encoded = encode_header(header)
    assert len(encoded) == header.header_bytes
    assert decode_header(encoded) == header


def test_header_bytes_are_where_the_standard_puts_them():
    encoded = encode_header(a_header(n_signals=1))
    assert encoded[:8] == b"\xffBIOSEMI"
    assert encoded[168:184] == b"23.11.2617.04.09"
    assert encoded[184:192] == b"768     "
    assert encoded[192:197] == b"BDF+C"
    assert encoded[236:256] == b"-1      0.1     2   "
    assert encoded[256:288] == b"CP0             BDF Annotations "
    assert encoded[256 + 2 * 104 : 256 + 2 * 112] == b"-187500 -1      "
    assert encoded[256 + 2 * 216 : 256 + 2 * 224] == b"5       40      "
    assert encode_header(a_header(bytes_per_sample=2))[:8] == b"0       "


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (187500, "187500"),
        (-187500, "-187500"),
        (0.1, "0.1"),
        (-4.5e6, "-4500000"),
        (0.149914, "0.149914"),
        (-0.0, "0"),
    ],
)
def test_numbers_fit_eight_characters(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize("value", [1 / 3, 187499.97765, 1e8, -1e7, float("nan"), float("inf")])
def test_a_number_that_does_not_fit_is_refused(value):
    with pytest.raises(ValueError, match=r"does not fit|not a number"):
        format_number(value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"patient": "x" * 81}, "patient"),
        ({"recording": "Zürich"}, "recording"),
        ({"start": datetime(1984, 1, 1)}, "start year"),
        ({"signals": ()}, "number of signals"),
        ({"record_duration_s": 1 / 3}, "does not fit"),
    ],
)
def test_a_header_that_cannot_be_written_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        encode_header(replace(a_header(), **change))


HOSTILE = [
    (0, b"MP4     ", "not an EDF or BDF file"),
    (168, b"99.99.26", "no date"),
    (168, b"23/11/26", "dd.mm.yy"),
    (184, b"99999999", "header length"),
    (236, b"-2      ", "number of records"),
    (236, b"1_0     ", "number of records"),
    (244, b"0       ", "record duration"),
    (244, b"nan     ", "record duration"),
    (244, b"1e999   ", "record duration"),
    (252, b"0   ", "number of signals"),
    (252, b"9999", "number of signals"),
    (252, b"-1  ", "number of signals"),
    (256 + 3 * 104, b"-1,5    ", "physical minimum of 'CP0'"),
    (256 + 3 * 104, b"187500  ", "equal physical limits"),
    (256 + 3 * 104, b"-1e300  ", "physical minimum of 'CP0'"),
    (256 + 3 * 120, b"8388607 ", "digital limits"),
    (256 + 3 * 128, b"99999999", "digital limits"),
    (256 + 3 * 216, b"0       ", "samples per record"),
    (256 + 3 * 216, b"        ", "samples per record"),
]


@pytest.mark.parametrize(("at", "patch", "said"), HOSTILE)
def test_hostile_header_fields_give_one_line(at, patch, said):
    data = bytearray(encode_header(a_header()))
    data[at : at + len(patch)] = patch
    with pytest.raises(ValueError, match=said) as caught:
        decode_header(bytes(data))
    assert "\n" not in str(caught.value)


def test_a_header_cut_anywhere_is_refused():
    data = encode_header(a_header())
    for length in range(0, len(data), 37):
        with pytest.raises(ValueError, match="cut off"):
            decode_header(data[:length])


@pytest.mark.control("H16.4")
@given(st.integers(0, 1023), st.integers(1, 255))
@settings(max_examples=300)
def test_any_flipped_byte_decodes_or_gives_one_line(at, flip):
    data = bytearray(encode_header(a_header()))
    data[at] ^= flip
    try:
        decode_header(bytes(data))
    except ValueError as error:
        assert str(error)
        assert "\n" not in str(error)


@pytest.mark.control("H16.4")
@given(st.binary(max_size=700))
def test_any_bytes_decode_or_give_one_line(data):
    try:
        decode_header(b"\xffBIOSEMI" + data)
    except ValueError as error:
        assert "\n" not in str(error)


@given(st.data(), st.sampled_from((2, 3)))
def test_record_round_trip(data, size):
    header = a_header(bytes_per_sample=size)
    low, high = header.count_range
    count = st.integers(low, high) | st.sampled_from((low, high, -1, 0, 1))
    rows = np.array(
        data.draw(st.lists(st.lists(count, min_size=5, max_size=5), min_size=2, max_size=2)), np.int32
    )
    notes = (Annotation(12.25, None, "µV late"), Annotation(12.3, 0.5, "cough"))
    encoded = encode_record(header, list(rows), 12.2, notes)
    assert len(encoded) == header.record_bytes
    counts, onset_s, annotations = decode_record(header, encoded)
    np.testing.assert_array_equal(counts, rows)
    assert (onset_s, annotations) == (12.2, notes)
    both = decode_records(header, encoded * 3, (1, 0))
    assert both.dtype == np.int32
    np.testing.assert_array_equal(both, np.tile(rows[::-1].T, (3, 1)))


def test_counts_are_little_endian_twos_complement():
    header = a_header(n_signals=1, samples_per_record=3, annotations=False)
    assert encode_record(header, [np.array([1, -2, -(2**23)], np.int32)]) == bytes.fromhex(
        "010000 feffff 000080"
    )


@pytest.mark.parametrize(
    ("rows", "annotations", "said"),
    [
        ([[0] * 5], (), "2 signals, got 1"),
        ([[0] * 5, [0] * 4], (), "samples per record"),
        ([[0] * 5, [0, 0, 0, 0, 2**23]], (), "outside"),
        ([[0] * 5, [0, 0, 0, 0, -(2**23) - 1]], (), "outside"),
        ([[0] * 5] * 2, (Annotation(0, None, "x" * 120),), "a record has 120"),
    ],
)
def test_a_record_that_cannot_be_written_is_refused(rows, annotations, said):
    with pytest.raises(ValueError, match=said):
        encode_record(a_header(), [np.array(r, np.int32) for r in rows], 0.0, annotations)


def test_bytes_that_are_not_whole_records_are_refused():
    header = a_header()
    with pytest.raises(ValueError, match="whole records"):
        decode_records(header, bytes(header.record_bytes + 1), (0,))
    with pytest.raises(ValueError, match="a record has"):
        decode_record(header, bytes(header.record_bytes - 1))
    with pytest.raises(ValueError, match="same samples"):
        decode_records(header, bytes(header.record_bytes), (0, 2))
    with pytest.raises(ValueError, match="need an annotation signal"):
        encode_record(
            a_header(annotations=False), [np.zeros(5, np.int32)] * 2, 0, (Annotation(0, None, "x"),)
        )


@given(
    st.floats(-1e6, 1e6),
    st.none() | st.floats(0, 1e5),
    st.text(
        st.characters(exclude_characters="\0\x14\x15", exclude_categories=("Cs",)), min_size=1, max_size=30
    ),
)
def test_annotation_round_trip(onset_s, duration_s, text):
    keeping, found = decode_tals(encode_tals(3.5, (Annotation(onset_s, duration_s, text),), 400))
    assert keeping == 3.5
    (back,) = found
    assert back.text == text
    assert back.onset_s == pytest.approx(onset_s, abs=1e-7)
    assert back.duration_s == (None if duration_s is None else pytest.approx(duration_s, abs=1e-7))


def test_annotation_bytes_are_the_standards():
    assert encode_timekeeping(567.0) == b"+567\x14\x14\x00"
    assert encode_tal(Annotation(180, None, "Lights off")) == b"+180\x14Lights off\x14\x00"
    assert encode_tal(Annotation(1800.2, 25.5, "Apnea")) == b"+1800.2\x1525.5\x14Apnea\x14\x00"
    keeping, found = decode_tals(b"+0\x14\x14Recording starts\x14\x00-0.1\x14a\x14b\x14\x00\x00")
    assert keeping == 0
    assert [(a.onset_s, a.text) for a in found] == [(0, "Recording starts"), (-0.1, "a"), (-0.1, "b")]


@pytest.mark.parametrize(
    "data", [b"+1.0", b"180\x14a\x14\x00", b"+1\x15-2\x14a\x14\x00", b"+9999999999\x14a\x14\x00", b"\xff"]
)
def test_bytes_that_are_no_annotation_are_refused(data):
    with pytest.raises(ValueError, match="not a time-stamped annotation"):
        decode_tals(data)


@pytest.mark.parametrize(
    "bad",
    [
        Annotation(0, None, ""),
        Annotation(0, None, "a\x14b"),
        Annotation(0, -1, "a"),
        Annotation(1e10, None, "a"),
    ],
)
def test_an_annotation_that_cannot_be_written_is_refused(bad):
    with pytest.raises(ValueError, match="annotation"):
        encode_tal(bad)


@pytest.mark.parametrize("gain", GAINS)
def test_every_gain_reads_back_bit_for_bit(gain):
    lsb_uv = 4.5e6 / gain / 2**23
    limits = choose_limits(lsb_uv, 0.0)
    signal = Signal("CP3", "uV", *limits, 5)
    back = decode_header(encode_header(replace(a_header(), signals=(signal,)))).signals[0]
    assert back.scale == lsb_uv
    assert back.offset == 0.0
    assert limits[2] == -(2**23)
    assert limits[0] == -4.5e6 / gain
    assert limits[3] >= 2**23 * 7 // 8


@given(st.floats(1e-5, 100), st.floats(-1000, 1000))
@settings(max_examples=15, deadline=None)
def test_any_scale_is_carried_to_a_billionth_or_refused(lsb_uv, offset_counts):
    try:
        limits = choose_limits(lsb_uv, offset_counts * lsb_uv)
    except ValueError as error:
        assert "fits no header field" in str(error)
        return
    signal = decode_header(
        encode_header(replace(a_header(), signals=(Signal("", "uV", *limits, 5),)))
    ).signals[0]
    assert signal.scale == pytest.approx(lsb_uv, rel=1e-9)
    assert signal.offset == pytest.approx(offset_counts * lsb_uv, abs=1e-9 * lsb_uv * 2**23)


@pytest.mark.parametrize("scale", [(0.0, 0.0), (float("nan"), 0.0), (1.0, float("inf")), (1e9, 0.0)])
def test_a_scale_that_no_header_carries_is_refused(scale):
    with pytest.raises(ValueError, match="scale"):
        choose_limits(*scale)


@pytest.mark.parametrize(
    ("rate_hz", "record"),
    [
        (250, (25, 0.1)),
        (16000, (1600, 0.1)),
        (512, (128, 0.25)),
        (256, (64, 0.25)),
        (24414, (12207, 0.5)),
        (1001, (1001, 1.0)),
        (15, (3, 0.2)),
    ],
)
def test_the_shortest_record_of_whole_samples_is_taken(rate_hz, record):
    assert choose_record(rate_hz) == record


@pytest.mark.parametrize("rate_hz", [24413.997358485532, 100 / 3, 1000.37, 4000.004])
def test_other_rates_are_carried_by_the_best_fraction(rate_hz):
    n_samples, duration_s = choose_record(rate_hz)
    assert n_samples / float(format_number(duration_s)) == pytest.approx(rate_hz, rel=1e-9)
    assert 0.09 < duration_s <= 1.0


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_an_impossible_rate_is_refused(rate_hz):
    with pytest.raises(ValueError, match="cannot be recorded"):
        choose_record(rate_hz)


@given(st.integers(0, 10**13), st.integers(-(10**9), 10**9).map(lambda n: n / 10**6))
def test_recording_field_round_trip(first_index, offset):
    text = recording_field(datetime(2026, 11, 23), Origin(first_index, offset))
    assert text.startswith("Startdate 23-NOV-2026 X X evokd ")
    assert parse_recording_field(text) == Origin(first_index, offset)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Startdate 23-NOV-2026 X X BioSemi",
        "Startdate X X X evokd offset=nan first=0",
        "Startdate X X X evokd offset=a first=0",
    ],
)
def test_foreign_recording_fields_are_foreign(text):
    assert parse_recording_field(text) is None


def test_recording_field_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="longer than 80"):
        recording_field(datetime(2026, 11, 23), Origin(10**17, -0.12345678901234567))
    with pytest.raises(ValueError, match="latency offset"):
        recording_field(datetime(2026, 11, 23), Origin(0, float("nan")))


@given(
    st.builds(
        Gap,
        st.integers(0, 10**17),
        st.integers(1, 10**17),
        st.sampled_from(("missed", "torn", "link", "overflow", "file")),
    )
)
def test_gap_text_round_trip(gap):
    assert parse_gap(gap_text(gap)) == gap


@given(st.text(max_size=300))
def test_a_note_is_one_short_line_and_never_a_gap(text):
    note = note_text(text, 160)
    assert 0 < len(note.encode()) <= 160
    assert note.isprintable()
    assert parse_gap(note) is None


def test_a_note_that_reads_like_a_gap_is_kept_apart():
    assert note_text("gap missed 3 at 5", 160) == "note gap missed 3 at 5"
    assert parse_gap("gap missed 0 at 5") is None
