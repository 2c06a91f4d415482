"""The ADS1299 family in numbers: opcodes, rates, gains, clock, reference, times, and the parts by their ID.

Owns every figure that a driver and a model must agree on; refuses to talk to a chip.
Sources: ADS1299 datasheet SBAS499A [DS-A] and SBAS499C [DS-C]; facts/hardware.md sections 1.1 to 1.7, 1.11.
"""

from dataclasses import dataclass
from enum import IntEnum

FCLK_HZ = 2_048_000
VREF_V = 4.5
FULL_SCALE_COUNTS = 1 << 23
COUNTS_MAX = FULL_SCALE_COUNTS - 1
COUNTS_MIN = -FULL_SCALE_COUNTS

CLOCK_TOLERANCE = 0.025
"""The internal oscillator over its temperature range; waits in tCLK are stretched by it (facts 1.1)."""
POWER_UP_TCLK = 1 << 18
"""From stable supplies to the first command, 128 ms; older texts say 2^16 and about 1 in 50 then fails."""
RESET_TCLK = 18
"""From RESET to the next command [DS-A p29]."""
DECODE_TCLK = 4
"""The chip's time to decode one command byte, and to keep chip select low after the last one [DS-A p8]."""
REFERENCE_START_NS = 150_000_000
"""From CONFIG3.PD_REFBUF on to a settled internal reference."""
SETTLING_CONVERSIONS = 4
"""The first data-ready comes this many sample periods (and 9 tCLK) after START or a filter reset."""


class Opcode(IntEnum):
    """Command bytes [DS-A p35]; RREG and WREG carry the register address in their low five bits."""

    WAKEUP = 0x02
    STANDBY = 0x04
    RESET = 0x06
    START = 0x08
    STOP = 0x0A
    RDATAC = 0x10
    SDATAC = 0x11
    RDATA = 0x12
    RREG = 0x20
    WREG = 0x40


class DataRate(IntEnum):
    """CONFIG1.DR [DS-C Table 13]; the names are samples per second at the nominal clock."""

    SPS_16000 = 0
    SPS_8000 = 1
    SPS_4000 = 2
    SPS_2000 = 3
    SPS_1000 = 4
    SPS_500 = 5
    SPS_250 = 6
    RESERVED = 7

    @property
    def sample_tclk(self) -> int:
        """One sample period in tCLK; ValueError for the reserved code."""
        if self is DataRate.RESERVED:
            raise ValueError("data rate code 7 is reserved: use a code from 0 to 6")
        return 128 << self.value

    @property
    def rate_hz(self) -> float:
        """Samples per second at the nominal clock; ValueError for the reserved code."""
        return FCLK_HZ / self.sample_tclk

    @property
    def settling_tclk(self) -> int:
        """START to the first data-ready, tSETTLE = 4 tDR + 9 tCLK [DS-A p29, facts 1.1]."""
        return SETTLING_CONVERSIONS * self.sample_tclk + 9


class Gain(IntEnum):
    """CHnSET.GAINn [DS-C Table 17]."""

    X1 = 0
    X2 = 1
    X4 = 2
    X6 = 3
    X8 = 4
    X12 = 5
    X24 = 6
    RESERVED = 7

    @property
    def factor(self) -> int:
        """The amplification; ValueError for the reserved code."""
        if self is Gain.RESERVED:
            raise ValueError("gain code 7 is reserved: use a code from 0 to 6")
        return (1, 2, 4, 6, 8, 12, 24)[self.value]


RATES_HZ: tuple[float, ...] = tuple(rate.rate_hz for rate in DataRate if rate is not DataRate.RESERVED)
GAINS: tuple[int, ...] = tuple(gain.factor for gain in Gain if gain is not Gain.RESERVED)


def data_rate(rate_hz: float) -> DataRate:
    """The code for `rate_hz`; ValueError names the rates that the chip has."""
    if rate_hz not in RATES_HZ:
        allowed = ", ".join(f"{rate:g}" for rate in sorted(RATES_HZ))
        raise ValueError(f"the ADS1299 has no rate of {rate_hz:g} Hz: use one of {allowed}")
    return DataRate(RATES_HZ.index(rate_hz))


def gain_code(gain: int) -> Gain:
    """The code for amplification `gain`; ValueError names the gains that the chip has."""
    if gain not in GAINS:
        raise ValueError(f"the ADS1299 has no gain of {gain}: use one of {', '.join(map(str, GAINS))}")
    return Gain(GAINS.index(gain))


def tclk_to_ns(tclk: int) -> int:
    """`tclk` periods of the nominal clock in nanoseconds, rounded up."""
    return -(-tclk * 1_000_000_000 // FCLK_HZ)


def wait_for_tclk_ns(tclk: int) -> int:
    """Nanoseconds to wait for `tclk` periods of the slowest internal oscillator."""
    return int(tclk_to_ns(tclk) * (1 + CLOCK_TOLERANCE)) + 1


@dataclass(frozen=True, slots=True)
class ChipSpec:
    """One part of the family: `id_bits` are the low five bits of its ID register [DS-C Table 12]."""

    name: str
    id_bits: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame: the status word and 24 bits per channel [DS-A p27]."""
        return 3 + 3 * self.channels

    @property
    def channel_bits(self) -> int:
        """A mask with one bit per channel, bit 0 = channel 1."""
        return (1 << self.channels) - 1


ID_MASK = 0x1F
ADS1299_4 = ChipSpec("ADS1299-4", 0x1C, 4)
ADS1299_6 = ChipSpec("ADS1299-6", 0x1D, 6)
ADS1299 = ChipSpec("ADS1299", 0x1E, 8)
CHIPS: dict[int, ChipSpec] = {chip.id_bits: chip for chip in (ADS1299_4, ADS1299_6, ADS1299)}
