"""Deviations from baseline as alerts that carry their evidence: the case's judge of all tests together.

Owns the series of every response, the circumstances, and when an alert is raised, confirmed, attributed anew
and cleared. Fed in order of sample index (`hostd.timeline`), so that live and replay agree to the bit. Knows
no clock and no socket. Confounders explain; nothing here suppresses an alert.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsp.attribution import Attribution, Site, Suspect, attribute
from hostd.alerts import Alerts, Priority
from hostd.case import Case, TestPlan
from hostd.circumstances import Circumstances
from hostd.evidence import Fallen, packet, sentence
from hostd.outgoing import Outgoing, event
from hostd.places import limb_of, place_of
from hostd.seen import Seen
from hostd.series import Reading, Series
from hostd.signal_watch import SignalWatch
from hostd.threshold_alerts import ThresholdAlerts
from hostd.watch_alerts import WatchAlerts

CHANGE, DRIFT = "change", "drift"
AGAIN_S = 10.0
"""An open alert is looked at again so often: more of the other limbs is known by then."""
MOVED = 0.15
"""It is told anew where a ratio is so far from the one told, or another response has joined."""
LONG_S, ANSWERED_S = 30.0, 15.0
CONTROL_S = 300.0, 10.0
"""A control is compared with what it was from so long to so long before the change."""
STOPPED = " The test has been stopped since: nobody watches whether it comes back."
DRIFTED, BACK = 0.6, 0.75
"""A level that has crept below this share of the first baseline is told, and no longer above that."""


@dataclass(slots=True)
class _Test:
    """What is kept of one test: its responses, what is open, its fixed rules as last told."""

    plan: TestPlan
    series: dict[str, Series] = field(default_factory=dict)
    looked_at: int = 0
    cause: str = ""
    since: int = 0
    rules: list[dict[str, Any]] = field(default_factory=list)
    asked_at: int = -1
    told: dict[str, float] = field(default_factory=dict)
    stopped: bool = False


class Deviations:
    """Of `case` at `rate_hz`; what it finds goes through `alerts`."""

    def __init__(self, case: Case, rate_hz: float, alerts: Alerts) -> None:
        self._rate_hz = rate_hz
        self._alerts = alerts
        self._tests = {plan.name: _Test(plan) for plan in case.tests}
        self._family = max(1, sum(plan.kind != "tof" for plan in case.tests))
        self.circumstances = Circumstances(case, rate_hz)
        self._watches = WatchAlerts(rate_hz, alerts)
        self._thresholds = ThresholdAlerts(alerts)
        self._signals = SignalWatch(case, rate_hz, self.circumstances, alerts)

    def see(self, seen: Seen) -> list[Outgoing]:
        """One sweep's say of one response."""
        test = self._tests[seen.test]
        if seen.role == "sweep":
            self.circumstances.sweep(seen)
            again = [m for one in self._tests.values() for m in self._again(one, seen.index)]
            return [*self._signals.sweep(seen), *again]
        series = test.series.get(seen.name)
        messages: list[Outgoing] = []
        if series is None or series.version != seen.version:
            messages += self._rebased(test, seen)
            series = test.series[seen.name] = Series(seen, test.plan.stimulus_hz, self._family)
        turn = series.add(seen)
        if seen.role == "control":
            return messages
        if series.answered:
            messages += self._ask(test, seen.index)
        if turn in ("raised", "confirmed"):
            messages += self._raise(test, seen.index)
        elif turn in ("refuted", "recovered"):
            messages += self._ended(test, seen.index)
        return messages + self._drift(test, series, seen.index)

    def running(self, index: int, name: str, runs: bool) -> list[Outgoing]:
        """A test was started or stopped; what is open of one that is stopped stays, and says so."""
        test = self._tests[name]
        changed, test.stopped = test.stopped == runs, not runs
        return self._raise(test, index) if changed else []

    def impedance(self, index: int, leads: Sequence[Mapping[str, Any]]) -> list[Outgoing]:
        """Electrodes were measured: a bad one may explain what is open."""
        self.circumstances.impedance(index, leads)
        return [m for test in self._tests.values() for m in self._otherwise(test, index)]

    def note(self, message: Outgoing) -> list[Outgoing]:
        """What else was told: measurements for their fixed rules, everything that explains."""
        family, _, name = message.topic.partition(".")
        if family == "measure":
            if self._tests[name].plan.kind != "average":
                return []
            rules = message.fields.get("rules") or []
            self._tests[name].rules = [rule for rule in rules if rule["verdict"] == "met"]
            return []
        if family == "response":
            told = [row for row in message.fields["responses"] if row["state"] in ("confirmed", "lost")]
            self._tests[name].rules = [{"peak": row["name"], "verdict": row["state"]} for row in told]
            self.circumstances.note(message)
            noise = self._signals.answers(name, message.index)
            asked = [] if message.fields["accepted"] else self._ask(self._tests[name], message.index)
            return noise + asked + self._thresholds.note(self._tests[name].plan, message)
        self.circumstances.note(message)
        return self._watches.note(message)

    def _ask(self, test: _Test, index: int) -> list[Outgoing]:
        """Another answer, where one would decide a suspicion: an event that the box answers by itself, once
        of each answer."""
        if index == test.asked_at:
            return []
        wanted = [one.name for one in test.series.values() if one.answered and one.wants_replicate()]
        if not wanted:
            return []
        test.asked_at = index
        text = f"{test.plan.site}: {wanted[0]} has fallen: a replicate is asked for"
        return [event(index, text, "replicate", "auto", test=test.plan.name)]

    def _rebased(self, test: _Test, seen: Seen) -> list[Outgoing]:
        """A new baseline: what is compared begins anew, and an open alert was of the old one."""
        if not any(series.version != seen.version for series in test.series.values()):
            return []
        test.series = {k: s for k, s in test.series.items() if s.version == seen.version}
        test.cause = ""
        why = {"cleared_by": f"baseline {seen.version}"}
        name = test.plan.name
        cleared = self._alerts.clear(seen.index, CHANGE, name, why)
        return cleared + self._alerts.clear(seen.index, DRIFT, name, why)

    def _open(self, test: _Test) -> list[Series]:
        watched = (one for one in test.series.values() if one.role != "control")
        return [one for one in watched if one.stand in ("raised", "confirmed")]

    def _fallen(self, test: _Test, index: int) -> list[Fallen]:
        """The responses that are down, with what their sweeps since then come to."""
        return [
            Fallen(one, one.reading(one.since if one.since is not None else index, one.level))
            for one in self._open(test)
        ]

    def _raise(self, test: _Test, index: int) -> list[Outgoing]:
        """What has fallen, with everything that is known at `index`."""
        fallen = self._fallen(test, index)
        if not fallen:
            return []
        since = min(one.series.since or index for one in fallen)
        confirmed = any(one.series.stand == "confirmed" for one in fallen)
        sites, suspects, found = self._attributed(test, since, index)
        test.cause, test.looked_at, test.since = found.cause, index, since
        evidence = packet(
            index,
            since,
            fallen,
            sites,
            found,
            self.circumstances.stimulus(test.plan.name, since, index),
            self.circumstances.confounders(since, index),
            test.rules,
            [one.name for one in suspects],
        )
        evidence["watched"] = not test.stopped
        test.told = _ratios(fallen)
        text = sentence(test.plan.site, fallen, found, confirmed, since / self._rate_hz, _steady(sites, test))
        text += STOPPED if test.stopped else ""
        return self._alerts.raise_(
            index,
            test.plan.name,
            CHANGE,
            _priority(found, confirmed),
            text,
            evidence,
            found.cause,
            {str(cause): share for cause, share in found.likelihood.items()},
            confirmed=confirmed,
            anew=True,
        )

    def _attributed(
        self, test: _Test, since: int, index: int
    ) -> tuple[list[Site], list[Suspect], Attribution]:
        """All responses, what is suspected technically, and what a change of `test` since then is due to."""
        sites = self._sites(since, self._late(since, index))
        names: dict[str, list[str]] = {}
        for site in sites:
            names.setdefault(site.name.partition(" ")[0], []).append(site.name)
        suspects = self.circumstances.suspects(names, since, index)
        odds = self.circumstances.odds(since, index)
        return sites, suspects, attribute(sites, suspects, odds, self._about(test, sites))

    def _about(self, test: _Test, sites: Sequence[Site]) -> set[str]:
        """The sites that are the responses of `test` where it has fallen."""
        limbs = {limb_of(test.plan, one.name) for one in self._open(test)}
        mine = (one for one in sites if one.name.partition(" ")[0] == test.plan.name and not one.control)
        return {one.name for one in mine if (one.side, one.limb) in limbs}

    def _sites(self, since: int, late: int) -> list[Site]:
        """Every response of the case, from sample `late` on beside what it was before `since`."""
        sites = []
        for test in self._tests.values():
            for series in test.series.values():
                if series.role == "pooled":
                    continue
                reading = self._reading(series, since, late)
                if reading is None or not reading.ratio > (0.0 if reading.in_logs else -10.0):
                    continue
                place = place_of(test.plan, series.name)
                sites.append(
                    Site(
                        f"{test.plan.name} {series.name}",
                        place.tract,
                        place.limb,
                        place.side,
                        reading.ratio,
                        reading.error,
                        reading.in_logs,
                        reading.at_most,
                        series.role == "control",
                    )
                )
        return sites

    def _reading(self, series: Series, since: int, late: int) -> Reading | None:
        if series.role == "control":
            first, end = (since - round(s * self._rate_hz) for s in CONTROL_S)
            return series.beside(first, end, late)
        level = series.level if series.stand != "quiet" else None
        if not series.answered:
            return series.reading(late, level)
        early = round(
            ANSWERED_S * self._rate_hz
        )  # answers are rare: those that there are since then, at least
        return series.reading(late - early, level) or series.reading(since - early, level)

    def _late(self, since: int, index: int) -> int:
        """From where on sites are read: what changes slowly shows best in the later half."""
        long = index - since > LONG_S * self._rate_hz
        return since + (index - since) // 2 if long else since

    def _again(self, test: _Test, index: int) -> list[Outgoing]:
        """Whether of an open alert something else is to be told by now: its cause, how much is gone."""
        if not self._open(test) or test.stopped or index - test.looked_at < AGAIN_S * self._rate_hz:
            return []
        test.looked_at = index
        now = _ratios(self._fallen(test, index))
        moved = any(abs(ratio - test.told.get(name, math.inf)) > MOVED for name, ratio in now.items())
        return self._raise(test, index) if moved else self._otherwise(test, index)

    def _otherwise(self, test: _Test, index: int) -> list[Outgoing]:
        """Told anew where something else is likely by now to be the cause of what is open."""
        if not self._open(test):
            return []
        _, _, found = self._attributed(test, test.since, index)
        return self._raise(test, index) if found.cause not in (test.cause, "unknown") else []

    def _ended(self, test: _Test, index: int) -> list[Outgoing]:
        """One response is back, or was never gone: told once all of the test's are."""
        if self._open(test):
            return []
        test.cause = ""
        return self._alerts.clear(index, CHANGE, test.plan.name)

    def _drift(self, test: _Test, series: Series, index: int) -> list[Outgoing]:
        """A level that has crept away is told: slow, and so no injury by itself, but no baseline any more."""
        name = test.plan.name
        levels = {one.name: one.drift for one in test.series.values() if one.role != "control"}
        low = {k: v for k, v in levels.items() if v < DRIFTED}
        if not low:
            return self._alerts.clear(index, DRIFT, name) if min(levels.values()) > BACK else []
        if series.name not in low:
            return []
        worst = min(low, key=lambda k: low[k])
        text = f"{test.plan.site}: {worst} has drifted to {low[worst]:.0%} of its baseline; set a new one?"
        evidence = {"rule": "slow drift of the baseline that follows", "index": index, "levels": levels}
        return self._alerts.raise_(index, name, DRIFT, "low", text, evidence, "systemic", {"systemic": 1.0})


def _ratios(fallen: Sequence[Fallen]) -> dict[str, float]:
    """What is left of each response; nothing, where it is absent."""
    known = ((one.series.name, one.reading) for one in fallen)
    return {name: 0.0 if r.at_most else r.ratio for name, r in known if r is not None}


def _priority(found: Attribution, confirmed: bool) -> Priority:
    """High: a confirmed loss that is not explained. What is explained is told all the same."""
    if not confirmed:
        return "medium"
    return "medium" if found.cause in ("systemic", "technical") else "high"


def _steady(sites: Sequence[Site], test: _Test) -> str:
    """The controls and limbs that stand, in words."""
    control = [site for site in sites if site.control and site.name.partition(" ")[0] == test.plan.name]
    others = [site for site in sites if not site.control and site.name.partition(" ")[0] != test.plan.name]
    stand = [site.name for site in others if site.ratio > 0.7 and not site.at_most]
    said = [f"{site.name.partition(' ')[2]} {site.ratio:.0%} of before" for site in control]
    if stand:
        said.append(f"unchanged: {', '.join(stand[:6])}")
    return "; ".join(said)
