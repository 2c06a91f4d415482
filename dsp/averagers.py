"""The averages that a test can choose, one face for all: `Averager` and the modes of `dsp.modes`.

Owns what an average needs beside its sums: which sweeps it is of, and when one is complete.
"""

from collections import deque
from dataclasses import replace
from typing import Protocol

import numpy as np

from dsp import modes
from dsp.average import Averager
from dsp.limits import BLOCK, Averaging, least_sweeps
from dsp.nouns import Average, Sweep


class Averages(Protocol):
    """Sweeps in, averages out; `complete` when the sweep just added completed `target` of them."""

    complete: bool

    @property
    def n_sweeps(self) -> int:
        """Accepted sweeps in the average."""
        ...

    def add(self, sweep: Sweep) -> None:
        """Fold one sweep in, or count it as rejected."""
        ...

    def average(self) -> Average:
        """The average so far."""
        ...

    def restart(self) -> None:
        """Forget every sweep."""
        ...


class ModeAverager:
    """One of the modes of `dsp.modes` behind that face, of sweeps (n_rows, n_derivations).

    "moving": exactly the last `target` sweeps, history kept and summed anew for every average. "exponential":
    a sweep's share is such that as many count as effective, 2 / (target + 1). "blocks": blocks of eight, each
    weighted by the inverse of its own variance; after `target` sweeps a new average begins. Raises ValueError
    for a target below `least_sweeps`.
    """

    def __init__(self, averaging: Averaging, n_rows: int, n_derivations: int, target: int) -> None:
        least = least_sweeps(averaging)
        if target < least:
            raise ValueError(f"an average of {target} sweeps is under {least}")
        if averaging == "running":
            raise ValueError("the running average is dsp.average's")
        self._averaging, self._sizes, self._target = averaging, (n_rows, n_derivations), target
        self.restart()

    def restart(self) -> None:
        """Forget every sweep: a new average begins."""
        share = 2.0 / (self._target + 1.0)
        self._mode = modes.make(self._averaging_name(), *self._sizes, share=share, sweeps=self._target)
        self._indices: deque[int] = deque(maxlen=self._target if self._averaging == "moving" else None)
        self._count = self._rejected = 0
        self._last = -1
        self.complete = False

    def _averaging_name(self) -> modes.Name:
        names: dict[Averaging, modes.Name] = {
            "moving": "moving",
            "exponential": "exponential",
            "blocks": "blocks",
        }
        return names[self._averaging]

    @property
    def n_sweeps(self) -> int:
        """Accepted sweeps in the average; of blocks, those of whole ones."""
        n = len(self._indices)
        return n - n % BLOCK if self._averaging == "blocks" else n

    def add(self, sweep: Sweep) -> None:
        """Fold one sweep in, or count it as rejected; `complete` says whether it completed an average."""
        if self._averaging == "blocks" and self.complete and sweep.accepted:
            self.restart()
        self.complete = False
        self._last = sweep.trigger.index
        if not sweep.accepted:
            self._rejected += 1
            return
        self._mode.add(sweep.uv, sweep.weights)
        self._indices.append(sweep.trigger.index)
        self._count += 1
        self.complete = self._count % self._target == 0

    def average(self) -> Average:
        """The average so far; noise and null averages are NaN until every sub-average has a sweep."""
        with np.errstate(all="ignore"):
            told = self._mode.result()
            first = self._indices[0] if self._indices else -1
            made = told.average(first, self._last, self.complete)
        halves = np.stack([told.odd_uv, told.even_uv]).astype(np.float32)
        return replace(made, n_sweeps=self.n_sweeps, n_rejected=self._rejected, halves_uv=halves)


def averager(averaging: Averaging, n_rows: int, n_derivations: int, target: int) -> Averages:
    """What a test averages with. Raises ValueError for sizes and targets without meaning."""
    if averaging == "running":
        return Averager(n_rows, n_derivations, target)
    return ModeAverager(averaging, n_rows, n_derivations, target)
