"""The slow twins of dsp/projection.py and dsp/change.py: the formulas written out, one number at a time.

They document and test; those of the kernels take the same arrays. Refuse speed where it would hide a formula.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dsp import kernels_change as places

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


def sweep_noise(p: Floats, weights: Floats, state: Floats, out: Floats) -> None:
    """Variances as `projection.SweepNoise` tells them, sweep by sweep."""
    out[:] = math.inf
    for i, (x, given) in enumerate(zip(p.tolist(), weights.tolist(), strict=True)):
        if not (abs(x) < places.HUGE and 1.0 / places.HUGE < given < places.HUGE):
            continue
        seen, mean, mean_weight, squares, total, level = state.tolist()
        away = math.log(given) - level
        level += away if not seen or abs(away) > places.JUMP else places.LOG_SHARE * away
        w = math.exp(level)
        square = w * (x - mean) ** 2
        if seen >= places.MIN_NOISE_SWEEPS:
            out[i] = squares / total / w
            square = min(square, places.CLIP * squares / total)
        if seen:
            squares += (w * square - squares) / min(seen, places.NOISE_SWEEPS)
            total += (w - total) / min(seen, places.NOISE_SWEEPS)
        mean_weight += (w - mean_weight) / min(seen + 1, places.MEAN_SWEEPS)
        mean += (x - mean) * w / (mean_weight * min(seen + 1, places.MEAN_SWEEPS))
        state[:] = seen + 1, mean, mean_weight, squares, total, level


def threshold(information: float, interval_sweeps: float) -> float:
    """b from 2 (e^b - b - 1) = interval x information by Newton's steps, h = b - 1.166 root(information)."""
    want = 0.5 * interval_sweeps * information
    b = math.log1p(want + math.sqrt(2.0 * want))
    for _ in range(4):
        if b > 0.0:
            b -= (math.expm1(b) - b - want) / math.expm1(b)
    return max(places.MIN_THRESHOLD, b - places.OVERSHOOT * math.sqrt(information))


def _weigh(p: float, v: float, error: float, settings: Floats, state: Floats) -> None:
    """One sweep into Page's sum; what says nothing only counts."""
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
    state[places.SUM] += min(max(gain, -h / places.MIN_SWEEPS), h / places.MIN_SWEEPS)
    state[places.SINCE] += information / delta**2
    if state[places.SUM] <= 0.0:
        state[[places.SUM, places.SINCE, places.ALARM]] = 0.0
        state[places.ZERO] = state[places.SEEN]
    elif evidence(error, state) >= places.ALL_OF_IT * h:
        state[places.ALARM] = 1.0
        state[places.SUM] *= min(1.0, 2.0 * h / evidence(error, state))


def evidence(error: float, state: Floats) -> float:
    """Log likelihood ratio of a fall since S was 0, averaged over the baseline's level (Robbins 1970).

    The sweeps since then, sum of 1/v = W, have a mean m of variance 1/W about the level, which itself has the
    variance e^2 about 1: log N(m; 1 - d, e^2 + 1/W) - log N(m; 1, e^2 + 1/W) = d (1 - d/2 - m) / (e^2 + 1/W),
    and S = W d (1 - d/2 - m).
    """
    return float(state[places.SUM] / (1.0 + error * state[places.SINCE]))


def learn_withheld(state: Floats, keep: float) -> None:
    """Known = keep^n known + withheld, for sums of w p and w; keep^2n for that of w^2 v."""
    for k, power in enumerate((1, 1, 2)):
        share = keep ** (power * state[places.N_WITHHELD])
        state[places.KNOWN + k] = share * state[places.KNOWN + k] + state[places.WITHHELD + k]
    state[places.WITHHELD :] = 0.0


def clear_evidence(state: Floats) -> None:
    """An answered alarm."""
    state[[places.SUM, places.SINCE, places.ALARM]] = 0.0
    state[places.ZERO] = state[places.SEEN]
    state[places.WITHHELD :] = 0.0


def cusum(p: Floats, v: Floats, settings: Floats, state: Floats, out: Floats) -> None:
    """Page's test of p / level, of variance v / level^2, the level learned while there is no evidence."""
    keep = settings[places.KEEP]
    for i, (ratio, variance) in enumerate(zip(p.tolist(), v.tolist(), strict=True)):
        told, weight, square = state[places.KNOWN : places.WITHHELD].tolist()
        level = max(told / weight, places.MIN_LEVEL)
        error = square / weight**2 / level**2
        _weigh(ratio / level, variance / level**2, error, settings, state)
        if 0.0 <= variance < math.inf and abs(ratio) < places.HUGE:
            w = 1.0 / max(variance, 1.0 / places.HUGE)
            for k, (power, more) in enumerate(((1, w * ratio), (1, w), (2, w))):
                place = places.WITHHELD + k
                state[place] = keep**power * state[place] + more
            state[places.N_WITHHELD] += 1
        nothing = state[places.SUM] == 0.0
        since = -1.0 if nothing else state[places.ZERO]
        out[i] = evidence(error, state), state[places.THRESHOLD], state[places.ALARM], since
        if nothing and state[places.N_WITHHELD]:
            if settings[places.SETTLED] < 0.0 or math.sqrt(error) > settings[places.SETTLED]:
                learn_withheld(state, keep)
            state[places.WITHHELD :] = 0.0
        elif settings[places.ANSWERED] and state[places.ALARM]:
            if settings[places.ANSWERED] == 2.0:
                learn_withheld(state, keep)
            clear_evidence(state)
