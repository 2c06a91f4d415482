"""Whether what a test sees can be believed: its yield of good sweeps, and noise that has come to electrodes.

Owns these alerts, of low and medium priority and technical cause, with the electrodes that are to blame where
one explains it. Fed in order of sample index by `hostd.deviations`.
"""

from dataclasses import dataclass
from typing import Any

from hostd.alerts import Alerts
from hostd.case import Case, TestPlan
from hostd.circumstances import Circumstances
from hostd.outgoing import Outgoing
from hostd.seen import Seen

YIELD, NOISE = "yield", "noise"
LEAST_YIELD, POOR_S = 0.5, 120.0
LOUD_S, LOUD_SHARE, BLAMED_S, LOUD_ANSWERS = 20.0, 0.8, 5.0, 2
"""Noise at electrodes is told once four of five sweeps of so long were loud, or two answers in a row."""


@dataclass(slots=True)
class _Test:
    """One test: the share of its sweeps that is good, and since when it is poor, or loud."""

    plan: TestPlan
    good: float = 1.0
    poor_since: int | None = None
    loud_since: int | None = None


class SignalWatch:
    """Of `case` at `rate_hz`."""

    def __init__(self, case: Case, rate_hz: float, circumstances: Circumstances, alerts: Alerts) -> None:
        self._rate_hz, self._circumstances, self._alerts = rate_hz, circumstances, alerts
        self._tests = {plan.name: _Test(plan) for plan in case.tests}

    def sweep(self, seen: Seen) -> list[Outgoing]:
        """One sweep of an average, which the circumstances know."""
        test = self._tests[seen.test]
        if test.plan.kind != "average":
            return []
        return [*self._yield(test, seen), *self._noise(test, seen)]

    def answers(self, name: str, index: int) -> list[Outgoing]:
        """An answer of the test `name`: a muscle's electrodes that have become noisy are told after two."""
        loud = self._circumstances.noisy_answers(name, LOUD_ANSWERS)
        if not loud:
            quiet = not self._circumstances.noisy_answers(name, 1)
            return self._alerts.clear(index, NOISE, name) if quiet else []
        worst = max(loud, key=lambda k: loud[k])
        site = self._tests[name].plan.site
        text = f"{site}: noise {loud[worst]:.0f} times as large as usual; look at {', '.join(loud)}"
        evidence = {
            "rule": "noise of two answers",
            "index": index,
            "electrodes": [],
            "derivations": list(loud),
        }
        return self._alerts.raise_(index, name, NOISE, "low", text, evidence)

    def _yield(self, test: _Test, seen: Seen) -> list[Outgoing]:
        """Fewer than half of the sweeps are good for two minutes: nothing can be said of this test."""
        share = 1.0 / max(8.0, 30.0 * (test.plan.stimulus_hz or 1.0))
        test.good += ((1.0 if seen.accepted else 0.0) - test.good) * share
        name = test.plan.name
        if test.good >= LEAST_YIELD:
            poor, test.poor_since = test.poor_since, None
            return [] if poor is None else self._alerts.clear(seen.index, YIELD, name)
        if test.poor_since is None:
            test.poor_since = seen.index
        if seen.index - test.poor_since < POOR_S * self._rate_hz:
            return []
        off = self._circumstances.off(name, test.poor_since, seen.index)
        text = f"{test.plan.site}: {test.good:.0%} of the sweeps are good; nothing can be said of it"
        text += f"; off: {', '.join(off)}" if off else ""
        evidence = {"rule": "sweep yield below 50 % for 2 min", "index": seen.index, "yield": test.good}
        return self._alerts.raise_(seen.index, name, YIELD, "medium", text, evidence | {"off": off})

    def _noise(self, test: _Test, seen: Seen) -> list[Outgoing]:
        """Electrodes that have become noisy: told of the first test that shows it, with what they share."""
        since = seen.index - round(LOUD_S * self._rate_hz)
        least = max(4, round(LOUD_SHARE * LOUD_S * (test.plan.stimulus_hz or 1.0)))
        loud = self._circumstances.noisy(since, seen.index, least)
        name = test.plan.name
        mine = [times for (of, _), times in loud.items() if of == name]
        if not mine:
            test.loud_since = None
            quiet = not self._circumstances.noisy(since, seen.index, 1)
            return self._alerts.clear(seen.index, NOISE, name) if quiet else []
        blamed = self._circumstances.blamed(loud)
        test.loud_since = seen.index if test.loud_since is None else test.loud_since
        if not blamed and seen.index - test.loud_since < BLAMED_S * self._rate_hz:
            return []  # the others that the same electrode reaches are about to say so
        at = f"; look at {', '.join(blamed[:4])}" if blamed else ""
        text = f"{test.plan.site}: noise {max(mine):.0f} times as large as usual{at}"
        evidence: dict[str, Any] = {
            "rule": "noise of sweeps, 20 s",
            "index": seen.index,
            "electrodes": blamed,
        }
        evidence["derivations"] = [f"{of} {derivation}" for of, derivation in loud]
        return self._alerts.raise_(seen.index, name, NOISE, "low", text, evidence)
