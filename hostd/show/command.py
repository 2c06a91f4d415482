"""`evokd show`: what was asked for, wired together: the screen or lines, and the sound.

Falls back to lines where there is no terminal that can hold a screen, and says so.
"""

import argparse
import getpass
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hostd import options
from hostd.errors import UsageError
from hostd.keys import Secret
from hostd.signals import stop_event

if TYPE_CHECKING:  # every `evokd` reads this module for its options; what they need is imported when they run
    from hostd.show.ear import Ear
    from hostd.show.player import Player
    from hostd.show.sound import Sound

PARTS = ("emg", "alarms")
DUMB = ("", "dumb", "unknown")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `evokd show`."""
    options.bus_option(parser)
    options.client_keys_options(parser)
    parser.add_argument(
        "--test", metavar="NAME", help="begin with this test; with --plain: of this test alone"
    )
    parser.add_argument("--plain", action="store_true", help="a line for each thing that changes, no screen")
    parser.add_argument("--audio", metavar="emg,alarms", help="sound: of muscles, of alarms, or both")
    parser.add_argument(
        "--player", metavar="CMD", help="a program that plays raw s16le 8 kHz mono from stdin; - for stdout"
    )
    parser.add_argument("--audio-out", type=Path, metavar="FILE", help="write the samples there instead")


def run(args: argparse.Namespace) -> int:
    """Show the case until told to stop. Raises UsageError for options that make no sense."""
    from hostd.route import Route, buses
    from hostd.show.ear import Ear
    from hostd.show.sound import Sound

    key = options.client_key(args)
    route = Route(buses(args.bus), key)
    player = _player(args)
    sound = None if player is None else Sound(_parts(args.audio), player)
    lines = sys.stderr if args.player == "-" else sys.stdout
    plain = args.plain or not lines.isatty()
    if not plain and (why := unfit(os.environ, lines)):
        sys.stderr.write(f"evokd show: {why}; showing lines instead (--plain)\n")
        plain = True
    ear = Ear(route, key, _author(key), None if sound is None else sound.hear)
    ear.start()
    if sound is not None:
        sound.start()
    try:
        if plain:
            return _lines(args, ear, sound, lines)
        return _screen(args, ear, sound)
    finally:
        ear.stop()
        if sound is not None:
            sound.stop()


def unfit(environ: Mapping[str, str], stream: TextIO) -> str:
    """Why a terminal cannot hold the screen, "" when it can."""
    if environ.get("TERM", "") in DUMB:
        return f"a terminal of TERM={environ.get('TERM', '')!r} cannot place a cursor"
    if (stream.encoding or "").lower().replace("-", "") not in ("utf8", "utf8sig"):
        return f"curves need UTF-8 and this terminal is said to take {stream.encoding}; set LANG=C.UTF-8"
    if sys.__stderr__ is None or not sys.__stderr__.isatty():  # Textual draws there
        return "the screen needs standard error on the terminal too"
    return ""


def _parts(said: str | None) -> frozenset[str]:
    parts = frozenset(filter(None, (word.strip() for word in (said or "").split(","))))
    if not parts or not parts <= set(PARTS):
        raise UsageError(f"--audio {said!r} is not of {', '.join(PARTS)}; write e.g. --audio emg,alarms")
    return parts


def _player(args: argparse.Namespace) -> "Player | None":
    """Where samples go, None for no sound. Raises UsageError."""
    from hostd.show.player import File, Program, command

    if args.audio is None:
        if args.player is not None or args.audio_out is not None:
            raise UsageError(
                "--player and --audio-out say where sound goes; say which with --audio emg,alarms"
            )
        return None
    _parts(args.audio)
    if args.player is not None and args.audio_out is not None:
        raise UsageError("--player and --audio-out exclude each other; give one")
    if args.audio_out is not None:
        return File(args.audio_out)
    if args.player == "-":
        if sys.stdout.isatty():
            raise UsageError(
                "--player -: samples are no text for a terminal; pipe them: | aplay -t raw -f S16_LE"
            )
        return File(sys.stdout.fileno())
    return Program(command(args.player))


def _author(key: Secret | None) -> str:
    """Who marks and acknowledges, for the record: the key's name, else the user's."""
    if key is not None:
        return key.name
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "terminal"


def _lines(args: argparse.Namespace, ear: "Ear", sound: "Sound | None", out: TextIO) -> int:
    from hostd.show.plain import Teller, tell

    stop = stop_event(supervised=False)
    try:
        tell(ear, Teller(args.test), out, stop, str if sound is None else lambda: sound.state)
    except BrokenPipeError:
        # Who read has gone: that is an end like another, and nothing is left to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    return 0


def _screen(args: argparse.Namespace, ear: "Ear", sound: "Sound | None") -> int:
    from hostd.show.app import Show
    from hostd.show.view import View

    # The terminal is gone: what still wants to write to it would wait for ever; nothing is left to put back.
    signal.signal(signal.SIGHUP, lambda *_: os._exit(0))
    app = Show(ear, View(chosen=args.test), sounding=str if sound is None else lambda: sound.state)
    app.run()
    return app.return_code or 0
