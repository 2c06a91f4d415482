"""Alerts with their evidence: raised once, acknowledged by a person, cleared by proof. Pure.

Owns which alerts are open, their states and priorities (after IEC 60601-1-8); a display shows them, nobody
suppresses them. What raises them is others': faults of stimuli, of disks, and `hostd.deviations`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    likelihood: Mapping[str, float] = field(default_factory=lambda: {"technical": 1.0})


class Alerts:
    """The open alerts of a case; the messages are its changes. One of a kind and test is open at a time.

    `latching`: an alert whose cause has gone stays open, and says so, until it was acknowledged.
    """

    def __init__(self) -> None:
        self._open: dict[str, Alert] = {}
        self._raised: Counter[str] = Counter()
        self._ended: set[str] = set()
        self.latching = False

    @property
    def open(self) -> tuple[Alert, ...]:
        """Those that are open, oldest first."""
        return tuple(self._open.values())

    def told(self, index: int) -> list[Outgoing]:
        """Every open alert as it stands at `index`, for who knows nothing of them."""
        return [_message(index, alert) for alert in self._open.values()]

    def raise_(
        self,
        index: int,
        test: str,
        kind: str,
        priority: Priority,
        text: str,
        evidence: dict[str, Any],
        cause: str = "technical",
        likelihood: Mapping[str, float] | None = None,
        confirmed: bool = False,
        anew: bool = False,
    ) -> list[Outgoing]:
        """An alert, unless the same one is open already: then its first cause stands, and only what is worse
        is told anew, with the first cause in its evidence; with `anew` whatever is known better by now, which
        an acknowledgement outlasts unless it is worse or confirmed since."""
        known = likelihood or {cause: 1.0}
        state: State = "confirmed" if confirmed else "raised"
        before = next((a for a in self._open.values() if a.kind == kind and a.test == test), None)
        if before is None:
            self._raised[kind] += 1
            alert = Alert(
                f"{kind}-{self._raised[kind]}", test, kind, priority, text, evidence, state, cause, known
            )
            self._open[alert.id] = alert
            return [_message(index, alert)]
        self._ended.discard(before.id)
        is_worse = RANK[priority] < RANK[before.priority]
        if not (is_worse or anew):
            return []
        if before.state == "acknowledged" and not is_worse:
            state = "acknowledged"
        first = {"first_cause": before.evidence.get("first_cause", before.text)}
        first["first_index"] = before.evidence.get("first_index", before.evidence.get("index"))
        kept = {k: v for k, v in before.evidence.items() if k == "acknowledged_by" and not is_worse}
        self._open[before.id] = now = replace(
            before,
            priority=priority,
            text=text,
            evidence=evidence | first | kept,
            state=state,
            cause=cause,
            likelihood=known,
        )
        return [_message(index, now)]

    def acknowledge(self, index: int, alert_id: str, author: str) -> list[Outgoing]:
        """A person has seen it. Raises ValueError when there is no such alert open."""
        alert = self._open.get(alert_id)
        if alert is None:
            known = ", ".join(self._open) or "none"
            raise ValueError(f"there is no alert {alert_id[:60]!r}; open are {known}")
        if alert.state == "acknowledged":
            return []
        evidence = alert.evidence | {"acknowledged_by": author}
        if alert_id in self._ended:
            self._ended.discard(alert_id)
            del self._open[alert_id]
            return [_message(index, replace(alert, state="cleared", evidence=evidence))]
        self._open[alert_id] = seen = replace(alert, state="acknowledged", evidence=evidence)
        return [_message(index, seen)]

    def clear(self, index: int, kind: str, test: str, why: Mapping[str, Any] | None = None) -> list[Outgoing]:
        """What the alerts of `kind` about `test` warned of has been shown at `index` to be well again; what
        they speak of lies before it. `why` goes into the evidence."""
        mine = (a for a in self._open.values() if a.kind == kind and a.test in (test, ""))
        gone = [a for a in mine if a.evidence.get("index", -1) < index]
        return [message for alert in gone for message in self._end(index, alert, dict(why or {}))]

    def _end(self, index: int, alert: Alert, why: dict[str, Any]) -> list[Outgoing]:
        if self.latching and alert.state != "acknowledged":
            if alert.id in self._ended:
                return []
            self._ended.add(alert.id)
            evidence = alert.evidence | why | {"ended_index": index}
            self._open[alert.id] = kept = replace(alert, evidence=evidence)
            return [_message(index, kept)]
        self._ended.discard(alert.id)
        del self._open[alert.id]
        return [_message(index, replace(alert, state="cleared", evidence=alert.evidence | why))]


def _message(index: int, alert: Alert) -> Outgoing:
    fields = {
        "id": alert.id,
        "test": alert.test,
        "kind": alert.kind,
        "priority": alert.priority,
        "state": alert.state,
        "cause": alert.cause,
        "likelihood": dict(alert.likelihood),
        "text": alert.text,
        "evidence": alert.evidence,
    }
    return Outgoing("alert", index, fields)
