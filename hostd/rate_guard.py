"""Which stimulus rates may be used with the mains as they are: refuses those that mains locks to, offers the
best near them.

Owns what is known of the mains now: what the case states, then what the samples show. Judging is that of
`dsp.mains`. One thread.
"""

from typing import Any

from dsp.mains import LOCKED, MEASURED_OFF_HZ, NOMINAL_HZ, SWEEPS, Mains, judge, tuned_period
from hostd.case import Case, TestPlan
from hostd.control import Request
from hostd.mains import MOST_JUDGED_S

WHOLE_WITHIN = 0.01
LEAST_HZ = 0.01
"""What is fired more rarely is fired by hand."""


class RateGuard:
    """Judges the rates of the tests of one case at `rate_hz` samples a second."""

    def __init__(self, case: Case, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._mains: Mains = case.mains_hz or NOMINAL_HZ
        self._off_hz = 0.0
        self._measured = False
        self._wanted = {t.name: t.stimulus_hz for t in case.tests}
        self._periods = {n: max(1, round(rate_hz / hz)) for n, hz in self._wanted.items() if hz}
        self._written = {t.name for t in case.tests if t.rate_written}

    def measured(self, hz: float | None, hz_sd: float | None) -> None:
        """What the samples show of the mains."""
        if hz is not None and hz_sd is not None:
            self._mains, self._off_hz = hz, max(MEASURED_OFF_HZ, 2 * hz_sd)
            self._measured = True

    def refuse(self, plan: TestPlan, request: Request) -> str:
        """Why the rate that `request` (`test.start`, `test.rate`) would give a repeating test is not to be
        used, with a better one; empty when it may be."""
        if request.command not in ("test.start", "test.rate") or not plan.stimulus_hz:
            return ""
        wanted_hz = request.args.get("rate_hz", 0.0)
        if 0 < wanted_hz < LEAST_HZ:
            return f"{wanted_hz:g} Hz is no rate; the slowest is {LEAST_HZ:g} Hz"
        period = self.choose(plan, request)
        if period is None:
            period = self._periods[plan.name]
        elif wanted_hz and abs(self._rate_hz / period / wanted_hz - 1) > WHOLE_WITHIN:
            exact = self._rate_hz / wanted_hz
            near = f"{self._rate_hz / period:.4g} Hz ({period} samples)"
            return f"{wanted_hz:g} Hz is {exact:.4g} samples, not a whole number; the nearest is {near}"
        return self._misfit(plan, period) or self._locked(period)

    def choose(self, plan: TestPlan, request: Request) -> int | None:
        """The period that a test is to have from now on; None: the one that it has.

        A rate that nobody chose is tuned to the mains once they are measured.
        """
        if not plan.stimulus_hz:
            return None
        wanted_hz = float(request.args.get("rate_hz", 0.0))
        if request.command == "test.rate" and wanted_hz:
            return max(1, round(self._rate_hz / wanted_hz))
        tunes = request.command == "test.rate" or (self._measured and plan.name not in self._written)
        if not tunes:
            return None
        period = max(1, round(self._rate_hz / self._wanted[plan.name]))
        if not self._judged(period):
            return period
        return tuned_period(self._wanted[plan.name], self._rate_hz, self._mains, SWEEPS, self._off_hz)

    def changed(self, name: str, request: Request, period: int) -> None:
        """`name` has another rate; one asked for in figures is somebody's choice from now on."""
        self._periods[name] = period
        if request.args.get("rate_hz", 0.0):
            self._written.add(name)
            self._wanted[name] = self._rate_hz / period

    def report(self, period: int) -> dict[str, Any]:
        """What a period leaves of the mains, as far as they are known, for a reply."""
        if not self._judged(period):
            text = f"slower than one in {MOST_JUDGED_S:g} s: not judged"
            return {"mains_measured": self._measured, "mains_left_pct": [], "mains_text": text}
        report = judge(period, self._rate_hz, self._mains, SWEEPS, self._off_hz)
        return {
            "mains_measured": self._measured,
            "mains_left_pct": [100 * one for one in report.worst_left],
            "mains_text": report.text,
        }

    def _judged(self, period: int) -> bool:
        return period <= MOST_JUDGED_S * self._rate_hz

    def _locked(self, period: int) -> str:
        """One that only may be locked, as far as mains are known, is refused where a better one is near."""
        if not self._judged(period):
            return ""
        report = judge(period, self._rate_hz, self._mains, SWEEPS, self._off_hz)
        surely = max(report.left, default=0.0) >= LOCKED
        return report.text if report.locked and (surely or report.best_period != period) else ""

    def _misfit(self, plan: TestPlan, period: int) -> str:
        """Why the sweep of a test does not fit into a period."""
        period_ms = 1e3 * period / self._rate_hz
        needed = plan.window_ms[1]
        if plan.weighting == "noise":
            needed = max(needed, plan.response_ms)
        if needed < period_ms:
            return ""
        what = f"{self._rate_hz / period:.4g} Hz leaves {period_ms:.4g} ms from stimulus to stimulus"
        return f"{what}; the sweep of {plan.name} needs {needed:g} ms: choose a slower rate"
