"""`evokd flash --edge ADDRESS`: look at an edge or update it; a bar on a terminal, lines elsewhere."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from hostd.edge_update import asked, check_link, opened, running, update
from hostd.errors import LinkError, UsageError
from hostd.options import Parser


class _Terminal:
    """Lines, and a bar where there is a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def say(self, topic: str, text: str) -> None:
        """See Shown."""
        self._progress.console.print(f"{topic + ':':10}{text}", markup=False, highlight=False, soft_wrap=True)

    def sent(self, done: int, of: int) -> None:
        """See Shown."""
        if self._task is None:
            self._task = self._progress.add_task("sending", total=of)
        self._progress.update(self._task, completed=done)


def _parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="evokd flash --edge",
        description="Put a signed update on an edge, over its link. What runs is not touched: the "
        "update goes beside it, is verified, tried, and given up for what ran before unless it comes up.",
    )
    p.add_argument(
        "--edge", required=True, metavar="ADDRESS", help="tcp:HOST:PORT, serial:DEVICE or unix:PATH"
    )
    p.add_argument("--bundle", type=Path, metavar="FILE", help="as evokd bundle made and signed it")
    p.add_argument(
        "--other-link", action="store_true", help="also when this machine's evokd speaks another link than it"
    )
    p.add_argument("--check", action="store_true", help="show what runs there and change nothing")
    return p


def main(words: Sequence[str]) -> int:
    """Update or look; the process's exit code. Raises EvokdError."""
    args = _parser().parse_args(words)
    if args.check == (args.bundle is not None):
        raise UsageError("flash --edge wants either --bundle FILE or --check; give one of them")
    if args.check:
        _, state = asked(args.edge)
        trial = ", on trial" if state.trial else ""
        last = f"\nlast:     {state.text}" if state.text else ""
        sys.stdout.write(f"edge:     {args.edge}, evokd {running(state)}{trial}{last}\n")
        return 0
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(file=sys.stdout)
    with (
        opened(args.bundle) as bundle,
        Progress(*columns, console=console, disable=not console.is_terminal) as bar,
    ):
        if not args.other_link:
            check_link(bundle.manifest)
        try:
            update(args.edge, bundle, _Terminal(bar))
        except KeyboardInterrupt:
            raise LinkError("stopped before the end; the same command goes on where it was") from None
    return 0
