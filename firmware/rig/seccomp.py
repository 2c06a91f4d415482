"""The filter that stops the program's calls on our nodes, and the answers to calls stopped.

Owns the BPF program and the notification's life; refuses to know what a call means. Stopped are: every
open, ioctl of spidev's and gpio's kind on any descriptor, and read, write, seeking and duplication of
descriptors in the range that spidev nodes are opened at. All else runs untouched at full speed.
"""

import errno
import fcntl
from dataclasses import dataclass, field
from typing import Final

from firmware.rig.arch import NONE, Abi, Machine
from firmware.rig.uapi import (
    GPIO_MAGIC,
    SECCOMP_IOCTL_NOTIF_SEND,
    SECCOMP_NOTIF_RESP,
    SECCOMP_RET_ALLOW,
    SECCOMP_RET_USER_NOTIF,
    SECCOMP_USER_NOTIF_FLAG_CONTINUE,
    SOCK_FILTER,
    SPI_IOC_MAGIC,
)

FD_FIRST: Final = 896
"""Descriptors of spidev nodes start here: read and write are stopped by number; below 1024 for select()."""
FDS_PER_NODE: Final = 16
MOST_NODES: Final = 8
FD_END: Final = FD_FIRST + MOST_NODES * FDS_PER_NODE
F_DUPFD, F_DUPFD_CLOEXEC = 0, 1030

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NR, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24


@dataclass(slots=True)
class _Assembler:
    """BPF with named places; jumps go forward only."""

    code: list[tuple[int, int, str, str]] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)

    def add(self, operation: int, k: int, yes: str = "", no: str = "") -> None:
        """One instruction; a jump without place falls through."""
        self.code.append((operation, k, yes, no))

    def place(self, name: str) -> None:
        """The next instruction is called `name`."""
        self.places[name] = len(self.code)

    def assemble(self) -> bytes:
        """The program's bytes."""

        def distance(at: int, name: str) -> int:
            return self.places[name] - at - 1 if name else 0

        return b"".join(
            SOCK_FILTER.pack(operation, distance(at, yes), distance(at, no), k)
            for at, (operation, k, yes, no) in enumerate(self.code)
        )


def filter_program(machine: Machine) -> bytes:
    """The BPF program for all ABIs of `machine`; a call of any other ABI runs untouched."""
    a = _Assembler()
    a.add(_LOAD, _ARCH)
    for k, abi in enumerate(machine.abis):
        a.add(_EQUAL, abi.audit, yes=f"abi{k}")
    a.add(_RETURN, SECCOMP_RET_ALLOW)
    for k, abi in enumerate(machine.abis):
        _one_abi(a, abi, f"abi{k}")
    a.place("ioctl")
    a.add(_LOAD, _ARG1)
    a.add(_AND, 0xFF00)
    a.add(_EQUAL, SPI_IOC_MAGIC << 8, yes="stop")
    a.add(_EQUAL, GPIO_MAGIC << 8, yes="stop", no="allow")
    a.place("fcntl")
    a.add(_LOAD, _ARG1)
    a.add(_EQUAL, F_DUPFD, yes="fd")
    a.add(_EQUAL, F_DUPFD_CLOEXEC, yes="fd", no="allow")
    a.place("fd")
    a.add(_LOAD, _ARG0)
    a.add(_AT_LEAST, FD_END, yes="allow")
    a.add(_AT_LEAST, FD_FIRST, yes="stop", no="allow")
    a.place("stop")
    a.add(_RETURN, SECCOMP_RET_USER_NOTIF)
    a.place("allow")
    a.add(_RETURN, SECCOMP_RET_ALLOW)
    return a.assemble()


def _one_abi(a: _Assembler, abi: Abi, name: str) -> None:
    """Where a call of `abi` goes by its number."""
    targets = [(abi.ioctl, "ioctl"), *((number, "fcntl") for number in abi.fcntl)]
    in_range = (abi.read, abi.write, abi.readv, abi.writev, abi.dup, *abi.positioned)
    targets += [(number, "fd") for number in in_range]
    targets += [(number, "stop") for number in (abi.openat, abi.openat2, abi.open)]
    a.place(name)
    a.add(_LOAD, _NR)
    for number, target in targets:
        if number != NONE:
            a.add(_EQUAL, number, yes=target)
    a.add(_RETURN, SECCOMP_RET_ALLOW)


@dataclass(frozen=True, slots=True)
class Call:
    """One stopped call: thread `tid` made it with `args`, through `abi`."""

    notification: int
    tid: int
    number: int
    abi: Abi
    args: tuple[int, ...]


def _send(listener: int, answer: bytes) -> None:
    try:
        fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, bytearray(answer))
    except OSError as error:
        if error.errno != errno.ENOENT:  # the program was killed meanwhile: nobody waits for the answer
            raise


def answer(listener: int, notification: int, result: int) -> None:
    """The call returns `result`; below 0 it is an errno."""
    value, error = (0, result) if result < 0 else (result, 0)
    _send(listener, SECCOMP_NOTIF_RESP.pack(notification, value, error, 0))


def let_through(listener: int, notification: int) -> None:
    """The kernel itself does the call, as if never stopped."""
    _send(listener, SECCOMP_NOTIF_RESP.pack(notification, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE))
