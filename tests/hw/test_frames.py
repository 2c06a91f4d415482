"""Frame bytes to counts and back: golden values, properties, and an independent slow decoder."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hw.frames import decode_frames, encode_frame, lsb_uv, pack24, unpack24

COUNT = st.integers(-(1 << 23), (1 << 23) - 1)


def slow_counts(data: bytes) -> list[int]:
    return [int.from_bytes(data[k : k + 3], "big", signed=True) for k in range(0, len(data), 3)]


def test_golden_values() -> None:
    raw = np.frombuffer(bytes.fromhex("000001 7FFFFF 800000 FFFFFF"), np.uint8).reshape(1, 12)
    counts = unpack24(raw)
    assert counts.dtype == np.int32
    assert counts.tolist() == [[1, 8388607, -8388608, -1]]
    assert pack24(counts).tobytes() == raw.tobytes()


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 20), st.integers(0, 8).map(lambda c: 3 * c))))
def test_unpack_is_the_slow_decoder_and_pack_its_inverse(raw: NDArray[np.uint8]) -> None:
    counts = unpack24(raw)
    assert counts.tolist() == [slow_counts(row.tobytes()) for row in raw]
    assert np.array_equal(pack24(counts), raw)


@given(hnp.arrays(np.int32, st.tuples(st.integers(0, 20), st.integers(0, 8)), elements=COUNT))
def test_pack_then_unpack_gives_the_counts_back(counts: NDArray[np.int32]) -> None:
    assert np.array_equal(unpack24(pack24(counts)), counts)


def test_strided_and_read_only_rows_are_decoded_too() -> None:
    raw = np.random.default_rng(5).integers(0, 256, (30, 60), dtype=np.uint8)
    view = raw[::3, 30:57]
    view.setflags(write=False)
    assert unpack24(view).tolist() == [slow_counts(row.tobytes()) for row in view]
    assert decode_frames(view).counts.tolist() == [slow_counts(row.tobytes()[3:]) for row in view]


@pytest.mark.parametrize("value", [1 << 23, -(1 << 23) - 1, 1 << 40])
def test_pack_clips_nothing(value: int) -> None:
    counts = np.zeros((3, 8), np.int64)
    counts[1, 5] = value
    with pytest.raises(ValueError, match=f"{value} in row 1, channel 5 needs more than 24 bits"):
        pack24(counts)


def test_other_shapes_and_types_are_refused() -> None:
    with pytest.raises(ValueError, match="unpack24"):
        unpack24(np.zeros((2, 25), np.uint8))
    with pytest.raises(ValueError, match="unpack24"):
        unpack24(np.zeros((2, 24), np.int8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="decode_frames"):
        decode_frames(np.zeros(27, np.uint8))
    with pytest.raises(ValueError, match="status word"):
        decode_frames(np.zeros((4, 3), np.uint8))
    with pytest.raises(ValueError, match="pack24"):
        pack24(np.zeros((2, 8)))  # type: ignore[type-var]


def test_status_bits_are_where_the_datasheet_puts_them() -> None:
    # 1100 P8..P1 N8..N1 G4..G1, with P = 0x81, N = 0x3C, GPIO = 0b1010
    frame = bytes.fromhex("C813CA") + bytes(24)
    decoded = decode_frames(np.frombuffer(frame, np.uint8).reshape(1, 27))
    assert decoded.lead_off_p.tolist() == [0x81]
    assert decoded.lead_off_n.tolist() == [0x3C]
    assert decoded.trigger_bits.tolist() == [0b1010]
    assert decoded.header_ok.tolist() == [True]
    assert frame == encode_frame([0] * 8, 0b1010, 0x81, 0x3C)


@given(
    st.sampled_from((4, 6, 8)).flatmap(lambda n: st.lists(COUNT, min_size=n, max_size=n)),
    st.integers(0, 15),
    st.integers(0, 255),
    st.integers(0, 255),
)
def test_encode_frame_is_the_inverse_of_decode(
    counts: list[int], gpio: int, lead_p: int, lead_n: int
) -> None:
    frame = encode_frame(counts, gpio, lead_p, lead_n)
    assert len(frame) == 3 + 3 * len(counts)
    decoded = decode_frames(np.frombuffer(frame, np.uint8).reshape(1, -1))
    assert decoded.counts.tolist() == [counts]
    assert decoded.counts.dtype == np.int32
    assert (decoded.trigger_bits[0], decoded.lead_off_p[0], decoded.lead_off_n[0]) == (gpio, lead_p, lead_n)
    assert decoded.trigger_bits.dtype == decoded.lead_off_p.dtype == np.uint8
    assert decoded.header_ok.tolist() == [True]


def test_only_1100_is_a_header() -> None:
    raw = np.zeros((256, 27), np.uint8)
    raw[:, 0] = np.arange(256)
    assert np.flatnonzero(decode_frames(raw).header_ok).tolist() == list(range(0xC0, 0xD0))


def test_no_frames_are_no_samples() -> None:
    decoded = decode_frames(np.zeros((0, 27), np.uint8))
    assert decoded.counts.shape == (0, 8)
    assert decoded.header_ok.shape == (0,)


def test_encode_frame_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="24 bits"):
        encode_frame([0] * 7 + [1 << 23])
    with pytest.raises(ValueError, match="24 bits"):
        encode_frame([0] * 7 + [-(1 << 23) - 1])
    for status in ((16, 0, 0), (0, 256, 0), (0, 0, -1)):
        with pytest.raises(ValueError, match="status fields"):
            encode_frame([0] * 8, *status)


@pytest.mark.parametrize(
    ("gain", "lsb_nv"),
    [(1, 536.44), (2, 268.22), (4, 134.11), (6, 89.41), (8, 67.06), (12, 44.70), (24, 22.35)],
)
def test_lsb_is_the_datasheets(gain: int, lsb_nv: float) -> None:
    assert lsb_uv(gain) * 1000 == pytest.approx(lsb_nv, abs=0.006)
    assert lsb_uv(gain) * (1 << 23) == pytest.approx(4.5e6 / gain, rel=1e-12)


def test_lsb_follows_the_reference_and_refuses_nonsense() -> None:
    assert lsb_uv(1, vref_v=2.25) == pytest.approx(lsb_uv(2))
    for gain, vref_v in ((0, 4.5), (-1, 4.5), (1, 0.0), (float("nan"), 4.5)):
        with pytest.raises(ValueError, match="positive"):
            lsb_uv(gain, vref_v)
