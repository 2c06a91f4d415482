"""The weighted average of a test's sweeps, and its residual noise measured on the same sweeps.

Sweeps go in turn into 16 sub-averages. Their weighted sum is the average; the 15 balanced sign patterns of a
Hadamard matrix over them are noise-only averages: the response cancels in each, the noise does not. They
generalise the plus-minus reference (Schimmel 1967) to 15 independent realisations of exactly the noise that
the average still carries, in its own band and with its own weights; noise, intervals and presence all come
from them. Nothing below 16 sweeps is claimed.
"""

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.nouns import Average, Sweep

SUB_AVERAGES = 16


def hadamard(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Walsh-Hadamard transform over the first axis (a power of two long): row 0 is the plain sum."""
    out = blocks.copy()
    step = 1
    while step < len(out):
        pairs = out.reshape(len(out) // (2 * step), 2, step, *out.shape[1:])
        out = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(blocks.shape)
        step *= 2
    return out


class Averager:
    """Accumulates sweeps of `n_rows` x `n_derivations`; `target` accepted sweeps complete one average."""

    def __init__(self, n_rows: int, n_derivations: int, target: int) -> None:
        self._target = target
        self._totals = np.zeros((SUB_AVERAGES, n_rows, n_derivations))
        self._weights = np.zeros((SUB_AVERAGES, n_derivations))
        self._squares = np.zeros(n_derivations)
        self.restart()

    def restart(self) -> None:
        """Forget every sweep: a new average begins."""
        self._totals[:] = 0.0
        self._weights[:] = 0.0
        self._squares[:] = 0.0
        self.n_sweeps = self.n_rejected = 0
        self._first = self._last = -1

    @property
    def complete(self) -> bool:
        """True when the target number of accepted sweeps is in."""
        return self.n_sweeps >= self._target

    def add(self, sweep: Sweep) -> None:
        """Fold one sweep in, or count it as rejected."""
        if self._first < 0:
            self._first = sweep.trigger.index
        self._last = sweep.trigger.index
        if not sweep.accepted:
            self.n_rejected += 1
            return
        slot = self.n_sweeps % SUB_AVERAGES
        kernels.fold(sweep.uv, sweep.weights, self._totals[slot])
        self._weights[slot] += sweep.weights
        self._squares += sweep.weights * sweep.weights
        self.n_sweeps += 1

    def average(self) -> Average:
        """The average so far; noise and null averages are NaN until every sub-average has a sweep."""
        weight = self._weights.sum(axis=0)
        safe = np.where(weight > 0.0, weight, np.nan)
        sums = hadamard(self._totals) / safe
        mean = sums[0]
        # Unequal sub-weights leave a known share of the response in each pattern: take it out again.
        share = hadamard(self._weights) / safe
        null = sums[1:] - share[1:, None, :] * mean
        if self.n_sweeps < SUB_AVERAGES:
            null[:] = np.nan
        noise = np.sqrt(np.mean(null * null, axis=(0, 1)))
        effective = np.where(
            self._squares > 0.0, weight * weight / np.where(weight > 0, self._squares, 1.0), 0.0
        )
        return Average(
            mean_uv=mean,
            noise_uv=noise,
            null_uv=null,
            n_sweeps=self.n_sweeps,
            n_rejected=self.n_rejected,
            n_effective=effective,
            first_index=self._first,
            last_index=self._last,
            final=self.complete,
        )
