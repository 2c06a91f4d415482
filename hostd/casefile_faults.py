"""The faults of one case file, gathered before any is raised, and the words they are told in.

Also reads one raw TOML table into its struct, key by key, so that each wrong key is a fault of its own
(msgspec alone stops at the first). Judges form only; whether the values make sense is not asked here.
"""

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from hostd.casefile_schema import Table
from hostd.errors import CaseFileError
from hostd.toml_lines import Lines, Path

T = TypeVar("T", bound=Table)

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN_CHARS = 48
# Whole numbers beyond this are typing errors, and floats could not hold them.
_LARGEST_INT = 2**53


def show(value: object, depth: int = 3) -> str:
    """`value` as TOML would write it, on one line, cut short when long or nested deeper than `depth`."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = json.dumps(value, ensure_ascii=not value.isprintable())
    elif isinstance(value, int) and abs(value) > _LARGEST_INT:
        text = hex(value)
    elif isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, list | tuple | dict) and not depth:
        text = "..."
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(show(item, depth - 1) for item in value[:_SHOWN_CHARS]) + "]"
    elif isinstance(value, dict):
        text = (
            "{ "
            + ", ".join(f"{show_key(key)} = {show(item, depth - 1)}" for key, item in value.items())
            + " }"
        )
    else:
        text = str(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."


def show_key(key: str) -> str:
    """`key` as it stands in the file: bare where it can be, else quoted."""
    return key if _BARE.fullmatch(key) and len(key) <= _SHOWN_CHARS else show(key)


def choose(word: str, known: Iterable[str]) -> str:
    """The end of a cure: what `word` was probably meant to be, and all that it may be."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}choose from {', '.join(show_key(name) for name in names)}"


def _label(path: Path) -> str:
    """The table in brackets and the key: `[test.left] window_ms`, `[test.left] peak 2 name`."""
    depth = 2 if path[0] in ("test", "limits") else 1
    table = ".".join(show_key(str(part)) for part in path[:depth])
    rest = [str(part + 1) if isinstance(part, int) else show_key(part) for part in path[depth:]]
    if not rest and path[0] not in ("acquisition", "recording", "limits", "test"):
        return table
    return " ".join([f"[{table}]", *rest])


class Faults:
    """Collects faults by path; nothing is raised before `raise_any`."""

    def __init__(self, where: str, lines: Lines) -> None:
        self._where = where
        self._lines = lines
        self._found: list[tuple[int, str]] = []
        self._paths: set[Path] = set()

    def add(self, path: Path, what: str, cure: str) -> None:
        """One fault at `path`. `what` and `cure` hold text of the file only as `show` gives it."""
        line = self._lines.of(path)
        self._found.append((line, f"{self._where}:{line}: {_label(path)}: {what}; {cure}"))
        self._paths.update(path[:length] for length in range(1, len(path) + 1))

    def at(self, path: Path) -> bool:
        """True when `path` or something within it is at fault, so that what follows from it is not judged."""
        return path in self._paths

    def raise_any(self) -> None:
        """Raises CaseFileError with every fault in the order of lines, if there is one."""
        if self._found:
            raise CaseFileError([text for _, text in sorted(self._found, key=lambda fault: fault[0])])


def read(table: type[T], raw: Mapping[str, object], path: Path, faults: Faults) -> T:
    """`raw` as a `table`; keys that are unknown or of the wrong form become faults and stay None."""
    fields = {field.name: field for field in msgspec.structs.fields(table)}
    good: dict[str, object] = {}
    for key, value in raw.items():
        if key not in fields:
            faults.add((*path, key), "unknown key", choose(key, fields))
            continue
        try:
            converted = msgspec.convert(value, fields[key].type)
        except msgspec.ValidationError:
            converted = None
        if converted is None or not _finite(converted):
            meta = fields[key].type.__metadata__[0]
            faults.add(
                (*path, key), f"expected {meta.description}, got {show(value)}", f"write {meta.examples[0]}"
            )
        else:
            good[key] = value
    return msgspec.convert(good, table)


def _finite(value: object) -> bool:
    """False for nan, inf and whole numbers that no setting can mean."""
    if isinstance(value, tuple):
        return all(_finite(item) for item in value)
    if isinstance(value, int):
        return abs(value) <= _LARGEST_INT
    return not isinstance(value, float) or math.isfinite(value)
