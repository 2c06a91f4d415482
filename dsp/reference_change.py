"""The slow twins of dsp/projection.py and dsp/change.py: the formulas written out, one number at a time.

They document and test. The sequential ones run over many cases at once (case, sweep) with the same arithmetic
in the same order, so that studies of false alarms take seconds. Refuses speed where it would hide a formula.
"""

import numpy as np
from numpy.typing import NDArray

from dsp import change, projection

Floats = NDArray[np.float64]


def inner(x: Floats, y: Floats) -> float:
    """Sum of products."""
    total = 0.0
    for a, b in zip(x, y, strict=True):
        total += float(a) * float(b)
    return total


def centred(x: Floats) -> Floats:
    """x less its mean."""
    return np.array([float(a) - sum(map(float, x)) / len(x) for a in x])


def cosine(index: int, rows: int) -> Floats:
    """The half cosine of `index` half periods in `rows` rows (DCT-II: Ahmed, Natarajan and Rao 1974)."""
    return np.array([np.cos(np.pi * index * (row + 0.5) / rows) for row in range(rows)])


def half_white(null: Floats, cosines: int) -> list[float]:
    """1 / root of the noise power in each cosine: geometric mean over five neighbours, ends repeated."""
    rows = null.shape[1]
    power = [
        sum(inner(centred(n), cosine(c, rows)) ** 2 for n in null) / len(null) for c in range(1, cosines + 1)
    ]
    mean = sum(power) / cosines
    if mean <= 0.0:
        return [1.0] * cosines
    logs = [float(np.log(max(p / mean, 1e-9))) for p in power]
    last = cosines - 1
    around = [[logs[min(max(c + d, 0), last)] for d in (-2, -1, 0, 1, 2)] for c in range(cosines)]
    return [float(np.exp(-0.5 * sum(five) / 5.0)) for five in around]


def metric(x: Floats, shares: list[float] | None) -> Floats:
    """M x of a centred x: x itself, or its cosines weighed by `shares`."""
    if shares is None:
        return x
    total = np.zeros(len(x))
    for c, share in enumerate(shares, start=1):
        wave = cosine(c, len(x))
        total = total + share * inner(x, wave) * wave
    return total


def template(mean: Floats, null: Floats, cosines: int | None = None) -> tuple[Floats, float, float]:
    """Weights, gain and variance of a baseline, given the rows of the span alone.

    With b = s + e: E[b'M x] = a s'M s for a follow-up x = a s + f, and E[D] = s'M s, so N - a D has no mean
    whatever a is (Fieller 1954); its variance is that of f along b, and a^2 Q.
    """
    k = len(null)
    shares = None if cosines is None else half_white(null, cosines)
    b = centred(mean)
    noise = [centred(n) for n in null]
    raw = metric(b, shares)
    energy = inner(raw, b) - sum(inner(metric(n, shares), n) for n in noise) / k
    along = sum(inner(raw, n) ** 2 for n in noise) / k
    pairs = [inner(metric(noise[i], shares), noise[j]) ** 2 for i in range(k) for j in range(k) if i != j]
    variance = (along + (1.0 + 2.0 / k) * sum(pairs) / len(pairs)) / energy**2
    gain = 1.0 + 2.0 * along / energy**2
    return raw / (energy * gain), gain, variance


def interval(ratio: float, gain: float, own: float, reference: float, t: float) -> tuple[float, float]:
    """The two a at which (pivot - a)^2 = t^2 (own + a^2 reference), by halving (Fieller 1954)."""
    pivot = ratio * gain

    def outside(a: float) -> bool:
        return (pivot - a) ** 2 > t * t * (own + a * a * reference)

    ends = []
    for sign in (-1.0, 1.0):
        near, far = pivot, pivot + sign
        while not outside(far):
            far = pivot + 2.0 * (far - pivot)
        for _ in range(200):
            middle = 0.5 * (near + far)
            near, far = (near, middle) if outside(middle) else (middle, far)
        ends.append(0.5 * (near + far))
    return ends[0], ends[1]


def sweep_variances(p: Floats, weights: Floats) -> Floats:
    """Variances (case, sweep) as `projection.SweepNoise` tells them; finite p, weights above nothing."""
    found = np.full(p.shape, np.inf)
    mean, mean_weight, squares, total = np.zeros((4, len(p)))
    for i, (x, w) in enumerate(zip(p.T, weights.T, strict=True)):
        square = w * (x - mean) ** 2
        if i >= projection.MIN_NOISE_SWEEPS:
            found[:, i] = squares / total / w
            square = np.minimum(square, projection.CLIP * squares / total)
        if i:
            squares = squares + (w * square - squares) / min(i, projection.NOISE_SWEEPS)
            total = total + (w - total) / min(i, projection.NOISE_SWEEPS)
        mean_weight = mean_weight + (w - mean_weight) / min(i + 1, projection.MEAN_SWEEPS)
        mean = mean + (x - mean) * w / (mean_weight * min(i + 1, projection.MEAN_SWEEPS))
    return found


def thresholds(information: Floats, interval_sweeps: Floats) -> Floats:
    """`change.threshold` of arrays: b from 2 (e^b - b - 1) = interval x information, h from b."""
    want = 0.5 * interval_sweeps * information
    b = np.log1p(want + np.sqrt(2.0 * want))
    for _ in range(4):
        b = b - (np.expm1(b) - b - want) / np.expm1(b)
    return np.asarray(np.maximum(change.MIN_THRESHOLD, b - change.OVERSHOOT * np.sqrt(information)))


class Cusums:
    """`change.Cusum` of many cases, arrays (case,); `intervals` are the sweeps to a false alarm."""

    def __init__(self, delta: float, intervals: Floats) -> None:
        self.delta = delta
        self.intervals = intervals
        self.told = np.zeros(len(intervals))
        self.information = np.zeros(len(intervals))
        self.h = np.full(len(intervals), change.MIN_THRESHOLD)
        self.evidence = np.zeros(len(intervals))

    def add(self, p: Floats, v: Floats) -> NDArray[np.bool_]:
        """One sweep of each case (finite p, v above nothing or infinite); whether its evidence is at h."""
        counts = np.isfinite(v)
        square = self.delta * self.delta
        information = np.minimum(square / np.maximum(v, 1e-300), change.MAX_INFORMATION)
        due = counts & (self.told % change.THRESHOLD_EVERY == 0)
        self.told = self.told + counts
        share = counts / np.clip(self.told, 1.0, change.INFORMATION_SWEEPS)
        self.information = self.information + (information - self.information) * share
        if due.any():
            new = thresholds(np.maximum(self.information[due], 1e-12), self.intervals[due])
            self.h[due] = new
        most = self.h / change.MIN_SWEEPS
        gain = information * (1.0 - 0.5 * self.delta - p) / self.delta
        self.evidence = self.evidence + np.where(counts, np.clip(gain, -most, most), 0.0)
        self.evidence = np.clip(self.evidence, 0.0, 2.0 * self.h)
        return np.asarray(counts & (self.evidence > 0.0) & (self.evidence >= self.h))

    def clear(self, which: NDArray[np.bool_]) -> None:
        """Drop the evidence of the cases `which`."""
        self.evidence = np.where(which, 0.0, self.evidence)
