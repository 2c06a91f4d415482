"""`make soak`: 72 hours of a small case, some of a whole procedure; a table each; exit 1 when a bar broke."""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

from tests.soak.box import AGAIN_S
from tests.soak.campaign import Soak, run, small, whole
from tests.soak.gauges import Row
from tests.soak.memories import shortened
from tests.soak.verdict import Bars, verdict

LEAST_HOURS = 0.12
SHORT_HOURS, SHORT_WARM_HOURS = 0.5, 0.25
"""SQLite's page caches are full after a quarter of an hour, whatever else is short."""
NO_ANSWER = Bars(level={"time_off_us": 1.0})
"""An hour does not tell a drift of the answer by 0.05 ms an hour from its noise, nor is it meant to."""
HEAD = ("quantity", "bar", "start", "middle", "end", "slope per hour", "")


def main() -> int:
    """Both, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=72.0, metavar="H", help="of the small case")
    parser.add_argument(
        "--whole", type=float, default=6.0, metavar="H", help="of the whole procedure; 0: none"
    )
    parser.add_argument("--procedure", default="scoliosis", metavar="NAME", help="the whole procedure")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="every reading as a line of JSON")
    parser.add_argument("--judge", type=Path, metavar="FILE", help="only judge the readings in such a file")
    parser.add_argument("--short", action="store_true", help="memories that are full soon: see memories.py")
    parser.add_argument("--warm", type=float, metavar="H", help="left out of the verdict")
    args = parser.parse_args()
    if args.judge is not None:
        return 1 if _judged(args.judge, args.warm) else 0
    least = SHORT_HOURS if args.short else LEAST_HOURS
    if any(0.0 < hours < least for hours in (args.hours, args.whole)):
        parser.error(f"less than {least:g} hours tell no slope; more, or 0 for none")
    wrong = 0
    with shortened() if args.short else contextlib.nullcontext():
        for name, soak in (("small", small(args.hours)), (args.procedure, whole(args.whole, args.procedure))):
            if soak.hours:
                bars, warm = soak.bars, soak.warm_hours
                if args.short:
                    bars, warm = NO_ANSWER, max(warm, SHORT_WARM_HOURS)
                warm = warm if args.warm is None else args.warm
                wrong += _soaked(name, replace(soak, apart=True, warm_hours=warm, bars=bars), args.rows)
    sys.stdout.write(f"soak: {'broken' if wrong else 'nothing grows, nothing drifts, nothing is lost'}\n")
    return 1 if wrong else 0


def _judged(file: Path, warm: float | None) -> int:
    """The readings of a file, each soak by itself; how many things are wrong."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    wrong = 0
    for name in dict.fromkeys(line["soak"] for line in lines):
        rows = [
            Row(**{k: line[k] for k in Row.names() if k in line}) for line in lines if line["soak"] == name
        ]
        soak = small(rows[-1].hours) if name == "small" else whole(rows[-1].hours)
        sys.stdout.write(f"{name}: {rows[-1].hours:.2f} hours, {rows[-1].pulses:,.0f} pulses\n")
        wrong += _shown(
            *verdict(rows, soak.warm_hours if warm is None else warm, soak.bars, AGAIN_S / 3600.0)
        )
    return wrong


def _soaked(name: str, soak: Soak, rows: Path | None) -> int:
    """One of them and its table; how many things are wrong."""
    began = time.monotonic(), time.process_time()

    def told(row: Row) -> None:
        if rows is not None:
            with rows.open("a") as file:
                file.write(json.dumps({"soak": name} | asdict(row)) + "\n")

    with tempfile.TemporaryDirectory(prefix="evokd-soak-") as folder:
        outcome = run(soak, Path(folder), told)
    took_s, cpu_s = time.monotonic() - began[0], time.process_time() - began[1]
    last = outcome.rows[-1]
    sys.stdout.write(
        f"{name}: {last.hours:.2f} hours, {soak.warm_hours:g} to get warm, {last.pulses:,.0f} pulses, "
        f"{outcome.checked_samples:,} samples on file; {sum(outcome.said.values()):,} messages heard; "
        f"{took_s:.0f} s, {cpu_s:.0f} s of CPU ({last.hours * 3600 / took_s:.0f} times real time)\n"
    )
    return _shown(outcome.table, outcome.wrong)


def _shown(table: list[tuple[str, ...]], wrong: list[str]) -> int:
    """The table and what was wrong; how much was."""
    table = [HEAD, *table]
    widths = [max(len(row[k]) for row in table) for k in range(len(HEAD))]
    for row in table:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + "\n")
    sys.stdout.write("".join(f"WRONG: {text}\n" for text in wrong))
    sys.stdout.flush()
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
