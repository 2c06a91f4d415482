"""The bench's terminal: a line per item while it runs, the table at the end. Colour where asked for."""

import textwrap
from collections.abc import Iterator, Sequence

from firmware.bench.items import ITEMS, Item
from firmware.bench.run import Row, findings, verdict_of
from firmware.bench.verdicts import Outcome, Verdict

NARROWEST = 60
_COLOURS = {Verdict.PASS: "32", Verdict.WARN: "33", Verdict.FAIL: "1;31", Verdict.SKIPPED: "2"}
_VERDICT = max(len(verdict) for verdict in Verdict)
_NAME = max(len(item.name) for item in ITEMS)


class Table:
    """Rows into lines, `width` columns wide (at least 60)."""

    def __init__(self, width: int, colour: bool) -> None:
        self._width, self._colour = max(width, NARROWEST), colour

    def begun(self, item: Item, number: int, of: int) -> str:
        """What is being measured, without end of line; for a terminal that can go back."""
        return f"\r\x1b[K  {number}/{of} {item.title} ..."

    def progress(self, row: Row) -> Iterator[str]:
        """One line for an item that is done, and for a fault its causes."""
        yield f"{self._painted(row.verdict)}  {row.item.name.ljust(_NAME)}  {_found(row.outcome)}"
        indent = " " * (_VERDICT + 2 + _NAME + 2)
        for cause in row.outcome.causes:
            yield from self._wrapped(f"{cause.cause}; cure: {cause.cure}", indent)

    def lines(self, rows: Sequence[Row]) -> Iterator[str]:
        """The table: item, measured, limit, verdict; then what was found, first cause first."""
        title = max(len(row.item.title) for row in rows) + 2
        room = self._width - title - _VERDICT - 4
        measured = max(min(max(len(_found(row.outcome)) for row in rows), room * 3 // 5), 20)
        limit = max(room - measured, 16)
        yield ""
        yield f"{'item'.ljust(title)}{'measured'.ljust(measured)}  {'limit'.ljust(limit)}  verdict"
        yield "-" * (title + measured + limit + 4 + _VERDICT)
        for row in rows:
            left = textwrap.wrap(_found(row.outcome), measured) or [""]
            right = textwrap.wrap(row.item.limit, limit) or [""]
            for k in range(max(len(left), len(right))):
                head = row.item.title if k == 0 else ""
                text = left[k] if k < len(left) else ""
                bound = right[k] if k < len(right) else ""
                end = self._painted(row.verdict) if k == 0 else ""
                yield f"{head.ljust(title)}{text.ljust(measured)}  {bound.ljust(limit)}  {end}".rstrip()
        yield from self._findings(rows)

    def _findings(self, rows: Sequence[Row]) -> Iterator[str]:
        counts = {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}
        yield ""
        yield ", ".join(f"{counts[verdict]} {verdict}" for verdict in reversed(Verdict) if counts[verdict])
        for row, cause in findings(rows):
            yield from self._wrapped(f"{row.item.title}: {cause.cause}; cure: {cause.cure}", "  ")
        yield f"verdict: {self._painted(verdict_of(rows))}".rstrip()

    def _wrapped(self, text: str, indent: str) -> list[str]:
        return textwrap.wrap(
            text, self._width, initial_indent=indent, subsequent_indent=indent + "  ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip

    def _painted(self, verdict: Verdict) -> str:
        text = verdict.ljust(_VERDICT)
        return f"\x1b[{_COLOURS[verdict]}m{text}\x1b[0m" if self._colour else text


def _found(outcome: Outcome) -> str:
    return outcome.reason if outcome.verdict is Verdict.SKIPPED else outcome.measured
