"""An open board: what answers on its port, MicroPython's prompt or our firmware, and what they are told.

The port is opened for us alone, so that a host that runs a case and this program exclude each other.
"""

import contextlib
import errno
import os
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import serial

from firmware.errors import ConfigError, EdgeError, LinkError, PortError
from firmware.flash.places import Machine, Port
from firmware.pico import identity
from hw.link import Block, Description, Fault, Hello, Message, Receiver, Rows, Sender, hello

T = TypeVar("T")
BAUD = 115200
SILENCE_S = 10.0
"""Of a board that works on something: hashing a megabyte takes it a few seconds."""
PROMPT_S = 0.3
LINK_S = 2.0
ASKED, ASKED_STARTING = 2, 4
"""Times that a board is asked for its prompt and on the link; one just started has much to hash first."""
RESTART_S = 3.0
BACK_S = 20.0
POLL_S = 0.02
TO_PROMPT = b"\r\x03\x03\x02"
"""Whatever the REPL is doing: interrupt, interrupt, and back to the prompt for people."""
PROMPT = b">>> "
FLASH, CHECK = "flash", "check"
"""Roles of our Hello: an idle edge answers both, and after "flash" restarts into the REPL."""
_SERIAL_ERRORS = (OSError, serial.SerialException, termios.error, TypeError, ValueError)


class LostError(PortError):
    """The board went away in the middle of something."""


@dataclass(frozen=True, slots=True)
class Running:
    """Our firmware on a board, as it answers: `named` is None for one that does not say who it is."""

    peer: Hello
    named: identity.Identity | None


def wait_for(look: Callable[[], T | None], within_s: float) -> T | None:
    """The first thing that `look` sees, None when it saw nothing in that time."""
    tick = threading.Event()
    deadline = time.monotonic() + within_s
    while (seen := look()) is None and time.monotonic() < deadline:
        tick.wait(POLL_S)
    return seen


@contextlib.contextmanager
def opened(place: Port) -> Iterator[serial.SerialBase]:
    """The board's port, nobody else's meanwhile. Raises PortError, ConfigError for a name that is no port."""
    port = _open(place.device)
    try:
        yield port
    finally:
        with contextlib.suppress(*_SERIAL_ERRORS):
            port.close()


@contextlib.contextmanager
def reopened(machine: Machine, place: Port) -> Iterator[tuple[Port, serial.SerialBase]]:
    """The port of a board that restarts, as soon as it is back and free, under the name that it has then.
    Raises PortError when it stays away."""

    def look() -> tuple[Port, serial.SerialBase] | None:
        found = machine.again(place)
        with contextlib.suppress(PortError):  # not ours yet, or somebody looks what was plugged in
            return None if found is None else (found, _open(found.device))
        return None

    back = wait_for(look, BACK_S)
    if back is None:
        raise PortError(
            f"{place.device}: the board did not come back within {BACK_S:g} s; "
            "plug it in again and repeat the command: it goes on where it was"
        )
    try:
        yield back
    finally:
        with contextlib.suppress(*_SERIAL_ERRORS):
            back[1].close()


def _open(device: str) -> serial.SerialBase:
    try:
        return serial.serial_for_url(
            device, baudrate=BAUD, timeout=SILENCE_S, write_timeout=SILENCE_S, exclusive=True
        )
    except ValueError as error:
        raise ConfigError(f"--port {device}: {error}; give a serial port") from None
    except _SERIAL_ERRORS as error:
        raise PortError(f"{device}: {_why(error)}") from None


def _why(error: Exception) -> str:
    """Why a port did not open, and what to do."""
    number = getattr(error, "errno", None) or 0
    locked = number in (errno.EAGAIN, errno.EACCES) and "lock" in str(error)
    if locked or number == errno.EBUSY:
        return "another program has it, perhaps a running case; end that first, then repeat the command"
    if number in (errno.EACCES, errno.EPERM):
        return "permission denied; add yourself to the group that owns it (usually dialout)"
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return "no such port; plug the board in or check the name"
    reason = os.strerror(number) if number else str(error)
    return f"cannot be opened: {reason}; plug the board in again or check the name"


def answer(port: serial.SerialBase, role: str, starting: bool = False) -> Running | None:
    """Who is there: our firmware, or None for MicroPython's prompt. One that is `starting` is given time and
    asked on the link first. Raises LinkError for neither, PortError for a case that runs."""
    talk = Talk(port)
    with _lost(port, "looking what is on it"):
        for _ in range(ASKED_STARTING if starting else ASKED):
            if starting and (running := talk.meet(role)) is not None:
                return running
            if talk.prompt():
                return None
            if not starting and (running := talk.meet(role)) is not None:
                return running
    got = f"{talk.bytes} bytes that are neither MicroPython's nor evokd's" if talk.bytes else "no answer"
    raise LinkError(
        f"{port.name}: {got}; plug the board in again, "
        "or, for one without MicroPython, with BOOTSEL held down and give --interpreter"
    )


class Talk:
    """What is said to whatever is on an open port. `bytes` counts what came."""

    def __init__(self, port: serial.SerialBase) -> None:
        self._port = port
        self._sender, self._receiver = Sender(), Receiver()
        self._prompts = self.bytes = 0
        self._seems_prompt = False

    def prompt(self) -> bool:
        """Whether MicroPython's prompt comes when asked for; nothing said before is then still to come."""
        self._prompts += 1
        # What a prompt echoes of this is another text than what it prints.
        self._port.write(TO_PROMPT + b"print('asked', %d)\r" % self._prompts)
        printed, heard = b"asked %d" % self._prompts, bytearray()
        within_s = LINK_S if self._seems_prompt else PROMPT_S

        def asked() -> bool:
            return heard.endswith(PROMPT) and printed in heard

        seen = heard_until(self._port, heard, asked, within_s)
        self._took(heard)
        return seen

    def _took(self, heard: bytearray) -> None:
        self.bytes += len(heard)
        self._seems_prompt = self._seems_prompt or PROMPT in heard

    def meet(self, role: str) -> Running | None:
        """The board's answer to our Hello, None when none came. Raises PortError for one busy with a case."""
        got: list[Message] = []
        heard = bytearray()
        fed = 0

        def known() -> bool:
            nonlocal fed
            got.extend(self._receiver.feed(bytes(heard[fed:])))
            fed = len(heard)
            said = any(isinstance(message, Description | Fault | Block | Rows) for message in got)
            return said or (not got and PROMPT in heard)

        self._port.write(b"\0" + self._sender.frame(hello(role, 0)))
        heard_until(self._port, heard, known, LINK_S)
        self._took(heard)
        if any(isinstance(m, Block | Rows) or (isinstance(m, Fault) and m.code == "busy") for m in got):
            raise PortError(
                f"{self._port.name}: a case is running on this board; end it, then repeat the command"
            )
        hellos = (message for message in got if isinstance(message, Hello))
        peer = next((message for message in hellos if message.role != role), None)  # not our own, come back
        if peer is None:
            return None
        said = next((message.source for message in got if isinstance(message, Description)), "")
        return Running(peer, identity.read(said))


def until_gone(port: serial.SerialBase) -> None:
    """Wait until a board that restarts has left the bus, or shown a prompt; at most for RESTART_S."""
    heard = bytearray()
    with contextlib.suppress(*_SERIAL_ERRORS):
        heard_until(port, heard, lambda: heard.endswith(PROMPT), RESTART_S)


def heard_until(
    port: serial.SerialBase, into: bytearray, enough: Callable[[], bool], within_s: float
) -> bool:
    """Gather what comes until it is enough; False when it was not in time."""
    deadline = time.monotonic() + within_s
    before = port.timeout
    port.timeout = POLL_S
    try:
        while time.monotonic() < deadline:
            into += port.read(max(1, port.in_waiting))
            if enough():
                return True
        return False
    finally:
        with contextlib.suppress(*_SERIAL_ERRORS):
            port.timeout = before


@contextlib.contextmanager
def _lost(port: serial.SerialBase, doing: str) -> Iterator[None]:
    try:
        yield
    except EdgeError:  # ours already, and an OSError all the same
        raise
    except _SERIAL_ERRORS:
        raise LostError(
            f"{port.name}: lost the board while {doing}; plug it in again and repeat the command"
        ) from None
