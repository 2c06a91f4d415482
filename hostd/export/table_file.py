"""One table as a file: comma-separated as RFC 4180 has it, or tab-separated as BIDS wants it."""

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write and return the number of rows; None is an empty cell, truth is 1 or 0, times are ISO 8601."""
    n = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(columns)
        for n, row in enumerate(rows, 1):  # noqa: B007
            writer.writerow([_cell(value) for value in row])
    return n


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """The same with tabs; None is n/a, and no cell has a tab or a line in it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("\t".join(columns) + "\n")
        for row in rows:
            cells = (" ".join(str(_cell(v)).split()) if v is not None else "" for v in row)
            file.write("\t".join(cell or "n/a" for cell in cells) + "\n")


def said(text: str | None) -> str | None:
    """What a person wrote, as no spreadsheet takes it for a formula: an apostrophe goes before one."""
    return f"'{text}" if text and text.startswith(_FORMULA) else text


def iso(moment: datetime | None) -> str | None:
    """UTC to the millisecond: 2026-11-23T16:15:30.123Z."""
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return int(value)
        case float():
            return f"{value:.10g}"
        case datetime():
            return iso(value)
    return value
