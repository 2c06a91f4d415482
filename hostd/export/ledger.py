"""The response ledger of a case: what became of each alert, step by step, in samples.

From the table `ledger`, which has the alerts about the patient, and from the states of the others: of these
only detected, confirmed, acknowledged and recovered are known.
"""

from dataclasses import dataclass

from hostd.export.record import Record, clean
from hostd.export.rows import Alert

STEPS = ("event", "detected", "confirmed", "told", "acknowledged", "acted", "recovered")
_OF_STATE = {
    "raised": "detected",
    "confirmed": "confirmed",
    "acknowledged": "acknowledged",
    "cleared": "recovered",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert's way; `steps` are (step, sample), in order of STEPS, sample None where it was not taken."""

    test: str
    alert: str
    steps: tuple[tuple[str, int | None], ...]


def ledger_rows(record: Record) -> list[Entry]:
    """Every entry: those of the table, then alerts that it does not have. Raises RecordingError."""
    written = _table(record) if "ledger" in record.tables else []
    known = {entry.alert for entry in written}
    return written + [entry for entry in _of_alerts(record) if entry.alert not in known]


def _table(record: Record) -> list[Entry]:
    """The table's columns `STEP` or `STEP_sample` are samples; others are who and what."""
    with record.database() as database:
        cursor = database.execute("SELECT * FROM ledger ORDER BY rowid")
        names = [clean(name) for name, *_ in cursor.description]
        found = []
        for row in cursor:
            fields = {n: clean(v) for n, v in zip(names, row, strict=True)}
            steps = tuple((step, _sample(fields.get(step, fields.get(f"{step}_sample")))) for step in STEPS)
            alert = str(fields.get("alert_id") or fields.get("alert") or fields.get("id") or "")
            found.append(Entry(str(fields.get("test") or ""), alert, steps))
    return found


def _sample(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _of_alerts(record: Record) -> list[Entry]:
    first: dict[str, dict[str, int]] = {}
    tests: dict[str, str] = {}
    for alert in record.each(Alert):
        tests[alert.id] = alert.test
        if step := _OF_STATE.get(alert.state):
            first.setdefault(alert.id, {}).setdefault(step, alert.sample)
    return [
        Entry(tests[alert], alert, tuple((step, steps.get(step)) for step in STEPS))
        for alert, steps in first.items()
    ]
