"""Fixed rules of the field: how far one peak may fall or come late, and how sure it is that it has.

Owns a rule's judgement of one measurement beside its baseline, with the errors of both. A rule is a figure of
convention and no evidence by itself (facts: clinical 0.2); whether anybody is alarmed is not decided here.
"""

import math
from dataclasses import dataclass

from dsp.change import Verdict
from dsp.nouns import FixedRule, Measurement
from dsp.presence import PATTERNS, t_quantile
from dsp.projection import Projection, t_probability

_FREEDOM = float(PATTERNS - 1)
_NOISES = 2.0
"""A peak that is absent was smaller than this many times the noise that it was judged against."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the estimates say of a rule, and the confidence (0 to 1) that it is so in truth; None: unknown."""

    rule: FixedRule
    verdict: Verdict
    confidence: float | None


def judge(
    rule: FixedRule,
    now: Measurement | None,
    baseline: Measurement | None,
    projection: Projection | None = None,
) -> Judged:
    """`rule` of `now` beside `baseline`, both of the rule's peak.

    An amplitude is the peak's own, as the field means it: a waveform that only comes late has not fallen. Of
    a peak that is absent, `projection` (of the average on the baseline's waveform, where it is of that peak)
    says how much is left; without it the peak has fallen if what the rule leaves would have been seen. Its
    latency is not known.
    """
    unknown = Judged(rule, "unknown", None)
    if now is None or baseline is None or not baseline.present:
        return unknown
    if rule.kind != "amplitude_fall_pct":
        return _late(rule, now, baseline)
    left = 1.0 - rule.limit / 100.0
    if projection is not None and not now.present:
        verdict: Verdict = "met" if projection.ratio < left else "not met"
        return Judged(rule, verdict, projection.probability_below(left))
    return _fallen(rule, left, now, baseline)


def _fallen(rule: FixedRule, left: float, now: Measurement, baseline: Measurement) -> Judged:
    before, interval = baseline.amplitude_uv, baseline.amplitude_ci_uv
    if before is None or interval is None or interval[0] <= 0.0:
        return Judged(rule, "unknown", None)
    limit_uv, error_uv = left * before, left * _error(interval)
    if not now.present or now.amplitude_uv is None or now.amplitude_ci_uv is None:
        if now.noise_uv is None or _NOISES * now.noise_uv >= limit_uv:
            return Judged(rule, "unknown", None)
        return Judged(rule, "met", _probability(limit_uv, math.hypot(error_uv, now.noise_uv)))
    spread_uv = math.hypot(error_uv, _error(now.amplitude_ci_uv))
    below_uv = limit_uv - now.amplitude_uv
    return Judged(rule, "met" if below_uv > 0.0 else "not met", _probability(below_uv, spread_uv))


def _late(rule: FixedRule, now: Measurement, baseline: Measurement) -> Judged:
    if now.latency_ms is None or now.latency_ci_ms is None:
        return Judged(rule, "unknown", None)
    before_ms, interval = baseline.latency_ms, baseline.latency_ci_ms
    if before_ms is None or interval is None or before_ms <= 0.0:
        return Judged(rule, "unknown", None)
    share = rule.limit / 100.0 if rule.kind == "latency_rise_pct" else 0.0
    limit_ms = before_ms * (1.0 + share) + (0.0 if share else rule.limit)
    spread_ms = math.hypot((1.0 + share) * _error(interval), _error(now.latency_ci_ms))
    beyond_ms = now.latency_ms - limit_ms
    return Judged(rule, "met" if beyond_ms > 0.0 else "not met", _probability(beyond_ms, spread_ms))


def _error(interval: tuple[float, float]) -> float:
    """The standard error behind a 95 % interval."""
    return (interval[1] - interval[0]) / (2.0 * t_quantile(_FREEDOM))


def _probability(beyond: float, spread: float) -> float:
    return t_probability(beyond / spread, _FREEDOM) if spread > 0.0 else float(beyond > 0.0)
