"""The kernels as plain loops: what each promises, and what runs where there is no vector code for the CPU.

Functions over arrays, output passed in, nothing allocated, `nogil`. No fast-math: every result is the same
whatever the block boundaries, which is what makes a replay bit-identical. float32 sums are made in float64
and rounded once, as multiplying and adding in one instruction does: both versions give the same numbers
(float64 recursions to 1e-12, the rest to the bit but for one rounding in 10^8). Slow twins: `dsp.reference`.
"""

import numba
import numpy as np
from numba import types

from dsp.kernels_types import (
    BRIDGE,
    CASCADE,
    DECODE,
    DERIVE,
    DERIVE_ROWS,
    FOLD,
    LOUD,
    MICROVOLTS,
    NULLS,
    PEAK,
    POWER,
    SHARES,
    TURN,
    TURN_BACK,
)

RAIL_HIGH, RAIL_LOW = 8388607.0, -8388608.0


@numba.njit(DERIVE, cache=True, nogil=True)
def derive(counts, starts, columns, gains, offsets, out, railed, work):
    """Counts (time, channel) -> microvolts (time, derivation).

    Derivation d is offsets[d] + the sum of gains[k] * counts[:, columns[k]] for k from starts[d] until before
    starts[d + 1]. `railed` (time,) becomes 1 where a channel that any derivation uses stands at a rail. In
    `work` (channels + 1, DERIVE_ROWS) the channels stand one behind the other, so that sums are vector code.
    """
    # In pieces that stay in the nearest cache, however long the block.
    for begin in range(0, counts.shape[0], DERIVE_ROWS):
        n = min(DERIVE_ROWS, counts.shape[0] - begin)
        rows, derived, rail = counts[begin : begin + n], out[begin : begin + n], railed[begin : begin + n]
        for t in range(n):
            rail[t] = 0
        for channel in range(counts.shape[1]):
            used = False
            for k in range(columns.shape[0]):
                used |= columns[k] == channel
            if used:
                value = work[channel]
                for t in range(n):
                    value[t] = rows[t, channel]
                for t in range(n):
                    rail[t] |= numba.uint8((value[t] >= RAIL_HIGH) | (value[t] <= RAIL_LOW))
        total = work[counts.shape[1]]
        for d in range(offsets.shape[0]):
            for t in range(n):
                total[t] = offsets[d]
            for k in range(starts[d], starts[d + 1]):
                gain, value = gains[k], work[columns[k]]
                for t in range(n):
                    total[t] += gain * value[t]
            for t in range(n):
                derived[t, d] = total[t]


@numba.njit(BRIDGE, cache=True, nogil=True, error_model="numpy")
def bridge(x, before, after):
    """The rows of x (time, channel) become the straight line between `before` and `after` (channel,)."""
    for t in range(x.shape[0]):
        share = (t + 1.0) / (x.shape[0] + 1.0)
        for c in range(x.shape[1]):
            x[t, c] = before[c] + (after[c] - before[c]) * share


@numba.njit(TURN, cache=True, nogil=True)
def turn(x, out):
    """The rows of x (time, channel) from the last to the first, as they differ from the last, into out."""
    last = x.shape[0] - 1
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            out[t, c] = numba.float64(x[last - t, c]) - x[last, c]


@numba.njit(TURN_BACK, cache=True, nogil=True)
def turn_back(x, level, out):
    """The last rows of x (time, channel), so many as out has, from the last to the first, on `level`
    (channel,)."""
    last = x.shape[0] - 1
    for t in range(out.shape[0]):
        for c in range(x.shape[1]):
            out[t, c] = x[last - t, c] + level[c]


@numba.njit(CASCADE, cache=True, nogil=True)
def cascade(x, sos, state):
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


@numba.njit(FOLD, cache=True, nogil=True)
def fold(x, weights, total):
    """total (time, channel) += weights (channel,) * x (time, channel): plain (1), reject (0), weighted."""
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            product = np.float64(weights[c]) * np.float64(x[t, c])
            total[t, c] = np.float32(product + np.float64(total[t, c]))


@numba.njit(types.float32(types.float32, types.float32), cache=True, nogil=True)
def _squared(value, total):
    return np.float32(np.float64(value) * np.float64(value) + np.float64(total))


@numba.njit(POWER, cache=True, nogil=True, error_model="numpy")
def power(x, every, out):
    """Mean square of every so many-th row of x (time, channel), by column, into out (channel,); NaN of none.

    Four sums side by side, of every fourth of these rows each, those over in the first; then all are added.
    """
    n = (x.shape[0] + every - 1) // every
    whole = n - n % 4
    for c in range(x.shape[1]):
        p = q = r = s = np.float32(0.0)
        for t in range(0, whole, 4):
            p = _squared(x[t * every, c], p)
            q = _squared(x[(t + 1) * every, c], q)
            r = _squared(x[(t + 2) * every, c], r)
            s = _squared(x[(t + 3) * every, c], s)
        for t in range(whole, n):
            p = _squared(x[t * every, c], p)
        out[c] = ((p + q) + (r + s)) / np.float32(n)


@numba.njit(PEAK, cache=True, nogil=True)
def peak_magnitude(x, out):
    """Largest magnitude of each column of x (time, channel) into out (channel,); what is no number is passed
    over."""
    for c in range(x.shape[1]):
        out[c] = 0.0
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            size = abs(x[t, c])
            if size > out[c]:
                out[c] = size


@numba.njit(DECODE, cache=True, nogil=True)
def decode(raw, out):
    """24-bit samples, MSB first, from `raw` (3 n,) into out (n,) int32."""
    for k in range(out.shape[0]):
        high = numba.uint32(raw[3 * k]) << numba.uint32(24)
        middle = numba.uint32(raw[3 * k + 1]) << numba.uint32(16)
        word = high | middle | (numba.uint32(raw[3 * k + 2]) << numba.uint32(8))
        out[k] = numba.int32(word) >> numba.int32(8)


@numba.njit(MICROVOLTS, cache=True, nogil=True, error_model="numpy")
def microvolts(counts, columns, lsb_uv, offset_uv, uv, mean):
    """The `columns` of counts (time, channel) in microvolts, uv (time, column), and their mean (time,)."""
    whole = columns.shape[0] > 0
    for k in range(columns.shape[0]):
        whole &= columns[k] == columns[0] + k
    for t in range(uv.shape[0]):
        out = uv[t]
        if whole:  # side by side: vector code
            row = counts[t, columns[0] :]
            for k in range(out.shape[0]):
                out[k] = row[k] * lsb_uv[k] + offset_uv[k]
        else:
            for k in range(out.shape[0]):
                out[k] = counts[t, columns[k]] * lsb_uv[k] + offset_uv[k]
        total = 0.0
        for k in range(out.shape[0]):
            total += out[k]
        mean[t] = total / columns.shape[0]


@numba.njit(LOUD, cache=True, nogil=True)
def loud_counts(x, last, limit, rail, window, loud, railed):
    """How many first differences of each window of x (window * n, channel) are above `limit` (channel,), into
    loud (n, channel), the row before x being `last`; and how many rows stayed at a rail, +-`rail`, which are
    loud as well, into railed (n, channel)."""
    for w in range(loud.shape[0]):
        for c in range(x.shape[1]):
            loud[w, c] = 0
            railed[w, c] = 0
        for t in range(w * window, (w + 1) * window):
            for c in range(x.shape[1]):
                step = abs(x[t, c] - (x[t - 1, c] if t > 0 else last[c]))
                if step > limit[c]:
                    loud[w, c] += 1
                elif step == 0.0 and abs(x[t, c]) >= rail:
                    loud[w, c] += 1
                    railed[w, c] += 1


@numba.njit(SHARES, cache=True, nogil=True, error_model="numpy")
def pattern_shares(weights, scale, scales, shares, halves):
    """What `null_averages` takes, from the weights (16, derivation) of the sub-averages: each per derivation,
    repeated (tile, derivation) or (pattern, tile, derivation), and halves (2, tile, derivation).

    The mean is the sum over W, all weights. Pattern p leaves a share of the response, its signed sum of
    weights over W; taking it out takes noise with it, sqrt(1 - share^2), which is made up for: exact for
    weights 1/variance, up to 6 % off in severe bursts. NaN where a sub-average has no weight.
    """
    for d in range(weights.shape[1]):
        total = even = 0.0
        known = True
        for k in range(16):
            total += weights[k, d]
            if k % 2 == 0:
                even += weights[k, d]
            known = known and weights[k, d] > 0.0
        whole = total if total > 0.0 else np.nan
        for tile in range(scale.shape[0]):
            scale[tile, d] = 1.0 / whole
            halves[0, tile, d] = 0.5 / even if even > 0.0 else np.nan
            halves[1, tile, d] = 0.5 / (total - even) if total - even > 0.0 else np.nan
        for p in range(1, 16):
            signed = 0.0
            for k in range(16):
                common = p & k
                common ^= common >> 2
                common ^= common >> 1
                signed += -weights[k, d] if common & 1 else weights[k, d]
            share = signed / whole
            kept = np.sqrt(1.0 - share * share) if known else np.nan
            for tile in range(scale.shape[0]):
                scales[p - 1, tile, d] = 1.0 / (whole * kept)
                shares[p - 1, tile, d] = share / kept


@numba.njit(NULLS, cache=True, nogil=True)
def null_averages(sums, work, scale, scales, shares, squares, halves, half):
    """Of sums (16, n) of sub-averages, flat (time, derivation): work (16, n) becomes their mean (row 0) and
    the 15 balanced sign patterns of them (rows 1 to 15), `half` (2, n) the means of even and odd ones.

    Walsh-Hadamard transform; then the mean times `scale`, pattern p times scales[p] less shares[p] of the
    mean, the halves times `halves`. These are per derivation, repeated up to a length (p,) that is a multiple
    of how many there are; `squares` (p,) becomes the sum of the patterns' squares, likewise.
    """
    # Four at a time: two steps of the transform in one passage through memory.
    for k in range(0, 16, 4):
        for i in range(work.shape[1]):
            a, b = sums[k, i] + sums[k + 1, i], sums[k, i] - sums[k + 1, i]
            c, d = sums[k + 2, i] + sums[k + 3, i], sums[k + 2, i] - sums[k + 3, i]
            work[k, i] = a + c
            work[k + 1, i] = b + d
            work[k + 2, i] = a - c
            work[k + 3, i] = b - d
    for k in range(4):
        for i in range(work.shape[1]):
            a, b = work[k, i] + work[k + 4, i], work[k, i] - work[k + 4, i]
            c, d = work[k + 8, i] + work[k + 12, i], work[k + 8, i] - work[k + 12, i]
            work[k, i] = a + c
            work[k + 4, i] = b + d
            work[k + 8, i] = a - c
            work[k + 12, i] = b - d
    n, period = work.shape[1], scale.shape[0]
    for i in range(period):
        squares[i] = 0.0
    for base in range(0, n, period):
        mean = work[0, base : base + period]
        alternating = work[1, base : base + period]
        even = half[0, base : base + period]
        odd = half[1, base : base + period]
        for i in range(mean.shape[0]):
            even[i] = (mean[i] + alternating[i]) * halves[0, i]
            odd[i] = (mean[i] - alternating[i]) * halves[1, i]
        for i in range(mean.shape[0]):
            mean[i] *= scale[i]
    for p in range(15):
        own, shared = scales[p], shares[p]
        for base in range(0, n, period):
            mean = work[0, base : base + period]
            null = work[p + 1, base : base + period]
            for i in range(null.shape[0]):
                value = null[i] * own[i] - mean[i] * shared[i]
                null[i] = value
                squares[i] += value * value
