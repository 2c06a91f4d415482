"""One bus message as one binary WebSocket frame: JSON header, then the raw buffers, all aligned to 8 bytes.

Layout: u32 little-endian length of the JSON text, the JSON `{"topic", "header"}`, zero padding to a multiple
of 8, then the buffers one after another, each padded to 8. Every array's description gains `offset`, in bytes
from the first buffer. Refuses invalid JSON: NaN, infinities and anything JSON cannot say become null.
"""

import json
import math
import re
import struct
from collections.abc import Collection, Mapping
from typing import Any

from hostd.wire import Message

ALIGNMENT = 8
PLAIN_DTYPE = re.compile(r"[<|][iu]1|<[iu][248]|<f[48]")


def pack_frame(message: Message, past: bool = False, without: Collection[str] = ()) -> bytes:
    """The frame of `message`; `past` marks history that must not pass for the present state.

    An array whose description and buffer disagree is sent as null; so is one of the fields `without`, and its
    buffer is left out.
    """
    empty = {_part_of(message.header.get(key)) for key in without}
    parts = [b"" if k in empty else part for k, part in enumerate(message.parts)]
    offsets, at = [], 0
    for part in parts:
        offsets.append(at)
        at += _padded(len(part))
    header = {
        str(key): None if key in without else _field(message, str(key), value, offsets)
        for key, value in message.header.items()
    }
    said: dict[str, Any] = {"topic": message.topic, "header": header}
    if past:
        said["past"] = True
    text = json.dumps(said, separators=(",", ":"), allow_nan=False).encode()
    out = bytearray(_padded(4 + len(text)) + at)
    struct.pack_into("<I", out, 0, len(text))
    out[4 : 4 + len(text)] = text
    start = len(out) - at
    for offset, part in zip(offsets, parts, strict=True):
        out[start + offset : start + offset + len(part)] = part
    return bytes(out)


def _padded(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT


def _part_of(value: object) -> object:
    return value.get("part") if isinstance(value, Mapping) else None


def _field(message: Message, key: str, value: object, offsets: list[int]) -> Any:
    if not (isinstance(value, Mapping) and {"dtype", "shape", "part"} <= value.keys()):
        return _plain(value)
    part, dtype = value["part"], value["dtype"]
    if not (isinstance(dtype, str) and PLAIN_DTYPE.fullmatch(dtype)):
        return None
    if not (isinstance(part, int) and 0 <= part < len(offsets)):
        return None
    try:
        array = message.array(key)
    except ValueError:
        return None
    return {"dtype": dtype, "shape": list(array.shape), "part": part, "offset": offsets[part]}


def _plain(value: object) -> Any:
    """`value` as JSON can say it; None for what it cannot."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None
