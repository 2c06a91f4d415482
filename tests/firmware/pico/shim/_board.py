"""The modelled board behind `machine`, `rp2` and `time`: a request and an answer at a time, over two pipes.

The other end is tests/support/pico_model.py. A request is (length u16, kind u8, payload), an answer (length
u32, payload).
"""

import os
import struct

_TO = open(int(os.getenv("EVOKD_BOARD_TO")), "wb")
_FROM = open(int(os.getenv("EVOKD_BOARD_FROM")), "rb")


def ask(kind, payload=b""):
    """The model's answer."""
    _TO.write(struct.pack("<HB", len(payload), kind) + payload)
    size = struct.unpack("<I", _exactly(4))[0]
    return _exactly(size)


def _exactly(size):
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        n = _FROM.readinto(view[at:])
        if not n:
            raise SystemExit(0)
        at += n
    return data
