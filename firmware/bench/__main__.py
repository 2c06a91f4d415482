"""`python -m firmware.bench`: measure, judge, report. Exit 0 all pass, 1 any fail, 2 for bad options.

Wires box, items, terminal and reports together; whatever goes wrong is one line on stderr, no traceback.
"""

import argparse
import json
import math
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from firmware.bench.bench import Bench
from firmware.bench.box import Box
from firmware.bench.campaign import Round, campaign
from firmware.bench.items import ITEMS, NAMES, Item
from firmware.bench.page import as_html
from firmware.bench.report import as_json
from firmware.bench.rig_board import break_board, on_rig
from firmware.bench.run import Row, run, verdict_of
from firmware.bench.sources import Plugged, linux_box, simulated_board, simulated_box
from firmware.bench.table import Table
from firmware.bench.verdicts import Verdict
from firmware.command_line import Parser, stopping_by_signal
from firmware.errors import ChipError, ConfigError, EdgeError, PortError
from firmware.held import as_json as held_as_json
from firmware.held import machine_identity, write_held
from firmware.wiring import Wiring, read_wiring
from hw.chips import RATES_HZ
from hw.model.faults import Fault, FaultKind

PAPER_WIDTH = 110
"""Columns where there is no terminal to ask."""
FAULTS = tuple(str(kind) for kind in FaultKind)
MOST_CHIPS = 4


def parser() -> argparse.ArgumentParser:
    """The bench's options."""
    p = Parser(prog="python -m firmware.bench", description="Hardware self-test against datasheet limits.")
    p.add_argument("--source", choices=("simulated", "pi"), default="simulated")
    p.add_argument("--wiring", type=Path, metavar="FILE", help="the board's wiring, for --source pi")
    p.add_argument(
        "--rate", type=float, default=1000.0, metavar="HZ", help="of the items about time and loss"
    )
    p.add_argument("--quick", action="store_true", help="fewer samples, pulses and power-ups")
    p.add_argument("--items", metavar="A,B", help=f"only these: {', '.join(NAMES)}")
    p.add_argument("--soak", type=int, metavar="N", help="samples of the soak")
    p.add_argument(
        "--leads", choices=("open", "dummy"), help="what is plugged in: nothing, or a resistor each"
    )
    p.add_argument(
        "--lead-ohm", type=float, metavar="OHM", help="from each lead to the reference, at the pins"
    )
    p.add_argument("--pins-free", action="store_true", help="nothing drives the first chip's GPIO pins")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--chips", type=int, default=1, metavar="N", help="of the simulated box")
    p.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[:CHIP[:CHANNEL[:VALUE]]]",
        help=f"break the simulated box, counted from 1: {', '.join(FAULTS)}",
    )
    p.add_argument("--campaign", type=int, metavar="N", help="N sound simulated boxes, which must all pass")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    p.add_argument("--html", type=Path, metavar="FILE", help="write it as a page with plots")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench; the process's exit code."""
    try:
        args = parser().parse_args(argv)
        items = _check(args)
        with stopping_by_signal(), ExitStack() as stack:
            reports = _Reports(*(_opened(stack, args, name) for name in ("json", "html")))
            if args.campaign is not None:
                return _campaign(args, items)
            return _bench(args, items, reports)
    except BrokenPipeError:
        return 1
    except EdgeError as error:
        sys.stderr.write(f"evokd bench: {error}\n")
        return error.exit_code


@dataclass(frozen=True, slots=True)
class _Reports:
    json: TextIO | None
    html: TextIO | None


def _check(args: argparse.Namespace) -> tuple[Item, ...]:
    """The items asked for; ConfigError for options that do not go together."""
    if args.source == "pi":
        for name, given in (
            ("--fault", args.fault and not on_rig()),
            ("--campaign", args.campaign),
            ("--chips", args.chips > 1),
        ):
            if given:
                raise ConfigError(f"{name} belongs to --source simulated: a real board is as it is")
    elif args.wiring or args.leads or args.lead_ohm or args.pins_free:
        raise ConfigError("--wiring, --leads, --lead-ohm and --pins-free belong to --source pi")
    if args.rate not in RATES_HZ:
        raise ConfigError(f"--rate {args.rate:g} is none of {', '.join(f'{r:g}' for r in RATES_HZ)}")
    if not 1 <= args.chips <= MOST_CHIPS:
        raise ConfigError(f"--chips {args.chips}: a board has 1 to {MOST_CHIPS}")
    if args.lead_ohm is not None and not 0 < args.lead_ohm < 1e6:
        raise ConfigError(f"--lead-ohm {args.lead_ohm:g} is not within 0 to 1,000,000")
    for name, least, value in (("--soak", 8, args.soak), ("--campaign", 1, args.campaign)):
        if value is not None and value < least:
            raise ConfigError(f"{name} {value}: give {least} or more")
    if args.items is None:
        return ITEMS
    wanted = [name.strip() for name in args.items.split(",")]
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        raise ConfigError(f"--items {unknown[0]!r} is none of {', '.join(NAMES)}")
    return tuple(item for item in ITEMS if item.name in wanted)


def parse_fault(text: str) -> Fault:
    """NAME[:CHIP[:CHANNEL[:VALUE]]], chip and channel counted from 1. Raises ConfigError."""
    name, *rest = text.split(":")
    if name not in FAULTS:
        raise ConfigError(f"--fault {name!r} is none of {', '.join(FAULTS)}")
    try:
        numbers = [int(part) for part in rest[:2]]
        value = float(rest[2]) if len(rest) > 2 else None
    except ValueError:
        raise ConfigError(f"--fault {text!r} is not NAME[:CHIP[:CHANNEL[:VALUE]]]") from None
    if len(rest) > 3 or (value is not None and not math.isfinite(value)):
        raise ConfigError(f"--fault {text!r} is not NAME[:CHIP[:CHANNEL[:VALUE]]]")
    chip, channel = [*numbers, *(1, 1)[len(numbers) :]]
    # A register that has a bit for every channel, so that the channel says which.
    return Fault(FaultKind(name), chip - 1, channel - 1, value, 0x0D)


def _box(args: argparse.Namespace) -> Box:
    if args.source == "pi":
        wiring = Wiring() if args.wiring is None else read_wiring(args.wiring)
        leads = None if args.leads is None else args.leads == "dummy"
        box = linux_box(wiring, Plugged(leads, args.lead_ohm, args.pins_free))
        for text in args.fault:
            break_board(parse_fault(text))
        return box
    board = simulated_board(args.seed, args.chips)
    box = simulated_box(board)
    try:
        for text in args.fault:
            board.apply(parse_fault(text))
    except (ValueError, IndexError) as error:
        raise ConfigError(f"--fault {error}") from None
    return box


def _bench(args: argparse.Namespace, items: Sequence[Item], reports: _Reports) -> int:
    out = sys.stdout
    table = Table(shutil.get_terminal_size((PAPER_WIDTH, 24)).columns, _coloured(out))
    box = _box(args)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    rows: list[Row] = []
    try:
        bench = Bench(box, args.rate, args.quick, args.seed, args.soak)
        for row in run(bench, items, lambda item: _begun(out, table, item, items)):
            rows.append(row)
            out.write("\r\x1b[K" if out.isatty() else "")
            out.writelines(f"{line}\n" for line in table.progress(row))
            out.flush()
    finally:
        box.close()
    out.writelines(f"{line}\n" for line in table.lines(rows))
    held = None if bench.held is None else held_as_json(bench.held, started)
    if bench.held is not None:
        _keep(bench, started, out)
    about = _about(args, bench, started)
    if reports.json is not None:
        json.dump(as_json(rows, about, held), reports.json, indent=1, allow_nan=False)
        reports.json.write("\n")
    if reports.html is not None:
        reports.html.write(as_html(rows, about))
    return int(verdict_of(rows) is Verdict.FAIL)


def _begun(out: TextIO, table: Table, item: Item, items: Sequence[Item]) -> None:
    """What is being measured, where a line can be taken back."""
    if out.isatty():
        out.write(table.begun(item, items.index(item) + 1, len(items)))
        out.flush()


def _keep(bench: Bench, started: str, out: TextIO) -> None:
    """What the machine holds, for the edge to refuse more."""
    if bench.held is None:
        return
    try:
        path = write_held(bench.held, started)
    except OSError as error:
        raise PortError(f"{error.filename}: {error.strerror}; set XDG_STATE_HOME") from None
    out.write(f"what this machine holds was written to {path}\n")


def _about(args: argparse.Namespace, bench: Bench, started: str) -> dict[str, Any]:
    try:
        parts = [chip.name for chip in bench.chips]
    except (ChipError, PortError):
        parts = []
    return {
        "source": args.source,
        "proves_machine": not bench.box.own_time,
        "parts": parts,
        "rate_hz": args.rate,
        "quick": args.quick,
        "seed": args.seed,
        "faults": list(args.fault),
        "wiring": "" if args.wiring is None else str(args.wiring),
        "version": metadata.version("evokd"),
        "started_utc": started,
        "machine": machine_identity(),
    }


def _campaign(args: argparse.Namespace, items: Sequence[Item]) -> int:
    def seen(one: Round) -> None:
        for row in one.complaints:
            bad = next((v for v in row.outcome.values if v.verdict in (Verdict.WARN, Verdict.FAIL)), None)
            detail = f" ({bad.what} {bad.measured:.4g} {bad.unit})" if bad else ""
            sys.stdout.write(
                f"seed {one.seed}: {row.item.name} {row.verdict}: {row.outcome.measured}{detail}\n"
            )
        sys.stdout.flush()

    rounds = campaign(args.campaign, args.seed, args.chips, args.quick, items, seen)
    passed = sum(not one.complaints for one in rounds)
    sys.stdout.write(f"{passed} of {len(rounds)} sound boxes pass\n")
    return int(passed != len(rounds))


def _coloured(out: TextIO) -> bool:
    return out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _opened(stack: ExitStack, args: argparse.Namespace, name: str) -> TextIO | None:
    """A report's file, opened before anything is measured. Raises ConfigError."""
    path: Path | None = getattr(args, name)
    if path is None:
        return None
    try:
        return stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--{name} {path}: {error.strerror}; choose another file") from None


if __name__ == "__main__":
    sys.exit(main())
