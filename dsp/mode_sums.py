"""The sums that every averaging mode keeps of its sweeps, and what they say of the average and its noise.

16 sub-averages in turn (means and weights), the weighted Welford scatter, and products of differences of
neighbouring sweeps: mean, residual noise, noise-only averages and Fmp with its bound all come from them.
Refuses to decide what a sweep counts: that is its mode (`dsp.modes`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp import kernels_sums as places
from dsp.average import hadamard
from dsp.limits import SUB_AVERAGES
from dsp.nouns import Average
from dsp.presence import f_quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FALSE_POSITIVE = 0.01
"""How often Fmp exceeds its bound when there is no response."""
Z_BOUND = 2.3263
UNSURE = 3.0
"""The freedom is estimated: its variance, about 1.1 per sweep, would let noise pass more often (at 32 sweeps
1.4 % instead of 1 %) did the bound not take n / (n + 3) of it."""


@dataclass(frozen=True, slots=True)
class ModeAverage:
    """One average with its noise, per derivation. NaN: nothing can be said (no sweep, one sweep, no noise).

    `mean_uv`, `odd_uv`, `even_uv`, `plus_minus_uv` (time, derivation): the weighted mean, those of every
    second accepted sweep, and their scaled difference, which holds noise as large as the mean's and no
    response. `residual_uv` (time, derivation): standard error of the mean at each time; `noise_uv`
    (derivation,): its rms over time. `null_uv` (pattern, time, derivation): 15 noise-only averages; NaN below
    16 sweeps (blocks). `n_sweeps`, `n_rejected`, `n_effective` (derivation,). `fmp` (derivation,) over the
    span, `fmp_bound` what noise alone exceeds once in 100 times (inf: not known yet), and
    `fmp_freedom` (2, derivation), the two degrees of freedom of that.
    """

    mean_uv: Floats
    residual_uv: Floats
    noise_uv: Floats
    plus_minus_uv: Floats
    odd_uv: Floats
    even_uv: Floats
    null_uv: Floats
    n_sweeps: Ints
    n_rejected: Ints
    n_effective: Floats
    fmp: Floats
    fmp_bound: Floats
    fmp_freedom: Floats

    @property
    def present(self) -> NDArray[np.bool_]:
        """Per derivation: Fmp beyond its bound."""
        return np.asarray(self.fmp > self.fmp_bound)

    def average(self, first_index: int = -1, last_index: int = -1, final: bool = False) -> Average:
        """As the product's `Average`, for `dsp.measure`: its noise is that of the 15 null averages."""
        noise = np.sqrt(np.mean(self.null_uv * self.null_uv, axis=(0, 1)))
        n, rejected = int(self.n_sweeps.max()), int(self.n_rejected.min())
        null = self.null_uv.astype(np.float32)
        return Average(
            self.mean_uv, noise, null, n, rejected, self.n_effective, first_index, last_index, final
        )


class Sums:
    """Sums of sweeps (n_rows, n_derivations); Fmp looks at the rows `span` (default: all).

    Before each sweep what is there is multiplied by `keep` (1: for ever). Row `n_rows` of the arrays inside
    is the sweep's own mean over the span. Raises ValueError for sizes without meaning.
    """

    def __init__(
        self, n_rows: int, n_derivations: int, span: tuple[int, int] | None = None, keep: float = 1.0
    ) -> None:
        first, end = span or (0, n_rows)
        if n_derivations < 1 or not 0 <= first < end - 1 < n_rows:
            raise ValueError(f"span {first}..{end} of {n_rows} rows, {n_derivations} derivations is no span")
        self._span = slice(first, end)
        self._keep = keep
        length, n = end - first, n_derivations
        self._rows = np.zeros((n, places.ROWS, n_rows + 1))
        self._pairs = np.zeros((n, places.SPAN_ROWS, length))
        self._sums = np.zeros((n, places.COLUMNS))
        self.n_added = np.zeros(n, np.int64)
        self.n_rejected = np.zeros(n, np.int64)
        # Views: (sub-average, time, derivation), (time, derivation), (column, derivation).
        by_row = self._rows.transpose(1, 2, 0)
        self._means, self._centre, self._scatter = (
            by_row[:SUB_AVERAGES],
            by_row[places.CENTRE],
            by_row[places.SCATTER],
        )
        self._weights, self._squares = self._sums.T[:SUB_AVERAGES], self._sums.T[places.SQUARES]

    def add(self, uv: Floats, weights: Floats) -> None:
        """Fold in uv (time, derivation), finite; derivations of weight 0 stay as they are."""
        rows, counted = np.ascontiguousarray(uv, np.float64), np.ascontiguousarray(weights, np.float64)
        first = self._span.start
        kernels.running_sums(
            rows, counted, first, self._keep, self._rows, self._pairs, self._sums, self.n_added
        )

    def result(self, sweeps_each: int = 1) -> ModeAverage:
        """The record; each added row stands for `sweeps_each` sweeps."""
        with np.errstate(under="ignore"):
            return self._result(sweeps_each)

    def _result(self, sweeps_each: int) -> ModeAverage:
        weight = self._weights.sum(axis=0)
        safe = np.where(weight > 0.0, weight, np.nan)
        sums = hadamard(self._weights[:, None, :] * self._means) / safe
        mean = sums[0]
        variance = self._variance(mean, weight)
        odd, even = self._half(0), self._half(1)
        halves = self._weights[0::2].sum(axis=0), self._weights[1::2].sum(axis=0)
        fmp, bound, freedom = self._fmp(mean, variance)
        squares = np.where(self._squares > 0.0, self._squares, 1.0)
        return ModeAverage(
            mean_uv=mean[:-1],
            residual_uv=np.sqrt(variance[:-1]),
            noise_uv=np.sqrt(np.mean(variance[:-1], axis=0)),
            plus_minus_uv=np.sqrt(halves[0] * halves[1]) / safe * (odd - even),
            odd_uv=odd,
            even_uv=even,
            null_uv=self._null(sums, safe)[:, :-1],
            n_sweeps=self.n_added * sweeps_each,
            n_rejected=self.n_rejected.copy(),
            n_effective=weight * weight / squares * sweeps_each,
            fmp=fmp,
            fmp_bound=bound,
            fmp_freedom=freedom,
        )

    def _half(self, first: int) -> Floats:
        """Weighted mean (time, derivation) of every second sweep; NaN when there is none."""
        weights = self._weights[first::2]
        total = weights.sum(axis=0)
        sums = (weights[:, None, :] * self._means[first::2, :-1]).sum(axis=0)
        return np.asarray(sums / np.where(total > 0.0, total, np.nan))

    def _null(self, sums: Floats, weight: Floats) -> Floats:
        """The 15 sign patterns without their share of the mean, as in `dsp.average`; NaN below 16 sweeps."""
        share = (hadamard(self._weights) / weight)[1:, None, :]
        known = (self._weights > 0.0).all(axis=0)
        kept = np.sqrt(np.where(known, 1.0 - share * share, np.nan))
        return np.asarray((sums[1:] - share * sums[0]) / kept)

    def _variance(self, mean: Floats, weight: Floats) -> Floats:
        """Variance of the mean per row: sum w^2 (x - mean)^2 / ((sum w)^2 - sum w^2).

        Unbiased for equal weights in equal noise and for weights 1/variance; near it between.
        """
        scatter = self._scatter + self._squares * (self._centre - mean) ** 2
        left = weight * weight - self._squares
        known = (self.n_added > 1) & (left > 0.0)
        return np.asarray(np.maximum(scatter, 0.0) / np.where(known, left, np.nan))

    def _fmp(self, mean: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
        """Fmp, its bound and the degrees of freedom (2, derivation)."""
        seen = mean[self._span]
        power = np.mean((seen - mean[-1]) ** 2, axis=0)
        noise = np.mean(variance[self._span], axis=0) - variance[-1]
        fmp = power / np.where(noise > 0.0, noise, np.nan)
        total, total2, expected, product = self._sums.T[places.ENERGY :]
        known = (product > 0.0) & (total2 > 0.0)
        upper = expected / np.where(known, product, 1.0)
        n1 = np.clip(upper, 1.0, self._span.stop - self._span.start - 1.0)
        equal = 2.0 * total * total * (1.0 + 2.0 / n1) / np.where(known, total2, np.inf)
        n1 = np.maximum(n1 / (1.0 + UNSURE / np.maximum(equal, 1.0)), 1.0)
        n2 = n1 * np.maximum(equal - 1.0, 1.0)
        pairs = zip(n1.tolist(), n2.tolist(), known.tolist(), strict=True)
        bound = np.array([f_quantile(a, b, Z_BOUND) if sure else np.inf for a, b, sure in pairs])
        return fmp, bound, np.where(known, np.stack([n1, n2]), np.nan)
