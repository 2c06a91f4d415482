"""The doctor's nouns: a `Check` looks at the machine, a `Finding` says what it saw, a `Row` is both.

Owns their states and how they are made. Knows nothing of any particular check.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from firmware.doctor.machine import Machine

Figure = float | int | str
"""One measured value for the JSON report; its unit is in its name."""


class State(StrEnum):
    """How a check ended. Only FAIL makes a machine unfit."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw, in words and figures, and its cure: a sentence, then lines to copy."""

    state: State
    found: str
    cure: str = ""
    commands: tuple[str, ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the machine, under its topic; `tier_b`: more than 1 kSPS needs an `ok` here."""

    name: str
    topic: str
    why: str
    look: Callable[[Machine], Finding]
    tier_b: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A check and what it found."""

    check: Check
    finding: Finding

    @property
    def state(self) -> State:
        """The finding's state."""
        return self.finding.state


def ok(found: str, **figures: Figure) -> Finding:
    """As it should be."""
    return Finding(State.OK, found, figures=figures)


def warn(found: str, cure: str, *commands: str, **figures: Figure) -> Finding:
    """Works, but less well than it could."""
    return Finding(State.WARN, found, cure, commands, figures)


def fail(found: str, cure: str, *commands: str, **figures: Figure) -> Finding:
    """Not fit like this."""
    return Finding(State.FAIL, found, cure, commands, figures)


def skipped(reason: str, **figures: Figure) -> Finding:
    """Not applicable here, or not readable; the reason says which."""
    return Finding(State.SKIPPED, reason, figures=figures)


def unneeded(found: str, **figures: Figure) -> Finding:
    """Wanting, but of no matter on this machine: it has no converters."""
    return skipped(f"{found}; of no matter without converters", **figures)
