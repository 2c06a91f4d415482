"""Amplitude by projection on a baseline: how much of its response is in an average, with the error.

Owns the template (made of a baseline average), the ratio with its interval, the test for presence, the
ratio in single sweeps and their noise. Nothing is picked, so noise is not read as response; the noise of the
baseline itself is corrected for. Refuses a baseline that does not stand clear of its noise; tells no latency.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp import kernels, presence
from dsp import kernels_change as places

Floats = NDArray[np.float64]
MIN_CLEARANCE = 3.0
"""A baseline must be this many of its standard errors above nothing: an error of at most a third."""
PRESENT = 0.995
"""One-sided: without a response 0.5 % of averages are called present (about 1 % where bursts are many)."""
SMOOTH_COSINES = 5
HUGE_UV = 1e12
NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Template:
    """What to project on: `weights` (row of the span,) sum to nothing, so that an offset does not count.

    weights' x is the ratio of x to the baseline, as nearly unbiased as the baseline allows. `gain` times that
    is the pivot from which intervals are made, `variance` the square of the baseline's own relative error.
    """

    span: slice
    weights: Floats
    gain: float
    variance: float
    n_patterns: int

    @property
    def standard_error(self) -> float:
        """Relative standard error of the baseline."""
        return math.sqrt(self.variance)


@dataclass(frozen=True, slots=True)
class Projection:
    """`ratio` to the baseline, its standard error and 95 % interval; `present` by its own noise alone.

    Kept for further tests: `pivot` with the variance of this average's noise, and that of the reference,
    whose share grows with the ratio squared. Both variances come from `n_patterns` independent averages each.
    """

    ratio: float
    standard_error: float
    ci: tuple[float, float]
    present: bool
    pivot: float
    own_variance: float
    reference_variance: float
    n_patterns: int

    def probability_below(self, limit: float) -> float:
        """Confidence that the true ratio is below `limit` (Fieller's pivot under Student's t)."""
        spread = math.sqrt(self.own_variance + limit * limit * self.reference_variance)
        freedom = _freedom(self.own_variance, limit * limit * self.reference_variance, self.n_patterns)
        away = limit - self.pivot
        if spread <= 0.0:
            return 0.5 if away == 0.0 else float(away > 0.0)
        return t_probability(away / spread, freedom)


def template(
    mean: ArrayLike,
    null: ArrayLike,
    span: slice,
    cosines: int | None = None,
    tails: Sequence[float] = (),
    clearance: float = MIN_CLEARANCE,
) -> Template | None:
    """The template of a baseline `mean` (time,) and its noise-only averages `null` (pattern, time).

    `span` is the response's rows. With b its rows less their mean, n_k the null averages', M a metric, each
    less what `tails` make up too: decays from the span's first row on, of so many rows' time constant (what a
    stimulus' artifact leaves behind its blanking; it stays when the response is lost):

        D = b'M b - mean_k n_k'M n_k        energy of the response alone (errors in variables: Fuller 1987)
        Q = mean_k (b'M n_k)^2 + (1 + 2/K) mean_{j<>k} (n_j'M n_k)^2        variance of what is divided by
        w = M b / (D (1 + 2 mean_k (b'M n_k)^2 / D^2))        ratio without the bias of dividing by noise

    M is the identity, or, with `cosines`, the lowest so many half cosines of the span (2 x its seconds x the
    highest Hz of the response), each divided by the root of its noise power (half whitening). None when the
    baseline is not finite or not `clearance` of its standard errors above nothing (below 3 no ratio to it
    means anything, only a ratio of ratios). Raises ValueError for shapes and spans that cannot be.
    """
    mean_uv, null_uv = np.asarray(mean, np.float64), np.asarray(null, np.float64)
    _check(mean_uv, null_uv, span, cosines, tails)
    if not (_usable(mean_uv[span]) and _usable(null_uv[:, span])):
        return None
    b = mean_uv[span] - mean_uv[span].mean()
    noise = null_uv[:, span] - null_uv[:, span].mean(axis=1, keepdims=True)
    if tails:
        decays = _decays(len(b), tails)
        b, noise = b - b @ decays @ decays.T, noise - noise @ decays @ decays.T
    raw, noise_raw = _metric(b, noise, cosines)
    k = len(noise)
    gram = np.einsum("ir,jr->ij", noise_raw, noise)
    energy = float(raw @ b) - float(np.diagonal(gram).mean())
    if energy <= 0.0:
        return None
    along = float(np.mean((noise @ raw) ** 2)) / energy**2
    across = float(np.mean(gram[~np.eye(k, dtype=bool)] ** 2)) / energy**2
    variance = along + (1.0 + 2.0 / k) * across
    if not variance * clearance**2 < 1.0:
        return None
    gain = 1.0 + 2.0 * along
    return Template(span, raw / (energy * gain), gain, variance, k)


def project(made: Template, mean: ArrayLike, null: ArrayLike) -> Projection | None:
    """The ratio of an average `mean` (time,) and noise-only averages `null` (pattern, time) to the baseline.

    The interval is Fieller's (1954): all a with (pivot - a)^2 <= t^2 (own + a^2 reference), t of Student with
    the degrees of freedom of Welch and Satterthwaite. None when the average is not finite in the span.
    """
    mean_uv, null_uv = np.asarray(mean, np.float64), np.asarray(null, np.float64)
    if not (_usable(mean_uv[made.span]) and _usable(null_uv[:, made.span])):
        return None
    ratio = float(mean_uv[made.span] @ made.weights)
    own = float(np.mean((null_uv[:, made.span] @ made.weights) ** 2))
    present = ratio > t_quantile(PRESENT, len(null_uv)) * math.sqrt(own)
    scaled = own * made.gain**2
    return _projection(ratio, ratio * made.gain, scaled, made.variance, made.n_patterns, present)


def project_sweeps(made: Template, sweeps: ArrayLike) -> Floats:
    """The ratio (sweep,) in each of `sweeps` (sweep, time); NaN for one that is not finite in the span."""
    rows = np.asarray(sweeps, np.float64)[:, made.span]
    good = (np.abs(rows) < HUGE_UV).all(axis=1)
    found = np.full(len(rows), np.nan)
    found[good] = np.einsum("sr,r->s", rows[good], made.weights)
    return found


class SweepNoise:
    """The variance of each sweep's projection: scale / weight, the scale followed from the sweeps before it.

    The weight is that of the sweep drawn towards its neighbours before: exp of a running mean of log weights
    over about 7 sweeps, begun anew where one is 3.3 times off, so that a burst is one from its first sweep on
    and the chance of short intervals is not read as noise. scale = mean(w^2 r^2) / mean(w), running over 1024
    sweeps, with r the distance from the mean of about 64 before, so that a fall does not pass for noise.
    Evidence has the spread that it claims even where weights are not quite 1/variance. w r^2 is cut off at 9
    x scale. The numbers stand in `dsp.kernels_change`.
    """

    def __init__(self) -> None:
        self._state = np.zeros(places.NOISE_STATE)
        self._one = np.empty((3, 1))

    def variance(self, p: float, weight: float) -> float:
        """The variance of `p` (ratio), of a sweep of `weight`; infinite when it says nothing (yet)."""
        self._one[0, 0], self._one[1, 0] = p, weight
        kernels.sweep_noise(self._one[0], self._one[1], self._state, self._one[2])
        return float(self._one[2, 0])

    def run(self, p: ArrayLike, weights: ArrayLike) -> Floats:
        """The variances of many sweeps, `p` and `weights` (sweep,). Raises ValueError for shapes that do not
        fit."""
        ratios, given = (np.ascontiguousarray(x, np.float64) for x in (p, weights))
        if ratios.ndim != 1 or ratios.shape != given.shape:
            raise ValueError(f"ratios {ratios.shape} and weights {given.shape} are not (sweep,) both")
        found = np.empty(len(ratios))
        kernels.sweep_noise(ratios, given, self._state, found)
        return found


def against(
    projection: Projection | None, made: Template, level: float, level_se: float
) -> Projection | None:
    """The same average against a moved baseline, at `level` +- `level_se` of the template's own.

    The template's error is in both and cancels. None when the level is not clear of its error.
    """
    if projection is None or not level > MIN_CLEARANCE * level_se or not level > 0.0:
        return None
    own = projection.own_variance / (made.gain * level) ** 2
    reference = (level_se / level) ** 2
    ratio = projection.ratio / level
    return _projection(ratio, ratio, own, reference, projection.n_patterns, projection.present)


def _projection(
    ratio: float, pivot: float, own: float, reference: float, n_patterns: int, present: bool
) -> Projection:
    shared = ratio * ratio * reference
    t2 = t_quantile(0.975, _freedom(own, shared, n_patterns)) ** 2
    square = 1.0 - t2 * reference
    root = math.sqrt(max(0.0, pivot * pivot - square * (pivot * pivot - t2 * own)))
    ci = ((pivot - root) / square, (pivot + root) / square)
    error = math.sqrt(own + shared)
    return Projection(ratio, error, ci, bool(present), pivot, own, reference, n_patterns)


def _freedom(own: float, shared: float, n_patterns: int) -> float:
    """Degrees of freedom of the sum of two variances of n_patterns each (Welch 1947, Satterthwaite 1946)."""
    total = own + shared
    if total <= 0.0:
        return float(n_patterns)
    return n_patterns / ((own / total) ** 2 + (shared / total) ** 2)


def _metric(b: Floats, noise: Floats, cosines: int | None) -> tuple[Floats, Floats]:
    """M b (row,) and M n_k (pattern, row)."""
    if cosines is None:
        return b, noise
    rows = len(b)
    waves = np.cos(np.pi / rows * np.outer(np.arange(1, cosines + 1), np.arange(rows) + 0.5))
    power = np.einsum("kr,cr->kc", noise, waves)
    shares = _half_white(np.mean(power**2, axis=0))
    raw = (waves @ b * shares) @ waves
    return raw, (power * shares) @ waves


def _decays(rows: int, tails: Sequence[float]) -> Floats:
    """The tails beside an offset as orthonormal columns (row, tail)."""
    decays = np.exp(-np.arange(rows)[:, None] / np.asarray(tails))
    return np.asarray(np.linalg.qr(decays - decays.mean(axis=0))[0])


def _half_white(power: Floats) -> Floats:
    """1 / root of the noise power (cosine,), smoothed on a log scale; ones when there is no noise to tell.

    Full whitening leans on cosines in which a noisy baseline has little but noise; half of it does not.
    """
    mean = float(power.mean())
    if mean <= 0.0:
        return np.ones(len(power))
    logs = np.log(np.maximum(power / mean, 1e-9))
    edge = SMOOTH_COSINES // 2
    wide = np.pad(logs, edge, mode="edge")
    smooth = np.convolve(wide, np.full(SMOOTH_COSINES, 1.0 / SMOOTH_COSINES), mode="valid")
    return np.asarray(np.exp(-0.5 * smooth))


def _usable(values: Floats) -> bool:
    return bool((np.abs(values) < HUGE_UV).all())


def _check(mean: Floats, null: Floats, span: slice, cosines: int | None, tails: Sequence[float]) -> None:
    if mean.ndim != 1 or null.ndim != 2 or null.shape[1] != len(mean):
        raise ValueError(f"mean {mean.shape} and null {null.shape} are not (time,) and (pattern, time)")
    if len(null) < 2:
        raise ValueError("fewer than 2 noise-only averages tell no error")
    start, stop, step = span.indices(len(mean))
    if step != 1 or stop - start < 4 or (span.start, span.stop) != (start, stop):
        raise ValueError(f"{span} is not a span of 4 rows or more of {len(mean)}")
    if cosines is not None and not 2 <= cosines < stop - start:
        raise ValueError(f"{cosines} cosines do not fit into {stop - start} rows")
    if tails and (cosines is not None or len(tails) > stop - start - 4 or not min(tails) > 0.0):
        raise ValueError(f"tails {tuple(tails)} do not go with {stop - start} rows and {cosines} cosines")


def t_quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t with `freedom` degrees (see `dsp.presence.t_quantile`)."""
    return presence.t_quantile(freedom, NORMAL.inv_cdf(probability))


def t_probability(t: float, freedom: float) -> float:
    """Distribution function of Student's t (Wallace 1959; within 0.001 from 10 degrees of freedom on)."""
    n = freedom
    z = (8.0 * n + 1.0) / (8.0 * n + 3.0) * math.sqrt(n * math.log1p(t * t / n))
    return NORMAL.cdf(math.copysign(z, t))
