"""How far the tables of a case had come at a checkpoint, and the way back to it.

Rows that the pipeline's messages became are taken back with the pipeline: it says them again. What the case
was told (commands, proofs, gaps, the clock, the audit) stays. Works on an open connection; commits nothing.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS checkpoints (
    n INTEGER PRIMARY KEY, sample INTEGER NOT NULL, rows TEXT NOT NULL, ledger TEXT NOT NULL);
"""
SAID: Final = ("events", "averages", "measurements", "alerts", "readings", "fingerprints")
"""Tables of what the pipeline said."""
TOLD: Final = ("commands", "stimuli")
KEPT: Final = 40
"""Checkpoints that may be gone back to, the newest: more than lie between two on disk."""
_ROWS = ", ".join(f"'{table}', (SELECT ifnull(max(rowid), 0) FROM {table})" for table in (*SAID, *TOLD))
_STEPS = (
    "alert, test, sample, utc_ns, event, detected, confirmed, acknowledged, told, acted, recovered, notes"
)
MARK: Final = (
    f"INSERT OR REPLACE INTO checkpoints SELECT ?, ?, json_object({_ROWS}), "
    f"(SELECT json_group_array(json_array({_STEPS})) FROM ledger)"
)
FORGET: Final = "DELETE FROM checkpoints WHERE n <= ?"


@dataclass(frozen=True, slots=True)
class Mark:
    """Checkpoint `n`, at `sample`: the last row of each table, and the whole ledger. The default is the
    beginning of a case."""

    n: int = 0
    sample: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    ledger: tuple[tuple[Any, ...], ...] = ()


def marks(database: sqlite3.Connection) -> dict[int, Mark]:
    """The checkpoints that a case has noted. Raises sqlite3.Error, and ValueError for one that is damaged."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'").fetchall():
        return {}
    found = {}
    for n, sample, rows, ledger in database.execute("SELECT n, sample, rows, ledger FROM checkpoints"):
        steps = tuple(tuple(row) for row in json.loads(ledger))
        found[n] = Mark(n, sample, {str(t): int(k) for t, k in json.loads(rows).items()}, steps)
    return found


def go_back(database: sqlite3.Connection, to: Mark, end: int) -> None:
    """Take back what was said after `to`, checkpoints behind it, and gaps from sample `end` on: they are told
    again. Raises sqlite3.Error."""
    for table in SAID:
        database.execute(f"DELETE FROM {table} WHERE rowid > ?", (to.rows.get(table, 0),))
    database.execute("DELETE FROM ledger")
    places = ", ".join("?" * len(_STEPS.split(", ")))
    database.executemany(f"INSERT INTO ledger ({_STEPS}) VALUES ({places})", to.ledger)
    database.execute("DELETE FROM checkpoints WHERE n > ?", (to.n,))
    database.execute("DELETE FROM gaps WHERE sample >= ?", (end,))
