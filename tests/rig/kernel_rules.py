"""What a kernel's GPIO character device answers, asked by raw ioctls: one observation per rule, as JSON.

`python -m tests.rig.kernel_rules [--record FILE] [CASE ...]`, on the rig or on a kernel whose lines
`RigControl` drives, prints {case: observation} as its last line. Owns the asking; refuses to know the right
answers: a record of a real kernel holds those. Rules are those of drivers/gpio/gpiolib-cdev.c of Linux 6.1.

Inputs are driven before they are read; nothing is observed of a line's level after its release, which is the
driver's matter; events are counted and ordered, never timed.
"""

import errno
import fcntl
import json
import os
import select
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from firmware.rig import uapi as u
from firmware.rig.control import RigControl

CHIP: Final = "/dev/gpiochip0"
IN, OUT, LOW, RISE, FALL = u.V2_INPUT, u.V2_OUTPUT, u.V2_ACTIVE_LOW, u.V2_EDGE_RISING, u.V2_EDGE_FALLING
BOTH, DRAIN, SOURCE = RISE | FALL, u.V2_OPEN_DRAIN, u.V2_OPEN_SOURCE
N_LINES: Final = 54
READY: Final = 17
"""Data-ready of the board: left alone."""
WITHIN_MS: Final = 1000
KINDS: Final = {u.EVENT_RISING_EDGE: "rise", u.EVENT_FALLING_EDGE: "fall"}
CHANGES: Final = {1: "requested", 2: "released", 3: "config"}
REVENTS: Final = {
    name: getattr(select, "POLL" + name) for name in ("IN", "PRI", "OUT", "RDNORM", "WRNORM", "ERR", "HUP")
}

LOCKSTEP_DIFFERS: Final = {
    "stamps": "in lockstep stamps are START + n/fs, in the future: only a kernel's lie in the bracket",
    "debounced_events": "the rig tells of every edge at once: in lockstep no time passes to debounce in",
    "debounced_values": "the rig's levels are the line's: in lockstep no time passes to debounce in",
}
"""Cases that the rig answers otherwise because its time is not the clock's."""
DRIVER_DIFFERS: Final = {
    "let_go": "gpio-sim keeps the last level of an open-drain line let go; the rig shows who pulls it",
}
"""Cases in which the driver below gpiolib decides, and the rig's is a board, not gpio-sim."""
SOCKET_DIFFERS: Final = {
    "event_reads_odd": "the rig's descriptors are stream sockets: any number of bytes can be read",
    "watch_reads_odd": "the rig's descriptors are stream sockets: any number of bytes can be read",
    "v1_event_reads_odd": "the rig's descriptors are stream sockets: any number of bytes can be read",
    "descriptors": "the rig's descriptors are stream sockets: they take writes and sockets' own ioctls",
    "removal_reads": "the rig hangs up on line requests only, and a socket's hang-up reads as its end",
}
"""Cases in which it shows that the rig's descriptors are sockets."""
RIG_DIFFERS: Final = LOCKSTEP_DIFFERS | DRIVER_DIFFERS | SOCKET_DIFFERS

Case = Callable[[], Any]
CASES: dict[str, Case] = {}
_LAST: Final = ("removal", "removal_reads")
"""They end the chip's usefulness."""
_touched: set[int] = set()


def case(function: Case) -> Case:
    """Register a case by its name."""
    CASES[function.__name__] = function
    return function


# ---- the other end of the lines ----
@cache
def rig() -> RigControl:
    """Who drives the lines."""
    return RigControl()


def drive(offset: int, *levels: int) -> None:
    """Put levels on a line from outside, one after the other."""
    _touched.add(offset)
    for level in levels:
        rig().drive(offset, level)


def levels(*offsets: int) -> list[int]:
    """What a voltmeter says. Being a round trip, it also gives events under way their time."""
    now = rig().levels()
    return [now[offset] for offset in offsets]


# ---- descriptors ----
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
        _touched.update(offset for offset in offsets if offset < N_LINES)
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
        _touched.update(offset for offset in offsets if offset < N_LINES)
        numbers = [*offsets, *[0] * (u.GPIOHANDLES_MAX - len(offsets))]
        count = len(offsets) if n is None else n
        asked = u.GPIOHANDLE_REQUEST.pack(*numbers, flags, bytes(values), consumer, count, 0)
        return Handle(u.GPIOHANDLE_REQUEST.unpack(self.ioctl(u.GPIO_GET_LINEHANDLE_IOCTL, asked))[-1])

    def event(
        self, offset: int, event_flags: int = 3, handle_flags: int = 1, consumer: bytes = b"rules"
    ) -> Handle:
        """GPIO_GET_LINEEVENT_IOCTL."""
        if offset < N_LINES:
            _touched.add(offset)
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


FLAGS, VALUES, DEBOUNCE = u.ATTR_FLAGS, u.ATTR_OUTPUT_VALUES, u.ATTR_DEBOUNCE
LETTERS: Final = {"EINVAL": "I", "EOPNOTSUPP": "O", "EBUSY": "B", "EPERM": "P", "ok": "."}


class Walk:
    """The outcomes of many requests, a letter each in the order asked, and what was told of the accepted."""

    def __init__(self) -> None:
        self.letters: list[str] = []
        self.accepted: list[list[int]] = []

    def ask(self, asked: Sequence[int], action: Callable[[], Fd], told: Callable[[], Sequence[int]]) -> None:
        """One request, `told` being called while it lives."""
        try:
            with action():
                self.accepted.append([*asked, *told()])
            self.letters.append(LETTERS["ok"])
        except OSError as error:
            self.letters.append(LETTERS.get(name_of(error), "?"))

    def told(self, order: str) -> dict[str, Any]:
        """The observation."""
        legend = {letter: name for name, letter in LETTERS.items()}
        outcomes = "".join(self.letters)
        return {"order": order, "legend": legend, "outcomes": outcomes, "accepted": self.accepted}


# ---- information ----
@case
def chip_info() -> Any:
    """chipinfo_get: all is told, whatever the structure held before; an open for reading only is as good."""
    told = []
    for flags in (os.O_RDWR, os.O_RDONLY):
        with Chip(flags) as chip:
            packed = chip.ioctl(u.GPIO_GET_CHIPINFO_IOCTL, b"x" * u.GPIOCHIP_INFO.size)
            name, label, n_lines = u.GPIOCHIP_INFO.unpack(packed)
            told.append([text(name), bool(text(label)), n_lines])
    return {"read_write": told[0], "read_only": told[1]}


@case
def info_unused() -> Any:
    """lineinfo_get of lines that nobody holds, in both versions; only `offset` is read of what is asked."""
    offsets = (0, 1, 2, READY, 52, 53)
    with Chip() as chip:
        return {
            "v2": [chip.info(offset) for offset in offsets],
            "v1": [chip.info_v1(offset) for offset in offsets],
        }


@case
def info_held() -> Any:
    """gpio_desc_to_lineinfo and gpio_v2_line_info_to_v1 of held lines, whichever version holds them."""
    with Chip() as chip, Chip() as other:
        told = {}
        requests: dict[str, Callable[[], Fd]] = {
            "v2 input": lambda: chip.lines(IN | BOTH, 20, consumer=b"edges"),
            "v2 output": lambda: chip.lines(OUT | LOW | DRAIN | u.V2_PULL_UP, 20),
            "v2 clock": lambda: chip.lines(IN | RISE | u.V2_CLOCK_REALTIME, 20),
            "v2 as is": lambda: chip.lines(0, 21),
            "v1 input": lambda: chip.handle(u.V1_REQUEST_INPUT, 21, consumer=b"handle"),
            "v1 output": lambda: chip.handle(u.V1_REQUEST_OUTPUT | 4 | 16 | 128, 20),
            "v1 event": lambda: chip.event(21, handle_flags=u.V1_REQUEST_INPUT | 4 | 32),
        }
        for name, request in requests.items():
            offset = 21 if name in ("v2 as is", "v1 input", "v1 event") else 20
            with request():
                told[name] = [other.info(offset), other.info_v1(offset)]
        return told


@case
def consumers() -> Any:
    """A label is cut at 31 bytes and at its NUL; gpiod_request_commit calls one without a label "?"."""
    full, inner = b"0123456789abcdefghijklmnopqrstuvwxyz"[:32], b"one\0two"
    with Chip() as chip:
        told = {}
        for name, label in (("full", full), ("inner", inner), ("none", b"")):
            with chip.lines(IN, 20, consumer=label):
                v2 = chip.info(20)[2]
            with chip.handle(1, 20, consumer=label):
                handle = chip.info(20)[2]
            with chip.event(20, consumer=label):
                event = [chip.info(20)[2], chip.info_v1(20)[2]]
            told[name] = [v2, handle, event]
        return told


@case
def out_of_range() -> Any:
    """gpiochip_get_desc: EINVAL from the first offset that is not there on, wherever one is asked for."""
    with Chip() as chip:
        asks: dict[str, Callable[[int], Any]] = {
            "info": chip.info,
            "info_v1": chip.info_v1,
            "watch": chip.watch,
            "unwatch": chip.unwatch,
            "lines": lambda offset: chip.lines(IN, offset),
            "handle": lambda offset: chip.handle(1, offset),
            "event": chip.event,
        }
        offsets = (N_LINES, N_LINES + 1, 1 << 31, (1 << 32) - 1)
        return {name: [outcome(ask, offset) for offset in offsets] for name, ask in asks.items()}


@case
def info_padding() -> Any:
    """lineinfo_get wants its padding zero, before it looks at the offset; a refused watch watches nothing."""
    told = {}
    with Chip() as chip:
        for offset in (20, N_LINES):
            for at in (240, 244, 255):
                asked = bytearray(u.GPIO_V2_LINE_INFO.pack(b"", b"", offset, 0, 0, b""))
                asked[at] = 1
                told[f"{offset} {at}"] = [
                    outcome(chip.ioctl, command, bytes(asked))
                    for command in (u.GPIO_V2_GET_LINEINFO_IOCTL, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL)
                ]
        told["watched"] = outcome(chip.unwatch, 20)
    return told


# ---- ioctls ----
COMMANDS: Final = {
    name: int(value) for name, value in sorted(vars(u).items()) if name.startswith("GPIO") and "IOCTL" in name
}


def _every_kind(chip: Chip) -> dict[str, Fd]:
    """A descriptor of each kind, to be closed by who asks."""
    return {
        "chip": Chip(),
        "lines": chip.lines(IN, 20),
        "handle": chip.handle(u.V1_REQUEST_OUTPUT, 21),
        "input handle": chip.handle(u.V1_REQUEST_INPUT, 22),
        "event": chip.event(23),
    }


def _of_every_kind(ask: Callable[[Fd], Any]) -> dict[str, Any]:
    with Chip() as chip:
        kinds = _every_kind(chip)
        told = {name: ask(fd) for name, fd in kinds.items()}
        for fd in kinds.values():
            fd.close()
        return told


@case
def ioctl_known() -> Any:
    """Which ioctls a kind of descriptor knows: those want memory (EFAULT at address 0), others are EINVAL."""
    return _of_every_kind(lambda fd: {name: outcome(fd.ioctl, command) for name, command in COMMANDS.items()})


@case
def ioctl_numbers() -> Any:
    """Numbers of gpio's kind that mean nothing, near those that do: the outcome of each."""

    def ask(fd: Fd) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number in (*range(0x20), 0x40, 0x7F, 0xFF):
            command = 3 << 30 | 12 << 16 | u.GPIO_MAGIC << 8 | number
            found.setdefault(outcome(fd.ioctl, command, bytes(1024)), []).append(number)
        return found

    return _of_every_kind(ask)


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

    return _of_every_kind(ask)


# ---- every combination of flags ----
@case
def v2_flags() -> Any:
    """gpio_v2_line_flags_validate, and what info tells of what it lets pass: all 13 flags in all ways."""
    walk = Walk()
    with Chip() as chip:
        for flags in range(u.V2_FLAGS + 1):
            offset = 25 if flags & (IN | OUT) else 24
            walk.ask([flags], lambda a=flags, b=offset: chip.lines(a, b), lambda b=offset: [chip.flags(b)])
        undefined = {
            str(bit): [outcome(chip.lines, 1 << bit | more, 25) for more in (0, IN, IN | u.V2_CLOCK_HTE)]
            for bit in range(13, 64)
        }
        drive(25, 1, 0)
    return walk.told("flags from 0 to 0x1fff; told: v2's info") | {"undefined": undefined}


@case
def v1_handle_flags() -> Any:
    """linehandle_validate_flags, and what info tells: all 8 flags and one that is none, in all ways."""
    walk = Walk()
    with Chip() as chip:
        for flags in range(1 << 9):
            offset = 25 if flags & 3 else 24
            walk.ask(
                [flags],
                lambda a=flags, b=offset: chip.handle(a, b),
                lambda b=offset: [chip.flags_v1(b), chip.flags(b)],
            )
        undefined = [outcome(chip.handle, 1 << bit | 1, 25) for bit in range(8, 32)]
        drive(25, 1, 0)
    return walk.told("flags from 0 to 0x1ff; told: v1's and v2's info") | {"undefined": undefined}


@case
def v1_event_flags() -> Any:
    """lineevent_create: all handle flags with all event flags, and one of each that is none."""
    walk = Walk()
    with Chip() as chip:
        for handle in range(1 << 9):
            for event in range(1 << 3):
                walk.ask(
                    [handle, event],
                    lambda a=handle, b=event: chip.event(25, b, a),
                    lambda: [chip.flags_v1(25), chip.flags(25)],
                )
        drive(25, 1, 0)
    return walk.told("handle flags from 0 to 0x1ff, for each event flags 0 to 7; told: v1's and v2's info")


# ---- requests ----
@case
def v2_refusals() -> Any:
    """linereq_create and gpio_v2_line_config_validate: what they want of a request."""
    contradiction = (FLAGS, IN | OUT, 1)
    asks: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
        "no lines": ((IN,), {}),
        "64 lines": ((IN, *[54] * 64), {}),
        "65 lines": ((IN, 20), {"n": 65}),
        "2^32-1 lines": ((IN, 20), {"n": (1 << 32) - 1}),
        "a line twice": ((IN, 20, 20), {}),
        "padding": ((IN, 20), {"request_padding": 1}),
        "config padding": ((IN, 20), {"padding": 1}),
        "10 attributes": ((IN, 20), {"attributes": [(FLAGS, IN, 1)] * 10}),
        "11 attributes": ((IN, 20), {"attributes": [(FLAGS, IN, 1)] * 10, "count": 11}),
        "2^32-1 attributes": ((IN, 20), {"count": (1 << 32) - 1}),
        "attribute padding": ((IN, 20), {"attributes": [(FLAGS, IN, 1, 1)]}),
        "attribute padding, no line": ((IN, 20), {"attributes": [(FLAGS, IN, 0, 1)]}),
        "unused attribute id": ((IN, 20), {"unused": [FLAGS, 0, 0, 0]}),
        "unused attribute padding": ((IN, 20), {"unused": [0, 1, 0, 0]}),
        "unused attribute value": ((IN, 20), {"unused": [0, 0, IN, 0]}),
        "unused attribute mask": ((IN, 20), {"unused": [0, 0, 0, 1]}),
        "last unused attribute mask": ((IN, 20), {"unused": [0] * 39 + [1]}),
        "unknown attribute": ((IN, 20), {"attributes": [(4, 1, 1)]}),
        "attribute 0": ((IN, 20), {"attributes": [(0, 1, 1)]}),
        "contradiction by attribute": ((IN, 20), {"attributes": [contradiction]}),
        "contradiction healed by attribute": ((IN | OUT, 20), {"attributes": [(FLAGS, IN, 1)]}),
        "contradiction for no line": ((IN, 20), {"attributes": [(FLAGS, IN | OUT, 2)]}),
        "contradiction after good": ((IN, 20), {"attributes": [(FLAGS, IN, 1), contradiction]}),
        "good after contradiction": ((IN, 20), {"attributes": [contradiction, (FLAGS, IN, 1)]}),
        "contradiction for the second line": ((IN, 20, 21), {"attributes": [(FLAGS, IN | OUT, 2)]}),
        "undefined flag by attribute": ((IN, 20), {"attributes": [(FLAGS, IN | 1 << 40, 1)]}),
        "debounced output": ((OUT, 20), {"attributes": [(DEBOUNCE, 10, 1)]}),
        "debounced as is": ((0, 20), {"attributes": [(DEBOUNCE, 10, 1)]}),
        "debounced 0 output": ((OUT, 20), {"attributes": [(DEBOUNCE, 0, 1)]}),
        "debounced input": ((IN, 20), {"attributes": [(DEBOUNCE, 10, 1)]}),
        "debounced edges": ((IN | BOTH, 20), {"attributes": [(DEBOUNCE, 10, 1)]}),
        "debounced beyond": ((OUT, 20), {"attributes": [(DEBOUNCE, 10, 1 << 63 | 2)]}),
        "values of an input": ((IN, 20), {"attributes": [(VALUES, 1, 1)]}),
        "size 1": ((IN, 20), {"size": 1}),
        "size 1, edges": ((IN | BOTH, 20), {"size": 1}),
        "size 2, edges": ((IN | BOTH, 20), {"size": 2}),
        "size 5000, edges": ((IN | BOTH, 20), {"size": 5000}),
        "size 2^32-1, edges": ((IN | BOTH, 20), {"size": (1 << 32) - 1}),
        "hardware clock": ((IN | u.V2_CLOCK_HTE, 20), {}),
        "hardware clock, contradiction": ((IN | OUT | u.V2_CLOCK_HTE, 20), {}),
        "hardware clock, undefined flag": ((IN | u.V2_CLOCK_HTE | 1 << 13, 20), {}),
    }
    with Chip() as chip:
        told = {name: outcome(chip.lines, *what, **more) for name, (what, more) in asks.items()}
        told["free afterwards"] = outcome(chip.lines, IN, 20, 21)
        return told


@case
def v1_refusals() -> Any:
    """linehandle_create and lineevent_create: what they want of a request."""
    with Chip() as chip:
        return {
            "no lines": outcome(chip.handle, 1),
            "64 lines": outcome(chip.handle, 1, *[54] * 64),
            "65 lines": outcome(chip.handle, 1, 20, n=65),
            "a line twice": outcome(chip.handle, 1, 20, 20),
            "free afterwards": outcome(chip.handle, 1, 20),
            "event of no line, wrong flags": outcome(chip.event, 54, 0xFF, 0xFFFF),
            "event free afterwards": outcome(chip.event, 20),
        }


@case
def attributes() -> Any:
    """gpio_v2_line_config_flags and its like: of each kind the first attribute that names a line counts."""
    given = [
        (FLAGS, OUT, 0b001),
        (FLAGS, OUT | LOW, 0b011),
        (VALUES, 0b011, 0b011),
        (VALUES, 0b000, 0b111),
        (DEBOUNCE, (7 << 32) + 250_000, 0b100),
        (DEBOUNCE, 9, 0b100),
        (9, 1, 0b111),
        (FLAGS, OUT | DRAIN, 1 << 63 | 1 << 3),
    ]
    with Chip() as chip, chip.lines(IN, 20, 21, 22, attributes=given):
        return {"info": [chip.info(offset) for offset in (20, 21, 22)], "levels": levels(20, 21)}


@case
def returned_request() -> Any:
    """The request comes back as it was, with the descriptor; a refused one comes back unchanged."""
    with Chip() as chip:
        numbers = [20, *[7] * 63]
        asked = u.GPIO_V2_LINE_REQUEST.pack(*numbers, b"me", config(IN), 1, 3, *[0] * 5, -9)
        _touched.add(20)
        told = chip.ioctl(u.GPIO_V2_GET_LINE_IOCTL, asked)
        number = u.GPIO_V2_LINE_REQUEST.unpack(told)[-1]
        with Lines(number):
            flags = fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            again = bytearray(asked)
            refused = outcome(fcntl.ioctl, chip.number, u.GPIO_V2_GET_LINE_IOCTL, again)
        return {
            "same": told[:-4] == asked[:-4],
            "descriptor": number > 2,
            "close on exec": bool(flags),
            "refused": [refused, bytes(again) == asked],
        }


@case
def refused_half_way() -> Any:
    """Lines are taken in order: the first that cannot be had says why, those before are free again.

    Who watches has heard them taken and released.
    """
    with Chip() as chip, chip.lines(IN, 21), Chip() as watcher:
        watcher.watch(20, 21, 22)
        told: dict[str, Any] = {
            "busy second": outcome(chip.lines, IN | RISE, 20, 21, 22),
            "heard": watcher.changes(2),
            "busy before out of range": outcome(chip.lines, IN, 21, N_LINES),
            "out of range before busy": outcome(chip.lines, IN, N_LINES, 21),
            "heard of those": watcher.changes(),
            "twice": outcome(chip.lines, IN, 20, 20),
            "heard of twice": watcher.changes(2),
            "handle": outcome(chip.handle, 1 | 4, 20, 21),
            "heard of handle": watcher.changes(2),
            "no queue": outcome(chip.lines, IN | BOTH, 20, size=1),
            "heard of no queue": watcher.changes(1),
            "output": outcome(chip.lines, OUT | LOW, 20, 21),
            "heard of output": watcher.changes(2),
        }
        told["free"] = [outcome(chip.lines, IN, 20), outcome(chip.lines, IN, 22)]
        return told


@case
def busy() -> Any:
    """A line is held once, whoever asks in whatever version and through whichever open of the chip."""
    told = {}
    with Chip() as chip, Chip() as other:
        asks: dict[str, Callable[[Chip], Fd]] = {
            "lines": lambda by: by.lines(IN, 20),
            "as is": lambda by: by.lines(0, 20),
            "handle": lambda by: by.handle(1, 20),
            "event": lambda by: by.event(20),
        }
        for holder, hold in asks.items():
            with hold(chip):
                for asker, ask in asks.items():
                    told[f"{holder}, then {asker}"] = [outcome(ask, chip), outcome(ask, other)]
            told[f"{holder}, closed"] = outcome(asks["lines"], other)
    return told


@case
def descriptors_kept() -> Any:
    """A request lives until its last descriptor is closed, with or without the chip's."""
    chip, other = Chip(), Chip()
    drive(20, 0)
    held = chip.lines(IN | RISE, 20)
    copy = Lines(os.dup(held.number))
    chip.close()
    drive(20, 1)
    told: dict[str, Any] = {
        "chip closed": [outcome(other.lines, IN, 20), held.values(), held.events(1)],
    }
    held.close()
    drive(20, 0, 1)
    told["original closed"] = [outcome(other.lines, IN, 20), copy.values(), copy.events(1)]
    copy.close()
    told["copy closed"] = outcome(other.lines, IN, 20)
    other.close()
    return told


# ---- values ----
@case
def value_masks() -> Any:
    """linereq_get_values, linereq_set_values: bits beyond the lines do not count, none at all is EINVAL."""
    with Chip() as chip:
        for offset, level in ((20, 1), (21, 0), (22, 1)):
            drive(offset, level)
        told: dict[str, Any] = {}
        masks = (0b111, 0b001, 0b110, 0b010, (1 << 64) - 1, 1 << 63 | 0b100)
        with chip.lines(IN, 20, 21, 22) as lines:
            told["get"] = [lines.values_and_mask(mask) for mask in masks]
            told["get none"] = [outcome(lines.values, mask) for mask in (0, 0b1000, 1 << 63)]
            told["set"] = [outcome(lines.put, 0, mask) for mask in (0, 0b001, 0b111, 0b1000)]
        with chip.lines(OUT, 23, 24, 25) as lines:
            told["put"] = []
            for bits, mask in ((0b111, 0b111), (0, 0b010), (0b011, 0b1010), (0b100, (1 << 64) - 1)):
                lines.put(bits, mask)
                told["put"].append([levels(23, 24, 25), lines.values(0b111)])
            told["put none"] = [outcome(lines.put, 7, mask) for mask in (0, 0b1000)]
        return told


@case
def values_mixed() -> Any:
    """Of inputs and outputs in one request all can be read; a set that names an input does nothing."""
    drive(21, 1)
    with Chip() as chip, chip.lines(IN, 20, 21, 22, attributes=[(FLAGS, OUT, 0b101)]) as lines:
        lines.put(0b101, 0b101)
        told: list[Any] = [levels(20, 21, 22), lines.values(0b111)]
        told += [outcome(lines.put, 0, 0b111), levels(20, 21, 22)]
        told += [outcome(lines.put, 0, 0b011), levels(20, 21, 22)]
        told += [outcome(lines.put, 0, 0b001), levels(20, 21, 22), lines.values(0b111)]
        return told


@case
def values_active_low() -> Any:
    """Active low turns values both ways, the first one too; levels outside are the line's."""
    told: dict[str, Any] = {}
    with Chip() as chip:
        with chip.lines(IN | LOW, 20) as lines:
            for level in (0, 1):
                drive(20, level)
                told[f"input {level}"] = lines.values()
        with chip.lines(OUT | LOW, 21, 22, attributes=[(VALUES, 0b01, 0b11)]) as lines:
            told["output"] = [levels(21, 22), lines.values(0b11)]
            lines.put(0b10, 0b11)
            told["put"] = [levels(21, 22), lines.values(0b11)]
    return told


@case
def first_values() -> Any:
    """Outputs start as the attribute says, or inactive."""
    told = {}
    with Chip() as chip:
        for name, given in (
            ("none", []),
            ("all", [(VALUES, 0b11, 0b11)]),
            ("second", [(VALUES, 0b11, 0b10)]),
            ("beyond", [(VALUES, 0b111, 0b100)]),
            ("first attribute", [(VALUES, 0, 0b01), (VALUES, 0b11, 0b11)]),
        ):
            with chip.lines(OUT, 20, 21, attributes=given) as lines:
                told[name] = [levels(20, 21), lines.values(0b11)]
    return told


@case
def drives() -> Any:
    """What open drain and open source drive, they drive: low the one, high the other, whoever pulls."""
    told: dict[str, Any] = {}
    with Chip() as chip:
        for name, flags, active in (
            ("drain", OUT | DRAIN, 0),
            ("source", OUT | SOURCE, 1),
            ("drain low", OUT | DRAIN | LOW, 1),
            ("source low", OUT | SOURCE | LOW, 0),
        ):
            with chip.lines(flags, 20, attributes=[(VALUES, active, 1)]) as lines:
                told[name] = [chip.flags(20), levels(20), lines.values()]
                for pulled in (1, 0):
                    drive(20, pulled)
                    told[name] += [levels(20), lines.values()]
                lines.put(1 - active)
                lines.put(active)
                told[name] += [chip.flags(20), levels(20), lines.values()]
    return told


@case
def let_go() -> Any:
    """What open drain and open source do not drive is as who pulls it has it."""
    told: dict[str, Any] = {}
    with Chip() as chip:
        for name, flags, active in (("drain", OUT | DRAIN, 0), ("source", OUT | SOURCE, 1)):
            drive(20, 0)
            with chip.lines(flags, 20, attributes=[(VALUES, active, 1)]) as lines:
                lines.put(1 - active)
                told[name] = [chip.flags(20), levels(20), lines.values()]
                for pulled in (1, 0, 1):
                    drive(20, pulled)
                    told[name] += [levels(20), lines.values()]
    return told


@case
def as_is() -> Any:
    """A request without direction leaves it; a line that was an output still is one, in info and in use."""
    told: dict[str, Any] = {}
    with Chip() as chip:
        drive(20, 1)
        chip.lines(IN, 20).close()
        with chip.lines(LOW, 20) as lines:
            told["after input"] = [chip.flags(20), lines.values(), outcome(lines.put, 1)]
        told["unused"] = chip.flags(20)
        chip.lines(OUT, 20).close()
        told["unused after output"] = [chip.flags(20), chip.flags_v1(20)]
        with chip.lines(LOW, 20) as lines:
            told["after output"] = [chip.flags(20), outcome(lines.put, 1), levels(20), lines.values()]
        with chip.handle(0, 20) as handle:
            told["handle"] = [chip.flags(20), outcome(handle.put, 1), levels(20), handle.values()]
        with chip.event(20):
            told["event"] = chip.flags(20)
    return told


@case
def clock_flag_stays() -> Any:
    """gpiod_free forgets all flags but the event clock: info tells it until a v2 request says otherwise."""
    told = []
    with Chip() as chip:
        chip.lines(IN | u.V2_CLOCK_REALTIME, 20).close()
        told.append(chip.info(20))
        with chip.handle(1, 20) as handle:
            told.append(chip.flags(20))
            handle.configure(u.V1_REQUEST_INPUT | u.V1_ACTIVE_LOW)
            told.append(chip.flags(20))
        with chip.event(20):
            told.append(chip.flags(20))
        told.append(chip.flags(20))
        with chip.lines(0, 20):
            told.append(chip.flags(20))
        told.append(chip.flags(20))
    return told


@case
def many_lines() -> Any:
    """53 lines in one request: bit k is line k of the request, not of the chip."""
    offsets = [offset for offset in reversed(range(N_LINES)) if offset not in (READY, 0, 1, 2, 52, 53)]
    with Chip() as chip, chip.lines(IN, *offsets) as lines:
        for at in (0, 1, 31, 32, 47):
            drive(offsets[at], 1)
        return {"lines": len(offsets), "bits": lines.values((1 << 64) - 1), "some": lines.values(3 << 31)}


# ---- events ----
@case
def edges() -> Any:
    """Every edge flag with either polarity, over the same levels; high at first is no event."""
    told = {}
    with Chip() as chip:
        for name, flags in (("rise", RISE), ("fall", FALL), ("both", BOTH), ("none", 0)):
            for low in (0, LOW):
                drive(20, 1)
                with chip.lines(IN | flags | low, 20) as lines:
                    first = lines.events()
                    drive(20, 0, 1, 1, 0, 0, 1, 0)
                    wanted = {"rise": 2, "fall": 3, "both": 5, "none": 0}[name]
                    if low:
                        wanted = {2: 3, 3: 2}.get(wanted, wanted)
                    told[f"{name} {'low' if low else 'high'}"] = [first, lines.events(wanted)]
    return told


@case
def edges_of_many() -> Any:
    """seqno counts over the request, line_seqno over the line; attributes choose edges line by line."""
    given = [
        (FLAGS, IN | RISE, 0b010),
        (FLAGS, IN | FALL | LOW, 0b100),
        (FLAGS, OUT, 0b1000),
        (FLAGS, IN, 16),
    ]
    with Chip() as chip, chip.lines(IN | BOTH, 20, 21, 22, 23, 24, attributes=given) as lines:
        for offset, level in (
            *((20, 1), (21, 1), (22, 1), (23, 1), (24, 1)),
            *((21, 0), (22, 0), (20, 0), (24, 0), (21, 1), (22, 1), (23, 0)),
        ):
            drive(offset, level)
        lines.put(1 << 3, 1 << 3)
        return lines.events(6)


@case
def edges_of_two_requests() -> Any:
    """Each request counts for itself; a new one starts anew."""
    with Chip() as chip, chip.lines(IN | BOTH, 20) as one, chip.lines(IN | BOTH, 21, 22) as two:
        drive(20, 1)
        drive(22, 1)
        drive(20, 0)
        drive(21, 1)
        told = [one.events(2), two.events(2)]
        one.close()
        drive(20, 1)
        with chip.lines(IN | BOTH, 20) as again:
            drive(20, 0)
            told.append(again.events(1))
        return told


@case
def event_form() -> Any:
    """What of an event is no stamp: its padding is zero, stamps never go back, both clocks are told apart."""
    with Chip() as chip, chip.lines(IN | BOTH, 20) as lines:
        drive(20, 1, 0, 1, 0)
        levels()
        lines.ready(ms=WITHIN_MS)
        raw = lines.read(4096)
        assert isinstance(raw, bytes)
        size = u.GPIO_V2_LINE_EVENT.size
        pieces = [raw[k : k + size] for k in range(0, len(raw), size)]
        stamps = [struct.unpack_from("<Q", piece)[0] for piece in pieces]
        return {
            "size": [len(raw), size],
            "padding": sum(map(sum, (piece[24:] for piece in pieces))),
            "ordered": stamps == sorted(stamps),
            "stamped": all(stamps),
        }


@case
def overflow() -> Any:
    """A full queue, of a size rounded up to a power of two, loses its oldest; numbers go on."""
    told = {}
    with Chip() as chip:
        for size in (0, 2, 3, 4, 16, 17):
            with chip.lines(IN | BOTH, 20, size=size) as lines:
                drive(20, *[1, 0] * 20)
                kept = lines.events(1)
                drive(20, 1, 0)
                told[str(size)] = [len(kept), kept[0], kept[-1], lines.events(2)]
        with chip.lines(IN | BOTH, 20, 21, 22) as lines:
            for _ in range(40):
                drive(20, 1, 0)
            drive(21, 1, 0)
            kept = lines.events(1)
            told["three lines"] = [len(kept), kept[0], kept[-3:]]
        with chip.lines(IN | BOTH, 20, 21, size=4) as lines:
            for _ in range(3):
                drive(20, 1, 0)
                drive(21, 1, 0)
            told["two lines of 4"] = lines.events(4)
    return told


@case
def overflow_while_reading() -> Any:
    """What is read makes room; what was lost before stays lost."""
    with Chip() as chip, chip.lines(IN | BOTH, 20, size=4) as lines:
        drive(20, 1, 0, 1, 0, 1)
        levels()
        first = lines.read(u.GPIO_V2_LINE_EVENT.size)
        assert isinstance(first, bytes)
        drive(20, 0, 1)
        return [list(u.GPIO_V2_LINE_EVENT.unpack(first)[1:]), lines.events(4)]


@case
def event_reads() -> Any:
    """linereq_read gives as many whole events as there are and fit; none are EAGAIN; poll tells of any."""
    size = u.GPIO_V2_LINE_EVENT.size
    with Chip() as chip, chip.lines(IN | BOTH, 20) as lines:
        told: list[Any] = [lines.ready(), lines.read_size(size)]
        drive(20, 1)
        told.append(lines.ready(ms=WITHIN_MS))
        drive(20, 0, 1, 0, 1, 0)
        levels()
        for wanted in (size, 2 * size, size):
            told += [lines.read_size(wanted), lines.ready()]
        told += [lines.read_size(100 * size), lines.ready(), lines.read_size(100 * size)]
        return told


@case
def event_reads_none() -> Any:
    """A request without edges never has any events: not ready, EAGAIN."""
    told = []
    with Chip() as chip:
        for flags in (IN, OUT, 0):
            with chip.lines(flags, 20) as lines:
                if flags == IN:
                    drive(20, 1, 0)
                told.append([lines.ready(), lines.read_size(48), lines.read_size(4096)])
    return told


@case
def event_reads_odd() -> Any:
    """linereq_read: less than one event is EINVAL, even of none; what does not fit whole stays."""
    told = []
    with Chip() as chip:
        for size in (0, 1, 47, 49, 100, 143):
            with chip.lines(IN | BOTH, 20) as lines:
                empty = lines.read_size(size)
                drive(20, 1, 0, 1, 0)
                levels()
                told.append([size, empty, lines.read_size(size), lines.read_size(1000)])
    return told


@case
def stamps() -> Any:
    """line_event_timestamp: CLOCK_MONOTONIC, or CLOCK_REALTIME when asked for; version 1 knows the first."""
    told = {}
    with Chip() as chip:
        for name, request, clock, form in (
            ("plain", lambda: chip.lines(IN | BOTH, 20), time.monotonic_ns, u.GPIO_V2_LINE_EVENT),
            (
                "realtime",
                lambda: chip.lines(IN | BOTH | u.V2_CLOCK_REALTIME, 20),
                time.time_ns,
                u.GPIO_V2_LINE_EVENT,
            ),
            ("v1", lambda: chip.event(20), time.monotonic_ns, u.GPIOEVENT_DATA),
        ):
            with request() as fd:
                before = clock()
                drive(20, 1, 0)
                found = fd.messages(form, 2)
                after = clock()
                told[name] = [before <= stamp[0] <= after for stamp in found]
        with Chip() as watcher:
            watcher.watch(20)
            before = time.monotonic_ns()
            chip.lines(IN | u.V2_CLOCK_REALTIME, 20).close()
            found = watcher.messages(u.GPIO_V2_LINE_INFO_CHANGED, 2)
            told["watch"] = [before <= stamp <= time.monotonic_ns() for _, stamp, _ in found]
    return {"stamps": told}


# ---- v2 configuration ----
@case
def config_direction() -> Any:
    """linereq_set_config turns lines round; an output without value goes inactive; an input reads again."""
    with Chip() as chip, chip.lines(IN, 20) as lines:
        told: list[Any] = []
        lines.configure(OUT, (VALUES, 1, 1))
        told.append([chip.flags(20), levels(20), lines.values()])
        lines.put(0)
        lines.put(1)
        lines.configure(OUT)
        told.append([chip.flags(20), levels(20), lines.values()])
        lines.configure(OUT | LOW)
        told.append([chip.flags(20), levels(20), lines.values()])
        lines.configure(OUT)
        lines.configure(IN | BOTH)
        told.append([chip.flags(20), outcome(lines.put, 1)])
        drive(20, 1)
        told.append([lines.values(), lines.events(1)])
        drive(20, 0)
        told.append([lines.values(), lines.events(1)])
        return told


@case
def config_without_direction() -> Any:
    """Lines that are given no direction are left as they are, edges and polarity too; nobody hears of it."""
    with Chip() as chip, Chip() as watcher:
        watcher.watch(20, 21, 22)
        given = [(FLAGS, OUT | LOW, 0b010), (VALUES, 0, 0b010), (DEBOUNCE, 5000, 0b100)]
        with chip.lines(IN | BOTH, 20, 21, 22, attributes=given) as lines:
            told: list[Any] = [watcher.changes(3)]
            for flags in (0, LOW, u.V2_CLOCK_REALTIME):
                lines.configure(flags, (VALUES, 0b010, 0b010))
                told.append([[chip.info(offset)[3:] for offset in (20, 21, 22)], levels(21)])
            drive(20, 1)
            told.append(lines.events(1))
            lines.configure(0, (FLAGS, OUT, 0b010), (VALUES, 0b010, 0b010))
            told.append([[chip.info(offset)[3:] for offset in (20, 21, 22)], levels(21)])
            told.append(watcher.changes(1))
            drive(20, 0)
            told.append(lines.events(1))
            return told


@case
def config_edges() -> Any:
    """Edges can be turned on and off; what is queued stays queued, numbers go on."""
    with Chip() as chip, chip.lines(IN, 20) as lines:
        drive(20, 1, 0)
        lines.configure(IN | BOTH)
        told: list[Any] = [chip.flags(20), lines.events()]
        drive(20, 1, 0)
        levels()
        lines.configure(IN | RISE)
        told.append(chip.flags(20))
        drive(20, 1, 0)
        levels()
        lines.configure(IN)
        told.append(chip.flags(20))
        drive(20, 1, 0)
        told += [lines.ready(), lines.events(3)]
        lines.configure(IN | FALL)
        drive(20, 1, 0)
        levels()
        lines.configure(OUT)
        lines.put(1)
        lines.put(0)
        told += [lines.ready(), lines.events(1)]
        return told


@case
def config_active_low() -> Any:
    """Polarity can be changed while edges are heard: kinds follow it, a change of it is no edge."""
    with Chip() as chip, chip.lines(IN | BOTH, 20) as lines:
        told: list[Any] = []
        for flags, wanted in ((IN | BOTH | LOW, 2), (IN | RISE | LOW, 1), (IN | RISE, 1)):
            lines.configure(flags)
            told += [chip.flags(20), lines.values()]
            drive(20, 1)
            told.append(lines.values())
            drive(20, 0)
            told.append(lines.events(wanted))
        return told


@case
def config_clock_and_bias() -> Any:
    """Event clock and biases are told as asked."""
    told = []
    with Chip() as chip, chip.lines(IN, 20) as lines:
        for direction in (IN, OUT):
            for flags in (u.V2_PULL_UP, u.V2_PULL_DOWN, u.V2_BIAS_DISABLED, u.V2_CLOCK_REALTIME, 0):
                lines.configure(direction | flags)
                told.append([chip.flags(20), chip.flags_v1(20)])
        drive(20, 1, 0)
    return told


@case
def config_refused() -> Any:
    """A configuration that is not valid for all lines changes none of them."""
    bad: dict[str, tuple[int, tuple[tuple[int, ...], ...], dict[str, Any]]] = {
        "contradiction": (IN | OUT, (), {}),
        "undefined": (OUT | 1 << 13, (), {}),
        "used": (OUT | u.V2_USED, (), {}),
        "hardware clock": (IN | u.V2_CLOCK_HTE, (), {}),
        "edges of an output": (OUT | RISE, (), {}),
        "second line": (OUT, ((FLAGS, IN | OUT, 0b10),), {}),
        "padding": (OUT, (), {"padding": 1}),
        "11 attributes": (OUT, (), {"count": 11}),
        "attribute padding": (OUT, ((FLAGS, OUT, 1, 1),), {}),
        "unused attribute": (OUT, (), {"unused": [0, 0, 0, 1]}),
        "debounced output": (OUT, ((DEBOUNCE, 10, 0b10),), {}),
        "bias without direction": (u.V2_PULL_UP, (), {}),
    }
    with Chip() as chip, Chip() as watcher, chip.lines(IN | BOTH | LOW, 20, 21) as lines:
        watcher.watch(20, 21)
        told: dict[str, Any] = {}
        for name, (flags, given, more) in bad.items():
            told[name] = [outcome(lines.configure, flags, *given, **more), chip.flags(20), chip.flags(21)]
        drive(20, 1, 0)
        told["afterwards"] = [lines.events(2), watcher.changes()]
        return told


@case
def config_short_queue() -> Any:
    """kfifo_alloc refuses a queue of one when edges are first asked for: info tells them, none are heard."""
    with Chip() as chip, Chip() as watcher:
        watcher.watch(20, 21)
        with chip.lines(IN, 20, 21, size=1) as lines:
            told: list[Any] = [watcher.changes(2), outcome(lines.configure, IN | BOTH)]
            told += [chip.flags(20), chip.flags(21), watcher.changes()]
            drive(20, 1, 0)
            told += [lines.events(), lines.ready()]
            told += [outcome(lines.configure, IN, (FLAGS, IN | RISE, 0b10)), watcher.changes(1)]
            told += [chip.flags(20), chip.flags(21)]
            return told


# ---- debouncing ----
@case
def debounce_info() -> Any:
    """supinfo_to_lineinfo tells a period that is not 0; it ends with the direction, a new one and release."""
    told: list[Any] = []
    with Chip() as chip:
        for period in (0, 1, 5000, (1 << 32) - 1, 1 << 32):
            with chip.lines(IN, 20, 21, attributes=[(DEBOUNCE, period, 0b10)]):
                told.append([chip.info(20)[3:], chip.info(21)[3:]])
        with chip.lines(IN | BOTH, 20, attributes=[(DEBOUNCE, 5000, 1)]) as lines:
            told.append(chip.info(20)[3:])
            lines.configure(IN | BOTH, (DEBOUNCE, 7000, 1))
            told.append(chip.info(20)[3:])
            lines.configure(IN | BOTH)
            told.append(chip.info(20)[3:])
            lines.configure(IN | RISE, (DEBOUNCE, 8000, 1))
            told.append(chip.info(20)[3:])
            lines.configure(OUT)
            told.append(chip.info(20)[3:])
            lines.configure(IN, (DEBOUNCE, 9000, 1))
            told.append(chip.info(20)[3:])
        told.append(chip.info(20)[3:])
    return told


@case
def debounced_events() -> Any:
    """debounce_work_func: levels faster than the period are not told, the one that stays is, once."""
    told: list[Any] = []
    with Chip() as chip, chip.lines(IN | BOTH, 20, attributes=[(DEBOUNCE, 50_000, 1)]) as lines:
        drive(20, 1, 0, 1)
        told.append(lines.events(1))
        told.append(lines.ready(ms=150))
        drive(20, 0, 1)
        told.append([lines.ready(ms=150), lines.events()])
        drive(20, 0)
        told.append(lines.events(1))
    return told


@case
def debounced_values() -> Any:
    """linereq_get_values of a debounced line is what has been stable."""
    with Chip() as chip, chip.lines(IN | BOTH, 20, attributes=[(DEBOUNCE, 100_000, 1)]) as lines:
        drive(20, 1)
        told = [lines.values(), lines.events(1), lines.values()]
        drive(20, 0)
        return [*told, lines.values(), lines.events(1), lines.values()]


# ---- watching ----
@case
def watch() -> Any:
    """lineinfo_changed_notify: requested, configured, released, with what info tells then."""
    with Chip() as chip, Chip() as watcher, Chip() as deaf:
        told: dict[str, Any] = {"asked": watcher.info(20, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL)}
        told["quiet"] = [watcher.ready(), watcher.read_size(4096)]
        with chip.lines(IN | BOTH, 20, consumer=b"one", attributes=[(DEBOUNCE, 5000, 1)]) as lines:
            told["ready"] = watcher.ready(ms=WITHIN_MS)
            lines.configure(OUT | LOW | DRAIN)
            lines.configure(IN | u.V2_PULL_UP | u.V2_CLOCK_REALTIME)
        told["v2"] = watcher.changes(4)
        with chip.handle(u.V1_REQUEST_OUTPUT | u.V1_OPEN_SOURCE, 20, consumer=b"two") as handle:
            handle.configure(u.V1_REQUEST_INPUT | u.V1_ACTIVE_LOW)
        told["v1"] = watcher.changes(3)
        chip.event(20, consumer=b"three").close()
        told["event"] = watcher.changes(2)
        chip.lines(IN, 21).close()
        told["other line"] = watcher.changes()
        told["other open"] = [deaf.ready(), deaf.changes()]
        drive(20, 1, 0)
    return told


@case
def watch_many() -> Any:
    """Lines of one request are told one by one, in the request's order, when taken, set and released."""
    with Chip() as chip, Chip() as watcher, Chip() as second:
        watcher.watch(20, 21, 22)
        second.watch(21)
        with chip.lines(IN, 22, 20, 21) as lines:
            lines.configure(OUT, (FLAGS, 0, 0b010))
        first = [change[:2] for change in watcher.changes(8)]
        return [first, [change[:2] for change in second.changes(3)]]


@case
def watch_twice() -> Any:
    """EBUSY for a line watched already or not at all; unwatching leaves what is queued, adds nothing."""
    with Chip() as chip, Chip() as watcher:
        told: list[Any] = [outcome(watcher.unwatch, 20)]
        told += [outcome(watcher.watch, 20), outcome(watcher.watch, 20), outcome(chip.watch, 20)]
        chip.lines(IN, 20).close()
        levels()
        told += [outcome(watcher.unwatch, 20), outcome(watcher.unwatch, 20), outcome(chip.unwatch, 20)]
        chip.lines(IN, 20).close()
        told += [[change[0] for change in watcher.changes(2)], [change[0] for change in chip.changes()]]
        told += [outcome(watcher.watch, 20), [change[0] for change in watcher.changes()]]
        return told


@case
def watch_versions() -> Any:
    """lineinfo_ensure_abi_version: an open of the chip watches in one version, for good."""
    told: dict[str, Any] = {}
    for name in ("v2", "v1"):
        with Chip() as watcher:
            first, other = watcher.watch, watcher.watch_v1
            if name == "v1":
                first, other = other, first
            told[name] = [
                *(outcome(first, 20), outcome(other, 20), outcome(other, 21), outcome(first, 21)),
                *(outcome(watcher.info, 20), outcome(watcher.info_v1, 20)),
                *(outcome(watcher.unwatch, 20), outcome(watcher.unwatch, 21), outcome(other, 20)),
                *(outcome(other, N_LINES), outcome(first, 20)),
            ]
    with Chip() as watcher:
        told["refused first"] = [outcome(watcher.watch, N_LINES), outcome(watcher.watch_v1, 20)]
    return told


@case
def watch_v1() -> Any:
    """gpio_v2_line_info_changed_to_v1: the same news in version 1's form, whoever makes it."""
    with Chip() as chip, Chip() as watcher:
        told: dict[str, Any] = {"asked": watcher.info_v1(20, u.GPIO_GET_LINEINFO_WATCH_IOCTL)}
        told["quiet"] = [watcher.ready(), watcher.read_size(4096)]
        with chip.lines(OUT | LOW | DRAIN, 20) as lines:
            lines.configure(IN | BOTH, (DEBOUNCE, 5000, 1))
        told["v2"] = watcher.changes_v1(3)
        with chip.handle(u.V1_REQUEST_OUTPUT, 20) as handle:
            handle.configure(u.V1_REQUEST_INPUT)
        told["v1"] = watcher.changes_v1(3)
        return told


@case
def watch_overflow() -> Any:
    """32 changes are kept, in either version; a full queue loses the newest."""
    told = []
    with Chip() as chip:
        for watch_one in (Chip.watch, Chip.watch_v1):
            with Chip() as watcher:
                watch_one(watcher, 20)
                for k in range(20):
                    chip.lines(IN, 20, consumer=f"n{k}".encode()).close()
                ask = watcher.changes if watch_one is Chip.watch else watcher.changes_v1
                kept = ask(1)
                chip.lines(IN, 20, consumer=b"more").close()
                told.append([len(kept), kept[0][:3], kept[-2][:3], [change[:3] for change in ask(2)]])
    return told


@case
def watch_reads() -> Any:
    """lineinfo_watch_read gives whole changes, as many as there are and fit; none are EAGAIN."""
    size = u.GPIO_V2_LINE_INFO_CHANGED.size
    with Chip() as chip, Chip() as watcher:
        watcher.watch(20)
        for _ in range(3):
            chip.lines(IN, 20).close()
        levels()
        told: list[Any] = [size]
        for wanted in (size, 2 * size, 16 * size, 16 * size):
            told += [watcher.ready(), watcher.read_size(wanted)]
        return told


@case
def watch_reads_odd() -> Any:
    """lineinfo_watch_read: too small is EINVAL only once something is there; a part that does not fit stays.

    In version 1 it looks whether a change of version 2 would fit.
    """
    told = []
    with Chip() as chip:
        for name, sizes in (("v2", (0, 104, 287, 289, 600)), ("v1", (0, 103, 104, 208, 391, 392))):
            for size in sizes:
                with Chip() as watcher:
                    (watcher.watch if name == "v2" else watcher.watch_v1)(20)
                    empty = watcher.read_size(size)
                    chip.lines(IN, 20).close()
                    chip.lines(IN, 20).close()
                    levels()
                    told.append([name, size, empty, watcher.read_size(size), watcher.read_size(4096)])
    return told


# ---- version 1 ----
@case
def v1_values() -> Any:
    """linehandle_ioctl: values of all lines at once, 1 for any but 0; inputs cannot be set."""
    told: dict[str, Any] = {}
    with Chip() as chip:
        drive(21, 1)
        with chip.handle(u.V1_REQUEST_INPUT, 20, 21, 22) as handle:
            told["inputs"] = [handle.values(3), outcome(handle.put, 1, 1, 1)]
        with chip.handle(u.V1_REQUEST_INPUT | u.V1_ACTIVE_LOW, 20, 21, 22) as handle:
            told["low inputs"] = handle.values(3)
        with chip.handle(u.V1_REQUEST_OUTPUT, 23, 24, 25, values=(0, 1, 200)) as handle:
            told["first"] = [levels(23, 24, 25), handle.values(3)]
            handle.put(2, 0, 255, 9)
            told["put"] = [levels(23, 24, 25), handle.values(3)]
        with chip.handle(u.V1_REQUEST_OUTPUT | u.V1_ACTIVE_LOW, 23, 24, values=(1,)) as handle:
            told["low"] = [levels(23, 24), handle.values(2)]
            handle.put(0, 1)
            told["low put"] = [levels(23, 24), handle.values(2)]
        with chip.handle(u.V1_REQUEST_OUTPUT | u.V1_OPEN_DRAIN, 23) as handle:
            told["drain"] = [levels(23), handle.values()]
    return told


@case
def v1_config() -> Any:
    """linehandle_set_config turns all lines round; without direction, or with flags at odds, it is EINVAL."""
    with Chip() as chip, Chip() as watcher, chip.handle(u.V1_REQUEST_INPUT, 20, 21) as handle:
        watcher.watch(20, 21)
        told: list[Any] = []

        def ask(flags: int, *values: int, **more: Any) -> None:
            result = outcome(handle.configure, flags, *values, **more)
            told.append([result, chip.flags(20), chip.flags_v1(21)])

        ask(u.V1_REQUEST_OUTPUT, 0, 7)
        told.append([levels(20, 21), handle.values(2)])
        ask(0)
        ask(u.V1_ACTIVE_LOW)
        ask(u.V1_REQUEST_INPUT | u.V1_REQUEST_OUTPUT)
        ask(u.V1_REQUEST_OUTPUT | 1 << 8)
        ask(u.V1_PULL_UP)
        ask(u.V1_REQUEST_INPUT | u.V1_OPEN_DRAIN)
        told.append([levels(20, 21), handle.values(2)])
        ask(u.V1_REQUEST_OUTPUT | u.V1_ACTIVE_LOW, 0, 1)
        told.append([levels(20, 21), handle.values(2), outcome(handle.put, 1, 0), levels(20, 21)])
        ask(u.V1_REQUEST_OUTPUT | u.V1_OPEN_SOURCE | u.V1_BIAS_DISABLE, 1, 1)
        told.append([levels(20, 21), handle.values(2)])
        ask(u.V1_REQUEST_OUTPUT)
        ask(u.V1_REQUEST_INPUT | u.V1_ACTIVE_LOW, padding=b"\1" * 16)
        drive(20, 1)
        told.append([handle.values(2), outcome(handle.put, 1, 1)])
        told.append([change[:2] for change in watcher.changes(10)])
        return told


@case
def v1_edges() -> Any:
    """lineevent_irq_thread: every edge flag with either polarity; the line's value by its descriptor."""
    told: dict[str, Any] = {}
    with Chip() as chip:
        for name, flags, wanted in (("none", 0, 0), ("rise", 1, 2), ("fall", 2, 2), ("both", 3, 4)):
            for low in (0, u.V1_ACTIVE_LOW):
                with chip.event(20, flags, u.V1_REQUEST_INPUT | low) as event:
                    found = [event.ready(), event.values()]
                    drive(20, 1)
                    found.append(event.values())
                    drive(20, 0, 1, 0)
                    key = f"{name} {'low' if low else 'high'}"
                    told[key] = [*found, event.events(wanted), event.read_size(16)]
        with chip.event(20, 3, 0) as event:
            drive(20, 1, 0)
            told["handle flags 0"] = [chip.flags(20), event.events(2), outcome(event.put, 1)]
            told["configure"] = outcome(event.configure, u.V1_REQUEST_INPUT)
    return told


@case
def v1_overflow() -> Any:
    """A line event keeps 16; a full queue loses the newest."""
    with Chip() as chip, chip.event(20) as event:
        drive(20, 1)
        drive(20, *[0, 1] * 9)
        levels()
        first = event.read(16)
        assert isinstance(first, bytes)
        drive(20, 0, 1, 0)
        kept = event.events(16)
        drive(20, 1)
        return [KINDS[u.GPIOEVENT_DATA.unpack(first)[1]], len(kept), kept[:2], kept[-2:], event.events(1)]


@case
def v1_event_reads() -> Any:
    """lineevent_read gives whole events, as many as there are and fit; none are EAGAIN."""
    with Chip() as chip, chip.event(20) as event:
        told: list[Any] = [event.ready(), event.read_size(16)]
        drive(20, 1, 0, 1, 0, 1)
        levels()
        for wanted in (16, 32, 160, 160):
            told += [event.ready(), event.read_size(wanted)]
        return told


@case
def v1_event_reads_odd() -> Any:
    """lineevent_read: less than one event is EINVAL, even of none; what does not fit whole stays."""
    told = []
    with Chip() as chip:
        for size in (0, 12, 15, 17, 47):
            with chip.event(20) as event:
                empty = event.read_size(size)
                drive(20, 1, 0, 1, 0)
                levels()
                told.append([size, empty, event.read_size(size), event.read_size(1000)])
    return told


# ---- descriptors ----
@case
def descriptors() -> Any:
    """What a kind of descriptor is besides: written to, sought in, polled for all, read, asked as a tty."""

    def ask(fd: Fd) -> list[Any]:
        number = fd.number
        told: list[Any] = [outcome(os.write, number, b"x" * 48), outcome(os.lseek, number, 0, 0)]
        told += [fd.ready(sum(REVENTS.values())), fd.read_size(4096)]
        told += [outcome(fd.ioctl, command, bytes(64)) for command in (0x541B, 0x5401, 0x8904)]
        return [*told, fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE]

    told = _of_every_kind(ask)
    with Chip(os.O_RDONLY) as chip:
        told["chip, read only"] = ask(chip)
    return told


@case
def chip_seek() -> Any:
    """The chip's node is a character device that cannot be sought in."""
    with Chip() as chip:
        return [outcome(os.lseek, chip.number, at, how) for at, how in ((0, 0), (8, 0), (0, 1), (0, 2))]


# ---- removal: last ----
@cache
def _removed() -> tuple[Chip, Lines, Handle]:
    """The chip is gone; what was open by then."""
    chip = Chip()
    chip.watch(22)
    drive(20, 0)
    lines, handle = chip.lines(IN, 20), chip.handle(u.V1_REQUEST_OUTPUT, 21)
    rig().fault("vanished")
    return chip, lines, handle


@case
def removal() -> Any:
    """gpiochip_remove: whatever is asked of the chip or of a line is ENODEV."""
    chip, lines, handle = _removed()
    return {
        "chip": [outcome(chip.info, 20), outcome(chip.lines, IN, 25), outcome(chip.unwatch, 22)],
        "lines": [outcome(lines.values), outcome(lines.put, 1), outcome(lines.configure, IN)],
        "handle": [outcome(handle.values), outcome(handle.put, 1)],
        "unknown": [outcome(fd.ioctl, 0xC00CB47F, bytes(12)) for fd in (chip, lines, handle)],
    }


@case
def removal_reads() -> Any:
    """gpiochip_remove: descriptors hang up, reads are ENODEV, the node cannot be opened."""
    chip, lines, _ = _removed()
    return {
        "poll": [chip.ready(), lines.ready()],
        "read": [chip.read_size(4096), lines.read_size(4096), lines.read_size(4096), lines.read_size(1)],
        "open": outcome(Chip),
    }


# ---- all of it ----
def observe(name: str) -> Any:
    """One observation; an unexpected exception is one too. Lines are left free, inputs, and low."""
    try:
        found = CASES[name]()
    except Exception as error:  # noqa: BLE001  # the other cases go on
        found = {"raised": f"{type(error).__name__}: {error}"}
    if name not in _LAST:
        _tidy()
    return found


def _tidy() -> None:
    with Chip() as chip:
        for offset in sorted(_touched):
            drive(offset, 1, 0)
            outcome(chip.lines, IN, offset)
    _touched.clear()


def record(observations: dict[str, Any]) -> str:
    """One case a line, sorted."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(found, sort_keys=True, separators=(',', ':'))}"
        for name, found in sorted(observations.items())
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Ask, print, and record when told to."""
    file: Path | None = None
    if arguments[:1] == ["--record"] and len(arguments) > 1:
        file, arguments = Path(arguments[1]), arguments[2:]
    unknown = [name for name in arguments if name not in CASES]
    if unknown:
        print(f"no case is called {unknown[0]!r}; there are {', '.join(CASES)}", file=sys.stderr)
        return 2
    chosen = arguments or list(CASES)
    observations = {name: observe(name) for name in sorted(chosen, key=_LAST.__contains__)}
    if file is not None:
        file.write_text(record(observations), encoding="utf-8")
    print(json.dumps(observations, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
