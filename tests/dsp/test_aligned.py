"""Aligned arrays are where they say, whole, and nobody else's."""

import pytest

from dsp.aligned import LINE_BYTES, aligned_empty


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (160, 32), (2, 3, 7), (0, 4)])
def test_an_aligned_array_begins_at_a_line_and_is_its_own(shape: tuple[int, ...]) -> None:
    one, other = aligned_empty(shape), aligned_empty(shape)
    assert one.shape == shape and one.flags.c_contiguous and one.flags.writeable
    assert one.ctypes.data % LINE_BYTES == 0 or one.size == 0
    one[:], other[:] = 1.0, 2.0
    assert (one == 1.0).all()
