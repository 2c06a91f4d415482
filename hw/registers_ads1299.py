"""The 24 registers of the ADS1299: fields, reset values, and what each bit allows. Definitions only, no I/O.

Field names say what 1 does; where the datasheet's name misleads (PD_REFBUF = 1 turns the buffer on) its name
is in the comment. Source: SBAS499C tables 11 to 28, facts/hardware.md 1.5.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from hw.chips import ChipSpec, DataRate, Gain
from hw.register_fields import Bits, Register
from hw.registers_shared import (
    BiasSensN,
    BiasSensP,
    CalFrequency,
    Gpio,
    LeadOffThreshold,
    LoffFlip,
    LoffSensN,
    LoffSensP,
    LoffStatN,
    LoffStatP,
    Mux,
    RegisterSpec,
)


class Address(IntEnum):
    """Register addresses [DS-C Table 11]."""

    ID = 0x00
    CONFIG1 = 0x01
    CONFIG2 = 0x02
    CONFIG3 = 0x03
    LOFF = 0x04
    CH1SET = 0x05
    CH2SET = 0x06
    CH3SET = 0x07
    CH4SET = 0x08
    CH5SET = 0x09
    CH6SET = 0x0A
    CH7SET = 0x0B
    CH8SET = 0x0C
    BIAS_SENSP = 0x0D
    BIAS_SENSN = 0x0E
    LOFF_SENSP = 0x0F
    LOFF_SENSN = 0x10
    LOFF_FLIP = 0x11
    LOFF_STATP = 0x12
    LOFF_STATN = 0x13
    GPIO = 0x14
    MISC1 = 0x15
    MISC2 = 0x16
    CONFIG4 = 0x17


class LeadOffCurrent(IntEnum):
    """LOFF.ILEAD_OFF: magnitude of the lead-off current."""

    NA_6 = 0
    NA_24 = 1
    UA_6 = 2
    UA_24 = 3


class LeadOffFrequency(IntEnum):
    """LOFF.FLEAD_OFF: DC, fCLK / 2^18, fCLK / 2^16, or a quarter of the data rate."""

    DC = 0
    HZ_7_8 = 1
    HZ_31_25 = 2
    QUARTER_RATE = 3


@dataclass(frozen=True, slots=True)
class Id(Register):
    """ID [DS-C Table 12]: read-only. `device` 3: this family; `channel_code` 0, 1, 2: 4, 6, 8 channels."""

    revision: Annotated[int, Bits(0xE0)] = 1
    device: Annotated[int, Bits(0x0C)] = 3
    channel_code: Annotated[int, Bits(0x03)] = 2
    reserved: Annotated[int, Bits(0x10, in_place=True)] = 0x10


@dataclass(frozen=True, slots=True)
class Config1(Register):
    """CONFIG1 [DS-C Table 13]. Writing it resets the digital filter. `multiple_readback` is DAISY_EN = 1."""

    multiple_readback: Annotated[bool, Bits(0x40)] = False
    clock_output: Annotated[bool, Bits(0x20)] = False
    data_rate: Annotated[DataRate, Bits(0x07)] = DataRate.SPS_250
    reserved: Annotated[int, Bits(0x98, in_place=True)] = 0x90


@dataclass(frozen=True, slots=True)
class Config2(Register):
    """CONFIG2 [DS-C Table 14]: the test signal. `cal_double` is CAL_AMP: 2 x VREF / 2400 instead of 1 x."""

    cal_internal: Annotated[bool, Bits(0x10)] = False
    cal_double: Annotated[bool, Bits(0x04)] = False
    cal_frequency: Annotated[CalFrequency, Bits(0x03)] = CalFrequency.HZ_0_98
    reserved: Annotated[int, Bits(0xE8, in_place=True)] = 0xC0


@dataclass(frozen=True, slots=True)
class Config3(Register):
    """CONFIG3 [DS-C Table 15]: reference and bias. `bias_lead_off` (BIAS_STAT) is read-only."""

    reference_on: Annotated[bool, Bits(0x80)] = False  # PD_REFBUF
    bias_measure: Annotated[bool, Bits(0x10)] = False
    bias_reference_internal: Annotated[bool, Bits(0x08)] = False
    bias_on: Annotated[bool, Bits(0x04)] = False  # PD_BIAS
    bias_lead_off_sense: Annotated[bool, Bits(0x02)] = False
    bias_lead_off: Annotated[bool, Bits(0x01)] = False
    reserved: Annotated[int, Bits(0x60, in_place=True)] = 0x60


@dataclass(frozen=True, slots=True)
class LeadOff(Register):
    """LOFF [DS-C Table 16]: lead-off excitation and comparators."""

    threshold: Annotated[LeadOffThreshold, Bits(0xE0)] = LeadOffThreshold.PERCENT_95
    current: Annotated[LeadOffCurrent, Bits(0x0C)] = LeadOffCurrent.NA_6
    frequency: Annotated[LeadOffFrequency, Bits(0x03)] = LeadOffFrequency.DC
    reserved: Annotated[int, Bits(0x10, in_place=True)] = 0


@dataclass(frozen=True, slots=True)
class ChannelSet(Register):
    """CH1SET to CH8SET [DS-C Table 17]. At reset a channel is shorted: no signal until it is written."""

    power_down: Annotated[bool, Bits(0x80)] = False
    gain: Annotated[Gain, Bits(0x70)] = Gain.X24
    srb2: Annotated[bool, Bits(0x08)] = False
    mux: Annotated[Mux, Bits(0x07)] = Mux.SHORTED


@dataclass(frozen=True, slots=True)
class Misc1(Register):
    """MISC1 [DS-C Table 26]: `srb1` connects the SRB1 pin to every negative input."""

    srb1: Annotated[bool, Bits(0x20)] = False
    reserved: Annotated[int, Bits(0xDF, in_place=True)] = 0


@dataclass(frozen=True, slots=True)
class Misc2(Register):
    """MISC2 [DS-C Table 27]: reserved, always written 0."""

    reserved: Annotated[int, Bits(0xFF, in_place=True)] = 0


@dataclass(frozen=True, slots=True)
class Config4(Register):
    """CONFIG4 [DS-C Table 28]. `lead_off_comparators` is PD_LOFF_COMP: 1 = on."""

    single_shot: Annotated[bool, Bits(0x08)] = False
    lead_off_comparators: Annotated[bool, Bits(0x02)] = False
    reserved: Annotated[int, Bits(0xF5, in_place=True)] = 0


def ads1299_specs(chip: ChipSpec) -> dict[int, RegisterSpec]:
    """Registers that do not repeat per channel, per-channel bits narrowed to the channels of `chip`."""
    bits = chip.channel_bits
    a = Address
    return {
        a.ID: RegisterSpec("ID", Id, 0x20 | chip.id_bits, 0),
        a.CONFIG1: RegisterSpec("CONFIG1", Config1, 0x96, 0x67),
        a.CONFIG2: RegisterSpec("CONFIG2", Config2, 0xC0, 0x17),
        a.CONFIG3: RegisterSpec("CONFIG3", Config3, 0x60, 0x9E, live=0x01),
        a.LOFF: RegisterSpec("LOFF", LeadOff, 0x00, 0xEF),
        a.BIAS_SENSP: RegisterSpec("BIAS_SENSP", BiasSensP, 0x00, bits),
        a.BIAS_SENSN: RegisterSpec("BIAS_SENSN", BiasSensN, 0x00, bits),
        a.LOFF_SENSP: RegisterSpec("LOFF_SENSP", LoffSensP, 0x00, bits),
        a.LOFF_SENSN: RegisterSpec("LOFF_SENSN", LoffSensN, 0x00, bits),
        a.LOFF_FLIP: RegisterSpec("LOFF_FLIP", LoffFlip, 0x00, bits),
        a.LOFF_STATP: RegisterSpec("LOFF_STATP", LoffStatP, 0x00, 0, live=bits),
        a.LOFF_STATN: RegisterSpec("LOFF_STATN", LoffStatN, 0x00, 0, live=bits),
        a.GPIO: RegisterSpec("GPIO", Gpio, 0x0F, 0xFF, live=0xF0),
        a.MISC1: RegisterSpec("MISC1", Misc1, 0x00, 0x20),
        a.MISC2: RegisterSpec("MISC2", Misc2, 0x00, 0x00),
        a.CONFIG4: RegisterSpec("CONFIG4", Config4, 0x00, 0x0A),
    }
