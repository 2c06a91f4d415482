"""The current at which a muscle begins to respond: ascending search at a screw or nerve, and what it means.

Owns the bracket (last current without, first with a response), its repeats, and the verdicts of a region as
data. Pure: every answer gives a new record. Refuses to take one response for a threshold, to propose a
current above the limit, and a verdict where the literature has none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

Answer = Mapping[str, bool | None]
"""Per muscle: whether it responded; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One stimulus: its current and what each muscle did, in the search's order."""

    ma: float
    present: tuple[bool | None, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Of one muscle, or of the first of all. The threshold lies above `bracket_ma[0]`, the last current
    below it without any response (None: none tried), and at `bracket_ma[1]` or below (None: above
    `none_up_to_ma`), where `responses` of `stimuli` hold.

    `inconsistent`: it responded below the bracket, too (to half or more), or mostly failed above it.
    """

    muscle: str
    ma: float | None
    bracket_ma: tuple[float | None, float | None]
    none_up_to_ma: float | None
    responses: int
    stimuli: int
    inconsistent: bool


@dataclass(frozen=True, slots=True)
class AscendingSearch:
    """Currents from `start_ma` on by `step_ma` up to `limit_ma`; `agree` of at most `repeats` at one current.

    A current without any response is left at once; the first that shows one is repeated until `agree`
    responses of one muscle confirm it, or no longer can. Raises ValueError for what cannot be.
    """

    muscles: tuple[str, ...]
    start_ma: float
    step_ma: float
    limit_ma: float
    agree: int = 2
    repeats: int = 3
    trials: tuple[Trial, ...] = ()

    def __post_init__(self) -> None:
        if not (self.step_ma > 0.0 and 0.0 < self.start_ma <= self.limit_ma < math.inf):
            raise ValueError(f"{self.start_ma} to {self.limit_ma} mA by {self.step_ma} is no search")
        if not self.muscles or len(set(self.muscles)) < len(self.muscles):
            raise ValueError(f"muscles {self.muscles}")
        if not 1 <= self.agree <= self.repeats:
            raise ValueError(f"{self.agree} of {self.repeats} cannot agree")

    def add(self, ma: float, present: Answer) -> "AscendingSearch":
        """With the answer to one stimulus, whatever its current; muscles that are not named are unknown."""
        answer = tuple(present.get(muscle) for muscle in self.muscles)
        return replace(self, trials=(*self.trials, Trial(ma, answer)))

    def next_ma(self) -> float | None:
        """The current to try next; None when the threshold of the first muscle is found, or at the limit."""
        if not self.trials:
            return self.start_ma
        at = max(trial.ma for trial in self.trials)
        counts = [self._count(k, at) for k in range(len(self.muscles))]
        if any(self._holds(*count) for count in counts):
            return None
        tries = sum(trial.ma == at for trial in self.trials)
        seen = [count for count in counts if count[0]]
        undecided = any(responses + self.repeats - stimuli >= self.agree for responses, stimuli in seen)
        unknown = not any(stimuli for _, stimuli in counts)
        if (undecided or unknown) and tries < self.repeats + 1 and at <= self.limit_ma:
            return at
        # On the grid from the start, so that steps do not add up rounding; never beyond the limit.
        steps = math.floor((at - self.start_ma) / self.step_ma + 1e-6) + 1
        following = round(self.start_ma + steps * self.step_ma, 9)
        if following <= self.limit_ma:
            return following
        return self.limit_ma if at < self.limit_ma else None

    def thresholds(self) -> tuple[Threshold, ...]:
        """One per muscle, in their order."""
        return tuple(self._threshold(k) for k in range(len(self.muscles)))

    def compound(self) -> Threshold:
        """That of the muscle which responds first; silent only as far as every muscle is known to be."""
        each = self.thresholds()
        found = [one for one in each if one.ma is not None]
        if found:
            first = min(found, key=lambda one: one.ma or 0.0)
            low = first.bracket_ma[0] or 0.0
            below = any(self._unrefuted(k, low) for k in range(len(self.muscles)))
            return replace(first, inconsistent=first.inconsistent or below)
        quiet = [one.none_up_to_ma for one in each if one.none_up_to_ma is not None]
        up_to = min(quiet) if len(quiet) == len(each) else None
        odd = any(one.inconsistent for one in each)
        return Threshold("", None, (up_to, None), up_to, 0, 0, odd)

    def _count(self, k: int, ma: float) -> tuple[int, int]:
        """Responses of muscle `k`, and stimuli whose answer is known, at one current."""
        known = [t.present[k] for t in self.trials if t.ma == ma and t.present[k] is not None]
        return sum(bool(p) for p in known), len(known)

    def _threshold(self, k: int) -> Threshold:
        tried = sorted({t.ma for t in self.trials if t.present[k] is not None})
        counts = {ma: self._count(k, ma) for ma in tried}
        holds = [ma for ma in tried if self._holds(*counts[ma])]
        if not holds:
            odd = self._unrefuted(k, math.inf)
            quiet = tried[-1] if tried else None
            return Threshold(self.muscles[k], None, (quiet, None), quiet, 0, 0, odd)
        first = holds[0]
        silent = [ma for ma in tried if ma < first and not counts[ma][0]]
        low = silent[-1] if silent else None
        odd = low is not None and self._unrefuted(k, low)
        odd |= any(2 * counts[ma][0] < counts[ma][1] for ma in tried if ma > first)
        return Threshold(self.muscles[k], first, (low, first), None, *counts[first], odd)

    def _unrefuted(self, k: int, below_ma: float) -> bool:
        """Whether muscle `k` responded to half or more of the stimuli at some current below."""
        counts = (self._count(k, ma) for ma in {t.ma for t in self.trials if t.ma < below_ma})
        return any(responses and 2 * responses >= stimuli for responses, stimuli in counts)

    def _holds(self, responses: int, stimuli: int) -> bool:
        """Enough responses, and no fewer than half of all that were tried there."""
        return responses >= self.agree and 2 * responses >= stimuli


@dataclass(frozen=True, slots=True)
class Band:
    """Thresholds up to `to_ma` (the edge belongs to the lower band where `closed`) and what they mean."""

    to_ma: float
    closed: bool
    verdict: str
    colour: str


BANDS: dict[str, tuple[Band, ...]] = {
    "lumbar": (
        Band(4.0, False, "breach likely", "red"),
        Band(8.0, True, "breach possible", "yellow"),
        Band(math.inf, True, "no breach", "green"),
    ),
    "tract": (
        Band(3.0, True, "tract within millimetres", "red"),
        Band(5.0, True, "tract near", "yellow"),
        Band(math.inf, True, "tract not near", "green"),
    ),
}
"""Screws: Raynor 2007, 4,857 of the lumbar spine (facts/clinical.md 1.D): below 4 mA, 4 to 8, above 8. None
for the thoracic spine, where thresholds are unreliable. `tract`: subcortical trains, about a milliampere for
a millimetre; 3 to 5 mA are a warning (facts/clinical.md 1.D)."""


def band(found: Threshold, region: str, bands: Mapping[str, Sequence[Band]] = BANDS) -> Band | None:
    """The band of a threshold in a region; the more dangerous one where responses were inconsistent.

    Without a response, that of a threshold just above the highest current tried, if no worse one follows;
    None where nothing can be said: region unknown, nothing tried, or silent too low to tell.
    """
    rows = bands.get(region)
    if not rows:
        return None
    if found.ma is None:
        last = rows[-1]
        least = rows[-2].to_ma if len(rows) > 1 else 0.0
        silent = found.none_up_to_ma is not None and found.none_up_to_ma >= least
        return last if silent and not found.inconsistent else None
    low, high = found.bracket_ma
    ma = found.ma if not found.inconsistent or low is None or high is None else low
    return next(row for row in rows if ma < row.to_ma or (row.closed and ma == row.to_ma))
