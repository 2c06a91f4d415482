"""Frames that an edge passes on undecoded are the samples that a decoder makes of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.frames import FrameLayout, decode_board, pack24
from hw.link import Rows
from hw.rows import block_of
from hw.samples import Gap


@given(st.integers(1, 4), st.sampled_from([4, 6, 8]), st.integers(1, 40), st.integers(0, 1 << 30), st.data())
def test_they_are_what_the_box_decodes(
    chips: int, channels: int, n: int, seed: int, data: st.DataObject
) -> None:
    rng, size = np.random.default_rng(seed), 3 + 3 * channels
    frames = rng.integers(0, 256, (chips, n, size)).astype(np.uint8)
    frames[:, :, 0] |= 0xC0
    wanted = data.draw(st.integers(1, chips * channels))
    gaps = (Gap(3, 4, "torn"),)
    block = block_of(Rows(7, 99, wanted, chips, size, frames.tobytes(), gaps))
    rows = np.ascontiguousarray(frames.transpose(1, 0, 2).reshape(n, -1))
    lines = 8 if chips > 1 else 4
    decoded = decode_board(rows, FrameLayout((channels,) * chips), lines)
    assert block.samples == pack24(decoded.counts[:, :wanted]).tobytes()
    assert block.bits == decoded.trigger_bits.tobytes()
    assert (block.first_index, block.t_ns, block.channels, block.gaps) == (7, 99, wanted, gaps)


@pytest.mark.parametrize(
    ("channels", "chips", "size", "length"), [(8, 1, 27, 26), (8, 0, 27, 27), (9, 1, 27, 27), (1, 1, 3, 3)]
)
def test_what_does_not_come_out_even_is_no_sample(channels: int, chips: int, size: int, length: int) -> None:
    assert block_of(Rows(0, 0, channels, chips, size, bytes(length), ())).samples == b""
