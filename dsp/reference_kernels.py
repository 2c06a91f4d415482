"""Slow twins of the kernels: the same arithmetic in plain Python and numpy, to document and to test them."""

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Counts = NDArray[np.int32]


def derive(counts: Counts, gains: F, offsets: F) -> tuple[F, Bytes]:
    """Microvolts (time, derivation) and rail flags (time,) of counts (time, channel); gains (derivation,
    channel) in microvolts a count."""
    used = np.any(gains != 0.0, axis=0)
    railed = np.any((counts[:, used] >= 8388607) | (counts[:, used] <= -8388608), axis=1)
    return counts.astype(np.float64) @ gains.T + offsets, railed.astype(np.uint8)


def microvolts(counts: Counts, columns: NDArray[np.int64], lsb_uv: F, offset_uv: F) -> tuple[F, F]:
    """The `columns` of counts in microvolts (time, column), and their mean (time,)."""
    uv = counts[:, columns] * lsb_uv + offset_uv
    return uv, uv.mean(axis=1)


def bridge(rows: int, before: F, after: F) -> F:
    """So many rows (time, channel) on the straight line between `before` and `after`."""
    share = np.arange(1, rows + 1)[:, None] / (rows + 1)
    return before + (after - before) * share


def turn(x: F) -> F:
    """The rows from the last to the first, less the last."""
    return np.asarray(x[::-1] - x[-1])


def turn_back(x: F, level: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """The last so many rows from the last to the first, on `level`."""
    return (x[::-1][:rows] + level).astype(np.float32)


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


def power(x: F, every: int) -> F:
    """Mean square per column of every so many-th row."""
    return np.asarray(np.mean(x[::every] ** 2, axis=0))


def peak_magnitude(x: F) -> F:
    """Largest magnitude per column."""
    return np.asarray(np.max(np.abs(x), axis=0))


def decode(raw: Bytes) -> Counts:
    """24-bit two's complement, MSB first, from bytes (3 n,)."""
    words = [int.from_bytes(bytes(raw[k : k + 3]), "big", signed=True) for k in range(0, len(raw), 3)]
    return np.array(words, dtype=np.int32)


def loud_counts(x: F, last: F, limit: F, rail: float, window: int) -> tuple[Counts, Counts]:
    """Loud first differences of each window and channel, and rows that stayed at a rail, loud as well."""
    steps = np.abs(np.diff(np.vstack([last, x]), axis=0))
    stayed = (steps == 0.0) & (np.abs(x) >= rail)
    loud = (steps > limit) | stayed
    shape = (-1, window, x.shape[1])
    return loud.reshape(shape).sum(axis=1, dtype=np.int32), stayed.reshape(shape).sum(axis=1, dtype=np.int32)


def signs() -> F:
    """The Hadamard matrix (16, 16): row p has the sign (-1) ** (bits that p and k have in common)."""
    k = np.arange(16)
    return np.asarray((-1.0) ** np.array([[bin(p & q).count("1") for q in k] for p in k]))


def pattern_shares(weights: F) -> tuple[F, F, F, F]:
    """Scale (derivation,), scales and shares (pattern, derivation) and halves (2, derivation) of weights (16,
    derivation); NaN where a sub-average has none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.where(weights.sum(axis=0) > 0.0, weights.sum(axis=0), np.nan)
        share = (signs() @ weights / total)[1:]
        kept = np.sqrt(np.where((weights > 0.0).all(axis=0), 1.0 - share * share, np.nan))
        parts = np.array([weights[0::2].sum(axis=0), weights[1::2].sum(axis=0)])
        halves = 0.5 / np.where(parts > 0.0, parts, np.nan)
    return 1.0 / total, 1.0 / (total * kept), share / kept, halves


def null_averages(sums: F, scale: F, scales: F, shares: F, halves: F) -> tuple[F, F, F, F]:
    """Mean (time, derivation), the 15 sign patterns (pattern, time, derivation), their sums of squares
    (derivation,) and the halves (2, time, derivation) of the sums (16, time, derivation) of sub-averages."""
    patterns = np.tensordot(signs(), sums, axes=1)
    mean = patterns[0] * scale
    null = patterns[1:] * scales[:, None, :] - mean * shares[:, None, :]
    half = 2.0 * np.array([sums[0::2].sum(axis=0), sums[1::2].sum(axis=0)]) * halves[:, None, :]
    return mean, null, (null * null).sum(axis=(0, 1)), half


def fit_window(uv: F, rows: F, weight: F, normal: F, settings: F) -> F | None:
    """Coefficients of the first of `rows` (row, time), as many as `normal` has, to the means of uv (time,
    sample) under `weight` (time,), outliers left out; then the products of the other rows with what is left.
    None where too much is. Settings: times the median magnitude, share, samples before and behind."""
    x, columns = uv.mean(axis=1), len(normal)
    out = _left_out(x - np.median(x), settings)
    for _ in range(4):
        if out.sum() > settings[1] * len(x):
            return None
        kept = np.where(out, 0.0, weight)
        design = rows[:columns].T * np.sqrt(kept)[:, None]
        found = np.linalg.lstsq(design, x * np.sqrt(kept), rcond=None)[0]
        rest = x - found @ rows[:columns]
        before, out = out, _left_out(rest, settings)
        if np.array_equal(before, out):
            break
    return np.concatenate([found, rows[columns:] @ np.where(out, 0.0, weight * rest)])


def _left_out(rest: F, settings: F) -> NDArray[np.bool_]:
    """Samples (time,) that are outliers of `rest`, or so near to one."""
    hits = np.abs(rest) > settings[0] * np.median(np.abs(rest))
    out = np.zeros(len(rest), np.bool_)
    for t in np.flatnonzero(hits):
        out[max(0, t - int(settings[2])) : t + int(settings[3]) + 1] = True
    return out
