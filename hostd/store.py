"""`case.sqlite`: everything of a case that is not raw samples. WAL, synchronous FULL.

Rows are queued by any thread and written by one of our own, so that a slow disk never delays a message;
`close` returns when everything is on disk. While the disk refuses, rows wait in memory and the trouble is
told once; refuses to stop for it. Audit entries get number and hash (`audit`) where rows are written, in the
order in which they were queued, and the head of their chain is committed with them.
"""

import contextlib
import json
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hostd import store_marks
from hostd.audit import CLOSED, COLUMNS, HEAD_KEY, LOST, OWN, Entry, Head, canonical, first_head, parse_head
from hostd.errors import RecordingError
from hostd.store_marks import Mark

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS commands (
    n INTEGER PRIMARY KEY, sample INTEGER NOT NULL, name TEXT, args TEXT, utc_ns INTEGER);
CREATE TABLE IF NOT EXISTS stimuli (
    plan INTEGER, command INTEGER, number INTEGER, line INTEGER, commanded INTEGER, seen INTEGER,
    pulse INTEGER);
CREATE TABLE IF NOT EXISTS timebase (
    sample INTEGER NOT NULL, t_ns INTEGER NOT NULL, ns_per_sample REAL NOT NULL, ppm REAL, wander_ppm REAL,
    residual_ns REAL, refused INTEGER, settled INTEGER);
CREATE TABLE IF NOT EXISTS gaps (sample INTEGER NOT NULL, length INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    sample INTEGER, utc_ns INTEGER, kind TEXT, author TEXT, text TEXT, test TEXT, numbers TEXT);
CREATE TABLE IF NOT EXISTS averages (
    test TEXT, role TEXT, sample INTEGER, header TEXT, mean_uv BLOB);
CREATE TABLE IF NOT EXISTS measurements (
    test TEXT, sample INTEGER, peak TEXT, derivation TEXT, present INTEGER,
    latency_ms REAL, latency_low_ms REAL, latency_high_ms REAL,
    amplitude_uv REAL, amplitude_low_uv REAL, amplitude_high_uv REAL, change_pct REAL);
CREATE TABLE IF NOT EXISTS alerts (
    id TEXT, sample INTEGER, utc_ns INTEGER, test TEXT, kind TEXT, priority TEXT, state TEXT, text TEXT,
    evidence TEXT, cause TEXT, likelihood TEXT);
CREATE TABLE IF NOT EXISTS ledger (
    alert TEXT PRIMARY KEY, test TEXT, sample INTEGER, utc_ns INTEGER, event INTEGER, detected INTEGER,
    confirmed INTEGER, acknowledged INTEGER, told INTEGER, acted INTEGER, recovered INTEGER, notes TEXT);
CREATE TABLE IF NOT EXISTS readings (topic TEXT, sample INTEGER, utc_ns INTEGER, text TEXT, header TEXT);
CREATE TABLE IF NOT EXISTS fingerprints (sample INTEGER NOT NULL, topics TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit (
    n INTEGER PRIMARY KEY, utc_ns INTEGER NOT NULL, sample INTEGER NOT NULL, actor TEXT NOT NULL,
    action TEXT NOT NULL, detail TEXT NOT NULL, hash TEXT NOT NULL);
"""
COMMIT_EVERY_NS = 500_000_000
QUEUED_ROWS = 100_000
PATIENCE_S = 0.5
"""How long a row waits for room in a full queue, once: a disk that hangs must not hold up processing."""
CLOSE_S = 5.0
SETTING = "INSERT OR REPLACE INTO settings VALUES (?, ?)"
AUDIT = f"INSERT INTO audit VALUES ({', '.join('?' * len(COLUMNS))})"

COMMIT_SOON_NS = 10_000_000
"""So long rows are gathered behind one that was answered: a host that dies must not take it along."""


class Row(NamedTuple):
    """A statement and its values; `soon`: it is waited for."""

    statement: str
    values: tuple[Any, ...]
    soon: bool = False


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # a schema whose names are no text any more
        raise _refused(path, error) from None


def _refused(path: Path, error: Exception) -> RecordingError:
    said = "".join(c if c.isprintable() else "?" for c in str(error))  # it may quote a damaged file
    return RecordingError(f"{path}: {said}; check disk space and permissions")


class Store:
    """Writer of one case's database, DATA/CASE-ID/case.sqlite: the folder's name is the case's id, on which
    the audit chain is founded. `back_to`: a checkpoint of a case that goes on, and behind which sample.
    Raises RecordingError when it cannot be made."""

    def __init__(self, path: Path, back_to: tuple[Mark, int] | None = None) -> None:
        self._path = path
        self._rows: queue.Queue[Row | Entry | None] = queue.Queue(QUEUED_ROWS)
        self._audit_lock = threading.Lock()
        self._sample = -1
        self._lost_rows = 0
        self._unqueued = 0
        self._hung = False
        self._failing: RecordingError | None = None
        self._fault: RecordingError | None = None
        self._fault_lock = threading.Lock()
        with _told(path):
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript("BEGIN;" + SCHEMA + store_marks.SCHEMA)
            if back_to is not None:
                store_marks.go_back(self._database, *back_to)
            self._head = self._stored_head()
            self._database.commit()
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)
        self._thread.start()

    def put(self, table: str, *values: Any, soon: bool = False) -> None:
        """Queue one row; `soon`: for the next commit, which comes at once."""
        self._queue(Row(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values, soon))

    def replace(self, table: str, *values: Any) -> None:
        """Queue one row that takes the place of the one with its key."""
        self._queue(Row(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(values))})", values))

    def setting(self, key: str, value: Any) -> None:
        """Queue one setting, as JSON."""
        self._queue(Row(SETTING, (key, json.dumps(value))))

    def mark(self, n: int, sample: int) -> None:
        """Note how far the tables have come at checkpoint `n`: as all that was queued before leaves them."""
        self._queue(Row(store_marks.MARK, (n, sample)))
        self._queue(Row(store_marks.FORGET, (n - store_marks.KEPT,)))

    def _queue(self, row: Row | Entry) -> None:
        """Behind the others; a disk that hangs keeps nobody waiting twice for room."""
        try:
            self._rows.put(row, timeout=0.0 if self._hung else PATIENCE_S)
        except queue.Full:
            with self._fault_lock:
                self._unqueued += 1
            if not self._hung:
                self._hung = True
                self._keep(OSError(f"the disk has written nothing for {PATIENCE_S:g} s and no more rows fit"))

    def audit(self, actor: str, action: str, detail: Mapping[str, object], sample: int) -> None:
        """Queue one audit entry: numbers and times rise in the order of the calls, whatever the thread."""
        text = canonical(detail)
        actor, action = (s.encode("utf-8", "replace").decode("utf-8") for s in (actor, action))
        sample = sample if 0 <= sample < 1 << 63 else -1
        with self._audit_lock:
            self._sample = max(self._sample, sample)
            self._queue(Entry(time.time_ns(), sample, actor, action, text))

    def take_fault(self) -> RecordingError | None:
        """The fault not yet handed out; the same trouble is not handed out again until it has ended once."""
        with self._fault_lock:
            fault, self._fault = self._fault, None
        return fault

    def close(self) -> None:
        """Note in the audit that the case was closed, write what is queued and close.

        Raises RecordingError when rows could not be written, or the disk hangs.
        """
        self.audit(OWN, CLOSED, {"outcome": "ok"}, self._sample)
        end_ns = time.monotonic_ns() + round(CLOSE_S * 1e9)
        with contextlib.suppress(queue.Full):
            self._rows.put(None, timeout=CLOSE_S)
        self._thread.join(max(0.0, (end_ns - time.monotonic_ns()) / 1e9))
        if self._thread.is_alive():
            raise _refused(self._path, OSError(f"the disk has not answered for {CLOSE_S:g} s"))
        with _told(self._path):
            self._database.close()
        if self._failing is not None:
            raise self._failing

    def _stored_head(self) -> Head:
        """Where the chain goes on; a new one is founded, and that is on file before any entry."""
        for (text,) in self._database.execute("SELECT value FROM settings WHERE key = ?", (HEAD_KEY,)):
            if head := parse_head(text):
                return head
        head = first_head(self._path.absolute().parent.name)
        self._database.execute(SETTING, (HEAD_KEY, head.as_json()))
        return head

    def _write(self) -> None:
        rows: list[Row | Entry] = []
        last = False
        while not last:
            last = self._gather(rows)
            try:
                with self._database:  # one transaction: all of the rows, or none and they wait
                    head = self._insert(rows)
            except (sqlite3.Error, OverflowError) as error:
                self._keep(error)
                self._lost_rows += max(0, len(rows) - QUEUED_ROWS)
                del rows[:-QUEUED_ROWS]
            else:
                self._head, self._failing, self._lost_rows, self._hung = head, None, 0, False
                rows.clear()

    def _insert(self, rows: list[Row | Entry]) -> Head:
        """Write `rows` and the head of the audit chain behind them, which is returned."""
        head = self._head
        with self._fault_lock:
            self._lost_rows, self._unqueued = self._lost_rows + self._unqueued, 0
        if self._lost_rows:
            detail = canonical({"rows": self._lost_rows})
            rows = [Entry(time.time_ns(), -1, OWN, LOST, detail), *rows]
        for row in rows:
            if isinstance(row, Entry):
                head = head.follow(row)
                said = (row.utc_ns, row.sample, row.actor, row.action, row.detail)
                self._database.execute(AUDIT, (head.n, *said, head.hash))
            else:
                self._database.execute(row.statement, row.values)
        if head != self._head:
            self._database.execute(SETTING, (HEAD_KEY, head.as_json()))
        return head

    def _gather(self, rows: list[Row | Entry]) -> bool:
        """Add half a second of rows, from the next one on, or less when one is waited for; True when the last
        has come.

        The time is one span for all: rows that keep coming must not put off the commit.
        """
        row = self._rows.get()
        deadline_ns = time.monotonic_ns() + COMMIT_EVERY_NS
        while row is not None:
            rows.append(row)
            if isinstance(row, Row) and row.soon:
                deadline_ns = min(deadline_ns, time.monotonic_ns() + COMMIT_SOON_NS)
            left_s = (deadline_ns - time.monotonic_ns()) / 1e9
            if left_s <= 0:
                return False
            try:
                row = self._rows.get(timeout=left_s)
            except queue.Empty:
                return False
        return True

    def _keep(self, error: Exception) -> None:
        with self._fault_lock:
            if self._failing is None:
                self._fault = self._failing = _refused(self._path, error)


def read_rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of a case database, opened read-only. Raises RecordingError when it cannot be read."""
    with reading(path) as database:
        return database.execute(query).fetchall()


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A case database opened read-only; all that is read is of one moment, text byte for byte.

    Raises RecordingError when it cannot be read.
    """
    with _told(path):
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        database.text_factory = _text
        try:
            database.execute("BEGIN")
            yield database
        finally:
            database.close()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
