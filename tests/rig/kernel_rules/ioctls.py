"""Cases of ioctls as numbers: which ones a kind of descriptor knows, which it does not.

Owns the outcomes of commands without meaning; what known ones do is the other modules'.
"""

from typing import Any, Final

from firmware.rig import uapi as u
from tests.rig.kernel_rules.chip import of_every_kind
from tests.rig.kernel_rules.fd import Fd, outcome
from tests.rig.kernel_rules.registry import case

COMMANDS: Final = {
    name: int(value) for name, value in sorted(vars(u).items()) if name.startswith("GPIO") and "IOCTL" in name
}


@case
def ioctl_known() -> Any:
    """Which ioctls a kind of descriptor knows: those want memory (EFAULT at address 0), others are EINVAL."""
    return of_every_kind(lambda fd: {name: outcome(fd.ioctl, command) for name, command in COMMANDS.items()})


@case
def ioctl_numbers() -> Any:
    """Numbers of gpio's kind that mean nothing, near those that do: the outcome of each."""

    def ask(fd: Fd) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number in (*range(0x20), 0x40, 0x7F, 0xFF):
            command = 3 << 30 | 12 << 16 | u.GPIO_MAGIC << 8 | number
            found.setdefault(outcome(fd.ioctl, command, bytes(1024)), []).append(number)
        return found

    return of_every_kind(ask)


@case
def ioctl_sizes() -> Any:
    """A known number with another size or direction is another command."""

    def ask(fd: Fd) -> dict[str, int]:
        found: dict[str, int] = {}
        for command in COMMANDS.values():
            for change in (8 << 16, 1 << 16, 1 << 30, 2 << 30):
                result = outcome(fd.ioctl, command ^ change, bytes(1024))
                found[result] = found.get(result, 0) + 1
        return found

    return of_every_kind(ask)
