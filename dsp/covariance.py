"""Covariance of noise from rows without response: what projections are whitened by.

Owns the estimate of a stationary covariance from few rows. Refuses to give one that is not positive definite.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WHITE_SHARE = 0.02
"""White noise added to what the rows tell, share of their power: what few rows cannot exclude."""


def toeplitz(quiet: Floats, n: int) -> Floats:
    """Covariance (n, n) of noise like `quiet` (sweep, time), which has no mean.

    Autocovariances of all lags over all rows (the biased estimate), which makes it positive.
    """
    rows = quiet.shape[1]
    gamma = np.zeros(n)
    for lag in range(min(n, rows)):
        gamma[lag] = np.sum(quiet[:, lag:] * quiet[:, : rows - lag]) / quiet.size
    gamma[0] = max((1.0 + WHITE_SHARE) * gamma[0], 1e-12)
    at = np.arange(n)
    return np.asarray(gamma[np.abs(at[:, None] - at)])
