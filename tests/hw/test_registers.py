"""Registers: byte and fields are inverse over all values, and agree with the datasheet's tables."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.chips import ADS1298, ADS1299, ADS1299_4, ADS1299_6, CHIPS, ChipSpec, DataRate, Family, Gain
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
    channel_set,
    config1,
    config3,
    register_map,
)
from hw.registers_ads1298 import (
    Ads1298Address,
    Ads1298ChannelSet,
    Ads1298Config1,
    Ads1298Config2,
    Ads1298Config3,
    Ads1298Config4,
    Ads1298Gain,
    Ads1298Id,
    Ads1298LeadOff,
    Ads1298LeadOffCurrent,
    Ads1298LeadOffFrequency,
    Pace,
    Resp,
    Wct1,
    Wct2,
)

ADS1298_REGISTERS = register_map(ADS1298)
BOTH = [*REGISTERS.values(), *ADS1298_REGISTERS.values()]
KINDS = sorted({spec.kind for spec in BOTH}, key=lambda kind: kind.__name__)

RESET_TABLE = bytes.fromhex("3e96c06000" + "61" * 8 + "00" * 7 + "0f000000")
"""SBAS499C Table 11, address 00h to 17h; the ID is the one that parts are found to have."""
ADS1298_RESET_TABLE = bytes.fromhex("9206404000" + "00" * 8 + "00" * 7 + "0f0000000000")
"""SBAS459 register map, address 00h to 19h (facts 1.11)."""


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
        (Ads1298Id(), 0x92),
        (Ads1298Id(device=6, channel_code=0), 0xD0),
        (Ads1298Config1(), 0x06),
        (Ads1298Config1(high_resolution=True, clock_output=True, rate_code=3), 0xA3),
        (Ads1298Config2(wct_chop=True, cal_internal=True), 0x70),
        (Ads1298Config3(reference_on=True), 0xC0),
        (Ads1298Config3(reference_on=True, vref_4v=True, rld_reference_internal=True, rld_on=True), 0xEC),
        (
            Ads1298LeadOff(
                pull_resistors=True,
                current=Ads1298LeadOffCurrent.NA_18,
                frequency=Ads1298LeadOffFrequency.QUARTER_RATE,
            ),
            0x19,
        ),
        (Ads1298LeadOff(frequency=Ads1298LeadOffFrequency.DC), 0x03),
        (Ads1298ChannelSet(gain=Ads1298Gain.X12, mux=Mux.TEST_SIGNAL), 0x65),
        (Ads1298ChannelSet(power_down=True, mux=Mux.SHORTED), 0x81),
        (Pace(even=3, odd=1, buffers_on=True), 0x1B),
        (Resp(modulation_on=True, phase=5, control=2), 0x56),
        (Ads1298Config4(resp_frequency=1, wct_to_rld=True, lead_off_comparators=True), 0x26),
        (Wct1(augmented=9, amplifier_a_on=True, input_a=4), 0x9C),
        (Wct2(amplifier_b_on=True, input_b=6, input_c=1), 0x71),
    ],
)
def test_golden_bytes(register: Register, byte: int) -> None:
    assert register.encode() == byte


def test_reset_values_are_table_11() -> None:
    assert bytes(spec.reset for spec in REGISTERS.values()) == RESET_TABLE
    assert [Address(address).name for address in REGISTERS] == [spec.name for spec in REGISTERS.values()]


def test_reset_values_of_the_ads1298() -> None:
    assert bytes(spec.reset for spec in ADS1298_REGISTERS.values()) == ADS1298_RESET_TABLE
    assert [Ads1298Address(a).name for a in ADS1298_REGISTERS] == [s.name for s in ADS1298_REGISTERS.values()]


def test_a_default_register_is_the_reset_register() -> None:
    for spec in BOTH:
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
    for spec in BOTH:
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


@pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.name)
def test_every_part_has_its_registers_and_no_more(chip: ChipSpec) -> None:
    specs = register_map(chip)
    assert list(specs) == list(range(chip.registers))
    assert specs[0].reset & chip.id_mask == chip.id_bits
    present = [a for a in range(Address.CH1SET, Address.CH8SET + 1) if specs[a].writable]
    assert len(present) == chip.channels
    assert chip.rate_of(specs[Address.CONFIG1].reset) == 250
    assert chip.gain_of(specs[Address.CH1SET].reset) == (24 if chip.family is Family.ADS1299 else 6)


def test_bytes_of_a_drivers_wishes() -> None:
    assert config1(ADS1299, 1000) == 0x94
    assert config1(ADS1299_4, 16000, multiple_readback=True, clock_output=True) == 0xF0
    assert config1(ADS1298, 32000) == 0x80
    assert config1(ADS1298, 250, clock_output=True) == 0x26
    assert [config3(ADS1299, bias) for bias in (False, True)] == [0xE0, 0xEC]
    assert [config3(ADS1298, bias) for bias in (False, True)] == [0xC0, 0xCC]
    assert config3(ADS1298, True, 4.0) == 0xEC
    assert config3(ADS1299, False, 4.5) == 0xE0
    assert channel_set(ADS1299, 24, Mux.ELECTRODE, srb2=True) == 0x68
    assert channel_set(ADS1298, 12, Mux.SHORTED, power_down=True) == 0xE1
    assert channel_set(ADS1298, 6, Mux.TEMPERATURE) == 0x04
    with pytest.raises(ValueError, match="ADS1298 has no SRB2"):
        channel_set(ADS1298, 6, Mux.ELECTRODE, srb2=True)
    with pytest.raises(ValueError, match=r"ADS1298 has no reference of 4.5 V: use one of 2.4, 4"):
        config3(ADS1298, True, 4.5)
    with pytest.raises(ValueError, match="ADS1299 has no rate of 32000 Hz"):
        config1(ADS1299, 32000)
    with pytest.raises(ValueError, match="ADS1298 has no gain of 24"):
        channel_set(ADS1298, 24, Mux.ELECTRODE)


def test_gain_codes_of_the_ads1298_agree_with_its_table() -> None:
    assert [gain.factor for gain in Ads1298Gain if gain is not Ads1298Gain.RESERVED] == list(ADS1298.gains)


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
