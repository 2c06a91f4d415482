"""`evokd replay`: every message as a line, or whether it is what was said live, or another case beside it.

Owns what the options mean together and the exit code; the work is done by `replay`, `fingerprint`, `rerun`.
"""

import argparse
import sys
from pathlib import Path

from hostd import casefile, rerun
from hostd.errors import EvokdError, RecordingError, UsageError
from hostd.fingerprint import kept, verdict
from hostd.replay import Replay, write_lines


def run(args: argparse.Namespace) -> int:
    """What was asked for. 0: done, or equal; raises RecordingError (1) where a replay differs from what was
    said live, UsageError (2) where nothing is known of that."""
    if args.verify:
        return _verify(args)
    if args.compare or args.json:
        return _compare(args)
    case = None if args.case is None else casefile.load(args.case, recorded=True)
    with Replay(args.recording, case, str(args.case)) as replay:
        if args.out is None:
            write_lines(replay, sys.stdout)
            return 0
        try:
            with args.out.open("w", encoding="utf-8") as out:
                write_lines(replay, out)
        except EvokdError:  # a recording that cannot be read on is an OSError too
            raise
        except OSError as error:
            raise UsageError(f"--out {args.out}: {error.strerror}; choose another file") from None
    return 0


def _verify(args: argparse.Namespace) -> int:
    if args.case or args.out or args.compare or args.json:
        raise UsageError(
            "--verify replays a case as recorded and writes nothing; leave the other options out"
        )
    recording: Path = args.recording
    folder = recording if recording.is_dir() else recording.parent
    if recording.exists():
        kept(folder)  # said before a foreign recording is asked for a case file
    with Replay(recording) as replay:
        equal, line = verdict(folder, replay.messages(), replay.end_index)
    if not equal:
        raise RecordingError(line)
    sys.stdout.write(f"{line}\n")
    return 0


def _compare(args: argparse.Namespace) -> int:
    if args.case is None or not args.compare or args.out:
        raise UsageError("a comparison is RECORDING --case CASE.toml --compare [--json FILE], without --out")
    other = casefile.load(args.case, recorded=True)
    compared = rerun.compare(args.recording, other, str(args.case))
    if args.json != "-":
        sys.stdout.write("".join(f"{line}\n" for line in rerun.lines(compared)))
    if args.json is None:
        return 0
    text = rerun.as_json(compared) + "\n"
    if args.json == "-":
        sys.stdout.write(text)
        return 0
    try:
        Path(args.json).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--json {args.json}: {error.strerror}; choose another file") from None
    return 0
