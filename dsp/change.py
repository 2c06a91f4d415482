"""Change against baseline: amplitude and latency with errors, the fixed rules in use, and a sequential alarm.

Owns what an average says beside its baseline (`change`), the alarm that follows single sweeps' projections
one by one (`Cusum`), and the baseline that drifts along with a patient (`Rolling`). Refuses a logarithm of
what is not clear of nothing, and to learn an injury.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp import kernels
from dsp import kernels_change as places
from dsp.projection import Projection, t_probability

Floats = NDArray[np.float64]

AMPLITUDE_FALL = 0.5
LATENCY_RISE = 0.1
LATENCY_FREEDOM = 14.0
DELTA = 0.6
"""The fall that is looked for: evidence gathers below 1 - DELTA / 2 = 70 % of baseline and melts above it, so
that a drift to 80 % stays quiet, and a fall by half is nearly as quick to find as with DELTA = 0.5."""
DEFAULT_BASELINE_SE = 0.25
SETTLED_SE = 0.07
"""A fixed baseline is completed from the sweeps that follow until its relative error is this small."""
SHARE_OF_FALSE_ALARMS = 0.9
"""The threshold is set for this share of the false alarms that are allowed: sweeps that led to one are not
learned when it is cleared, so that a baseline that learns reads high by a percent or so, and more follow."""

Verdict = Literal["met", "not met", "unknown"]
Answered = Literal["no", "cleared", "learned"]
ANSWERED: tuple[Answered, ...] = ("no", "cleared", "learned")


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


@dataclass(frozen=True, slots=True)
class CusumRun:
    """The same of many sweeps, arrays (sweep,); `since` -1 where nothing speaks for a change."""

    evidence: Floats
    threshold: Floats
    alarm: NDArray[np.bool_]
    since: NDArray[np.int64]


class Cusum:
    """Page's (1954) sequential test for a fall of single sweeps' ratios from 1 to 1 - delta.

    s = delta (1 - delta/2 - p) / v for each sweep, S = max(0, S + s); evidence S / (1 + e^2 W), W the sum of
    1/v since S was 0 and e the baseline's relative error; alarm at h. h follows the running mean of
    delta^2 / v, so that false alarms keep their rate in any noise. A sweep adds or takes at most a third of
    h; the evidence stops at 2 h. The alarm stays until S is back at 0.

    `baseline_se` is the baseline's own relative error (`Template.standard_error`; 0: none). Until it is down
    to SETTLED_SE, sweeps that speak for no fall complete the baseline, and p counts as a ratio to `level`.
    Raises ValueError for parameters that cannot be.
    """

    def __init__(
        self,
        delta: float = DELTA,
        false_alarms_per_h: float = 1.0,
        sweeps_per_s: float = 1.0,
        baseline_se: float = 0.0,
    ) -> None:
        if not 0.0 < delta <= 1.0:
            raise ValueError(f"a fall by {delta} is not within 0 to 1")
        if not (0.0 < false_alarms_per_h < math.inf and 0.0 < sweeps_per_s < math.inf):
            raise ValueError("false alarms and sweeps need a rate above nothing")
        if not 0.0 <= baseline_se < math.inf:
            raise ValueError(f"a baseline with an error of {baseline_se}")
        self._settings = np.zeros(places.SETTINGS)
        self._settings[places.DELTA] = delta
        self._settings[places.INTERVAL] = 3600.0 * sweeps_per_s / (SHARE_OF_FALSE_ALARMS * false_alarms_per_h)
        self._state = np.zeros(places.STATE)
        self._one = np.empty((2, 1))
        self._told = np.empty((1, places.COLUMNS))
        self.follow(1.0, baseline_se, SETTLED_SE)

    def follow(self, keep: float, baseline_se: float, settled_se: float) -> None:
        """Begin anew with a baseline of this error, of which each sweep leaves `keep`, and which is learned
        until its error is `settled_se` (below 0: for ever)."""
        self._settings[places.KEEP], self._settings[places.SETTLED] = keep, settled_se
        self._baseline_se = baseline_se
        self.restart()

    def restart(self) -> None:
        """Begin again: no evidence, no idea of the noise, the baseline as it was."""
        self._state[:] = 0.0
        self._state[places.THRESHOLD] = places.MIN_THRESHOLD
        weight = 1.0 / max(self._baseline_se, 1.0 / places.HUGE) ** 2
        error = self._baseline_se**2 * weight**2
        self._state[places.KNOWN : places.WITHHELD] = weight, weight, error

    @property
    def level(self) -> float:
        """What counts as a ratio of 1: the baseline with what completes it, as a ratio to the one given."""
        return float(self._state[places.KNOWN] / self._state[places.KNOWN + 1])

    @property
    def level_se(self) -> float:
        """Its standard error."""
        return math.sqrt(self._state[places.KNOWN + 2]) / float(self._state[places.KNOWN + 1])

    @property
    def frozen(self) -> bool:
        """Whether sweeps are withheld from the baseline at present."""
        return bool(self._state[places.N_WITHHELD] > 0.0)

    def clear(self, learn: bool = False) -> None:
        """Drop the evidence and the alarm, keep counting: what an answered alarm does. What was withheld from
        the baseline is dropped, or becomes part of it (`learn`; nothing is learned of one without an error).
        """
        if learn:
            kernels.learn_withheld(self._state, float(self._settings[places.KEEP]))
        kernels.clear_evidence(self._state)

    def add(self, p: float, v: float) -> CusumState:
        """One sweep's ratio `p` of variance `v`; what is not a number or of no weight only counts."""
        self._one[0, 0], self._one[1, 0] = p, v
        self._settings[places.ANSWERED] = 0.0
        kernels.cusum(self._one[0], self._one[1], self._settings, self._state, self._told)
        evidence, threshold, alarm, since = self._told[0].tolist()
        if since < 0.0:
            return CusumState(evidence, threshold, False, None, 0)
        ago = int(self._state[places.SEEN] - since)
        return CusumState(evidence, threshold, alarm > 0.0, int(since), ago)

    def run(self, p: ArrayLike, v: ArrayLike, answered: Answered = "no") -> CusumRun:
        """Many sweeps at once, `p` and `v` (sweep,): what `add` would have told after each, had every alarm
        been `answered` at once by `clear` ("learned": with `learn`). Raises ValueError for shapes that do not
        fit."""
        ratios, variances = (np.ascontiguousarray(x, np.float64) for x in (p, v))
        if ratios.ndim != 1 or ratios.shape != variances.shape:
            raise ValueError(f"ratios {ratios.shape} and variances {variances.shape} are not (sweep,) both")
        told = np.empty((len(ratios), places.COLUMNS))
        self._settings[places.ANSWERED] = ANSWERED.index(answered)
        kernels.cusum(ratios, variances, self._settings, self._state, told)
        evidence, threshold, alarm, since = told.T.copy()
        return CusumRun(evidence, threshold, alarm > 0.0, since.astype(np.int64))


class Rolling:
    """A baseline that follows slow drift, and the CUSUM against it: `cusum` is taken over.

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
        cusum.follow(math.exp(-1.0 / time_constant_sweeps), baseline_se, -1.0)

    @property
    def level(self) -> float:
        """The baseline now, as a ratio to the fixed one."""
        return self._cusum.level

    @property
    def level_se(self) -> float:
        """Its standard error."""
        return self._cusum.level_se

    @property
    def frozen(self) -> bool:
        """Whether sweeps are withheld from the baseline at present."""
        return self._cusum.frozen

    def add(self, p: float, v: float) -> CusumState:
        """One sweep's ratio `p` to the fixed baseline, of variance `v`; the CUSUM against the rolling one."""
        return self._cusum.add(p, v)

    def run(self, p: ArrayLike, v: ArrayLike, answered: Answered = "no") -> CusumRun:
        """Many sweeps at once, as `Cusum.run`."""
        return self._cusum.run(p, v, answered)

    def clear(self, learn: bool = False) -> None:
        """An alarm was answered: drop the evidence and what was withheld, or `learn` it as the baseline."""
        self._cusum.clear(learn)
