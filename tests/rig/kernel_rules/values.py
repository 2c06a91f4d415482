"""Cases of values: read, set and first ones of v2 requests, polarity, drives, lines taken as they are.

Owns levels at both ends of a line; edges are events.py's, version 1's values version_1.py's.
"""

from typing import Any

from firmware.rig import uapi as u
from tests.rig.kernel_rules.chip import Chip
from tests.rig.kernel_rules.fd import DRAIN, FLAGS, IN, LOW, OUT, SOURCE, VALUES, outcome
from tests.rig.kernel_rules.other_end import N_LINES, READY, drive, levels
from tests.rig.kernel_rules.registry import case


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
