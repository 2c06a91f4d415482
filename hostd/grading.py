"""How good a baseline is, in one word, and what it is bound to: fields of `baseline`. Pure.

Owns the grades. A baseline's own error is in everything that is compared with it; a poor one hides falls and
is told to be poor while it can still be improved.
"""

from typing import Any, Literal

Grade = Literal["good", "fair", "poor", "none"]
GOOD, FAIR = 0.1, 0.2
"""Relative standard errors up to which a baseline is so: with 0.2 a fall by half is out of doubt."""
NONE: dict[str, Any] = {"version": 0, "error": None, "grade": "none"}
"""Of a baseline that was cleared."""


def grade(error: float | None) -> Grade:
    """The word for a relative standard error; "none": it does not stand clear of its noise."""
    if error is None:
        return "none"
    return "good" if error <= GOOD else "fair" if error <= FAIR else "poor"


def baseline_fields(version: int, error: float | None) -> dict[str, Any]:
    """What `baseline` says of itself: `version` counts those of the test."""
    return {"version": version, "error": error, "grade": grade(error)}
