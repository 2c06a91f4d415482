"""`python -m firmware`: the edge as a process. Exit 0 done, 1 a fault, 2 bad configuration."""

import argparse
import contextlib
import math
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from firmware.command_line import Parser
from firmware.errors import ConfigError, EdgeError
from firmware.loop import COMPILES
from firmware.notify import Supervisor
from firmware.server import Server
from firmware.session import STAGE_S
from firmware.transport import Listener
from firmware.update.launched import launched
from firmware.update.talk import Updates
from hw.stages import Stages

STDIN = 0


def parser() -> argparse.ArgumentParser:
    """The edge's options."""
    p = Parser(prog="python -m firmware", description="The acquisition and stimulation edge.")
    p.add_argument("--source", default="simulated", help="simulated, pi or file:RECORDING")
    p.add_argument(
        "--link", required=True, help="where hosts connect: unix:PATH, tcp:HOST:PORT or serial:URL"
    )
    p.add_argument("--speed", default="1", help="times real time, or max")
    p.add_argument("--seconds", type=float, help="end after so many seconds of samples")
    p.add_argument("--seed", type=int, default=1, help="of the simulated patient")
    p.add_argument("--scenario", type=Path, help="TOML file of what happens to the simulated patient")
    p.add_argument("--wiring", type=Path, help="TOML file of the board's pins, for --source pi")
    p.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    return p


def parse_speed(text: str) -> float | None:
    """None for max. Raises ConfigError unless a positive number."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < 1e6:
        raise ConfigError(f"--speed {text!r} is neither a positive number nor max")
    return speed


def _until_eof(stop: threading.Event) -> None:
    with contextlib.suppress(OSError):  # closed from the start: nobody supervises
        while os.read(STDIN, 1):
            pass
    stop.set()


def _stop_event(supervised: bool) -> threading.Event:
    """Set by SIGTERM and SIGINT; a supervised edge leaves Ctrl-C to its supervisor and ends with it."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if supervised:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_until_eof, args=(stop,), name="supervisor", daemon=True).start()
    else:
        signal.signal(signal.SIGINT, lambda *_: stop.set())
    return stop


def _say(line: str) -> None:
    sys.stderr.write(f"evokd edge: {line}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the edge until its source ends or a signal comes."""
    try:
        args = parser().parse_args(argv)
        stop = _stop_event(args.supervised)
        if args.seconds is not None and not 0 < args.seconds < math.inf:
            raise ConfigError(f"--seconds {args.seconds:g} is not a positive number")
        speed = parse_speed(args.speed)
        if COMPILES and "firmware.loop.pulses" not in sys.modules:
            _say("compiling the sample loop for this machine, once; this takes some seconds")
        # Not above: it is this import that compiles.
        from firmware.compose import EdgeOptions, build

        options = EdgeOptions(args.source, speed, args.seconds, args.seed, args.scenario, args.wiring)
        source = build(options, _say)
        by = launched()
        updates = Updates(by)
        listener = Listener(args.link)
        try:
            if by is not None and (line := by.confirm()):
                _say(line)
            server = Server(source, listener, stop, Supervisor(Stages(STAGE_S)), updates)
            server.run()
        finally:
            listener.close()
        if by is not None and updates.installed and server.finished:
            _say("starting anew from the slot that was updated")
            by.start_anew()
    except EdgeError as error:
        _say(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
