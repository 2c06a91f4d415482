"""The compiled kernels: plain functions over arrays, output passed in, nothing allocated.

Explicit signatures, so they are compiled (or taken from the cache) when this module is imported and never
after the first sample; `nogil`, so that serving never waits for arithmetic. No fast-math: every result is the
same whatever the block boundaries, which is what makes a replay bit-identical. Twins: `dsp.twins`.
"""

import numba
import numpy as np
from numba import types

RAIL_HIGH = np.int32(8388607)
RAIL_LOW = np.int32(-8388608)

_F1, _F2, _F3 = (types.Array(types.float64, n, "C") for n in (1, 2, 3))
_U1 = types.Array(types.uint8, 1, "C")
# Inputs may be read-only: sample blocks are, once they are queued.
_IN1, _IN2 = (types.Array(types.float64, n, "C", readonly=True) for n in (1, 2))
_COUNTS = types.Array(types.int32, 2, "C", readonly=True)


@numba.njit(types.void(_COUNTS, _IN2, _IN1, _F2, _U1), cache=True, nogil=True, error_model="numpy")
def derive(counts, gains, offsets, out, railed):  # type: ignore[no-untyped-def]
    """Counts (time, channel) -> microvolts (time, derivation): out = counts @ gains.T + offsets.

    `railed` (time,) becomes 1 where a channel that any derivation uses stands at a rail.
    """
    for t in range(counts.shape[0]):
        rail = np.uint8(0)
        for d in range(gains.shape[0]):
            total = offsets[d]
            for c in range(gains.shape[1]):
                g = gains[d, c]
                if g != 0.0:
                    n = counts[t, c]
                    total += g * n
                    if n >= RAIL_HIGH or n <= RAIL_LOW:
                        rail = np.uint8(1)
            out[t, d] = total
        railed[t] = rail


@numba.njit(types.void(_F2, _IN2, _F3), cache=True, nogil=True)
def cascade(x, sos, state):  # type: ignore[no-untyped-def]
    """Run biquads `sos` (section, 6) over x (time, channel) in place; `state` (section, 2, channel).

    Transposed direct form II, float64: float32 state loses a millivolt behind an electrode offset.
    """
    for t in range(x.shape[0]):
        for s in range(sos.shape[0]):
            b0 = sos[s, 0]
            b1 = sos[s, 1]
            b2 = sos[s, 2]
            a1 = sos[s, 4]
            a2 = sos[s, 5]
            for c in range(x.shape[1]):
                v = x[t, c]
                y = b0 * v + state[s, 0, c]
                state[s, 0, c] = b1 * v - a1 * y + state[s, 1, c]
                state[s, 1, c] = b2 * v - a2 * y
                x[t, c] = y


@numba.njit(types.void(_IN2, _IN1, _F2), cache=True, nogil=True)
def fold(x, weights, total):  # type: ignore[no-untyped-def]
    """total (time, channel) += weights (channel,) * x (time, channel): plain (1), reject (0), weighted."""
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            total[t, c] += weights[c] * x[t, c]


@numba.njit(types.void(_IN2, _F1), cache=True, nogil=True, error_model="numpy")
def power(x, out):  # type: ignore[no-untyped-def]
    """Mean square of each column of x (time, channel) into out (channel,)."""
    for c in range(x.shape[1]):
        out[c] = 0.0
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            out[c] += x[t, c] * x[t, c]
    for c in range(x.shape[1]):
        out[c] /= x.shape[0]


@numba.njit(types.void(_IN2, _F1), cache=True, nogil=True)
def peak_magnitude(x, out):  # type: ignore[no-untyped-def]
    """Largest magnitude of each column of x (time, channel) into out (channel,)."""
    for c in range(x.shape[1]):
        out[c] = 0.0
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            out[c] = max(out[c], abs(x[t, c]))


ALL = (derive, cascade, fold, power, peak_magnitude)
