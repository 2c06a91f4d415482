"""What else is so while a response changes: vitals, EEG, relaxation, stimulus, electrodes, noise.

Owns what was told of each, by sample index, and answers for a span of samples: what explains, and which
technical causes are to be suspected. Explains; never suppresses. Asked only about what is past.
"""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from dsp.attribution import Cause, Suspect
from hostd.case import Case
from hostd.outgoing import Outgoing
from hostd.seen import Seen
from hostd.vitals import Confounder, Vitals

KEPT = 4096
NOISY = math.log(6.0)
"""A sweep's weight this much below the usual (noise 2.4 times as large)."""
SLOW_SWEEPS, QUICK_SWEEPS, LEAST, LEAST_ANSWERS = 200.0, 12.0, 24, 4
LOUD_SHARE = 0.3
FAINT, GONE = 0.7, 0.5
GONE_ODDS, BAD_ODDS, NOISY_ODDS, OFF_ODDS = 6.0, 8.0, 4.0, 6.0
SUPPRESSED_PCT, SUPPRESSED_ODDS = 10.0, 2.5
RELAXED, RELAXED_ODDS = 0.7, 3.0
HIGH_OHM, HIGH_ODDS, WAS_HIGH_ODDS = 15_000.0, 5.0, 1.0
"""Half as much again as a needle may have (facts/clinical.md 1.G); measured since the change, or before."""
LEAST_STIMULI, NOTHING = 4, 0.1
"""Artifacts that tell a stimulus; a train's over the head is so large that one which is not there does."""


class Circumstances:
    """Of a case at `rate_hz`. Fed in order of sample index."""

    def __init__(self, case: Case, rate_hz: float) -> None:
        self.vitals = Vitals(rate_hz)
        self._rate_hz = rate_hz
        self._electrodes = {t.name: {d.name: _parts(d.name) for d in t.derivations} for t in case.tests}
        self._trains = {t.name for t in case.tests if t.stimulus.kind == "transcranial"}
        self._artifacts: dict[str, deque[tuple[int, float]]] = {}
        self._delivered: dict[str, deque[tuple[int, str]]] = {}
        self._suppressed: deque[tuple[int, float]] = deque(maxlen=KEPT)
        self._relaxed: deque[tuple[int, float, str]] = deque(maxlen=KEPT)
        self._noise: dict[tuple[str, str], _Noise] = {}
        self._off: deque[tuple[int, tuple[str, ...]]] = deque(maxlen=KEPT)
        self._ohm: dict[str, tuple[int, float]] = {}

    def artifact(self, index: int, test: str, ratio: float) -> None:
        """The artifact of a stimulus of `test`, as a ratio to its usual one."""
        self._artifacts.setdefault(test, deque(maxlen=KEPT)).append((index, ratio))

    def sweep(self, seen: Seen) -> None:
        """One sweep's weights; what was rejected for another reason than its size says nothing of noise."""
        if seen.reason not in ("", "amplitude", "saturated"):
            return
        for name, weight in zip(self._electrodes[seen.test], seen.weights, strict=True):
            self._noise.setdefault((seen.test, name), _Noise()).add(seen.index, weight)

    def noisy(self, since: int, index: int, least: int) -> dict[tuple[str, str], float]:
        """Derivations (test, name) that were loud in so many sweeps of a span, and how many times as loud."""
        found = {key: noise for key, noise in self._noise.items() if noise.loud(since, index) >= least}
        return {key: noise.times for key, noise in found.items()}

    def noisy_answers(self, test: str, times: int) -> dict[str, float]:
        """Derivations of a test of single answers that were loud so many times in a row, and how loud."""
        of = {name: noise for (at, name), noise in self._noise.items() if at == test}
        return {name: noise.times for name, noise in of.items() if noise.in_a_row >= times}

    def blamed(self, noisy: Iterable[tuple[str, str]]) -> list[str]:
        """Electrodes that explain noisy derivations: every derivation of theirs is; those of the most."""
        loud = set(noisy)
        holds: dict[str, set[tuple[str, str]]] = {}
        for test, derivations in self._electrodes.items():
            for name, parts in derivations.items():
                for part in parts if (test, name) in self._noise else ():
                    holds.setdefault(part, set()).add((test, name))
        guilty = {part: of for part, of in holds.items() if of <= loud}
        most = max((len(of) for of in guilty.values()), default=0)
        return sorted(part for part, of in guilty.items() if len(of) == most)

    def note(self, message: Outgoing) -> None:
        """What else was told: `stim`, `eeg`, `tof`, `leads` as an event of the edge."""
        f = message.fields
        match message.topic:
            case "stim" if f["test"] is not None:
                word = f["delivery"] or "ok" if f["verified"] else "never seen in the samples"
                self._delivered.setdefault(f["test"], deque(maxlen=KEPT)).append((message.index, word))
            case "eeg" if f["suppression"] is not None:
                ratios = [one[0] for one in f["suppression"]["ratio_pct"] if one[0] is not None]
                if ratios:
                    self._suppressed.append((message.index, sum(ratios) / len(ratios)))
            case topic if topic.startswith("response."):
                for row in f["responses"]:
                    if row["noise_uv"]:
                        of = topic.partition(".")[2], row["name"]
                        noise = self._noise.setdefault(of, _Noise(LEAST_ANSWERS, 1.0))
                        noise.add(message.index, row["noise_uv"] ** -2)
            case "tof" if not f["reason"]:
                share = f["share"] if f["share"] is not None else (f["count"] or 0) / 4.0
                self._relaxed.append((message.index, share, f["text"]))

    def leads_off(self, index: int, leads: Iterable[str]) -> None:
        """Electrodes that the edge sees off or at a rail ("CP3+"), from sample `index` on."""
        self._off.append((index, tuple(lead.rstrip("+-") for lead in leads)))

    def impedance(self, index: int, leads: Iterable[Mapping[str, Any]]) -> None:
        """Electrodes as they were measured; what was not is not known to be good or bad."""
        for one in leads:
            if one["ohm"] is not None:
                self._ohm[one["lead"].rstrip("+-")] = index, one["ohm"]

    def confounders(self, since: int, index: int) -> list[Confounder]:
        """What has moved and explains a change of all responses that began at `since`."""
        found = self.vitals.moved(since, index)
        flat = _moved(self._suppressed, since, index)
        if flat is not None and flat[1] - flat[0] >= SUPPRESSED_PCT:
            text = f"EEG suppressed {flat[1]:.0f} % of the time, {flat[0]:.0f} % before"
            found.append(Confounder("eeg_suppression_pct", text, *flat, index, SUPPRESSED_ODDS))
        relaxed = _moved([(at, share) for at, share, _ in self._relaxed], since, index)
        if relaxed is not None and relaxed[1] <= RELAXED * relaxed[0]:
            text = f"train of four at {relaxed[1]:.0%} of the control's, {relaxed[0]:.0%} before"
            found.append(Confounder("relaxation", text, *relaxed, index, RELAXED_ODDS))
        return found

    def odds(self, since: int, index: int) -> Mapping[Cause, float]:
        """Log odds that the circumstances lend each cause."""
        vitals = self.vitals.odds(since, index)
        posted = {one.name for one in self.vitals.moved(since, index)}
        others = sum(one.odds for one in self.confounders(since, index) if one.name not in posted)
        return {"systemic": min(max(vitals, 0.0) + others, 6.0) if others else vitals}

    def stimulus(self, test: str, since: int, index: int) -> dict[str, Any]:
        """What proves the stimulus: the artifact's ratio, deliveries that were not as commanded."""
        ratios = [one for at, one in self._artifacts.get(test, ()) if since <= at <= index]
        wrong = [one for at, one in self._delivered.get(test, ()) if since <= at <= index and one != "ok"]
        nothing = test in self._trains and max(ratios, default=1.0) < NOTHING
        mean = sum(ratios) / len(ratios) if nothing or len(ratios) >= LEAST_STIMULI else None
        unknown = [one for one in wrong if one == "unknown"]
        return {
            "artifact_ratio": mean,
            "delivery": next((one for one in wrong if one != "unknown"), "unknown" if unknown else "ok"),
            "stimuli": len(ratios),
        }

    def suspects(self, names: Mapping[str, Iterable[str]], since: int, index: int) -> list[Suspect]:
        """Technical causes that something speaks for; `names` are the sites of each test."""
        found = []
        noisy: set[str] = set()
        loud = [key for key, noise in self._noise.items() if noise.mostly(since, index)]
        for test, sites in names.items():
            proof, reached = self.stimulus(test, since, index), frozenset(sites)
            if proof["delivery"] not in ("ok", "unknown"):
                found.append(Suspect(f"stimulus of {test}: {proof['delivery']}", reached, BAD_ODDS))
            ratio = proof["artifact_ratio"]
            if ratio is not None and ratio < GONE:
                found.append(Suspect(f"stimulus of {test}: its artifact is gone", reached, GONE_ODDS))
            elif ratio is not None and ratio < FAINT:
                found.append(Suspect(f"stimulus of {test}: its artifact is smaller", reached, 2.0))
            if any(of == test for of, _ in loud):
                noisy |= reached
            off = self.off(test, since, index)
            if off:
                found.append(Suspect(f"electrode {', '.join(off)} is off", reached, OFF_ODDS))
            for lead, (measured, ohm) in self._ohm.items():
                if ohm >= HIGH_OHM and measured <= index and lead in self._wanted(test):
                    odds = HIGH_ODDS if measured >= since else WAS_HIGH_ODDS
                    found.append(Suspect(f"electrode {lead} has {ohm / 1e3:.0f} kOhm", reached, odds))
        if noisy:
            at = ", ".join(self.blamed(loud)[:3])
            name = f"noise at {at}" if at else "noise at electrodes"
            found.append(Suspect(name, frozenset(noisy), NOISY_ODDS))
        return found

    def off(self, test: str, since: int, index: int) -> list[str]:
        """Electrodes of a test that were off at any time of the span."""
        told: set[str] = set()
        last: tuple[str, ...] = ()
        for at, leads in self._off:
            if at > index:
                break
            last = leads
            if at >= since:
                told |= set(leads)
        return sorted((told | set(last)) & self._wanted(test))

    def _wanted(self, test: str) -> set[str]:
        """The electrodes of a test."""
        return {part for parts in self._electrodes.get(test, {}).values() for part in parts}


class _Noise:
    """The weights of one derivation's sweeps: usual, and of late; where they were low."""

    def __init__(self, least: int = LEAST, quick: float = QUICK_SWEEPS) -> None:
        self._least, self._of_late = least, quick
        self._slow = self._quick = 0.0
        self._n = 0
        self._loud: list[int] = []
        self._at: list[int] = []
        self._row = 0
        self.times = 1.0

    def add(self, index: int, weight: float) -> None:
        """One sweep's; 0 where it was too large to count at all."""
        self._at.append(index)
        del self._at[:-KEPT]
        self._row += 1
        if weight > 0.0:
            log = math.log(weight)
            self._n += 1
            self._quick += (log - self._quick) / min(self._n, self._of_late)
        if self._n >= self._least and (weight <= 0.0 or self._quick < self._slow - NOISY):
            self._loud.append(index)
            del self._loud[:-KEPT]
            self.times = math.exp(0.5 * (self._slow - self._quick))
            return
        self._row = 0
        if weight > 0.0:
            self._slow += (self._quick - self._slow) / min(self._n, SLOW_SWEEPS)

    @property
    def enough(self) -> int:
        """Loud sweeps that mean something: of single answers one."""
        return LEAST_STIMULI if self._of_late > 1.0 else 1

    def mostly(self, since: int, index: int) -> bool:
        """Whether so large a share of the span's sweeps was that it explains what they show."""
        seen = bisect_right(self._at, index) - bisect_left(self._at, since)
        return self.loud(since, index) >= max(self.enough, LOUD_SHARE * seen)

    @property
    def in_a_row(self) -> int:
        """How many of the last sweeps were loud, none of them quiet."""
        return self._row

    def loud(self, since: int, index: int) -> int:
        """How many sweeps of the span were."""
        return bisect_right(self._loud, index) - bisect_left(self._loud, since)


def _moved(told: Iterable[tuple[int, float]], since: int, index: int) -> tuple[float, float] | None:
    """The mean of what was told before, and the last of what was told since; None without both."""
    known = [one for one in told if one[0] <= index]
    before, late = [v for at, v in known if at < since][-60:], [v for at, v in known if at >= since]
    return (sum(before) / len(before), late[-1]) if before and late else None


def _parts(derivation: str) -> tuple[str, ...]:
    """The electrodes that a derivation's name has."""
    return tuple(part for part in derivation.replace("(", "-").replace(")", "-").split("-") if part)
