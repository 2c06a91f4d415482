"""How good a baseline is, in one word, and what it is bound to: fields of `baseline`. Pure.

Owns the grades. A baseline's own error is in everything that is compared with it; a poor one hides falls and
is told to be poor while it can still be improved.
"""

from typing import Any, Literal

Grade = Literal["good", "fair", "poor", "none"]
GOOD, FAIR = 0.1, 0.2
"""Relative standard errors up to which a baseline is so: with 0.2 a fall by half is out of doubt."""
AGREE = 0.5
"""Correlation of the two halves of an average below which they are no replicates."""
NONE: dict[str, Any] = {"version": 0, "error": None, "replicates": None, "grade": "none"}
"""Of a baseline that was cleared."""


def grade(error: float | None, replicates: float | None = None) -> Grade:
    """The word for a relative standard error; "none": it does not stand clear of its noise. Poor at best
    where the correlation of the halves says that they are no `replicates` of each other."""
    if error is None:
        return "none"
    if replicates is not None and replicates < AGREE:
        return "poor"
    return "good" if error <= GOOD else "fair" if error <= FAIR else "poor"


def baseline_fields(version: int, error: float | None, replicates: float | None = None) -> dict[str, Any]:
    """What `baseline` says of itself: `version` counts those of the test."""
    told = {"version": version, "error": error, "replicates": replicates}
    return told | {"grade": grade(error, replicates)}
