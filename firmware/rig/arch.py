"""System call numbers of the machines that the rig runs on, 64-bit and their 32-bit programs.

Owns numbers and which ABI a call came by; refuses to make calls. Sources: arch/*/entry/syscalls tables,
linux/audit.h. A Pi with a 64-bit kernel often runs 32-bit programs, hence two ABIs a machine.
"""

import platform
from dataclasses import dataclass
from typing import Final

from firmware.errors import PortError

NONE: Final = -1
"""A call that the ABI does not have."""


@dataclass(frozen=True, slots=True)
class Abi:
    """One way into the kernel. `pointer_bytes` is the size of a pointer in its structures.

    `positioned`: what no stream has: lseek, _llseek, pread64, pwrite64, preadv, pwritev, preadv2, pwritev2.
    """

    audit: int
    pointer_bytes: int
    read: int
    write: int
    readv: int
    writev: int
    open: int
    openat: int
    openat2: int
    ioctl: int
    dup: int
    fcntl: tuple[int, ...]
    positioned: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine: its own ABI first, then that of 32-bit programs, and the calls that the rig makes itself."""

    abis: tuple[Abi, ...]
    seccomp: int
    kcmp: int
    pidfd_getfd: int
    poll: tuple[int, ...]
    select: tuple[int, ...]
    epoll: tuple[int, ...]


_AT_X86_64 = (8, 17, 18, 295, 296, 327, 328)
_AT_I386 = (19, 140, 180, 181, 333, 334, 378, 379)
_AT_AARCH64 = (62, 67, 68, 69, 70, 286, 287)
_AT_ARM = (19, 140, 180, 181, 361, 362, 392, 393)
_X86_64 = Abi(0xC000003E, 8, 0, 1, 19, 20, 2, 257, 437, 16, 32, (72,), _AT_X86_64)
_I386 = Abi(0x40000003, 4, 3, 4, 145, 146, 5, 295, 437, 54, 41, (55, 221), _AT_I386)
_AARCH64 = Abi(0xC00000B7, 8, 63, 64, 65, 66, NONE, 56, 437, 29, 23, (25,), _AT_AARCH64)
_ARM = Abi(0x40000028, 4, 3, 4, 145, 146, 5, 322, 437, 54, 41, (55, 221), _AT_ARM)
MACHINES: Final = {
    "x86_64": Machine((_X86_64, _I386), 317, 312, 438, (7, 271), (23, 270), (232, 281, 441)),
    "aarch64": Machine((_AARCH64, _ARM), 277, 272, 438, (73,), (72,), (22, 441)),
}


def this_machine() -> Machine:
    """The machine that we run on. Raises PortError for one without a table."""
    name = platform.machine()
    if name not in MACHINES:
        raise PortError(f"the rig knows no system calls of {name}; run it on {' or '.join(MACHINES)}")
    return MACHINES[name]
