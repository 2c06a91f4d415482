"""Link messages on the coprocessor: objects to frames and frames to objects, from the generated table.

A float of the board has 24 bits: whole numbers are written as doubles exactly, from integers.
"""

import binascii
import struct

from evokd import codec
from evokd.messages import GAP_REASONS, KINDS, TABLE, VERSION, Hello

MOST_BYTES = 4096
"""The longest frame that a host may send here."""
_CODES = {kind: code for code, (kind, _) in KINDS.items()}


def double(value):
    """Eight bytes of `value` as a double; an integer exactly, as far as 53 bits go; (integer, n): / 2^n."""
    shift = 0
    if isinstance(value, tuple):
        value, shift = value
    if isinstance(value, float) or value == 0:
        return struct.pack("<d", value)
    size = -value if value < 0 else value
    bits = 0
    while size >> bits:
        bits += 1
    fraction = size << 53 - bits if bits <= 53 else size >> bits - 53
    word = (1022 + bits - shift) << 52 | fraction & (1 << 52) - 1 | (1 << 63 if value < 0 else 0)
    out = bytearray(8)
    codec.put(out, 0, word, 8)
    return bytes(out)


def _text(text):
    coded = text.encode()
    return struct.pack("<H", len(coded)) + coded


def _packed(code, value):
    if code == "text":
        return _text(value)
    if code == "texts":
        return struct.pack("<H", len(value)) + b"".join([_text(v) for v in value])
    if code == "floats":
        return struct.pack("<H", len(value)) + b"".join([double(v) for v in value])
    if code == "d":
        return double(value)
    if code in "Qq":
        out = bytearray(8)
        codec.put(out, 0, value, 8)
        return out
    return struct.pack("<" + code, value)


class Sender:
    """Counts frames, of messages and of blocks alike."""

    def __init__(self):
        self.sequence = 0

    def next(self):
        """The number of the next frame."""
        now = self.sequence
        self.sequence = now + 1 & 0xFFFFFFFF
        return now

    def frame(self, message):
        """The bytes of a message with the delimiter behind."""
        code = _CODES[type(message)]
        body = bytearray(struct.pack("<BI", code, self.next()))
        for name, kind in KINDS[code][1]:
            body += _packed(kind, getattr(message, name))
        size = len(body)
        body += b"\0\0\0\0"
        out = bytearray(size + size // 254 + 8)
        return bytes(memoryview(out)[: codec.sealed(body, size, out)])


class Receiver:
    """Turns bytes into messages; `bad` counts what was no frame. Never raises, whatever the bytes."""

    def __init__(self):
        self._buffer = bytearray()
        self._too_long = False
        self.bad = 0

    def feed(self, data):
        """The messages that `data` completes."""
        heard = []
        at = 0
        while True:
            end = data.find(b"\0", at)
            piece = data[at:] if end < 0 else data[at:end]
            if not self._too_long:
                self._buffer += piece
                if len(self._buffer) > MOST_BYTES:
                    self.bad += 1
                    self._too_long = True
            if end < 0:
                return heard
            if self._buffer and not self._too_long:
                message = self._decoded()
                if message is None:
                    self.bad += 1
                else:
                    heard.append(message)
            self._buffer = bytearray()
            self._too_long = False
            at = end + 1

    def _decoded(self):
        body = codec.unstuff(self._buffer)
        if body is None or len(body) < 9:
            return None
        if binascii.crc32(memoryview(body)[:-4]) != struct.unpack("<I", body[-4:])[0]:
            return None
        kind = KINDS.get(body[0])
        if kind is None:
            return None
        payload = bytes(memoryview(body)[5:-4])
        if kind[0] is Hello and len(payload) >= 2:
            version = _number(payload, 0, "H")[0]
            if version != VERSION:  # only the version may be read of another version's Hello
                return Hello(version, 0, 0, "peer")
        try:
            values, at = {}, 0
            for name, code in kind[1]:
                values[name], at = _value(payload, at, code)
        except (ValueError, IndexError, UnicodeError):
            return None
        return kind[0](**values) if at == len(payload) else None


def _number(payload, at, form):
    """A number of struct code `form`, and the offset behind it."""
    end = at + struct.calcsize("<" + form)
    if end > len(payload):
        raise ValueError("too short")
    return struct.unpack_from("<" + form, payload, at)[0], end


def _sized(payload, at, form):
    """A length of struct code `form` and so many bytes behind it."""
    size, at = _number(payload, at, form)
    if at + size > len(payload):
        raise ValueError("too short")
    return payload[at : at + size], at + size


def _value(payload, at, code):
    if code == "text":
        piece, at = _sized(payload, at, "H")
        return str(piece, "utf-8"), at
    if code == "blob":
        return _sized(payload, at, "I")
    if code not in ("texts", "floats", "gaps"):
        return _number(payload, at, code)
    n, at = _number(payload, at, "H")
    rows = []
    for _ in range(n):
        if code == "gaps":
            index, at = _number(payload, at, "Q")
            length, at = _number(payload, at, "I")
            reason, at = _number(payload, at, "B")
            row = index, length, GAP_REASONS[reason]
        else:
            row, at = _value(payload, at, "text" if code == "texts" else "d")
        rows.append(row)
    return tuple(rows), at


def why_not(peer):
    """Why we cannot talk with `peer`, in one line; empty when we can."""
    if peer.version != VERSION:
        return "%s speaks link version %d, this side %d; update the older one" % (
            peer.role,
            peer.version,
            VERSION,
        )
    if peer.table != TABLE:
        return "%s has message table %08x, this side %08x; update the older one" % (
            peer.role,
            peer.table,
            TABLE,
        )
    return ""
