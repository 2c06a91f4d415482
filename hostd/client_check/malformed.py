"""Frames that are no messages, as a broken or hostile publisher would send them. Pure."""

from collections.abc import Iterator

from hostd import wire
from hostd.wire import Message

HEADERS = (
    b"",
    b"\xc1",
    b"\x93\x01\x02\x03",
    b"\x81",
    b"\xdf\xff\xff\xff\xff",
    b"\xdc\xff\xff",
    b"\x81\xa4text\xdb\x7f\xff\xff\xff",
    b"\x81\xa1x" + b"\x91" * 3000,
    b"\x81\xa1x\xa2\xff\xfe",
    b"\x81\x01\x02",
    b"\xa6header",
    b"\xc0",
)


def frames(good: Message) -> Iterator[list[bytes]]:
    """Each to be dropped; made of a message that has not been sent."""
    topic, header, parts = good.topic.encode(), dict(good.header), list(good.parts)
    yield [topic]
    yield [topic, *parts]
    for bytes_ in HEADERS:
        yield [topic, bytes_, *parts]
    encoded = wire.encode_map(header)
    yield [topic, encoded[: len(encoded) // 2], *parts]
    yield [topic + b"\xff\xfe", encoded, *parts]
    for key, value in (("boot", None), ("boot", 7), ("seq", "one"), ("seq", None), ("v", None), ("v", "1")):
        yield [topic, wire.encode_map(header | {key: value}), *parts]
    for key in ("boot", "seq", "v"):
        yield [topic, wire.encode_map({k: v for k, v in header.items() if k != key}), *parts]
    for described in _arrays():
        for key in _keys(header):
            yield [topic, wire.encode_map(header | {key: described}), *parts]
    if parts:
        yield [topic, encoded]
        yield [topic, encoded, parts[0][:-1], *parts[1:]]


def _keys(header: dict[str, object]) -> list[str]:
    return [k for k, v in header.items() if isinstance(v, dict) and "dtype" in v][:1]


def _arrays() -> Iterator[dict[str, object]]:
    for dtype, shape, part in (
        ("<f4", [2, 3], 99),
        ("<f4", [2, 3], -1),
        ("<f4", [2**40, 2**40], 0),
        ("<f4", [-2, -3], 0),
        ("<f4", [7, 9999], 0),
        ("|O", [1], 0),
        ("<c32", [1], 0),
        ("", [], 0),
        ("<f4", "shape", 0),
        ("<f4", [1.5], 0),
        ("<f4", None, 0),
        (4, [1], 0),
        ("<f4", [1], "0"),
        ("<f4", [1], None),
    ):
        yield {"dtype": dtype, "shape": shape, "part": part}
