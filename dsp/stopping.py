"""When an average is certain enough to end: present or absent at a stated error, over repeated looks.

A group sequential test: the error is spent over the planned looks (Lan and DeMets 1983), so that looking
after every 16 sweeps does not raise it. A response is present when the evidence crosses the look's boundary,
absent when the smallest amplitude of interest is excluded or was not seen by the planned end. Plain numbers
in, a verdict out; looks at no sample and at no clock.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.limits import SUB_AVERAGES
from dsp.nouns import Average, Measurement
from dsp.presence import PATTERNS, Evidence

Floats = NDArray[np.float64]
Spending = Literal["obrien_fleming", "pocock"]
Decision = Literal["present", "absent", "undecided"]
NORMAL = NormalDist()
NEVER = math.inf
GRID = 401
RANGE = 5.0
LIKELY, SOONEST, LATEST = 0.6, 2.1, -1.0
"""How far above what is expected the evidence may come out, in its standard deviations, for half and for nine
in ten decisions: of many looks the first that crosses comes before the middle path does."""
LEAST = 1e-9
HALF_ERROR = 1.0 / math.sqrt(2.0 * PATTERNS)
"""Relative standard error of a standard deviation that 15 null averages tell."""
FORECASTS = ((LIKELY, 1.0), (SOONEST, 1.0 - HALF_ERROR), (LATEST, 1.0 + HALF_ERROR))
"""Likely, soonest and latest: how far above what is expected the evidence is taken to come out, and how much
wider the intervals."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is certain enough. Raises ValueError for what cannot be.

    `alpha`: of averages without response called present; `beta`: of responses of `smallest_uv` called absent
    before the end. With `looks` apart `look_sweeps` up to `max_sweeps`. The average ends, once present, when
    half the intervals are under `latency_ms` and `amplitude_share` of the amplitude (either None: not asked).
    """

    max_sweeps: int
    rate_hz: float
    smallest_uv: float
    alpha: float = 0.01
    beta: float = 0.01
    look_sweeps: int = 16
    latency_ms: float | None = 0.3
    amplitude_share: float | None = 0.1
    spending: Spending = "pocock"

    def __post_init__(self) -> None:
        if self.look_sweeps < 1 or self.max_sweeps < max(SUB_AVERAGES, self.look_sweeps):
            raise ValueError(f"{self.max_sweeps} sweeps hold no look after {self.look_sweeps}")
        if not (0.0 < self.alpha < 0.5 and 0.0 < self.beta < 0.5):
            raise ValueError(f"error rates of {self.alpha} and {self.beta}")
        if not (0.0 < self.rate_hz < math.inf and self.smallest_uv >= 0.0):
            raise ValueError(f"rate {self.rate_hz} Hz, smallest amplitude {self.smallest_uv} uV")
        if self.spending not in ("obrien_fleming", "pocock"):
            raise ValueError(f"spending {self.spending}")

    @property
    def looks(self) -> tuple[int, ...]:
        """Sweeps at each look; the last one is the planned end."""
        first = -(-SUB_AVERAGES // self.look_sweeps) * self.look_sweeps
        return (*range(first, self.max_sweeps, self.look_sweeps), self.max_sweeps)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state at a look. `error_rate` is what the decision is wrong in at most, None while undecided.

    `done`: the average may end. `seconds_left` (likely, and from, to): until it is done, by the noise falling
    as 1/sqrt(n), nine in ten within from and to; None when it is done, or nothing can be told yet.
    """

    decision: Decision
    reason: str
    error_rate: float | None
    n_sweeps: int
    done: bool
    seconds_left: float | None = None
    seconds_range: tuple[float, float] | None = None


def spent(share: float, alpha: float, spending: Spending) -> float:
    """Error spent at a share (0 to 1) of the planned sweeps (Lan and DeMets 1983)."""
    if share <= 0.0:
        return 0.0
    if spending == "pocock":
        return alpha * math.log(1.0 + (math.e - 1.0) * min(share, 1.0))
    return 2.0 * NORMAL.cdf(NORMAL.inv_cdf(alpha / 2.0) / math.sqrt(min(share, 1.0)))


@lru_cache(maxsize=64)
def boundaries(looks: tuple[int, ...], alpha: float, spending: Spending) -> tuple[float, ...]:
    """Normal deviate to cross at each look: one-sided, increments independent (Armitage et al. 1969).

    The density of the sum that has not crossed yet is carried from look to look on a grid.
    """
    grid = np.linspace(-RANGE, RANGE, GRID)
    density: Floats
    step = float(grid[1] - grid[0])
    crossed, before = 0.0, 0.0
    found: list[float] = []
    between, carried = grid, 0.0  # looks equally far apart have one matrix
    for n in looks:
        share = n / looks[-1]
        gain = share - before
        if before == 0.0:
            density = _normal(grid, share)
        else:
            if abs(gain - carried) > LEAST:
                between, carried = _normal(grid[:, None] - grid[None, :], gain), gain
            with np.errstate(under="ignore"):
                density = between @ density * step
        aim = spent(share, alpha, spending) - crossed
        tail = (np.cumsum(density[::-1])[::-1] - 0.5 * density) * step
        if aim < LEAST or tail[0] <= aim:
            found.append(NEVER)
        else:
            at = int(np.flatnonzero(tail > aim)[-1])
            # The tail falls nearly exponentially between grid points.
            outer = max(float(tail[min(at + 1, GRID - 1)]), 1e-300)
            part = math.log(float(tail[at]) / aim) / max(math.log(float(tail[at]) / outer), 1e-12)
            bound = float(grid[at]) + min(part, 1.0) * step
            crossed += aim
            density = np.where(grid < bound, density, 0.0)
            found.append(bound / math.sqrt(share))
        before = share
    return tuple(found)


def _normal(x: Floats, variance: float) -> Floats:
    """Density of the normal distribution of this variance at x."""
    with np.errstate(under="ignore"):
        return np.asarray(np.exp(-0.5 * x * x / variance) / math.sqrt(2.0 * math.pi * variance))


class Stopping:
    """Follows one peak of one average from its begin; `restart` with the average."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._looks = plan.looks
        self._present = boundaries(self._looks, plan.alpha, plan.spending)
        self._absent = boundaries(self._looks, plan.beta, plan.spending)
        self.restart()

    def restart(self) -> None:
        """A new average begins."""
        self._next = 0
        self._decided: tuple[Decision, str] = ("undecided", "")

    def see(self, average: Average, measurement: Measurement, evidence: Evidence) -> Verdict:
        """The verdict after this average of the peak; may be called as often as there are averages."""
        return self.look(average.n_sweeps, evidence, _half_ms(measurement), _half_share(measurement))

    def look(
        self,
        n_sweeps: int,
        evidence: Evidence,
        half_ms: float | None = None,
        half_share: float | None = None,
    ) -> Verdict:
        """The verdict at `n_sweeps`; half intervals None: not known. Decides at planned looks only, once."""
        at = self._next
        while at < len(self._looks) and self._looks[at] <= n_sweeps:
            at += 1
        if at > self._next:
            self._next = at
            if self._decided[0] == "undecided":
                self._decided = self._decide(at - 1, evidence)
        decision, reason = self._decided
        ended = self._next == len(self._looks)
        precise = self._factor(half_ms, half_share) <= 1.0
        done = decision == "absent" or ended or (decision == "present" and precise)
        error = {"present": self.plan.alpha, "absent": self.plan.beta, "undecided": None}[decision]
        if decision == "absent" and reason != "excluded":
            error = None
        left = None if done else self._left(n_sweeps, decision, evidence, half_ms, half_share)
        if left is None:
            return Verdict(decision, reason, error, n_sweeps, done)
        return Verdict(decision, reason, error, n_sweeps, done, left[0], (left[1], left[2]))

    def _decide(self, look: int, evidence: Evidence) -> tuple[Decision, str]:
        if evidence.deviate is not None and evidence.deviate >= self._present[look]:
            return "present", "evidence"
        if self._upper(look, evidence, 1.0) < self.plan.smallest_uv:
            return "absent", "excluded"
        if look == len(self._looks) - 1:
            known = evidence.deviate is not None
            return ("absent", "not seen by the planned end") if known else ("undecided", "noise not known")
        return "undecided", ""

    def _upper(self, look: int, evidence: Evidence, noise: float) -> float:
        """Upper bound of the amplitude at a look, if the errors are `noise` times those of the evidence."""
        if evidence.reading_uv is None or evidence.error_uv is None or self._absent[look] == NEVER:
            return NEVER
        return noise * evidence.reading_uv + self._absent[look] * noise * evidence.error_uv

    def _factor(self, half_ms: float | None, half_share: float | None) -> float:
        """By how much the noise must still fall for both intervals to be short enough; inf: not known."""
        asked = ((half_ms, self.plan.latency_ms), (half_share, self.plan.amplitude_share))
        ratios = [NEVER if h is None else h / limit for h, limit in asked if limit is not None]
        return max(ratios, default=0.0)

    def _left(
        self,
        n_sweeps: int,
        decision: Decision,
        evidence: Evidence,
        half_ms: float | None,
        half_share: float | None,
    ) -> tuple[float, float, float] | None:
        """Seconds until done: likely, least, most; None when the noise is not known yet."""
        if evidence.deviate is None or n_sweeps < 1:
            return None
        factor = self._factor(half_ms, half_share)
        due = [(n_sweeps, False)] * len(FORECASTS)
        if decision == "undecided":
            due = self._decided_at(n_sweeps, evidence)
        ends = []
        for (decided, gone), (_, scale) in zip(due, FORECASTS, strict=True):
            precise = n_sweeps * (factor * scale) ** 2 if factor < NEVER else float(self._looks[-1])
            ends.append(min(float(self._looks[-1]), decided if gone else max(decided, precise)))
        likely, least, most = (max(0.0, (end - n_sweeps) / self.plan.rate_hz) for end in ends)
        return likely, min(least, likely), max(most, likely)

    def _decided_at(self, n_sweeps: int, evidence: Evidence) -> list[tuple[int, bool]]:
        """Sweeps at which the decision is due if the evidence goes on like this, for each of FORECASTS, and
        whether that is absence. From n to k sweeps the deviate grows as the root of k / n; its standard
        deviation, unknown drift and noise to come together, is the root of k / n - 1.
        """
        deviate, smallest_uv = evidence.deviate or 0.0, self.plan.smallest_uv
        due = [(self._looks[-1], True)] * len(FORECASTS)
        waiting = list(enumerate(FORECASTS))
        for look in range(self._next, len(self._looks)):
            sweeps, bound = self._looks[look], self._present[look]
            growth = math.sqrt(sweeps / n_sweeps)
            short = bound - deviate * growth
            spread = math.sqrt(max(sweeps / n_sweeps - 1.0, 0.0))
            gone = smallest_uv > 0.0 and self._upper(look, evidence, 1.0 / growth) < smallest_uv
            for which, (shift, _) in tuple(waiting):
                if shift * spread >= short or gone:
                    due[which] = sweeps, shift * spread < short
                    waiting.remove((which, FORECASTS[which]))
            if not waiting:
                break
        return due


def _half_ms(m: Measurement) -> float | None:
    return None if m.latency_ci_ms is None else 0.5 * (m.latency_ci_ms[1] - m.latency_ci_ms[0])


def _half_share(m: Measurement) -> float | None:
    if m.amplitude_ci_uv is None or not m.amplitude_uv or m.amplitude_uv <= 0.0:
        return None
    return 0.5 * (m.amplitude_ci_uv[1] - m.amplitude_ci_uv[0]) / m.amplitude_uv
