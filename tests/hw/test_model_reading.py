"""Reading in time: torn and late frames, opcodes too close, GPIO latch, chains, clocks (facts 1.2 to 1.7)."""

import numpy as np
import pytest

from hw.chips import ADS1299, ADS1299_4, Opcode
from hw.frames import FrameLayout, decode_board, decode_frames, find_gap_bits
from hw.model.board import BoardModel
from hw.registers import Address
from tests.support.boards import Counting, Program, Volts, board

SPEED = 2_000_000  # 4 us a byte, 108 us a frame
FRAME_NS = 27 * 4_000


class Everywhere(Volts):
    """Conversion k gives k x 16 uV on every channel: a frame made of two conversions shows."""

    def read(self, sample: int) -> list[float]:
        return [sample * 16e-6] * 8


def running(continuous: bool = False, **setup: object) -> Program:
    program = Program(board(body=Everywhere(), **setup)).set_up(config1=0x94).start()
    if continuous:
        program.wait(100_000)
        program.send(Opcode.RDATAC)
    program.edge()
    program.frame()
    return program


def channels(frame: bytes) -> list[int]:
    """Which conversion each channel is of."""
    decoded = decode_frames(np.frombuffer(frame, np.uint8).reshape(1, 27))
    return [round(count * 4.5e6 / 24 / (1 << 23) / 16) for count in decoded.counts[0]]


def test_a_continuous_read_that_a_conversion_overtakes_is_torn() -> None:
    program = running(continuous=True)
    at_ns = program.edge()
    program.wait(1_000_000 - FRAME_NS // 2)  # half the frame after the next edge
    got = channels(program.send(*bytes(27), speed_hz=SPEED))
    assert got[0] == got[2] == 4
    assert got[-1] == 5
    assert sorted(got) == got  # old first, then new
    assert len(program.board.edges()) == 1
    assert program.board.now_ns() == at_ns + 1_000_000 + FRAME_NS // 2 + 2_000


def test_a_continuous_read_in_time_is_whole_and_one_too_late_is_the_next_sample() -> None:
    program = running(continuous=True)
    program.edge()
    program.wait(1_000_000 - FRAME_NS - 1_000)
    assert channels(program.send(*bytes(27), speed_hz=SPEED, hold_ns=0)) == [4] * 8
    program.edge()
    program.wait(1_000_001)
    assert channels(program.send(*bytes(27), speed_hz=SPEED)) == [6] * 8  # 5 is lost


def test_rdata_is_a_snapshot_that_nothing_tears_but_a_late_one_has_lost_the_older_sample() -> None:
    program = running()
    program.edge()
    program.wait(1_000_000 - FRAME_NS // 2)
    assert channels(program.send(Opcode.RDATA, *bytes(27), speed_hz=SPEED)[1:]) == [4] * 8
    program.wait(1_000_000)
    assert channels(program.send(Opcode.RDATA, *bytes(27), speed_hz=SPEED)[1:]) == [6] * 8


def test_a_conversion_in_the_last_byte_leaves_data_ready_low() -> None:
    program = running()
    program.edge()
    program.wait(1_000_000 - 28 * 4_000 + 2_000)
    program.send(Opcode.RDATA, *bytes(27), speed_hz=SPEED, hold_ns=0)
    assert not program.board.ready_high(0)
    program.edge()
    program.wait(1_000_000 - 28 * 4_000 + 6_000)  # one byte earlier: the last one's clocks end it
    program.send(Opcode.RDATA, *bytes(27), speed_hz=SPEED, hold_ns=0)
    assert program.board.ready_high(0)


def test_multiple_readback_gives_the_same_frame_twice() -> None:
    program = running(continuous=False)
    program.write(Address.CONFIG1, 0xD4)
    frame = program.next()
    assert program.send(Opcode.RDATA, *bytes(54))[1:] == frame + frame


@pytest.mark.parametrize(("speed_hz", "taken"), [(0, True), (4_000_000, True), (8_000_000, False)])
def test_operands_faster_than_the_chip_decodes_are_lost(speed_hz: int, taken: bool) -> None:
    program = Program(board())
    program.send(Opcode.SDATAC)
    program.send(Opcode.WREG | Address.CONFIG2, 0, 0xD0, speed_hz=speed_hz)
    assert (program.read(Address.CONFIG2) == b"\xd0") is taken
    answer = program.send(Opcode.RREG | Address.ID, 0, 0, speed_hz=speed_hz)[2]
    assert answer == (0x3E if taken else 0)


def test_opcodes_in_one_window_need_their_time_too() -> None:
    for speed_hz, converting in ((8_000_000, False), (2_000_000, True)):
        program = Program(board())
        program.send(Opcode.SDATAC, Opcode.START, speed_hz=speed_hz)
        assert program.board.chips[0].converting is converting


def test_data_may_be_read_at_full_speed() -> None:
    program = running()
    program.edge()
    assert channels(program.send(Opcode.RDATA, *bytes(27), speed_hz=20_000_000)[1:]) == [4] * 8


def test_operands_with_gaps_are_taken_at_any_speed() -> None:
    program = Program(board())
    program.send(Opcode.SDATAC)
    program.board.select(0)
    for byte in (Opcode.WREG | Address.CONFIG2, 0, 0xD0):
        program.board.clock(bytes([byte]), 8_000_000)
        program.wait(2_000)
    program.board.deselect()
    assert program.read(Address.CONFIG2) == b"\xd0"


@pytest.mark.parametrize(
    ("hold_ns", "erratum", "taken"), [(0, True, False), (2_000, True, True), (0, False, True)]
)
def test_some_chips_lose_sdatac_when_chip_select_rises_at_once(
    hold_ns: int, erratum: bool, taken: bool
) -> None:
    program = Program(board(sdatac_erratum=erratum))
    program.send(Opcode.SDATAC, speed_hz=SPEED, hold_ns=hold_ns)
    assert (program.read(Address.ID) == b"\x3e") is taken


@pytest.mark.parametrize(("after_ns", "taken"), [(1_000, False), (10_000, True), (999_000, False)])
def test_rdatac_at_data_ready_is_lost(after_ns: int, taken: bool) -> None:
    program = running()
    at_ns = program.edge()
    program.board.advance(at_ns + after_ns - 400)
    program.send(Opcode.RDATAC, speed_hz=20_000_000)
    assert program.board.chips[0].continuous is taken


# When the status word takes the GPIO levels


@pytest.mark.parametrize(("latch", "seen"), [("conversion", (1, 1)), ("opcode", (2, 2)), ("shift", (2, 4))])
@pytest.mark.parametrize("continuous", [False, True])
def test_when_gpio_is_latched_is_an_option(latch: str, seen: tuple[int, int], continuous: bool) -> None:
    program = running(continuous, gpio_latch=latch)
    model, got = program.board, []
    for late in (0, 4):
        model.set_stimulus(1)
        program.edge()
        model.set_stimulus(2)
        model.select(0)
        opcode = b"" if continuous else bytes([Opcode.RDATA])
        model.clock(opcode, SPEED)
        reply = model.clock(bytes(1), SPEED)
        if late:
            model.set_stimulus(late)
        reply += model.clock(bytes(26), SPEED)
        model.deselect()
        got.append(reply[2] & 0x0F)
    assert tuple(got) == seen


# Several chips


def chain(gap: int, *parts: object) -> BoardModel:
    channels_of = sum(part.channels for part in parts)  # type: ignore[attr-defined]
    return board(
        *[k * 1e-4 for k in range(1, channels_of + 1)],
        chips=parts,
        daisy=True,
        daisy_gap_bits=gap,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("gap", [0, 1])
@pytest.mark.parametrize("parts", [(ADS1299, ADS1299), (ADS1299_4, ADS1299, ADS1299)])
@pytest.mark.parametrize("continuous", [False, True])
def test_a_daisy_chain_shifts_every_frame_out_of_the_first_chip(
    gap: int, parts: tuple, continuous: bool
) -> None:  # type: ignore[type-arg]
    program = Program(chain(gap, *parts)).set_up()
    program.write(Address.CH1SET, *bytes(8))
    program.board.set_start(True)
    if continuous:
        program.send(Opcode.RDATAC)
    program.edge()
    layout = FrameLayout(tuple(part.channels for part in parts), daisy=True, gap_bits=gap)
    opcode = [] if continuous else [Opcode.RDATA]
    reply = program.send(*opcode, *bytes(layout.row_bytes + 1))[len(opcode) :]
    rows = np.frombuffer(reply, np.uint8)[None, :]
    decoded = decode_board(rows, layout)
    assert decoded.header_ok.all()
    volts = decoded.counts[0] * 4.5 / (1 << 23)
    assert volts == pytest.approx([k * 1e-4 for k in range(1, layout.total_channels + 1)], abs=1e-6)
    assert find_gap_bits(np.repeat(rows, 4, axis=0), layout.channels) == gap


def test_in_a_chain_all_chips_take_a_write_and_only_the_first_answers() -> None:
    program = Program(chain(0, ADS1299_4, ADS1299))
    program.send(Opcode.SDATAC)
    program.write(Address.CH4SET, 0x10)
    assert [chip.register(Address.CH4SET) for chip in program.board.chips] == [0x10, 0x10]
    assert program.read(Address.ID)[0] & 0x1F == 0x1C
    program.write(Address.CH5SET, 0x20)  # the first has no fifth channel
    assert program.read(Address.CH5SET) == b"\0"
    assert program.board.chips[1].register(Address.CH5SET) == 0x20
    with pytest.raises(ValueError, match="chip select 1"):
        program.board.transfer(1, b"\0")


def test_a_chain_read_continuously_is_torn_over_all_chips() -> None:
    model = board(body=Counting(channels=16), chips=(ADS1299, ADS1299), daisy=True)
    program = Program(model).set_up(config1=0x94)
    model.set_start(True)
    program.send(Opcode.RDATAC)
    at_ns = program.edge()
    model.advance(at_ns + 1_000_000 - FRAME_NS)
    model.chips[1].gpio_pins = 5
    reply = program.send(*bytes(54), speed_hz=SPEED)
    assert reply[3:6] != bytes(3)
    assert reply[27 + 2] & 0x0F == 5  # its conversion ended when the first chip's bytes were out


def test_multiple_readback_breaks_the_chain() -> None:
    program = Program(chain(0, ADS1299, ADS1299)).set_up(config1=0xD6, channels=0x00)
    program.board.set_start(True)
    frame = program.next()
    assert program.send(Opcode.RDATA, *bytes(54))[1:] == frame * 2


def test_chips_on_clocks_of_their_own_slide_against_each_other() -> None:
    """As on boards without a shared clock (facts 1.7)."""
    model = board(
        body=Counting(channels=16), chips=(ADS1299, ADS1299), clocks="own", spread_ppm=5_000.0, seed=3
    )
    programs = [Program(model, k).set_up(config1=0x94) for k in (0, 1)]
    model.set_start(True)
    model.advance(model.now_ns() + 2_000_000_000)
    edges = model.edges()
    counts = [sum(edge.chip == k for edge in edges) for k in (0, 1)]
    assert 1_985 < min(counts) < max(counts) < 2_010
    assert all(chip.drdy for chip in model.chips)
    errors = [osc.ns_at(2_048_000) / 1e9 - 1 for osc in model.oscillators]
    assert counts[0] - counts[1] == pytest.approx(2_000 * (errors[1] - errors[0]), abs=2)
    assert programs[0].frame() != programs[1].frame()


def test_a_clock_given_by_the_first_chip_must_be_switched_on() -> None:
    model = board(chips=(ADS1299, ADS1299), clocks="first_chip")
    first, second = Program(model, 0), Program(model, 1)
    first.send(Opcode.SDATAC)
    second.send(Opcode.SDATAC)
    assert second.read(Address.ID) == b"\0"
    first.write(Address.CONFIG1, 0xB6)
    second.send(Opcode.SDATAC)
    assert second.read(Address.ID) == b"\x3e"
