"""What a program does to the lines of a kernel's GPIO chip, told by the kernel's own trace events.

Owns one trace instance; refuses to know lines' uses. Every change of an output comes with its time, in order,
however short it was. Source: include/trace/events/gpio.h of Linux 6.
"""

import contextlib
import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from firmware.errors import PortError
from firmware.rig.kernel import mount

_TRACING: Final = Path("/sys/kernel/tracing")
_EVENT = re.compile(rb" (\d+)\.(\d{6}): gpio_(value|direction): (\d+)\s+(set|in|out) \(?(-?\d+)\)?")
_SET_ONLY: Final = "get == 0"
_PIECE: Final = 1 << 16


class OutputChange(NamedTuple):
    """At `t_ns` (CLOCK_MONOTONIC, microseconds) line `offset` was set to `level`, or made an input (None)."""

    t_ns: int
    offset: int
    level: int | None


class OutputTrace:
    """Changes of the lines from `base` on, until `close`. Raises PortError where there is no tracing."""

    def __init__(self, base: int, n_lines: int) -> None:
        self._base, self._n = base, n_lines
        self._folder = _TRACING / "instances" / f"evokd{os.getpid()}"
        self._rest = b""
        try:
            if not (_TRACING / "instances").is_dir():
                mount("tracefs", str(_TRACING), "tracefs")
            self._folder.mkdir()
            for name, text in (
                ("trace_clock", "mono"),
                ("events/gpio/gpio_value/filter", _SET_ONLY),
                ("events/gpio/gpio_value/enable", "1"),
                ("events/gpio/gpio_direction/enable", "1"),
            ):
                (self._folder / name).write_text(text, encoding="ascii")
            self._fd = os.open(self._folder / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise PortError(
                f"{error.filename or _TRACING}: {error.strerror}; the kernel needs tracing of GPIO, and root"
            ) from None

    def fileno(self) -> int:
        """Readable when something has changed."""
        return self._fd

    def changes(self) -> list[OutputChange]:
        """What has changed since the last call, in order."""
        found: list[OutputChange] = []
        while True:
            try:
                piece = os.read(self._fd, _PIECE)
            except BlockingIOError:
                return found
            if not piece:
                return found
            *lines, self._rest = (self._rest + piece).split(b"\n")
            found += [change for line in lines if (change := self._parse(line)) is not None]

    def close(self) -> None:
        """Stop tracing."""
        os.close(self._fd)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _parse(self, line: bytes) -> OutputChange | None:
        """None for what is not about an output of ours: another chip's, a direction that a value precedes."""
        event = _EVENT.search(line)
        if event is None:
            return None
        seconds, micros, kind, number, verb, value = event.groups()
        offset = int(number) - self._base
        if not 0 <= offset < self._n or verb == b"out" or (kind == b"direction" and int(value)):
            return None
        t_ns = int(seconds) * 1_000_000_000 + int(micros) * 1000
        return OutputChange(t_ns, offset, None if verb == b"in" else int(value))
