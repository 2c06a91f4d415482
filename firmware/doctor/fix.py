"""`evokd doctor --fix`: writes the boot files as `boot_edits` has them, each kept once as it was before.

Decides nothing about their content. A boot file is replaced whole: a power cut leaves the old or the new one.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.doctor.boot import boot_folder, raspberry
from firmware.doctor.boot_edits import Edited, cmdline_edited, config_edited
from firmware.doctor.machine import Machine
from firmware.errors import ConfigError, EdgeError

BACKUP = ".before-evokd"
_USUAL_CPUS = 4


@dataclass(frozen=True, slots=True)
class Fix:
    """One file of the machine and what becomes of it."""

    path: Path
    edited: Edited

    @property
    def lines(self) -> list[str]:
        """For people."""
        said = [f"{self.path}: + {line}" for line in self.edited.added]
        said += [f"{self.path}: yours to decide: {note}" for note in self.edited.notes]
        return said or [f"{self.path}: as it should be"]


def fixes(machine: Machine, spi: Sequence[str]) -> tuple[Fix, ...]:
    """What to make of each boot file. Raises ConfigError without any, or for selects that no Pi has."""
    folder, pi = boot_folder(machine), raspberry(machine)
    config, cmdline = (machine.text_exact(folder / name) for name in ("config.txt", "cmdline.txt"))
    if config is None or cmdline is None:
        missing = "config.txt" if config is None else "cmdline.txt"
        raise ConfigError(
            f"{folder / missing} cannot be read: is this a Raspberry Pi? Name an image by --root"
        )
    first = re.match(r"0-(\d+)$", machine.text("/sys/devices/system/cpu/online") or "")
    cpus = int(first[1]) + 1 if first else (1 if pi else _USUAL_CPUS)
    return (
        Fix(folder / "config.txt", config_edited(config, pi.soc if pi else "", spi)),
        Fix(folder / "cmdline.txt", cmdline_edited(cmdline, cpus)),
    )


def write(machine: Machine, wanted: Sequence[Fix]) -> bool:
    """Write what changes; whether anything did. Raises EdgeError, in one line."""
    changing = [fix for fix in wanted if fix.edited.added]
    for fix in changing:
        path = machine.path(fix.path)
        backup = path.with_name(path.name + BACKUP)
        try:
            if not backup.exists():
                _replaced(backup, path.read_bytes())
            _replaced(path, fix.edited.text.encode())
        except OSError as error:
            raise EdgeError(
                f"{fix.path}: {error.strerror}; run it as root, on a boot folder that is writable"
            ) from None
    return bool(changing)


def _replaced(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
