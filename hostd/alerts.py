"""Alerts with their evidence: raised once, acknowledged by a person, cleared by proof. Pure.

Owns which alerts are open and how they are worded; a display shows them, nobody suppresses them. Stimulus
faults here; findings about a patient are the case's.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from hostd.outgoing import Outgoing

Priority = Literal["high", "medium", "low", "info"]
RANK: dict[Priority, int] = {"high": 0, "medium": 1, "low": 2, "info": 3}
State = Literal["raised", "confirmed", "acknowledged", "cleared"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as it stands."""

    id: str
    test: str
    kind: str
    priority: Priority
    text: str
    evidence: dict[str, Any]
    state: State = "raised"
    cause: str = "technical"


class Alerts:
    """The open alerts of a case; the messages are its changes. One of a kind and test is open at a time."""

    def __init__(self) -> None:
        self._open: dict[str, Alert] = {}
        self._raised = 0

    def raise_(
        self, index: int, test: str, kind: str, priority: Priority, text: str, evidence: dict[str, Any]
    ) -> list[Outgoing]:
        """An alert, unless the same one is open already: then its first cause stands, and only what is worse
        is told anew, with the first cause in its evidence."""
        before = next((a for a in self._open.values() if a.kind == kind and a.test == test), None)
        if before is not None:
            if RANK[priority] >= RANK[before.priority]:
                return []
            evidence = evidence | {"first_cause": before.text, "first_index": before.evidence.get("index")}
            worse = replace(before, priority=priority, text=text, evidence=evidence, state="raised")
            self._open[before.id] = worse
            return [_message(index, worse)]
        self._raised += 1
        alert = Alert(f"{kind}-{self._raised}", test, kind, priority, text, evidence)
        self._open[alert.id] = alert
        return [_message(index, alert)]

    def acknowledge(self, index: int, alert_id: str, author: str) -> list[Outgoing]:
        """A person has seen it. Raises ValueError when there is no such alert open."""
        alert = self._open.get(alert_id)
        if alert is None:
            known = ", ".join(self._open) or "none"
            raise ValueError(f"there is no alert {alert_id[:60]!r}; open are {known}")
        if alert.state == "acknowledged":
            return []
        evidence = alert.evidence | {"acknowledged_by": author}
        self._open[alert_id] = seen = replace(alert, state="acknowledged", evidence=evidence)
        return [_message(index, seen)]

    def clear(self, index: int, kind: str, test: str) -> list[Outgoing]:
        """What the alerts of `kind` about `test` warned of has been shown at `index` to be well again; what
        they speak of lies before it."""
        mine = (a for a in self._open.values() if a.kind == kind and a.test in (test, ""))
        gone = [a for a in mine if a.evidence.get("index", -1) < index]
        for alert in gone:
            del self._open[alert.id]
        return [_message(index, replace(alert, state="cleared")) for alert in gone]


def _message(index: int, alert: Alert) -> Outgoing:
    fields = {
        "id": alert.id,
        "test": alert.test,
        "kind": alert.kind,
        "priority": alert.priority,
        "state": alert.state,
        "cause": alert.cause,
        "likelihood": {alert.cause: 1.0},
        "text": alert.text,
        "evidence": alert.evidence,
    }
    return Outgoing("alert", index, fields)
