"""The link between edge and host: its messages, declared once, and its framing, as pure code.

A frame is COBS(type u8, sequence u32, payload, CRC-32 of all before) and a zero byte. Each direction
counts its frames from 0, so the receiver knows what it lost; a frame that fails its CRC is counted and
dropped, never repaired. Both ends open with `Hello`; another version or another message table ends the talk.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import ClassVar, get_args

from hw import cobs
from hw.link_fields import (
    F64,
    I64,
    U8,
    U16,
    U32,
    U64,
    Blob,
    Floats,
    Gaps,
    Text,
    Texts,
    Unpacker,
    layout,
    pack,
)

VERSION = 1
MAX_FRAME_BYTES = 1 << 20
NOT_SEEN = (1 << 64) - 1
ALL_PLANS = 0xFFFF


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of both ends. `table` is the hash of the message table, `boot` names this start."""

    CODE: ClassVar[int] = 1
    version: U16
    table: U32
    boot: U64
    role: Text


@dataclass(frozen=True, slots=True)
class Configure:
    """Host: what to acquire. `lines` names what each output line drives; the rest maps a recording's signals
    (`labels` per channel; "" for none; `annotations` as TEXT=LINE; `threshold` NaN for none)."""

    CODE: ClassVar[int] = 2
    rate_hz: F64
    gain: U8
    channels: Texts
    lines: Texts
    labels: Texts
    trigger_channel: Text
    threshold: F64
    annotations: Texts


@dataclass(frozen=True, slots=True)
class Description:
    """Edge: what it will deliver. Microvolts = counts * lsb_uv + offset_uv; row k of a sweep lies
    (k + latency_offset_samples) / rate_hz after its stimulus. `lines` output lines (0: cannot stimulate)."""

    CODE: ClassVar[int] = 3
    source: Text
    rate_hz: F64
    channels: Texts
    lsb_uv: Floats
    offset_uv: Floats
    latency_offset_samples: F64
    lines: U8


@dataclass(frozen=True, slots=True)
class Start:
    """Host: begin, or go on, sending blocks."""

    CODE: ClassVar[int] = 4
    command: U32


@dataclass(frozen=True, slots=True)
class Block:
    """Edge: contiguous samples. `samples` 24-bit big-endian as the converter sends them, (time, channel);
    `bits` one byte per sample; `gaps` lie before the first sample."""

    CODE: ClassVar[int] = 5
    first_index: U64
    t_ns: I64
    channels: U8
    samples: Blob
    bits: Blob
    gaps: Gaps


@dataclass(frozen=True, slots=True)
class StimPlan:
    """Host: pulse `line` (from 1) at every sample index that is `phase` modulo `period`, high for `hold`
    samples, `count` times (0: until stopped). Replaces the plan of the same number. Plans of one period and
    different phases therefore interleave whenever they were started."""

    CODE: ClassVar[int] = 6
    command: U32
    plan: U16
    line: U8
    period: U32
    phase: U32
    hold: U16
    count: U32


@dataclass(frozen=True, slots=True)
class StimStop:
    """Host: end a plan (or ALL_PLANS) and take its line low."""

    CODE: ClassVar[int] = 7
    command: U32
    plan: U16


@dataclass(frozen=True, slots=True)
class Stimulus:
    """Edge: one pulse and its proof: commanded at one sample, seen in the status word of another (NOT_SEEN
    when it never came back)."""

    CODE: ClassVar[int] = 8
    plan: U16
    command: U32
    number: U32
    line: U8
    commanded: U64
    seen: U64


@dataclass(frozen=True, slots=True)
class Reply:
    """Edge: the answer to a command; `refusal` is empty when it was accepted."""

    CODE: ClassVar[int] = 9
    command: U32
    refusal: Text


@dataclass(frozen=True, slots=True)
class Fault:
    """Edge: something is wrong; outputs are low. `fatal` ends acquisition."""

    CODE: ClassVar[int] = 10
    code: Text
    text: Text
    fatal: U8


@dataclass(frozen=True, slots=True)
class Ended:
    """Edge: the source has no more samples; `index` follows the last one."""

    CODE: ClassVar[int] = 11
    index: U64


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Host: I am alive. Silence for a second takes the outputs low."""

    CODE: ClassVar[int] = 12
    t_ns: I64


@dataclass(frozen=True, slots=True)
class Timebase:
    """Edge: when the data-ready edge of `index` fell on the edge's monotonic clock, by regression over all
    edges, `refused` late ones left out; sample time is earlier by the filter's delay. `ns_per_sample` is the
    period now, `ppm` how far the clock was fast of nominal over half a minute, `wander_ppm` its spread."""

    CODE: ClassVar[int] = 13
    index: U64
    t_ns: I64
    ns_per_sample: F64
    ppm: F64
    wander_ppm: F64
    residual_ns: F64
    refused: U32
    settled: U8


Message = (
    Hello
    | Configure
    | Description
    | Start
    | Block
    | StimPlan
    | StimStop
    | Stimulus
    | Reply
    | Fault
    | Ended
    | Heartbeat
    | Timebase
)
KINDS: tuple[type[Message], ...] = get_args(Message)
_LAYOUTS = {kind: layout(kind) for kind in KINDS}
_BY_CODE = {kind.CODE: kind for kind in KINDS}
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
