"""Rows of boards of several chips: star and daisy chain, dummy bits found from headers, a slow twin."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hw.frames import FrameLayout, decode_board, decode_frames, encode_frame, find_gap_bits

COUNT = st.integers(-(1 << 23), (1 << 23) - 1)
LAYOUTS = st.builds(
    lambda channels, gap: FrameLayout(tuple(channels), gap is not None, gap or 0),
    st.lists(st.sampled_from((4, 6, 8)), min_size=1, max_size=4),
    st.sampled_from((None, 0, 1)),
)


def row_of(frames: list[bytes], gap_bits: int, filler: int = 0) -> bytes:
    """Frames with dummy bits of value `filler` between them, as one row: by text, slowly."""
    dummy = str(filler) * gap_bits
    bits = dummy.join("".join(f"{byte:08b}" for byte in frame) for frame in frames)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[k : k + 8], 2) for k in range(0, len(bits), 8))


def rows_of(layout: FrameLayout, n: int, filler: int = 0, seed: int = 1) -> NDArray[np.uint8]:
    """n rows of noise counts under good headers, one byte longer than the frames."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        counts = [random.integers(-(1 << 23), 1 << 23, count).tolist() for count in layout.channels]
        rows.append(
            row_of([encode_frame(c, 5) for c in counts], layout.gap_bits, filler).ljust(
                sum(layout.frame_bytes) + 1, b"\0"
            )
        )
    return np.frombuffer(b"".join(rows), np.uint8).reshape(n, -1)


@given(LAYOUTS, st.data())
def test_every_chip_comes_back_from_its_place_in_the_row(layout: FrameLayout, data: st.DataObject) -> None:
    counts = [data.draw(st.lists(COUNT, min_size=c, max_size=c)) for c in layout.channels]
    flags = [[data.draw(st.integers(0, (1 << c) - 1)) for _ in range(2)] for c in layout.channels]
    gpio = data.draw(st.lists(st.integers(0, 15), min_size=layout.chips, max_size=layout.chips))
    frames = [encode_frame(c, g, p, n) for c, g, (p, n) in zip(counts, gpio, flags, strict=True)]
    row = row_of(frames, layout.gap_bits, data.draw(st.integers(0, 1)))
    assert len(row) == layout.row_bytes
    lines = data.draw(st.integers(0, 8))
    decoded = decode_board(np.frombuffer(row, np.uint8)[None, :], layout, lines)
    assert decoded.counts.tolist() == [list(chain.from_iterable(counts))]
    assert decoded.counts.dtype == np.int32
    second = gpio[1] << 4 if lines > 4 and layout.chips > 1 else 0
    assert decoded.trigger_bits.tolist() == [gpio[0] | second]
    assert decoded.trigger_bits.dtype == np.uint8
    assert decoded.chip_gpio.tolist() == [gpio]
    assert decoded.header_ok.tolist() == [True]
    assert decoded.chip_header_ok.tolist() == [[True] * layout.chips]
    for got, side in ((decoded.lead_off_p, 0), (decoded.lead_off_n, 1)):
        bits = "".join(f"{flags[k][side]:0{c}b}" for k, c in reversed(list(enumerate(layout.channels))))
        assert got.dtype == np.uint32
        assert got.tolist() == [int(bits, 2)]


def test_one_chip_decodes_as_without_a_board() -> None:
    raw = np.random.default_rng(3).integers(0, 256, (500, 27), dtype=np.uint8)
    one, board = decode_frames(raw), decode_board(raw, FrameLayout((8,)))
    for name in ("counts", "trigger_bits", "lead_off_p", "lead_off_n", "header_ok"):
        assert np.array_equal(getattr(one, name), getattr(board, name)), name


def test_a_lost_header_is_that_chips_and_the_rows() -> None:
    layout = FrameLayout((8, 8, 4))
    rows = rows_of(layout, 5).copy()
    rows[1, 27] = 0x40
    rows[3, 0] = 0
    decoded = decode_board(rows, layout)
    assert decoded.header_ok.tolist() == [True, False, True, False, True]
    assert np.argwhere(~decoded.chip_header_ok).tolist() == [[1, 1], [3, 0]]


def test_flags_of_channels_that_a_chip_lacks_do_not_reach_the_next_chips() -> None:
    frames = encode_frame([0] * 4, 0, 0xF1, 0x82) + encode_frame([0] * 8, 0, 0x01, 0x00)
    decoded = decode_board(np.frombuffer(frames, np.uint8)[None, :], FrameLayout((4, 8)))
    assert decoded.lead_off_p.tolist() == [0b1_0001]
    assert decoded.lead_off_n.tolist() == [0b0_0010]


def test_where_frames_and_headers_lie() -> None:
    star = FrameLayout((8, 4, 6))
    assert (star.frame_bytes, star.row_bytes, star.total_channels) == ((27, 15, 21), 63, 18)
    assert star.first_bits == (0, 216, 336)
    daisy = FrameLayout((8, 8, 8, 8), daisy=True, gap_bits=1)
    assert daisy.first_bits == (0, 217, 434, 651)
    assert daisy.row_bytes == 109


@pytest.mark.parametrize(
    ("channels", "daisy", "gap", "message"),
    [
        ((), False, 0, "1 to 4 chips, got 0"),
        ((8,) * 5, False, 0, "1 to 4 chips, got 5"),
        ((8, 7), False, 0, "4, 6 or 8 channels"),
        ((8, 8), False, 1, "1 gap bits"),
        ((8, 8), True, 2, "2 gap bits"),
    ],
)
def test_boards_that_cannot_be_are_refused(
    channels: tuple[int, ...], daisy: bool, gap: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        FrameLayout(channels, daisy, gap)


def test_rows_of_another_shape_are_refused() -> None:
    layout = FrameLayout((8, 8))
    with pytest.raises(ValueError, match=r"rows of 54 uint8 are expected, got \(3, 53\) uint8"):
        decode_board(np.zeros((3, 53), np.uint8), layout)
    with pytest.raises(ValueError, match="int8"):
        decode_board(np.zeros((3, 54), np.int8), layout)  # type: ignore[arg-type]
    assert decode_board(np.zeros((0, 54), np.uint8), layout).counts.shape == (0, 16)


@pytest.mark.parametrize("channels", [(8, 8), (4, 4), (6, 6, 6), (8, 8, 8, 8)])
@pytest.mark.parametrize("gap", [0, 1])
@pytest.mark.parametrize("filler", [0, 1])
def test_dummy_bits_are_found_from_the_headers(channels: tuple[int, ...], gap: int, filler: int) -> None:
    rows = rows_of(FrameLayout(channels, True, gap), 12, filler)
    assert find_gap_bits(rows, channels) == gap


def test_a_torn_row_has_no_vote_but_one_that_disagrees_has() -> None:
    rows = rows_of(FrameLayout((8, 8), True, 1), 6).copy()
    rows[2] = 0
    assert find_gap_bits(rows, (8, 8)) == 1
    rows[4] = rows_of(FrameLayout((8, 8), True, 0), 1)[0]
    with pytest.raises(ValueError, match="of 6 rows 5 begin with a header, 1 fit 0 gap bits and 4 fit 1"):
        find_gap_bits(rows, (8, 8))


def test_a_dead_chip_in_the_chain_is_named() -> None:
    rows = rows_of(FrameLayout((8, 8, 8), True, 0), 8).copy()
    rows[:, 54:] = 0
    with pytest.raises(ValueError, match="from DOUT of chip 3 to DAISY_IN of chip 2") as caught:
        find_gap_bits(rows, (8, 8, 8))
    assert "\n" not in str(caught.value)


def test_three_rows_do_not_decide() -> None:
    rows = rows_of(FrameLayout((8, 8), True, 0), 4)
    assert find_gap_bits(rows, (8, 8)) == 0
    with pytest.raises(ValueError, match="of 3 rows 3 begin"):
        find_gap_bits(rows[:3], (8, 8))
    assert find_gap_bits(np.zeros((0, 28), np.uint8), (8,)) == 0  # a single chip has no gap
