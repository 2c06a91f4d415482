"""`case.sqlite`: everything of a case that is not raw samples. WAL, synchronous FULL.

Rows are queued by any thread and written by one of our own, so that a slow disk never delays a message;
`close` returns when everything is on disk. The first failure is kept and raised at the next call.
"""

import json
import queue
import sqlite3
import threading
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
COMMIT_EVERY_S = 0.5
QUEUED_ROWS = 100_000

Row = tuple[str, tuple[Any, ...]]


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise RecordingError(f"{path}: {error}; check disk space and permissions") from None


class Store:
    """Writer of one case's database. Raises RecordingError, once, when the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: queue.Queue[Row | None] = queue.Queue(QUEUED_ROWS)
        self._failure: RecordingError | None = None
        with _told(path):
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(SCHEMA)
            self._database.commit()
        self._thread = threading.Thread(target=self._write, name="store")
        self._thread.start()

    def put(self, table: str, *values: Any) -> None:
        """Queue one row. Raises RecordingError when an earlier write failed."""
        if self._failure is not None:
            raise self._failure
        self._rows.put((f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values))

    def setting(self, key: str, value: Any) -> None:
        """Queue one setting, as JSON."""
        self._rows.put(("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, json.dumps(value))))

    def close(self) -> None:
        """Write what is queued and close. Raises RecordingError when a write failed."""
        self._rows.put(None)
        self._thread.join()
        with _told(self._path):
            self._database.close()
        if self._failure is not None:
            raise self._failure

    def _write(self) -> None:
        last = False
        while not last:
            batch = [self._rows.get()]
            while batch[-1] is not None:
                try:
                    batch.append(self._rows.get(timeout=COMMIT_EVERY_S))
                except queue.Empty:
                    break
            last = batch[-1] is None
            try:
                for row in batch:
                    if row is not None and self._failure is None:
                        self._database.execute(*row)
                self._database.commit()
            except sqlite3.Error as error:
                self._failure = RecordingError(f"{self._path}: {error}; check disk space and permissions")


def read_rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of a case database, opened read-only. Raises RecordingError when it cannot be read."""
    with _told(path):
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return database.execute(query).fetchall()
        finally:
            database.close()
