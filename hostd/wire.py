"""One message on the bus: `[topic, header, buffer…]`, header one MessagePack map, arrays as raw buffers.

Refuses anything else; decoding hostile bytes raises ValueError, never another kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 1

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


class VersionError(ValueError):
    """A message of another schema version, whose keys may mean something else."""


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message; `parts` are the raw buffers after the header."""

    topic: str
    header: Mapping[str, Any]
    parts: Sequence[bytes] = ()

    def array(self, key: str) -> NDArray[Any]:
        """The array named `key`, read-only. Raises ValueError when header and buffer disagree."""
        described = self.header.get(key)
        try:
            part = self.parts[described["part"]]  # type: ignore[index]
            shape = described["shape"]  # type: ignore[index]
            if described["part"] < 0 or any(n < 0 for n in shape):  # type: ignore[index]
                raise ValueError("part and shape are not negative")
            return np.frombuffer(part, described["dtype"]).reshape(shape)  # type: ignore[index]
        except (TypeError, KeyError, IndexError, ValueError, OverflowError) as error:
            raise ValueError(f"{self.topic}: {key} is not an array: {error}") from None


def pack_arrays(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """Split `fields` into a plain header and buffers: every ndarray becomes {dtype, shape, part}."""
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    for key, value in fields.items():
        if isinstance(value, np.ndarray):
            little, name = _little(value.dtype)
            header[key] = {"dtype": name, "shape": list(value.shape), "part": len(parts)}
            parts.append(value.astype(little, copy=False).tobytes())
        else:
            header[key] = value
    return header, parts


@lru_cache(maxsize=64)
def _little(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], str]:
    """The little-endian kind of `dtype`, and its name on the wire."""
    little = dtype.newbyteorder("<")
    return little, little.str


def encode(topic: str, header: Mapping[str, Any], parts: Sequence[bytes]) -> list[bytes]:
    """The multipart frames of one message."""
    return [topic.encode(), _encoder.encode(header), *parts]


def encode_map(value: object) -> bytes:
    """One MessagePack map, as control messages are."""
    return _encoder.encode(value)


def decode_map(data: bytes) -> dict[str, Any]:
    """The MessagePack map in `data`; ValueError for anything else, however hostile."""
    try:
        value = _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"not MessagePack: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"a map is expected, got {type(value).__name__}")
    return value


def decode(frames: Sequence[bytes]) -> Message:
    """The message in `frames`; ValueError when it is not one, VersionError when it is of another schema.

    Keys that are not known stay in the header, for who knows them.
    """
    if len(frames) < 2:
        raise ValueError(f"a message has a topic and a header, got {len(frames)} frames")
    header = decode_map(bytes(frames[1]))
    version = header.get("v", SCHEMA_VERSION)
    if type(version) is int and version != SCHEMA_VERSION:
        told = f"schema version {version}, this client reads {SCHEMA_VERSION}; update the older of the two"
        raise VersionError(told)
    return Message(bytes(frames[0]).decode(), header, [bytes(f) for f in frames[2:]])
