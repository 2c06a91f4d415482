"""One run of the bench: items in order, each with its verdict, whatever the chips do.

A chip that cannot be brought up fails once, by name; the items that need it are skipped and say so.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from firmware.bench.bench import Bench, NoEdgesError
from firmware.bench.items import ITEMS, Item
from firmware.bench.items_registers import cause_of
from firmware.bench.items_supply import REFERENCE_DEAD
from firmware.bench.items_timing import NO_EDGE, NOT_CONVERTING, WAS_RESET
from firmware.bench.verdicts import Cause, Outcome, Verdict, failed, skipped, worst
from firmware.errors import ChipError, EdgeError, PortError

NO_EDGES = str(NoEdgesError("no data-ready edge"))


@dataclass(frozen=True, slots=True)
class Row:
    """An item, what it found, and how long it took by the box's clock."""

    item: Item
    outcome: Outcome
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """The outcome's verdict."""
        return self.outcome.verdict


def run(
    bench: Bench, items: Sequence[Item] = ITEMS, begun: Callable[[Item], None] = lambda item: None
) -> Iterator[Row]:
    """Every item's row as soon as it is there, after `begun` with the item. Outputs are low when it ends."""
    unready = no_reference = ""
    bench.access[0].power_up_wait()
    try:
        for item in items:
            begun(item)
            start_ns = bench.box.clock.now_ns()
            if (unready and not item.wire) or (no_reference and item.analogue):
                outcome = skipped(unready or no_reference)
            else:
                outcome = _tried(bench, item)
                if outcome.verdict is Verdict.FAIL and not item.wire:
                    outcome = _revived(bench, outcome)
                    unready = _unready(bench, outcome)
                    if REFERENCE_DEAD in outcome.causes:
                        no_reference = "the reference is dead: no voltage can be measured"
            yield Row(item, outcome, (bench.box.clock.now_ns() - start_ns) / 1e9)
    finally:
        bench.box.outputs.write(0)


def _tried(bench: Bench, item: Item) -> Outcome:
    try:
        return item.run(bench)
    except ChipError as error:
        cause = cause_of(str(error))
        text = str(error).partition(": likely cause")[0]
        return failed(text, Cause(f"{cause.cause} ({text})", cause.cure))
    except NoEdgesError as error:
        try:
            return failed(str(error), NO_EDGE if bench.converts() else NOT_CONVERTING)
        except ChipError:
            return failed(str(error), NOT_CONVERTING)
    except PortError as error:
        cure = str(error).rpartition("; ")[2]
        return failed("the port failed", Cause(str(error), cure))


def _revived(bench: Bench, outcome: Outcome) -> Outcome:
    """A chip that was reset is the reason for all that followed; the next item finds it brought up again."""
    try:
        if not bench.ready or not bench.was_reset():
            return outcome
        bench.bring_up()
    except EdgeError:
        return outcome
    return replace(outcome, causes=(WAS_RESET,))


def _unready(bench: Bench, outcome: Outcome) -> str:
    """Why no later item can measure anything, "" when it can."""
    if not bench.ready:
        return "the chips could not be brought up"
    silent = outcome.measured == NO_EDGES and set(outcome.causes) & {NO_EDGE, NOT_CONVERTING}
    return "no data-ready edges" if silent else ""


def verdict_of(rows: Sequence[Row]) -> Verdict:
    """The worst of all items."""
    return worst(row.verdict for row in rows)


def findings(rows: Sequence[Row]) -> list[tuple[Row, Cause]]:
    """Every named cause once, first item first: what others rely on comes first."""
    found: dict[str, tuple[Row, Cause]] = {}
    for row in rows:
        for cause in row.outcome.causes:
            found.setdefault(cause.cause, (row, cause))
    return list(found.values())
