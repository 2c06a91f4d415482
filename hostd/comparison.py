"""One derivation of a test beside its baseline: projection on its waveform, fixed rules, sequential alarm.

Owns what must be remembered for that from sweep to sweep; the arithmetic is `dsp.projection`'s and
`dsp.change`'s. Raises no alert: it says what is so, with how sure. A pure function of sweeps and averages.
"""

import math
from collections import deque
from typing import Any

import numpy as np

from dsp.change import Change, Cusum, CusumState, Latency, Rolling, change
from dsp.nouns import Average, Measurement, Sweep
from dsp.presence import PATTERNS, t_quantile
from dsp.projection import (
    MIN_CLEARANCE,
    Projection,
    SweepNoise,
    Template,
    against,
    project,
    project_sweeps,
    template,
)
from hostd.case import Normal
from hostd.outgoing import finite

RECENT = 4096
"""Of so many sweeps it is known when they were."""
ROLLING_S = 1200.0
"""A baseline that follows forgets in so long."""
TAILS, LEAST_EARLY = (0.09, 0.26), 8
"""Time constants, as shares of the span (half a millisecond and one and a half of the fossa's), that together
leave 3 % of the model's artifact and half of a halved response; in fewer rows nothing would be left."""
EARLY_CLEARANCE = 1.5
"""Enough for what is compared with its own sweeps of before, not with the baseline (`Series.beside`)."""
_LEAST_ERROR = 1e-3
UNKNOWN = Normal()


def comparison(
    average: Average, baseline: Measurement, row: int, span: slice, stimulus_hz: float, early: bool = False
) -> "Comparison | None":
    """What later sweeps and averages of derivation `row` are compared with; None where the baseline `average`
    does not stand clear of its noise over the rows `span`. `baseline` is its leading peak there. `early`: so
    soon behind the stimulus that its artifact's tail must not pass for a response."""
    rows = span.stop - span.start
    tails = tuple(share * rows for share in TAILS) if early and rows >= LEAST_EARLY else ()
    clearance = EARLY_CLEARANCE if early else MIN_CLEARANCE
    made = template(average.mean_uv[:, row], average.null_uv[:, :, row], span, None, tails, clearance)
    return None if made is None else Comparison(made, baseline, row, stimulus_hz)


class Comparison:
    """Follows derivation `row`. Single stimuli (`stimulus_hz` 0) have no sequential alarm: it counts false
    ones by the hour."""

    def __init__(self, template: Template, baseline: Measurement, row: int, stimulus_hz: float) -> None:
        self._template, self.baseline, self._row = template, baseline, row
        self._noise = SweepNoise()
        self._followed: tuple[Cusum, Rolling] | None = None
        if stimulus_hz:
            error = max(template.standard_error, _LEAST_ERROR)
            rolling = Rolling(Cusum(sweeps_per_s=stimulus_hz), max(1.0, ROLLING_S * stimulus_hz), error)
            self._followed = Cusum(sweeps_per_s=stimulus_hz, baseline_se=error), rolling
        self._states: tuple[CusumState, CusumState] | None = None
        self._indices: deque[int] = deque(maxlen=RECENT)
        self._n_sweeps = 0
        self._since: list[tuple[int, int] | None] = [None, None]
        self._last = math.nan, math.inf
        self._seen: tuple[Average, Projection | None] | None = None

    @property
    def last(self) -> tuple[float, float]:
        """The last sweep's ratio to the baseline, and its variance."""
        return self._last

    @property
    def error(self) -> float:
        """The baseline's own relative error."""
        return max(self._template.standard_error, _LEAST_ERROR)

    @property
    def row(self) -> int:
        """The derivation."""
        return self._row

    def projected(self, average: Average) -> Projection | None:
        """`average` on the baseline's waveform; kept while it is the same average."""
        if self._seen is None or self._seen[0] is not average:
            told = project(self._template, average.mean_uv[:, self._row], average.null_uv[:, :, self._row])
            self._seen = average, told
        return self._seen[1]

    def add(self, sweep: Sweep) -> None:
        """One more accepted sweep."""
        uv = np.ascontiguousarray(sweep.uv[None, :, self._row])
        p = float(project_sweeps(self._template, uv)[0])
        v = self._noise.variance(p, float(sweep.weights[self._row]))
        self._last = p, v
        if self._followed is None:
            return
        fixed, rolling = self._followed
        self._states = fixed.add(p, v), rolling.add(p, v)
        self._indices.append(sweep.trigger.index)
        self._n_sweeps += 1
        self._since = [
            self._begun(state.since, was) for state, was in zip(self._states, self._since, strict=True)
        ]

    def _begun(self, since: int | None, was: tuple[int, int] | None) -> tuple[int, int] | None:
        """The sweep `since` which a change is likely, with its sample: found when it is first told, when it
        is among the last, and kept as long as it stays, since a case may go on for days."""
        if since is None or (was is not None and was[0] == since):
            return None if since is None else was
        back = self._n_sweeps - min(since, self._n_sweeps - 1)
        return since, self._indices[-min(back, len(self._indices))]

    def fields(self, average: Average, measured: Measurement) -> dict[str, Any]:
        """How `average` and its leading peak, `measured` in this derivation, stand to the baseline."""
        told = self.projected(average)
        now, before = _latency(measured), _latency(self.baseline)
        found: dict[str, Any] = {
            "peak": measured.name,
            "derivation": measured.derivation,
            "fixed": _change_fields(change(told, now, before)),
            "rolling": None,
            "alarm": None,
        }
        if self._followed is not None and self._states is not None:
            rolling = self._followed[1]
            level, error = rolling.level, rolling.level_se
            moved = against(told, self._template, level, error)
            found["rolling"] = _change_fields(change(moved, now, before)) | {
                "level": level,
                "level_se": error,
                "frozen": rolling.frozen,
            }
            of_fixed, of_rolling = self._states
            since = [None if one is None else one[1] for one in self._since]
            found["alarm"] = {"fixed": _state(of_fixed, since[0]), "rolling": _state(of_rolling, since[1])}
        return found


def _state(state: CusumState, since_index: int | None) -> dict[str, Any]:
    return {
        "evidence": state.evidence,
        "threshold": state.threshold,
        "alarm": state.alarm,
        "since_index": since_index,
        "sweeps_ago": state.ago,
    }


def peak_fields(m: Measurement, base: Measurement | None, normal: Normal = UNKNOWN) -> dict[str, Any]:
    """A peak beside its baseline and its normal range. No percent of what is not clear of nothing."""
    changed = None
    clear = base is not None and base.amplitude_ci_uv is not None and base.amplitude_ci_uv[0] > 0.0
    if clear and base and base.amplitude_uv and m.amplitude_uv is not None:
        changed = 100.0 * (m.amplitude_uv / base.amplitude_uv - 1.0)
    return {
        "name": m.name,
        "derivation": m.derivation,
        "present": m.present,
        "latency_ms": m.latency_ms,
        "latency_ci_ms": list(m.latency_ci_ms) if m.latency_ci_ms else None,
        "amplitude_uv": m.amplitude_uv,
        "amplitude_ci_uv": list(m.amplitude_ci_uv) if m.amplitude_ci_uv else None,
        "noise_uv": m.noise_uv,
        "baseline_latency_ms": base.latency_ms if base else None,
        "baseline_amplitude_uv": base.amplitude_uv if base else None,
        "change_pct": changed,
        "normal_latency_ms": list(normal.latency_ms) if normal.latency_ms else None,
        "normal_amplitude_uv": list(normal.amplitude_uv) if normal.amplitude_uv else None,
    }


def _latency(m: Measurement) -> Latency | None:
    """Of a peak that is present; its error from its interval."""
    if m.latency_ms is None or m.latency_ci_ms is None:
        return None
    return Latency(m.latency_ms, (m.latency_ci_ms[1] - m.latency_ci_ms[0]) / (2.0 * t_quantile(PATTERNS - 1)))


def _change_fields(told: Change) -> dict[str, Any]:
    p: Projection | None = told.projection
    return {
        "ratio": None if p is None else p.ratio,
        "ratio_ci": None if p is None else [finite(p.ci[0]), finite(p.ci[1])],
        "present": None if p is None else p.present,
        "log_change": told.log_change,
        "log_se": told.log_se,
        "log_at_most": told.log_at_most,
        "latency_change_ms": told.latency_change_ms,
        "latency_se_ms": told.latency_se_ms,
        "rules": [{"name": r.name, "verdict": r.verdict, "confidence": r.confidence} for r in told.rules],
    }
