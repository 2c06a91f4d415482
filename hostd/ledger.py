"""The response ledger: of every alert about the patient, when what was done. Pure.

Owns the steps from the event in the patient to recovery, by sample index and with who did them; what an alert
says by itself is read off its messages, the rest people note. Refuses to judge how quick anybody was.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from hostd.outgoing import Outgoing

Step = Literal["event", "detected", "confirmed", "acknowledged", "told", "acted", "recovered"]
STEPS: tuple[Step, ...] = ("event", "detected", "confirmed", "acknowledged", "told", "acted", "recovered")
NOTED: tuple[Step, ...] = ("told", "acted")
"""Steps that people note: the surgeon was told, something was done."""
KINDS = ("change",)
_BY_STATE: dict[str, Step] = {
    "raised": "detected",
    "confirmed": "confirmed",
    "acknowledged": "acknowledged",
    "cleared": "recovered",
}
MOST_NOTES = 20


@dataclass(slots=True)
class _Entry:
    test: str
    steps: dict[Step, int] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)


class Ledger:
    """Of a case at `rate_hz`. Fed with alert messages in order."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._entries: dict[str, _Entry] = {}

    def after(self, message: Outgoing) -> list[Outgoing]:
        """What the ledger says once an alert has said something: a step that is new, or nothing."""
        f = message.fields
        if message.topic != "alert" or f["kind"] not in KINDS:
            return []
        entry = self._entries.setdefault(f["id"], _Entry(f["test"]))
        known = len(entry.steps)
        if "detected" not in entry.steps:
            entry.steps["event"] = f["evidence"].get("since_index", message.index)
            entry.steps["detected"] = message.index
        entry.steps.setdefault(_BY_STATE[f["state"]], message.index)
        author = f["evidence"].get("acknowledged_by", "") if f["state"] == "acknowledged" else ""
        return [self._message(message.index, f["id"], author, "")] if len(entry.steps) > known else []

    def note(self, index: int, alert_id: str, step: str, text: str, author: str) -> list[Outgoing]:
        """Somebody says that a step was taken. Raises ValueError for an alert or a step that is none."""
        entry = self._entries.get(alert_id)
        if entry is None:
            known = ", ".join(self._entries) or "none"
            raise ValueError(f"there is no alert {alert_id[:60]!r} in the ledger; it has {known}")
        if step not in NOTED:
            raise ValueError(f"step {step[:60]!r} is not one of {', '.join(NOTED)}")
        entry.steps.setdefault(step, index)
        entry.notes.append({"step": step, "index": index, "author": author, "text": text})
        del entry.notes[:-MOST_NOTES]
        return [self._message(index, alert_id, author, text)]

    def _message(self, index: int, alert_id: str, author: str, text: str) -> Outgoing:
        entry = self._entries[alert_id]
        begun = entry.steps["event"]
        return Outgoing(
            "ledger",
            index,
            {
                "alert": alert_id,
                "test": entry.test,
                "steps": {step: entry.steps.get(step) for step in STEPS},
                "seconds": {
                    step: None if step not in entry.steps else (entry.steps[step] - begun) / self._rate_hz
                    for step in STEPS
                },
                "notes": [dict(one) for one in entry.notes],
                "author": author,
                "text": text,
            },
        )
