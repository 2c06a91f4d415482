"""`evokd client-check [-- PROGRAM ...]`: its options, the program under check, the exit code."""

import argparse
import contextlib
import os
import subprocess
import sys
import threading

from hostd.endpoints import DEFAULT_BUS, must_have_keys
from hostd.errors import UsageError

PLACE = "{bus}"
WAIT_S = 60.0
ENDS_S = 3.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `evokd client-check`."""
    text = f"where the checking bus is (default {DEFAULT_BUS})"
    parser.add_argument("--bus", default=DEFAULT_BUS, help=text)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="other numbers in the arrays")
    text = f"for the client to come (default {WAIT_S:g})"
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="S", help=text)
    parser.add_argument("--show", action="store_true", help="what the program prints, too")
    text = (
        "the client, started with the bus's address as its last argument, or in place of {bus}; without "
        "one, start yours by hand"
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="-- PROGRAM", help=text)


def run(args: argparse.Namespace, stop: threading.Event) -> int:
    """Check one client: 0 when every step is passed. Raises UsageError and BusError."""
    if not 1 <= args.wait <= 3600:
        raise UsageError(f"--wait {args.wait:g} is not 1 to 3600 s")
    if args.seed < 0:
        raise UsageError(f"--seed {args.seed} is not 0 or more")
    must_have_keys(args.bus)
    from hostd.client_check.stage import Stage
    from hostd.client_check.steps import Check

    words = args.program[1:] if args.program[:1] == ["--"] else args.program
    stage = Stage(args.bus, args.seed)
    try:
        with contextlib.ExitStack() as ending:
            program = _started(words, args.bus, args.show, ending) if words else None
            if program is None:
                sys.stdout.write(f"waiting at {args.bus}: start your client now\n")
                sys.stdout.flush()
            ok = True
            for finding in Check(stage, lambda: _gone(program, stop)).run(args.wait):
                ok = ok and bool(finding.ok)
                sys.stdout.write(finding.line + "\n")
                sys.stdout.flush()
    finally:
        stage.close()
    return 0 if ok else 1


def _gone(program: "subprocess.Popen[bytes] | None", stop: threading.Event) -> str:
    """Why the client will not report any more; "" while it may."""
    if stop.is_set():
        return "the check was stopped"
    if program is None or (code := program.poll()) is None:
        return ""
    return f"the client has ended, exit code {code}"


def _started(
    words: list[str], bus: str, show: bool, ending: contextlib.ExitStack
) -> "subprocess.Popen[bytes]":
    """The client, which ends with the check. Raises UsageError where it cannot be started."""
    placed = [word.replace(PLACE, bus) for word in words]
    command = placed if placed != words else [*words, bus]
    try:
        program = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=None if show else subprocess.DEVNULL,
            env=os.environ | {"EVOKD_BUS": bus},
        )
    except OSError as error:
        raise UsageError(f"cannot start {words[0]}: {error.strerror}; name a program after --") from None
    ending.callback(_end, program)
    return program


def _end(program: "subprocess.Popen[bytes]") -> None:
    program.terminate()
    try:
        program.wait(ENDS_S)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
