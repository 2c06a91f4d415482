"""`python -m tests.faults`: promises against what was measured, as a table, and a summary line.

Exit 1 when a promise is broken. `--only NAME --seed N --runs 1` replays one run exactly.
"""

import argparse
import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.measured import Measured, SkippedError, percentile
from tests.faults.promises import LIST, Fault, find

RECOVERY_S, STOP_MS = 2.0, 200.0
SHOWN = 5


def one(name: str, seed: int) -> Measured:
    """One run; an error of the harness itself is a broken run, with its seed."""
    fault = find(name)
    try:
        measured = fault.inject(seed)
    except SkippedError as why:
        measured = Measured(skipped=str(why))
    except (AssertionError, OSError, ValueError, LookupError, RuntimeError, EOFError) as error:
        measured = Measured(wrong=[f"{type(error).__name__}: {error}"])
    if fault.most_lost_s is not None and measured.lost_s > fault.most_lost_s:
        measured.above += 1
        measured.wrong.append(f"{measured.lost_s:.2f} s lost, promised {fault.most_lost_s:g} s at most")
    measured.wrong = [f"seed {seed}: {text}" for text in measured.wrong]
    return measured


def campaign(faults: list[Fault], seed: int, runs: int | None, ci: bool, workers: int) -> dict[str, Measured]:
    """All runs: virtual ones side by side, those of real time one after the other."""
    sums: dict[str, Measured] = {}
    say = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(workers)) if workers > 1 else None
        for fault in faults:
            n = runs if runs is not None else fault.ci if ci else fault.full
            began_s = time.monotonic()
            sums[fault.name] = total = Measured()
            for measured in _runs(fault, n, seed, pool, workers):
                total.add(measured)
                if total.skipped:
                    break
            if n:
                took_s = time.monotonic() - began_s
                of = (
                    f"{total.injected} in {took_s:.0f} s, {len(total.wrong)} wrong, {total.lost_s:.2f} s lost"
                )
                of = f"skipped: {total.skipped}" if total.skipped else of
                recovery = " ".join(f"{s:.2f}" for s in sorted(total.recovery_s))
                say.print(f"{fault.name}: {of}{', recovery ' + recovery if recovery else ''}", soft_wrap=True)
    return sums


def _runs(
    fault: Fault, n: int, seed: int, pool: ProcessPoolExecutor | None, workers: int
) -> Iterator[Measured]:
    seeds = range(seed, seed + n)
    if fault.real or pool is None:
        return map(one, [fault.name] * n, seeds)
    return pool.map(one, [fault.name] * n, seeds, chunksize=max(1, n // (4 * workers)))


def table(faults: list[Fault], sums: dict[str, Measured]) -> Table:
    """Promise against measured."""
    shown = Table("group", "fault", "promise", "injected", "lost at most", "recovery p99", "stop p99", "kept")
    for fault in faults:
        m = sums[fault.name]
        if m.injected or m.wrong or m.skipped:
            recovery, stop = percentile(m.recovery_s, 0.99), percentile(m.stops_ms, 0.99)
            shown.add_row(
                fault.group,
                fault.name,
                fault.promise,
                str(m.injected),
                f"{m.lost_s:.2f} s",
                "" if math.isnan(recovery) else f"{recovery:.2f} s",
                "" if math.isnan(stop) else f"{stop:.0f} ms",
                "NO" if m.wrong else "skipped" if m.skipped else "yes",
            )
    return shown


def summary(total: Measured) -> str:
    """One line."""
    recovery = [percentile(total.recovery_s, share) for share in (0.5, 0.99)]
    stops = [percentile(total.stops_ms, share) for share in (0.5, 0.99)]
    skipped = f"; skipped: {total.skipped}" if total.skipped else ""
    return (
        f"{total.injected} faults injected: {total.uncommanded} uncommanded pulses of {total.pulses}, "
        f"{total.uncounted} uncounted samples of {total.samples}, "
        f"{total.unopened} recordings that do not open, {total.above} losses above the promise; "
        f"host recovery p50 {recovery[0]:.2f} s p99 {recovery[1]:.2f} s, "
        f"stimulation stop after host death p50 {stops[0]:.0f} ms p99 {stops[1]:.0f} ms{skipped}"
    )


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    p.add_argument("--seed", type=int, default=1, help="the first one")
    p.add_argument("--runs", type=int, help="of each fault, instead of the list's own number")
    p.add_argument("--only", action="append", metavar="NAME", help="these faults (a name or a group) alone")
    p.add_argument("--virtual", action="store_true", help="without real processes and real time")
    p.add_argument("--ci", action="store_true", help="the slice that CI runs")
    p.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    p.add_argument("--json", type=Path, metavar="FILE")
    return p


def main(words: list[str] | None = None) -> int:
    """Run, show, judge."""
    options, say = parser().parse_args(words), Console(width=170)
    faults = [f for f in LIST if not options.only or f.name in options.only or f.group in options.only]
    faults = [f for f in faults if not (f.real and options.virtual)]
    if not faults:
        parser().error(f"no fault of that name; there are {', '.join(f.name for f in LIST)}")
    sums = campaign(faults, options.seed, options.runs, options.ci, options.workers)
    total = Measured()
    for name, measured in sums.items():
        total.add(measured)
        for text in measured.wrong[:SHOWN]:
            seed = text.partition(":")[0].removeprefix("seed ")
            say.print(f"{name}: {text}", markup=False, highlight=False, soft_wrap=True)
            again = f"python -m tests.faults --only '{name}' --seed {seed} --runs 1"
            say.print(f"  again: {again}", markup=False, highlight=False, soft_wrap=True)
    say.print(table(faults, sums))
    late = percentile(total.recovery_s, 0.99) > RECOVERY_S or percentile(total.stops_ms, 0.99) > STOP_MS
    say.print(summary(total), highlight=False, soft_wrap=True)
    if options.json:
        shown = {
            name: {"injected": m.injected, "lost_s": m.lost_s, "recovery_s": m.recovery_s, "wrong": m.wrong}
            for name, m in sums.items()
        }
        options.json.write_text(
            json.dumps({"seed": options.seed, "summary": summary(total), "faults": shown})
        )
    return 1 if late or any(m.wrong for m in sums.values()) else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of what a seed repeats
        command = [sys.executable, "-m", "tests.faults", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main())
