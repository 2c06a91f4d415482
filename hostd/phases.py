"""Where a case stands: set-up, baseline, monitoring, critical step, alert, recovery, closed. Pure.

Owns the phases, what moves a case from one to the next, and the steps that set-up still wants; time is the
sample index that events carry.
Refuses nothing that people do: a phase says what is so, `hostd.states` says what may be done.
"""

from dataclasses import dataclass, replace
from typing import Literal

Phase = Literal["setup", "baseline", "monitoring", "critical", "alert", "recovery", "closed"]
WAITING = "waiting"
RECOVERY_S = 120.0
"""A response that is back is watched for so long before the case is said to go on as before."""


@dataclass(frozen=True, slots=True)
class CaseStand:
    """What decides. `running` tests of those that want a baseline, and which `based` ones have it; `open`
    alerts about the patient; until which sample the case `recovers`; `critical`: somebody said so.
    `measured`: the electrodes were; what the check of each test's `plugs` says; each test's baseline as
    `grades`, "waiting" where it has none."""

    running: frozenset[str] = frozenset()
    based: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()
    recovers: int | None = None
    critical: bool = False
    closed: bool = False
    measured: bool = False
    plugs: tuple[tuple[str, str], ...] = ()
    grades: tuple[tuple[str, str], ...] = ()

    @property
    def phase(self) -> Phase:
        """The phase; the gravest of what is so."""
        if self.closed:
            return "closed"
        if self.open:
            return "alert"
        if self.recovers is not None:
            return "recovery"
        waiting = self.running - self.based
        if not self.running or any(said == WAITING and name in waiting for name, said in self.plugs):
            return "setup"
        if waiting:
            return "baseline"
        return "critical" if self.critical else "monitoring"

    @property
    def steps(self) -> tuple[tuple[str, str, str], ...]:
        """What set-up wants, in order: (step, test or "", how it stands). None of them bars the next."""
        impedance = ("impedance", "", "measured" if self.measured else "not measured")
        plugs = (("plugs", name, said) for name, said in self.plugs)
        return (impedance, *plugs, *(("baseline", name, said) for name, said in self.grades))


@dataclass(frozen=True, slots=True)
class Happened:
    """Something at sample `index`: a test was `started`, `stopped`, `based` or `unbased` (`name`), an alert
    about the patient `raised` or `cleared` (`name`: its id), `critical` or `normal` was said, time has
    `passed`, the electrodes were `measured`, the `plugs` of a test are as `value` says, or the case was
    `closed`. A baseline's grade is its `value`."""

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
        "measured",
        "plugs",
        "closed",
    ]
    index: int
    name: str = ""
    value: str = ""


def step(stand: CaseStand, event: Happened, recovery_samples: int) -> CaseStand:
    """What is so after an event."""
    one = frozenset({event.name})
    match event.kind:
        case "started":
            return replace(stand, running=stand.running | one)
        case "stopped":
            return replace(stand, running=stand.running - one)
        case "based":
            grades = _said(stand.grades, event.name, event.value)
            return replace(stand, based=stand.based | one, grades=grades)
        case "unbased":
            grades = _said(stand.grades, event.name, WAITING)
            return replace(stand, based=stand.based - one, grades=grades)
        case "measured":
            return replace(stand, measured=True)
        case "plugs":
            return replace(stand, plugs=_said(stand.plugs, event.name, event.value))
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


def _said(of: tuple[tuple[str, str], ...], name: str, now: str) -> tuple[tuple[str, str], ...]:
    """The same with another word on one test, in the same order."""
    return tuple((test, now if test == name else said) for test, said in of)
