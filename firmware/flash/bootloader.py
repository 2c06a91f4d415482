"""A board in BOOTSEL mode: how it gets there from the REPL, and back with an interpreter."""

from collections.abc import Callable, Sequence

from firmware.errors import ConfigError, PortError
from firmware.flash import board, interpreter
from firmware.flash.interpreter import Interpreter, version_text
from firmware.flash.places import Drive, Machine, Port
from firmware.flash.repl import Repl

BOOTLOADER = "import time, machine\ntime.sleep_ms(100)\nmachine.bootloader()"


def enter(repl: Repl) -> None:
    """Restart the board into its bootloader. Raises EdgeError."""
    repl.run_away(BOOTLOADER, "restarting it into its bootloader")


def drive_of(machine: Machine, place: Port, before: Sequence[Drive]) -> Drive:
    """The drive of the board that was at `place`, which was not there `before`. Raises PortError."""

    def new() -> Drive | None:
        return next((drive for drive in machine.drives() if drive not in before), None)

    drive = board.wait_for(new, board.BACK_S)
    if drive is None:
        raise PortError(
            f"the board that was {place.device} is in BOOTSEL mode, but nobody mounts its drive; "
            "mount it and repeat the command with --drive DIR"
        )
    return drive


def interpret(
    machine: Machine,
    drive: Drive,
    with_: Interpreter | None,
    say: Callable[[str, str], None],
    progress: Callable[[str, int, int], None],
) -> Port:
    """Give the interpreter to the bootloader; the port at which the board comes back. Raises EdgeError."""
    if with_ is None:
        raise ConfigError(
            f"a board in BOOTSEL mode wants an interpreter: give --interpreter FILE.uf2, MicroPython "
            f"{version_text(interpreter.OLDEST)} or newer for the {drive.chip}, from "
            "micropython.org/download; or plug it in without BOOTSEL if it has one"
        )
    before = [port.device for port in machine.boards()]
    interpreter.put(with_, drive, lambda done, total: progress("interpreter", done, total))
    say("sent", f"MicroPython {version_text(with_.made.version)}, {len(with_.content)} bytes")

    def new() -> Port | None:
        return next((port for port in machine.boards() if port.device not in before), None)

    port = board.wait_for(new, board.BACK_S)
    if port is None:
        raise PortError(
            f"the board at {drive.folder} did not come back as a serial port within {board.BACK_S:g} s; "
            "plug it in again with BOOTSEL held down and repeat the command"
        )
    say("started", f"MicroPython at {port.device}")
    return port
