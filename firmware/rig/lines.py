"""The 54 lines of the GPIO chip: who holds each, which way it points, its level, who hears its edges.

Owns levels and requests; refuses to know the uAPI's structures and what the wires lead to. One thread.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from firmware.rig.faults import Faults
from firmware.rig.line_request import EVENTS_LEAST, LineRequest
from firmware.rig.process import FileKey
from firmware.rig.uapi import (
    V2_ACTIVE_LOW,
    V2_CLOCK_REALTIME,
    V2_EDGE_FALLING,
    V2_EDGE_RISING,
    V2_INPUT,
    V2_OPEN_DRAIN,
    V2_OPEN_SOURCE,
    V2_OUTPUT,
    V2_PULL_UP,
)

N_LINES: Final = 54
EDGES: Final = V2_EDGE_RISING | V2_EDGE_FALLING
DIRECTIONS: Final = V2_INPUT | V2_OUTPUT
LINE_NAMES: Final = ("ID_SDA", "ID_SCL", *(f"GPIO{k}" for k in range(2, N_LINES)))
"""As a Pi names its header's lines."""


@dataclass(slots=True)
class Line:
    """One line. `flags`: what info tells, v2 flags without USED. `value`: what the program last put out.

    `driven`: what a wire from outside puts on it, or None. Both are physical levels.
    """

    flags: int = V2_INPUT
    value: int = 0
    driven: int | None = None
    debounce_us: int = 0
    request: LineRequest | None = None

    @property
    def is_output(self) -> bool:
        """True when it points outwards."""
        return bool(self.flags & V2_OUTPUT)

    @property
    def level(self) -> int:
        """What a voltmeter would say: 0 or 1."""
        lets_go = self.flags & (V2_OPEN_SOURCE if not self.value else V2_OPEN_DRAIN)
        if self.is_output and not lets_go:
            return self.value
        if self.driven is not None:
            return self.driven
        return int(bool(self.flags & V2_PULL_UP))


class Lines:
    """All lines and the requests that hold them.

    `on_output(offset, level)` is called when an output is set;
    `on_watch()` when edges are asked for; `on_look()` before and
    `on_looked(offsets)` after the program reads levels.
    """

    def __init__(self, faults: Faults) -> None:
        self.lines = [Line() for _ in range(N_LINES)]
        self.requests: dict[FileKey, LineRequest] = {}
        self.on_output: Callable[[int, int], None] = lambda offset, level: None

        self.on_watch: Callable[[], None] = lambda: None
        self.on_look: Callable[[], None] = lambda: None
        self.on_looked: Callable[[tuple[int, ...]], None] = lambda offsets: None
        self._sent = self._dropped = 0  # by requests that are gone
        self._faults = faults
        self.watching: set[int] = set()  # offsets whose edges somebody listens for
        self._watchers: list[list[LineRequest]] = [[] for _ in range(N_LINES)]

    def take(self, request: LineRequest, at: int) -> None:
        """`request` holds its line `at` from now on. Raises OSError EINVAL (no such line) or EBUSY."""
        offset = request.offsets[at]
        if offset >= N_LINES:
            raise OSError(errno.EINVAL, "no such line")
        if self.lines[offset].request is not None or offset in self._faults.busy_lines:
            raise OSError(errno.EBUSY, "line in use")
        self.lines[offset].request = request

    def configure(self, request: LineRequest, at: int, flags: int, value: int, debounce_us: int) -> None:
        """Set line `at` of the request; `value`: logical level of an output. No direction: as it is.

        Raises OSError EINVAL for edges that the request's queue cannot hold: info tells of them all the same.
        """
        offset = request.offsets[at]
        line, wanted = self.lines[offset], flags
        if not flags & DIRECTIONS:
            wanted |= line.flags & DIRECTIONS
        request.flags[at] = wanted
        if request.version == 1:  # neither touches the event clock nor tells of its edges
            wanted = wanted & ~EDGES | line.flags & V2_CLOCK_REALTIME
        line.flags = wanted
        line.debounce_us = debounce_us
        if flags & V2_OUTPUT:
            self._put(offset, value ^ bool(wanted & V2_ACTIVE_LOW))
        if flags & EDGES and request.capacity < EVENTS_LEAST:
            request.flags[at] &= ~EDGES
            raise OSError(errno.EINVAL, "no queue is that short")

    def hold(self, request: LineRequest) -> None:
        """All lines of `request` are taken and set, or set anew: hear the edges that it asks for."""
        self.requests[request.key] = request
        self._rewatch(request)

    def free(self, request: LineRequest) -> tuple[int, ...]:
        """The lines that `request` has taken are free and stay as they are; their offsets."""
        freed = []
        for offset in request.offsets:
            if offset >= N_LINES or self.lines[offset].request is not request:
                continue
            line = self.lines[offset]
            line.request = None
            line.flags &= DIRECTIONS | V2_CLOCK_REALTIME  # gpiod_free leaves the event clock set
            line.debounce_us = 0
            if request in self._watchers[offset]:
                self._watchers[offset].remove(request)
            freed.append(offset)
        self._list_watched(tuple(freed))
        return tuple(freed)

    def release(self, key: FileKey) -> LineRequest | None:
        """The program's last copy of the descriptor is closed: its lines are free."""
        request = self.requests.pop(key, None)
        if request is None:
            return None
        self._sent += request.sent
        self._dropped += request.dropped
        self.free(request)
        return request

    def values(self, request: LineRequest, mask: int) -> int:
        """Logical levels of the lines in `mask`, bit k is the request's line k."""
        self.on_look()
        bits = 0
        chosen = [(at, offset) for at, offset in enumerate(request.offsets) if mask >> at & 1]
        for at, offset in chosen:
            line = self.lines[offset]
            bits |= (line.level ^ bool(line.flags & V2_ACTIVE_LOW)) << at
        self.on_looked(tuple(offset for _, offset in chosen))
        return bits

    def set_values(self, request: LineRequest, mask: int, bits: int) -> None:
        """Put out logical levels. Raises OSError EPERM when one of the lines is no output."""
        chosen = [(at, offset) for at, offset in enumerate(request.offsets) if mask >> at & 1]
        if not all(self.lines[offset].is_output for _, offset in chosen):
            raise OSError(errno.EPERM, "an input")
        for at, offset in chosen:
            self._put(offset, (bits >> at & 1) ^ bool(self.lines[offset].flags & V2_ACTIVE_LOW))

    def put_directly(self, offset: int, output: bool, value: int) -> None:
        """What a program does through the mapped registers, past all requests."""
        line = self.lines[offset]
        line.flags = line.flags & ~DIRECTIONS | (V2_OUTPUT if output else V2_INPUT)
        self._put(offset, value)

    def driven(self, offset: int) -> int | None:
        """What a wire from outside puts on the line, None for nothing."""
        return self.lines[offset].driven

    def put(self, offset: int, level: int) -> None:
        """A wire from outside is at `level`; nobody hears how it came there."""
        self.lines[offset].driven = level

    def puts_low(self, offset: int) -> bool:
        """True while the program drives the line low."""
        line = self.lines[offset]
        return line.is_output and not line.level

    def levels(self) -> list[int]:
        """The level of every line."""
        return [line.level for line in self.lines]

    def drive(self, offset: int, level: int, t_ns: int) -> None:
        """A wire from outside changes to `level` at `t_ns`; edges are heard by those who asked."""
        line = self.lines[offset]
        before, line.driven = line.level, level
        if not line.is_output and before != level:
            self.edge(offset, bool(level), t_ns)

    def edge(self, offset: int, rising: bool, t_ns: int) -> None:
        """An edge is heard at `offset`, whatever the level."""
        for request in self._watchers[offset]:
            request.edge(offset, rising, t_ns)

    def watched(self, offset: int) -> bool:
        """True while somebody listens for edges at `offset`."""
        return offset in self.watching

    def watchers(self, offset: int) -> list[LineRequest]:
        """Who listens for edges at `offset`."""
        return self._watchers[offset]

    def dropped(self) -> int:
        """Events lost to full queues so far."""
        return self._dropped + sum(request.dropped for request in self.requests.values())

    def sent(self) -> int:
        """Events put into queues so far."""
        return self._sent + sum(request.sent for request in self.requests.values())

    def _put(self, offset: int, value: int) -> None:
        line = self.lines[offset]
        line.value = value
        if line.is_output:
            self.on_output(offset, line.level)

    def _rewatch(self, request: LineRequest) -> None:
        heard = False
        for at, offset in enumerate(request.offsets):
            watchers = self._watchers[offset]
            if request in watchers:
                watchers.remove(request)
            if request.flags[at] & EDGES:
                watchers.append(request)
                heard = True
        self._list_watched(request.offsets)
        if heard:
            self.on_watch()

    def _list_watched(self, offsets: tuple[int, ...]) -> None:
        for offset in offsets:
            if self._watchers[offset]:
                self.watching.add(offset)
            else:
                self.watching.discard(offset)
