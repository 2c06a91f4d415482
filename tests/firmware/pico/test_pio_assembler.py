"""The stand-in for `rp2`: encodings by hand from the RP2040 datasheet; what it refuses; MicroPython."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import pio_assembler
from tests.support.beside import beside
from tests.support.pio_assembler import PIO, PIOASMError, asm_pio, encode
from tests.support.pio_rig import programs

ROOT = Path(__file__).parents[3]


def test_instructions_are_encoded_as_the_datasheet_has_them() -> None:
    """Kind in bits 15 to 13, delay and side-set 12 to 8, then as tables 3.4.2 to 3.4.10 say."""
    by_hand = {
        "wait(0, 'gpio', 7)": 0b001_00000_0_00_00111,
        "wait(1, 'gpio', 12)": 0b001_00000_1_00_01100,
        "in_('pins', 1)": 0b010_00000_000_00001,
        "in_('x', 32)": 0b010_00000_001_00000,
        "out('null', 32)": 0b011_00000_011_00000,
        "out('isr', 9)": 0b011_00000_110_01001,
        "push(noblock)": 0b100_00000_0_0_0_00000,
        "push()": 0b100_00000_0_0_1_00000,
        "pull(noblock)": 0b100_00000_1_0_0_00000,
        "pull(block)": 0b100_00000_1_0_1_00000,
        "pull(ifempty, block)": 0b100_00000_1_1_1_00000,
        "mov(isr, x)": 0b101_00000_110_00_001,
        "mov(pins, null)": 0b101_00000_000_00_011,
        "mov(x, invert(null))": 0b101_00000_001_01_011,
        "nop()": 0b101_00000_010_00_010,
        "set(pins, 31)": 0b111_00000_000_11111,
        "set(y, 8)": 0b111_00000_010_01000,
    }
    assert {text: encode(text) for text in by_hand} == by_hand


def test_jumps_delays_and_side_sets_are_encoded_as_the_datasheet_has_them() -> None:
    @asm_pio(sideset_init=PIO.OUT_LOW, out_init=PIO.OUT_LOW)
    def program() -> None:
        label("top")
        out(pins, 1).side(1)[4]
        jmp(x_dec, "top").side(0)[15]
        jmp(x_not_y, "end").side(0)
        jmp(not_osre, "end").side(1)
        label("end")
        jmp(pin, "top").side(0)
        jmp("end").side(1)[7]

    by_hand = [
        0b011_10100_000_00001,
        0b000_01111_010_00000,
        0b000_00000_101_00100,
        0b000_10000_111_00100,
        0b000_00000_110_00000,
        0b000_10111_000_00100,
    ]
    assert (program.opcodes, program.wrap_target, program.wrap) == (by_hand, 0, 5)


def _twice() -> None:
    label("a")
    label("a")


REFUSED: list[tuple[dict[str, object], Callable[[], object]]] = [
    ({}, _twice),
    ({}, lambda: jmp("nowhere")),
    ({}, lambda: jmp("y_inc", "nowhere")),
    ({}, lambda: wait(1, "irq", 0)),
    ({}, lambda: wait(1, gpio, 32)),
    ({}, lambda: in_("exec", 1)),
    ({}, lambda: out(pins, 33)),
    ({}, lambda: mov("null", x)),
    ({}, lambda: mov(x, "status")),
    ({}, lambda: set(x, 32)),
    ({}, lambda: push("ifempty")),
    ({}, lambda: nop()[32]),
    ({}, lambda: nop().side(0).side(1)),
    ({}, lambda: [nop() for _ in range(33)]),
    ({"sideset_init": PIO.OUT_LOW}, lambda: nop().side(0)[16]),
    ({"sideset_init": PIO.OUT_LOW}, lambda: (nop().side(0), nop())),
    ({"side_pindir": True}, lambda: nop()),
]


@pytest.mark.parametrize("k", range(len(REFUSED)))
def test_what_cannot_be_assembled_is_refused(k: int) -> None:
    settings, program = REFUSED[k]
    with pytest.raises(PIOASMError):
        asm_pio(**settings)(program)


def test_a_programs_function_sees_no_names_of_its_module() -> None:
    with pytest.raises(NameError, match="ROOT"):
        asm_pio()(lambda: set(x, len(ROOT.parts)))
    assert ROOT.is_dir()


SHOWN = """
import sys
sys.path.insert(0, {root!r})
import tests.support.pio_assembler
from firmware.pico.board.evokd import programs as p
made = [p.reader(hz, 7, 2, rdata) for hz in (125000000, 150000000) for rdata in (True, False)]
made += [p.stamp(), p.schedule(7, 3), p.pulse(7, 20, 4, 16000.0)]
words = [p.reader_word(216, True), p.target_word(5), p.pulse_word(9, 4000, 3)]
words += [p.read_cycles(133000000, 216, True), p.machines(3, 2)["stamp"]]
print([one.opcodes for one in made], words)
"""


@pytest.mark.skipif(beside("micropython") is None, reason="no MicroPython for this machine on PyPI")
def test_micropython_makes_the_same_programs_and_words() -> None:
    shown = SHOWN.format(root=str(ROOT))
    said = [
        subprocess.run([name, "-c", shown], capture_output=True, text=True, check=True, timeout=120).stdout
        for name in (beside("micropython") or "", sys.executable)
    ]
    assert said[0] == said[1] != ""


def test_the_programs_of_a_block_fit_into_its_memory() -> None:
    """24 and 31 of 32 instructions."""
    made = {
        "reader": programs.reader(125_000_000, 12, 4, True),
        "stamp": programs.stamp(),
        "schedule": programs.schedule(12, 8),
        "pulse": programs.pulse(12, 21, 8, 16_000),
    }
    lengths = {name: len(program.opcodes) for name, program in made.items()}
    assert lengths == {"reader": 15, "stamp": 9, "schedule": 13, "pulse": 18}
    assert [sum(lengths[name] for name in block) for block in programs.BLOCKS] == [24, 31]
    assert pio_assembler.MEMORY == programs.MEMORY


def test_four_chips_leave_no_stamp_on_an_rp2040() -> None:
    assert programs.machines(1, 2) == {"reader": 0, "stamp": 1, "schedule": 4, "pulse": 5}
    assert programs.machines(3, 2)["stamp"] == 3
    assert programs.machines(4, 2)["stamp"] is None
    assert programs.machines(4, 3)["stamp"] == 8
    for chips, blocks in ((0, 2), (5, 3), (1, 1)):
        with pytest.raises(ValueError, match="are possible"):
            programs.machines(chips, blocks)


@pytest.mark.parametrize(
    "make",
    [
        lambda: programs.reader(125_000_000, 12, 5, True),
        lambda: programs.reader(30_000_000, 12, 1, True),
        lambda: programs.reader(260_000_000, 12, 1, True),
        lambda: programs.read_cycles(410_000_000, 216, True),
        lambda: programs.reader_word(217, True),
        lambda: programs.reader_word(0, False),
        lambda: programs.pulse(12, 21, 9, 16_000),
        lambda: programs.pulse(12, 21, 4, 63_000),
        lambda: programs.pulse_word(256, 1000, 1),
        lambda: programs.pulse_word(1, 15, 1),
        lambda: programs.pulse_word(1, programs.LONGEST_CYCLES + 1, 1),
        lambda: programs.pulse_word(1, 1000, 33),
    ],
)
def test_what_the_programs_cannot_do_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"possible|needs|read|held|expected|has 1|counted"):
        make()
