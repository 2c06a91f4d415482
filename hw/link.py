"""The link between edge and host: its framing as pure code, and the one door to its messages.

A frame is COBS(type u8, sequence u32, payload, CRC-32 of all before) and a zero byte. Each direction
counts its frames from 0, so the receiver knows what it lost; a frame that fails its CRC is counted and
dropped, never repaired. Both ends open with `Hello`; another version or another message table ends the talk.
"""

import struct
import zlib
from typing import get_args

from hw import cobs
from hw.link_fields import Unpacker, layout, pack
from hw.link_messages import (
    ALL_PLANS,
    LEADS_EDGE,
    LEADS_HOST_OWN,
    LEADS_HOST_SHARED,
    LEADS_NOBODY,
    LOCK_ELECTROSURGERY,
    LOCK_HOST,
    LOCK_IMPEDANCE,
    LOCK_REASONS,
    NOT_SEEN,
    Block,
    Configure,
    Description,
    Ended,
    Excite,
    Excited,
    Fault,
    Heartbeat,
    Hello,
    Impedance,
    ImpedanceStart,
    ImpedanceStop,
    Leads,
    LeadWatch,
    Lockout,
    Message,
    Reply,
    Rows,
    Start,
    StimArm,
    StimLimits,
    StimPlan,
    StimState,
    StimStop,
    Stimulus,
    Timebase,
    Unfired,
)
from hw.link_update import UpdateMessage

__all__ = [
    "ALL_PLANS",
    "KINDS",
    "LEADS_EDGE",
    "LEADS_HOST_OWN",
    "LEADS_HOST_SHARED",
    "LEADS_NOBODY",
    "LOCK_ELECTROSURGERY",
    "LOCK_HOST",
    "LOCK_IMPEDANCE",
    "LOCK_REASONS",
    "MAX_FRAME_BYTES",
    "NOT_SEEN",
    "TABLE",
    "VERSION",
    "Block",
    "Configure",
    "Description",
    "Ended",
    "Excite",
    "Excited",
    "Fault",
    "Heartbeat",
    "Hello",
    "Impedance",
    "ImpedanceStart",
    "ImpedanceStop",
    "LeadWatch",
    "Leads",
    "Lockout",
    "Message",
    "Receiver",
    "Reply",
    "Rows",
    "Sender",
    "Start",
    "StimArm",
    "StimLimits",
    "StimPlan",
    "StimState",
    "StimStop",
    "Stimulus",
    "Timebase",
    "Unfired",
    "check_hello",
    "hello",
    "same",
    "table_text",
]

VERSION = 3
MAX_FRAME_BYTES = 1 << 20

_FROZEN: tuple[type[Message], ...] = get_args(UpdateMessage)
_ALL: tuple[type[Message], ...] = get_args(Message)
KINDS = tuple(kind for kind in _ALL if kind not in _FROZEN)
"""The messages of this version, which the handshake hashes; those of an update are of every version."""
_LAYOUTS = {kind: layout(kind) for kind in _ALL}
_BY_CODE = {kind.CODE: kind for kind in _ALL}
_HEAD = struct.Struct("<BI")
_RESTART = 1 << 31


def table_text() -> str:
    """The message table in one line per message, as the handshake hashes it."""
    rows = (f"{k.CODE} {k.__name__} " + " ".join(f"{n}:{c}" for n, c in _LAYOUTS[k]) for k in KINDS)
    return "\n".join(rows)


TABLE = zlib.crc32(table_text().encode())


def hello(role: str, boot: int) -> Hello:
    """The Hello of this version."""
    return Hello(VERSION, TABLE, boot, role)


def check_hello(peer: Hello) -> str:
    """Why we cannot talk with `peer`, in one line; empty when we can."""
    if peer.version != VERSION:
        return f"{peer.role} speaks link version {peer.version}, this side {VERSION}; update the older one"
    if peer.table != TABLE:
        return f"{peer.role} has message table {peer.table:08x}, this side {TABLE:08x}; update the older one"
    return ""


def same(a: Message, b: Message) -> bool:
    """Whether two messages are the same on the link; NaN, which stands for "none", is the same as NaN."""
    return type(a) is type(b) and pack(_LAYOUTS[type(a)], a) == pack(_LAYOUTS[type(b)], b)


class Sender:
    """Turns messages into frames, counting them."""

    def __init__(self) -> None:
        self._seq = 0

    def frame(self, message: Message) -> bytes:
        """The bytes of one frame, delimiter included. Raises ValueError for what a frame cannot hold."""
        kind = type(message)
        body = _HEAD.pack(kind.CODE, self._seq) + pack(_LAYOUTS[kind], message)
        stuffed = cobs.encode(body + struct.pack("<I", zlib.crc32(body)))
        if len(stuffed) > MAX_FRAME_BYTES:
            raise ValueError(f"{kind.__name__} of {len(stuffed)} bytes, a frame holds {MAX_FRAME_BYTES}")
        self._seq = (self._seq + 1) & 0xFFFFFFFF
        return stuffed + b"\0"


class Receiver:
    """Turns bytes into messages. `bad_frames` failed COBS, CRC or layout, or were longer than any frame;
    `lost_frames` are holes in the sequence (a bad frame leaves one too)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._too_long = False
        self._next: int | None = None
        self.frames = self.bad_frames = self.lost_frames = 0

    def feed(self, data: bytes) -> list[Message]:
        """Messages completed by `data`; never raises, whatever the bytes."""
        *ends, rest = data.split(b"\0")
        messages = []
        for end in ends:
            self._gather(end)
            frame = bytes(self._buffer)
            self._buffer.clear()
            self._too_long = False
            if frame and (message := self._decode(frame)) is not None:
                messages.append(message)
        self._gather(rest)
        return messages

    def _gather(self, piece: bytes) -> None:
        """Add to the frame under way; one that grows too long is counted once and dropped to its end."""
        if self._too_long:
            return
        self._buffer += piece
        if len(self._buffer) > MAX_FRAME_BYTES:
            self.bad_frames += 1
            self._buffer.clear()
            self._too_long = True

    def _decode(self, frame: bytes) -> Message | None:
        try:
            body = cobs.decode(frame)
            if len(body) < _HEAD.size + 4 or zlib.crc32(body[:-4]) != struct.unpack("<I", body[-4:])[0]:
                raise ValueError("checksum")
            code, seq = _HEAD.unpack_from(body)
            kind = _BY_CODE.get(code)
            if kind is None:
                raise ValueError(f"message {code} is unknown")
            message = _unpack(kind, body[_HEAD.size : -4])
        except ValueError:
            self.bad_frames += 1
            return None
        hole = 0 if self._next is None else (seq - self._next) & 0xFFFFFFFF
        if hole < _RESTART:  # a peer that was started anew on the same wire counts from 0 again
            self.lost_frames += hole
        self._next = (seq + 1) & 0xFFFFFFFF
        self.frames += 1
        return message


def _unpack(kind: type[Message], payload: bytes) -> Message:
    if kind is Hello and len(payload) >= 2 and (version := Unpacker(payload[:2]).number("H")) != VERSION:
        return Hello(version, 0, 0, "peer")  # only the version may be read of another version's Hello
    return kind(**Unpacker(payload).unpack(_LAYOUTS[kind]))
