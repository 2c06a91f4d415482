"""One response of a test from sweep to sweep: quiet, suspected, raised, confirmed by what came after.

Owns where one response stands against a baseline that follows it, and what a stretch of its sweeps comes to;
the tests are dsp's. A suspicion is confirmed by sweeps that did not give rise to it: a replicate. Pure.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dsp.change import Cusum, Rolling
from dsp.sequential import MOST as MOST_ALONE
from dsp.sequential import MOST_TOGETHER, USUAL_SD, Answers
from hostd.comparison import ROLLING_S
from hostd.places import ALIKE
from hostd.seen import Seen

Stand = Literal["quiet", "suspected", "raised", "confirmed"]
Turn = Literal["suspected", "raised", "confirmed", "refuted", "recovered"]
KEPT = 4096
LEAST_SWEEPS = 8
LEAST_ERROR = 1e-3
CLEAR = 2.5
"""Standard errors by which a control must have stood above nothing to be compared with."""
SUSPECTED = 0.5
"""Share of the threshold from which a fall is suspected: what comes after is the replicate."""
SUSPECTED_ANSWERS = 0.35
"""Of single answers, which a replicate decides in seconds."""
REPLICATED = 4.6
"""Log likelihood ratio that the replicate must add by itself: a chance of 1 in 400."""
REPLICATED_ANSWERS = 2.5
"""The same of single answers, which are few: about one that is as clear as the first."""
MOST_ASKED = 4
"""Single stimuli that a suspicion may ask for."""
MOST = 1.9
"""Of the threshold: evidence is followed up to twice it."""
FAMILY_OF_ANSWERS = 0.5
"""Share of that for single answers, each of whose alarms is rarer as it is: one in some thousand answers."""
FAMILY_PER_H = 3.0
"""False alarms an hour that all tests of a case together may have, where each alone would have one."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a stretch of sweeps comes to, as a ratio to the level before: `error` of it (of the logarithm
    `in_logs`), how many sweeps; `at_most`: all were absent."""

    ratio: float
    error: float
    n: int
    in_logs: bool = False
    at_most: bool = False

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        if self.in_logs:
            return self.ratio * math.exp(-1.96 * self.error), self.ratio * math.exp(1.96 * self.error)
        return self.ratio - 1.96 * self.error, self.ratio + 1.96 * self.error


class Series:
    """One response of a test whose stimuli come `stimulus_hz` times a second (0: on demand), among `family`
    responses of the case."""

    def __init__(self, first: Seen, stimulus_hz: float, family: int) -> None:
        self.test, self.name, self.role = first.test, first.name, first.role
        self.version = first.version
        self._error = max(first.error, LEAST_ERROR)
        self.stand: Stand = "quiet"
        self.since: int | None = None
        self.suspected_at: int | None = None
        self.level = 1.0
        self._drifted: float | None = None
        self._suspected_with, self._asked = 0.0, 0
        self._seen: deque[Seen] = deque(maxlen=KEPT)
        self._more = math.log(max(1.0, family / FAMILY_PER_H))
        self._replicated = REPLICATED_ANSWERS if first.role in ("answer", "pooled") else REPLICATED
        self._answers: Answers | None = None
        self._rolling: Rolling | None = None
        if first.role == "control":
            return
        if first.role in ("answer", "pooled"):
            usual = USUAL_SD * math.sqrt(ALIKE + (1.0 - ALIKE) / first.muscles)
            most = MOST_TOGETHER if first.muscles > 1 else MOST_ALONE
            self._answers = Answers(first.error, max(1, first.count), usual, most)
        else:
            hz = stimulus_hz or 1.0
            self._rolling = Rolling(Cusum(sweeps_per_s=hz), max(1.0, ROLLING_S * hz), self._error)
        self._more *= FAMILY_OF_ANSWERS if self._answers is not None else 1.0

    @property
    def answered(self) -> bool:
        """Whether it is one of single answers."""
        return self._answers is not None

    @property
    def drift(self) -> float:
        """The level that is followed, as a ratio to the first baseline."""
        if self._answers is not None:
            return math.exp(self._answers.level)
        return 1.0 if self._rolling is None else self._rolling.level

    def add(self, seen: Seen) -> Turn | None:
        """One more sweep; how its standing has turned, if it has."""
        self._seen.append(seen)
        if self._answers is not None:
            told = self._answers.add(seen.value)
            return self._turn(seen.index, told.evidence, told.threshold, told.alarm, told.ago)
        if self._rolling is None:
            return None
        state = self._rolling.add(seen.value, seen.variance)
        return self._turn(seen.index, state.evidence, state.threshold, state.alarm, state.ago)

    def _turn(self, index: int, evidence: float, threshold: float, alarm: bool, ago: int) -> Turn | None:
        if self.stand == "quiet":
            if evidence >= (SUSPECTED if self._answers is None else SUSPECTED_ANSWERS) * threshold:
                self.stand, self.suspected_at = "suspected", index
                self._suspected_with, self._asked = evidence, 0
                self.since = self._seen[-min(max(ago, 1), len(self._seen))].index
                self.level = self.drift
                return "suspected"
            return None
        if evidence <= 0.0:
            turned: Turn = "refuted" if self.stand in ("suspected", "raised") else "recovered"
            self.stand, self.since, self.suspected_at = "quiet", None, None
            return turned
        most = MOST * threshold
        raised = alarm and evidence >= min(threshold + self._more, most)
        replicated = evidence - self._suspected_with >= min(self._replicated, most - self._suspected_with)
        if self.stand == "suspected" and raised:
            self.stand, self._asked = "raised", 0
            if not replicated:
                return "raised"
        if self.stand == "raised" and replicated:
            self.stand = "confirmed"
            return "confirmed"
        return None

    def wants_replicate(self) -> bool:
        """Whether another answer would decide; asked for so many times."""
        if self.stand in ("quiet", "confirmed") or self._asked >= MOST_ASKED:
            return False
        self._asked += 1
        return True

    def replicates(self) -> int:
        """Sweeps since it was suspected."""
        since = self.suspected_at
        return 0 if since is None else sum(one.index > since for one in self._seen)

    def reading(self, first: int, level: float | None = None) -> Reading | None:
        """The sweeps from sample `first` on as a ratio to `level` (default: what is followed), if enough."""
        against = self.drift if level is None else level
        late = [one for one in self._seen if one.index >= first]
        if self._answers is not None:
            if not late:
                return None
            mean = sum(one.value for one in late) / len(late)
            error = self._answers.sd * math.sqrt(1.0 / len(late) + 0.1)
            all_absent = all(one.absent for one in late)
            return Reading(math.exp(mean) / against, error, len(late), True, all_absent)
        now = _mean(late)
        if now is None or against <= 0.0:
            return None
        return _ratio(now, against, self._rolling.level_se if self._rolling is not None else 0.0)

    def beside(self, first: int, end: int, late: int) -> Reading | None:
        """Of a control, which no rule follows, so that its baseline may be poor: the sweeps from sample
        `late` on as a ratio to those from `first` to `end`, or to the baseline where that says more. None
        where it was not clear of nothing."""
        before = _mean([one for one in self._seen if first <= one.index < end])
        now = _mean([one for one in self._seen if one.index >= late])
        if before is None or before.value * self._error < before.error:
            before = _Mean(1.0, self._error, 0)
        if now is None or before.value < CLEAR * before.error:
            return None
        return _ratio(now, before.value, before.error)


@dataclass(frozen=True, slots=True)
class _Mean:
    """The weighted mean of sweeps, its standard error, how many they are."""

    value: float
    error: float
    n: int


def _mean(sweeps: Sequence[Seen]) -> _Mean | None:
    """Of those that say something, if enough."""
    weighed = [(one.value, 1.0 / one.variance) for one in sweeps if 0.0 < one.variance < math.inf]
    weight = sum(w for _, w in weighed)
    if len(weighed) < LEAST_SWEEPS:
        return None
    return _Mean(sum(p * w for p, w in weighed) / weight, 1.0 / math.sqrt(weight), len(weighed))


def _ratio(now: _Mean, against: float, against_se: float) -> Reading:
    ratio = now.value / against
    error = math.hypot(now.error / against, ratio * against_se / against)
    return Reading(ratio, max(error, LEAST_ERROR), now.n)
