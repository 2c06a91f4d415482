"""Descriptors of a GPIO chip, by raw ioctls and reads: any, a v2 line request, a v1 handle or event.

Owns how requests are packed, what comes back unpacked, errnos as names, and the flags' short names.
Refuses to judge: an `OSError` is an observation, told by `outcome`.
"""

import errno
import fcntl
import os
import select
import struct
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from firmware.rig import uapi as u
from tests.rig.kernel_rules.other_end import levels

IN, OUT, LOW, RISE, FALL = u.V2_INPUT, u.V2_OUTPUT, u.V2_ACTIVE_LOW, u.V2_EDGE_RISING, u.V2_EDGE_FALLING
BOTH, DRAIN, SOURCE = RISE | FALL, u.V2_OPEN_DRAIN, u.V2_OPEN_SOURCE
FLAGS, VALUES, DEBOUNCE = u.ATTR_FLAGS, u.ATTR_OUTPUT_VALUES, u.ATTR_DEBOUNCE
WITHIN_MS: Final = 1000
KINDS: Final = {u.EVENT_RISING_EDGE: "rise", u.EVENT_FALLING_EDGE: "fall"}
REVENTS: Final = {
    name: getattr(select, "POLL" + name) for name in ("IN", "PRI", "OUT", "RDNORM", "WRNORM", "ERR", "HUP")
}


def name_of(error: OSError) -> str:
    """The errno's name."""
    number = error.errno or 0
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))


def outcome(action: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """ "ok" or the errno's name; a descriptor opened by it is closed again."""
    try:
        result = action(*arguments, **named)
    except OSError as error:
        return name_of(error)
    if isinstance(result, Fd):
        result.close()
    return "ok"


def text(packed: bytes) -> str:
    """A char array as told, zeros at its end left out."""
    return packed.rstrip(b"\0").decode("latin-1")


class Fd:
    """A descriptor that does not block."""

    def __init__(self, number: int) -> None:
        self.number = number
        fcntl.fcntl(number, fcntl.F_SETFL, fcntl.fcntl(number, fcntl.F_GETFL) | os.O_NONBLOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """At once, and only once."""
        if self.number >= 0:
            os.close(self.number)
        self.number = -1

    def ioctl(self, command: int, argument: bytes | int = 0) -> bytes:
        """What the argument is afterwards; an int is an address. Raises OSError."""
        if isinstance(argument, int):
            return bytes([fcntl.ioctl(self.number, command, argument)])
        return fcntl.ioctl(self.number, command, argument)

    def read(self, size: int) -> bytes | str:
        """Bytes, or the errno's name."""
        try:
            return os.read(self.number, size)
        except OSError as error:
            return name_of(error)

    def read_size(self, size: int) -> int | str:
        """How many bytes come, or the errno's name."""
        found = self.read(size)
        return found if isinstance(found, str) else len(found)

    def ready(self, mask: int = select.POLLIN | select.POLLPRI | select.POLLRDNORM, ms: int = 0) -> list[str]:
        """What poll tells."""
        poll = select.poll()
        poll.register(self.number, mask)
        told = dict(poll.poll(ms)).get(self.number, 0)
        return [name for name, bit in REVENTS.items() if told & bit]

    def messages(self, form: struct.Struct, at_least: int) -> list[tuple[Any, ...]]:
        """Everything that is queued, waited for until there are `at_least` so many."""
        levels()
        found: list[tuple[Any, ...]] = []
        while True:
            if len(found) < at_least:
                self.ready(ms=WITHIN_MS)
            piece = self.read(64 * form.size)
            if not isinstance(piece, bytes) or not piece:
                return found
            found += form.iter_unpack(piece)


class Lines(Fd):
    """A v2 line request."""

    def values(self, mask: int = 1) -> int:
        """GPIO_V2_LINE_GET_VALUES_IOCTL."""
        return self.values_and_mask(mask)[0]

    def values_and_mask(self, mask: int) -> list[int]:
        """Both words afterwards."""
        asked = u.GPIO_V2_LINE_VALUES.pack((1 << 64) - 1, mask)
        return list(u.GPIO_V2_LINE_VALUES.unpack(self.ioctl(u.GPIO_V2_LINE_GET_VALUES_IOCTL, asked)))

    def put(self, bits: int, mask: int = 1) -> None:
        """GPIO_V2_LINE_SET_VALUES_IOCTL."""
        self.ioctl(u.GPIO_V2_LINE_SET_VALUES_IOCTL, u.GPIO_V2_LINE_VALUES.pack(bits, mask))

    def configure(self, flags: int, *attributes: tuple[int, ...], **more: Any) -> None:
        """GPIO_V2_LINE_SET_CONFIG_IOCTL."""
        self.ioctl(u.GPIO_V2_LINE_SET_CONFIG_IOCTL, config(flags, *attributes, **more))

    def events(self, at_least: int = 0) -> list[list[Any]]:
        """[kind, offset, seqno, line_seqno] of what is queued."""
        found = self.messages(u.GPIO_V2_LINE_EVENT, at_least)
        return [[KINDS[kind], offset, seqno, line_seqno] for _, kind, offset, seqno, line_seqno in found]


class Handle(Fd):
    """A v1 line handle or line event."""

    def values(self, n_lines: int = 1) -> list[int]:
        """The first `n_lines`; all else must be 0."""
        told = self.ioctl(u.GPIOHANDLE_GET_LINE_VALUES_IOCTL, b"\xff" * u.GPIOHANDLES_MAX)
        return [*told[:n_lines], *([sum(told[n_lines:])] if any(told[n_lines:]) else [])]

    def put(self, *values: int) -> None:
        """GPIOHANDLE_SET_LINE_VALUES_IOCTL."""
        self.ioctl(u.GPIOHANDLE_SET_LINE_VALUES_IOCTL, bytes(values).ljust(u.GPIOHANDLES_MAX, b"\0"))

    def configure(self, flags: int, *values: int, padding: bytes = b"") -> None:
        """GPIOHANDLE_SET_CONFIG_IOCTL."""
        self.ioctl(u.GPIOHANDLE_SET_CONFIG_IOCTL, u.GPIOHANDLE_CONFIG.pack(flags, bytes(values), padding))

    def events(self, at_least: int = 0) -> list[str]:
        """Kinds of what is queued."""
        return [KINDS[kind] for _, kind in self.messages(u.GPIOEVENT_DATA, at_least)]


def config(
    flags: int,
    *attributes: tuple[int, ...],
    count: int | None = None,
    padding: int = 0,
    unused: Sequence[int] = (),
) -> bytes:
    """A gpio_v2_line_config; attributes are (id, value, mask) or (id, value, mask, padding)."""
    words: list[int] = []
    for kind, value, mask, *pad in attributes:
        words += [kind, pad[0] if pad else 0, value, mask]
    words += unused
    words += [0] * (4 * u.GPIO_V2_LINE_NUM_ATTRS_MAX - len(words))
    n = len(attributes) if count is None else count
    return u.GPIO_V2_LINE_CONFIG.pack(flags, n, 0, 0, 0, 0, padding, *words)
