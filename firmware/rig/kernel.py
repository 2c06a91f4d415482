"""The kernel calls that Python's library lacks, and another process's memory.

Owns ctypes; refuses to interpret what it moves. Errors are OSError with the kernel's number.
"""

import ctypes
import errno
import fcntl
import os
from typing import Final

from firmware.rig.arch import this_machine
from firmware.rig.uapi import (
    SECCOMP_ADDFD_FLAG_SETFD,
    SECCOMP_FILTER_FLAG_NEW_LISTENER,
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    SECCOMP_IOCTL_NOTIF_ADDFD,
    SECCOMP_NOTIF_ADDFD,
    SECCOMP_SET_MODE_FILTER,
    SOCK_FPROG,
)

CLONE_NEWNS: Final = 0x20000
MS_RDONLY, MS_BIND, MS_REC, MS_PRIVATE = 1, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG: Final = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p,) * 3 + (ctypes.c_ulong, ctypes.c_char_p)
_vm_arguments = (
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_ulong,
)
_libc.process_vm_readv.argtypes = _libc.process_vm_writev.argtypes = _vm_arguments
_libc.process_vm_readv.restype = _libc.process_vm_writev.restype = ctypes.c_ssize_t
_PAGE: Final = 4096


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_uint64), ("length", ctypes.c_uint64))


def _checked(result: int, what: str) -> int:
    """`result`, or OSError."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unshare_mounts() -> None:
    """A mount namespace of our own, whose mounts stay in it. Raises OSError."""
    _checked(_libc.unshare(CLONE_NEWNS), "a mount namespace")
    mount("none", "/", "", MS_REC | MS_PRIVATE)


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError naming `target`."""
    arguments = (source.encode(), target.encode(), kind.encode(), flags, options.encode())
    _checked(_libc.mount(*arguments), f"mount on {target}")


def end_with_parent(signal_number: int) -> None:
    """This process gets `signal_number` when its parent ends."""
    _checked(_libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")


def install_filter(program: bytes) -> int:
    """Put the BPF `program` over this process and all it starts; the listener. Raises OSError."""
    code = ctypes.create_string_buffer(program, len(program))
    packed = SOCK_FPROG.pack(len(program) // 8, ctypes.addressof(code))
    header = ctypes.create_string_buffer(packed, len(packed))
    flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
    number = ctypes.c_long(this_machine().seccomp)
    return _checked(_libc.syscall(number, SECCOMP_SET_MODE_FILTER, flags, header), "a seccomp listener")


def add_fd(listener: int, notification: int, source: int, close_on_exec: bool, number: int = 0) -> int:
    """Put our descriptor `source` into the notifying process, as `number` unless 0; its number there."""
    flags = SECCOMP_ADDFD_FLAG_SETFD if number else 0
    cloexec = os.O_CLOEXEC if close_on_exec else 0
    request = SECCOMP_NOTIF_ADDFD.pack(notification, flags, source, number, cloexec)
    added: int = fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, bytearray(request))
    return added


def take_fd(pid: int, number: int) -> int:
    """A descriptor of our own for `number` of process `pid`. Raises OSError."""
    pidfd = os.pidfd_open(pid)
    try:
        call = ctypes.c_long(this_machine().pidfd_getfd)
        got: int = _libc.syscall(call, pidfd, number, 0)
        return _checked(got, "pidfd_getfd")
    finally:
        os.close(pidfd)


def read_memory(pid: int, address: int, length: int) -> bytes:
    """`length` bytes at `address` of process `pid`. Raises OSError EFAULT when not all are there."""
    buffer = ctypes.create_string_buffer(length)
    if length:
        local, remote = _IoVec(ctypes.addressof(buffer), length), _IoVec(address, length)
        vectors = (ctypes.addressof(local), 1, ctypes.addressof(remote), 1, 0)
        got = _libc.process_vm_readv(pid, *vectors) if address else -1
        if got != length:
            raise OSError(errno.EFAULT, "bad address")
    return buffer.raw


def write_some(pid: int, address: int, content: bytes) -> int:
    """Put `content` at `address` of process `pid`, as far as there is memory; how many bytes that was."""
    if not content or not address:
        return 0
    buffer = ctypes.create_string_buffer(content, len(content))
    local, remote = _IoVec(ctypes.addressof(buffer), len(content)), _IoVec(address, len(content))
    vectors = (ctypes.addressof(local), 1, ctypes.addressof(remote), 1, 0)
    return max(int(_libc.process_vm_writev(pid, *vectors)), 0)


def write_memory(pid: int, address: int, content: bytes) -> None:
    """Put `content` at `address` of process `pid`. Raises OSError EFAULT when not all fits."""
    if write_some(pid, address, content) != len(content):
        raise OSError(errno.EFAULT, "bad address")


def read_text(pid: int, address: int, longest: int = 4096) -> bytes:
    """The zero-ended bytes at `address`, without the zero. Raises OSError EFAULT, ENAMETOOLONG."""
    text = b""
    while len(text) < longest:
        piece = read_memory(pid, address, _PAGE - address % _PAGE)
        head, end, _ = piece.partition(b"\0")
        text += head
        if end:
            return text
        address += len(piece)
    raise OSError(errno.ENAMETOOLONG, "name too long")
