"""The last few sweeps of one derivation against a baseline: size, scatter, loss; a rule that wants repeats.

Owns what k single responses say together, and the state of a rule of the field (70 % down or gone).
Amplitudes of muscles scatter by 20 to 60 % from sweep to sweep, so all is in logarithms. Pure: every step
gives a new record. Refuses to take one sweep for a change, and what is unknown for a loss.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dsp.muscle import Response
from dsp.presence import t_quantile

State = Literal["steady", "suspect", "confirmed", "lost"]

LEAST_BASELINE = 3
"""Sweeps whose scatter is told; a baseline wants five to ten."""


@dataclass(frozen=True, slots=True)
class Look:
    """One sweep: peak to peak, or None where it was absent, judged against `limit_uv`; or nothing `known`."""

    amplitude_uv: float | None
    limit_uv: float | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Baseline:
    """Several sweeps: mean and standard deviation of log microvolts, and how many."""

    log_mean: float
    log_sd: float
    n: int

    @property
    def uv(self) -> float:
        """Geometric mean."""
        return math.exp(self.log_mean)

    @property
    def cv(self) -> float:
        """Coefficient of variation from sweep to sweep."""
        return math.sqrt(math.expm1(self.log_sd**2))


@dataclass(frozen=True, slots=True)
class Rule:
    """A sweep is beyond it when absent, or `drop_pct` below baseline; `confirm` in a row must agree.

    Raises ValueError for a drop that is not within 0 to 100 %, or nothing to agree.
    """

    drop_pct: float
    confirm: int

    def __post_init__(self) -> None:
        if not (0.0 < self.drop_pct <= 100.0 and self.confirm >= 1):
            raise ValueError(f"a rule of -{self.drop_pct} %, {self.confirm} times")

    def beyond(self, seen: Look, baseline: Baseline | None) -> bool:
        """Whether this sweep is; without a baseline only an absent one."""
        if seen.amplitude_uv is None:
            return True
        return baseline is not None and seen.amplitude_uv <= (1.0 - self.drop_pct / 100.0) * baseline.uv


MEP = Rule(70.0, 3)
"""Loss, or -70 to -80 % (facts/clinical.md 1.D), and twice again."""
D_WAVE = Rule(50.0, 2)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rule stands: `state`, and how many known sweeps in a row were beyond, absent, and within."""

    state: State = "steady"
    beyond: int = 0
    absent: int = 0
    within: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """The last sweeps: `absent` of `n` known ones; what is present: median, mean, CV (from two on).

    `change_pct` is of geometric means against the baseline, with its 95 % interval. Where some are absent
    they count at their limits: `change_pct` is then the most it can be, the interval is open below
    (-100), and where all are, `change_pct` is None.
    """

    n: int
    absent: int
    median_uv: float | None
    mean_uv: float | None
    cv: float | None
    change_pct: float | None
    change_ci_pct: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Repeats:
    """The last `k` sweeps of one derivation (unknown ones are among them), a rule and where it stands.

    Raises ValueError for fewer than `confirm` sweeps.
    """

    rule: Rule
    k: int
    baseline: Baseline | None = None
    looks: tuple[Look, ...] = ()
    standing: Standing = Standing()

    def __post_init__(self) -> None:
        if self.k < self.rule.confirm:
            raise ValueError(f"{self.k} sweeps cannot agree {self.rule.confirm} times")

    def add(self, seen: Look) -> "Repeats":
        """With the next sweep."""
        standing = step(self.standing, self.rule, seen, self.baseline)
        return replace(self, looks=(*self.looks, seen)[-self.k :], standing=standing)

    def summary(self) -> Summary:
        """What the last sweeps say together."""
        return summarise(self.looks, self.baseline)

    @property
    def text(self) -> str:
        """The state in words: how many, and what to do."""
        now, needed = self.standing, self.rule.confirm
        if now.state == "suspect":
            what = "absent" if now.absent == now.beyond else f"down {self.rule.drop_pct:g} % or absent"
            return f"{what} in {now.beyond} of the last {now.beyond}: repeat to confirm ({needed})"
        if now.state == "lost":
            return f"absent in {now.absent} of the last {now.absent}"
        if now.state == "confirmed":
            return f"down {self.rule.drop_pct:g} % or absent in {now.beyond} of the last {now.beyond}"
        return "steady"


def look(response: Response) -> Look:
    """A measured response as a look; clipped ones count as at least as large."""
    if response.limit_uv is None:
        return Look(None, None, False)
    return Look(response.amplitude_uv if response.present else None, response.limit_uv)


def step(standing: Standing, rule: Rule, seen: Look, baseline: Baseline | None) -> Standing:
    """Where the rule stands after the next sweep; an unknown one changes nothing.

    suspect: beyond, not yet `confirm` times. confirmed: so many times; lost: and all of them absent. Back to
    steady from suspect with the first sweep within, from confirmed and lost when as many agree on that.
    """
    if not seen.known or (seen.amplitude_uv is not None and not math.isfinite(seen.amplitude_uv)):
        return standing
    if not rule.beyond(seen, baseline):
        within = standing.within + 1
        back = standing.state in ("steady", "suspect") or within >= rule.confirm
        return Standing("steady" if back else standing.state, 0, 0, within)
    beyond = standing.beyond + 1
    absent = standing.absent + 1 if seen.amplitude_uv is None else 0
    if absent >= rule.confirm:
        return Standing("lost", beyond, absent, 0)
    if beyond >= rule.confirm:
        return Standing("confirmed", beyond, absent, 0)
    keeps = standing.state in ("confirmed", "lost")
    return Standing(standing.state if keeps else "suspect", beyond, absent, 0)


def baseline(amplitudes_uv: Iterable[float | None]) -> Baseline | None:
    """That of several sweeps; None of fewer than three present ones, or where a third or more are absent."""
    sizes = list(amplitudes_uv)
    logs = [math.log(a) for a in sizes if a is not None and math.isfinite(a) and a > 0.0]
    if len(logs) < LEAST_BASELINE or 3 * len(logs) <= 2 * len(sizes):
        return None
    return Baseline(float(np.mean(logs)), float(np.std(logs, ddof=1)), len(logs))


def summarise(looks: Sequence[Look], against: Baseline | None) -> Summary:
    """The known ones of these sweeps together, and against a baseline.

    The interval of the change is Welch's (1947) of two means of logarithms; of one sweep alone the scatter is
    the baseline's.
    """
    known = [s for s in looks if s.known and (s.amplitude_uv is None or math.isfinite(s.amplitude_uv))]
    sizes = np.array([s.amplitude_uv for s in known if s.amplitude_uv is not None], np.float64)
    absent = len(known) - len(sizes)
    median = float(np.median(sizes)) if len(sizes) else None
    mean = float(sizes.mean()) if len(sizes) else None
    cv = float(sizes.std(ddof=1)) / mean if mean and len(sizes) > 1 else None
    change, interval = (None, None) if against is None else _change(known, against)
    return Summary(len(known), absent, median, mean, cv, change, interval)


def _change(known: Sequence[Look], against: Baseline) -> tuple[float | None, tuple[float, float] | None]:
    at_most = [s.limit_uv if s.amplitude_uv is None else s.amplitude_uv for s in known]
    told = [size for size in at_most if size is not None and size > 0.0]
    if not told or len(told) < len(known):
        return None, None
    logs = np.log(told)
    own = float(logs.var(ddof=1)) if len(logs) > 1 else against.log_sd**2
    now, then = own / len(logs), against.log_sd**2 / against.n
    freedom = float(against.n - 1)
    if len(logs) > 1 and now + then > 0.0:
        freedom = (now + then) ** 2 / (now**2 / (len(logs) - 1) + then**2 / (against.n - 1))
    half = t_quantile(max(freedom, 1.0)) * math.sqrt(now + then)
    log_change = float(logs.mean()) - against.log_mean
    low, high = _percent(log_change - half), _percent(log_change + half)
    absent = sum(s.amplitude_uv is None for s in known)
    if not absent:
        return _percent(log_change), (low, high)
    return None if absent == len(known) else _percent(log_change), (-100.0, high)


def _percent(log_ratio: float) -> float:
    return 100.0 * math.expm1(min(log_ratio, 50.0))
