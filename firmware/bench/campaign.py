"""Many sound simulated boxes, each from another seed: the bench must pass every one of them.

A bench that cries wolf is switched off. Owns the count and the first complaint; prints nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from firmware.bench.bench import Bench
from firmware.bench.items import ITEMS, Item
from firmware.bench.run import Row, run
from firmware.bench.sources import simulated_board, simulated_box
from firmware.bench.verdicts import Verdict

SOUND = (Verdict.PASS, Verdict.SKIPPED)


@dataclass(frozen=True, slots=True)
class Round:
    """One box: its seed and the rows that were not what a sound box gives."""

    seed: int
    complaints: tuple[Row, ...]


def campaign(
    boxes: int,
    seed: int = 1,
    chips: int = 1,
    quick: bool = False,
    items: Sequence[Item] = ITEMS,
    seen: Callable[[Round], None] = lambda one: None,
) -> list[Round]:
    """`boxes` benches on boxes of seeds from `seed` on; `seen` gets each as it is done."""
    rounds = []
    for own in range(seed, seed + boxes):
        bench = Bench(simulated_box(simulated_board(own, chips)), quick=quick, seed=own)
        rows = run(bench, items)
        one = Round(own, tuple(row for row in rows if row.verdict not in SOUND))
        seen(one)
        rounds.append(one)
    return rounds
