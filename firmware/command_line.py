"""What the edge's programs share on the command line: one line for what is wrong, and a way out by signal."""

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from firmware.errors import ConfigError, EdgeError


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, like everything else."""

    def error(self, message: str) -> NoReturn:
        """Raises ConfigError."""
        raise ConfigError(f"{message}; see {self.prog} --help")


class StoppedError(EdgeError):
    """A signal came before the end."""


@contextmanager
def stopping_by_signal() -> Iterator[None]:
    """The first signal leaves through the front door: outputs go low, devices are given back, files removed.

    Raises StoppedError; later signals are ignored until then.
    """

    def stop(number: int, _frame: object) -> NoReturn:
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        raise StoppedError(f"stopped by {signal.Signals(number).name} before the end")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
