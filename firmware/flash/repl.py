"""MicroPython's raw REPL on an open port, through mpremote: run code, write files.

Whatever breaks is one fault. mpremote's own waiting is left out: it sleeps between looks, and forgets why a
port did not open.
"""

import contextlib
import io
import json
import re
import struct
import termios
from collections.abc import Callable, Iterator
from typing import Any

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from firmware.errors import EdgeError, PortError
from firmware.flash.board import LostError

CHUNK = 1024
NO_SPACE = re.compile(r"^OSError: .*(ENOSPC|\b28\b)")
CURE = "remove files of your own from it, or erase its flash and begin anew"
_BROKEN = (
    TransportError,
    OSError,
    serial.SerialException,
    termios.error,
    struct.error,
    TypeError,
    ValueError,
)


class CodeError(EdgeError):
    """The board's answer to a piece of code was an exception; its last line is the message."""


class _Transport(SerialTransport):
    """mpremote's protocol on a port that is open already and waits by itself."""

    def __init__(self, port: serial.SerialBase) -> None:
        self.serial = port
        self.device_name = port.name
        self.in_raw_repl = self.mounted = self.is_pty = False
        self.use_raw_paste = True

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float | None = 10,
        data_consumer: Callable[[bytes], None] | None = None,
        timeout_overall: float | None = None,
    ) -> bytes:
        """What came up to `ending`, or up to a silence as long as the port's own time-out."""
        data = bytearray()
        while not data.endswith(ending) and (new := self.serial.read(1)):
            if data_consumer is not None:
                data_consumer(new)
                data.clear()
            data += new
        return bytes(data)


class Repl:
    """The raw REPL of the board on `port`. Everything raises LostError when the board is gone, CodeError when
    its code fails."""

    def __init__(self, port: serial.SerialBase) -> None:
        self._transport = _Transport(port)
        self._name = port.name

    def enter(self, fresh: bool) -> None:
        """Begin; `fresh` restarts the interpreter first, without main.py, and with all of its memory."""
        with self._told("entering the REPL"):
            self._transport.enter_raw_repl(soft_reset=fresh)

    def leave(self) -> None:
        """Back to the prompt for people."""
        with self._told("leaving the REPL"):
            self._transport.exit_raw_repl()

    def run(self, code: str, doing: str) -> str:
        """What `code` prints."""
        with self._told(doing):
            printed: bytes = self._transport.exec(code)
            return printed.decode(errors="replace").strip()

    def ask(self, code: str, doing: str) -> Any:
        """What `code` prints as JSON."""
        printed = self.run(code, doing)
        try:
            return json.loads(printed)
        except ValueError:
            raise PortError(
                f"{self._name}: garbage while {doing}: {printed[:40]!r}; "
                "plug the board in again and repeat the command"
            ) from None

    def write(self, path: str, content: bytes, progress: Callable[[int], None]) -> None:
        """Write a file; `progress` is told how many bytes of it are there."""
        doing = f"writing {path}"
        self.run(f"f = open({path!r}, 'wb')\nw = f.write", doing)
        for at in range(0, len(content), CHUNK):
            self.run(f"w({content[at : at + CHUNK]!r})", doing)
            progress(min(at + CHUNK, len(content)))
        self.run("f.close()", doing)

    def run_away(self, code: str, doing: str) -> None:
        """Run code that does not come back; that the board is gone is what was wanted."""
        with contextlib.suppress(LostError), self._told(doing):
            self._transport.exec_raw_no_follow(code)

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """mpremote prints what it cannot understand; here it is one line, with what was being done."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except TransportExecError as error:
            lines = str(error.error_output).strip().splitlines() or ["no reason given"]
            reason = "no space left" if NO_SPACE.search(lines[-1]) else lines[-1]
            raise CodeError(f"{self._name}: the board failed {doing}: {reason}; {CURE}") from None
        except _BROKEN:
            raise LostError(
                f"{self._name}: lost the board while {doing}; "
                "plug it in again and repeat the command: it goes on where it was"
            ) from None
