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
from firmware.doctor.machine import Machine, this_machine
from firmware.doctor.table import Table
from firmware.doctor.verdict import Verdict, judge
from firmware.errors import ConfigError, EdgeError

PAPER_WIDTH = 100
"""Columns where there is no terminal to ask."""


def parser() -> argparse.ArgumentParser:
    """The doctor's options."""
    p = Parser(prog="python -m firmware.doctor", description="Is this machine fit to be an edge?")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the findings there too")
    p.add_argument(
        "--data", type=Path, default=Path(), metavar="DIR", help="where cases are recorded (default: here)"
    )
    return p


def main(argv: Sequence[str] | None = None, machine: Machine | None = None) -> int:
    """Examine `machine` (this one unless given); the process's exit code."""
    try:
        args = parser().parse_args(argv)
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
