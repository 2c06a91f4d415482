"""One open of the chip: requests made of it, information about its lines, news of them watched.

Owns the chip's path and the forms that only its descriptor speaks. Refuses to know what a request's own
descriptor does: that is fd.py's.
"""

import os
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from firmware.rig import uapi as u
from tests.rig.kernel_rules.fd import IN, Fd, Handle, Lines, config, text
from tests.rig.kernel_rules.other_end import N_LINES, touched

CHIP: Final = "/dev/gpiochip0"
CHANGES: Final = {1: "requested", 2: "released", 3: "config"}


class Chip(Fd):
    """One open of the chip."""

    def __init__(self, flags: int = os.O_RDWR) -> None:
        super().__init__(os.open(CHIP, flags | os.O_CLOEXEC))

    def lines(
        self,
        flags: int,
        *offsets: int,
        attributes: Iterable[tuple[int, ...]] = (),
        consumer: bytes = b"rules",
        size: int = 0,
        n: int | None = None,
        request_padding: int = 0,
        **more: Any,
    ) -> Lines:
        """GPIO_V2_GET_LINE_IOCTL."""
        touched.update(offset for offset in offsets if offset < N_LINES)
        numbers = [*offsets, *[0] * (u.GPIO_V2_LINES_MAX - len(offsets))]
        packed_config = config(flags, *attributes, **more)
        count = len(offsets) if n is None else n
        asked = u.GPIO_V2_LINE_REQUEST.pack(
            *numbers, consumer, packed_config, count, size, *[0] * 4, request_padding, 0
        )
        return Lines(u.GPIO_V2_LINE_REQUEST.unpack(self.ioctl(u.GPIO_V2_GET_LINE_IOCTL, asked))[-1])

    def handle(
        self,
        flags: int,
        *offsets: int,
        values: Sequence[int] = (),
        consumer: bytes = b"rules",
        n: int | None = None,
    ) -> Handle:
        """GPIO_GET_LINEHANDLE_IOCTL."""
        touched.update(offset for offset in offsets if offset < N_LINES)
        numbers = [*offsets, *[0] * (u.GPIOHANDLES_MAX - len(offsets))]
        count = len(offsets) if n is None else n
        asked = u.GPIOHANDLE_REQUEST.pack(*numbers, flags, bytes(values), consumer, count, 0)
        return Handle(u.GPIOHANDLE_REQUEST.unpack(self.ioctl(u.GPIO_GET_LINEHANDLE_IOCTL, asked))[-1])

    def event(
        self, offset: int, event_flags: int = 3, handle_flags: int = 1, consumer: bytes = b"rules"
    ) -> Handle:
        """GPIO_GET_LINEEVENT_IOCTL."""
        if offset < N_LINES:
            touched.add(offset)
        asked = u.GPIOEVENT_REQUEST.pack(offset, handle_flags, event_flags, consumer, 0)
        return Handle(u.GPIOEVENT_REQUEST.unpack(self.ioctl(u.GPIO_GET_LINEEVENT_IOCTL, asked))[-1])

    def info(self, offset: int, command: int = u.GPIO_V2_GET_LINEINFO_IOCTL) -> list[Any]:
        """[offset, name, consumer, flags, attributes] of v2; `command` may watch too."""
        asked = u.GPIO_V2_LINE_INFO.pack(b"x" * 32, b"y" * 32, offset, 7, 99, b"z" * 160)
        return info_told(self.ioctl(command, asked))

    def flags(self, offset: int) -> int:
        """Of v2's info."""
        return int(self.info(offset)[3])

    def info_v1(self, offset: int, command: int = u.GPIO_GET_LINEINFO_IOCTL) -> list[Any]:
        """[offset, name, consumer, flags] of v1; `command` may watch too."""
        told = self.ioctl(command, u.GPIOLINE_INFO.pack(offset, 99, b"x" * 32, b"y" * 32))
        return info_v1_told(told)

    def flags_v1(self, offset: int) -> int:
        """Of v1's info."""
        return int(self.info_v1(offset)[3])

    def watch(self, *offsets: int) -> None:
        """In v2."""
        for offset in offsets:
            self.info(offset, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL)

    def watch_v1(self, *offsets: int) -> None:
        """In v1."""
        for offset in offsets:
            self.info_v1(offset, u.GPIO_GET_LINEINFO_WATCH_IOCTL)

    def unwatch(self, offset: int) -> None:
        """In both."""
        self.ioctl(u.GPIO_GET_LINEINFO_UNWATCH_IOCTL, struct.pack("<I", offset))

    def changes(self, at_least: int = 0) -> list[list[Any]]:
        """[what, offset, consumer, flags, attributes] told to who watches in v2."""
        found = self.messages(u.GPIO_V2_LINE_INFO_CHANGED, at_least)
        told = [(kind, info_told(info)) for info, _, kind in found]
        return [[CHANGES[kind], info[0], *info[2:]] for kind, info in told]

    def changes_v1(self, at_least: int = 0) -> list[list[Any]]:
        """[what, offset, consumer, flags] told to who watches in v1."""
        found = self.messages(u.GPIOLINE_INFO_CHANGED, at_least)
        told = [(kind, info_v1_told(info)) for info, _, kind in found]
        return [[CHANGES[kind], info[0], *info[2:]] for kind, info in told]


def info_told(packed: bytes) -> list[Any]:
    """[offset, name, consumer, flags, attributes] of a gpio_v2_line_info."""
    name, consumer, offset, count, flags, attributes = u.GPIO_V2_LINE_INFO.unpack(packed)
    told = [list(words) for words in u.GPIO_V2_LINE_ATTRIBUTE.iter_unpack(attributes)]
    return [offset, text(name), text(consumer), flags, [*told[:count], *filter(any, told[count:])]]


def info_v1_told(packed: bytes) -> list[Any]:
    """[offset, name, consumer, flags] of a gpioline_info."""
    offset, flags, name, consumer = u.GPIOLINE_INFO.unpack(packed)
    return [offset, text(name), text(consumer), flags]


def _every_kind(chip: Chip) -> dict[str, Fd]:
    """A descriptor of each kind, to be closed by who asks."""
    return {
        "chip": Chip(),
        "lines": chip.lines(IN, 20),
        "handle": chip.handle(u.V1_REQUEST_OUTPUT, 21),
        "input handle": chip.handle(u.V1_REQUEST_INPUT, 22),
        "event": chip.event(23),
    }


def of_every_kind(ask: Callable[[Fd], Any]) -> dict[str, Any]:
    """What is observed of a descriptor of each kind, all of them open at once."""
    with Chip() as chip:
        kinds = _every_kind(chip)
        told = {name: ask(fd) for name, fd in kinds.items()}
        for fd in kinds.values():
            fd.close()
        return told
