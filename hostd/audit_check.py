"""Is the record of a case whole: its audit chain, its samples, and its pulses one to one with them.

Owns the reading and the verdict; the chain itself is `audit`'s. Refuses to change, repair or excuse anything:
what cannot be judged is counted, the first thing that is wrong is named.
"""

import json
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsp.triggers import N_LINES
from hostd.audit import CLOSED, COLUMNS, HEAD_KEY, LOST, OWN, PULSE, first_break, parse_head
from hostd.audit_samples import Keys, Records, Samples, check_all_records, read_samples
from hostd.errors import RecordingError, UsageError
from hostd.store import reading
from hw.limits import RETURN_WITHIN_SAMPLES

KILLED_LOSES_S = 2.0
"""What a killed case may lose at its end."""
_CHAIN = f"SELECT {', '.join(COLUMNS)} FROM audit ORDER BY n"
_BEFORE_CHAINS = ["utc_ns", "actor", "action", "detail"]
_NOT_CLOSED = "not closed: the case was killed, or is being recorded"


@dataclass(frozen=True, slots=True)
class Report:
    """What `check` found. `why` says in one line what is wrong first, `broken_n` at which entry (None: at
    none); it is empty when all holds. `edges` is None without samples; `records` match their CRC; `remarks`
    are no faults."""

    entries: int = 0
    head_matches: bool = False
    closed: bool = False
    pulses: int = 0
    never_seen: int = 0
    edges: int | None = None
    not_judged: int = 0
    records: int = 0
    broken_n: int | None = None
    why: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """A line for each check that holds, and the remarks."""
        if not self.head_matches:
            return ()
        ended = "closed" if self.closed else _NOT_CLOSED
        said = [f"audit: {self.entries:,} entries, chain whole, head matches, {ended}"]
        if not self.why:
            never = f" ({self.never_seen:,} never seen)" if self.never_seen else ""
            there = "no samples to compare with" if self.edges is None else f"{self.edges:,} in the samples"
            judged = "" if self.edges is None else ", one to one"
            judged += f", {self.not_judged:,} not judged" if self.not_judged else ""
            said.append(f"pulses: {self.pulses:,} logged{never}, {there}{judged}")
            if self.records:
                said.append(f"samples: {self.records:,} records match their CRC")
        return (*said, *(f"remark: {remark}" for remark in self.remarks))


@dataclass(frozen=True, slots=True)
class _Log:
    """What the database says: entry number and key of each logged pulse, keys of the proven ones."""

    report: Report
    played: bool
    n: NDArray[np.int64]
    logged: Keys
    proven: Keys


def check(directory: Path) -> Report:
    """Verify the case in `directory`. Raises UsageError when it is no case, RecordingError when its files
    cannot be read or were written before there was a chain."""
    path = directory / "case.sqlite"
    if not path.is_file():
        raise UsageError(f"{directory} is no case: it has no case.sqlite; name the directory of a case")
    samples = read_samples(directory)  # first: the database of a case being recorded lags behind
    records = Records() if samples is None else check_all_records(directory)
    with reading(path) as database:
        log = _log(database, path)
    if isinstance(log, Report):
        return log
    report = _matched(log, samples)
    report = replace(report, records=records.matching, remarks=(*report.remarks, *records.remarks))
    # What is not as it was written explains pulses that are not where they should be.
    return replace(report, why=records.why, broken_n=None) if records.why else report


def _log(database: sqlite3.Connection, path: Path) -> _Log | Report:
    """What is logged; a report when it cannot be relied on."""
    _check_columns(database, path)
    settings = dict(database.execute("SELECT key, value FROM settings"))
    case_id = _setting(settings, "case") or path.absolute().parent.name
    head = parse_head(str(settings.get(HEAD_KEY)))
    entries = int(database.execute("SELECT count(*) FROM audit").fetchone()[0])
    found = first_break(lambda: database.execute(_CHAIN), case_id, head)
    if found is not None:
        return Report(entries, broken_n=found.n, why=f"audit: {found.what} at n = {found.n}: {found.why}")
    last = database.execute("SELECT actor, action FROM audit ORDER BY n DESC LIMIT 1").fetchone()
    report = Report(entries, True, last == (OWN, CLOSED), remarks=_remarks(database))
    n: list[int] = []
    keys: list[tuple[int, ...]] = []
    for number, detail in database.execute(
        f"SELECT n, detail FROM audit WHERE action = '{PULSE}' ORDER BY n"
    ):
        key = _pulse_key(detail)
        if key is None:
            why = f"pulses: entry n = {number} is no record of a pulse: {detail[:60]!r}"
            return Report(entries, True, report.closed, broken_n=number, why=why)
        n.append(number)
        keys.append(key)
    proven = database.execute("SELECT seen, line, plan, command, number FROM stimuli ORDER BY rowid")
    played = _setting(settings, "source") == "file"
    return _Log(report, played, np.array(n, np.int64), _keys(keys), _keys(proven.fetchall()))


def _check_columns(database: sqlite3.Connection, path: Path) -> None:
    columns = [name for _, name, *_ in database.execute("PRAGMA table_info(audit)")]
    if columns == list(COLUMNS):
        return
    if not columns:
        raise RecordingError(f"{path} has no audit table: there is nothing to verify")
    if columns == _BEFORE_CHAINS:
        raise RecordingError(f"{path} was recorded before the audit had a chain: it cannot be verified")
    raise RecordingError(f"{path}: its audit table has the columns {columns}, expected {list(COLUMNS)}")


def _remarks(database: sqlite3.Connection) -> tuple[str, ...]:
    lost = database.execute(f"SELECT n, detail FROM audit WHERE actor = '{OWN}' AND action = '{LOST}'")
    return tuple(f"rows were lost to a full disk, says entry n = {n}: {detail[:60]}" for n, detail in lost)


def _setting(settings: dict[str, object], key: str) -> str | None:
    try:
        value = json.loads(str(settings.get(key)))
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _pulse_key(detail: str) -> tuple[int, ...] | None:
    """The pulse of an audit entry; None when its detail is not one's."""
    try:
        fields = json.loads(detail)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    values = [fields.get(name) for name in ("seen", "line", "plan", "command", "number")]
    if values[0] is None and "seen" in fields:
        values[0] = -1
    key = tuple(value for value in values if type(value) is int and -1 <= value < 1 << 63)
    return key if len(key) == len(values) and 1 <= key[1] <= N_LINES else None


def _keys(rows: list[tuple[int, ...]], fields: int = 5) -> Keys:
    keys = np.array(rows) if rows else np.zeros((0, fields), np.int64)
    if keys.dtype != np.int64:  # read from a database, it may be anything
        raise RecordingError("case.sqlite: table stimuli holds values that are no whole numbers")
    return keys


def _unbalanced(left: Keys, right: Keys) -> tuple[Keys, NDArray[np.int64]]:
    """The keys that are not as often in `left` as in `right`, in order, and how much more often."""
    both = np.concatenate((left, right))
    keys, at = np.unique(both, axis=0, return_inverse=True)
    balance = np.zeros(len(keys), np.int64)
    np.add.at(balance, at.ravel(), np.repeat((1, -1), (len(left), len(right))))
    return keys[balance != 0], balance[balance != 0]


def _matched(log: _Log, samples: Samples | None) -> Report:
    """The report, with the first pulse that is not everywhere."""
    never = int(np.count_nonzero(log.logged[:, 0] < 0))
    report = replace(log.report, pulses=len(log.logged), never_seen=never)
    why, n, not_judged = _against_proofs(log)
    if samples is not None and not why:
        why, n, unjudged = _against_samples(log, samples)
        report = replace(report, edges=len(samples.edges))
        not_judged += unjudged
    if log.played:
        remark = "the source is a recording: nobody here commanded the pulses in its samples"
        report = replace(report, remarks=(*report.remarks, remark))
    return replace(report, why=why, broken_n=n, not_judged=not_judged)


def _against_proofs(log: _Log) -> tuple[str, int | None, int]:
    """Log and table stimuli: what is wrong first, at which entry, and how many pulses are not judged."""
    keys, balance = _unbalanced(log.logged, log.proven)
    if not len(keys):
        return "", None, 0
    key, side = keys[0], log.logged if balance[0] > 0 else log.proven
    if not log.report.closed and len(keys) == abs(balance[0]) == 1 and np.array_equal(side[-1], key):
        return "", None, 1  # killed between one table and the other
    seen, line, plan, command, number = (int(value) for value in key)
    name = f"the pulse at sample {seen}" if seen >= 0 else "the pulse never seen"
    name += f" on line {line} (plan {plan}, command {command}, number {number})"
    if balance[0] > 0:
        n = _entry_of(log, key)
        return f"pulses: {name} is in the audit (n = {n}), not in table stimuli", n, 0
    return f"pulses: {name} is in table stimuli, not in the audit", None, 0


def _against_samples(log: _Log, s: Samples) -> tuple[str, int | None, int]:
    """Log and samples: what is wrong first, at which entry, and how many pulses are not judged."""
    logged = log.logged[log.logged[:, 0] >= 0][:, :2]
    if not len(s.starts):
        return "", None, len(logged)
    seen, line = logged.T
    span = np.searchsorted(s.starts, seen, "right") - 1
    inside = (span >= 0) & (seen < s.ends[span])
    first = inside & (seen == s.starts[span])  # whether its edge is here or was lost before, nobody knows
    low = first & (s.first_bits[span] >> (line - 1) & 1 == 0)
    keys, balance = _unbalanced(logged[inside & ~first], s.edges)
    blind = (balance < 0) & _blind(log, s, keys)
    held = sum(int(bits).bit_count() for bits in s.first_bits) - int(np.count_nonzero(first & ~low))
    not_judged = int(np.count_nonzero(~inside | (first & ~low)) - balance[blind].sum()) + max(0, held)
    wrong = [*zip(keys[~blind].tolist(), balance[~blind].tolist(), strict=True)]
    wrong += [(key, 1) for key in logged[low].tolist()]
    if not wrong:
        return "", None, not_judged
    (index, at_line), surplus = min(wrong)
    name = f"sample {index} on line {at_line}"
    if surplus < 0:
        return f"pulses: the samples show one at {name} that is not in the audit", None, not_judged
    n = _entry_of(log, np.array((index, at_line), np.int64))
    return f"pulses: the one at {name} (entry n = {n}) has no edge in the samples", n, not_judged


def _blind(log: _Log, s: Samples, keys: Keys) -> NDArray[np.bool_]:
    """Which edges may be missing in the log: all of a recording that was played; those right behind a gap,
    across which the edge awaits no pulse; and the last ones of a case that was killed."""
    index = keys[:, 0]
    behind: NDArray[np.bool_] = (
        index - s.starts[np.searchsorted(s.starts, index, "right") - 1] <= RETURN_WITHIN_SAMPLES
    )
    killed: NDArray[np.bool_] = index >= s.ends[-1] - KILLED_LOSES_S * s.rate_hz
    killed &= index >= log.logged[:, 0].max(initial=-1)
    if log.played:
        return np.ones(len(index), np.bool_)
    return behind if log.report.closed else behind | killed


def _entry_of(log: _Log, key: NDArray[np.int64]) -> int:
    """The last entry of the pulse with these fields."""
    return int(log.n[(log.logged[:, : len(key)] == key).all(axis=1)][-1])
