"""The slow twin of `dsp.modes`: every averaging mode over a whole list of sweeps at once, by the formulas.

Two passes, plain loops, no state: what the streaming modes are tested against and explained by. One
derivation at a time. `running_sums` alone has the kernel's state, in numpy, all derivations side by side. Fit
for tests and for reading only.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp import kernels_sums as places

Floats = NDArray[np.float64]

SUB_AVERAGES = 16
NEIGHBOURS = 4
"""Pairs of sweeps that each pair is compared with, back in time."""


def weighted_mean(sweeps: Floats, weights: Floats) -> Floats:
    """sum w x / sum w; sweeps (sweep, time), weights (sweep,). Hoke 1984."""
    total = np.zeros(sweeps.shape[1])
    for uv, weight in zip(sweeps, weights, strict=True):
        total += weight * uv
    return np.asarray(total / sum(weights.tolist()))


def residual_variance(sweeps: Floats, weights: Floats) -> Floats:
    """Variance of the weighted mean at each time: sum w^2 (x - m)^2 / ((sum w)^2 - sum w^2).

    For equal weights sum (x - m)^2 / (n (n - 1)): the squared standard error of the mean.
    """
    mean = weighted_mean(sweeps, weights)
    total = np.zeros(sweeps.shape[1])
    for uv, weight in zip(sweeps, weights, strict=True):
        total += weight**2 * (uv - mean) ** 2
    return np.asarray(total / (sum(weights.tolist()) ** 2 - sum((weights**2).tolist())))


def effective(weights: Floats) -> float:
    """Effective sweeps, (sum w)^2 / sum w^2."""
    return float(sum(weights.tolist()) ** 2 / sum((weights**2).tolist()))


def odd_even(sweeps: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted means of the first, third, ... and of the second, fourth, ... sweep."""
    return weighted_mean(sweeps[0::2], weights[0::2]), weighted_mean(sweeps[1::2], weights[1::2])


def plus_minus(sweeps: Floats, weights: Floats) -> Floats:
    """The plus-minus reference: signs in turn, no response, noise as in the mean.

    Schimmel 1967 for equal weights and even numbers: sum (-1)^k x_k / n. For others sqrt(A B) / (A + B) times
    (odd - even), A and B the weights of both halves: its variance is that of the mean for weights 1/variance.
    """
    odd, even = odd_even(sweeps, weights)
    a, b = sum(weights[0::2].tolist()), sum(weights[1::2].tolist())
    return np.asarray(math.sqrt(a * b) / (a + b) * (odd - even))


def null_averages(sweeps: Floats, weights: Floats) -> Floats:
    """(pattern, time): sum s_k w_k x_k / sum w for the 15 sign patterns s of the 16 sub-averages.

    Sweep k goes into sub-average k mod 16; pattern p gives sub-average j the sign (-1)^(ones in p and j).
    What is left of the response with unequal weights, its share h of the mean, is taken out again, and the
    noise that goes with it made up for: (. - h m) / sqrt(1 - h^2).
    """
    mean, total = weighted_mean(sweeps, weights), sum(weights.tolist())
    found = []
    for pattern in range(1, SUB_AVERAGES):
        trace, share = np.zeros(sweeps.shape[1]), 0.0
        for k, (uv, weight) in enumerate(zip(sweeps, weights, strict=True)):
            sign = -1.0 if (pattern & (k % SUB_AVERAGES)).bit_count() % 2 else 1.0
            trace += sign * weight * uv / total
            share += sign * weight / total
        found.append((trace - share * mean) / math.sqrt(1.0 - share**2))
    return np.array(found)


def fmp(sweeps: Floats, weights: Floats) -> float:
    """Variance of the mean over time, over the variance that its residual noise has over time.

    Elberling & Don 1984 divide by the noise at one point, Don & Elberling 1996 at several; here the ensemble
    variance of all points, as what stays valid for weighted means (Granzow 2001). Both without what moves all
    of a sweep up or down. `sweeps` hold the span that is looked at.
    """
    own_mean = sweeps.mean(axis=1)
    mean = weighted_mean(sweeps, weights)
    noise = residual_variance(sweeps, weights).mean() - residual_variance(own_mean[:, None], weights)[0]
    return float(np.mean((mean - mean.mean()) ** 2) / noise)


def fmp_freedom(sweeps: Floats, weights: Floats) -> tuple[float, float]:
    """Degrees of freedom of Fmp's numerator and denominator without response (Box 1954, Satterthwaite 1946).

    Numerator: (tr C)^2 / tr(C^2), C the covariance of the noise over time: of independent traces a and b,
    |a|^2 |b|^2 expects (tr C)^2 and (a.b)^2 expects tr(C^2). They are differences of two sweeps that follow
    each other. Denominator: a sum of a_k chi^2, a_k = w_k^2 var_k: (sum a)^2 / sum a^2 sweeps, less one.
    The numerator's is an estimate from as many sweeps, n: n / (n + 3) of it make up for what its chance does.
    """
    span = sweeps - sweeps.mean(axis=1, keepdims=True)
    pairs, parts = [], []
    for k in range(0, len(span) - 1, 2):
        difference, u, v = span[k] - span[k + 1], float(weights[k]), float(weights[k + 1])
        pairs.append(difference * math.sqrt(u * v / (u + v)))
        parts.append((u**2 + v**2) * float(np.sum(difference**2)))
    expected = product = 0.0
    for k, here in enumerate(pairs):
        for earlier in pairs[max(0, k - NEIGHBOURS) : k]:
            expected += float(np.sum(here**2) * np.sum(earlier**2))
            product += float(np.sum(here * earlier)) ** 2
    n1 = min(max(expected / product, 1.0), sweeps.shape[1] - 1.0)
    equal = 2.0 * sum(parts) ** 2 * (1.0 + 2.0 / n1) / sum(p**2 for p in parts)
    n1 = max(n1 / (1.0 + 3.0 / max(equal, 1.0)), 1.0)
    return n1, n1 * max(equal - 1.0, 1.0)


def reject_weights(sweeps: Floats, limit_uv: float) -> Floats:
    """1 for sweeps that stay within the limit in magnitude, else 0."""
    return np.array([1.0 if max(abs(v) for v in uv) <= limit_uv else 0.0 for uv in sweeps.tolist()])


def blocks(sweeps: Floats, size: int) -> tuple[Floats, Floats]:
    """Means (block, time) of whole blocks, weights size / variance within (Elberling & Wahlgreen 1985)."""
    means, weights = [], []
    for start in range(0, len(sweeps) - size + 1, size):
        block = sweeps[start : start + size]
        mean = block.mean(axis=0)
        means.append(mean)
        weights.append(size / (np.sum((block - mean) ** 2) / ((size - 1) * sweeps.shape[1])))
    return np.array(means), np.array(weights)


def exponential_weights(weights: Sequence[float] | Floats, share: float) -> Floats:
    """w_k (1 - share)^(sweeps since): effective sweeps (2 - a) / a for equal weights and many sweeps."""
    n = len(weights)
    return np.array([w * (1.0 - share) ** (n - 1 - k) for k, w in enumerate(weights)])


def running_sums(
    uv: Floats,
    weights: Floats,
    first: int,
    keep: float,
    rows: Floats,
    span: Floats,
    sums: Floats,
    added: NDArray[np.int64],
) -> None:
    """One sweep into the sums; arguments as those of `dsp.kernels_sums.running_sums`."""
    used = weights > 0.0
    seen = slice(first, first + span.shape[2])
    sweep = np.concatenate([uv, uv[seen].mean(axis=0)[None]])
    by_row, by_span, columns = rows.transpose(1, 2, 0), span.transpose(1, 2, 0), sums.T
    _forget(np.where(used, keep, 1.0), by_row, by_span, columns)
    turn = added % SUB_AVERAGES
    for k in np.unique(turn[used]):
        mine = np.where(used & (turn == k), weights, 0.0)
        columns[k] += mine
        by_row[k] += mine / np.where(mine > 0.0, columns[k], 1.0) * (sweep - by_row[k])
    square = np.where(used, weights * weights, 0.0)
    columns[places.SQUARES] += square
    away = sweep - by_row[places.CENTRE]
    by_row[places.CENTRE] += square / np.where(used, columns[places.SQUARES], 1.0) * away
    by_row[places.SCATTER] += square * away * (sweep - by_row[places.CENTRE])
    _pair(sweep[seen] - sweep[-1], weights, used, by_span, columns, added)
    added += used


def _forget(once: Floats, rows: Floats, span: Floats, columns: Floats) -> None:
    """Weights shrink by what is kept of each derivation, squares of weights by its square."""
    twice = once * once
    columns[:SUB_AVERAGES] *= once
    columns[places.SQUARES] *= twice
    columns[places.HELD_WEIGHT] *= once
    columns[places.ENERGY :] *= np.stack([twice, twice * twice, twice, twice])
    rows[places.SCATTER] *= twice
    span[places.PAIRS : places.DIFFERENCE] *= np.sqrt(once)


def _pair(
    seen: Floats,
    weights: Floats,
    used: NDArray[np.bool_],
    span: Floats,
    columns: Floats,
    added: NDArray[np.int64],
) -> None:
    """Differences of the sweeps 2k and 2k + 1 hold no response; independent ones tell their covariance."""
    first = used & (added % 2 == 0)
    done = used & ~first
    span[places.HELD][:, first] = seen[:, first]
    columns[places.HELD_WEIGHT, first] = weights[first]
    other = np.where(done, columns[places.HELD_WEIGHT], 1.0)
    own = np.where(done, weights, 0.0)
    difference = (seen - span[places.HELD]) * np.sqrt(own * other / (own + other))
    power = np.sum(difference * difference, axis=0)
    part = power * (own * own + other * other) * (own + other) / np.where(done, own * other, 1.0)
    columns[places.ENERGY] += part
    columns[places.ENERGY + 1] += part * part
    for earlier in span[places.PAIRS : places.DIFFERENCE]:
        columns[places.ENERGY + 2] += power * np.sum(earlier * earlier, axis=0)
        columns[places.ENERGY + 3] += np.sum(difference * earlier, axis=0) ** 2
    for d in np.flatnonzero(done):
        span[places.PAIRS + added[d] // 2 % NEIGHBOURS, :, d] = difference[:, d]
