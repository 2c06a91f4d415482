"""The weighted average of a test's sweeps, and its residual noise measured on the same sweeps.

Sweeps go in turn into 16 sub-averages. Their weighted sum is the average; the 15 balanced sign patterns of a
Hadamard matrix over them are noise-only averages: the response cancels in each, the noise does not. They
generalise the plus-minus reference (Schimmel 1967) to 15 independent realisations of exactly the noise that
the average still carries, in its own band and with its own weights; noise, intervals and presence all come
from them. Nothing below 16 sweeps is claimed.

The average runs: it grows to its target number of sweeps, then moves on in steps of an eighth, so that there
is always a believable one and none reaches further back than its target. The one made of exactly the last
target sweeps, none of them shared with the one before, is `final`.
"""

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.limits import SUB_AVERAGES
from dsp.nouns import Average, Sweep

SPANS = 8
TILE = 192
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
NO_SWEEP = (1 << 63) - 1


def hadamard(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Walsh-Hadamard transform over the first axis (a power of two long): row 0 is the plain sum."""
    out = blocks.copy()
    step = 1
    while step < len(out):
        pairs = out.reshape(len(out) // (2 * step), 2, step, *out.shape[1:])
        out = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(blocks.shape)
        step *= 2
    return out


class _Tiles:
    """Room for what `null_averages` takes per derivation, repeated: its inner loops are long then, and become
    vector code. `flat` is the same room as the kernel takes it."""

    def __init__(self, n: int) -> None:
        tiles = max(1, TILE // n)
        self.scale, self.squares = (np.empty((tiles, n), dtype=np.float32) for _ in range(2))
        self.scales, self.shares = (
            np.empty((SUB_AVERAGES - 1, tiles, n), dtype=np.float32) for _ in range(2)
        )
        self.halves = np.empty((2, tiles, n), dtype=np.float32)
        self.flat = (
            self.scale.reshape(-1),
            self.scales.reshape(SUB_AVERAGES - 1, -1),
            self.shares.reshape(SUB_AVERAGES - 1, -1),
            self.squares.reshape(-1),
            self.halves.reshape(2, -1),
        )


class Averager:
    """The running average of `n_rows` x `n_derivations` sweeps, `target` of them at most.

    Kept in SPANS stretches of time, the oldest of which is forgotten when a new one begins. Raises ValueError
    for a target below 16 and for sweeps of no size.
    """

    def __init__(self, n_rows: int, n_derivations: int, target: int) -> None:
        if target < SUB_AVERAGES:
            raise ValueError(f"an average of {target} sweeps is under {SUB_AVERAGES}")
        if n_rows < 1 or n_derivations < 1:
            raise ValueError(f"sweeps of {n_rows} rows and {n_derivations} derivations hold nothing")
        self._target = target
        self._shape = (n_rows, n_derivations)
        self._tiles = _Tiles(n_derivations)
        # Without its oldest span it must still have a sweep in every sub-average.
        spans = SPANS if target - -(-target // SPANS) + 1 >= SUB_AVERAGES else target
        self._totals = np.zeros((spans, SUB_AVERAGES, n_rows, n_derivations), dtype=np.float32)
        # The same over all spans: what an average is made of, ready at every sweep.
        self._total = np.zeros(self._totals.shape[1:], dtype=np.float32)
        self._weights = np.zeros((spans, SUB_AVERAGES, n_derivations))
        self._squares = np.zeros((spans, n_derivations))
        self._accepted, self._rejected, self._firsts = [0] * spans, [0] * spans, [NO_SWEEP] * spans
        self.restart()

    def restart(self) -> None:
        """Forget every sweep: a new average begins."""
        for span in range(len(self._totals)):
            self._clear(span)
        self._total[:] = 0.0
        self._count = 0
        self._span = 0
        self._last = -1
        self.complete = False

    def _clear(self, span: int) -> None:
        self._totals[span] = 0.0
        self._weights[span] = 0.0
        self._squares[span] = 0.0
        self._accepted[span] = self._rejected[span] = 0
        self._firsts[span] = NO_SWEEP

    @property
    def n_sweeps(self) -> int:
        """Accepted sweeps in the average."""
        return sum(self._accepted)

    def add(self, sweep: Sweep) -> None:
        """Fold one sweep in, or count it as rejected; `complete` says whether it completed an average."""
        self.complete = False
        self._last = sweep.trigger.index
        if sweep.accepted:
            self._enter_span(self._count % self._target * len(self._totals) // self._target)
        span = self._span
        self._firsts[span] = min(self._firsts[span], sweep.trigger.index)
        if not sweep.accepted:
            self._rejected[span] += 1
            return
        slot = self._count % SUB_AVERAGES
        uv = np.ascontiguousarray(sweep.uv, dtype=np.float32)
        single = sweep.weights.astype(np.float32)
        kernels.fold(uv, single, self._totals[span, slot])
        kernels.fold(uv, single, self._total[slot])
        weights = single.astype(np.float64)  # as they were folded
        self._weights[span, slot] += weights
        self._squares[span] += weights * weights
        self._accepted[span] += 1
        self._count += 1
        self.complete = self._count % self._target == 0

    def _enter_span(self, span: int) -> None:
        if span == self._span:
            return
        self._span = span
        if self._accepted[span]:
            self._clear(span)
            # From what is left and not by subtraction, which would leave a rest of what was forgotten.
            np.sum(self._totals, axis=0, out=self._total)
        self._clear(span)

    def average(self) -> Average:
        """The average so far; noise and null averages are NaN until every sub-average has a sweep."""
        rows, n = self._shape
        weights = self._weights.sum(axis=0)
        weight, squares = weights.sum(axis=0), self._squares.sum(axis=0)
        t = self._tiles
        kernels.pattern_shares(weights, t.scale, t.scales, t.shares, t.halves)
        work, half = (np.empty((k, rows * n), dtype=np.float32) for k in (SUB_AVERAGES, 2))
        kernels.null_averages(self._total.reshape(SUB_AVERAGES, -1), work, *t.flat, half)
        energy = t.squares.sum(axis=0, dtype=np.float64)
        return Average(
            mean_uv=work[0].reshape(rows, n).astype(np.float64),
            noise_uv=np.sqrt(energy / ((SUB_AVERAGES - 1) * rows)),
            null_uv=work[1:].reshape(-1, rows, n),
            n_sweeps=self.n_sweeps,
            n_rejected=sum(self._rejected),
            n_effective=np.divide(weight * weight, squares, out=np.zeros(n), where=squares > 0.0),
            first_index=min(self._firsts) if self._last >= 0 else -1,
            last_index=self._last,
            final=self.complete,
            halves_uv=half.reshape(2, rows, n),
        )
