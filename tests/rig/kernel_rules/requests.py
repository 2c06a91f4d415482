"""Cases of requests: what is refused, what comes back, who holds a line and until when.

Owns both versions' requests and v2's attributes; what a request is used for is the other modules'.
"""

import fcntl
import os
from collections.abc import Callable
from typing import Any

from firmware.rig import uapi as u
from tests.rig.kernel_rules.chip import Chip
from tests.rig.kernel_rules.fd import (
    BOTH,
    DEBOUNCE,
    DRAIN,
    FLAGS,
    IN,
    LOW,
    OUT,
    RISE,
    VALUES,
    Fd,
    Lines,
    config,
    outcome,
)
from tests.rig.kernel_rules.other_end import N_LINES, drive, levels, touched
from tests.rig.kernel_rules.registry import case


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
        touched.add(20)
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
