"""Where each key of a TOML text stands: the line numbers that `tomllib` does not keep.

Reads only text that `tomllib` has accepted; it locates, it neither validates nor evaluates. Text that it
does not follow ends the search early, and lookups then answer with the nearest table that was seen.
"""

import bisect
import contextlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

Path = tuple[str | int, ...]

_PART = r"""(?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SCALAR = re.compile(
    r'"""(?:\\[\s\S]|[^\\])*?"""(?:"{0,2})'
    r"|'''[\s\S]*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\r\n]+"
)


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines, from 1, by path: table names, keys, and indices of arrays and of arrays of tables."""

    by_path: Mapping[Path, int]

    def of(self, path: Path) -> int:
        """The line of `path`, else of the innermost table around it that is written down, else 1."""
        for length in range(len(path), 0, -1):
            line = self.by_path.get(path[:length])
            if line is not None:
                return line
        return 1


class _LostError(Exception):
    """The text is not what `tomllib` would accept, or newer TOML than this module knows."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.by_path: dict[Path, int] = {}
        self.last_index: dict[Path, int] = {}
        self.newlines = [match.start() for match in re.finditer("\n", text)]

    def document(self) -> None:
        table: Path = ()
        while self.blank():
            if self.text.startswith("[[", self.at):
                table = self.header("]]")
            elif self.text[self.at] == "[":
                table = self.header("]")
            else:
                self.key_value(table)

    def blank(self) -> bool:
        """Skip white space, newlines and comments; False at the end of the text."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at < len(self.text)

    def mark(self, path: Path) -> None:
        self.by_path.setdefault(path, bisect.bisect_left(self.newlines, self.at) + 1)

    def expect(self, token: str) -> None:
        self.blank()
        if not self.text.startswith(token, self.at):
            raise _LostError
        self.at += len(token)

    def key(self) -> list[str]:
        """The parts of a dotted key; tomllib itself decodes quotes and escapes."""
        match = _KEY.match(self.text, self.at)
        if match is None:
            raise _LostError
        self.at = match.end()
        parts: list[str] = []
        nested: object = tomllib.loads(f"{match.group()} = 0")
        while isinstance(nested, dict):
            part, nested = next(iter(nested.items()))
            parts.append(part)
        return parts

    def header(self, close: str) -> Path:
        start = self.at
        self.at += len(close)
        self.blank()
        parts = self.key()
        self.expect(close)
        end, self.at = self.at, start
        path: Path = ()
        for number, part in enumerate(parts, 1):
            path += (part,)
            self.mark(path)
            if close == "]]" and number == len(parts):
                self.last_index[path] = self.last_index.get(path, -1) + 1
            if path in self.last_index:
                path += (self.last_index[path],)
                self.mark(path)
        self.at = end
        return path

    def key_value(self, table: Path) -> None:
        start = self.at
        parts = self.key()
        end, self.at = self.at, start
        path = table
        for part in parts:
            path += (part,)
            self.mark(path)
        self.at = end
        self.expect("=")
        self.value(path)

    def value(self, path: Path) -> None:
        self.blank()
        if self.text.startswith("[", self.at):
            self.array(path)
        elif self.text.startswith("{", self.at):
            self.inline_table(path)
        else:
            match = _SCALAR.match(self.text, self.at)
            if match is None:
                raise _LostError
            self.at = match.end()

    def array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self.blank() and self.text[self.at] != "]":
            self.mark((*path, index))
            self.value((*path, index))
            self.comma("]")
            index += 1
        self.expect("]")

    def inline_table(self, path: Path) -> None:
        self.at += 1
        while self.blank() and self.text[self.at] != "}":
            self.key_value(path)
            self.comma("}")
        self.expect("}")

    def comma(self, close: str) -> None:
        self.blank()
        if not self.text.startswith(close, self.at):
            self.expect(",")


def locate(text: str) -> Lines:
    """The line of every table, key and array element of `text`, which `tomllib` must have accepted."""
    scanner = _Scanner(text)
    # Where the search ends early, a fault is reported at the table around it.
    with contextlib.suppress(_LostError, RecursionError, ValueError):
        scanner.document()
    return Lines(scanner.by_path)
