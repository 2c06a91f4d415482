"""`case.sqlite`: everything of a case that is not raw samples. WAL, synchronous FULL.

Rows are queued by any thread and written by one of our own, so that a slow disk never delays a message;
`close` returns when everything is on disk. While the disk refuses, rows wait in memory and the trouble is
told once; refuses to stop for it.
"""

import json
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hostd.errors import RecordingError

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS commands (
    n INTEGER PRIMARY KEY, sample INTEGER NOT NULL, name TEXT, args TEXT, utc_ns INTEGER);
CREATE TABLE IF NOT EXISTS stimuli (
    plan INTEGER, command INTEGER, number INTEGER, line INTEGER, commanded INTEGER, seen INTEGER);
CREATE TABLE IF NOT EXISTS timebase (
    sample INTEGER NOT NULL, t_ns INTEGER NOT NULL, ns_per_sample REAL NOT NULL, ppm REAL, wander_ppm REAL,
    residual_ns REAL, refused INTEGER, settled INTEGER);
CREATE TABLE IF NOT EXISTS gaps (sample INTEGER NOT NULL, length INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (sample INTEGER, utc_ns INTEGER, kind TEXT, author TEXT, text TEXT);
CREATE TABLE IF NOT EXISTS averages (
    test TEXT, role TEXT, sample INTEGER, header TEXT, mean_uv BLOB);
CREATE TABLE IF NOT EXISTS measurements (
    test TEXT, sample INTEGER, peak TEXT, derivation TEXT, present INTEGER,
    latency_ms REAL, latency_low_ms REAL, latency_high_ms REAL,
    amplitude_uv REAL, amplitude_low_uv REAL, amplitude_high_uv REAL, change_pct REAL);
CREATE TABLE IF NOT EXISTS alerts (
    id TEXT, sample INTEGER, utc_ns INTEGER, test TEXT, kind TEXT, priority TEXT, state TEXT, text TEXT,
    evidence TEXT);
CREATE TABLE IF NOT EXISTS audit (utc_ns INTEGER, actor TEXT, action TEXT, detail TEXT);
"""
COMMIT_EVERY_NS = 500_000_000
QUEUED_ROWS = 100_000

Row = tuple[str, tuple[Any, ...]]


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _refused(path, error) from None


def _refused(path: Path, error: Exception) -> RecordingError:
    return RecordingError(f"{path}: {error}; check disk space and permissions")


class Store:
    """Writer of one case's database. Raises RecordingError when it cannot be made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: queue.Queue[Row | None] = queue.Queue(QUEUED_ROWS)
        self._failing: RecordingError | None = None
        self._fault: RecordingError | None = None
        self._fault_lock = threading.Lock()
        with _told(path):
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(SCHEMA)
            self._database.commit()
        self._thread = threading.Thread(target=self._write, name="store")
        self._thread.start()

    def put(self, table: str, *values: Any) -> None:
        """Queue one row."""
        self._rows.put((f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values))

    def setting(self, key: str, value: Any) -> None:
        """Queue one setting, as JSON."""
        self._rows.put(("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, json.dumps(value))))

    def take_fault(self) -> RecordingError | None:
        """The fault not yet handed out; the same trouble is not handed out again until it has ended once."""
        with self._fault_lock:
            fault, self._fault = self._fault, None
        return fault

    def close(self) -> None:
        """Write what is queued and close. Raises RecordingError when rows could not be written."""
        self._rows.put(None)
        self._thread.join()
        with _told(self._path):
            self._database.close()
        if self._failing is not None:
            raise self._failing

    def _write(self) -> None:
        rows: list[Row] = []
        last = False
        while not last:
            last = self._gather(rows)
            try:
                with self._database:  # one transaction: all of the rows, or none and they wait
                    for row in rows:
                        self._database.execute(*row)
            except (sqlite3.Error, OverflowError) as error:
                self._keep(error)
                del rows[:-QUEUED_ROWS]
            else:
                self._failing = None
                rows.clear()

    def _gather(self, rows: list[Row]) -> bool:
        """Add half a second of rows, from the next one on; True when the last has come.

        The time is one span for all: rows that keep coming must not put off the commit.
        """
        row = self._rows.get()
        deadline_ns = time.monotonic_ns() + COMMIT_EVERY_NS
        while row is not None:
            rows.append(row)
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
    with _told(path):
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return database.execute(query).fetchall()
        finally:
            database.close()
