"""Cases of version 1: values and configuration of line handles, events of line events.

Owns what handles and events do; their flags, refusals and information are asked beside those of v2.
"""

from typing import Any

from firmware.rig import uapi as u
from tests.rig.kernel_rules.chip import Chip
from tests.rig.kernel_rules.fd import KINDS, outcome
from tests.rig.kernel_rules.other_end import drive, levels
from tests.rig.kernel_rules.registry import case


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
