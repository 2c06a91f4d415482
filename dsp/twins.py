"""Slow twins of the kernels: the same arithmetic in plain Python and numpy, to document and to test them."""

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float64]


def derive(counts: NDArray[np.int32], gains: F, offsets: F) -> tuple[F, NDArray[np.uint8]]:
    """Microvolts (time, derivation) and rail flags (time,) of counts (time, channel)."""
    used = np.any(gains != 0.0, axis=0)
    railed = np.any((counts[:, used] >= 8388607) | (counts[:, used] <= -8388608), axis=1)
    return counts.astype(np.float64) @ gains.T + offsets, railed.astype(np.uint8)


def cascade(x: F, sos: F, state: F) -> tuple[F, F]:
    """Output and new state of the biquad cascade, one section after another."""
    y, z = x.copy(), state.copy()
    for s, (b0, b1, b2, _, a1, a2) in enumerate(sos):
        for t in range(len(y)):
            v = y[t].copy()
            y[t] = b0 * v + z[s, 0]
            z[s, 0] = b1 * v - a1 * y[t] + z[s, 1]
            z[s, 1] = b2 * v - a2 * y[t]
    return y, z


def fold(x: F, weights: F, total: F) -> F:
    """The new weighted total."""
    return total + weights * x


def power(x: F) -> F:
    """Mean square per column."""
    return np.asarray(np.mean(x * x, axis=0))


def peak_magnitude(x: F) -> F:
    """Largest magnitude per column."""
    return np.asarray(np.max(np.abs(x), axis=0))
