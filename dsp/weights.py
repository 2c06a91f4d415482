"""Sweep weights: 1/variance of the response-free interval, as far as that interval can tell the variance.

A short interval holds few degrees of freedom, and weights that follow its chance would cost more than they
gain. Its variance is therefore pooled with the running level of the test: inverse-gamma shrinkage, the
running level counting as `PRIOR_FREEDOM` degrees, the interval as 4 x low corner x duration (slow noise
dominates what a high-pass at that corner leaves). Nothing of the sweep itself enters, so that the average
keeps its amplitude.
"""

import numpy as np
from numpy.typing import NDArray

from dsp import kernels

PRIOR_FREEDOM = 4.0
LEVEL_SWEEPS = 32
MIN_VARIANCE_UV2 = 1e-6
SAMPLED = 2.5


class NoiseWeights:
    """Weights of one test's derivations. `low_hz` None: unfiltered, the interval's own mean is taken out.

    Of what is sampled faster than 2.5 times its `high_hz`, only as many rows as tell something new are read.
    """

    def __init__(
        self, n_derivations: int, low_hz: float | None, rate_hz: float, high_hz: float | None = None
    ) -> None:
        self._filtered = low_hz is not None
        self._every = max(1, int(rate_hz / (SAMPLED * high_hz))) if high_hz else 1
        self._freedom_per_row = 4.0 * (low_hz or 0.0) / rate_hz
        self._variance = np.empty(n_derivations, dtype=np.float32)
        self._log_level: NDArray[np.float64] | None = None
        self._seen = 0

    def weigh(self, *intervals: NDArray[np.floating]) -> NDArray[np.float64] | None:
        """Weights (derivation,) for the sweep between response-free `intervals`, each (time, derivation).

        No rows: the running level alone decides; None when there is none yet. Rows that hold no numbers weigh
        nothing and are forgotten.
        """
        n = sum(len(rows) for rows in intervals)
        if not n:
            return None if self._log_level is None else np.exp(-self._log_level)
        total = np.zeros(len(self._variance))
        for rows in intervals:
            if len(rows):
                centred = rows if self._filtered else rows - rows.mean(axis=0)
                kernels.power(np.ascontiguousarray(centred, dtype=np.float32), self._every, self._variance)
                total += len(rows) * self._variance.astype(np.float64)
        if not np.isfinite(total).all():
            return np.zeros(len(total))
        variance = np.maximum(total / n, MIN_VARIANCE_UV2)
        level = np.exp(self._follow(np.log(variance)))
        freedom = max(1.0, self._freedom_per_row * n)
        pooled = (PRIOR_FREEDOM * level + freedom * variance) / (PRIOR_FREEDOM + freedom)
        return np.asarray(1.0 / pooled)

    def _follow(self, log_variance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Running mean of the log variance: plain at first, then over the last LEVEL_SWEEPS."""
        self._seen += 1
        if self._log_level is None:
            self._log_level = log_variance
        else:
            share = 1.0 / min(self._seen, LEVEL_SWEEPS)
            self._log_level = self._log_level + share * (log_variance - self._log_level)
        return self._log_level
