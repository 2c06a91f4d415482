"""The audit chain, pure: an entry's hash covers the entry and, by the hash before it, all entries before it.

hash(n) = SHA-256, in lower-case hex, over the 64 ASCII characters of hash(n - 1), followed by the row's n,
utc_ns, sample, actor, action and detail, in this order, each written `LENGTH:TEXT,`: TEXT in UTF-8 (integers
in decimal, a minus sign before negative ones), LENGTH the number of its bytes in decimal. hash(0) = SHA-256
over the case's id in UTF-8, so that no chain fits another case. `detail` is hashed as the text on file. The
head is the last n and its hash. Refuses to read or write anything.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal

import numpy as np

COLUMNS = ("n", "utc_ns", "sample", "actor", "action", "detail", "hash")
HEAD_KEY = "audit_head"
OWN = "evokd"
"""The actor of what no person has asked for."""
CLOSED, LOST, PULSE = "closed", "rows.lost", "pulse"
"""Actions: the last entry of a case that was closed; rows that a full disk has cost; one stimulus pulse."""
_SHOWN = 40

Row = tuple[object, ...]
"""A row of the table as it was read, in order of COLUMNS; nothing about it is certain."""
What = Literal["altered", "removed", "inserted", "reordered", "head mismatch"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Who did what, when (`utc_ns`, and the `sample` index reached, -1: none); `detail` is JSON."""

    utc_ns: int
    sample: int
    actor: str
    action: str
    detail: str


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends."""

    n: int
    hash: str

    def follow(self, entry: Entry) -> "Head":
        """The head with `entry` behind it."""
        n = self.n + 1
        message = bytearray(self.hash.encode("utf-8", "surrogateescape"))
        for value in (n, entry.utc_ns, entry.sample, entry.actor, entry.action, entry.detail):
            text = str(value).encode("utf-8", "surrogateescape")
            message += b"%d:%b," % (len(text), text)
        return Head(n, sha256(message).hexdigest())

    def as_json(self) -> str:
        """As it stands in the settings."""
        return json.dumps({"n": self.n, "hash": self.hash})


def first_head(case_id: str) -> Head:
    """The head of a chain without entries."""
    return Head(0, sha256(case_id.encode("utf-8", "surrogateescape")).hexdigest())


def parse_head(text: str) -> Head | None:
    """The head in a settings value; None for anything else."""
    try:
        match json.loads(text):
            case {"n": int(n), "hash": str(known)}:
                return Head(n, known)
    except ValueError:
        pass
    return None


_AS_IS = frozenset((str, int, bool, type(None)))
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def canonical(detail: Mapping[str, object]) -> str:
    """`detail` as JSON in ASCII, keys sorted, no blanks; bytes become hex, NaN null, others str()."""
    return _encode({str(key): v if type(v) in _AS_IS else _plain(v) for key, v in detail.items()})


def _plain(value: object) -> object:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return _plain(value.item()) if isinstance(value, np.generic) else str(value)


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where a table and its chain disagree. `n` is where the table first is not what was
    written; `what` is the likeliest reason, since a hash shows that, not how, something was changed."""

    n: int
    what: What
    why: str


def first_break(read: Callable[[], Iterable[Row]], case_id: str, head: Head | None) -> Break | None:
    """What is wrong with the rows that `read` gives in order of n, None when they are whole up to `head`.

    An entry that was replaced together with its own hash shows as a break at the entry behind it.
    """
    at = first_head(case_id)
    met = at == head
    for row in read():
        follower = _followed(at, row)
        if follower is None:
            return _diagnosed(list(read()), case_id, head)
        at = follower
        met = met or at == head
    return _against_head(at, head, met)


def _entry(row: Row) -> Entry | None:
    """The entry in a row; None when a value is not of its column's type."""
    _, utc_ns, sample, actor, action, detail, _ = row
    if not (isinstance(utc_ns, int) and isinstance(sample, int) and isinstance(actor, str)):
        return None
    if not (isinstance(action, str) and isinstance(detail, str)):
        return None
    return Entry(utc_ns, sample, actor, action, detail)


def _behind(at: Head, row: Row) -> Head | None:
    """The head if the entry in `row`, whatever its number, stood behind `at`."""
    entry = _entry(row)
    return None if entry is None else at.follow(entry)


def _followed(at: Head, row: Row) -> Head | None:
    """The head behind `row`; None when it does not follow."""
    follower = _behind(at, row)
    return follower if follower is not None and (follower.n, follower.hash) == (row[0], row[-1]) else None


def _against_head(at: Head, head: Head | None, met: bool) -> Break | None:
    """A whole chain that ends `at`, and has been at `head` or not, against the head on file."""
    if at == head:
        return None
    if head is None:
        return Break(at.n, "head mismatch", f"the settings have no head; the table ends at {at.n}")
    if met:
        said = f"head says n = {head.n}, the table goes on to {at.n}"
        return Break(head.n + 1, "inserted", f"there are entries behind the last one: {said}")
    if head.n > at.n and head.hash != at.hash:
        said = f"head says n = {head.n}, the table {f'ends at {at.n}' if at.n else 'is empty'}"
        return Break(at.n + 1, "removed", f"the last entries are missing: {said}")
    said = f"head says n = {head.n} and {head.hash[:12]!r}, the table ends at {at.n} with {at.hash[:12]!r}"
    return Break(at.n, "head mismatch", said)


def _diagnosed(rows: list[Row], case_id: str, head: Head | None) -> Break:
    """Where and how rows that are no whole chain were changed."""
    strays = [row for row in rows if not (isinstance(row[0], int) and row[0] > 0)]
    numbered = [row for row in rows if isinstance(row[0], int) and row[0] > 0]
    heads = [first_head(case_id)]
    for row in numbered:
        follower = _followed(heads[-1], row)
        if follower is None:
            break
        heads.append(follower)
    at = heads[-1]
    rest = numbered[at.n :]
    if head in heads:
        extra = (numbered + strays)[head.n]
        n = extra[0] if isinstance(extra[0], int) else head.n + 1
        return Break(n, "inserted", f"{_named(extra)} is not of the {head.n} entries that the head knows")
    if not rest or not isinstance(rest[0][0], int) or rest[0][0] != at.n + 1:
        return _hole(at, rest, strays, head)
    return _misfit(heads, rest, strays, None if head is None else len(rows) - head.n)


def _hole(at: Head, rest: list[Row], strays: list[Row], head: Head | None) -> Break:
    """There is no entry with the number behind `at`."""
    n = at.n + 1
    following = rest[0][0] if rest and isinstance(rest[0][0], int) else n
    if following < n:
        return Break(following, "inserted", f"{_named(rest[0])} is there twice")
    for row in rest + strays:
        moved = _behind(at, row)
        if moved is not None and moved.hash == row[-1]:
            return Break(n, "reordered", f"the entry stands as {_named(row)}")
    if not rest:
        return _against_head(at, head, met=False) or Break(n, "inserted", _named(strays[0]))
    missing = f"entry {n} is" if following == n + 1 else f"entries {n} to {following - 1} are"
    return Break(n, "removed", f"{missing} missing before {_named(rest[0])}")


def _misfit(heads: list[Head], rest: list[Row], strays: list[Row], surplus: int | None) -> Break:
    """The entry with the number behind the last of `heads` does not follow; `surplus` of all are too many."""
    at, here = heads[-1], rest[0]
    n, name = at.n + 1, _named(here)
    for row in rest[1:] + strays:
        moved = _behind(at, row)
        if moved is not None and moved.hash in (row[-1], here[-1]):
            if surplus is not None and surplus > 0:
                return Break(n, "inserted", f"{name} stands where {_named(row)} belongs")
            return Break(n, "reordered", f"{name} stands where {_named(row)} belongs")
    for before in heads[-2::-1]:
        own = _behind(before, here)
        if own is not None and own.hash == here[-1]:
            said = f"{name} was written as n = {before.n + 1}"
            return Break(before.n + 1, "inserted", said)
    goes_on = len(rest) > 1 and _followed(Head(n, str(here[-1])), rest[1]) is not None
    if surplus is not None and surplus < 0 and not goes_on:
        return Break(n, "removed", f"{name} does not follow, the head knows of {-surplus} more entries")
    behind = f"n = {at.n}" if at.n else "the case's id"
    return Break(n, "altered", f"{name} does not follow from {behind}")


def _named(row: Row) -> str:
    """An entry in a sentence: its number, action and time."""
    n, utc_ns, action = row[0], row[1], row[4]
    try:
        when = f"{datetime.fromtimestamp(float(str(utc_ns)) / 1e9, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    except (ValueError, OverflowError, OSError):
        when = repr(utc_ns)[:_SHOWN]
    return f"n = {n!r} ({str(action)[:_SHOWN]!r} of {when})"
