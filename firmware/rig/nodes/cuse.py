"""One /dev/spidevB.C as a CUSE character device: the kernel's requests to a SpiNode, its answers back.

Owns FUSE's structures and one descriptor of /dev/cuse; refuses to know SPI. An ioctl is of the restricted
kind: the kernel checks the argument itself, nested buffers are moved through the program's memory.
Sources: linux/fuse.h, fs/fuse/cuse.c of Linux 6.
"""

import contextlib
import errno
import os
import struct
from collections.abc import Callable
from typing import Final

from firmware.errors import PortError
from firmware.rig.faults import Faults
from firmware.rig.spidev import SpiNode

_IN_HEADER = struct.Struct("<IIQQIII4x")
"""len, opcode, unique, nodeid, uid, gid, pid."""
_OUT_HEADER = struct.Struct("<IiQ")
"""len, error, unique."""
_INIT_IN = struct.Struct("<II")
_INIT_OUT = struct.Struct("<IIIIIIII40x")
"""major, minor, unused, flags, max_read, max_write, dev_major, dev_minor."""
_OPEN_OUT = struct.Struct("<QI4x")
"""fh, open_flags."""
_READ_IN = struct.Struct("<QQI20x")
"""fh, offset, size; the same for a write."""
_WRITE_OUT = struct.Struct("<I4x")
_HANDLE = struct.Struct("<Q")
"""fh, with which a release begins."""
_IOCTL_IN = struct.Struct("<QIIQII")
"""fh, flags, cmd, arg, in_size, out_size."""
_IOCTL_OUT = struct.Struct("<iIII")
"""result, flags, in_iovs, out_iovs."""
_OPEN, _READ, _WRITE, _RELEASE, _INTERRUPT, _IOCTL, _CUSE_INIT = 14, 15, 16, 18, 36, 39, 4096
_IOCTL_32BIT: Final = 1 << 3
_PROTOCOL: Final = (7, 31)
_MOST_BYTES: Final = 1 << 16
_REQUEST_BYTES: Final = _MOST_BYTES + 4096
_CUSE: Final = "/dev/cuse"


def open_cuse() -> int:
    """A descriptor for one device to be. Raises PortError where there is no CUSE."""
    try:
        return os.open(_CUSE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise PortError(f"{_CUSE}: {error.strerror}; as root: modprobe cuse") from None


class CuseNode:
    """A node in /dev over `fd` of /dev/cuse, until `close`; `make` makes the device behind it. One thread.

    Who has it open keeps the device that he opened: one that was removed refuses him for good.
    """

    def __init__(self, fd: int, make: Callable[[], SpiNode], faults: Faults) -> None:
        self._fd, self._make, self._faults = fd, make, faults
        self._device = make()
        self._open: dict[int, SpiNode] = {}
        self._opened = 0
        self.requests = 0

    def fileno(self) -> int:
        """Readable when the program asks for something."""
        return self._fd

    def close(self) -> None:
        """The node goes away; whoever has it open finds it gone."""
        os.close(self._fd)

    def remove(self) -> None:
        """The device is gone."""
        self._device.remove()

    def renew(self) -> None:
        """Another one is there."""
        self._device = self._make()

    def serve(self) -> None:
        """Answer one request. Raises PortError when the kernel has let the device go."""
        opcode, unique, pid, body = self._next()
        self.requests += 1
        try:
            reply = self._reply(opcode, pid, body)
        except OSError as error:
            self._answer(unique, error.errno or errno.EIO, b"")
            return
        if reply is not None:
            self._answer(unique, 0, reply)

    def appear(self, name: str) -> None:
        """The first exchange makes the device `name`. Raises PortError when this kernel makes none."""
        opcode, unique, _, body = self._next()
        major, _minor = _INIT_IN.unpack_from(body)
        if opcode != _CUSE_INIT or major != _PROTOCOL[0]:
            raise PortError(f"{_CUSE}: this kernel speaks FUSE {major}, known is {_PROTOCOL[0]}; use another")
        words = _INIT_OUT.pack(*_PROTOCOL, 0, 0, _MOST_BYTES, _MOST_BYTES, 0, 0)
        self._answer(unique, 0, words + f"DEVNAME={name}\0".encode())

    def _next(self) -> tuple[int, int, int, bytes]:
        """(opcode, unique, thread that asks, body)."""
        try:
            request = os.read(self._fd, _REQUEST_BYTES)
        except OSError as error:
            raise PortError(f"{_CUSE}: {error.strerror}; the kernel has let the device go") from None
        _, opcode, unique, _, _, _, pid = _IN_HEADER.unpack_from(request)
        return opcode, unique, pid, request[_IN_HEADER.size :]

    def _answer(self, unique: int, error: int, reply: bytes) -> None:
        size = _OUT_HEADER.size + len(reply)
        with contextlib.suppress(FileNotFoundError):  # who asked was killed meanwhile
            os.write(self._fd, _OUT_HEADER.pack(size, -error, unique) + reply)

    def _reply(self, opcode: int, pid: int, body: bytes) -> bytes | None:
        """The body of the answer, None for a request that wants none. Raises OSError."""
        if opcode == _INTERRUPT:
            return None
        if opcode == _OPEN:
            return self._reply_open()
        if opcode == _IOCTL:
            handle, flags, command, address, _, _ = _IOCTL_IN.unpack_from(body)
            pointer_bytes = 4 if flags & _IOCTL_32BIT else 8
            result = self._open[handle].ioctl(pid, command, address, pointer_bytes)
            return _IOCTL_OUT.pack(result, 0, 0, 0)
        if opcode == _RELEASE:
            del self._open[_HANDLE.unpack_from(body)[0]]
            return b""
        if opcode in (_READ, _WRITE):
            handle, _, size = _READ_IN.unpack_from(body)
            if opcode == _READ:
                return self._open[handle].received(size)
            return _WRITE_OUT.pack(self._open[handle].sent(body[_READ_IN.size : _READ_IN.size + size]))
        raise OSError(errno.ENOSYS, "no such request")

    def _reply_open(self) -> bytes:
        if self._faults.open_errno:
            raise OSError(self._faults.open_errno, "injected")
        if self._device not in self._open.values():
            self._device.opened_alone()
        self._opened += 1
        self._open[self._opened] = self._device
        return _OPEN_OUT.pack(self._opened, 0)
