"""The coprocessor's code on the samples' way: in MicroPython's unix port here, and counted for the real chip.

Counted: the machine code that mpy-cross makes for an RP2040 is run instruction by instruction
(tests/support/thumb.py) with the cycles of a Cortex-M0+; the CRC is MicroPython's own C.
"""

import ast
import json
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from hw import cobs
from tests.support.pico_edge import BOARD, HERE, MICROPYTHON, board_files
from tests.support.thumb import Thumb, compiled

RATE_HZ, ROWS, FRAME = 16_000, 286, 27
PICO_HZ = 125_000_000
CRC_CYCLES = 25
"""A byte, by two steps of a table of 16 in C: an estimate, 20 to 30; not counted."""
SECONDS = "1.5"
SPEED = Path(__file__).parents[1] / "pico" / "codec_speed.py"


def measure(seconds: str = SECONDS) -> dict[str, float]:
    """`times`: samples a second in the unix port over those of 16 kSPS; `cycles`: of an RP2040 for each;
    `share`: percent of its 125 MHz that they are; `bytes`: a second on the port."""
    with tempfile.TemporaryDirectory() as folder:
        files = board_files(Path(folder))
        run = [MICROPYTHON, "-X", "heapsize=8m", SPEED, HERE / "shim", files, seconds]
        said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    figures = ast.literal_eval(said)
    cycles = counted()
    return {
        "times": figures["samples_a_second"] / RATE_HZ,
        "cycles": cycles,
        "share": 100 * cycles * RATE_HZ / PICO_HZ,
        "bytes": figures["bytes_a_sample"] * RATE_HZ,
    }


def noise(seed: int = 1) -> bytearray:
    """Rows of a buffer: eight channels of noise, 2000 counts rms."""
    rows = np.zeros((ROWS, FRAME), np.uint8)
    rows[:, 0] = 0xC0
    counts = np.random.default_rng(seed).normal(0, 2000, (ROWS, 8)).astype(">i4")
    rows[:, 3:] = counts.view(np.uint8).reshape(ROWS, 8, 4)[:, :, 1:].reshape(ROWS, -1)
    return bytearray(rows.tobytes())


def stuffed(data: bytearray, code: bytes, start: int) -> tuple[bytes, int]:
    """What the machine code makes of `data`, with its delimiter, and the cycles that it took."""
    chip, out, state = Thumb(code), bytearray(len(data) + len(data) // 254 + 4), struct.pack("<II", 1, 0)
    held = bytearray(state)
    where = chip.map(0x21000000, data), chip.map(0x22000000, out), chip.map(0x23000000, held)
    chip.call(start, [0, 1, where[0], len(data), where[1], where[2]])
    at, code_at = struct.unpack("<II", held)
    out[code_at] = at - code_at
    return bytes(out[:at]) + b"\0", chip.cycles


def counted() -> float:
    """Cycles for each sample: COBS, two looks at the headers and trigger bits, CRC."""
    with tempfile.TemporaryDirectory() as folder:
        functions = compiled(BOARD / "evokd" / "codec.py", Path(folder))
    data = noise()
    frame, cobs_cycles = stuffed(data, *functions[0])
    if frame != cobs.encode(bytes(data)) + b"\0":
        raise ValueError("the machine code stuffs otherwise than the box")
    chip, levels = Thumb(functions[1][0]), bytearray(ROWS)
    where = chip.map(0x21000000, data), chip.map(0x22000000, levels)
    chip.call(functions[1][1], [where[0], 0, ROWS, FRAME, where[1]])
    return (cobs_cycles + 2 * chip.cycles) / ROWS + CRC_CYCLES * FRAME


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
