"""The interpreter's file: whether it is the one that was meant, and its way to a bootloader's drive."""

import errno
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware.errors import ConfigError, PortError
from firmware.flash import uf2
from firmware.flash.places import Drive

OLDEST = (1, 22, 0)
"""MicroPython: `rp2.DMA` came with 1.22."""
PIECE = 64 * uf2.BLOCK
# A bootloader that has its last block restarts the board at once, and the drive is gone under the writer.
_GONE = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOENT)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A checked interpreter."""

    name: str
    content: bytes
    made: uf2.Uf2


def version_text(version: tuple[int, ...]) -> str:
    """1.22.0"""
    return ".".join(str(part) for part in version)


def load(path: Path, sha256: str | None) -> Interpreter:
    """The interpreter in `path`, whose hash is `sha256` or stands in PATH.sha256. Raises ConfigError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--interpreter {path}: {error.strerror}; check the path") from None
    wanted = _wanted(path, sha256)
    found = hashlib.sha256(content).hexdigest()
    made = uf2.read(content, str(path))
    if found != wanted:
        raise ConfigError(f"{path} has SHA-256 {found}, not {wanted}; download it again")
    if made.version < OLDEST:
        raise ConfigError(
            f"{path} is MicroPython {version_text(made.version)}; take {version_text(OLDEST)} or newer"
        )
    return Interpreter(str(path), content, made)


def check_chip(interpreter: Interpreter, chip: str, where: str) -> None:
    """Raises ConfigError unless the interpreter is for `chip`."""
    if interpreter.made.chip != chip:
        raise ConfigError(
            f"{interpreter.name} is for the {interpreter.made.chip}, the board at {where} is an {chip}; "
            "take the one for it"
        )


def put(interpreter: Interpreter, drive: Drive, progress: Callable[[int, int], None]) -> None:
    """Copy the interpreter to the drive; the board starts it by itself. Raises ConfigError, PortError."""
    check_chip(interpreter, drive.chip, str(drive.folder))
    target = drive.folder / "evokd.uf2"
    total = len(interpreter.content)
    done = 0
    try:
        with target.open("wb", buffering=0) as file:
            while done < total:
                done += file.write(interpreter.content[done : done + PIECE])
                progress(done, total)
            os.fsync(file.fileno())
    except OSError as error:
        if done == total and error.errno in _GONE:
            return
        raise PortError(
            f"{drive.folder}: {error.strerror} after {done} of {total} bytes; plug the board in again with "
            f"BOOTSEL held down and repeat the command"
        ) from None


def _wanted(path: Path, given: str | None) -> str:
    """The hash that the file must have. Raises ConfigError when nobody says it."""
    where = "--sha256"
    beside = path.with_name(f"{path.name}.sha256")
    if given is None:
        where = str(beside)
        try:
            given = beside.read_text(encoding="utf-8", errors="replace").partition(" ")[0]
        except OSError:
            raise ConfigError(
                f"nobody says what SHA-256 {path} must have; give --sha256 or put its line into {beside}"
            ) from None
    wanted = given.strip().lower()
    if not _SHA256.fullmatch(wanted):
        raise ConfigError(f"{where} {wanted[:70]!r} is no SHA-256; it has 64 hexadecimal digits")
    return wanted
