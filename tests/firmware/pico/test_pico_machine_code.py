"""The machine code that viper makes for an RP2040, run as that chip runs it: bytes as the box makes them."""

import struct
from pathlib import Path

import numpy as np
import pytest

from hw import cobs
from tests.bench.pico_codec import counted, measure, stuffed
from tests.support.pico_edge import BOARD
from tests.support.thumb import Thumb, compiled

CODEC = BOARD / "evokd" / "codec.py"


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, int]]:
    return compiled(CODEC, tmp_path_factory.mktemp("mpy"))


def test_every_run_of_bytes_is_stuffed_as_by_the_box(functions: list[tuple[bytes, int]]) -> None:
    rng = np.random.default_rng(3)
    cases = [b"", b"\0", b"\1" * 254, b"\1" * 255, b"\1" * 254 + b"\0\1", b"\1" * 508]
    cases += [bytes(rng.integers(0, int(top), 300).astype(np.uint8)) for top in (2, 4, 256)]
    for case in cases:
        assert stuffed(bytearray(case), *functions[0])[0] == cobs.encode(case) + b"\0"


def test_headers_and_trigger_bits_are_found_as_in_the_unix_port(functions: list[tuple[bytes, int]]) -> None:
    rows = bytearray(27 * 40)
    for k in range(40):
        rows[27 * k], rows[27 * k + 2] = 0xC0, k & 15 | 0x50
    out = bytearray(40)
    assert _run(functions[1], rows, 3, 40, 27, out) == 40
    assert out[3:] == bytes(k & 15 for k in range(3, 40))
    before = bytes(out)
    assert _run(functions[2], rows, 3, 40, 27, out) == 40
    assert out[3:] == bytes(b | (b & 15) << 4 for b in before[3:])
    rows[27 * 20] = 0x80
    for function, arguments in ((1, (out,)), (2, (out,)), (3, ())):
        assert _run(functions[function], rows, 0, 40, 27, *arguments) == 20
        assert _run(functions[function], rows, 21, 40, 27, *arguments) == 40
    bits = bytearray([5] * 30 + [4] * 3)
    assert [_run(functions[4], bits, first, 33, 5) for first in (0, 31)] == [30, 31]


def _run(function: tuple[bytes, int], data: bytearray, *arguments: int | bytearray) -> int:
    chip = Thumb(function[0])
    given = [chip.map(0x21000000, data)]
    for k, argument in enumerate(arguments):
        given.append(argument if isinstance(argument, int) else chip.map(0x22000000 + k * 65536, argument))
    return chip.call(function[1], given)


def test_a_sample_costs_an_rp2040_no_more_than_it_has(tmp_path: Path) -> None:
    """Counted: 2440 cycles of 7812 that a sample of 8 channels at 16 kSPS has at 125 MHz (bar 60 %)."""
    assert counted() < 0.6 * 125_000_000 / 16_000


def test_the_bench_measures_the_way_of_a_sample_through_the_boards_own_code() -> None:
    measured = measure("0.1")
    assert measured["times"] > 0
    assert measured["bytes"] == 27 * 16_000


def test_what_is_not_known_is_said_and_not_guessed() -> None:
    with pytest.raises(ValueError, match="is not known here"):
        Thumb(struct.pack("<H", 0xDE00 | 0x2000)).call(0, [])
