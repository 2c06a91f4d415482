"""Consistent overhead byte stuffing (Cheshire and Baker 1999): frames without zero bytes."""

LONGEST_RUN = 254


def encode(data: bytes) -> bytes:
    """`data` without any zero byte, at most 1 + len/254 bytes longer; the delimiter is not included."""
    out = bytearray()
    runs = data.split(b"\0")
    for last, run in zip([False] * (len(runs) - 1) + [True], runs, strict=True):
        while len(run) >= LONGEST_RUN:
            out.append(0xFF)
            out += run[:LONGEST_RUN]
            run = run[LONGEST_RUN:]
            if last and not run:
                return bytes(out)
        out.append(len(run) + 1)
        out += run
    return bytes(out)


def decode(data: bytes) -> bytes:
    """The bytes that an encoder was given. Raises ValueError for a zero byte or a run beyond the end."""
    out = bytearray()
    at, size = 0, len(data)
    if not size:
        raise ValueError("empty frame")
    while at < size:
        code = data[at]
        if code == 0 or at + code > size:
            raise ValueError(f"broken run at byte {at} of {size}")
        run = data[at + 1 : at + code]
        if 0 in run:
            raise ValueError(f"zero byte within a frame at {at}")
        out += run
        at += code
        if code != 0xFF and at < size:
            out.append(0)
    return bytes(out)
