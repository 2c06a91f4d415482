"""The slow twins of `dsp.montage` and `dsp.spatial`: plain loops that document and test them.

Written from the formulas and from nothing else. Not for use: no input is checked.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def derive(channels_uv: Floats, weights: Floats) -> Floats:
    """(time, derivation): the sum over channels of weight times microvolts, channels of weight 0 unread."""
    out = np.zeros((len(channels_uv), len(weights)))
    for t in range(len(channels_uv)):
        for d in range(len(weights)):
            for c in range(channels_uv.shape[1]):
                if weights[d][c] != 0.0:
                    out[t, d] += weights[d][c] * channels_uv[t, c]
    return out


def level(trace: Floats) -> list[float]:
    """A trace less its mean."""
    middle = math.fsum(trace) / len(trace)
    return [float(value) - middle for value in trace]


def product(a: list[float], b: list[float]) -> float:
    """Mean of the product of two traces."""
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / len(a)


def noise_power(null: Floats) -> float:
    """Of one derivation, null (pattern, row): mean over the patterns of their power."""
    return math.fsum(product(level(each), level(each)) for each in null) / len(null)


def snr(mean: Floats, null: Floats) -> float:
    """Power ratio of one derivation, mean (row,) and null (pattern, row): (P(mean) - P(noise)) / P(noise).

    The mean is response plus noise, so its power is the response's plus, on average, the noise's.
    """
    return (product(level(mean), level(mean)) - noise_power(null)) / noise_power(null)


def snr_variance(means: Floats, nulls: Floats, signs: list[float]) -> float:
    """Variance of the sum of signs x ratios of derivations: means (row, derivation), nulls (pattern, ...).

    To first order the ratio R = P(s + n) / N - 1 moves by 2<s n>/N with the response s, by <n n>/N with the
    mean's own noise and by -P <n n>/N^2 / 15 with each of the 15 patterns that N is the mean of. The variance
    of the first is that of 2<m n_k>/N over the patterns, m = s + n, which contains a product of two noises
    too many: 4 tr(C^2)/N^2, where a power has 2 tr(C^2)/N^2. So first + second = theirs - own, or own at the
    least.
    """
    n_patterns = len(nulls)
    cross, own, scaled = [0.0] * n_patterns, [0.0] * n_patterns, [0.0] * n_patterns
    for d, sign in enumerate(signs):
        mean = level(means[:, d])
        noise = noise_power(nulls[:, :, d])
        for k in range(n_patterns):
            null = level(nulls[k, :, d])
            cross[k] += sign * 2.0 * product(mean, null) / noise
            own[k] += sign * product(null, null) / noise
            scaled[k] += sign * product(null, null) / noise * product(mean, mean) / noise
    spread = [
        math.fsum(level(np.array(values))[k] ** 2 for k in range(n_patterns)) for values in (own, scaled)
    ]
    variance, shared = (each / (n_patterns - 1) for each in spread)
    first = math.fsum(value * value for value in cross) / n_patterns
    return max(first - variance, variance) + shared / n_patterns


def snr_se_db(mean: Floats, null: Floats) -> float:
    """Standard error of one derivation's ratio in dB: that of the ratio over the ratio."""
    variance = snr_variance(mean[:, None], null[:, :, None], [1.0])
    return 10.0 / math.log(10.0) * math.sqrt(variance) / snr(mean, null)


def rivals(nulls: Floats) -> float:
    """Effective number of derivations of nulls (pattern, row, derivation), by Galwey (2009)."""
    n = nulls.shape[2]
    flat = [[value for each in nulls[:, :, d] for value in level(each)] for d in range(n)]
    unit = [math.sqrt(product(each, each)) for each in flat]
    table = [[product(flat[a], flat[b]) / unit[a] / unit[b] for b in range(n)] for a in range(n)]
    values = [max(0.0, float(value)) for value in np.linalg.eigvalsh(np.array(table))]
    return max(1.0, math.fsum(math.sqrt(value) for value in values) ** 2 / math.fsum(values))


def better(means: Floats, nulls: Floats, row: int, other: int) -> float:
    """Probability that `row` has the higher ratio than `other`, picked as the largest of all."""
    pair = [row, other]
    variance = snr_variance(means[:, pair], nulls[:, :, pair], [1.0, -1.0])
    t = snr(means[:, row], nulls[:, :, row]) - snr(means[:, other], nulls[:, :, other])
    t /= math.sqrt(variance)
    freedom = len(nulls)
    deviate = t * (1.0 - 1.0 / (4.0 * freedom)) / math.sqrt(1.0 + t * t / (2.0 * freedom))
    tail = 0.5 * math.erfc(deviate / math.sqrt(2.0))
    return max(0.0, 1.0 - rivals(nulls) * tail)


def spatial_ratio(mean: Floats, null: Floats, weights: Floats) -> float:
    """w'C_mean w / w'C_noise w, by forming the virtual channel: mean (row, channel), null (pattern, ...)."""
    traces = [level(derive(each, weights[None])[:, 0]) for each in (mean, *null)]
    powers = [product(trace, trace) for trace in traces]
    return powers[0] / (math.fsum(powers[1:]) / len(null))


def shrinkage(null: Floats) -> float:
    """Share of unit noise that OAS mixes into the channels' noise covariance (Chen and others 2010, eq. 23).

    null (pattern, row, channel) of unit noise per channel; p channels; n independent values each: the
    patterns times the rows' degrees of freedom (tr T)^2 / tr(T^2) of their covariance in time. The products
    of different patterns give those of rows and channels together; the channels' own are divided out.
    """
    flat = [np.concatenate([level(each[:, c]) for c in range(each.shape[1])]) for each in null]
    n_patterns, p = len(null), null.shape[2]
    own = math.fsum(float(each @ each) for each in flat) / n_patterns
    others = [float(a @ b) ** 2 for i, a in enumerate(flat) for j, b in enumerate(flat) if i != j]
    covariance = noise_covariance(null)
    squares, trace = float(np.sum(covariance**2)), float(np.trace(covariance))
    freedom = own**2 / (math.fsum(others) / len(others)) / (trace**2 / squares)
    n = max(1.0, freedom * n_patterns)
    top = (1.0 - 2.0 / p) * squares + trace**2
    return float(min(1.0, top / ((n + 1.0 - 2.0 / p) * (squares - trace**2 / p))))


def noise_covariance(null: Floats) -> Floats:
    """Mean over patterns and rows of the products of channels, each row's level taken out."""
    n = null.shape[2]
    out = np.zeros((n, n))
    for each in null:
        traces = [level(each[:, c]) for c in range(n)]
        for a in range(n):
            for b in range(n):
                out[a, b] += product(traces[a], traces[b]) / len(null)
    return out


def spatial_direction(mean: Floats, null: Floats) -> Floats:
    """Weights, but for scale and sign, of the virtual channel: by power iteration on inv(C_noise) C_mean."""
    sd = [math.sqrt(noise_power(null[:, :, c])) for c in range(null.shape[2])]
    unit = null / np.array(sd)
    share = shrinkage(unit)
    noise = noise_covariance(unit)
    noise = (1.0 - share) * noise + share * np.trace(noise) / len(sd) * np.eye(len(sd))
    signal = noise_covariance((mean / np.array(sd))[None])
    weights = np.ones(len(sd))
    for _ in range(5000):
        weights = np.linalg.solve(noise, signal @ weights)
        weights /= math.sqrt(float(weights @ weights))
    return np.asarray(weights / np.array(sd))
