"""Change against baseline: amplitude and latency with errors, the fixed rules in use, and a sequential alarm.

Owns what an average says beside its baseline (`change`), the alarm that follows single sweeps' projections
one by one (`Cusum`), and the baseline that drifts along with a patient (`Rolling`). Refuses a logarithm of
what is not clear of nothing, and to learn an injury.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from dsp.projection import HUGE, Projection, t_probability

AMPLITUDE_FALL = 0.5
LATENCY_RISE = 0.1
LATENCY_FREEDOM = 14.0
DELTA = 0.6
"""The fall that is looked for: evidence gathers below 1 - DELTA / 2 = 70 % of baseline and melts above it, so
that a drift to 80 % stays quiet, and a fall by half is nearly as quick to find as with DELTA = 0.5."""
OVERSHOOT = 1.166
MIN_THRESHOLD = 2.0
MIN_SWEEPS = 3
"""No alarm out of fewer sweeps, however sure of themselves they are."""
MAX_INFORMATION = 400.0
INFORMATION_SWEEPS = 2048
THRESHOLD_EVERY = 32
MIN_LEVEL = 0.1
DEFAULT_BASELINE_SE = 0.25

Verdict = Literal["met", "not met", "unknown"]
_Sums = tuple[float, float, float]
"""Of w p, w and w^2 v, with w = 1/v and what has been forgotten of it."""


@dataclass(frozen=True, slots=True)
class Latency:
    """A latency with its standard error, both in milliseconds."""

    ms: float
    se_ms: float


@dataclass(frozen=True, slots=True)
class Rule:
    """A fixed rule of the estimates, and the confidence (0 to 1) that the truth meets it; None if unknown."""

    name: str
    verdict: Verdict
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """An average against one baseline. Log change is log(ratio), se/ratio (delta method).

    It is None unless the interval of the ratio lies above nothing; `log_at_most` (97.5 %, one-sided) is told
    whenever the interval's upper end does. Latency rises are positive; None where one of both is missing.
    """

    projection: Projection | None
    log_change: float | None
    log_se: float | None
    log_at_most: float | None
    latency_change_ms: float | None
    latency_se_ms: float | None
    rules: tuple[Rule, Rule]


def change(projection: Projection | None, now: Latency | None, baseline: Latency | None) -> Change:
    """What has changed: `projection` of the average on the baseline, latencies of both where present."""
    log_change = log_se = log_at_most = None
    if projection is not None:
        low, high = projection.ci
        if low > 0.0 and projection.ratio > 0.0:
            log_change = math.log(projection.ratio)
            log_se = projection.standard_error / projection.ratio
        if high > 0.0:
            log_at_most = math.log(high)
    moved = spread = None
    if now is not None and baseline is not None:
        moved = now.ms - baseline.ms
        spread = math.hypot(now.se_ms, baseline.se_ms)
    rules = (_amplitude_rule(projection), _latency_rule(now, baseline))
    return Change(projection, log_change, log_se, log_at_most, moved, spread, rules)


def _amplitude_rule(projection: Projection | None) -> Rule:
    name = "amplitude fall > 50 %"
    if projection is None:
        return Rule(name, "unknown", None)
    met = projection.ratio < 1.0 - AMPLITUDE_FALL
    return Rule(name, "met" if met else "not met", projection.probability_below(1.0 - AMPLITUDE_FALL))


def _latency_rule(now: Latency | None, baseline: Latency | None) -> Rule:
    name = "latency rise > 10 %"
    if now is None or baseline is None or not baseline.ms > 0.0:
        return Rule(name, "unknown", None)
    limit = (1.0 + LATENCY_RISE) * baseline.ms
    spread = math.hypot(now.se_ms, (1.0 + LATENCY_RISE) * baseline.se_ms)
    beyond = now.ms - limit
    confidence = t_probability(beyond / spread, LATENCY_FREEDOM) if spread > 0.0 else float(beyond > 0.0)
    return Rule(name, "met" if beyond > 0.0 else "not met", confidence)


def threshold(information: float, interval_sweeps: float) -> float:
    """The CUSUM threshold h for one false alarm in `interval_sweeps`, at the mean `information` of a sweep.

    Information is (delta^2 / variance), the squared distance of the two hypotheses. Siegmund (1985): the mean
    run is 2 (e^b - b - 1) / information with b = h + 1.166 root(information). Never below MIN_THRESHOLD.
    """
    want = 0.5 * interval_sweeps * information
    b = math.log1p(want + math.sqrt(2.0 * want))
    for _ in range(4):
        slope = math.expm1(b)
        if slope > 0.0:
            b -= (slope - b - want) / slope
    return max(MIN_THRESHOLD, b - OVERSHOOT * math.sqrt(information))


class CusumState(NamedTuple):
    """`evidence` (log likelihood ratio) against `threshold`; the change is likely since sweep `since`.

    Sweeps count from 0 since the last restart; `ago` sweeps have come from `since` to now, this one included.
    `since` is None and `ago` 0 while nothing speaks for a change. A tuple, which is made in half the time.
    """

    evidence: float
    threshold: float
    alarm: bool
    since: int | None
    ago: int


class Cusum:
    """Page's (1954) sequential test for a fall of single sweeps' ratios from 1 to 1 - delta.

    s = delta (1 - delta/2 - p) / v for each sweep, S = max(0, S + s), alarm at S >= h. h follows the running
    mean of delta^2 / v, so that false alarms keep their rate in any noise. A sweep adds or takes at most a
    third of h; S stops at 2 h. The alarm stays until S is back at 0. Raises ValueError for parameters that
    cannot be.
    """

    def __init__(
        self, delta: float = DELTA, false_alarms_per_h: float = 1.0, sweeps_per_s: float = 1.0
    ) -> None:
        if not 0.0 < delta <= 1.0:
            raise ValueError(f"a fall by {delta} is not within 0 to 1")
        if not (0.0 < false_alarms_per_h < math.inf and 0.0 < sweeps_per_s < math.inf):
            raise ValueError("false alarms and sweeps need a rate above nothing")
        self._delta = delta
        self._middle = 1.0 - 0.5 * delta
        self._square = delta * delta
        self._least = self._square / MAX_INFORMATION
        self._interval = 3600.0 * sweeps_per_s / false_alarms_per_h
        self.restart()

    def restart(self) -> None:
        """Begin again: no evidence, no idea of the noise."""
        self._n = self._told = 0
        self._information = 0.0
        self._threshold = MIN_THRESHOLD
        self.clear()

    def clear(self) -> None:
        """Drop the evidence and the alarm, keep counting: what an answered alarm does."""
        self._evidence = 0.0
        self._zero = self._n
        self._alarm = False

    def add(self, p: float, v: float) -> CusumState:
        """One sweep's ratio `p` of variance `v`; what is not a number or of no weight only counts."""
        self._n += 1
        evidence = self._evidence
        if 0.0 <= v < math.inf and -math.inf < p < math.inf:
            evidence = self._weigh(p, v)
        if evidence == 0.0:
            return CusumState(0.0, self._threshold, False, None, 0)
        return CusumState(evidence, self._threshold, self._alarm, self._zero, self._n - self._zero)

    def _weigh(self, p: float, v: float) -> float:
        information = self._square / v if v > self._least else MAX_INFORMATION
        told = self._told
        self._told = told + 1
        share = 1.0 / (told + 1) if told < INFORMATION_SWEEPS else 1.0 / INFORMATION_SWEEPS
        self._information += (information - self._information) * share
        if told % THRESHOLD_EVERY == 0:
            self._threshold = threshold(self._information, self._interval)
        gain = information * (self._middle - p) / self._delta
        most = self._threshold / MIN_SWEEPS
        if gain > most:
            gain = most
        elif gain < -most:
            gain = -most
        evidence = self._evidence + gain
        if evidence <= 0.0:
            evidence = 0.0
            self._zero = self._n
            self._alarm = False
        elif evidence >= self._threshold:
            self._alarm = True
            if evidence > 2.0 * self._threshold:
                evidence = 2.0 * self._threshold
        self._evidence = evidence
        return evidence


class Rolling:
    """A baseline that follows slow drift, and a CUSUM against it.

    `level` is the mean of single sweeps' ratios to the fixed baseline, weighted 1/variance, forgetting with a
    time constant in sweeps. Sweeps are withheld from it while the CUSUM is above 0, and let in together when
    it is back there: what leads to an alarm is never learned, what did not is. It begins at 1, believed as
    far as the baseline's own relative error goes. Raises ValueError for parameters that cannot be.
    """

    def __init__(
        self, cusum: Cusum, time_constant_sweeps: float, baseline_se: float = DEFAULT_BASELINE_SE
    ) -> None:
        if not 1.0 <= time_constant_sweeps < math.inf:
            raise ValueError(f"a time constant of {time_constant_sweeps} sweeps")
        if not 0.0 < baseline_se < math.inf:
            raise ValueError(f"a baseline with an error of {baseline_se}")
        self._cusum = cusum
        self._keep = math.exp(-1.0 / time_constant_sweeps)
        weight = 1.0 / baseline_se**2
        self._known = (weight, weight, weight)
        self._withhold_nothing()

    def _withhold_nothing(self) -> None:
        self._withheld = (0.0, 0.0, 0.0)
        self._n_withheld = 0

    @property
    def level(self) -> float:
        """The baseline now, as a ratio to the fixed one."""
        return self._known[0] / self._known[1]

    @property
    def level_se(self) -> float:
        """Its standard error."""
        return math.sqrt(self._known[2]) / self._known[1]

    @property
    def frozen(self) -> bool:
        """Whether sweeps are withheld from the baseline at present."""
        return self._n_withheld > 0

    def add(self, p: float, v: float) -> CusumState:
        """One sweep's ratio `p` to the fixed baseline, of variance `v`; the CUSUM against the rolling one."""
        level = max(self.level, MIN_LEVEL)
        state = self._cusum.add(p / level, v / (level * level))
        if 0.0 <= v < math.inf and abs(p) < HUGE:
            more = 1.0 / max(v, 1.0 / HUGE)
            self._withheld = _followed(self._withheld, self._keep, (more * p, more, more))
            self._n_withheld += 1
        if state.since is None and self._n_withheld:
            self._known = _followed(self._known, self._keep**self._n_withheld, self._withheld)
            self._withhold_nothing()
        return state

    def clear(self, learn: bool = False) -> None:
        """An alarm was answered: drop the evidence and what was withheld, or `learn` it as the baseline."""
        self._cusum.clear()
        if learn:
            self._known = _followed(self._known, self._keep**self._n_withheld, self._withheld)
        self._withhold_nothing()


def _followed(sums: _Sums, keep: float, more: _Sums) -> _Sums:
    """`sums` forgotten down to `keep`, and `more` added."""
    return keep * sums[0] + more[0], keep * sums[1] + more[1], keep * keep * sums[2] + more[2]
