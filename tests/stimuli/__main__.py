"""The whole campaign (`make faults` begins with it) as a table, and the seeds of what was wrong."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from tests.stimuli import faults, on_nodes, pulses, sequences, state_graph, state_sequences
from tests.stimuli.pulses import Matched

T = TypeVar("T")
SHOWN = 12


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: `measured` what was wrong, of `n`; `bar` the most that may be; `note` what else there is."""

    name: str
    n: int
    measured: float
    bar: float
    seconds: float
    note: str = ""
    wrong: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.measured <= self.bar and not (self.n == 0 and self.bar == 0)


def timed(measure: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    return measure(), time.perf_counter() - began


def states(n: int, first: int) -> Iterator[Figure]:
    """The host's state machine: its whole graph, then random sequences."""
    for free in (False, True):
        graph, took = timed(lambda free=free: state_graph.explore(state_graph.first_state(free)))
        note = f"{len(graph.states)} states, {graph.edges} edges, {graph.refused} refusals"
        name = f"states.graph_{'free' if free else 'hardware'}"
        yield Figure(name, graph.edges, len(graph.broken), 0, took, note, tuple(graph.broken))
    wrong, took = timed(lambda: state_sequences.run_all(first, n))
    yield Figure("states.sequences", n, len(wrong), 0, took, wrong=tuple(wrong))


def random_sequences(n: int, first: int) -> Iterator[Figure]:
    """The sequencer: random commands, losses and faults."""
    done, took = timed(lambda: sequences.run_all(first, n))
    note = ", ".join(f"{count} {what}" for what, count in done.tally.items())
    yield Figure("sequencer.sequences", n, len(done.wrong), 0, took, note, done.wrong)


def matched(name: str, done: Matched | str, took: float) -> Figure:
    if isinstance(done, str):
        return Figure(name, 0, 1, 0, took, f"left out: {done}", (done,))
    late = sum(n for lag, n in done.lags.items() if lag != 1) if "compiled" not in name else 0
    note = "returned after samples: " + ", ".join(f"{lag}: {n}" for lag, n in sorted(done.lags.items()))
    return Figure(name, done.pulses, len(done.wrong) + late, 0, took, note, done.wrong)


def many_pulses(n: int, rig: bool) -> Iterator[Figure]:
    """Pulses matched one to one."""
    yield matched("pulses.compiled", *timed(lambda: pulses.compiled(n)))
    yield matched("pulses.simulated_box", *timed(lambda: pulses.simulated(n)))
    if rig:
        yield matched("pulses.rig_lockstep", *timed(lambda: on_nodes.measure(n)))


def many_faults(n: int, first: int) -> Iterator[Figure]:
    """Faults found, and none invented."""
    done, took = timed(lambda: faults.run_all(first, n))
    yield Figure("faults.not_found_rightly", n, len(done.wrong), 0, took, str(done.kinds), done.wrong)
    delays = [delay for held in done.delays.values() for delay in held]
    yield Figure("faults.most_samples_until_told", n, max(delays, default=1e9), 3, 0, str(done.delays))
    quiet, took = timed(lambda: faults.run_all(first, n, injected=False))
    yield Figure("faults.invented", n, len(quiet.wrong), 0, took, str(quiet.kinds), quiet.wrong)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m tests.stimuli", description=__doc__)
    p.add_argument("--pulses", type=int, default=1_000_000)
    p.add_argument("--sequences", type=int, default=100_000, help="of the sequencer")
    p.add_argument("--states", type=int, default=100_000, help="sequences of the host's state machine")
    p.add_argument("--faults", type=int, default=10_000, help="runs with a fault, and as many without")
    p.add_argument("--seed", type=int, default=0, help="the first one")
    p.add_argument("--rig", action="store_true", help="the pulses on the rig too")
    p.add_argument("--json", type=Path, metavar="FILE")
    return p


def show(say: Console, figures: list[Figure]) -> None:
    table = Table("figure", "of", "wrong", "bar", "ok", "s")
    for f in figures:
        ok = "yes" if f.ok else "NO"
        table.add_row(f.name, f"{f.n}", f"{f.measured:g}", f"<= {f.bar:g}", ok, f"{f.seconds:.1f}")
    say.print(table)
    for f in figures:
        for text in f.wrong[:SHOWN]:
            say.print(f"{f.name}: {text}", markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    options, say = parser().parse_args(), Console()
    parts: list[tuple[int, Callable[[], Iterator[Figure]]]] = [
        (options.states, lambda: states(options.states, options.seed)),
        (options.sequences, lambda: random_sequences(options.sequences, options.seed)),
        (options.faults, lambda: many_faults(options.faults, options.seed)),
        (options.pulses, lambda: many_pulses(options.pulses, options.rig)),
    ]
    figures: list[Figure] = []
    for n, measure in parts:
        for figure in measure() if n else ():
            say.print(f"{figure.name}: {figure.note}", highlight=False, soft_wrap=True)
            figures.append(figure)
    show(say, figures)
    say.print(f"first seed {options.seed}; --seed N --sequences 1 (or --faults, --states) repeats one")
    if options.json:
        options.json.write_text(json.dumps([asdict(f) | {"ok": f.ok} for f in figures], indent=2))
    return 0 if all(f.ok for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
