"""The bench's nouns: an `Item` measures and judges, an `Outcome` is what it found, a `Value` one figure.

Owns verdicts and how they are made from limits. Knows nothing of chips.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray


class Verdict(StrEnum):
    """How a value or an item ended, from best to worst; SKIPPED is neither good nor bad."""

    SKIPPED = "skipped"
    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


@dataclass(frozen=True, slots=True)
class Value:
    """One measured figure in `unit`; the limits that it was judged by, None where there is none."""

    what: str
    measured: float
    unit: str
    low: float | None
    high: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Cause:
    """A likely cause of a failure, and its cure."""

    cause: str
    cure: str


@dataclass(frozen=True, slots=True)
class Series:
    """A named line of a plot: x and y of equal length."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """What the page draws: lines or bars; `limits`: (y, what) across, `marks`: (x, what) down."""

    title: str
    kind: Literal["lines", "bars"]
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_y: bool = False
    limits: tuple[tuple[float, str], ...] = ()
    marks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an item found: `measured` in a few words, `note` for a reader, `reason` when it was skipped."""

    verdict: Verdict
    measured: str
    values: tuple[Value, ...] = ()
    causes: tuple[Cause, ...] = ()
    plots: tuple[Plot, ...] = ()
    note: str = ""
    reason: str = ""


def within(
    what: str,
    measured: float,
    unit: str,
    low: float | None = None,
    high: float | None = None,
    warn: tuple[float | None, float | None] = (None, None),
) -> Value:
    """Judge: FAIL outside `low` to `high`, WARN outside `warn`; what is not a number fails."""
    verdict = Verdict.PASS
    if _outside(measured, warn[0], warn[1]):
        verdict = Verdict.WARN
    if _outside(measured, low, high):
        verdict = Verdict.FAIL
    return Value(what, float(measured), unit, low, high, verdict)


def _outside(measured: float, low: float | None, high: float | None) -> bool:
    if not math.isfinite(measured):
        return True
    return (low is not None and measured < low) or (high is not None and measured > high)


def exactly(what: str, measured: float, expected: float, unit: str = "") -> Value:
    """Judge a count that allows nothing else."""
    return within(what, measured, unit, expected, expected)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of `verdicts`; SKIPPED when there is none."""
    return max(verdicts, key=_RANK.__getitem__, default=Verdict.SKIPPED)


def judged(
    measured: str,
    values: Sequence[Value],
    causes: Iterable[Cause] = (),
    plots: Sequence[Plot] = (),
    note: str = "",
) -> Outcome:
    """The outcome of `values`; causes only where something is not as it should be."""
    verdict = worst(value.verdict for value in values)
    named = tuple(causes) if verdict in (Verdict.WARN, Verdict.FAIL) else ()
    return Outcome(verdict, measured, tuple(values), named, tuple(plots), note)


def skipped(reason: str) -> Outcome:
    """Not measured here, and why."""
    return Outcome(Verdict.SKIPPED, "not measured", reason=reason)


def failed(measured: str, *causes: Cause) -> Outcome:
    """Nothing could be measured, and that is the finding."""
    return Outcome(Verdict.FAIL, measured, causes=causes)


def spread(values: Sequence[float], unit: str, digits: int = 3) -> str:
    """`values` as one figure or a range, in `unit`."""
    low, high = min(values), max(values)
    if f"{low:.{digits}g}" == f"{high:.{digits}g}":
        return f"{low:.{digits}g} {unit}".strip()
    return f"{low:.{digits}g} to {high:.{digits}g} {unit}".strip()


def listed(numbers: Iterable[int]) -> str:
    """Channels or chips, counted from 0, as people count them: 1, 3, 4."""
    return ", ".join(str(number + 1) for number in numbers)


def chosen(names: Sequence[str], which: NDArray[np.bool_]) -> list[str]:
    """The names where `which` (one per name) is True."""
    return [name for name, there in zip(names, which, strict=True) if there]
