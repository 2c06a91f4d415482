"""Averaging modes beside the product's running average: what each sweep counts; each with its noise.

Streaming, on plain arrays: `add(uv, weights)` takes one sweep, `result()` gives a frozen `ModeAverage`. Every
mode only decides what a sweep counts; the sums are those of `dsp.mode_sums`. Refuses nothing at run time: a
derivation of a sweep that cannot be used (not finite, beyond any amplifier, weight not above 0) is counted as
rejected. Which sweeps are fit to be averaged otherwise, and what a peak is, are questions of others.
"""

from collections import deque
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.limits import BLOCK
from dsp.mode_sums import ModeAverage, Sums

Floats = NDArray[np.float64]
Span = tuple[int, int]
Name = Literal["weighted", "plain", "reject", "blocks", "exponential", "moving"]

MIN_VARIANCE_UV2 = 1e-6
MOST_UV = 1e9
WEIGHTS = (1e-12, 1e12)


class Weighted:
    """Every sweep counts its weight: mean = sum w x / sum w (Hoke 1984, weights from outside of the sweep).

    `span` are the rows that Fmp looks at (default: all). Raises ValueError for less than 2 rows or no
    derivation.
    """

    def __init__(self, n_rows: int, n_derivations: int, span: Span | None = None) -> None:
        self._sums = Sums(n_rows, n_derivations, span)

    def add(self, uv: NDArray[np.floating], weights: NDArray[np.floating]) -> None:
        """Fold in the sweep `uv` (time, derivation) with `weights` (derivation,); 0: not to be used."""
        clean, counted = self._usable(uv, weights)
        self._sums.n_rejected += counted == 0.0
        self._take(clean, counted)

    def _usable(self, uv: NDArray[np.floating], weights: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """The sweep in float64 and what each derivation counts; 0, and no values, where it cannot be used."""
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            rows, given = np.asarray(uv, np.float64), np.asarray(weights, np.float64)
            fit = (np.abs(rows) <= MOST_UV).all(axis=0) & (given > 0.0) & (given < np.inf)
            clean = np.where(fit, rows, 0.0)
            counted = np.where(fit, self._count(clean, np.clip(np.where(fit, given, 1.0), *WEIGHTS)), 0.0)
        return clean, counted

    def _count(self, uv: Floats, weights: Floats) -> Floats:
        """What each derivation of the sweep counts."""
        del uv
        return weights

    def _take(self, uv: Floats, weights: Floats) -> None:
        self._sums.add(uv, weights)

    def result(self) -> ModeAverage:
        """The average so far."""
        return self._sums.result()


class Plain(Weighted):
    """Every sweep counts the same: the mean."""

    def _count(self, uv: Floats, weights: Floats) -> Floats:
        del uv
        return np.ones_like(weights)


class Reject(Weighted):
    """The mean of the sweeps whose magnitude stays within `limit_uv`, per derivation, in every row."""

    def __init__(
        self, n_rows: int, n_derivations: int, limit_uv: float | Sequence[float], span: Span | None = None
    ) -> None:
        super().__init__(n_rows, n_derivations, span)
        limits = np.broadcast_to(np.asarray(limit_uv, np.float64), (n_derivations,)).copy()
        if not (limits > 0.0).all():
            raise ValueError(f"a limit of {limits.min():g} uV accepts nothing")
        self._limit = limits

    def _count(self, uv: Floats, weights: Floats) -> Floats:
        del weights
        return np.where(np.abs(uv).max(axis=0) <= self._limit, 1.0, 0.0)


class Blocks(Weighted):
    """Means of `BLOCK` accepted sweeps, weighted by 1/variance within the block (Elberling & Wahlgreen 1985).

    The variance is that of the sweeps about their block's mean, over all rows; with Gaussian noise it is
    independent of that mean, so the amplitude stays. Weights say used or not. Counted are whole blocks only.
    """

    def __init__(self, n_rows: int, n_derivations: int, span: Span | None = None) -> None:
        super().__init__(n_rows, n_derivations, span)
        self._block = np.zeros((BLOCK, n_rows, n_derivations))
        self._filled = np.zeros(n_derivations, np.int64)

    def _take(self, uv: Floats, weights: Floats) -> None:
        used = weights > 0.0
        for k in np.unique(self._filled[used]):
            mine = used & (self._filled == k)
            self._block[k][:, mine] = uv[:, mine]
        self._filled += used
        full = self._filled == BLOCK
        if full.any():
            with np.errstate(under="ignore"):
                mean = self._block.mean(axis=0)
                scatter = np.sum((self._block - mean) ** 2, axis=(0, 1)) / ((BLOCK - 1) * len(uv))
            weight = BLOCK / np.maximum(scatter, MIN_VARIANCE_UV2)
            self._sums.add(mean, np.where(full, np.clip(weight, *WEIGHTS), 0.0))
            self._filled[full] = 0

    def result(self) -> ModeAverage:
        """The average of the whole blocks so far."""
        return self._sums.result(BLOCK)


class Exponential(Weighted):
    """Each sweep takes the share `share` of the mean, what was before keeps the rest: m += a (x - m).

    N_eff = (2 - a) / a for equal weights. The first sweeps are not drawn to 0: the weights are normalised.
    Raises ValueError for a share outside of 0..1.
    """

    def __init__(self, n_rows: int, n_derivations: int, share: float, span: Span | None = None) -> None:
        if not 0.0 < share < 1.0:
            raise ValueError(f"a share of {share:g} is not between 0 and 1")
        self._sums = Sums(n_rows, n_derivations, span, keep=1.0 - share)


class Moving(Weighted):
    """The weighted mean of the last `sweeps` sweeps of which any derivation could be used, exactly.

    History is kept (`sweeps` x rows x derivations) and summed anew for every result: nothing drifts.
    Raises ValueError for less than 2 sweeps.
    """

    def __init__(self, n_rows: int, n_derivations: int, sweeps: int, span: Span | None = None) -> None:
        if sweeps < 2:
            raise ValueError(f"{sweeps} sweeps are no window")
        super().__init__(n_rows, n_derivations, span)
        self._shape = n_rows, n_derivations, span
        self._history: deque[tuple[Floats, Floats]] = deque(maxlen=sweeps)

    def _take(self, uv: Floats, weights: Floats) -> None:
        if weights.any():
            self._history.append((uv, weights))

    def result(self) -> ModeAverage:
        """The average of the window; rejected are counted from the beginning."""
        sums = Sums(*self._shape)
        for uv, weights in self._history:
            sums.add(uv, weights)
        sums.n_rejected += self._sums.n_rejected
        return sums.result()


def make(
    name: Name,
    n_rows: int,
    n_derivations: int,
    span: Span | None = None,
    *,
    limit_uv: float | Sequence[float] = 50.0,
    share: float = 0.01,
    sweeps: int = 200,
) -> Weighted:
    """The mode called `name` with what belongs to it: `limit_uv` of reject, `share` of exponential, `sweeps`
    of moving. Raises ValueError for an unknown name and for parameters without meaning."""
    if name == "reject":
        return Reject(n_rows, n_derivations, limit_uv, span)
    if name == "exponential":
        return Exponential(n_rows, n_derivations, share, span)
    if name == "moving":
        return Moving(n_rows, n_derivations, sweeps, span)
    simple = {"weighted": Weighted, "plain": Plain, "blocks": Blocks}
    if name not in simple:
        raise ValueError(f"no averaging mode is called {name}")
    return simple[name](n_rows, n_derivations, span)
