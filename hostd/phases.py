"""Where a case stands: set-up, baseline, monitoring, critical step, alert, recovery, closed. Pure.

Owns the phases and what moves a case from one to the next; time is the sample index that events carry.
Refuses nothing that people do: a phase says what is so, `hostd.states` says what may be done.
"""

from dataclasses import dataclass, replace
from typing import Literal

Phase = Literal["setup", "baseline", "monitoring", "critical", "alert", "recovery", "closed"]
RECOVERY_S = 120.0
"""A response that is back is watched for so long before the case is said to go on as before."""


@dataclass(frozen=True, slots=True)
class CaseStand:
    """What decides. `running` tests of those that want a baseline, and which `based` ones have it; `open`
    alerts about the patient; until which sample the case `recovers`; `critical`: somebody said so."""

    running: frozenset[str] = frozenset()
    based: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()
    recovers: int | None = None
    critical: bool = False
    closed: bool = False

    @property
    def phase(self) -> Phase:
        """The phase; the gravest of what is so."""
        if self.closed:
            return "closed"
        if self.open:
            return "alert"
        if self.recovers is not None:
            return "recovery"
        if not self.running:
            return "setup"
        if self.running - self.based:
            return "baseline"
        return "critical" if self.critical else "monitoring"


@dataclass(frozen=True, slots=True)
class Happened:
    """Something at sample `index`: a test was `started`, `stopped`, `based` or `unbased` (`name`), an alert
    about the patient `raised` or `cleared` (`name`: its id), `critical` or `normal` was said, time has
    `passed`, or the case was `closed`."""

    kind: Literal[
        "started",
        "stopped",
        "based",
        "unbased",
        "raised",
        "cleared",
        "critical",
        "normal",
        "passed",
        "closed",
    ]
    index: int
    name: str = ""


def step(stand: CaseStand, event: Happened, recovery_samples: int) -> CaseStand:
    """What is so after an event."""
    one = frozenset({event.name})
    match event.kind:
        case "started":
            return replace(stand, running=stand.running | one)
        case "stopped":
            return replace(stand, running=stand.running - one)
        case "based":
            return replace(stand, based=stand.based | one)
        case "unbased":
            return replace(stand, based=stand.based - one)
        case "raised":
            return replace(stand, open=stand.open | one, recovers=None)
        case "cleared":
            left = stand.open - one
            until = event.index + recovery_samples if stand.open and not left else stand.recovers
            return replace(stand, open=left, recovers=until)
        case "critical" | "normal":
            return replace(stand, critical=event.kind == "critical")
        case "passed":
            over = stand.recovers is not None and event.index >= stand.recovers
            return replace(stand, recovers=None) if over else stand
        case "closed":
            return replace(stand, closed=True)
