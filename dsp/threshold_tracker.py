"""The intensity at which a muscle responds, followed stimulus by stimulus: an MEP's threshold in V or mA.

Owns what is believed of the threshold (a grid of probabilities), its estimate with an interval, and the next
intensity, which is never above the limit. Refuses an estimate above what was allowed to be tried.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPREAD = 0.07
"""Standard deviation of the intensity that just suffices, share of the threshold (Awiszus 2003)."""
FALSE, LAPSE = 0.02, 0.02
"""Responses far below, and none far above the threshold."""
JUMP = 0.01
"""Chance that the threshold has moved anywhere since the last stimulus (injury, an electrode come loose)."""
REACH, POINTS = 2.0, 600
_EDGE = 0.025


@dataclass(frozen=True, slots=True)
class Tracked:
    """`at` is the median of what is believed, `ci` its 95 % interval; ends beyond what may be tried are None.

    `above_limit` is the probability that the threshold lies above the limit; from one half on `at` is None.
    """

    at: float | None
    ci: tuple[float | None, float | None]
    above_limit: float
    stimuli: int


class ThresholdTracker:
    """Follows one muscle's threshold between `lowest` and `limit`; ValueError for what cannot be.

    A response at intensity x has probability FALSE + (1 - FALSE - LAPSE) Phi((x - t) / (SPREAD t)); Bayes on
    a grid of t up to twice the limit (the best next stimulus: Pentland 1980, Awiszus 2003). The threshold
    drifts by `drift` of itself (standard deviation, over a minute; fade) and may jump. No proposal is more
    than `rise` above the last intensity (or `lowest`).
    """

    def __init__(
        self, lowest: float, limit: float, step: float, drift: float = 0.02, rise: float = math.inf
    ) -> None:
        if not (
            0.0 < lowest < limit < math.inf and 0.0 < step <= limit - lowest and drift >= 0.0 and rise >= step
        ):
            raise ValueError(f"{lowest} to {limit} by {step}, drift {drift}, rise {rise}")
        self._lowest, self._limit, self._step = lowest, limit, step
        self._drift, self._rise, self._last = drift, rise, lowest
        logs = np.linspace(math.log(lowest / REACH), math.log(limit * REACH), POINTS)
        self._grid = np.exp(logs)
        self._log_step = float(logs[1] - logs[0])
        self._belief = np.full(POINTS, 1.0 / POINTS)
        self._stimuli = 0

    def add(self, intensity: float, present: bool | None, elapsed_s: float = 0.0) -> None:
        """The answer to one stimulus, so many seconds after the last; an unknown one only lets time pass."""
        if elapsed_s > 0.0 and math.isfinite(elapsed_s):
            self._diffuse(self._drift * math.sqrt(elapsed_s / 60.0))
        if present is None or not (math.isfinite(intensity) and intensity > 0.0):
            return
        self._last = intensity
        self._belief = (1.0 - JUMP) * self._belief + JUMP / POINTS
        chance = responds(intensity, self._grid)
        self._belief *= chance if present else 1.0 - chance
        self._belief /= self._belief.sum()
        self._stimuli += 1

    def tracked(self) -> Tracked:
        """What is known now."""
        total = np.cumsum(self._belief)
        above = float(self._belief[self._grid > self._limit].sum())
        low, middle, high = (self._quantile(total, q) for q in (_EDGE, 0.5, 1.0 - _EDGE))
        at = middle if above < 0.5 and self._stimuli else None
        ends = (low if low >= self._lowest else None, high if high <= self._limit else None)
        return Tracked(at, ends, above, self._stimuli)

    def propose(self) -> float:
        """The next intensity: where a response is as likely as not, on steps from `lowest`, within limits."""
        middle = self._quantile(np.cumsum(self._belief), 0.5)
        most = math.floor((min(self._limit, self._last + self._rise) - self._lowest) / self._step + 1e-9)
        wanted = round((min(middle, self._limit) - self._lowest) / self._step)
        return float(min(self._lowest + max(0, min(wanted, most)) * self._step, self._limit))

    def _quantile(self, total: Floats, share: float) -> float:
        return float(self._grid[min(int(np.searchsorted(total, share * total[-1])), POINTS - 1)])

    def _diffuse(self, log_sd: float) -> None:
        """The belief after a step of a random walk in the logarithm; nothing leaves the grid."""
        cells = log_sd / self._log_step
        if cells < 1e-3:
            return
        reach = min(math.ceil(5.0 * cells) + 1, POINTS - 1)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(cells, 0.3)) ** 2)
        if cells < 0.3:
            # Narrower than a cell: neighbours get what keeps the variance.
            kernel = np.zeros(2 * reach + 1)
            kernel[reach - 1 : reach + 2] = 0.5 * cells**2, 1.0 - cells**2, 0.5 * cells**2
        spread = np.convolve(np.pad(self._belief, reach, mode="symmetric"), kernel / kernel.sum())
        self._belief = spread[2 * reach : 2 * reach + POINTS]
        self._belief /= self._belief.sum()


def responds(intensity: float, threshold: Floats) -> Floats:
    """Probability of a response at `intensity` for each `threshold`."""
    # Logistic of 1.702 z is the normal distribution within 0.01.
    z = np.clip(1.702 * (intensity - threshold) / (SPREAD * threshold), -60.0, 60.0)
    return np.asarray(FALSE + (1.0 - FALSE - LAPSE) / (1.0 + np.exp(-z)))
