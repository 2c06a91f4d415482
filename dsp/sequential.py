"""A sequential alarm over single responses: Page's test in logarithms, with a level that follows drift.

Owns what follows answers that are read one by one (muscles, nerves), as `dsp.change.Rolling` does for sweeps
that are averaged. Pure Python: some answers a minute. Refuses to raise an alarm out of one answer, and to
learn an injury.
"""

import math
from dataclasses import dataclass, field

from dsp.change import DELTA

FALL = -math.log(1.0 - DELTA)
"""The fall that is looked for, in logarithms: to 40 %."""
USUAL_SD, USUAL_N = 0.4, 4.0
"""Muscles scatter by 20 to 60 % from answer to answer (facts/clinical.md 1.C); what a baseline of few answers
says of its own scatter is drawn towards that."""
LEAST_SD = 0.2
THRESHOLD = 5.5
"""One false alarm in some hundred answers of what scatters as it did."""
MOST, MOST_TOGETHER = 0.65, 0.8
"""An answer adds at most this share of the threshold, that of several muscles together a little more: one
alone is no alarm."""


@dataclass(frozen=True, slots=True)
class Answered:
    """`evidence` against `threshold`; how many answers ago the change is likely to have begun (0: none)."""

    evidence: float
    threshold: float
    alarm: bool
    ago: int


@dataclass(slots=True)
class Answers:
    """Follows the log ratios of one derivation's answers to their baseline of `n` with scatter `log_sd`.

    `add` takes one answer's log ratio; `usual_sd` is what such answers scatter by as a rule, `most` the
    share of the threshold that one may add. The level forgets in `memory` answers. ValueError for a
    baseline that is none.
    """

    log_sd: float
    n: int
    usual_sd: float = USUAL_SD
    most: float = MOST
    memory: float = 60.0
    level: float = 0.0
    _weight: float = field(default=0.0, init=False)
    _sum: float = field(default=0.0, init=False)
    _since: int = field(default=0, init=False)
    _alarm: bool = field(default=False, init=False)
    _withheld: list[float] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.n < 1 or not 0.0 <= self.log_sd < math.inf or self.memory < 1.0:
            raise ValueError(f"a baseline of {self.n} answers with a scatter of {self.log_sd}")
        self._weight = float(self.n)

    @property
    def sd(self) -> float:
        """Of one answer: the baseline's own scatter and the usual one, by how many answers speak for each."""
        own = (self.n - 1) * self.log_sd**2
        return max(LEAST_SD, math.sqrt((own + USUAL_N * self.usual_sd**2) / (self.n - 1 + USUAL_N)))

    @property
    def frozen(self) -> bool:
        """Whether answers are withheld from the level at present."""
        return bool(self._withheld)

    def gain(self, log_ratio: float) -> float:
        """What one answer says for a fall, as a log likelihood ratio."""
        most = self.most * THRESHOLD
        return min(max(FALL * (self.level - log_ratio - 0.5 * FALL) / self.sd**2, -most), most)

    @property
    def evidence(self) -> float:
        """For a fall so far. The level's own error is in every answer, and counts by how many there are."""
        return self._sum / (1.0 + self._since / self._weight)

    def add(self, log_ratio: float) -> Answered:
        """One more answer."""
        most = 2.0 * THRESHOLD * (1.0 + (self._since + 1) / self._weight)
        self._sum = min(self._sum + self.gain(log_ratio), most)
        if self._sum <= 0.0:
            self._sum, self._since, self._alarm = 0.0, 0, False
            for one in [*self._withheld, log_ratio]:
                self._learn(one)
            self._withheld = []
        else:
            self._since += 1
            self._withheld.append(log_ratio)
            self._alarm = self._alarm or (self.evidence >= THRESHOLD and self._since >= 2)
        return Answered(self.evidence, THRESHOLD, self._alarm, self._since)

    def clear(self, learn: bool = False) -> None:
        """An alarm was answered: drop the evidence and what was withheld, or `learn` it."""
        for one in self._withheld if learn else ():
            self._learn(one)
        self._sum, self._since, self._alarm, self._withheld = 0.0, 0, False, []

    def _learn(self, log_ratio: float) -> None:
        self._weight = min(self._weight + 1.0, self.memory)
        self.level += (log_ratio - self.level) / self._weight
