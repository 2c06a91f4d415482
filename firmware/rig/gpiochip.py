"""/dev/gpiochipN as the kernel's character device behaves: chip and line information, requests of uAPI v2.

Owns v2's structures and rules; refuses to know levels (lines.py) and v1 (gpiochip_v1.py).
Source: drivers/gpio/gpiolib-cdev.c of Linux 6.1.
"""

import contextlib
import errno
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from firmware.rig import uapi as u
from firmware.rig.kernel import read_memory, write_memory
from firmware.rig.line_request import (
    EVENTS_MOST,
    LineRequest,
    consumer_of,
    key_of,
    open_pair,
    queued,
)
from firmware.rig.lines import DIRECTIONS, EDGES, LINE_NAMES, N_LINES, Lines
from firmware.rig.process import FileKey

AddFd = Callable[[socket.socket], int]
"""Put the program's end into the calling process; its number there. Raises OSError."""

_BIASES = (u.V2_PULL_UP, u.V2_PULL_DOWN, u.V2_BIAS_DISABLED)
_CHANGES_MOST = 32
"""That an open of the chip keeps for who watches."""
_INFO_PADDING_BYTES = 16
"""At the end of a gpio_v2_line_info."""


@dataclass(slots=True, eq=False)
class ChipHandle:
    """One open of a gpiochip. `watched`: lines whose changes it hears; `version`: that it asked in, or 0."""

    ours: socket.socket
    key: FileKey
    name: bytes
    label: bytes
    watched: set[int] = field(default_factory=set)
    version: int = 0


@dataclass(frozen=True, slots=True)
class Config:
    """What is asked of a request's lines, one entry per line: v2 flags, logical output, debounce period."""

    flags: list[int]
    values: list[int]
    debounce_us: list[int]


def check_flags(flags: int) -> None:
    """gpio_v2_line_flags_validate: raises OSError EINVAL or ENOTSUP."""
    drive = flags & (u.V2_OPEN_DRAIN | u.V2_OPEN_SOURCE)
    biases = sum(bool(flags & bias) for bias in _BIASES)
    if flags & ~u.V2_FLAGS or flags & u.V2_USED:
        raise OSError(errno.EINVAL, "line flags")
    if flags & u.V2_CLOCK_HTE:
        raise OSError(errno.EOPNOTSUPP, "no hardware timestamp engine")
    if (
        flags & DIRECTIONS == DIRECTIONS
        or (flags & EDGES and not flags & u.V2_INPUT)
        or (drive and not flags & u.V2_OUTPUT)
        or drive == u.V2_OPEN_DRAIN | u.V2_OPEN_SOURCE
        or biases > 1
        or (biases and not flags & DIRECTIONS)
    ):
        raise OSError(errno.EINVAL, "line flags")


def decode_config(packed: bytes, n_lines: int) -> Config:
    """The configuration of `n_lines` lines; the first attribute of a kind wins. Raises OSError EINVAL."""
    words = u.GPIO_V2_LINE_CONFIG.unpack(packed)
    default, count, padding, attributes = words[0], words[1], words[2:7], words[7:]
    if count > u.GPIO_V2_LINE_NUM_ATTRS_MAX or any(padding) or any(attributes[4 * count :]):
        raise OSError(errno.EINVAL, "line config")
    flags: list[int | None] = [None] * n_lines
    debounce: list[int | None] = [None] * n_lines
    values: list[int | None] = [None] * n_lines
    for k in range(count):
        kind, pad, value, mask = attributes[4 * k : 4 * k + 4]
        if pad:
            raise OSError(errno.EINVAL, "line attribute")
        for line in range(n_lines):
            if not mask >> line & 1:
                continue
            if kind == u.ATTR_FLAGS and flags[line] is None:
                flags[line] = value
            elif kind == u.ATTR_DEBOUNCE and debounce[line] is None:
                debounce[line] = value & 0xFFFFFFFF
            elif kind == u.ATTR_OUTPUT_VALUES and values[line] is None:
                values[line] = value >> line & 1
    config = Config(
        [default if f is None else f for f in flags], [v or 0 for v in values], [d or 0 for d in debounce]
    )
    for line in range(n_lines):
        check_flags(config.flags[line])
        if debounce[line] is not None and not config.flags[line] & u.V2_INPUT:
            raise OSError(errno.EINVAL, "debounce of no input")
    return config


class GpioChip:
    """The chip's requests of version 2, and what both versions share. One thread.

    `on_open(end, key)` hears of each of our ends whose hang-up says that the program has closed its own.
    """

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.handles: dict[FileKey, ChipHandle] = {}
        self.on_open: Callable[[socket.socket, FileKey], None] = lambda end, key: None
        self._realtime_ns = time.time_ns() - time.monotonic_ns()

    def open(self, name: str, label: str, blocking: bool) -> tuple[ChipHandle, socket.socket]:
        """A new open of the node; the handle and the program's end of it."""
        ours, theirs = open_pair(blocking)
        handle = ChipHandle(ours, key_of(theirs), name.encode(), label.encode())
        self.handles[handle.key] = handle
        return handle, theirs

    def close(self, key: FileKey) -> None:
        """The program's last copy of a chip's descriptor is closed."""
        self.handles.pop(key).ours.close()

    def chip_ioctl(self, handle: ChipHandle, pid: int, command: int, address: int, add_fd: AddFd) -> int:
        """An ioctl of v2, or of both versions, on the chip. Raises OSError."""
        if command == u.GPIO_GET_CHIPINFO_IOCTL:
            write_memory(pid, address, u.GPIOCHIP_INFO.pack(handle.name, handle.label, N_LINES))
        elif command in (u.GPIO_V2_GET_LINEINFO_IOCTL, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL):
            asked = read_memory(pid, address, u.GPIO_V2_LINE_INFO.size)
            if any(asked[-_INFO_PADDING_BYTES:]):
                raise OSError(errno.EINVAL, "line info")
            offset = u.GPIO_V2_LINE_INFO.unpack(asked)[2]
            self.check_offset(offset)
            if command == u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL:
                self.watch(handle, offset, 2)
            write_memory(pid, address, self._info(offset))
        elif command == u.GPIO_GET_LINEINFO_UNWATCH_IOCTL:
            offset = int.from_bytes(read_memory(pid, address, 4), "little")
            self.check_offset(offset)
            if offset not in handle.watched:
                raise OSError(errno.EBUSY, "not watched")
            handle.watched.remove(offset)
        elif command == u.GPIO_V2_GET_LINE_IOCTL:
            self._get_line(pid, address, add_fd)
        else:
            raise OSError(errno.EINVAL, "no gpio request")
        return 0

    def line_ioctl(self, request: LineRequest, pid: int, command: int, address: int) -> int:
        """An ioctl on the lines of a v2 request. Raises OSError."""
        if command == u.GPIO_V2_LINE_SET_CONFIG_IOCTL:
            packed = read_memory(pid, address, u.GPIO_V2_LINE_CONFIG.size)
            self.reconfigure(request, decode_config(packed, len(request.offsets)))
            return 0
        if command not in (u.GPIO_V2_LINE_GET_VALUES_IOCTL, u.GPIO_V2_LINE_SET_VALUES_IOCTL):
            raise OSError(errno.EINVAL, "no line request")
        bits, mask = u.GPIO_V2_LINE_VALUES.unpack(read_memory(pid, address, u.GPIO_V2_LINE_VALUES.size))
        chosen = mask & (1 << len(request.offsets)) - 1
        if not chosen:
            raise OSError(errno.EINVAL, "no line chosen")
        if command == u.GPIO_V2_LINE_SET_VALUES_IOCTL:
            self.lines.set_values(request, chosen, bits)
        else:
            now = self.lines.values(request, chosen)
            write_memory(pid, address, u.GPIO_V2_LINE_VALUES.pack(now, mask))
        return 0

    def add_request(self, request: LineRequest, config: Config, theirs: socket.socket, add_fd: AddFd) -> int:
        """Take and set the lines one by one, put the program's end into it; the number there.

        Raises OSError; what was taken by then is free again, and whoever watches it has heard both.
        """
        request.realtime_ns = self._realtime_ns
        try:
            with theirs:
                for at, offset in enumerate(request.offsets):
                    self.lines.take(request, at)
                    self._configure(request, config, at)
                    self.changed((offset,), u.CHANGED_REQUESTED)
                number = add_fd(theirs)
        except OSError:
            self.changed(self.lines.free(request), u.CHANGED_RELEASED)
            request.ours.close()
            raise
        self.on_open(request.ours, request.key)
        self.lines.hold(request)
        return number

    def reconfigure(self, request: LineRequest, config: Config) -> None:
        """Set the lines anew one by one; one that is given no direction stays as it is. Raises OSError."""
        try:
            for at, offset in enumerate(request.offsets):
                if config.flags[at] & DIRECTIONS:
                    self._configure(request, config, at)
                    self.changed((offset,), u.CHANGED_CONFIG)
        finally:
            self.lines.hold(request)

    def watch(self, handle: ChipHandle, offset: int, version: int) -> None:
        """Tell `handle` of the line's changes.

        Raises OSError: EPERM when it has watched in the other version, EBUSY when it is told already.
        """
        if handle.version not in (0, version):
            raise OSError(errno.EPERM, "watches in the other version")
        handle.version = version
        if offset in handle.watched:
            raise OSError(errno.EBUSY, "watched already")
        handle.watched.add(offset)

    def changed(self, offsets: tuple[int, ...], event_type: int) -> None:
        """Tell those who watch; a full queue loses the newest."""
        for handle in self.handles.values():
            form = u.GPIO_V2_LINE_INFO_CHANGED if handle.version == 2 else u.GPIOLINE_INFO_CHANGED
            for offset in offsets:
                if offset not in handle.watched or queued(handle.ours, form.size) >= _CHANGES_MOST:
                    continue
                info = self._info(offset) if handle.version == 2 else self.info_v1(offset)
                with contextlib.suppress(OSError):  # closed meanwhile: the hang-up is on its way
                    handle.ours.send(form.pack(info, time.monotonic_ns(), event_type))

    @staticmethod
    def check_offset(offset: int) -> None:
        """Raises OSError EINVAL for a line that is not there."""
        if offset >= N_LINES:
            raise OSError(errno.EINVAL, "no such line")

    def info_v1(self, offset: int) -> bytes:
        """A gpioline_info."""
        line = self.lines.lines[offset]
        flags = u.V1_KERNEL if line.request is not None else 0
        pairs = (
            (u.V2_OUTPUT, u.V1_IS_OUT),
            (u.V2_ACTIVE_LOW, u.V1_ACTIVE_LOW),
            (u.V2_OPEN_DRAIN, u.V1_OPEN_DRAIN | u.V1_IS_OUT),
            (u.V2_OPEN_SOURCE, u.V1_OPEN_SOURCE | u.V1_IS_OUT),
            (u.V2_PULL_UP, u.V1_PULL_UP),
            (u.V2_PULL_DOWN, u.V1_PULL_DOWN),
            (u.V2_BIAS_DISABLED, u.V1_BIAS_DISABLE),
        )
        for v2, v1 in pairs:
            flags |= v1 if line.flags & v2 else 0
        consumer = line.request.consumer if line.request else b""
        return u.GPIOLINE_INFO.pack(offset, flags, LINE_NAMES[offset].encode(), consumer)

    def _info(self, offset: int) -> bytes:
        """A gpio_v2_line_info."""
        line = self.lines.lines[offset]
        attributes = b""
        if line.debounce_us:
            attributes = u.GPIO_V2_LINE_ATTRIBUTE.pack(u.ATTR_DEBOUNCE, 0, line.debounce_us)
        flags = line.flags | (u.V2_USED if line.request is not None else 0)
        consumer = line.request.consumer if line.request else b""
        name = LINE_NAMES[offset].encode()
        return u.GPIO_V2_LINE_INFO.pack(name, consumer, offset, bool(attributes), flags, attributes)

    def _get_line(self, pid: int, address: int, add_fd: AddFd) -> None:
        """GPIO_V2_GET_LINE_IOCTL."""
        packed = read_memory(pid, address, u.GPIO_V2_LINE_REQUEST.size)
        words = u.GPIO_V2_LINE_REQUEST.unpack(packed)
        consumer, config_bytes, n_lines, wanted_events = words[64:68]
        if not 0 < n_lines <= u.GPIO_V2_LINES_MAX or any(words[68:73]):
            raise OSError(errno.EINVAL, "line request")
        config = decode_config(config_bytes, n_lines)
        capacity = min(wanted_events or 16 * n_lines, EVENTS_MOST)
        ours, theirs = open_pair()
        request = LineRequest(
            ours,
            key_of(theirs),
            words[:n_lines],
            list(config.flags),
            consumer_of(consumer),
            2,
            pid,
            1 << (capacity - 1).bit_length(),  # a kfifo's size is a power of two
        )
        request.make_room()
        number = self.add_request(request, config, theirs, add_fd)
        write_memory(pid, address, packed[:-4] + number.to_bytes(4, "little"))

    def _configure(self, request: LineRequest, config: Config, at: int) -> None:
        self.lines.configure(request, at, config.flags[at], config.values[at], config.debounce_us[at])
