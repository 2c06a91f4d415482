"""One recorded case, read-only: settings, typed rows, times, and its raw samples through the reader.

Owns the way from a case's directory to its facts. Refuses what is no case and what is damaged, in one line;
loads no compiled kernel.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hostd import casefile
from hostd.case import Case, TestPlan, WatchPlan
from hostd.errors import EvokdError, RecordingError, UsageError
from hostd.export.rows import TABLES
from hostd.past_time import past_time
from hostd.replay import Replay
from hostd.store import reading
from hostd.timebase import Timebase
from hw.recording import RecordingReader

Row = TypeVar("Row", bound=msgspec.Struct)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_NS, LATEST_NS = 473_385_600_000_000_000, 3_629_059_200_000_000_000
"""From 1985 to the end of 2084, as EDF has it, so that no case is recorded at another time."""


class Record:
    """The case in `folder`. Raises UsageError when it is none or its `case.toml` is none, RecordingError
    when its database cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._database = folder, folder / "case.sqlite"
        if not self._database.is_file():
            raise UsageError(f"{folder} is no case: it has no case.sqlite; name the directory of a case")
        with self.database() as database:
            self.tables = frozenset(
                clean(name)
                for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            )
            self.settings = self._settings(database)
        self.id = str(self.settings.get("case") or folder.absolute().name)
        toml = folder / "case.toml"
        case = casefile.load(toml, recorded=True)
        self.rate_hz = self._rate_hz(case)
        self.case: Case = casefile.at_rate(case, self.rate_hz, str(toml))
        try:
            past = past_time(self._database)
        except (ValueError, TypeError) as error:
            raise self._damaged(f"settings: {error}") from None
        self._timed = "anchor" in self.settings
        self._timebase = Timebase(self.rate_hz, past.delay_samples, past.anchor, past.utc_minus_t_ns)
        self._timebase.know(past.fitted)

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """The database, read-only. Raises RecordingError for whatever is wrong with it."""
        try:
            with reading(self._database) as database:
                yield database
        except RecordingError as error:
            text, from_sqlite, _ = str(error).partition("; check disk")
            if not from_sqlite:
                raise
            raise RecordingError(f"{text}; the database is damaged or no case's, see evokd audit") from None

    def rows(self, kind: type[Row], where: str = "", *values: object) -> list[Row]:
        """The rows of a table in the order of writing, those that `where` selects; none without the table."""
        return list(self.each(kind, where, *values))

    def each(self, kind: type[Row], where: str = "", *values: object) -> Iterator[Row]:
        """The same, one by one."""
        table = TABLES[kind]
        if table not in self.tables:
            return
        query = f"SELECT * FROM {table} {f'WHERE {where} ' if where else ''}ORDER BY rowid"
        with self.database() as database:
            cursor = database.execute(query, values)
            names = [name for name, *_ in cursor.description]
            for row in cursor:
                fields = {n: clean(v) for n, v in zip(names, row, strict=True)}
                try:
                    yield msgspec.convert(fields, kind)
                except msgspec.ValidationError as error:
                    raise self._damaged(f"table {table}: {error}") from None

    def _damaged(self, what: str) -> RecordingError:
        return RecordingError(f"{self._database}: {what}; see evokd audit")

    def json(self, text: str, what: str) -> dict[str, Any]:
        """The object that a column holds. Raises RecordingError for anything else."""
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise self._damaged(f"{what} holds {text[:40]!r}, no JSON object")
        return value

    def json_as(self, text: str, what: str, kind: type[Row]) -> Row:
        """The object that a column holds, as `kind`. Raises RecordingError for anything else."""
        try:
            return msgspec.json.decode(text.encode("utf-8", "replace"), type=kind)
        except msgspec.MsgspecError as error:
            raise self._damaged(f"{what}: {error}") from None

    @property
    def plans(self) -> tuple[TestPlan | WatchPlan, ...]:
        """Everything that the case tested or watched."""
        return (*self.case.tests, *self.case.watches)

    def last_sample(self) -> int:
        """The last sample that any table speaks of."""
        last = [0]
        with self.database() as database:
            for kind, table in TABLES.items():
                if table in self.tables and "sample" in kind.__struct_fields__:
                    last += database.execute(f"SELECT max(sample) FROM {table}").fetchone()
        return max(sample for sample in last if isinstance(sample, int))

    def seconds(self, sample: int) -> float:
        """Seconds of a sample after sample 0, at the nominal rate."""
        return sample / self.rate_hz

    def utc(self, sample: int) -> datetime | None:
        """When a sample was taken; None when none came while it was recorded. RecordingError for a time that
        no recording can have."""
        if not self._timed:
            return None
        utc_ns = self._timebase.at(sample)[1]
        if not EARLIEST_NS <= utc_ns < LATEST_NS:  # no recording has such a start
            raise self._damaged(f"sample {sample} would be of {utc_ns / 1e9:.0f} s after 1970")
        return EPOCH + timedelta(microseconds=utc_ns / 1e3)

    @contextlib.contextmanager
    def samples(self) -> Iterator[RecordingReader]:
        """The raw samples of the case's channels, opened as replay opens them.

        Raises RecordingError when they are missing, no recording, or cut while they are read.
        """
        with Replay(self.folder) as replay:
            try:
                yield replay.reader
            except EvokdError:
                raise
            except ValueError as error:
                raise RecordingError(f"recording {self.folder}: {error}; try evokd repair") from None

    def _settings(self, database: sqlite3.Connection) -> dict[str, Any]:
        if "settings" not in self.tables:
            raise UsageError(f"{self._database} is no case's database: it has no settings; name another")
        settings: dict[str, Any] = {}
        for key, value in database.execute("SELECT key, value FROM settings"):
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                settings[clean(key)] = json.loads(value)
        return settings

    def _rate_hz(self, case: Case) -> float:
        rate_hz = self.settings.get("rate_hz") or case.rate_hz
        if not isinstance(rate_hz, int | float) or not 0 < rate_hz < 1e7:
            raise self._damaged(f"setting rate_hz is {rate_hz!r}")
        return float(rate_hz)


def clean(value: Any) -> Any:
    """Text that can be written anywhere: bytes that are no UTF-8 are shown as such."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value
