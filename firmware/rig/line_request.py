"""A line request: the program's descriptor, what it asked for, and the events queued in it.

Owns the socket pair that stands for the kernel's anonymous file: the program's end is readable, pollable,
dupable and inherited like the kernel's; when its last copy is closed, our end hangs up. Refuses to know
levels.
"""

import array
import contextlib
import fcntl
import os
import socket
from dataclasses import dataclass, field
from functools import cache

from firmware.rig import kernel, process
from firmware.rig.process import FileKey
from firmware.rig.uapi import (
    EVENT_FALLING_EDGE,
    EVENT_RISING_EDGE,
    GPIO_MAX_NAME_SIZE,
    GPIO_V2_LINE_EVENT,
    GPIOEVENT_DATA,
    SIOCOUTQ,
    V2_ACTIVE_LOW,
    V2_CLOCK_REALTIME,
    V2_EDGE_FALLING,
    V2_EDGE_RISING,
)

_SO_SNDBUFFORCE = 32
EVENTS_LEAST, EVENTS_MOST = 2, 1024
"""A kfifo holds at least two; the uAPI gives no more."""
_UNNAMED = b"?"
"""What gpiolib calls a consumer without a name."""


def open_pair(blocking: bool = True) -> tuple[socket.socket, socket.socket]:
    """Our end (never blocks) and the program's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(blocking)
    return ours, theirs


def key_of(end: socket.socket) -> FileKey:
    """The file behind `end`, as `process.file_key` names it."""
    status = os.fstat(end.fileno())
    return status.st_dev, status.st_ino


def queued_bytes(ours: socket.socket) -> int:
    """What our end has sent and the program has not read, in the kernel's own account."""
    count = array.array("i", [0])
    fcntl.ioctl(ours.fileno(), SIOCOUTQ, count)
    return count[0]


def consumer_of(label: bytes) -> bytes:
    """The name that info tells for a request's `label`."""
    return label.split(b"\0")[0][: GPIO_MAX_NAME_SIZE - 1] or _UNNAMED


def queued(ours: socket.socket, message_bytes: int) -> int:
    """How many messages of that many bytes our end has sent and the program has not read."""
    return queued_bytes(ours) // _account_of(message_bytes)


@cache
def _account_of(event_bytes: int) -> int:
    """What one event of that many bytes counts in `queued_bytes`."""
    ours, theirs = open_pair()
    with ours, theirs:
        ours.send(bytes(event_bytes))
        return queued_bytes(ours)


@dataclass(slots=True, eq=False)
class LineRequest:
    """Lines of one descriptor. `flags` are v2 flags, one per line; `version` 1 or 2; `key` names the file.

    `capacity`: events kept; past that version 2 drops the oldest, version 1 the newest. `owner` is the
    process that asked. `realtime_ns` is what CLOCK_REALTIME is ahead.
    """

    ours: socket.socket
    key: FileKey
    offsets: tuple[int, ...]
    flags: list[int]
    consumer: bytes
    version: int
    owner: int
    capacity: int = 0
    realtime_ns: int = 0
    debounce_us: list[int] = field(default_factory=list)
    sent: int = 0
    dropped: int = 0
    _seqno: int = 0
    _line_seqno: dict[int, int] = field(default_factory=dict)
    _unread: int = 0

    def make_room(self) -> None:
        """Let the socket hold as many events as the kernel's queue would."""
        size = 4 * self.capacity * _account_of(GPIO_V2_LINE_EVENT.size)
        with contextlib.suppress(OSError):  # without the privilege the default holds 16 lines' worth
            self.ours.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, size)

    def edge(self, offset: int, rising: bool, t_ns: int) -> bool:
        """The level of `offset` changed at `t_ns`: queue an event if asked for. False when one was lost."""
        flags = self.flags[self.offsets.index(offset)]
        rises = rising != bool(flags & V2_ACTIVE_LOW)
        if not flags & (V2_EDGE_RISING if rises else V2_EDGE_FALLING):
            return True
        kind = EVENT_RISING_EDGE if rises else EVENT_FALLING_EDGE
        if flags & V2_CLOCK_REALTIME:
            t_ns += self.realtime_ns
        if self.version == 1:
            return self._queue(GPIOEVENT_DATA.pack(t_ns, kind))
        self._seqno += 1
        line_seqno = self._line_seqno.get(offset, 0) + 1
        self._line_seqno[offset] = line_seqno
        return self._queue(GPIO_V2_LINE_EVENT.pack(t_ns, kind, offset, self._seqno, line_seqno))

    @property
    def unread(self) -> int:
        """Events that the program has not read."""
        return queued(self.ours, self._event_bytes)

    @property
    def _event_bytes(self) -> int:
        return GPIOEVENT_DATA.size if self.version == 1 else GPIO_V2_LINE_EVENT.size

    def _queue(self, event: bytes) -> bool:
        """Send; ask the kernel how much is unread only when the queue may be full."""
        whole = True
        if self._unread >= self.capacity:
            self._unread = self.unread
            if self._unread >= self.capacity:
                self.dropped += 1
                whole = False
                if self.version == 1 or not self._drop_oldest(len(event)):
                    return False
                self._unread -= 1
        try:
            self.ours.send(event)
        except OSError:  # closed meanwhile: the hang-up is on its way
            return whole
        self._unread += 1
        self.sent += 1
        return whole

    def _drop_oldest(self, event_bytes: int) -> bool:
        """Read one event through a copy of the program's own descriptor; False when it cannot be had."""
        found = process.find_file({self.owner}, self.key)
        if found is None:  # closed there: a child may have inherited it
            found = process.find_file(process.family(self.owner), self.key)
        if found is None:
            return False
        try:
            with socket.socket(fileno=kernel.take_fd(*found)) as theirs:
                theirs.recv(event_bytes, socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True
