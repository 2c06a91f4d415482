"""Registers and values that the ADS1299 and the ADS1298 have in common. Definitions only, no I/O.

Reserved bits are a field like any other, kept where they stand, so that a byte read from a chip survives
decode and encode unchanged. Source: SBAS499C tables 11 to 25, facts/hardware.md 1.5, 1.11.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from hw.register_fields import Bits, Register


class Mux(IntEnum):
    """CHnSET.MUXn: what a channel looks at."""

    ELECTRODE = 0
    SHORTED = 1
    BIAS_MEASURE = 2
    SUPPLY = 3
    TEMPERATURE = 4
    TEST_SIGNAL = 5
    BIAS_TO_P = 6
    BIAS_TO_N = 7


class CalFrequency(IntEnum):
    """CONFIG2.CAL_FREQ: the test signal is a square wave of fCLK / 2^21 or 2^20, or DC."""

    HZ_0_98 = 0
    HZ_1_95 = 1
    NOT_USED = 2
    DC = 3


class LeadOffThreshold(IntEnum):
    """LOFF.COMP_TH: comparator level on the positive side, in percent of the supply."""

    PERCENT_95 = 0
    PERCENT_92_5 = 1
    PERCENT_90 = 2
    PERCENT_87_5 = 3
    PERCENT_85 = 4
    PERCENT_80 = 5
    PERCENT_75 = 6
    PERCENT_70 = 7


@dataclass(frozen=True, slots=True)
class ChannelBits(Register):
    """One bit per channel, bit 0 = channel 1."""

    channels: Annotated[int, Bits(0xFF)] = 0


class BiasSensP(ChannelBits):
    """BIAS_SENSP [DS-C Table 18]: positive inputs that the bias amplifier averages."""

    __slots__ = ()


class BiasSensN(ChannelBits):
    """BIAS_SENSN [DS-C Table 19]: negative inputs that the bias amplifier averages."""

    __slots__ = ()


class LoffSensP(ChannelBits):
    """LOFF_SENSP [DS-C Table 20]: positive inputs under lead-off detection."""

    __slots__ = ()


class LoffSensN(ChannelBits):
    """LOFF_SENSN [DS-C Table 21]: negative inputs under lead-off detection."""

    __slots__ = ()


class LoffFlip(ChannelBits):
    """LOFF_FLIP [DS-C Table 22]: channels whose source and sink are swapped."""

    __slots__ = ()


class LoffStatP(ChannelBits):
    """LOFF_STATP [DS-C Table 23]: read-only, 1 = positive electrode off."""

    __slots__ = ()


class LoffStatN(ChannelBits):
    """LOFF_STATN [DS-C Table 24]: read-only, 1 = negative electrode off."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Gpio(Register):
    """GPIO [DS-C Table 25]: `levels` (GPIOD) as on the pins, `inputs` (GPIOC) 1 = input; bit 0 = GPIO1."""

    levels: Annotated[int, Bits(0xF0)] = 0
    inputs: Annotated[int, Bits(0x0F)] = 0x0F


@dataclass(frozen=True, slots=True)
class RegisterSpec:
    """What one address holds. `live` bits are set by the chip itself, so a read-back cannot vouch for them.

    Bits neither `writable` nor `live` read as in `reset`, whatever is written.
    """

    name: str
    kind: type[Register]
    reset: int
    writable: int
    live: int = 0

    @property
    def read_only(self) -> bool:
        """True when no write has any effect."""
        return not self.writable
