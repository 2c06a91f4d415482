"""What an average comes to, beside its peaks: verdict, best derivation, change from baseline, sharper trace.

Owns what one test remembers for that from sweep to sweep and average to average; the arithmetic is dsp's.
Raises no alert: it says what is so, with how sure. A pure function of sweeps and averages.
"""

from typing import Any

import numpy as np

from dsp.change import Change, Cusum, CusumState, Latency, Rolling, change
from dsp.locked import LockGuard
from dsp.measure import Measurer
from dsp.montage import Choice, Selector, rank
from dsp.nouns import Average, Measurement, Sweep
from dsp.presence import PATTERNS, t_quantile
from dsp.projection import Projection, SweepNoise, Template, against, project, project_sweeps, template
from dsp.sharpen import sharpen_low_pass, sharpen_wiener
from dsp.stopping import Plan, Stopping, Verdict
from hostd.case import TestPlan
from hostd.outgoing import finite

ROLLING_S = 1200.0
"""A baseline that follows forgets in so long."""
RANK_EVERY = 16
CERTAIN_MS, CERTAIN_SHARE = 1.0, 0.2
"""Half intervals of latency and amplitude: a rise by a tenth and a fall by half are then out of doubt."""


class Course:
    """The course of one test of `n_rows` rows from `t0_ms` on, `dt_ms` apart."""

    def __init__(
        self, plan: TestPlan, names: tuple[str, ...], n_rows: int, t0_ms: float, dt_ms: float
    ) -> None:
        self._plan, self._names = plan, names
        self._t0_ms, self._dt_ms, self._n_rows = t0_ms, dt_ms, n_rows
        self._rate_hz = 1e3 / dt_ms
        self._measurer = Measurer(plan.peaks, names, n_rows, t0_ms, dt_ms)
        self._leading = next((k for k, p in enumerate(plan.peaks) if p.derivation == 0), None)
        self._span = self._rows(self._spans([p.derivation for p in plan.peaks if p.derivation == 0]))
        self._selector = Selector(names, 0, self._span) if self._span is not None and len(names) > 1 else None
        self._stopping: Stopping | None = None
        if self._leading is not None:
            hz = plan.stimulus_hz or 1.0
            self._stopping = Stopping(
                Plan(
                    plan.sweeps,
                    hz,
                    plan.smallest_uv,
                    latency_ms=CERTAIN_MS,
                    amplitude_share=CERTAIN_SHARE,
                )
            )
        self._ran_on = False
        self._guard: LockGuard | None = None
        self._mains_uv = np.empty(0)
        self._choice: dict[str, Any] | None = None
        self._ranking: list[dict[str, Any]] = []
        self._ranked_at = -RANK_EVERY
        self.clear_baseline()

    def restart(self) -> None:
        """A new average begins."""
        self._ran_on = False
        if self._guard is not None:
            self._guard.restart()
        if self._stopping is not None:
            self._stopping.restart()

    def clear_baseline(self) -> None:
        """There is nothing to compare with any more."""
        self._template: Template | None = None
        self._fixed: Cusum | None = None
        self._rolling: Rolling | None = None
        self._states: tuple[CusumState, CusumState] | None = None
        self._baseline: Measurement | None = None
        self._indices: list[int] = []

    def set_baseline(self, average: Average, measured: tuple[Measurement, ...]) -> None:
        """Later sweeps and averages are compared with this one."""
        self.clear_baseline()
        if self._leading is None or self._span is None:
            return
        self._baseline = measured[self._leading]
        self._template = template(average.mean_uv[:, 0], average.null_uv[:, :, 0], self._span)
        if self._template is None or not self._plan.stimulus_hz:
            return
        hz = self._plan.stimulus_hz
        self._noise = SweepNoise()
        self._fixed = Cusum(sweeps_per_s=hz)
        error = max(self._template.standard_error, 1e-3)
        self._rolling = Rolling(Cusum(sweeps_per_s=hz), max(1.0, ROLLING_S * hz), error)

    def mains(self, hz: float | None, amplitude_uv: list[float], index: int) -> None:
        """Mains as measured from sample `index` on; None: none stands out."""
        self._mains_uv = np.array(amplitude_uv if hz is not None else [])
        if hz is None:
            return
        if self._guard is None:
            self._guard = LockGuard(self._rate_hz, hz)
        self._guard.follow(hz, index)

    def add(self, sweep: Sweep) -> None:
        """One more sweep of the test."""
        if self._guard is not None and sweep.accepted:
            self._guard.add(sweep.trigger.index, float(sweep.weights[0]))
        if self._template is None or self._fixed is None or self._rolling is None or not sweep.accepted:
            return
        p = float(project_sweeps(self._template, sweep.uv[None, :, 0])[0])
        v = self._noise.variance(p, float(sweep.weights[0]))
        self._states = self._fixed.add(p, v), self._rolling.add(p, v)
        self._indices.append(sweep.trigger.index)

    def measure(self, average: Average) -> tuple[Measurement, ...]:
        """The peaks of `average`."""
        return tuple(self._measurer.measure(average))

    def verdict(self, average: Average, measured: tuple[Measurement, ...]) -> Verdict | None:
        """Whether the average is certain enough; None without a leading peak, and once it has run on from its
        target: what was decided is of the first."""
        if self._stopping is None or self._leading is None or self._ran_on:
            return None
        self._ran_on = average.final
        evidence = self._measurer.evidence_of_peak(average, self._leading)
        return self._stopping.see(average, measured[self._leading], evidence)

    def fields(
        self, average: Average, measured: tuple[Measurement, ...], verdict: Verdict | None
    ) -> dict[str, Any]:
        """What is told with each average, beside its peaks."""
        self._judge(average)
        return {
            "verdict": None if verdict is None else {k: getattr(verdict, k) for k in Verdict.__slots__},
            "ranking": self._ranking,
            "choice": self._choice,
            "halves": self._halves(),
            "change": self._changed(average, measured),
        }

    def sharpened(self, average: Average) -> dict[str, Any]:
        """A second, sharper trace of the average, where the case asks for one."""
        if self._plan.sharpen == "off" or not np.isfinite(average.noise_uv).all():
            return dict.fromkeys(("sharp_uv", "sharp_noise_uv", "sharp_loss_bound", "sharp_kind"))
        if self._plan.sharpen == "wiener":
            made = sharpen_wiener(average)
        else:
            made = sharpen_low_pass(average, self._rate_hz)
        return {
            "sharp_uv": made.average.mean_uv.astype(np.float32),
            "sharp_noise_uv": [finite(x) for x in made.average.noise_uv],
            "sharp_loss_bound": [finite(x) for x in made.loss_bound],
            "sharp_kind": made.kind,
        }

    def _halves(self) -> dict[str, Any] | None:
        """May the agreement of the halves be believed? Not where stimuli meet mains at one phase, whatever
        its size here: the size that is known is that of all channels' mean."""
        if self._guard is None or not len(self._mains_uv) or not self._guard.sweeps:
            return None
        told = self._guard.verdict(self._mains_uv, None)
        left = told.coherence[told.harmonic - 1] if told.harmonic else 0.0
        return {
            "trusted": told.trusted,
            "harmonic": told.harmonic,
            "left_pct": 100.0 * left,
            "text": told.text,
        }

    def _judge(self, average: Average) -> None:
        """Ranking and choice, anew every RANK_EVERY sweeps; once there is a baseline the choice stays what it
        is, for a response that is lost must not move the eye elsewhere."""
        if self._span is None or (abs(average.n_sweeps - self._ranked_at) < RANK_EVERY and not average.final):
            return
        self._ranked_at = average.n_sweeps
        mean, null, counts = average.mean_uv, average.null_uv, average.n_effective
        if self._selector is None or (self._baseline is not None and self._choice is not None):
            ranking = rank(mean, null, self._span, counts)
        else:
            ranking, choice = self._selector.judge(mean, null, counts)
            self._choice = {k: getattr(choice, k) for k in Choice.__slots__} | {"reason": str(choice.reason)}
        columns = zip(ranking.snr_db, ranking.snr_se_db, ranking.sweeps_to_6db, strict=True)
        rows = [
            {
                "derivation": name,
                "snr_db": finite(snr_db),
                "snr_se_db": finite(error_db),
                "sweeps_to_6db": finite(sweeps),
            }
            for name, (snr_db, error_db, sweeps) in zip(self._names, columns, strict=True)
        ]
        self._ranking = [rows[k] for k in ranking.order]

    def _changed(self, average: Average, measured: tuple[Measurement, ...]) -> dict[str, Any] | None:
        if self._template is None or self._leading is None or self._baseline is None:
            return None
        told = project(self._template, average.mean_uv[:, 0], average.null_uv[:, :, 0])
        now, before = _latency(measured[self._leading]), _latency(self._baseline)
        found: dict[str, Any] = {
            "peak": self._plan.peaks[self._leading].name,
            "fixed": _change_fields(change(told, now, before)),
            "rolling": None,
            "alarm": None,
        }
        if self._rolling is not None and self._states is not None:
            level, error = self._rolling.level, self._rolling.level_se
            moved = against(told, self._template, level, error)
            found["rolling"] = _change_fields(change(moved, now, before)) | {
                "level": level,
                "level_se": error,
                "frozen": self._rolling.frozen,
            }
            fixed, rolling = self._states
            found["alarm"] = {"fixed": self._state(fixed), "rolling": self._state(rolling)}
        return found

    def _state(self, state: CusumState) -> dict[str, Any]:
        since = None if state.since is None else self._indices[min(state.since, len(self._indices) - 1)]
        return {
            "evidence": state.evidence,
            "threshold": state.threshold,
            "alarm": state.alarm,
            "since_index": since,
            "sweeps_ago": state.ago,
        }

    def _spans(self, derivations: list[int]) -> list[tuple[float, float]]:
        return [
            (p.window_ms[0], (p.to_ms or p.window_ms)[1])
            for p in self._plan.peaks
            if p.derivation in derivations
        ]

    def _rows(self, spans: list[tuple[float, float]]) -> slice | None:
        """Rows of all of `spans` (milliseconds) together; None where there are too few."""
        if not spans:
            return None
        first = max(0, round((min(a for a, _ in spans) - self._t0_ms) / self._dt_ms))
        end = min(self._n_rows, round((max(b for _, b in spans) - self._t0_ms) / self._dt_ms) + 1)
        return slice(first, end) if end - first >= 4 else None


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
