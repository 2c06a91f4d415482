"""`python -m firmware.doctor`: look, say, judge. Exit 0 fit, 1 when something fails, 2 for bad options.

Wires machine, checks and table together; one line on stderr for whatever goes wrong, never a traceback.
"""

import argparse
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from firmware.command_line import Parser, stopping_by_signal
from firmware.doctor.boot import raspberry
from firmware.doctor.checks import examine
from firmware.doctor.findings import Row, State
from firmware.doctor.fix import BACKUP, fixes, write
from firmware.doctor.machine import Machine, machine_at, this_machine
from firmware.doctor.table import Table
from firmware.doctor.verdict import Verdict, judge
from firmware.errors import ConfigError, EdgeError
from firmware.wiring import Wiring, read_wiring

PAPER_WIDTH = 100
"""Columns where there is no terminal to ask."""


def parser() -> argparse.ArgumentParser:
    """The doctor's options."""
    p = Parser(prog="python -m firmware.doctor", description="Is this machine fit to be an edge?")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the findings there too")
    p.add_argument(
        "--data", type=Path, default=Path(), metavar="DIR", help="where cases are recorded (default: here)"
    )
    p.add_argument("--fix", action="store_true", help="write a Pi's boot files as they should be (as root)")
    p.add_argument("--dry-run", action="store_true", help="with --fix: say what would be written")
    p.add_argument("--root", type=Path, metavar="DIR", help="with --fix: of a system that is elsewhere")
    p.add_argument("--wiring", type=Path, metavar="FILE.toml", help="with --fix: the board's chip selects")
    return p


def main(argv: Sequence[str] | None = None, machine: Machine | None = None) -> int:
    """Examine `machine` (this one unless given); the process's exit code."""
    try:
        args = parser().parse_args(argv)
        if args.fix:
            return _fix(args, machine)
        for name in ("root", "wiring", "dry_run"):
            if getattr(args, name):
                raise ConfigError(f"--{name.replace('_', '-')} belongs to --fix")
        _check_data(args.data)
        with stopping_by_signal(), _report(args.json) as report:
            return _examine(machine or this_machine(args.data), sys.stdout, report)
    except BrokenPipeError:
        return 1
    except EdgeError as error:
        sys.stderr.write(f"evokd doctor: {error}\n")
        return error.exit_code


def as_json(machine: Machine, rows: Sequence[Row], verdict: Verdict) -> dict[str, Any]:
    """The report: machine, every check with its figures, verdict."""
    pi = raspberry(machine)
    return {
        "machine": {
            "model": pi.model if pi else "",
            "soc": pi.soc if pi else "",
            "kernel": machine.text("/proc/sys/kernel/osrelease") or "",
            "architecture": machine.architecture,
            "user": machine.user.name,
            "data": str(machine.data),
        },
        "checks": [
            {
                "name": row.check.name,
                "topic": row.check.topic,
                "state": str(row.state),
                "found": row.finding.found,
                "why": row.check.why,
                "cure": row.finding.cure,
                "commands": list(row.finding.commands),
                "figures": dict(row.finding.figures),
            }
            for row in rows
        ],
        "verdict": {
            "fitness": str(verdict.fitness),
            "text": verdict.text,
            "reasons": list(verdict.reasons),
        },
    }


def _fix(args: argparse.Namespace, machine: Machine | None) -> int:
    """Raises EdgeError."""
    if args.root is not None and not args.root.is_dir():
        raise ConfigError(f"--root {args.root} is no folder; name the system's root")
    wiring = Wiring() if args.wiring is None else read_wiring(args.wiring)
    on = machine or (this_machine(args.data) if args.root is None else machine_at(args.root, args.data))
    wanted = fixes(on, wiring.spi)
    sys.stdout.writelines(f"{line}\n" for fix in wanted for line in fix.lines)
    if args.dry_run:
        return 0
    if write(on, wanted):
        sys.stdout.write(f"written; as they were before: *{BACKUP}. To make it hold: sudo reboot\n")
    else:
        sys.stdout.write("nothing to write\n")
    return 0


def _examine(machine: Machine, out: TextIO, report: TextIO | None) -> int:
    table = Table(shutil.get_terminal_size((PAPER_WIDTH, 24)).columns, _coloured(out))
    rows: list[Row] = []
    for row in examine(machine):
        rows.append(row)
        out.writelines(f"{line}\n" for line in table.row(row))
        out.flush()
    verdict = judge(rows, raspberry(machine) is not None)
    if report is not None:
        json.dump(as_json(machine, rows, verdict), report, indent=1, ensure_ascii=False)
        report.write("\n")
    out.writelines(f"{line}\n" for line in table.verdict(verdict, rows))
    out.flush()
    return int(any(row.state is State.FAIL for row in rows))


def _coloured(out: TextIO) -> bool:
    return out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _check_data(path: Path) -> None:
    """Raises ConfigError for what is no folder; one that is closed or not there yet is for the checks."""
    with suppress(OSError):
        if not stat.S_ISDIR(path.stat().st_mode):
            raise ConfigError(f"--data {path} is not a directory; name one")


@contextmanager
def _report(path: Path | None) -> Iterator[TextIO | None]:
    """The report's file, opened before anything is measured. Raises ConfigError."""
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {path}: {error.strerror}; choose another file") from None
    with file:
        yield file


if __name__ == "__main__":
    sys.exit(main())
