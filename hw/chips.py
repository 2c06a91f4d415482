"""The ADS1299 family in numbers: opcodes, rates, gains, clock, reference, times, and the parts by their ID.

Owns every figure that a driver and a model must agree on; refuses to talk to a chip. Names of the module
are the ADS1299's; what differs from part to part is asked of its `ChipSpec`.
Sources: ADS1299 datasheet SBAS499A [DS-A] and SBAS499C [DS-C]; ADS1298 datasheet SBAS459 [DS-8];
facts/hardware.md sections 1.1 to 1.7, 1.11.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType

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
MAX_SCLK_HZ = 20_000_000
"""tSCLK is at least 50 ns [DS-A p8]."""
REGISTER_SCLK_HZ = 2_000_000
"""For commands and registers: at most 4 MHz leaves the 4 tCLK that each byte needs, half of it is safe."""
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


def tclk_to_ns(tclk: int) -> int:
    """`tclk` periods of the nominal clock in nanoseconds, rounded up."""
    return -(-tclk * 1_000_000_000 // FCLK_HZ)


def wait_for_tclk_ns(tclk: int) -> int:
    """Nanoseconds to wait for `tclk` periods of the slowest internal oscillator."""
    return int(tclk_to_ns(tclk) / (1 - CLOCK_TOLERANCE)) + 1


class Family(Enum):
    """Parts that share a register map."""

    ADS1299 = "ADS1299"
    ADS1298 = "ADS1298"


@dataclass(frozen=True, slots=True)
class FamilySpec:
    """What all parts of a family share.

    `gains`: amplification by code, CHnSET bits 6:4. `rates`: samples per second -> the bits of CONFIG1 under
    `rate_mask`, where a rate can be had in two ways the quieter one. `vref_v`: internal references, the reset
    one first. `settling_eighths`, `settling_tclk`: START to data-ready is eighths / 8 x tDR + tclk.
    """

    id_mask: int
    gains: tuple[int, ...]
    rates: Mapping[float, int]
    rate_mask: int
    vref_v: tuple[float, ...]
    settling_eighths: int
    settling_tclk: int
    registers: int
    fclk_hz: int = FCLK_HZ


HIGH_RESOLUTION = 0x80
FAMILIES: Mapping[Family, FamilySpec] = MappingProxyType(
    {
        Family.ADS1299: FamilySpec(
            id_mask=0x1F,
            gains=GAINS,
            rates=MappingProxyType({rate_hz: code for code, rate_hz in enumerate(RATES_HZ)}),
            rate_mask=0x07,
            vref_v=(VREF_V,),
            settling_eighths=8 * SETTLING_CONVERSIONS,
            settling_tclk=9,
            registers=24,
        ),
        Family.ADS1298: FamilySpec(  # high resolution 32k to 500, low power beneath [DS-8, facts 1.11]
            id_mask=0xFF,
            gains=(6, 1, 2, 3, 4, 8, 12),
            rates=MappingProxyType(
                {32_000.0 / (1 << code): HIGH_RESOLUTION | code for code in range(7)} | {250.0: 6}
            ),
            rate_mask=HIGH_RESOLUTION | 0x07,
            vref_v=(2.4, 4.0),
            settling_eighths=36,
            settling_tclk=8,
            registers=26,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class ChipSpec:
    """One part: `id_bits` are those of its ID register under `id_mask` [DS-C Table 12, facts 1.11]."""

    name: str
    id_bits: int
    channels: int
    family: Family = Family.ADS1299

    @property
    def shared(self) -> FamilySpec:
        """What the part has in common with its family."""
        return FAMILIES[self.family]

    @property
    def id_mask(self) -> int:
        """Bits of the ID register that tell the part; the rest is its revision."""
        return self.shared.id_mask

    @property
    def gains(self) -> tuple[int, ...]:
        """Amplification by code."""
        return self.shared.gains

    @property
    def rates_hz(self) -> tuple[float, ...]:
        """Samples per second at the nominal clock, ascending."""
        return tuple(sorted(self.shared.rates))

    @property
    def vref_v(self) -> tuple[float, ...]:
        """Internal references, the one after reset first."""
        return self.shared.vref_v

    @property
    def fclk_hz(self) -> int:
        """The nominal clock."""
        return self.shared.fclk_hz

    @property
    def registers(self) -> int:
        """How many registers there are, from address 0 on."""
        return self.shared.registers

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame: the status word and 24 bits per channel [DS-A p27]."""
        return 3 + 3 * self.channels

    @property
    def channel_bits(self) -> int:
        """A mask with one bit per channel, bit 0 = channel 1."""
        return (1 << self.channels) - 1

    def rate_bits(self, rate_hz: float) -> int:
        """CONFIG1's bits (under `shared.rate_mask`) for `rate_hz`; ValueError names the rates there are."""
        if rate_hz not in self.shared.rates:
            allowed = ", ".join(f"{rate:g}" for rate in self.rates_hz)
            raise ValueError(f"the {self.name} has no rate of {rate_hz:g} Hz: use one of {allowed}")
        return self.shared.rates[rate_hz]

    def rate_of(self, config1: int) -> float:
        """Samples per second that CONFIG1 = `config1` asks for; ValueError for the reserved code."""
        code = config1 & 0x07
        if code == 7:
            raise ValueError("data rate code 7 is reserved: use a code from 0 to 6")
        doubled = bool(config1 & self.shared.rate_mask & HIGH_RESOLUTION)
        return (32_000.0 if doubled else 16_000.0) / (1 << code)

    def gain_code(self, gain: int) -> int:
        """CHnSET's code for amplification `gain`; ValueError names the gains there are."""
        if gain not in self.gains:
            allowed = ", ".join(map(str, sorted(self.gains)))
            raise ValueError(f"the {self.name} has no gain of {gain}: use one of {allowed}")
        return self.gains.index(gain)

    def gain_of(self, channel_set: int) -> int:
        """The amplification that CHnSET = `channel_set` asks for; ValueError for the reserved code."""
        code = channel_set >> 4 & 0x07
        if code >= len(self.gains):
            raise ValueError("gain code 7 is reserved: use a code from 0 to 6")
        return self.gains[code]

    def sample_tclk(self, rate_hz: float) -> int:
        """One sample period in tCLK."""
        return round(self.fclk_hz / rate_hz)

    def settling_tclk(self, rate_hz: float) -> int:
        """START to the first data-ready: 4 tDR + 9 tCLK, on the ADS1298 4.5 tDR + 8 [facts 1.1; DS-8]."""
        return self.shared.settling_eighths * self.sample_tclk(rate_hz) // 8 + self.shared.settling_tclk


ADS1299_4 = ChipSpec("ADS1299-4", 0x1C, 4)
ADS1299_6 = ChipSpec("ADS1299-6", 0x1D, 6)
ADS1299 = ChipSpec("ADS1299", 0x1E, 8)
ADS1294 = ChipSpec("ADS1294", 0x90, 4, Family.ADS1298)
ADS1296 = ChipSpec("ADS1296", 0x91, 6, Family.ADS1298)
ADS1298 = ChipSpec("ADS1298", 0x92, 8, Family.ADS1298)
ADS1294R = ChipSpec("ADS1294R", 0xD0, 4, Family.ADS1298)
ADS1296R = ChipSpec("ADS1296R", 0xD1, 6, Family.ADS1298)
ADS1298R = ChipSpec("ADS1298R", 0xD2, 8, Family.ADS1298)
_PARTS = (ADS1299, ADS1299_6, ADS1299_4, ADS1298, ADS1296, ADS1294, ADS1298R, ADS1296R, ADS1294R)
CHIPS: Mapping[str, ChipSpec] = MappingProxyType({chip.name: chip for chip in _PARTS})


def identify(id_byte: int) -> ChipSpec | None:
    """The part whose ID register reads `id_byte`, None when it is no part of this family."""
    return next((chip for chip in CHIPS.values() if id_byte & chip.id_mask == chip.id_bits), None)


def data_rate(rate_hz: float) -> DataRate:
    """The ADS1299's code for `rate_hz`; ValueError names the rates that it has."""
    return DataRate(ADS1299.rate_bits(rate_hz))


def gain_code(gain: int) -> Gain:
    """The ADS1299's code for amplification `gain`; ValueError names the gains that it has."""
    return Gain(ADS1299.gain_code(gain))
