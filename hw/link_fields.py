"""How the fields of a link message become bytes: little-endian numbers, length-prefixed text and arrays.

A message is a frozen dataclass whose fields are annotated with the types below; nothing else is declared
anywhere, so both ends, the handshake's table hash and the documentation come from the same lines.
"""

import struct
from typing import Annotated, Any, get_type_hints

from hw.samples import Gap, GapReason

U8 = Annotated[int, "B"]
U16 = Annotated[int, "H"]
U32 = Annotated[int, "I"]
U64 = Annotated[int, "Q"]
I64 = Annotated[int, "q"]
F64 = Annotated[float, "d"]
Text = Annotated[str, "text"]
Texts = Annotated[tuple[str, ...], "texts"]
Floats = Annotated[tuple[float, ...], "floats"]
Blob = Annotated[bytes, "blob"]
Gaps = Annotated[tuple[Gap, ...], "gaps"]

GAP_REASONS: tuple[GapReason, ...] = ("missed", "torn", "link", "overflow", "file")
_GAP = struct.Struct("<QIB")


def layout(kind: type) -> tuple[tuple[str, str], ...]:
    """(field, code) of a message class, in order of declaration."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple((name, h.__metadata__[0]) for name, h in hints.items() if hasattr(h, "__metadata__"))


def pack(fields: tuple[tuple[str, str], ...], message: object) -> bytes:
    """The payload of `message`. Raises ValueError for a value that its field cannot hold."""
    out = bytearray()
    for name, code in fields:
        value = getattr(message, name)
        try:
            out += _pack_value(code, value)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{type(message).__name__}.{name} = {value!r}: {error}") from None
    return bytes(out)


def _pack_value(code: str, value: Any) -> bytes:
    data: bytes
    match code:
        case "text":
            return _sized(_utf8(value))
        case "texts":
            return struct.pack("<H", len(value)) + b"".join(_sized(_utf8(v)) for v in value)
        case "floats":
            return struct.pack(f"<H{len(value)}d", len(value), *value)
        case "blob":
            data = value
            return struct.pack("<I", len(data)) + data
        case "gaps":
            rows = (_GAP.pack(g.index, g.length, GAP_REASONS.index(g.reason)) for g in value)
            return struct.pack("<H", len(value)) + b"".join(rows)
        case _:
            return struct.pack("<" + code, value)


def _utf8(text: str) -> bytes:
    return text.encode(errors="replace")  # a file name need not be Unicode, and must not break the link


def _sized(data: bytes) -> bytes:
    return struct.pack("<H", len(data)) + data


class Unpacker:
    """Reads fields off a payload. Raises ValueError when the payload is shorter than it claims."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    def unpack(self, fields: tuple[tuple[str, str], ...]) -> dict[str, Any]:
        """Values by field name; bytes left over are an error."""
        values = {name: self._value(code) for name, code in fields}
        if self._at != len(self._payload):
            raise ValueError(f"{len(self._payload) - self._at} bytes too many")
        return values

    def _take(self, size: int) -> bytes:
        piece = self._payload[self._at : self._at + size]
        if len(piece) != size:
            raise ValueError(f"{size} bytes wanted at {self._at}, {len(piece)} left")
        self._at += size
        return piece

    def number(self, code: str) -> Any:
        """One number of struct code `code`."""
        return struct.unpack("<" + code, self._take(struct.calcsize("<" + code)))[0]

    def _text(self) -> str:
        return self._take(self.number("H")).decode()

    def _value(self, code: str) -> Any:
        match code:
            case "text":
                return self._text()
            case "texts":
                return tuple(self._text() for _ in range(self.number("H")))
            case "floats":
                n = self.number("H")
                return struct.unpack(f"<{n}d", self._take(8 * n))
            case "blob":
                return self._take(self.number("I"))
            case "gaps":
                return tuple(self._gap() for _ in range(self.number("H")))
            case _:
                return self.number(code)

    def _gap(self) -> Gap:
        index, length, reason = _GAP.unpack(self._take(_GAP.size))
        if reason >= len(GAP_REASONS):
            raise ValueError(f"gap reason {reason} is unknown")
        return Gap(index, length, GAP_REASONS[reason])
