"""The 26 registers of the ADS1298, ADS1296, ADS1294 and their R parts. Definitions only, no I/O.

What the ADS1299 calls bias is the right-leg drive (RLD) here; there is no SRB. Bits that are called reserved
keep what the chip reads. Source: SBAS459 register map [DS-8], facts/hardware.md 1.11.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from hw.chips import ADS1298, ChipSpec
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


class Ads1298Address(IntEnum):
    """Register addresses [DS-8]; those up to CH8SET and from LOFF_SENSP to GPIO are the ADS1299's."""

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
    RLD_SENSP = 0x0D
    RLD_SENSN = 0x0E
    LOFF_SENSP = 0x0F
    LOFF_SENSN = 0x10
    LOFF_FLIP = 0x11
    LOFF_STATP = 0x12
    LOFF_STATN = 0x13
    GPIO = 0x14
    PACE = 0x15
    RESP = 0x16
    CONFIG4 = 0x17
    WCT1 = 0x18
    WCT2 = 0x19


class Ads1298Gain(IntEnum):
    """CHnSET.GAINn."""

    X6 = 0
    X1 = 1
    X2 = 2
    X3 = 3
    X4 = 4
    X8 = 5
    X12 = 6
    RESERVED = 7

    @property
    def factor(self) -> int:
        """The amplification; ValueError for the reserved code."""
        return ADS1298.gain_of(self.value << 4)


class Ads1298LeadOffCurrent(IntEnum):
    """LOFF.ILEAD_OFF: magnitude of the lead-off current."""

    NA_6 = 0
    NA_12 = 1
    NA_18 = 2
    NA_24 = 3


class Ads1298LeadOffFrequency(IntEnum):
    """LOFF.FLEAD_OFF: UNSET must not stand while any LOFF_SENS bit is 1."""

    UNSET = 0
    QUARTER_RATE = 1
    NOT_USED = 2
    DC = 3


@dataclass(frozen=True, slots=True)
class Ads1298Id(Register):
    """ID: `device` 4 is an ADS129x, 6 an ADS129xR; `channel_code` 0, 1, 2: 4, 6, 8 channels. Read-only."""

    device: Annotated[int, Bits(0xE0)] = 4
    channel_code: Annotated[int, Bits(0x07)] = 2
    reserved: Annotated[int, Bits(0x18, in_place=True)] = 0x10


@dataclass(frozen=True, slots=True)
class Ads1298Config1(Register):
    """CONFIG1: writing it resets the filter. `rate_code` 0 to 6; high resolution doubles the rate."""

    high_resolution: Annotated[bool, Bits(0x80)] = False
    multiple_readback: Annotated[bool, Bits(0x40)] = False
    clock_output: Annotated[bool, Bits(0x20)] = False
    rate_code: Annotated[int, Bits(0x07)] = 6
    reserved: Annotated[int, Bits(0x18, in_place=True)] = 0


@dataclass(frozen=True, slots=True)
class Ads1298Config2(Register):
    """CONFIG2: the test signal; `wct_chop` fixes the chopping frequency of the Wilson terminal."""

    wct_chop: Annotated[bool, Bits(0x20)] = False
    cal_internal: Annotated[bool, Bits(0x10)] = False
    cal_double: Annotated[bool, Bits(0x04)] = False
    cal_frequency: Annotated[CalFrequency, Bits(0x03)] = CalFrequency.HZ_0_98
    reserved: Annotated[int, Bits(0xC8, in_place=True)] = 0x40


@dataclass(frozen=True, slots=True)
class Ads1298Config3(Register):
    """CONFIG3: reference (4 V instead of 2.4 V) and right-leg drive. `rld_lead_off` is read-only."""

    reference_on: Annotated[bool, Bits(0x80)] = False  # PD_REFBUF
    vref_4v: Annotated[bool, Bits(0x20)] = False
    rld_measure: Annotated[bool, Bits(0x10)] = False
    rld_reference_internal: Annotated[bool, Bits(0x08)] = False
    rld_on: Annotated[bool, Bits(0x04)] = False  # PD_RLD
    rld_lead_off_sense: Annotated[bool, Bits(0x02)] = False
    rld_lead_off: Annotated[bool, Bits(0x01)] = False
    reserved: Annotated[int, Bits(0x40, in_place=True)] = 0x40


@dataclass(frozen=True, slots=True)
class Ads1298LeadOff(Register):
    """LOFF; `pull_resistors` is VLEAD_OFF_EN: resistors instead of current sources."""

    threshold: Annotated[LeadOffThreshold, Bits(0xE0)] = LeadOffThreshold.PERCENT_95
    pull_resistors: Annotated[bool, Bits(0x10)] = False
    current: Annotated[Ads1298LeadOffCurrent, Bits(0x0C)] = Ads1298LeadOffCurrent.NA_6
    frequency: Annotated[Ads1298LeadOffFrequency, Bits(0x03)] = Ads1298LeadOffFrequency.UNSET


@dataclass(frozen=True, slots=True)
class Ads1298ChannelSet(Register):
    """CH1SET to CH8SET: at reset a channel looks at its electrodes with gain 6."""

    power_down: Annotated[bool, Bits(0x80)] = False
    gain: Annotated[Ads1298Gain, Bits(0x70)] = Ads1298Gain.X6
    mux: Annotated[Mux, Bits(0x07)] = Mux.ELECTRODE
    reserved: Annotated[int, Bits(0x08, in_place=True)] = 0


@dataclass(frozen=True, slots=True)
class Pace(Register):
    """PACE: which even and odd channel goes to the pace outputs."""

    even: Annotated[int, Bits(0x18)] = 0
    odd: Annotated[int, Bits(0x06)] = 0
    buffers_on: Annotated[bool, Bits(0x01)] = False  # PD_PACE
    reserved: Annotated[int, Bits(0xE0, in_place=True)] = 0


@dataclass(frozen=True, slots=True)
class Resp(Register):
    """RESP: respiration, of use on the R parts only."""

    demodulation_on: Annotated[bool, Bits(0x80)] = False
    modulation_on: Annotated[bool, Bits(0x40)] = False
    phase: Annotated[int, Bits(0x1C)] = 0
    control: Annotated[int, Bits(0x03)] = 0
    reserved: Annotated[int, Bits(0x20, in_place=True)] = 0


@dataclass(frozen=True, slots=True)
class Ads1298Config4(Register):
    """CONFIG4. `lead_off_comparators` is PD_LOFF_COMP: 1 = on."""

    resp_frequency: Annotated[int, Bits(0xE0)] = 0
    single_shot: Annotated[bool, Bits(0x08)] = False
    wct_to_rld: Annotated[bool, Bits(0x04)] = False
    lead_off_comparators: Annotated[bool, Bits(0x02)] = False
    reserved: Annotated[int, Bits(0x11, in_place=True)] = 0


@dataclass(frozen=True, slots=True)
class Wct1(Register):
    """WCT1: augmented leads on channels 4 to 7, Wilson terminal A."""

    augmented: Annotated[int, Bits(0xF0)] = 0
    amplifier_a_on: Annotated[bool, Bits(0x08)] = False  # PD_WCTA
    input_a: Annotated[int, Bits(0x07)] = 0


@dataclass(frozen=True, slots=True)
class Wct2(Register):
    """WCT2: Wilson terminals B and C."""

    amplifier_c_on: Annotated[bool, Bits(0x80)] = False  # PD_WCTC
    amplifier_b_on: Annotated[bool, Bits(0x40)] = False  # PD_WCTB
    input_b: Annotated[int, Bits(0x38)] = 0
    input_c: Annotated[int, Bits(0x07)] = 0


def ads1298_specs(chip: ChipSpec) -> dict[int, RegisterSpec]:
    """Registers that do not repeat per channel, per-channel bits narrowed to the channels of `chip`."""
    bits = chip.channel_bits
    a = Ads1298Address
    return {
        a.ID: RegisterSpec("ID", Ads1298Id, chip.id_bits, 0),
        a.CONFIG1: RegisterSpec("CONFIG1", Ads1298Config1, 0x06, 0xE7),
        a.CONFIG2: RegisterSpec("CONFIG2", Ads1298Config2, 0x40, 0x37),
        a.CONFIG3: RegisterSpec("CONFIG3", Ads1298Config3, 0x40, 0xBE, live=0x01),
        a.LOFF: RegisterSpec("LOFF", Ads1298LeadOff, 0x00, 0xFF),
        a.RLD_SENSP: RegisterSpec("RLD_SENSP", BiasSensP, 0x00, bits),
        a.RLD_SENSN: RegisterSpec("RLD_SENSN", BiasSensN, 0x00, bits),
        a.LOFF_SENSP: RegisterSpec("LOFF_SENSP", LoffSensP, 0x00, bits),
        a.LOFF_SENSN: RegisterSpec("LOFF_SENSN", LoffSensN, 0x00, bits),
        a.LOFF_FLIP: RegisterSpec("LOFF_FLIP", LoffFlip, 0x00, bits),
        a.LOFF_STATP: RegisterSpec("LOFF_STATP", LoffStatP, 0x00, 0, live=bits),
        a.LOFF_STATN: RegisterSpec("LOFF_STATN", LoffStatN, 0x00, 0, live=bits),
        a.GPIO: RegisterSpec("GPIO", Gpio, 0x0F, 0xFF, live=0xF0),
        a.PACE: RegisterSpec("PACE", Pace, 0x00, 0x1F),
        a.RESP: RegisterSpec("RESP", Resp, 0x00, 0xDF),
        a.CONFIG4: RegisterSpec("CONFIG4", Ads1298Config4, 0x00, 0xEE),
        a.WCT1: RegisterSpec("WCT1", Wct1, 0x00, 0xFF),
        a.WCT2: RegisterSpec("WCT2", Wct2, 0x00, 0xFF),
    }
