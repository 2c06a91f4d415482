"""What `status` says of stimulation: the arbiter as the edge told it, doses, lags, what did not fire and why.

Owns the host's view, not the truth: that is the edge's. One thread (serving).
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hostd.case import Case
from hostd.states import CaseState
from hw.link import ALL_PLANS, LOCK_REASONS, NOT_SEEN, StimPlan, StimState, Stimulus, Unfired


class StimStatus:
    """Of one case at `rate_hz` samples a second."""

    def __init__(self, case: Case, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._names = {t.line: t.name for t in case.tests}
        self._said: StimState | None = None
        self._lags: Counter[int] = Counter()
        self._fired: Counter[str] = Counter()
        self._unfired: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self._unseen = 0

    def stimulated(self, stimulus: Stimulus) -> None:
        """One pulse, proven or not."""
        if stimulus.pulse == 1:
            self._fired[self._names.get(stimulus.plan, "")] += 1
        if stimulus.seen == NOT_SEEN:
            self._unseen += 1
        else:
            self._lags[stimulus.seen - stimulus.commanded] += 1

    def unfired(self, unfired: Unfired) -> None:
        """One stimulus that did not fire."""
        name = self._names.get(unfired.plan, "")
        self._unfired[name] += 1
        other = self._names.get(unfired.other)
        self._reasons[name] = f"the window of {other} is not over" if other else unfired.reason

    def told(self, said: StimState) -> None:
        """The arbiter's state."""
        self._said = said

    def fields(
        self, state: CaseState, plans: Mapping[str, StimPlan], steps: Mapping[str, float | None]
    ) -> dict[str, Any]:
        """For `status`."""
        said = self._said
        locks = 0 if said is None else said.locks
        owner = None if said is None or said.owner == ALL_PLANS else self._names.get(said.owner)
        return {
            "locks": [text for bit, text in LOCK_REASONS.items() if locks & bit],
            "window_of": owner,
            "armed_s": {
                t.name: round((t.armed_until - state.index) / self._rate_hz, 1)
                for t in state.tests
                if t.armed(state.index)
            },
            "electrodes_checked_s": None
            if state.checked_at is None
            else round((state.index - state.checked_at) / self._rate_hz, 1),
            "tests": {name: self._test(name, plan, steps) for name, plan in plans.items()},
            "lines": [] if said is None else self._lines(said),
            "lag_samples": {str(lag): n for lag, n in sorted(self._lags.items())},
            "never_seen": self._unseen,
        }

    def _test(self, name: str, plan: StimPlan, steps: Mapping[str, float | None]) -> dict[str, Any]:
        return {
            "rate_hz": self._rate_hz / plan.period if plan.period else None,
            "period_samples": plan.period or None,
            "fired": self._fired[name],
            "left_out": self._unfired[name],
            "last_reason": self._reasons.get(name),
            "next_step_ma": steps.get(name),
        }

    def _lines(self, said: StimState) -> list[dict[str, Any]]:
        rows = zip(said.pulses, said.charge_uc, said.energy_mj, strict=True)
        return [
            {"line": line, "pulses": int(pulses), "charge_uc": charge, "energy_mj": energy}
            for line, (pulses, charge, energy) in enumerate(rows, 1)
        ]
