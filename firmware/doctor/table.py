"""The doctor's table for a terminal: aligned, wrapped at its width, colour only where it was asked for.

Pure text. Commands are never wrapped, so that they can be copied whole.
"""

import textwrap
from collections.abc import Iterator, Sequence

from firmware.doctor.checks import CHECKS
from firmware.doctor.findings import Row, State
from firmware.doctor.verdict import Fitness, Verdict

NARROWEST = 48
_COLOURS = {State.OK: "32", State.WARN: "33", State.FAIL: "1;31", State.SKIPPED: "2"}
_FITNESS_COLOURS = {
    Fitness.TIER_B: "32",
    Fitness.TIER_A: "32",
    Fitness.SIMULATED: "32",
    Fitness.NOT_FIT: "1;31",
}
_STATE = max(len(state) for state in State) + 2
_NAME = max(len(check.name) for check in CHECKS) + 2
_LABEL = len("cure: ")


class Table:
    """Rows into lines, `width` columns wide (at least 48)."""

    def __init__(self, width: int, colour: bool) -> None:
        self._width, self._colour = max(width, NARROWEST), colour
        self._topic = ""

    def row(self, row: Row) -> Iterator[str]:
        """Its topic when that is new, what was found, and for a fault why it matters and how to cure it."""
        if row.check.topic != self._topic:
            if self._topic:
                yield ""
            self._topic = row.check.topic
            yield self._painted(self._topic, "1")
        state = self._painted(row.state.ljust(_STATE), _COLOURS[row.state])
        indent = " " * (2 + _STATE + _NAME)
        first, *rest = self._wrapped(row.finding.found, indent)
        yield f"  {state}{row.check.name.ljust(_NAME)}{first[len(indent) :]}"
        yield from rest
        if row.state in (State.WARN, State.FAIL):
            yield from self._wrapped(row.check.why, indent, "why:")
            yield from self._wrapped(row.finding.cure, indent, "cure:")
            yield from (f"{indent}{' ' * _LABEL}{command}" for command in row.finding.commands)

    def verdict(self, verdict: Verdict, rows: Sequence[Row]) -> Iterator[str]:
        """How many of each state, and the verdict, last."""
        counts = {state: sum(row.state is state for row in rows) for state in State}
        yield ""
        yield ", ".join(f"{n} {state}" for state, n in counts.items() if n)
        first, *rest = textwrap.wrap(f"verdict: {verdict.text}", self._width, subsequent_indent=" " * 9)
        colour = _FITNESS_COLOURS[verdict.fitness]
        yield from (self._painted(line, colour) for line in (first, *rest))

    def _wrapped(self, text: str, indent: str, label: str = "") -> list[str]:
        hanging = indent + " " * (_LABEL if label else 0)
        return textwrap.wrap(
            text,
            self._width,
            initial_indent=indent + label.ljust(_LABEL if label else 0),
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [indent]

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text
