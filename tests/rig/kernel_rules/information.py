"""Cases of information: of the chip and of lines, held or not, in both versions.

Owns what chipinfo_get and lineinfo_get tell, labels, and which offsets there are; no request's use.
"""

import os
from collections.abc import Callable
from typing import Any

from firmware.rig import uapi as u
from tests.rig.kernel_rules.chip import Chip
from tests.rig.kernel_rules.fd import BOTH, DRAIN, IN, LOW, OUT, RISE, Fd, outcome, text
from tests.rig.kernel_rules.other_end import N_LINES, READY
from tests.rig.kernel_rules.registry import case


@case
def chip_info() -> Any:
    """chipinfo_get: all is told, whatever the structure held before; an open for reading only is as good."""
    told = []
    for flags in (os.O_RDWR, os.O_RDONLY):
        with Chip(flags) as chip:
            packed = chip.ioctl(u.GPIO_GET_CHIPINFO_IOCTL, b"x" * u.GPIOCHIP_INFO.size)
            name, label, n_lines = u.GPIOCHIP_INFO.unpack(packed)
            told.append([text(name).rstrip("0123456789"), bool(text(label)), n_lines])
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
