"""`python -m firmware.flash`: put this version on a board. Exit 0 it is there, 1 a fault, 2 for bad options.

With --check exit 1 also means that something else is there. Wires options, board and terminal
together; whatever goes wrong is one line on stderr, no traceback.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware.command_line import Parser, StoppedError, stopping_by_signal
from firmware.errors import ConfigError, EdgeError
from firmware.flash.course import Course, wanted
from firmware.flash.interpreter import load
from firmware.flash.places import Machine
from firmware.pico import image

ABOUT = """Put evokd on a Raspberry Pi Pico, or bring it up to date.

The set that runs is not touched: the new one goes beside it, is read back, tried once, and only then kept.
Power may fail and the cable may come off at any time; the same command goes on where it was.
An edge that is a process on its own box is updated over its link: evokd flash --edge ADDRESS --help."""

EXAMPLES = """examples:
  evokd flash --check               what is on the board?
  evokd flash                       our files, by USB
  evokd flash --interpreter RPI_PICO-20240105-v1.22.1.uf2 --sha256 HEX
                                    a new board, plugged in with BOOTSEL held down
"""


def parser() -> argparse.ArgumentParser:
    """The options of `evokd flash`."""
    p = Parser(
        prog="evokd flash",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--port", metavar="DEVICE", help="the board's serial port (default: the only one there is)"
    )
    p.add_argument("--drive", type=Path, metavar="DIR", help="where a board in BOOTSEL mode is mounted")
    p.add_argument(
        "--interpreter",
        type=Path,
        metavar="FILE.uf2",
        help="MicroPython for the board's chip, put there first",
    )
    p.add_argument("--sha256", metavar="HEX", help="of that file (default: what stands in FILE.uf2.sha256)")
    p.add_argument("--check", action="store_true", help="show what is on the board and change nothing")
    p.add_argument("--yes", action="store_true", help="replace a main.py that is not evokd's")
    return p


def main(argv: Sequence[str] | None = None, machine: Machine | None = None) -> int:
    """Flash or check; the process's exit code."""
    try:
        args = parser().parse_args(argv)
        if args.check and (args.interpreter or args.sha256 or args.yes):
            raise ConfigError("--check changes nothing; leave --interpreter, --sha256 and --yes out")
        if args.sha256 and not args.interpreter:
            raise ConfigError("--sha256 belongs to --interpreter; give both")
        with stopping_by_signal():
            return _flash(args, machine or Machine())
    except BrokenPipeError:
        return 1
    except EdgeError as error:
        _take_back()
        cure = "; the same command goes on where it was" if isinstance(error, StoppedError) else ""
        sys.stderr.write(f"evokd flash: {error}{cure}\n")
        return error.exit_code


def _flash(args: argparse.Namespace, machine: Machine) -> int:
    interpreter = None if args.interpreter is None else load(args.interpreter, args.sha256)
    course = Course(machine, wanted(image.build(), image.starter()), _say, _progress)
    place = machine.choose(args.port, args.drive)
    if args.check:
        same = course.check(place)
        _say("verdict", "up to date" if same else "evokd flash would change it")
        return int(not same)
    course.flash(place, interpreter, args.yes)
    return 0


def _say(topic: str, text: str) -> None:
    _take_back()
    sys.stdout.write(f"{topic + ':':10}{text}\n")
    sys.stdout.flush()


def _progress(what: str, done: int, of: int) -> None:
    """Where a line can be taken back."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\x1b[K{what}: {100 * done // max(of, 1)} %")
        sys.stdout.flush()


def _take_back() -> None:
    if sys.stdout.isatty():
        sys.stdout.write("\r\x1b[K")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
