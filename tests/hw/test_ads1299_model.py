"""The modelled chip's serial interface, modes and timing, rule by rule (facts/hardware.md 1.2 to 1.6)."""

import numpy as np
import pytest

from hw.chips import ADS1299_4, ChipSpec, Opcode, tclk_to_ns
from hw.frames import decode_frames, encode_frame
from hw.model.ads1299 import Ads1299Model
from hw.registers import REGISTERS, Address

RDATA = bytes([Opcode.RDATA]) + bytes(27)
READ_ALL = bytes([Opcode.RREG, 23]) + bytes(24)
RESET_BYTES = bytes(spec.reset for spec in REGISTERS.values())
ZEROS = [0.0] * 8


class Bench:
    """A chip and its time; `now_ns` moves only when told."""

    def __init__(self, chip: ChipSpec | None = None, awake: bool = True) -> None:
        self.time_ns = 0
        self.chip = Ads1299Model(lambda: self.time_ns, chip) if chip else Ads1299Model(lambda: self.time_ns)
        if awake:
            self.time_ns += tclk_to_ns(1 << 18)

    def send(self, *opcodes: int) -> bytes:
        return self.chip.transfer(bytes(opcodes))

    def write(self, address: int, *values: int) -> None:
        self.send(Opcode.WREG | address, len(values) - 1, *values)

    def read(self, address: int) -> int:
        return self.send(Opcode.RREG | address, 0, 0)[2]

    def stopped(self) -> "Bench":
        self.send(Opcode.SDATAC)
        return self

    def running(self) -> "Bench":
        """SRB1 closed, channels on electrodes at gain 1, reference settled, converting and settled."""
        self.stopped().write(Address.CONFIG3, 0xE0)
        self.time_ns += 150_000_000
        self.write(Address.CH1SET, *[0x00] * self.chip.chip.channels)
        self.write(Address.MISC1, 0x20)
        self.send(Opcode.START)
        while not self.chip.convert([0.0] * self.chip.chip.channels):
            pass
        return self

    def frame(self) -> bytes:
        return self.chip.transfer(bytes([Opcode.RDATA]) + bytes(self.chip.chip.frame_bytes))[1:]


def ticks_to_data(bench: Bench, limit: int = 20) -> int:
    """Conversions until data-ready; `limit` + 1 when there is none."""
    return next((k for k in range(1, limit + 1) if bench.chip.convert(ZEROS)), limit + 1)


# Registers


def test_reset_values() -> None:
    assert Bench().stopped().chip.transfer(READ_ALL)[2:] == RESET_BYTES


def test_wakes_up_in_continuous_mode_where_registers_are_deaf() -> None:
    bench = Bench()
    assert bench.chip.transfer(READ_ALL) == bytes(26)
    bench.write(Address.CONFIG1, 0x90)
    bench.stopped()
    assert bench.read(Address.CONFIG1) == 0x96


def test_operands_ignored_in_continuous_mode_are_no_commands() -> None:
    bench = Bench()
    bench.send(Opcode.WREG | Address.CONFIG1, 1, Opcode.SDATAC, Opcode.START)
    assert bench.read(Address.CONFIG1) == 0  # still continuous
    assert not bench.chip.convert(ZEROS)


def test_every_writable_bit_and_no_other_takes_a_write() -> None:
    for value in (0xFF, 0x00, 0xA5, 0x5A):
        for address, spec in REGISTERS.items():
            if address == Address.GPIO:
                continue
            bench = Bench().stopped()
            bench.write(address, value)
            expected = spec.reset & ~spec.writable | value & spec.writable
            assert bench.read(address) == expected, f"{spec.name} written {value:#04x}"


def test_a_write_touches_its_own_register_only() -> None:
    bench = Bench().stopped()
    bench.write(Address.CH3SET, 0x50)
    expected = bytearray(RESET_BYTES)
    expected[Address.CH3SET] = 0x50
    assert bench.chip.transfer(READ_ALL)[2:] == expected


def test_wrong_reserved_base_shows_at_read_back() -> None:
    bench = Bench().stopped()
    bench.write(Address.CONFIG1, 0xE6)  # seen in a public driver: bit 4 must be 1
    assert bench.read(Address.CONFIG1) == 0xF6


def test_consecutive_registers_are_written_and_read_in_one_command() -> None:
    bench = Bench().stopped()
    bench.write(Address.CH1SET, *range(0x10, 0x18))
    assert bench.send(Opcode.RREG | Address.CH2SET, 2, 0, 0, 0)[2:] == bytes([0x11, 0x12, 0x13])


def test_registers_beyond_the_last_read_zero_and_take_nothing() -> None:
    bench = Bench().stopped()
    bench.write(Address.CONFIG4, 0x02, 0xFF, 0xFF)
    assert bench.send(Opcode.RREG | Address.CONFIG4, 2, 0, 0, 0)[2:] == bytes([0x02, 0, 0])


def test_several_commands_share_a_window() -> None:
    bench = Bench()
    miso = bench.send(
        Opcode.SDATAC,
        Opcode.WREG | Address.CONFIG1,
        0,
        0x94,
        Opcode.RREG | Address.CONFIG1,
        0,
        0,
        Opcode.START,
    )
    assert miso == bytes([0, 0, 0, 0, 0, 0, 0x94, 0])
    assert ticks_to_data(bench) == 4


def test_a_command_cut_short_by_chip_select_does_what_arrived() -> None:
    bench = Bench().stopped()
    bench.send(Opcode.WREG | Address.CONFIG1)
    bench.send(Opcode.WREG | Address.CONFIG1, 0)
    assert bench.read(Address.CONFIG1) == 0x96
    bench.send(Opcode.WREG | Address.CH1SET, 7, 0x00, 0x10)
    assert bench.send(Opcode.RREG | Address.CH1SET, 2, 0, 0, 0)[2:] == bytes([0x00, 0x10, 0x61])
    assert bench.chip.transfer(b"") == b""


def test_smaller_part_has_no_registers_for_absent_channels() -> None:
    bench = Bench(ADS1299_4).stopped()
    bench.write(Address.CH1SET, *[0x60] * 8)
    bench.write(Address.BIAS_SENSP, 0xFF)
    assert bench.send(Opcode.RREG | Address.CH1SET, 7, *bytes(8))[2:] == b"\x60" * 4 + bytes(4)
    assert bench.read(Address.BIAS_SENSP) == 0x0F
    assert bench.read(Address.ID) & 0x1F == 0x1C
    assert len(bench.running().frame()) == 15


# GPIO and lead-off


def test_inputs_are_latched_into_the_status_word_at_the_conversion() -> None:
    bench = Bench().running()
    bench.chip.gpio_pins = 0b0101
    bench.chip.convert(ZEROS)
    bench.chip.gpio_pins = 0b1010
    assert bench.frame()[2] & 0x0F == 0b0101
    assert bench.read(Address.GPIO) == 0xAF  # the register reads the pins now


def test_outputs_are_driven_by_the_register_and_read_back() -> None:
    bench = Bench().running()
    bench.chip.gpio_pins = 0b0111
    bench.write(Address.GPIO, 0b1000_0011)  # GPIO4, GPIO3 outputs: high, low
    assert bench.chip.gpio_levels == 0b1011
    assert bench.read(Address.GPIO) == 0b1011_0011
    bench.chip.convert(ZEROS)
    assert bench.frame()[2] & 0x0F == 0b1011


def test_a_write_to_an_input_bit_is_ignored() -> None:
    bench = Bench().stopped()
    bench.write(Address.GPIO, 0xFF)  # inputs written high, their pins are low
    assert bench.read(Address.GPIO) == 0x0F
    assert bench.chip.gpio_levels == 0
    bench.write(Address.GPIO, 0xF3)  # two of them become outputs
    assert bench.read(Address.GPIO) == 0xC3


def test_lead_off_flags_need_sense_bits_and_comparators() -> None:
    bench = Bench().running()
    bench.chip.set_lead_off(0b1001_0001, 0b1100_0000)

    def flags() -> tuple[int, int, int, int]:
        bench.chip.convert(ZEROS)
        decoded = decode_frames(np.frombuffer(bench.frame(), np.uint8).reshape(1, 27))
        registers = bench.read(Address.LOFF_STATP), bench.read(Address.LOFF_STATN)
        return int(decoded.lead_off_p[0]), int(decoded.lead_off_n[0]), *registers

    bench.write(Address.LOFF_SENSP, 0x0F, 0xFF)
    assert flags() == (0, 0, 0, 0)
    bench.write(Address.CONFIG4, 0x02)
    assert flags() == (0x01, 0xC0, 0x01, 0xC0)
    bench.write(Address.LOFF_SENSP, 0, 0)
    assert flags() == (0, 0, 0, 0)


# Modes, data-ready, settling


def test_nothing_converts_before_start() -> None:
    bench = Bench().stopped()
    assert ticks_to_data(bench) == 21
    assert not bench.chip.play(encode_frame([1] * 8))
    assert not bench.chip.drdy


def test_first_data_come_after_settling_and_then_every_period() -> None:
    bench = Bench().stopped()
    bench.send(Opcode.START)
    assert [bench.chip.convert(ZEROS) for _ in range(6)] == [False, False, False, True, True, True]


@pytest.mark.parametrize("again", [(Opcode.START,), (Opcode.WREG | Address.CONFIG1, 0, 0x94)])
def test_restart_and_config1_settle_again(again: tuple[int, ...]) -> None:
    bench = Bench().running()
    assert ticks_to_data(bench) == 1
    bench.send(*again)
    assert not bench.chip.drdy
    assert ticks_to_data(bench) == 4


def test_other_writes_do_not_disturb_conversions() -> None:
    bench = Bench().running()
    bench.write(Address.CONFIG2, 0xD0)
    assert ticks_to_data(bench) == 1


def test_stop_lets_the_conversion_under_way_complete() -> None:
    bench = Bench().running()
    bench.send(Opcode.STOP)
    assert [bench.chip.convert(ZEROS) for _ in range(3)] == [True, False, False]


def test_single_shot_converts_once_per_start() -> None:
    bench = Bench().running()
    bench.write(Address.CONFIG4, 0x08)
    bench.send(Opcode.START)
    assert [bench.chip.convert(ZEROS) for _ in range(6)] == [False, False, False, True, False, False]


def test_reserved_rate_does_not_convert() -> None:
    bench = Bench().running()
    bench.write(Address.CONFIG1, 0x97)
    assert ticks_to_data(bench) == 21


def test_standby_hears_only_wakeup_and_keeps_the_registers() -> None:
    bench = Bench().running()
    bench.write(Address.CONFIG2, 0xD1)
    bench.send(Opcode.STANDBY)
    assert ticks_to_data(bench) == 21
    assert bench.chip.transfer(RDATA) == bytes(28)
    assert bench.read(Address.CONFIG2) == 0
    bench.write(Address.CONFIG2, 0xC0)
    bench.send(Opcode.RESET)
    bench.send(Opcode.WAKEUP)
    assert bench.read(Address.CONFIG2) == 0xD1
    assert ticks_to_data(bench) == 4


def test_data_ready_ends_with_the_first_clock_of_any_transfer() -> None:
    bench = Bench().running()
    for mosi in (RDATA, bytes(1), READ_ALL):
        bench.chip.convert(ZEROS)
        assert bench.chip.drdy
        bench.chip.transfer(mosi)
        assert not bench.chip.drdy


def test_rdata_gives_the_latest_frame_again_and_again() -> None:
    bench = Bench().running()
    first, second = encode_frame([1] * 8, 3), encode_frame([-2] * 8, 4)
    assert bench.chip.play(first)
    assert bench.chip.transfer(RDATA) == b"\0" + first
    assert bench.chip.transfer(RDATA + bytes(3)) == b"\0" + first + bytes(3)  # beyond it: the daisy input
    assert bench.chip.play(second)
    assert bench.chip.transfer(RDATA) == b"\0" + second


def test_multiple_readback_repeats_the_frame_in_a_long_window() -> None:
    bench = Bench().running()
    bench.write(Address.CONFIG1, 0xD6)
    frame = encode_frame(range(8), 1)
    assert bench.chip.play(frame)
    assert bench.chip.transfer(RDATA + bytes(30)) == b"\0" + frame + frame + frame[:3]


def test_continuous_mode_shifts_the_frame_out_without_an_opcode() -> None:
    bench = Bench().running()
    frame = encode_frame(range(8), 5)
    bench.send(Opcode.RDATAC)
    assert bench.chip.play(frame)
    assert bench.chip.transfer(bytes(27)) == frame
    assert (
        bench.chip.transfer(RDATA) == frame + b"\0"
    )  # the opcode is no command there, the frame is not delayed
    assert bench.chip.transfer(bytes([Opcode.RDATAC]) + bytes(26)) == frame
    bench.stopped()
    assert bench.chip.transfer(bytes(27)) == bytes(27)


def test_start_and_stop_work_in_continuous_mode() -> None:
    bench = Bench()
    bench.send(Opcode.START)
    assert ticks_to_data(bench) == 4
    bench.send(Opcode.STOP)
    assert [bench.chip.convert(ZEROS) for _ in range(2)] == [True, False]


def test_reset_restores_registers_and_mode_and_takes_18_tclk() -> None:
    bench = Bench().running()
    bench.send(Opcode.RESET, Opcode.SDATAC)  # the second byte is lost
    bench.time_ns += tclk_to_ns(18) - 1
    bench.stopped()
    bench.time_ns += 1
    assert bench.chip.transfer(READ_ALL) == bytes(26)  # continuous mode, and an empty output register
    bench.stopped()
    assert bench.chip.transfer(READ_ALL)[2:] == RESET_BYTES
    assert ticks_to_data(bench) == 21


# Power-up


def test_a_rushed_chip_stays_mute_until_reset_in_time() -> None:
    bench = Bench(awake=False)
    bench.time_ns = tclk_to_ns(1 << 18) - 1
    bench.send(Opcode.RESET)
    bench.time_ns += 1_000_000_000
    bench.stopped()
    bench.send(Opcode.START)
    assert bench.read(Address.ID) == 0
    assert ticks_to_data(bench) == 21
    bench.send(Opcode.RESET)
    bench.time_ns += tclk_to_ns(18)
    assert bench.stopped().read(Address.ID) == 0x3E


def test_power_up_starts_the_wait_anew() -> None:
    bench = Bench().running()
    bench.chip.power_up()
    assert bench.chip.transfer(RDATA) == bytes(28)
    assert ticks_to_data(bench) == 21


def test_play_refuses_a_frame_of_another_length() -> None:
    with pytest.raises(ValueError, match="ADS1299 has 27 bytes, got 26"):
        Bench().running().chip.play(bytes(26))


def test_play_needs_no_settling_so_that_no_recorded_frame_is_lost() -> None:
    bench = Bench().stopped()
    bench.send(Opcode.START)
    assert [bench.chip.play(encode_frame([k] * 8)) for k in range(3)] == [True] * 3
