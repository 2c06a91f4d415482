"""Stopped calls that need thought: whose descriptor is it, which device answers, what does the program get.

Owns the meaning of open, ioctl, read, write and dup on our nodes; refuses to know devices' rules (spidev.py,
gpiochip.py). What is not ours goes through to the kernel.
"""

import errno
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from firmware.rig import kernel, process
from firmware.rig.arch import Machine
from firmware.rig.faults import Faults
from firmware.rig.gpiochip import GpioChip
from firmware.rig.gpiochip_v1 import REQUESTS, GpioChipV1
from firmware.rig.gpiomem import GpioMem
from firmware.rig.hotpath import FDS_READ_WRITE
from firmware.rig.namespace import GpioNode
from firmware.rig.process import FileKey
from firmware.rig.program import Program
from firmware.rig.seccomp import F_DUPFD, FD_FIRST, FDS_PER_NODE, Call, answer, let_through
from firmware.rig.spidev import SpiNode
from firmware.rig.uapi import GPIO_MAGIC, ioc_kind

_FDS: Final = (range(FDS_READ_WRITE), range(FDS_READ_WRITE, 13), range(13, FDS_PER_NODE))
"""Of a node's descriptors: those open for reading and writing, for reading, for writing."""
_READ_WRITE, _READ, _WRITE = range(3)
_ACCESS: Final = {os.O_RDWR: _READ_WRITE, os.O_RDONLY: _READ, os.O_WRONLY: _WRITE}
_O_CLOEXEC, _O_NONBLOCK, _O_NO_OPEN = os.O_CLOEXEC, os.O_NONBLOCK, 0o10000000 | os.O_DIRECTORY
_O_NEW: Final = os.O_CREAT | os.O_EXCL
_IOV_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class _SpiDevice:
    """A device behind a node. `stand_ins`: our descriptors of it, in the order of _FDS."""

    spi: SpiNode
    key: FileKey
    stand_ins: Sequence[int]


class Calls:
    """Answers calls. `gone`: what is open of a GPIO chip that is not there any more. One thread."""

    def __init__(
        self, program: Program, machine: Machine, gpio: Sequence[GpioNode], chip: GpioChip, faults: Faults
    ) -> None:
        self._listener, self._root = program.listener, program.pid
        self._abis = {abi.audit: abi for abi in machine.abis}
        self._at: dict[str, _SpiDevice] = {}
        self._devices: dict[FileKey, SpiNode] = {}  # those too that are gone
        self._gpio = {f"/dev/{node.name}": node for node in gpio}
        self._chip, self._chip_v1 = chip, GpioChipV1(chip)
        self._faults = faults
        self.gpiomem: GpioMem | None = None
        self.gone: set[FileKey] = set()

    def put(self, path: str, spi: SpiNode, stand_ins: Sequence[int]) -> None:
        """From now on `spi` is what opens of `path` lead to; its `stand_ins` are ours to close."""
        device = self._at[path] = _SpiDevice(spi, _own_key(stand_ins[0]), stand_ins)
        self._devices[device.key] = spi

    def take_away(self, path: str) -> None:
        """Nothing is at `path` any more; what is open of it stays what it was."""
        for fd in self._at.pop(path).stand_ins:
            os.close(fd)

    def handle(self, note: Sequence[int]) -> None:
        """Answer the call in the ten words of `note`, or let it through."""
        abi = self._abis[note[2] >> 32]
        call = Call(note[0], note[1] & 0xFFFFFFFF, note[2] & 0xFFFFFFFF, abi, tuple(note[4:10]))
        try:
            result = self._result(call)
        except OSError as error:
            result = -(error.errno or errno.EIO)
        if result is None:
            let_through(self._listener, call.notification)
        else:
            answer(self._listener, call.notification, result)

    def _result(self, call: Call) -> int | None:
        """What the call returns, None to let it through. Raises OSError."""
        abi, number = call.abi, call.number
        if number == abi.ioctl:
            return self._ioctl(call)
        if number in (abi.open, abi.openat, abi.openat2):
            return self._open(call)
        spi = self._spi(call.tid, call.args[0])
        if spi is None:
            return None
        if number == abi.dup or number in abi.fcntl:
            return self._duplicate(call, spi)
        if number in abi.positioned:
            raise OSError(errno.ESPIPE, "a stream")
        return self._transfer(call, spi)

    def _spi(self, tid: int, fd: int) -> SpiNode | None:
        """The SPI device that the descriptor is of, however it was made."""
        key = process.file_key(tid, fd & 0xFFFFFFFF)
        return None if key is None else self._devices.get(key)

    def _open(self, call: Call) -> int | None:
        path, flags = self._path_and_flags(call)
        if flags & _O_NO_OPEN or flags & _O_NEW == _O_NEW:
            return None  # the kernel knows of what kind a node is
        if path == "/dev/gpiomem":
            if self.gpiomem is not None:
                self.gpiomem.in_use = True
                self.gpiomem.show()
            return None
        device = self._at.get(path)
        if self._faults.vanished or (device is None and path not in self._gpio):
            return None  # what has vanished is not in /dev either
        if self._faults.open_errno:
            raise OSError(self._faults.open_errno, "injected")
        cloexec = bool(flags & _O_CLOEXEC)
        if device is None:
            return self._open_gpio(call, self._gpio[path], not flags & _O_NONBLOCK, cloexec)
        if not device.spi.has_own_speed and not self._is_open(device.key, call.tid):
            device.spi.opened_alone()
        access = _ACCESS.get(flags & os.O_ACCMODE, _READ_WRITE)
        return self._add(call, device.spi.node, access, device.stand_ins[access], cloexec)

    def _is_open(self, key: FileKey, tid: int) -> bool:
        """True while a process of the program, or of him who asks, has the file open."""
        pids = process.family(self._root) | process.family(process.process_of(tid))
        return process.find_file(pids, key) is not None

    def _open_gpio(self, call: Call, node: GpioNode, blocking: bool, cloexec: bool) -> int:
        handle, theirs = self._chip.open(node.name, node.label, blocking)
        with theirs:
            try:
                number = kernel.add_fd(self._listener, call.notification, theirs.fileno(), cloexec)
            except OSError:
                self._chip.close(handle.key)
                raise
        self._chip.on_open(handle.ours, handle.key)
        return number

    def _path_and_flags(self, call: Call) -> tuple[str, int]:
        abi, args = call.abi, call.args
        if call.number == abi.open:
            directory, at, flags = -1, args[0], args[1]
        else:
            directory, at, flags = _signed(args[0]), args[1], args[2]
        if call.number == abi.openat2:
            flags = int.from_bytes(kernel.read_memory(call.tid, args[2], 8), "little")
        text = kernel.read_text(call.tid, at).decode(errors="surrogateescape")
        return process.resolve(call.tid, directory, text), flags

    def _add(
        self, call: Call, node: int, access: int, source: int, cloexec: bool, least: int = FD_FIRST
    ) -> int:
        """Our descriptor `source` in the program, in the node's range.

        Raises OSError EMFILE when that is used up.
        """
        first = FD_FIRST + node * FDS_PER_NODE
        for k in _FDS[access]:
            number = first + k
            if number >= least and process.file_key(call.tid, number) is None:
                return kernel.add_fd(self._listener, call.notification, source, cloexec, number)
        raise OSError(errno.EMFILE, "too many opens of one node")

    def _duplicate(self, call: Call, spi: SpiNode) -> int | None:
        """dup and fcntl's F_DUPFD stay in the node's range; F_DUPFD's least number is honoured there."""
        least, cloexec = 0, False
        if call.number != call.abi.dup:
            least, cloexec = call.args[2], call.args[1] != F_DUPFD
        fd = call.args[0] & 0xFFFFFFFF
        access = _access_of(fd)
        if access is None or least >= FD_FIRST + (spi.node + 1) * FDS_PER_NODE:
            return None
        source = kernel.take_fd(process.process_of(call.tid), fd)
        try:
            return self._add(call, spi.node, access, source, cloexec, least)
        finally:
            os.close(source)

    def _transfer(self, call: Call, spi: SpiNode) -> int:
        """read, write, readv, writev: each piece is a message of its own, as in the kernel."""
        abi, tid = call.abi, call.tid
        reads = call.number in (abi.read, abi.readv)
        pieces = None if call.number in (abi.read, abi.write) else self._pieces(call)
        if _access_of(call.args[0]) == (_WRITE if reads else _READ):
            raise OSError(errno.EBADF, "not open for this")
        move = spi.read if reads else spi.write
        if pieces is None:
            return move(tid, call.args[1], call.args[2])
        if not any(length for _, length in pieces):
            return 0
        total = 0
        for address, length in pieces:
            try:
                moved = move(tid, address, length)
            except OSError:
                if total:
                    break
                raise
            total += moved
            if moved < length:
                break
        return total

    def _pieces(self, call: Call) -> list[tuple[int, int]]:
        """The iovec of readv and writev. Raises OSError."""
        count, size = call.args[2], call.abi.pointer_bytes
        if count > _IOV_MAX:
            raise OSError(errno.EINVAL, "too many pieces")
        packed = kernel.read_memory(call.tid, call.args[1], 2 * size * count) if count else b""
        words = [int.from_bytes(packed[k : k + size], "little") for k in range(0, len(packed), size)]
        return list(zip(words[::2], words[1::2], strict=True))

    def _ioctl(self, call: Call) -> int | None:
        command, address = call.args[1] & 0xFFFFFFFF, call.args[2]
        if ioc_kind(command) != GPIO_MAGIC:
            spi = self._spi(call.tid, call.args[0])
            return None if spi is None else spi.ioctl(call.tid, command, address, call.abi.pointer_bytes)
        key = process.file_key(call.tid, call.args[0] & 0xFFFFFFFF)
        if key is None:
            return None
        if key in self.gone:
            raise OSError(errno.ENODEV, "removed")
        handle = self._chip.handles.get(key)
        if handle is not None:
            version: GpioChip | GpioChipV1 = self._chip_v1 if command in REQUESTS else self._chip
            pid = process.process_of(call.tid)
            return version.chip_ioctl(handle, pid, command, address, self._adder(call))
        request = self._chip.lines.requests.get(key)
        if request is None:
            return None
        version = self._chip_v1 if request.version == 1 else self._chip
        return version.line_ioctl(request, call.tid, command, address)

    def _adder(self, call: Call) -> Callable[[socket.socket], int]:
        return lambda theirs: kernel.add_fd(self._listener, call.notification, theirs.fileno(), True)


def _own_key(fd: int) -> FileKey:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _access_of(fd: int) -> int | None:
    """How the descriptor is open, by its number; None for one that was put outside the range."""
    k = (fd & 0xFFFFFFFF) - FD_FIRST
    return None if k < 0 else next((a for a, numbers in enumerate(_FDS) if k % FDS_PER_NODE in numbers), None)


def _signed(word: int) -> int:
    """A C int."""
    word &= 0xFFFFFFFF
    return word - (1 << 32) if word >> 31 else word
