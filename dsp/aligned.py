"""Arrays that begin where vector registers like to load from: what lies across two lines costs twice."""

import math

import numpy as np
from numpy.typing import NDArray

LINE_BYTES = 64


def aligned_empty(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A float64 array of `shape`, C order, contents undefined, first element at a multiple of 64 bytes."""
    n_bytes = 8 * math.prod(shape)
    room = np.empty(n_bytes + LINE_BYTES, dtype=np.uint8)
    start = -room.ctypes.data % LINE_BYTES
    return room[start : start + n_bytes].view(np.float64).reshape(shape)
