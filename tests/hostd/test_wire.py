"""The wire: what goes in comes out bit for bit, and hostile bytes raise ValueError, never another kind."""

import contextlib
import math
import struct
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hostd import wire
from hostd.endpoints import DEFAULT_BUS, parse_bus, parse_http
from hostd.errors import UsageError
from hostd.wire import Message

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)
NAMES = st.text(min_size=1).filter(lambda name: name.strip() == name and name != "v")
ARRAYS = st.one_of(
    npst.arrays(kind, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    for kind in ("<f4", ">f4", "<f8", "<i4", ">i4", "|u1", "<u8", "|b1")
)


@given(st.text(), st.dictionaries(NAMES, TREES | ARRAYS, max_size=5))
def test_a_message_comes_back_as_it_was(topic: str, fields: dict[str, Any]) -> None:
    frames = wire.encode(topic, *wire.pack_arrays(fields))
    message = wire.decode(frames)
    assert message.topic == topic
    assert set(message.header) == set(fields)
    for key, value in fields.items():
        if isinstance(value, np.ndarray):
            back = message.array(key)
            assert back.shape == value.shape
            assert back.dtype == value.dtype.newbyteorder("<")
            assert back.tobytes() == value.astype(value.dtype.newbyteorder("<")).tobytes()
            assert not back.flags.writeable
        else:
            assert message.header[key] == value


def test_the_frames_are_what_another_languages_client_reads() -> None:
    counts = np.arange(6, dtype=">i4").reshape(3, 2)[::-1]  # neither little-endian nor contiguous
    topic, head, first, second = wire.encode("raw", *wire.pack_arrays({"a": counts, "n": 7, "b": counts[0]}))
    assert topic == b"raw"
    assert msgpack.unpackb(head) == {
        "a": {"dtype": "<i4", "shape": [3, 2], "part": 0},
        "n": 7,
        "b": {"dtype": "<i4", "shape": [2], "part": 1},
    }
    assert first == struct.pack("<6i", 4, 5, 2, 3, 0, 1)
    assert second == struct.pack("<2i", 4, 5)


@pytest.mark.control("H16.3")
@given(st.binary(max_size=64))
def test_any_bytes_are_a_map_or_a_value_error(data: bytes) -> None:
    try:
        value = wire.decode_map(data)
    except ValueError:
        return
    assert isinstance(value, dict)


@given(TREES, st.data())
def test_a_map_cut_short_or_altered_is_a_value_error_or_another_map(tree: Any, data: st.DataObject) -> None:
    whole = wire.encode_map({"id": tree, "command": "hello"})
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(ValueError):
        wire.decode_map(cut)
    at = data.draw(st.integers(0, len(whole) - 1))
    altered = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    with contextlib.suppress(ValueError):
        assert isinstance(wire.decode_map(altered), dict)


HOSTILE = {
    "nothing": b"",
    "not a map": b"\x93\x01\x02\x03",
    "a number": b"\x07",
    "reserved byte": b"\xc1",
    "trailing bytes": b"\x80\x80",
    "list of 4 billion": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "map of 4 billion": b"\xdf\xff\xff\xff\xff",
    "text of 4 GB": b"\x81\xa1a\xdb\xff\xff\xff\xff",
    "bytes of 4 GB": b"\x81\xa1a\xc6\xff\xff\xff\xff",
    "extension of 4 GB": b"\x81\xa1a\xc9\xff\xff\xff\xff\x01",
    "500 lists of 16 million": b"\x81\xa1a" + b"\xdd\x00\xff\xff\xff" * 500,
    "lists in lists": b"\x81\xa1a" + b"\x91" * 60_000 + b"\xc0",
    "maps in maps": b"\x81\xa1a" * 20_000 + b"\xc0",
    "a map as key": b"\x81\x81\xa1a\x01\x02",
    "not UTF-8": b"\x81\xa1a\xa2\xff\xfe",
    "half a surrogate": b"\x81\xa1a\xa3\xed\xa0\x80",
    "a time beyond all time": b"\x81\xa1a\xc7\x0c\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_maps_are_value_errors_of_one_line(data: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        wire.decode_map(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "frames", [[], [b"t"], [b"\xff\xfe", b"\x80"], [b"t", b"\x90"], [b"t", b""]], ids=range(5)
)
def test_frames_that_are_no_message(frames: list[bytes]) -> None:
    with pytest.raises(ValueError):
        wire.decode(frames)


GOOD = {"dtype": "<f4", "shape": [2], "part": 0}
BAD_ARRAYS = [
    None,
    5,
    "part",
    [],
    {},
    *(
        GOOD | {key: value}
        for key, values in {
            "part": (1, -1, 1.0, "0", None, 2**70),
            "shape": ([3], [-1], [-1, 2], [2, -1], 2, None, "2", ["a"], [2**70], [2**62, 2**62], [1] * 100),
            "dtype": (
                "O",
                "",
                5,
                "<f8,",
                "(1",
                "|V0",
                "|V99999999999",
                "(2000000000,)f8",
                "\ud800",
                "(" * 5000,
            ),
        }.items()
        for value in values
    ),
]


@pytest.mark.parametrize("described", BAD_ARRAYS, ids=lambda d: str(d)[:60])
def test_an_array_that_its_header_belies_is_a_value_error(described: object) -> None:
    message = Message("average.x", {"mean_uv": described}, [bytes(8)])
    with pytest.raises(ValueError, match=r"average\.x: mean_uv is not an array"):
        message.array("mean_uv")
    with pytest.raises(ValueError, match="noise"):
        message.array("noise")


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["<f4", "<i4", "|u1", "O", "?", "M8[s]"]) | TREES,
            "shape": st.lists(st.integers(-3, 2**65), max_size=4) | TREES,
            "part": st.integers(-3, 3) | TREES,
        }
    )
    | TREES,
    st.lists(st.binary(max_size=16), max_size=2),
)
def test_any_description_of_an_array_is_an_array_or_a_value_error(described: Any, parts: list[bytes]) -> None:
    try:
        array = Message("t", {"x": described}, parts).array("x")
    except ValueError:
        return
    assert array.nbytes == len(parts[described["part"]])
    assert array.shape == tuple(described["shape"])


def test_numbers_survive_exactly() -> None:
    values = {"small": 5e-324, "third": 1 / 3, "big": 2**64 - 1, "low": -(2**63), "minus": -0.0}
    back = wire.decode_map(wire.encode_map(values | {"nan": math.nan, "inf": math.inf}))
    assert {k: back[k] for k in values} == values
    assert math.copysign(1, back["minus"]) == -1 and math.isnan(back["nan"]) and back["inf"] == math.inf


def test_the_four_endpoints_follow_each_other() -> None:
    at = parse_bus(DEFAULT_BUS)
    assert (at.events, at.control, at.traces, at.raw) == tuple(
        f"tcp://127.0.0.1:{port}" for port in (5750, 5751, 5752, 5753)
    )
    assert parse_bus("tcp://[::1]:7000").raw == "tcp://[::1]:7003"
    assert parse_bus("tcp://cart-3.or.example:65532").raw == "tcp://cart-3.or.example:65535"
    assert parse_http("0.0.0.0:80") == ("0.0.0.0", 80)


@pytest.mark.parametrize(
    "bus",
    [
        "",
        "nonsense",
        "tcp://",
        "tcp://a",
        "tcp://a:",
        "tcp://a:0",
        "tcp://a:65533",
        "tcp://a:99999",
        "tcp://*:5750",
        "ipc:///tmp/x",
        "tcp://a b:5750",
        "tcp://a:5750\n",
        "tcp://a:5750/x",
        "tcp://a:-1",
        "tcp://a:٥٧٥٠",
        "tcp://[::1:1",
        "tcp://.:5750",
        "tcp://-a:5750",
    ],
)
def test_what_is_no_bus_is_said_with_a_cure(bus: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_bus(bus)
    assert "--bus" in str(caught.value) and "tcp://HOST:PORT" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "http", ["", "nonsense", "127.0.0.1", "127.0.0.1:", ":80", "a:99999", "http://a:80/", "*:80"]
)
def test_what_is_no_http_address_is_said_with_a_cure(http: str) -> None:
    with pytest.raises(UsageError, match=r"--http .*write HOST:PORT"):
        parse_http(http)
