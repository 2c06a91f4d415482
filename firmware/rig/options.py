"""The rig's command line: what is on the board, how it is wired, what the electrodes see.

Owns option names and their checks, one line each; refuses to run anything.
"""

import argparse
import math
import os
import re
import time
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from firmware.command_line import Parser
from firmware.errors import ConfigError
from firmware.rig.bodies import PatientBody, Ramp, RecordingBody, Steady, check_sites
from firmware.rig.faults import Faults
from firmware.rig.lines import N_LINES
from firmware.rig.setup import DEFAULT_GPIO, RigOptions
from firmware.rig.wires import Wiring
from hw.board import lines_of
from hw.chips import CHIPS, ChipSpec
from hw.model.board import BoardModel, BoardSetup, Body
from hw.model.board_setup import MAX_CHIPS
from hw.model.scenario import NO_CHANGE, Scenario, parse_scenario

DEFAULT_SITES: Final = "left median,right median,left tibial,right tibial"
LOCKSTEP_AHEAD_NS: Final = 10**15
"""In lockstep every stamp lies in the future (11 days), so that no program finds an edge older than its clock
says it may be: how long this machine took is not the board's business.
"""
_HELP = "Run PROGRAM on simulated SPI and GPIO device nodes, served by the model of the board."


def parser() -> argparse.ArgumentParser:
    """All options; `program` is what follows `--`."""
    p = Parser(prog="python -m firmware.rig", description=_HELP)
    p.add_argument(
        "--chips", default="ADS1299", metavar="A,B", help=f"{', '.join(CHIPS)}; one chip select each"
    )
    p.add_argument("--spi", default="0.0", metavar="BUS.SELECT", help="of the first chip (/dev/spidev0.0)")
    p.add_argument(
        "--spi-max-hz", type=int, default=0, metavar="HZ", help="the controller's fastest clock (0: any)"
    )
    p.add_argument("--drdy", default="17", metavar="N,M", help="data-ready lines, chip by chip")
    p.add_argument("--daisy", action="store_true", help="the chips are a chain: one select, one data-ready")
    p.add_argument("--daisy-gap", type=int, choices=(0, 1), metavar="BITS", help="between its frames: 0 or 1")
    p.add_argument("--start", type=int, metavar="N", help="the line wired to START")
    p.add_argument("--reset", type=int, metavar="N", help="the line wired to RESET")
    p.add_argument("--pwdn", type=int, metavar="N", help="the line wired to PWDN")
    p.add_argument(
        "--cs-gpio",
        default="",
        metavar="N,M",
        help="chip selects that the program drives; - for one of CE0.. (=-,19)",
    )
    p.add_argument("--stim", default="22,23,24,25", metavar="N,..", help="stimulus lines 1 to 4 (none: -)")
    p.add_argument("--sites", default=DEFAULT_SITES, metavar="A,..", help="what the stimulus lines stimulate")
    p.add_argument("--label", help="of both GPIO chips, instead of a Pi 4's and a Pi 5's")
    p.add_argument(
        "--kernel", action="store_true", help="nodes of this machine's kernel: gpio-sim and CUSE, real time"
    )
    pace = p.add_mutually_exclusive_group()
    pace.add_argument("--lockstep", action="store_true", help="edges follow the program's reading (default)")
    pace.add_argument("--realtime", action="store_true", help="edges come by the clock")
    p.add_argument("--speed", type=float, default=1.0, metavar="X", help="times real time, with --realtime")
    p.add_argument("--wire", action="store_true", help="bytes take their time on the wire")
    p.add_argument("--unpinned", action="store_true", help="lockstep on more than one processor: slower")
    p.add_argument(
        "--body", choices=("patient", "beaker", "ramp"), default="patient", help="at the electrodes"
    )
    p.add_argument("--scenario", type=Path, metavar="FILE.toml", help="what happens to the patient")
    p.add_argument(
        "--recording", type=Path, metavar="FILE", help="EDF+/BDF+ or a case, instead of the patient"
    )
    p.add_argument("--electrodes", default="", metavar="A,..", help="the patient's, channel by channel")
    p.add_argument("--seed", type=int, default=1, help="of the patient")
    p.add_argument(
        "--fault", action="append", default=[], metavar="NAME=VALUE", help="see firmware/rig/faults.py"
    )
    p.add_argument("--stats", action="store_true", help="a line of counters on stderr at the end")
    p.add_argument("program", nargs=argparse.REMAINDER, metavar="-- PROGRAM ...", help="what to run")
    return p


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The options and the command. Raises ConfigError."""
    args = parser().parse_args(argv)
    command = list(args.program)
    if command[:1] == ["--"]:
        del command[0]
    if not command:
        raise ConfigError("no program to run; write it after --, for example: -- python3 my_driver.py")
    if args.kernel and args.lockstep:
        raise ConfigError("--lockstep is not for --kernel: a kernel keeps its own time; leave it out")
    args.realtime = args.realtime or args.kernel
    if args.speed != 1.0 and not args.realtime:
        raise ConfigError("--speed belongs to --realtime; lockstep is as fast as the program")
    if not 0 < args.speed < math.inf:
        raise ConfigError(f"--speed {args.speed:g} is not a positive number")
    if args.recording and (args.scenario or args.body != "patient"):
        raise ConfigError("--recording replaces --body and --scenario; give one of them")
    if args.scenario and args.body != "patient":
        raise ConfigError(f"--scenario belongs to --body patient, not to {args.body}")
    _check_chain(args)
    return args, command


def rig_options(args: argparse.Namespace) -> RigOptions:
    """Nodes, wires and pace. Raises ConfigError."""
    count = 1 if args.daisy else len(_chips(args))
    gpio = tuple(replace(node, label=args.label) for node in DEFAULT_GPIO) if args.label else DEFAULT_GPIO
    wiring = Wiring(
        _offsets("--drdy", args.drdy, count),
        _offsets("--stim", "" if args.stim == "-" else args.stim, lines_of(len(_chips(args)))),
        _selects(args.cs_gpio),
        *(
            None if n is None else _offsets("--start, --reset and --pwdn", str(n), 1)[0]
            for n in (args.start, args.reset, args.pwdn)
        ),
    )
    _distinct(wiring)
    if wiring.selects and len(wiring.selects) != count:
        raise ConfigError(f"--cs-gpio names {len(wiring.selects)} lines for {count} chips; give one for each")
    if args.spi_max_hz < 0:
        raise ConfigError(f"--spi-max-hz {args.spi_max_hz} is below 0; give hertz, or 0 for no limit")
    cores = sorted(os.sched_getaffinity(0))
    core = None if args.realtime or args.unpinned else cores[os.getpid() % len(cores)]
    speed = args.speed if args.realtime else None
    return RigOptions(_nodes(args.spi, count), gpio, wiring, speed, core, args.wire, args.spi_max_hz)


def board(args: argparse.Namespace) -> BoardModel:
    """The board with its body, powered up now. Raises ConfigError, PortError."""
    chips = _chips(args)
    sites = check_sites([site.strip() for site in args.sites.split(",")] if args.sites else [])
    if len(sites) > (lines := lines_of(len(chips))):
        raise ConfigError(f"--sites names {len(sites)}, the board has {lines} stimulus lines")
    if args.seed < 0:
        raise ConfigError(f"--seed {args.seed} is below 0; give 0 or more")
    sites += ("",) * (lines - len(sites))
    ahead_ns = 0 if args.realtime else LOCKSTEP_AHEAD_NS
    setup = BoardSetup(chips, sites=sites, daisy=args.daisy, daisy_gap_bits=args.daisy_gap or 0)
    model = BoardModel(setup, now_ns=time.monotonic_ns() + ahead_ns)
    model.body = _body(args, sum(chip.channels for chip in chips), model)
    return model


def faults(args: argparse.Namespace) -> Faults:
    """What fails from the start. Raises ConfigError."""
    chosen = Faults()
    for text in args.fault:
        name, _, value = text.partition("=")
        wanted: object = value or True
        try:
            chosen.set(name, value.split("+") if name == "busy_lines" else wanted)
        except ValueError as error:
            raise ConfigError(f"--fault {text}: {error}") from None
    return chosen


def _body(args: argparse.Namespace, channels: int, model: BoardModel) -> Body:
    if args.recording:
        return RecordingBody(args.recording, channels, lambda: model.rate_hz)
    if args.body == "beaker":
        return Steady([0.0] * channels)
    if args.body == "ramp":
        return Ramp(channels)
    electrodes = tuple(name.strip() for name in args.electrodes.split(",")) if args.electrodes else ()
    scenario = _scenario(args.scenario) if args.scenario else NO_CHANGE
    return PatientBody(channels, lambda: model.rate_hz, args.seed, scenario, electrodes)


def _check_chain(args: argparse.Namespace) -> None:
    """What cannot be a daisy chain; that it has one data-ready line is checked with the lines."""
    if args.daisy_gap is not None and not args.daisy:
        raise ConfigError("--daisy-gap belongs to --daisy")
    if args.daisy and "," not in args.chips:
        raise ConfigError(f"--daisy: {args.chips} alone is no chain; name two chips or more with --chips")
    if args.daisy and args.cs_gpio:
        raise ConfigError("--cs-gpio is not for --daisy: a chain has one select, the controller's own")


def _scenario(path: Path) -> Scenario:
    try:
        return parse_scenario(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"--scenario {path}: {error.strerror}; check the path") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError) as error:
        raise ConfigError(f"--scenario {path}: {error}") from None


def _chips(args: argparse.Namespace) -> tuple[ChipSpec, ...]:
    names = [name.strip() for name in args.chips.split(",")]
    for name in names:
        if name not in CHIPS:
            raise ConfigError(f"--chips: {name!r} is unknown; use {', '.join(CHIPS)}")
    if len(names) > MAX_CHIPS:
        raise ConfigError(f"--chips names {len(names)}, a board has {MAX_CHIPS} at most")
    return tuple(CHIPS[name] for name in names)


def _nodes(address: str, count: int) -> tuple[str, ...]:
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", address)
    if found is None:
        raise ConfigError(f"--spi {address!r} is not BUS.SELECT; write for example 0.0")
    bus, first = int(found[1]), int(found[2])
    return tuple(f"spidev{bus}.{first + k}" for k in range(count))


def _offsets(option: str, text: str, most: int) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isdecimal() and int(part) < N_LINES for part in parts):
        raise ConfigError(
            f"{option} {text!r}: lines are numbers from 0 to {N_LINES - 1}, with commas between"
        )
    if len(parts) > most:
        raise ConfigError(f"{option} names {len(parts)} lines, {most} can be wired")
    return tuple(int(part) for part in parts)


def _selects(text: str) -> tuple[int | None, ...]:
    """--cs-gpio: a line for each chip, - for one on the controller's own select. Raises ConfigError."""
    parts = [part.strip() for part in text.split(",")] if text else []
    return tuple(None if part == "-" else _offsets("--cs-gpio", part or "?", 1)[0] for part in parts)


def _distinct(wiring: Wiring) -> None:
    single = [n for n in (wiring.start, wiring.reset, wiring.power_down) if n is not None]
    used = [*wiring.ready, *wiring.stimuli, *single, *(n for n in wiring.selects if n is not None)]
    twice = sorted({n for n in used if used.count(n) > 1})
    if twice:
        raise ConfigError(
            f"line {twice[0]} is wired twice; give each use a line of its own (--stim - for none)"
        )
