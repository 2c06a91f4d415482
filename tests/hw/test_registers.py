"""Registers: byte and fields are inverse over all values, and agree with the datasheet's tables."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.chips import ADS1299_4, ADS1299_6, ChipSpec, DataRate, Gain
from hw.register_fields import Register
from hw.registers import (
    REGISTERS,
    Address,
    BiasSensP,
    CalFrequency,
    ChannelSet,
    Config1,
    Config2,
    Config3,
    Config4,
    Gpio,
    Id,
    LeadOff,
    LeadOffCurrent,
    LeadOffFrequency,
    LeadOffThreshold,
    Misc1,
    Misc2,
    Mux,
    register_map,
)

KINDS = sorted({spec.kind for spec in REGISTERS.values()}, key=lambda kind: kind.__name__)

RESET_TABLE = bytes.fromhex("3e96c06000" + "61" * 8 + "00" * 7 + "0f000000")
"""SBAS499C Table 11, address 00h to 17h; the ID is the one that parts are found to have."""


@pytest.mark.parametrize("kind", KINDS)
def test_decode_then_encode_gives_every_byte_back(kind: type[Register]) -> None:
    assert [kind.decode(byte).encode() for byte in range(256)] == list(range(256))


@pytest.mark.parametrize("kind", KINDS)
def test_different_bytes_are_different_registers(kind: type[Register]) -> None:
    assert len({kind.decode(byte) for byte in range(256)}) == 256


@given(
    st.sampled_from(list(DataRate)),
    st.booleans(),
    st.booleans(),
    st.sampled_from(list(Gain)),
    st.sampled_from(Mux),
)
def test_encode_then_decode_gives_every_field_back(
    rate: DataRate, readback: bool, clock: bool, gain: Gain, mux: Mux
) -> None:
    config1 = Config1(multiple_readback=readback, clock_output=clock, data_rate=rate)
    channel = ChannelSet(power_down=readback, gain=gain, srb2=clock, mux=mux)
    assert Config1.decode(config1.encode()) == config1
    assert ChannelSet.decode(channel.encode()) == channel
    assert isinstance(Config1.decode(config1.encode()).data_rate, DataRate)
    assert isinstance(ChannelSet.decode(channel.encode()).srb2, bool)


@pytest.mark.parametrize(
    ("register", "byte"),
    [
        (Id(), 0x3E),
        (Config1(), 0x96),
        (Config1(data_rate=DataRate.SPS_16000), 0x90),
        (Config1(multiple_readback=True, clock_output=True, data_rate=DataRate.SPS_1000), 0xF4),
        (Config2(), 0xC0),
        (Config2(cal_internal=True, cal_double=True, cal_frequency=CalFrequency.HZ_1_95), 0xD5),
        (Config3(), 0x60),
        (Config3(reference_on=True), 0xE0),
        (Config3(reference_on=True, bias_reference_internal=True, bias_on=True), 0xEC),
        (Config3(True, True, True, True, True, True), 0xFF),
        (LeadOff(frequency=LeadOffFrequency.HZ_31_25), 0x02),
        (LeadOff(LeadOffThreshold.PERCENT_70, LeadOffCurrent.UA_24, LeadOffFrequency.QUARTER_RATE), 0xEF),
        (ChannelSet(), 0x61),
        (ChannelSet(gain=Gain.X24, mux=Mux.ELECTRODE), 0x60),
        (ChannelSet(gain=Gain.X1, mux=Mux.TEST_SIGNAL), 0x05),
        (ChannelSet(power_down=True, srb2=True, gain=Gain.X12, mux=Mux.TEMPERATURE), 0xDC),
        (BiasSensP(0b1000_0001), 0x81),
        (Gpio(), 0x0F),
        (Gpio(levels=0b1000, inputs=0), 0x80),
        (Misc1(srb1=True), 0x20),
        (Misc2(), 0x00),
        (Config4(single_shot=True, lead_off_comparators=True), 0x0A),
    ],
)
def test_golden_bytes(register: Register, byte: int) -> None:
    assert register.encode() == byte


def test_reset_values_are_table_11() -> None:
    assert bytes(spec.reset for spec in REGISTERS.values()) == RESET_TABLE
    assert [Address(address).name for address in REGISTERS] == [spec.name for spec in REGISTERS.values()]


def test_a_default_register_is_the_reset_register() -> None:
    for spec in REGISTERS.values():
        assert spec.kind().encode() == spec.reset, spec.name


def test_read_only_and_writable_bits() -> None:
    read_only = {spec.name for spec in REGISTERS.values() if spec.read_only}
    assert read_only == {"ID", "LOFF_STATP", "LOFF_STATN", "MISC2"}
    masks = {a: REGISTERS[a].writable for a in (0x01, 0x02, 0x03, 0x04, 0x05, 0x0D, 0x14, 0x15, 0x17)}
    assert masks == {
        1: 0x67,
        2: 0x17,
        3: 0x9E,
        4: 0xEF,
        5: 0xFF,
        0xD: 0xFF,
        0x14: 0xFF,
        0x15: 0x20,
        0x17: 0x0A,
    }


def test_reserved_fields_are_exactly_what_no_write_changes() -> None:
    for spec in REGISTERS.values():
        reserved = spec.kind.decode(0xFF)
        bits = getattr(reserved, "reserved", 0) if spec.name != "ID" else 0xFF
        assert bits == 0xFF & ~(spec.writable | spec.live), spec.name


@pytest.mark.parametrize(("chip", "id_byte"), [(ADS1299_4, 0x3C), (ADS1299_6, 0x3D)])
def test_smaller_parts_lack_channels_and_their_bits(chip: ChipSpec, id_byte: int) -> None:
    specs = register_map(chip)
    assert specs[Address.ID].reset == id_byte
    for channel in range(8):
        spec = specs[Address.CH1SET + channel]
        assert (spec.reset, spec.writable) == ((0x61, 0xFF) if channel < chip.channels else (0, 0))
    assert specs[Address.BIAS_SENSP].writable == chip.channel_bits


def test_what_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"BiasSensP.channels: 256 does not fit"):
        BiasSensP(256).encode()
    with pytest.raises(ValueError, match=r"Config1.reserved: 2 does not fit"):
        Config1(reserved=0x02).encode()
    with pytest.raises(ValueError, match=r"Gpio.levels: -1 does not fit"):
        Gpio(levels=-1).encode()
    with pytest.raises(ValueError, match="256 is not a byte"):
        Gpio.decode(256)


def test_registers_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config1().data_rate = DataRate.SPS_500  # type: ignore[misc]
