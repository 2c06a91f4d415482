"""What happened beside the samples of a case that is over: its commands and proofs, as its database has them.

Owns the reading of what replay repeats. Refuses values that no recorder has written: they are named, in one
line, and nothing is guessed in their place.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from hostd.case import Case
from hostd.errors import RecordingError
from hostd.inputs import Recorded
from hostd.past_time import PastTime, past_time
from hostd.store import read_rows
from hw.board import MOST_LINES
from hw.link import NOT_SEEN, Stimulus

_LARGEST = (1 << 63) - 1
_BOUNDS = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, MOST_LINES, _LARGEST, _LARGEST, 0xFFFF)
"""Of plan, command, number, line, commanded, seen and pulse: what the link can carry."""


@dataclass(frozen=True, slots=True)
class Past:
    """What happened beside the samples: commands by sample index, proofs of stimulation, the time."""

    commands: tuple[Recorded, ...]
    stimuli: tuple[Stimulus, ...]
    time: PastTime


def past(database: Path, case: Case, known: set[str] | None) -> Past:
    """What `case.sqlite` tells; without one every test starts before the first sample, and so do tests of
    another case that the recorded one did not have (`known`; empty: not known). Raises RecordingError."""
    if not database.exists():
        return Past(_starts(case, set()), (), PastTime())
    try:
        commands, stimuli = recorded(database)
        time = past_time(database)
    except ValueError as error:
        raise RecordingError(f"{database}: {error}; the database is damaged, see evokd audit") from None
    names = {t.name for t in case.tests}
    kept = tuple(c for c in commands if not c[2].get("test") or c[2]["test"] in names)
    if known is not None:
        kept = _starts(case, known or {c[2].get("test", "") for c in commands}) + kept
    return Past(kept, stimuli, time)


def recorded(database: Path, n: int = 0, row: int = 0) -> tuple[tuple[Recorded, ...], tuple[Stimulus, ...]]:
    """The commands behind the `n`-th and the proofs of pulses behind row `row`, in the order taken. Raises
    ValueError, one line, for one that no recorder has written, RecordingError for what cannot be read."""
    return _commands(database, n), _stimuli(database, row)


def _commands(database: Path, n: int) -> tuple[Recorded, ...]:
    found: list[Recorded] = []
    query = f"SELECT sample, name, args FROM commands WHERE n > {n:d} ORDER BY n"
    for index, name, text in read_rows(database, query):
        try:
            args = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            args = None
        whole = type(index) is int and isinstance(name, str) and isinstance(args, dict)
        if not whole or not isinstance(args.get("test", ""), str | None):
            raise ValueError(f"table commands holds {str((index, name, text))[:80]!r}, which is no command")
        found.append((index, name, args))
    return tuple(found)


def _stimuli(database: Path, row: int) -> tuple[Stimulus, ...]:
    columns = {row[1] for row in read_rows(database, "PRAGMA table_info(stimuli)")}
    pulse = "pulse" if "pulse" in columns else "1"  # recorded before there were trains
    of = f"plan, command, number, line, commanded, seen, {pulse}"
    query = f"SELECT {of} FROM stimuli WHERE rowid > {row:d} ORDER BY rowid"
    found: list[Stimulus] = []
    for values in read_rows(database, query):
        least = (0, 0, 0, 1, 0, -1, 0)
        if not all(type(v) is int and a <= v <= b for v, a, b in zip(values, least, _BOUNDS, strict=True)):
            raise ValueError(f"table stimuli holds {str(values)[:80]}, which is no pulse")
        plan, command, number, line, commanded, seen, nth = values
        found.append(Stimulus(plan, command, number, line, commanded, NOT_SEEN if seen < 0 else seen, nth))
    return tuple(found)


def _starts(case: Case, known: set[str]) -> tuple[Recorded, ...]:
    names = [t.name for t in case.tests if t.name not in known]
    return tuple((0, "test.start", {"test": name, "author": ""}) for name in names)
