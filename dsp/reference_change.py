"""The slow twins of dsp/projection.py and dsp/change.py: the formulas written out, one number at a time.

They document and test; those of the kernels take the same arrays. The noise of sweeps is told of many cases
at once (case, sweep), so that studies take seconds. Refuses speed where it would hide a formula.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dsp import kernels_change as places
from dsp import projection

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


def threshold(information: float, interval_sweeps: float) -> float:
    """b from 2 (e^b - b - 1) = interval x information by Newton's steps, h = b - 1.166 root(information)."""
    want = 0.5 * interval_sweeps * information
    b = math.log1p(want + math.sqrt(2.0 * want))
    for _ in range(4):
        if b > 0.0:
            b -= (math.expm1(b) - b - want) / math.expm1(b)
    return max(places.MIN_THRESHOLD, b - places.OVERSHOOT * math.sqrt(information))


def _weigh(p: float, v: float, settings: Floats, state: Floats) -> None:
    """One sweep into Page's evidence; what says nothing only counts."""
    state[places.SEEN] += 1
    if not (0.0 <= v < math.inf and math.isfinite(p)):
        return
    delta = settings[places.DELTA]
    information = min(delta**2 / v if v > 0.0 else math.inf, places.MAX_INFORMATION)
    renew = state[places.TOLD] % places.THRESHOLD_EVERY == 0
    state[places.TOLD] += 1
    n = min(state[places.TOLD], places.INFORMATION_SWEEPS)
    state[places.INFORMATION] += (information - state[places.INFORMATION]) / n
    if renew:
        state[places.THRESHOLD] = threshold(state[places.INFORMATION], settings[places.INTERVAL])
    h = state[places.THRESHOLD]
    gain = information * (1.0 - delta / 2.0 - p) / delta
    most = h / places.MIN_SWEEPS
    state[places.EVIDENCE] = max(0.0, state[places.EVIDENCE] + min(max(gain, -most), most))
    if state[places.EVIDENCE] == 0.0:
        state[places.ZERO] = state[places.SEEN]
        state[places.ALARM] = 0.0
    elif state[places.EVIDENCE] >= places.ALL_OF_IT * h:
        state[places.ALARM] = 1.0
        state[places.EVIDENCE] = min(state[places.EVIDENCE], 2.0 * h)


def _told(settings: Floats, state: Floats) -> tuple[float, float, float, float]:
    """A row of `out`; the evidence of an alarm that is answered at once is dropped."""
    evidence, h = float(state[places.EVIDENCE]), float(state[places.THRESHOLD])
    if evidence == 0.0:
        return 0.0, h, 0.0, -1.0
    alarm, since = float(state[places.ALARM]), float(state[places.ZERO])
    if settings[places.ANSWERED] and alarm:
        state[places.EVIDENCE] = state[places.ALARM] = 0.0
        state[places.ZERO] = state[places.SEEN]
        state[places.WITHHELD : places.N_WITHHELD + 1] = 0.0
    return evidence, h, alarm, since


def cusum(p: Floats, v: Floats, settings: Floats, state: Floats, out: Floats) -> None:
    """Page's test, sweep by sweep."""
    for i, (ratio, variance) in enumerate(zip(p.tolist(), v.tolist(), strict=True)):
        _weigh(ratio, variance, settings, state)
        out[i] = _told(settings, state)


def learn_withheld(state: Floats, keep: float) -> None:
    """Known = keep^n known + withheld, for sums of w p and w; keep^2n for that of w^2 v."""
    for k, power in enumerate((1, 1, 2)):
        share = keep ** (power * state[places.N_WITHHELD])
        state[places.KNOWN + k] = share * state[places.KNOWN + k] + state[places.WITHHELD + k]
    state[places.WITHHELD : places.N_WITHHELD + 1] = 0.0


def rolling_cusum(p: Floats, v: Floats, settings: Floats, state: Floats, out: Floats) -> None:
    """The same of p / level, of variance v / level^2, the level followed while there is no evidence."""
    keep = settings[places.KEEP]
    for i, (ratio, variance) in enumerate(zip(p.tolist(), v.tolist(), strict=True)):
        level = max(state[places.KNOWN] / state[places.KNOWN + 1], places.MIN_LEVEL)
        _weigh(ratio / level, variance / level**2, settings, state)
        if 0.0 <= variance < math.inf and abs(ratio) < places.HUGE:
            w = 1.0 / max(variance, 1.0 / places.HUGE)
            for k, (power, more) in enumerate(((1, w * ratio), (1, w), (2, w))):
                place = places.WITHHELD + k
                state[place] = keep**power * state[place] + more
            state[places.N_WITHHELD] += 1
        if state[places.EVIDENCE] == 0.0 and state[places.N_WITHHELD]:
            learn_withheld(state, keep)
        out[i] = _told(settings, state)
