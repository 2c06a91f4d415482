"""`evokd score`: its options, what they must be, and where its table goes."""

import argparse
import os
import sys
from pathlib import Path

from hostd import options
from hostd.errors import UsageError

TOLD_EVERY = 10
"""Into a log goes a line of progress every so many stories; a terminal has a bar."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `evokd score`."""
    parser.add_argument("--json", metavar="FILE", help="write every number there, - for standard output")
    parser.add_argument("--stories", type=int, default=240, metavar="N", help="how many (default 240)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, other stories")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes (default: processors)")
    parser.add_argument("--no-vitals", action="store_true", help="nobody posts vitals")
    parser.add_argument(
        "--write", type=Path, metavar="DIR", help="write the recordings and truths there instead"
    )


def run(args: argparse.Namespace) -> int:
    """Play, score and print, or write the recordings: 0 when every bar is met. Raises UsageError."""
    if args.stories < 1 or args.seed < 0 or args.workers < 0:
        raise UsageError("--stories is 1 or more, --seed and --workers are 0 or more")
    if args.json not in (None, "-"):
        options.writable(Path(args.json))  # before an hour of work
    from rich.console import Console  # after what costs nothing to refuse
    from rich.progress import Progress

    from hostd.score import board

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("stories", total=args.stories)

        def one_more() -> None:
            progress.advance(task)
            done = round(progress.tasks[task].completed)
            if not console.is_terminal and done % TOLD_EVERY == 0:
                sys.stderr.write(f"{done} of {args.stories} stories\n")
                sys.stderr.flush()

        if args.write is not None:
            for number in range(args.stories):
                board.write(number, args.seed, args.write)
                one_more()
            return 0
        workers = args.workers or os.cpu_count() or 1
        played = board.played(args.stories, args.seed, workers, not args.no_vitals, one_more)
    found = board.board(played, args.seed)
    if args.json == "-":
        sys.stdout.write(board.as_json(found) + "\n")
    else:
        sys.stdout.write(board.as_text(found) + "\n")
        if args.json is not None:
            options.written(Path(args.json), board.as_json(found))
    return 0 if found.ok else 1
