"""The kernels with vector instructions: channels beside one another in registers, in groups of `WIDTHS`.

For CPUs that multiply and add in one instruction; `dsp.kernels` takes `dsp.kernels_plain` elsewhere.
What each kernel promises is said once, in `dsp.kernels_plain`. Kernels and intrinsics are at module level:
made by a function, they would never be found in the cache again (facts/dsp.md 2.6).
"""

import numba
import numpy as np

from dsp.kernels_llvm import WIDTHS_F32, WIDTHS_F64, cascade_of, decode_eight, rows_of
from dsp.kernels_types import CASCADE, DECODE, FOLD, PEAK, POWER

WIDE, HALF, _ = WIDTHS_F64
WIDE32, HALF32, _ = WIDTHS_F32

_2_wide, _2_half, _2_one = (cascade_of(2, lanes) for lanes in WIDTHS_F64)
_1_wide, _1_half, _1_one = (cascade_of(1, lanes) for lanes in WIDTHS_F64)
_power_wide, _power_half, _power_one = (rows_of("power", lanes) for lanes in WIDTHS_F32)
_peak_wide, _peak_half, _peak_one = (rows_of("peak", lanes) for lanes in WIDTHS_F32)
_fold_wide, _fold_half, _fold_one = (rows_of("fold", lanes) for lanes in WIDTHS_F32)


@numba.njit(CASCADE, cache=True, nogil=True)
def cascade(x, sos, state):
    """See `dsp.kernels_plain.cascade`; two sections at a time, state and coefficients in registers."""
    channels, sections = x.shape[1], sos.shape[0]
    s = 0
    while s < sections:
        c = 0
        if sections - s >= 2:
            while c + WIDE <= channels:
                _2_wide(x, sos, state, s, c)
                c += WIDE
            while c + HALF <= channels:
                _2_half(x, sos, state, s, c)
                c += HALF
            while c < channels:
                _2_one(x, sos, state, s, c)
                c += 1
            s += 2
        else:
            while c + WIDE <= channels:
                _1_wide(x, sos, state, s, c)
                c += WIDE
            while c + HALF <= channels:
                _1_half(x, sos, state, s, c)
                c += HALF
            while c < channels:
                _1_one(x, sos, state, s, c)
                c += 1
            s += 1


@numba.njit(FOLD, cache=True, nogil=True)
def fold(x, weights, total):
    """See `dsp.kernels_plain.fold`."""
    c, channels = 0, x.shape[1]
    while c + WIDE32 <= channels:
        _fold_wide(x, 1, c, weights, total)
        c += WIDE32
    while c + HALF32 <= channels:
        _fold_half(x, 1, c, weights, total)
        c += HALF32
    while c < channels:
        _fold_one(x, 1, c, weights, total)
        c += 1


@numba.njit(POWER, cache=True, nogil=True, error_model="numpy")
def power(x, every, out):
    """See `dsp.kernels_plain.power`."""
    c, channels = 0, x.shape[1]
    for k in range(channels):
        out[k] = 0.0
    while c + WIDE32 <= channels:
        _power_wide(x, every, c, out, x)
        c += WIDE32
    while c + HALF32 <= channels:
        _power_half(x, every, c, out, x)
        c += HALF32
    while c < channels:
        _power_one(x, every, c, out, x)
        c += 1
    for k in range(channels):
        out[k] /= np.float32((x.shape[0] + every - 1) // every)


@numba.njit(PEAK, cache=True, nogil=True)
def peak_magnitude(x, out):
    """See `dsp.kernels_plain.peak_magnitude`."""
    c, channels = 0, x.shape[1]
    for k in range(channels):
        out[k] = 0.0
    while c + WIDE32 <= channels:
        _peak_wide(x, 1, c, out, x)
        c += WIDE32
    while c + HALF32 <= channels:
        _peak_half(x, 1, c, out, x)
        c += HALF32
    while c < channels:
        _peak_one(x, 1, c, out, x)
        c += 1


@numba.njit(DECODE, cache=True, nogil=True)
def decode(raw, out):
    """See `dsp.kernels_plain.decode`; eight samples by one shuffle of 24 bytes."""
    n = out.shape[0]
    k = 0
    while k + 8 <= n:
        decode_eight(raw, out, k)
        k += 8
    while k < n:
        high = numba.uint32(raw[3 * k]) << numba.uint32(24)
        middle = numba.uint32(raw[3 * k + 1]) << numba.uint32(16)
        word = high | middle | (numba.uint32(raw[3 * k + 2]) << numba.uint32(8))
        out[k] = numba.int32(word) >> numba.int32(8)
        k += 1
