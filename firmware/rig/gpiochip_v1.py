"""The GPIO character device's uAPI v1: line handles and line events, which programs in the field still use.

Owns v1's structures and rules, in terms of v2's flags; refuses to know levels.
Source: drivers/gpio/gpiolib-cdev.c of Linux 6.1 (CONFIG_GPIO_CDEV_V1).
"""

import errno
import socket

from firmware.rig import uapi as u
from firmware.rig.gpiochip import AddFd, ChipHandle, Config, GpioChip, check_flags
from firmware.rig.kernel import read_memory, write_memory
from firmware.rig.line_request import LineRequest, consumer_of, key_of, open_pair
from firmware.rig.lines import DIRECTIONS

_HANDLE_FLAGS = (
    (u.V1_REQUEST_INPUT, u.V2_INPUT),
    (u.V1_REQUEST_OUTPUT, u.V2_OUTPUT),
    (u.V1_ACTIVE_LOW, u.V2_ACTIVE_LOW),
    (u.V1_OPEN_DRAIN, u.V2_OPEN_DRAIN),
    (u.V1_OPEN_SOURCE, u.V2_OPEN_SOURCE),
    (u.V1_PULL_UP, u.V2_PULL_UP),
    (u.V1_PULL_DOWN, u.V2_PULL_DOWN),
    (u.V1_BIAS_DISABLE, u.V2_BIAS_DISABLED),
)
REQUESTS = (
    u.GPIO_GET_LINEINFO_IOCTL,
    u.GPIO_GET_LINEINFO_WATCH_IOCTL,
    u.GPIO_GET_LINEHANDLE_IOCTL,
    u.GPIO_GET_LINEEVENT_IOCTL,
)
"""What the chip answers in v1."""


def flags_v2(handle_flags: int) -> int:
    """Handle flags as v2 flags. Raises OSError EINVAL for what does not go together."""
    if handle_flags & ~0xFF:
        raise OSError(errno.EINVAL, "handle flags")
    flags = sum(v2 for v1, v2 in _HANDLE_FLAGS if handle_flags & v1)
    check_flags(flags)
    return flags


class GpioChipV1:
    """Version 1 on the same chip. One thread."""

    def __init__(self, chip: GpioChip) -> None:
        self._chip = chip
        self._lines = chip.lines

    def chip_ioctl(self, handle: ChipHandle, pid: int, command: int, address: int, add_fd: AddFd) -> int:
        """One of REQUESTS. Raises OSError."""
        if command == u.GPIO_GET_LINEHANDLE_IOCTL:
            self._get_handle(pid, address, add_fd)
        elif command == u.GPIO_GET_LINEEVENT_IOCTL:
            self._get_event(pid, address, add_fd)
        else:
            offset = u.GPIOLINE_INFO.unpack(read_memory(pid, address, u.GPIOLINE_INFO.size))[0]
            self._chip.check_offset(offset)
            if command == u.GPIO_GET_LINEINFO_WATCH_IOCTL:
                self._chip.watch(handle, offset, 1)
            write_memory(pid, address, self._chip.info_v1(offset))
        return 0

    def line_ioctl(self, request: LineRequest, pid: int, command: int, address: int) -> int:
        """An ioctl on a line handle, or on a line event (which has no outputs). Raises OSError."""
        every = (1 << len(request.offsets)) - 1
        is_event = bool(request.capacity)
        if command == u.GPIOHANDLE_GET_LINE_VALUES_IOCTL:
            bits = self._lines.values(request, every)
            levels = bytes(bits >> k & 1 for k in range(u.GPIOHANDLES_MAX))
            write_memory(pid, address, levels)
        elif command == u.GPIOHANDLE_SET_LINE_VALUES_IOCTL and not is_event:
            if not self._lines.lines[request.offsets[0]].is_output:
                raise OSError(errno.EPERM, "inputs")
            levels = read_memory(pid, address, u.GPIOHANDLE_DATA_BYTES)
            self._lines.set_values(request, every, _bits(levels))
        elif command == u.GPIOHANDLE_SET_CONFIG_IOCTL and not is_event:
            packed = read_memory(pid, address, u.GPIOHANDLE_CONFIG.size)
            handle_flags, levels, _ = u.GPIOHANDLE_CONFIG.unpack(packed)
            flags = flags_v2(handle_flags)
            if not flags & DIRECTIONS:
                raise OSError(errno.EINVAL, "neither input nor output")
            self._chip.reconfigure(request, _config(flags, levels, len(request.offsets)))
        else:
            raise OSError(errno.EINVAL, "no line request")
        return 0

    def _get_handle(self, pid: int, address: int, add_fd: AddFd) -> None:
        """GPIO_GET_LINEHANDLE_IOCTL."""
        packed = read_memory(pid, address, u.GPIOHANDLE_REQUEST.size)
        words = u.GPIOHANDLE_REQUEST.unpack(packed)
        handle_flags, levels, consumer, n_lines = words[64:68]
        if not 0 < n_lines <= u.GPIOHANDLES_MAX:
            raise OSError(errno.EINVAL, "line handle")
        flags, offsets = flags_v2(handle_flags), words[:n_lines]
        ours, theirs = open_pair()
        request = self._request(ours, theirs, offsets, [flags] * n_lines, consumer, pid)
        number = self._chip.add_request(request, _config(flags, levels, n_lines), theirs, add_fd)
        write_memory(pid, address, packed[:-4] + number.to_bytes(4, "little"))

    def _get_event(self, pid: int, address: int, add_fd: AddFd) -> None:
        """GPIO_GET_LINEEVENT_IOCTL: one input line with a queue of 16 events."""
        packed = read_memory(pid, address, u.GPIOEVENT_REQUEST.size)
        offset, handle_flags, event_flags, consumer, _ = u.GPIOEVENT_REQUEST.unpack(packed)
        outputs = u.V1_REQUEST_OUTPUT | u.V1_OPEN_DRAIN | u.V1_OPEN_SOURCE
        if event_flags & ~3 or handle_flags & outputs:
            raise OSError(errno.EINVAL, "line event")
        flags = flags_v2(handle_flags | u.V1_REQUEST_INPUT)
        flags |= u.V2_EDGE_RISING if event_flags & u.V1_EVENT_RISING else 0
        flags |= u.V2_EDGE_FALLING if event_flags & u.V1_EVENT_FALLING else 0
        ours, theirs = open_pair()
        request = self._request(ours, theirs, (offset,), [flags], consumer, pid)
        request.capacity = u.V1_EVENT_DEPTH
        request.make_room()
        number = self._chip.add_request(request, _config(flags, bytes(1), 1), theirs, add_fd)
        write_memory(pid, address, packed[:-4] + number.to_bytes(4, "little"))

    def _request(
        self,
        ours: socket.socket,
        theirs: socket.socket,
        offsets: tuple[int, ...],
        flags: list[int],
        consumer: bytes,
        pid: int,
    ) -> LineRequest:
        return LineRequest(ours, key_of(theirs), offsets, flags, consumer_of(consumer), 1, pid)


def _config(flags: int, levels: bytes, n_lines: int) -> Config:
    """The same v2 `flags` for all lines; any level but 0 is 1."""
    return Config([flags] * n_lines, [int(bool(level)) for level in levels[:n_lines]], [0] * n_lines)


def _bits(levels: bytes) -> int:
    """gpiohandle_data as a mask; anything but 0 is 1."""
    return sum(1 << k for k, level in enumerate(levels) if level)
