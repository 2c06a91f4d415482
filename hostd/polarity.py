"""Stimuli of two polarities by themselves: the averages of both lines of a test beside their common one.

Owns two averages of half the sweeps each. Their mean is free of what follows the polarity (artifact, cochlear
microphonic), half their difference is nothing else.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.averagers import averager
from dsp.limits import SUB_AVERAGES
from dsp.nouns import Sweep
from hostd.case import TestPlan

NOTHING: dict[str, Any] = {"polarities_uv": None}


class Polarities:
    """The averages of a test's line and of its alternate line, of `n_rows` rows each."""

    def __init__(self, plan: TestPlan, n_rows: int) -> None:
        self._lines = (plan.line, plan.stimulus.alternate_line)
        sweeps = max(SUB_AVERAGES, plan.sweeps // 2)
        self._averagers = [averager("running", n_rows, len(plan.derivations), sweeps) for _ in self._lines]

    def restart(self) -> None:
        """A new average begins."""
        for one in self._averagers:
            one.restart()

    def add(self, sweep: Sweep) -> None:
        """One more sweep of the test."""
        self._averagers[self._lines.index(sweep.trigger.line)].add(sweep)

    def fields(self) -> dict[str, Any]:
        """Both, `polarities_uv` (line, time, derivation); None before there are both."""
        both = [one.average() for one in self._averagers]
        if not all(one.n_sweeps and (one.n_effective > 0.0).all() for one in both):
            return NOTHING
        uv: NDArray[np.float32] = np.stack([one.mean_uv for one in both]).astype(np.float32)
        return {"polarities_uv": uv}
