"""Burst-suppression probability: the propensity to be suppressed, followed second by second with an interval.

Owns the state-space filter on shares of suppressed time (Chemali et al. 2013), and how much a second tells:
samples of one suppression are not independent, and what counts is how many have come and gone. Refuses to
judge samples.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dsp.tapers import Z_95
from dsp.trends import Estimates

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DRIFT_PER_S = 0.01
"""Variance that the log odds gain in a second: as much as half an odds ratio in half a minute."""
UNKNOWN = 4.0
"""Variance of log odds of which nothing is known, about even odds; no more is ever told."""
MEMORY_S = 180.0
"""Cycles are counted over so long (exponentially)."""
PRIOR_S, PRIOR_TURNS = 3.0, 2.0
"""As if so many stretches of either state had been seen, exponential of this mean."""
LEAST_CV2 = 0.1
"""Of durations: no patient's are more regular, as far as is believed."""
_STEPS, _FURTHEST = 30, 12.0


class Cycles:
    """How long suppression and bursts last, per derivation: after what time a share is news.

    Of an alternating renewal process with mean durations S and B and their squared coefficients of variation,
    the share of a long time T has variance p (1 - p) n / T with n = S B / (S + B) x (cv_S^2 + cv_B^2), twice
    the correlation time where durations are exponential (Cox 1962).
    """

    def __init__(self, derivations: int, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        # Of either state: seconds, stretches, their sum and sum of squares; all fade, the prior does not.
        self._sums = np.zeros((4, 2, derivations))
        self._since = np.zeros(derivations)
        self._now = np.zeros(derivations, np.intp)

    def add(self, suppressed: Bools, good: Bools) -> None:
        """One more second of (time, derivation); what is not good stops the clock."""
        self._sums *= math.exp(-1.0 / MEMORY_S)
        for derivation in range(suppressed.shape[1]):
            states = suppressed[good[:, derivation], derivation].astype(np.intp)
            if len(states):
                self._follow(derivation, states)

    def _follow(self, derivation: int, states: NDArray[np.intp]) -> None:
        sums = self._sums[:, :, derivation]
        lengths = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(states)) + 1, [len(states)]]))
        state = int(states[0])
        if state != self._now[derivation]:
            self._end(derivation)
        for k, length in enumerate(lengths):
            if k:
                self._end(derivation)
            self._now[derivation] = state
            self._since[derivation] += length / self._rate_hz
            sums[0, state] += length / self._rate_hz
            state = 1 - state

    def _end(self, derivation: int) -> None:
        """The stretch that went on is over."""
        length_s = self._since[derivation]
        if length_s > 0.0:
            self._sums[1:, self._now[derivation], derivation] += (1.0, length_s, length_s**2)
        self._since[derivation] = 0.0

    @property
    def news_s(self) -> Floats:
        """Seconds (derivation,) that tell as much of the share as one independent observation."""
        total, n, length, square = self._sums
        mean = (PRIOR_TURNS * PRIOR_S + total) / (PRIOR_TURNS + n)
        with np.errstate(invalid="ignore", divide="ignore"):
            own = np.where(n > 0.0, n * square / length**2 - 1.0, 1.0)
        cv2 = (PRIOR_TURNS + n * np.maximum(own, LEAST_CV2)) / (PRIOR_TURNS + n)
        news: Floats = mean[0] * mean[1] / (mean[0] + mean[1]) * (cv2[0] + cv2[1])
        return news


class BurstProbability:
    """The filter over seconds, per derivation: log odds that wander, and a binomial observation.

    The posterior's mode by Newton's method and its curvature there (Chemali et al. 2013), with as many
    observations in a second as are independent: its good time over `Cycles.news_s`.
    """

    def __init__(self, derivations: int) -> None:
        self._odds = np.zeros(derivations)
        self._variance = np.full(derivations, UNKNOWN)

    def add(self, share: Floats, observations: Floats) -> Estimates:
        """One more second, `share` of whose good time was suppressed; probability with its interval."""
        self._variance = np.minimum(self._variance + DRIFT_PER_S, UNKNOWN)
        before, odds = self._odds, self._odds.copy()
        for _ in range(_STEPS):
            p = _logistic(odds)
            slope = observations * (share - p) - (odds - before) / self._variance
            odds = odds + slope / (observations * p * (1.0 - p) + 1.0 / self._variance)
            odds = np.clip(odds, -_FURTHEST, _FURTHEST)
        self._odds = odds
        p = _logistic(odds)
        self._variance = 1.0 / (1.0 / self._variance + observations * p * (1.0 - p))
        half = Z_95 * np.sqrt(self._variance)
        return Estimates(p, _logistic(odds - half), _logistic(odds + half))


def wilson(share: Floats, observations: Floats) -> tuple[Floats, Floats]:
    """Ends of the 95 % interval of a share of so many independent observations (Wilson 1927)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        z2 = Z_95**2 / observations
        middle = (share + 0.5 * z2) / (1.0 + z2)
        half = np.sqrt(z2 * (share * (1.0 - share) + 0.25 * z2)) / (1.0 + z2)
    return np.where(share <= 0.0, 0.0, middle - half), np.where(share >= 1.0, 1.0, middle + half)


def _logistic(odds: Floats) -> Floats:
    p: Floats = 1.0 / (1.0 + np.exp(-odds))
    return p
