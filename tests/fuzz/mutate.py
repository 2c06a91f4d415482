"""Damage to files, from a seed: bits and bytes, digits and words, rows of a database, lines of JSON.

Each function makes another input of a good one. Nothing here knows what the product does with it.
"""

import contextlib
import json
import random
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

Mutate = Callable[[random.Random, bytes], bytes]

NUMBERS = (
    *("0", "-1", "1", "99999999", "-0", "1e308", "1e999", "nan", "inf", "-inf", "4294967296", "1e-320"),
    *("18446744073709551616", "9" * 400, "0.5", "true", '""', "[]", "{}", '"x"', "[[1]]", "1979-05-27"),
)
WORDS = (
    '"',
    "'",
    "[",
    "]",
    "[[x]]\n",
    "\0",
    "\x1b[2J",
    "\u202e",
    "\n",
    "=",
    "#",
    "\\u0000",
    "{",
    "a.b.c = 1\n",
)
VALUES: tuple[Any, ...] = (
    *(None, 0, -1, 1 << 62, -(1 << 63), 1.5, float("inf"), 1e308, "", "x", "\0", "[]", "{}", "null"),
    *(
        "[[[]]]",
        '{"test": 5}',
        '{"test": ["a"]}',
        "[1, 2]",
        "[" * 100_000,
        "1e999",
        "NaN",
        b"\xff\xfe",
        b"",
        "a" * 5000,
    ),
)


def bytes_(r: random.Random, data: bytes) -> bytes:
    """Bits flipped, bytes put in, taken out, repeated, blanked; the end cut off."""
    out = bytearray(data)
    for _ in range(r.choice((1, 1, 1, 2, 4, 16))):
        at = r.randrange(len(out) + 1)
        match r.randrange(7):
            case 0 | 1 if at < len(out):
                out[at] ^= 1 << r.randrange(8)
            case 2:
                out[at:at] = r.randbytes(r.randrange(1, 9))
            case 3:
                del out[at : at + r.choice((1, 3, 40, 256))]
            case 4:
                out[at:at] = out[at : at + r.choice((1, 20, 300))]
            case 5:
                n = min(r.choice((1, 30, 512)), len(out) - at)
                out[at : at + n] = bytes(n)
            case _:
                del out[at:]
    return bytes(out)


def text(r: random.Random, data: bytes) -> bytes:
    """Numbers and words put in the place of others, lines taken out, doubled, moved; depth without end."""
    said = data.decode("utf-8", "replace")
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        lines = said.splitlines(keepends=True) or ["\n"]
        at = r.randrange(len(lines))
        match r.randrange(8):
            case 0 | 1:
                said = _replaced(r, said, r"[+-]?[0-9][0-9_.e]*", r.choice(NUMBERS))
            case 2:
                said = _replaced(
                    r, said, r'"[^"\n]*"', r.choice((*NUMBERS, '"' + "a" * 300 + '"', '"\\u0007"'))
                )
            case 3:
                del lines[at]
                said = "".join(lines)
            case 4:
                lines.insert(r.randrange(len(lines)), lines[at])
                said = "".join(lines)
            case 5:
                k = r.randrange(len(said) + 1)
                said = said[:k] + r.choice(WORDS) + said[k:]
            case 6:
                said = _replaced(r, said, r"(?<== )[^\n]+", r.choice(NUMBERS))
            case _:
                deep = r.choice(("[", '{"a":', "{a=")) * r.choice((10, 200, 20_000))
                said = _replaced(r, said, r"(?<== )[^\n]+", deep)
    return said.encode("utf-8", "replace") if r.random() < 0.8 else bytes_(r, said.encode())


def _replaced(r: random.Random, said: str, pattern: str, by: str) -> str:
    found = list(re.finditer(pattern, said))
    if not found:
        return said + by
    one = r.choice(found)
    return said[: one.start()] + by + said[one.end() :]


def bdf(r: random.Random, data: bytes) -> bytes:
    """A field of the header with another number or word in it; else anything in the first kilobytes."""
    out = bytearray(data)
    signals = int(out[252:256]) if out[252:256].strip().isdigit() else 1
    columns = ((16, 1), (80, 0), (8, 1), (8, 3), (8, 3), (8, 3), (8, 3), (80, 0), (8, 4))
    fields = [(88, 80), (168, 8), (176, 8), (184, 8), (192, 44), (236, 8), (244, 8), (252, 4)]
    at = 256
    for width, weight in columns:
        fields += [(at + k * width, width) for k in range(signals)] * weight
        at += width * signals
    kind = r.random()
    if kind < 0.6:
        for _ in range(r.choice((1, 1, 2))):
            where, width = r.choice(fields)
            said = r.choice((*NUMBERS, str(r.randrange(10 ** r.randrange(1, 9))), "EDF+D", "-1", "a" * 80))
            out[where : where + width] = said.encode()[:width].ljust(width)
        return bytes(out)
    if kind < 0.8:
        head = bytes_(r, bytes(out[: 256 * (signals + 1)]))
        return head + bytes(out[256 * (signals + 1) :])
    return bytes_(r, data)


def sqlite(r: random.Random, data: bytes, scratch: Path) -> bytes:
    """A cell with another value, a table or column less or otherwise named, a row twice; or any bytes."""
    if r.random() < 0.25:
        return bytes_(r, data)
    scratch.write_bytes(data)
    with (
        contextlib.suppress(sqlite3.Error, OverflowError),
        contextlib.closing(sqlite3.connect(scratch)) as db,
    ):
        for _ in range(r.choice((1, 1, 2, 5))):
            _cell(r, db)
        db.commit()
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(scratch)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    made = scratch.read_bytes()
    scratch.unlink()
    return made


def ordered(data: bytes, orders: str, scratch: Path) -> bytes:
    """A database after orders in SQL."""
    scratch.write_bytes(data)
    with contextlib.closing(sqlite3.connect(scratch)) as db:
        db.executescript(orders)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    made = scratch.read_bytes()
    scratch.unlink()
    return made


def fields(data: bytes, said: str) -> bytes:
    """`data` with a text at an offset for each line of `said`."""
    out = bytearray(data)
    for line in said.splitlines():
        at, _, words = line.partition(" ")
        out[int(at) : int(at) + len(words)] = words.encode()
    return bytes(out)


def _cell(r: random.Random, db: sqlite3.Connection) -> None:
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    filled = [t for t in tables if db.execute(f'SELECT 1 FROM "{t}" LIMIT 1').fetchone()]
    table = r.choice(filled or tables)
    columns = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
    rows = [row[0] for row in db.execute(f'SELECT rowid FROM "{table}"')]
    match r.randrange(20):
        case 0:
            db.execute(f'DROP TABLE "{table}"')
        case 1:
            db.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{r.choice(columns)}" TO "other"')
        case 2:
            db.execute(f'ALTER TABLE "{table}" DROP COLUMN "{r.choice(columns)}"')
        case 3 if rows:
            db.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (r.choice(rows),))
        case 4:
            db.execute(f'ALTER TABLE "{table}" RENAME TO "other"')
        case _ if rows:
            column, row = r.choice(columns), r.choice(rows)
            (was,) = db.execute(f'SELECT "{column}" FROM "{table}" WHERE rowid = ?', (row,)).fetchone()
            db.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (_value(r, was), row))


def _value(r: random.Random, was: Any) -> Any:
    """Another value; of a text in JSON, the text with one of its own values another."""
    if isinstance(was, str) and r.random() < 0.6:
        with contextlib.suppress(ValueError, RecursionError):
            return json.dumps(json_value(r, json.loads(was)))
    return r.choice(VALUES)


def json_value(r: random.Random, value: Any) -> Any:
    """`value` with something in it replaced, taken out or wrapped."""
    if isinstance(value, dict) and value and r.random() < 0.9:
        key = r.choice(list(value))
        if r.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: json_value(r, value[key])}
    if isinstance(value, list) and value and r.random() < 0.8:
        at = r.randrange(len(value))
        return [*value[:at], json_value(r, value[at]), *value[at + 1 :]]
    return r.choice(
        (
            None,
            -1,
            0,
            1,
            1 << 70,
            1e308,
            "",
            "x",
            [],
            {},
            [value],
            {"a": value},
            True,
            float("inf"),
            "\ud800",
            "\0",
        )
    )


def json_lines(r: random.Random, data: bytes) -> bytes:
    """A value in one of the lines is another; or any damage."""
    if r.random() < 0.3:
        return bytes_(r, data) if r.random() < 0.5 else text(r, data)
    lines = data.splitlines(keepends=True) or [b"{}\n"]
    at = r.randrange(len(lines))
    with contextlib.suppress(ValueError, RecursionError):
        lines[at] = json.dumps(json_value(r, json.loads(lines[at]))).encode() + b"\n"
    return b"".join(lines)
