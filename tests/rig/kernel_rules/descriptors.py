"""Cases of descriptors as files: written to, sought in, polled for all, asked as what they are not.

Owns what has nothing to do with lines.
"""

import fcntl
import os
from typing import Any

from tests.rig.kernel_rules.chip import Chip, of_every_kind
from tests.rig.kernel_rules.fd import REVENTS, Fd, outcome
from tests.rig.kernel_rules.registry import case


@case
def descriptors() -> Any:
    """What a kind of descriptor is besides: written to, sought in, polled for all, read, asked as a tty."""

    def ask(fd: Fd) -> list[Any]:
        number = fd.number
        told: list[Any] = [outcome(os.write, number, b"x" * 48), outcome(os.lseek, number, 0, 0)]
        told += [fd.ready(sum(REVENTS.values())), fd.read_size(4096)]
        told += [outcome(fd.ioctl, command, bytes(64)) for command in (0x541B, 0x5401, 0x8904)]
        return [*told, fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE]

    told = of_every_kind(ask)
    with Chip(os.O_RDONLY) as chip:
        told["chip, read only"] = ask(chip)
    return told


@case
def chip_seek() -> Any:
    """The chip's node is a character device that cannot be sought in."""
    with Chip() as chip:
        return [outcome(os.lseek, chip.number, at, how) for at, how in ((0, 0), (8, 0), (0, 1), (0, 2))]
