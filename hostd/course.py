"""What an average comes to, beside its peaks: verdict, best derivation, change from baseline, other traces.

Owns what one test remembers for that from sweep to sweep and average to average, in parts: which derivation
is followed (`hostd.choosing`), what is compared with the baseline (`hostd.comparison`), the virtual channel
(`hostd.virtual`); the arithmetic is dsp's. Raises no alert: it says what is so, with how sure. A pure
function of sweeps and averages.
"""

from typing import Any

import numpy as np

from dsp.locked import LockGuard
from dsp.measure import Measurer
from dsp.nouns import Average, Measurement, Peak, Sweep
from dsp.projection import Projection
from dsp.sharpen import sharpen_low_pass, sharpen_wiener
from dsp.stopping import Plan, Stopping, Verdict
from hostd.case import TestPlan
from hostd.choosing import STANDARD, Choosing
from hostd.combined import Combined, combined
from hostd.comparison import Comparison, comparison, peak_fields
from hostd.outgoing import finite
from hostd.reversal import finder, reversal_fields
from hostd.ruling import control_fields, rule_fields
from hostd.seen import Role, Seen
from hostd.virtual import NOTHING, Virtual

CERTAIN_MS, CERTAIN_SHARE = 1.0, 0.2
"""Half intervals of latency and amplitude: a rise by a tenth and a fall by half are then out of doubt."""
NO_SHARPER: dict[str, Any] = dict.fromkeys(("sharp_uv", "sharp_noise_uv", "sharp_loss_bound", "sharp_kind"))


class Course:
    """The course of one test of `n_rows` rows from `t0_ms` on, `dt_ms` apart, after `version` baselines."""

    def __init__(
        self,
        plan: TestPlan,
        names: tuple[str, ...],
        n_rows: int,
        t0_ms: float,
        dt_ms: float,
        version: int = 0,
    ) -> None:
        self._plan, self._names = plan, names
        self._rate_hz = 1e3 / dt_ms
        rows = (n_rows, t0_ms, dt_ms)
        self._measurer = Measurer(plan.peaks, names, *rows)
        self._leading = plan.leading
        span = _span(plan, STANDARD, *rows)
        self._control_span = None if plan.control is None else _control_span(plan, *rows)
        self._version = version
        self._choosing: Choosing | None = None
        self._virtual: Virtual | None = None
        if span is not None:
            self._choosing = Choosing(names, plan.peaks, span, rows, plan.choice == "best", plan.leading)
            if plan.virtual == "dss":
                self._virtual = Virtual(len(names), plan.peaks, span, rows)
        self._stopping: Stopping | None = None
        if self._leading is not None:
            hz = plan.stimulus_hz or 1.0
            asked = Plan(
                plan.sweeps, hz, plan.smallest_uv, latency_ms=CERTAIN_MS, amplitude_share=CERTAIN_SHARE
            )
            self._stopping = Stopping(asked)
        self._reversal = finder(plan, names, *rows)
        self._ran_on = False
        self._guard: LockGuard | None = None
        self._mains_uv = np.empty(0)
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
        self._standard: Comparison | None = None
        self._best: Comparison | None = None
        self._control: Comparison | None = None
        self._combined: Combined | None = None
        self._best_peaks: tuple[Measurement, ...] = ()
        self._before: tuple[Measurement, ...] = ()
        if self._choosing is not None:
            self._choosing.release()
        if self._virtual is not None:
            self._virtual.clear_baseline()

    def set_baseline(self, average: Average, measured: tuple[Measurement, ...]) -> None:
        """Later sweeps and averages are compared with this one, which was measured just before."""
        self.clear_baseline()
        self._version += 1
        self._before = measured
        if self._plan.control is not None and self._control_span is not None:
            proof = measured[self._plan.control]
            row = self._plan.peaks[self._plan.control].derivation
            self._control = comparison(average, proof, row, self._control_span, 0.0, early=True)
        if self._leading is None or self._choosing is None:
            return
        hz, span = self._plan.stimulus_hz, self._choosing.span
        self._standard = comparison(average, measured[self._leading], STANDARD, span, hz)
        self._choosing.fix()
        if self._choosing.peaks:
            self._best_peaks = self._choosing.peaks
            lead = self._best_peaks[self._choosing.lead]
            self._best = comparison(average, lead, self._choosing.row, span, hz)
        followed = self._best or self._standard
        if followed is not None:
            self._combined = combined(average, self._plan, span, followed)
        if self._virtual is not None:
            self._virtual.set_baseline(average)

    def mains(self, hz: float | None, amplitude_uv: list[float], index: int) -> None:
        """Mains as measured from sample `index` on; None: none stands out."""
        self._mains_uv = np.array(amplitude_uv if hz is not None else [])
        if hz is None:
            return
        if self._guard is None:
            self._guard = LockGuard(self._rate_hz, hz)
        self._guard.follow(hz, index)

    @property
    def version(self) -> int:
        """How many baselines the test has had."""
        return self._version

    @property
    def baseline_error(self) -> float | None:
        """The relative error of the baseline in the derivation that is followed; None where it is not clear
        of its noise, or there is none."""
        followed = self._best or self._standard
        return None if followed is None else followed.error

    def replicates(self, average: Average) -> float | None:
        """Correlation of the average's halves over the response, in the derivation that is followed; None
        where there are no halves, or no response to look at."""
        if self._choosing is None or average.halves_uv is None:
            return None
        one, other = average.halves_uv[:, self._choosing.span, self._choosing.row].astype(np.float64)
        one, other = one - one.mean(), other - other.mean()
        size = float(np.sqrt(np.sum(one * one) * np.sum(other * other)))
        return float(np.sum(one * other)) / size if 0.0 < size < np.inf else None

    def add(self, sweep: Sweep) -> list[Seen]:
        """One more sweep of the test; what it says of each response that has a baseline."""
        index, weights = sweep.trigger.index, tuple(sweep.weights.tolist())
        seen = [Seen(index, self._plan.name, "", "sweep", weights=weights, reason=sweep.reason)]
        if not sweep.accepted:
            return seen
        if self._guard is not None:
            self._guard.add(sweep.trigger.index, float(sweep.weights[0]))
        for compared in (self._standard, self._best, self._control, self._combined):
            if compared is not None:
                compared.add(sweep)
        return (
            seen
            + self._say(index, "control", self._control, self._control)
            + self._say(index, "lead", self._best or self._standard, self._combined)
        )

    def _say(
        self, index: int, role: Role, of: Comparison | None, read: Comparison | Combined | None
    ) -> list[Seen]:
        """What the last sweep says of the response `of`, `read` there or in the derivation followed."""
        if of is None:
            return []
        name, error = of.baseline.name, (read or of).error
        ratio, variance = (read or of).last
        return [Seen(index, self._plan.name, name, role, ratio, variance, version=self._version, error=error)]

    def measure(self, average: Average) -> tuple[Measurement, ...]:
        """The peaks of `average`; the derivation that is followed is looked at as well."""
        moved = self._choosing is not None and self._choosing.see(average)
        if moved and self._stopping is not None:
            self._stopping.restart()  # what was decided is of another derivation
        if self._virtual is not None:
            self._virtual.see(average)
        return tuple(self._measurer.measure(average))

    def verdict(self, average: Average, measured: tuple[Measurement, ...]) -> Verdict | None:
        """Whether the average is certain enough, in the derivation that is followed; None without a leading
        peak, and once it has run on from its target: what was decided is of the first."""
        if self._stopping is None or self._leading is None or self._ran_on:
            return None
        self._ran_on = average.final
        there = None if self._choosing is None else self._choosing.measurer
        if there is not None and self._choosing is not None:
            lead = self._choosing.lead
            evidence = there.evidence_of_peak(average, lead)
            return self._stopping.see(average, self._choosing.peaks[lead], evidence)
        evidence = self._measurer.evidence_of_peak(average, self._leading)
        return self._stopping.see(average, measured[self._leading], evidence)

    def fields(
        self, average: Average, measured: tuple[Measurement, ...], verdict: Verdict | None
    ) -> dict[str, Any]:
        """What is told with each average, beside its peaks."""
        ranking, choice = ([], None) if self._choosing is None else self._choosing.fields()
        if choice is not None and self._choosing is not None:
            choice |= self._beside_standard(average, self._choosing)
        changed = None
        if self._standard is not None and self._leading is not None:
            changed = self._standard.fields(average, measured[self._leading])
        return {
            "verdict": None if verdict is None else {k: getattr(verdict, k) for k in Verdict.__slots__},
            "ranking": ranking,
            "choice": choice,
            "halves": self._halves(),
            "change": changed,
            "control": control_fields(self._plan, measured, self._before),
            "reversal": reversal_fields(self._reversal, average),
            "rules": rule_fields(self._plan, measured, self._before, self._projected(average)),
            "virtual": None if self._virtual is None else self._virtual.fields(),
        }

    def traces(self, average: Average) -> dict[str, Any]:
        """Further traces of the average, where the case asks for them: a sharper and a virtual one."""
        virtual = NOTHING if self._virtual is None else self._virtual.trace_fields()
        return self._sharpened(average) | virtual

    def _beside_standard(self, average: Average, choosing: Choosing) -> dict[str, Any]:
        """What the derivation followed shows of the first one's peaks, and its change from baseline."""
        peaks = choosing.peaks
        before = self._best_peaks or (None,) * len(peaks)
        return {
            "peaks": [peak_fields(m, base) for m, base in zip(peaks, before, strict=True)],
            "change": None if self._best is None else self._best.fields(average, peaks[choosing.lead]),
        }

    def _projected(self, average: Average) -> Projection | None:
        return None if self._standard is None else self._standard.projected(average)

    def _sharpened(self, average: Average) -> dict[str, Any]:
        if self._plan.sharpen == "off" or not np.isfinite(average.noise_uv).all():
            return NO_SHARPER
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


def _control_span(plan: TestPlan, n_rows: int, t0_ms: float, dt_ms: float) -> slice | None:
    """Rows of the peak that proves arrival; None where they are too few."""
    control = plan.peaks[plan.control or 0]
    return _rows_of([control], n_rows, t0_ms, dt_ms)


def _span(plan: TestPlan, derivation: int, n_rows: int, t0_ms: float, dt_ms: float) -> slice | None:
    """Rows of all of a derivation's peaks together; None where there are too few."""
    return _rows_of([p for p in plan.peaks if p.derivation == derivation], n_rows, t0_ms, dt_ms)


def _rows_of(peaks: list[Peak], n_rows: int, t0_ms: float, dt_ms: float) -> slice | None:
    if not peaks:
        return None
    first_ms = min(p.window_ms[0] for p in peaks)
    last_ms = max((p.to_ms or p.window_ms)[1] for p in peaks)
    first = max(0, round((first_ms - t0_ms) / dt_ms))
    end = min(n_rows, round((last_ms - t0_ms) / dt_ms) + 1)
    return slice(first, end) if end - first >= 4 else None
