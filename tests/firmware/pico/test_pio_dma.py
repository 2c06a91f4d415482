"""Reader and DMA together on rp2040js: every byte of every frame in memory, across buffers, around the ring.

The ring is the firmware's: a data channel takes bytes at the pace of the RX FIFO; at a buffer's end it chains
to a control channel, which writes the next buffer's address from a table that its read address wraps in.
Register addresses and fields: RP2040 datasheet 2.5.7, 2.19.6, 3.7. What rp2040js does not model (delays of
single instructions, the synchroniser, joined FIFOs) is proven on the other emulator.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.pio_assembler import PIO, Program, encode
from tests.support.pio_chips import DIN, DOUT, DRDY, SCLK, SELECT
from tests.support.pio_rig import PICO_HZ, programs

NODE = Path(__file__).parents[2] / "node"
IO_BANK0, PADS_BANK0, DMA, PIO0 = 0x40014000, 0x4001C000, 0x50000000, 0x50200000
FUNCTION_PIO0, INPUT_ENABLED = 6, 0x56
TABLE, BUFFERS = 0x20010000, 0x20020000
FRAME, ROWS, COUNT = 27, 5, 4
UNPACED = 0x3F


def machine(k: int, program: Program, x_pins: dict[str, int], word: int) -> Iterator[tuple[int, int]]:
    """Register writes that set state machine `k` up, Y holding `word`."""
    base, settings = PIO0 + 0xC8 + 0x18 * k, program.settings
    pins = (
        x_pins["out"]
        | x_pins["set"] << 5
        | x_pins["side"] << 10
        | x_pins["in"] << 15
        | program.count("out_init") << 20
        | program.count("set_init") << 26
        | program.side_count << 29
    )
    yield base + 0x04, program.wrap_target << 7 | program.wrap << 12
    yield (
        base + 0x08,
        settings["autopush"] << 16
        | (settings["in_shiftdir"] == PIO.SHIFT_RIGHT) << 18
        | (settings["out_shiftdir"] == PIO.SHIFT_RIGHT) << 19
        | (settings["push_thresh"] & 31) << 20,
    )
    inits = {"out": "out_init", "set": "set_init", "side": "sideset_init"}
    for pins_of, init in inits.items():
        for j in range(program.count(init)):
            yield base + 0x14, x_pins[pins_of] + j << 5 | 1 << 26
            yield base + 0x10, encode(f"set(pins, {program.levels(init) >> j & 1})")
            yield base + 0x10, encode("set(pindirs, 1)")
    yield base + 0x14, pins
    yield PIO0 + 0x10 + 4 * k, word
    yield base + 0x10, encode("pull(block)")
    yield base + 0x10, encode("mov(y, osr)")


def ring(k: int) -> Iterator[tuple[int, int]]:
    """Register writes for chip `k`'s channels, 2k for its bytes and 2k + 1 for where they go; they start."""
    table, first = TABLE + 0x100 * k, BUFFERS + 0x1000 * k
    for j in range(COUNT):
        yield table + 4 * j, first + j * ROWS * FRAME
    data, control = DMA + 0x80 * k, DMA + 0x80 * k + 0x40
    yield data + 0x00, PIO0 + 0x20 + 4 * k
    yield data + 0x08, ROWS * FRAME
    yield data + 0x10, 1 | 1 << 5 | (2 * k + 1) << 11 | (4 + k) << 15
    yield control + 0x00, table
    yield control + 0x04, data + 0x2C
    yield control + 0x08, 1
    ring_bits = (4 * COUNT).bit_length() - 1
    yield control + 0x0C, 1 | 2 << 2 | 1 << 4 | ring_bits << 6 | (2 * k + 1) << 11 | UNPACED << 15


def emulated(story: dict[str, Any]) -> dict[str, Any]:
    """What the emulator says; skips where it is not installed."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node here")
    if not (NODE / "node_modules" / "rp2040js").is_dir():
        pytest.skip("no rp2040js: npm install --prefix tests/node --no-package-lock")
    done = subprocess.run(
        [program, "pico_board.mjs"],
        input=json.dumps(story),
        cwd=NODE,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize(("chips", "rdata"), [(1, True), (1, False), (2, True)])
def test_every_byte_is_in_memory_across_buffers_and_around_the_ring(chips: int, rdata: bool) -> None:
    draw = Random(chips)
    rows = 2 * COUNT * ROWS + ROWS + 2
    frames = [[list(draw.randbytes(FRAME)) for _ in range(rows)] for _ in range(chips)]
    program = programs.reader(PICO_HZ, DRDY, chips, rdata)
    writes = [(PADS_BANK0 + 4 + 4 * pin, INPUT_ENABLED) for pin in (DRDY, *range(DOUT, DOUT + chips))]
    writes += [(IO_BANK0 + 8 * pin + 4, FUNCTION_PIO0) for pin in (SCLK, DIN, *range(SELECT, SELECT + chips))]
    writes += [(PIO0 + 0x48 + 4 * k, opcode) for k, opcode in enumerate(program.opcodes)]
    for k in range(chips):
        pins = {"out": DIN, "set": SELECT, "side": SCLK, "in": DOUT + k}
        writes += machine(k, program, pins, programs.reader_word(8 * FRAME, rdata))
        writes += ring(k)
    writes.append((PIO0, (1 << chips) - 1))
    said = emulated(
        {
            "writes": writes,
            "sclk": SCLK,
            "din": DIN,
            "select": SELECT,
            "drdy": DRDY,
            "chips": [{"dout": DOUT + k, "frames": frames[k]} for k in range(chips)],
            "opcodeBits": 8 * rdata,
            "dumps": [[BUFFERS + 0x1000 * k, COUNT * ROWS * FRAME] for k in range(chips)],
        }
    )
    for k in range(chips):
        expected = [frames[k][row] for row in range(COUNT * ROWS)]
        for row in range(rows):
            expected[row % (COUNT * ROWS)] = frames[k][row]
        assert said["memory"][k] == [byte for frame in expected for byte in frame]
    if rdata:
        assert said["clocks"] == [0x12, 0, 8 + 8 * FRAME] * rows
    else:
        assert said["clocks"] == [0, 0, 8 * FRAME] * rows
