"""Cases of v2's edge events: which come, how they are numbered, kept, lost, read and stamped.

Owns the queue of a line request; version 1's is version_1.py's, debounced ones configuration.py's.
"""

import struct
import time
from typing import Any

from firmware.rig import uapi as u
from tests.rig.kernel_rules.chip import Chip
from tests.rig.kernel_rules.fd import BOTH, FALL, FLAGS, IN, LOW, OUT, RISE, WITHIN_MS
from tests.rig.kernel_rules.other_end import drive, levels
from tests.rig.kernel_rules.registry import case


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
