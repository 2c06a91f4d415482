"""The driver against the modelled chip: the datasheet's sequence, every register verified, faults named."""

from itertools import pairwise

import numpy as np
import pytest

from firmware.errors import ChipError, ConfigError, EdgeError, LinkError, PortError
from hw.chips import ADS1299, ADS1299_4, ADS1299_6, GAINS, RATES_HZ, ChipSpec, Opcode
from hw.frames import encode_frame, lsb_uv, unpack24
from hw.registers import REGISTERS, Address
from tests.support.chips import Fault, no_fault, rig


def is_read_all(mosi: bytes) -> bool:
    return mosi[:2] == bytes([Opcode.RREG, 23])


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_bring_up_leaves_every_register_as_meant(rate_hz: float, gain: int) -> None:
    driver, _ = rig()
    assert driver.bring_up(rate_hz, gain) == ADS1299
    expected = {address: spec.reset for address, spec in REGISTERS.items()}
    expected[Address.CONFIG1] = 0x90 | (16000, 8000, 4000, 2000, 1000, 500, 250).index(int(rate_hz))
    expected[Address.CONFIG3] = 0xEC
    expected |= {Address.CH1SET + k: (1, 2, 4, 6, 8, 12, 24).index(gain) << 4 for k in range(8)}
    expected[Address.BIAS_SENSP] = 0xFF
    expected[Address.MISC1] = 0x20
    assert driver.read_registers() == expected


def test_bring_up_keeps_the_datasheets_order_and_waits() -> None:
    driver, wire = rig()
    driver.bring_up(250, 24)
    times, sent, speeds = zip(*wire.log, strict=True)
    opening = [Opcode.WAKEUP, Opcode.SDATAC, Opcode.RESET, Opcode.SDATAC]
    assert sent[:5] == (*(bytes([opcode]) for opcode in opening), bytes([0x20, 0, 0]))
    assert times[0] - 1_000 >= 128_000_000 * 1.025  # 2^18 tCLK of the slowest oscillator
    waits = [after - before for before, after in pairwise(times)]
    assert min(waits[0], waits[1], waits[3]) >= 1_954 * 1.025  # 4 tCLK
    assert waits[2] >= 8_790 * 1.025  # 18 tCLK
    assert is_read_all(sent[5])  # are they reset values?
    reference = sent.index(bytes([0x43, 0, 0xEC]))
    assert reference == 6  # the reference first: the rest waits for it
    assert times[8] - times[7] >= 150_000_000
    assert is_read_all(sent[-2])
    assert sent[-1] == bytes([Opcode.START])
    assert Opcode.RDATAC not in [mosi[0] for mosi in sent]
    assert set(speeds) == {2_000_000}
    driver.read_frame()
    assert wire.log[-1][2] == 0  # frames at the port's own speed


@pytest.mark.control("H14.2")
def test_every_write_is_read_back_at_once() -> None:
    driver, wire = rig()
    driver.bring_up(1000, 12)
    written = [k for k, mosi in enumerate(wire.sent) if mosi[0] & 0xE0 == Opcode.WREG]
    assert {wire.sent[k][0] & 0x1F for k in written} == set(REGISTERS) - {
        Address.ID,
        Address.LOFF_STATP,
        Address.LOFF_STATN,
    }
    for k in written:
        assert len(wire.sent[k]) == 3
        assert wire.sent[k + 1] == bytes([Opcode.RREG | wire.sent[k][0] & 0x1F, 0, 0])


def test_frames_come_with_volts_and_triggers_after_bring_up() -> None:
    driver, wire = rig()
    driver.bring_up(1000, 12)
    wire.model.gpio_pins = 0b0010
    volts = [k * 1e-5 for k in range(-4, 4)]
    assert [wire.model.convert(volts) for _ in range(4)] == [False, False, False, True]
    frame = driver.read_frame()
    assert frame == encode_frame([round(v * 1e6 / lsb_uv(12)) for v in volts], gpio=0b0010)
    assert not wire.model.drdy
    assert driver.read_frame() == frame


@pytest.mark.parametrize("chip", [ADS1299_4, ADS1299_6])
def test_smaller_parts_come_up_with_their_own_frame(chip: ChipSpec) -> None:
    driver, wire = rig(chip)
    assert driver.bring_up(500, 24) == chip
    while not wire.model.convert([1e-6] * chip.channels):
        pass
    assert driver.read_frame() == encode_frame([45] * chip.channels)


def test_stop_ends_conversions_and_bring_up_works_again() -> None:
    driver, wire = rig()
    driver.bring_up(250, 24)
    while not wire.model.convert([0.0] * 8):
        pass
    driver.stop()
    assert [wire.model.convert([0.0] * 8) for _ in range(8)] == [True] + [False] * 7
    driver.bring_up(2000, 1)
    assert driver.read_registers()[Address.CONFIG1] == 0x93
    assert [wire.model.convert([0.0] * 8) for _ in range(4)][-1] is True


def test_bring_up_recovers_a_chip_left_running_in_continuous_mode() -> None:
    driver, wire = rig()
    driver.bring_up(250, 24)
    wire.model.transfer(bytes([Opcode.RDATAC]))
    wire.model.convert([0.0] * 8)
    driver.bring_up(250, 24)
    assert driver.read_registers()[Address.ID] == 0x3E


@pytest.mark.parametrize(
    ("rate_hz", "gain", "message"),
    [
        (300.0, 24, "no rate of 300 Hz: use one of 250, 500, 1000"),
        (float("nan"), 24, "no rate of nan Hz"),
        (250.0, 5, "no gain of 5: use one of 1, 2, 4, 6, 8, 12, 24"),
    ],
)
def test_unsupported_rate_or_gain_is_refused_before_a_byte_is_sent(
    rate_hz: float, gain: int, message: str
) -> None:
    driver, wire = rig()
    with pytest.raises(ConfigError, match=message) as caught:
        driver.bring_up(rate_hz, gain)
    assert caught.value.exit_code == 2
    assert wire.log == []


def test_what_only_another_part_has_is_refused_when_the_part_is_known() -> None:
    """Gain 3 and 32 kSPS are the ADS1298's."""
    for rate_hz, gain, message in ((250, 3, "ADS1299 has no gain of 3"), (32_000, 24, "ADS1299 has no rate")):
        driver, wire = rig()
        with pytest.raises(ConfigError, match=message):
            driver.bring_up(rate_hz, gain)
        assert not [mosi for mosi in wire.sent if mosi[0] & 0xE0 == Opcode.WREG or mosi[0] == Opcode.START]


def chip_error(fault: Fault = no_fault, speed: float = 1.0) -> str:
    """The complaint of a bring-up that must fail, and must not have started conversions."""
    driver, wire = rig(speed=speed, fault=fault)
    with pytest.raises(ChipError) as caught:
        driver.bring_up(250, 24)
    assert caught.value.exit_code == 1
    assert bytes([Opcode.START]) not in wire.sent
    text = str(caught.value)
    assert "\n" not in text
    assert "likely cause" in text
    assert "cure:" in text
    return text


def test_dead_lines_are_told_apart() -> None:
    low = chip_error(lambda mosi, miso: bytes(len(miso)))
    high = chip_error(lambda mosi, miso: b"\xff" * len(miso))
    assert low.startswith("expected 0x3E in ID, got 0x00: likely cause no answer")
    assert high.startswith("expected 0x3E in ID, got 0xFF: likely cause the data line floats high")


def test_another_chip_is_named_by_its_id() -> None:
    text = chip_error(lambda mosi, miso: b"\0\0\x73" if mosi == b"\x20\0\0" else miso)
    assert text.startswith("expected 0x3E in ID, got 0x73: likely cause another part")


def test_wrong_spi_mode_is_recognised_by_the_shift() -> None:
    def shifted(mosi: bytes, miso: bytes) -> bytes:
        return bytes(byte >> 1 for byte in miso)

    assert "got 0x1F: likely cause bits shifted by one (wrong SPI mode)" in chip_error(shifted)


@pytest.mark.control("H14.2")
@pytest.mark.parametrize("address", [a for a in REGISTERS if REGISTERS[a].live != 0xFF])
def test_one_flipped_bit_in_any_register_is_found_by_the_last_look(address: int) -> None:
    spec = REGISTERS[address]
    for bit in (bit for bit in range(8) if not spec.live >> bit & 1):
        looks: list[bytes] = []

        def flipped(mosi: bytes, miso: bytes, bit: int = bit, looks: list[bytes] = looks) -> bytes:
            if not is_read_all(mosi):
                return miso
            looks.append(mosi)
            noisy = bytearray(miso)
            noisy[2 + address] ^= 1 << bit if len(looks) > 1 else 0
            return bytes(noisy)

        text = chip_error(flipped)
        assert f" in {spec.name}, got " in text
        assert "more registers differ" not in text


@pytest.mark.parametrize("address", [a for a in REGISTERS if REGISTERS[a].writable & ~REGISTERS[a].live])
def test_a_register_without_its_reset_value_is_found_before_anything_is_written(address: int) -> None:
    own = REGISTERS[address].writable & ~REGISTERS[address].live
    bit = own & -own

    def flipped(mosi: bytes, miso: bytes) -> bytes:
        if not is_read_all(mosi):
            return miso
        return bytes([*miso[: 2 + address], miso[2 + address] ^ bit, *miso[3 + address :]])

    assert f" in {REGISTERS[address].name} after RESET, got " in chip_error(flipped)


@pytest.mark.parametrize("address", range(Address.CONFIG1, Address.CH8SET + 1))
def test_a_bit_that_flips_in_the_read_back_of_a_write_is_found_there(address: int) -> None:
    text = chip_error(
        lambda mosi, miso: (
            bytes([*miso[:2], miso[2] ^ 0x40]) if mosi == bytes([0x20 | address, 0, 0]) else miso
        )
    )
    assert f" in {REGISTERS[address].name}, got " in text


def test_bits_that_the_chip_sets_itself_do_not_fail_the_read_back() -> None:
    driver, wire = rig()
    wire.model.gpio_pins = 0b1111
    wire.model.set_lead_off(0xFF, 0xFF)
    driver.bring_up(250, 24)
    assert driver.read_registers()[Address.GPIO] == 0xFF


def test_a_lost_write_is_named_with_expected_and_got() -> None:
    driver, wire = rig()
    wire.hear = lambda mosi: bytes(len(mosi)) if mosi[0] == Opcode.WREG | Address.CH3SET else mosi
    with pytest.raises(
        ChipError, match="expected 0x60 in CH3SET, got 0x61: likely cause the write did not arrive"
    ):
        driver.bring_up(250, 24)


def test_a_chip_that_forgets_what_it_held_is_found_by_the_last_look() -> None:
    """Each write reads back well, yet a reset in between has undone them."""
    driver, wire = rig()
    config4 = bytes([Opcode.WREG | Address.CONFIG4, 0, 0])
    wire.hear = lambda mosi: bytes([Opcode.RESET]) + bytes(2) if mosi == config4 else mosi

    def reopen(mosi: bytes, miso: bytes) -> bytes:
        wire.clock.time_ns += 10_000
        if mosi == config4:
            wire.model.transfer(bytes([Opcode.SDATAC]))
        return miso

    wire.fault = reopen
    with pytest.raises(ChipError, match=r"expected 0x94 in CONFIG1, got 0x96.*; 11 more registers differ"):
        driver.bring_up(1000, 24)


def test_a_chip_that_does_not_reset_is_named() -> None:
    driver, wire = rig()
    driver.bring_up(1000, 12)
    wire.hear = lambda mosi: b"\0" if mosi == bytes([Opcode.RESET]) else mosi
    with pytest.raises(ChipError, match=r"0x96 in CONFIG1 after RESET, got 0x94: likely cause the RESET com"):
        driver.bring_up(1000, 12)


def test_reserved_bits_are_kept_as_the_chip_has_them_and_reported() -> None:
    odd = 0x08  # a reserved bit of CONFIG2 that another revision might have set

    def revised(mosi: bytes, miso: bytes) -> bytes:
        at = 4 if is_read_all(mosi) else 2
        if not is_read_all(mosi) and mosi != bytes([Opcode.RREG | Address.CONFIG2, 0, 0]):
            return miso
        return bytes([*miso[:at], miso[at] | odd, *miso[at + 1 :]])

    driver, wire = rig(fault=revised)
    driver.bring_up(250, 24)
    assert bytes([Opcode.WREG | Address.CONFIG2, 0, 0xC0 | odd]) in wire.sent
    assert driver.notes == ["reserved bits of CONFIG2 read 0xC8, the datasheet has 0xC0; kept as they are"]


def test_absent_channels_are_written_0() -> None:
    driver, wire = rig(ADS1299_4)
    driver.bring_up(250, 24)
    for address in range(Address.CH5SET, Address.CH8SET + 1):
        assert bytes([Opcode.WREG | address, 0, 0]) in wire.sent
    driver.write(Address.CH8SET, 0x60)
    assert wire.sent[-2] == bytes([Opcode.WREG | Address.CH8SET, 0, 0])


def test_a_register_that_there_is_not_is_refused() -> None:
    driver, wire = rig()
    driver.bring_up(250, 24)
    before = len(wire.log)
    for address, byte in ((0x18, 0), (-1, 0), (1, 256)):
        with pytest.raises(ConfigError, match="the ADS1299 has bytes at 0x00 to 0x17"):
            driver.write(address, byte)
    assert len(wire.log) == before


@pytest.mark.parametrize("lost", [1, 2])
def test_sdatac_is_repeated_when_a_chip_ignores_it_and_every_time_is_counted(lost: int) -> None:
    """E2E 845509. The first SDATAC precedes RESET; what counts are those after it."""
    driver, wire = rig()
    heard: list[bytes] = []

    def ignores(mosi: bytes) -> bytes:
        if mosi == bytes([Opcode.SDATAC]) and bytes([Opcode.RESET]) in wire.sent:
            heard.append(mosi)
            return b"\0" if len(heard) <= lost else mosi
        return mosi

    wire.hear = ignores
    driver.bring_up(250, 24)
    assert driver.retries == lost
    assert driver.read_registers()[Address.CONFIG1] == 0x96


def test_a_chip_that_never_leaves_continuous_mode_is_given_up() -> None:
    driver, wire = rig()
    wire.hear = lambda mosi: b"\0" if mosi == bytes([Opcode.SDATAC]) else mosi
    with pytest.raises(ChipError, match="expected 0x3E in ID, got 0x00: likely cause no answer"):
        driver.bring_up(250, 24)
    assert driver.retries == 2


@pytest.mark.parametrize("speed", [0.3, 0.7, 0.9])
def test_a_rushed_power_up_is_found_out(speed: float) -> None:
    """The waits last only 40, 92 and 118 ms of the chip's time; public drivers wait 50 to 90 ms."""
    text = chip_error(speed=speed)
    assert text.startswith("expected 0x3E in ID, got 0x00")
    assert "128 ms after power-up" in text


def test_a_short_answer_is_the_ports_fault() -> None:
    driver, _ = rig(fault=lambda mosi, miso: miso[:4])
    with pytest.raises(PortError, match="SPI returned 4 of 26 bytes: raise the driver's buffer"):
        driver.bring_up(250, 24)


def test_every_error_is_an_edge_error_and_a_builtin_kind() -> None:
    kinds = {ConfigError: ValueError, ChipError: OSError, PortError: OSError, LinkError: ConnectionError}
    for kind, builtin in kinds.items():
        assert issubclass(kind, EdgeError)
        assert issubclass(kind, builtin)
        assert str(kind("one line")) == "one line"
        assert kind.exit_code == (2 if kind is ConfigError else 1)


def test_full_scale_negative_is_not_rectified_on_the_way() -> None:
    """A public driver turned -1 into +1; the sign must survive chip, wire and decoder."""
    driver, wire = rig()
    driver.bring_up(250, 1)
    assert wire.model.play(encode_frame([-1, -8388608, 1, 8388607, 0, -2, 2, -3]))
    raw = np.frombuffer(driver.read_frame(), np.uint8)[3:].reshape(1, 24)
    assert unpack24(raw).tolist() == [[-1, -8388608, 1, 8388607, 0, -2, 2, -3]]
