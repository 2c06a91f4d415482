"""What the registers of either family ask of the analogue side and the converter, in one vocabulary.

Owns the translation; the ADS1298's differences end here: references, gains, rates, lead-off currents, no SRB,
and a right-leg drive where the ADS1299 has its bias (facts/hardware.md 1.5, 1.11).
"""

from dataclasses import dataclass

from hw.chips import FCLK_HZ, ChipSpec, Family
from hw.model.ads1299_registers import RegisterFile
from hw.registers import (
    Address,
    CalFrequency,
    ChannelSet,
    Config1,
    Config2,
    Config3,
    Config4,
    LeadOff,
    LeadOffFrequency,
    LeadOffThreshold,
    Misc1,
    Mux,
)
from hw.registers_ads1298 import (
    Ads1298Config1,
    Ads1298Config2,
    Ads1298Config3,
    Ads1298Config4,
    Ads1298LeadOff,
    Ads1298LeadOffFrequency,
)

_CURRENTS_A = (6e-9, 24e-9, 6e-6, 24e-6)
_ADS1298_CURRENTS_A = (6e-9, 12e-9, 18e-9, 24e-9)
_ABOVE = {
    LeadOffThreshold.PERCENT_95: 0.95,
    LeadOffThreshold.PERCENT_92_5: 0.925,
    LeadOffThreshold.PERCENT_90: 0.9,
    LeadOffThreshold.PERCENT_87_5: 0.875,
    LeadOffThreshold.PERCENT_85: 0.85,
    LeadOffThreshold.PERCENT_80: 0.8,
    LeadOffThreshold.PERCENT_75: 0.75,
    LeadOffThreshold.PERCENT_70: 0.7,
}
_CAL_PERIOD_TCLK = {CalFrequency.HZ_0_98: 1 << 21, CalFrequency.HZ_1_95: 1 << 20}


@dataclass(frozen=True, slots=True)
class ChannelSetting:
    """One channel: what it looks at and its amplification, 0 when powered down or reserved."""

    mux: Mux
    gain: int
    srb2: bool


@dataclass(frozen=True, slots=True)
class LeadOffSetting:
    """Excitation: a current into each sensed lead, square with `period_tclk` (0: direct), 0 A for none.

    `sense_p`, `sense_n`, `flip`: one bit per channel. `above`: comparator level as a share of the supply.
    """

    current_a: float
    period_tclk: int
    above: float
    sense_p: int
    sense_n: int
    flip: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The registers as they stand. `rate_hz` is 0 for the reserved code; `cal_share` is the test signal's
    peak as a share of the reference, 0 for none, with `cal_period_tclk` 0 for DC.
    """

    rate_hz: float
    readback: bool
    clock_output: bool
    single_shot: bool
    reference_on: bool
    vref_v: float
    bias_on: bool
    bias_sense_p: int
    bias_sense_n: int
    bias_measure: bool
    cal_share: float
    cal_period_tclk: int
    srb1: bool
    lead_off: LeadOffSetting
    channels: tuple[ChannelSetting, ...]

    @property
    def sample_tclk(self) -> int:
        """One sample period in tCLK at a nominal 2.048 MHz, 0 for the reserved code."""
        return round(FCLK_HZ / self.rate_hz) if self.rate_hz else 0


def settings(chip: ChipSpec, registers: RegisterFile) -> Settings:
    """What `registers` ask for."""
    read = registers.read
    older = chip.family is Family.ADS1298
    config1 = (Ads1298Config1 if older else Config1).decode(read(Address.CONFIG1))
    config2 = (Ads1298Config2 if older else Config2).decode(read(Address.CONFIG2))
    config4 = (Ads1298Config4 if older else Config4).decode(read(Address.CONFIG4))
    rate_hz = _rate_hz(chip, read(Address.CONFIG1))
    cal_on = config2.cal_internal and config2.cal_frequency is not CalFrequency.NOT_USED
    reference_on, vref_v, bias_on, bias_measure = _config3(chip, read(Address.CONFIG3))
    return Settings(
        rate_hz=rate_hz,
        readback=config1.multiple_readback,
        clock_output=config1.clock_output,
        single_shot=config4.single_shot,
        reference_on=reference_on,
        vref_v=vref_v,
        bias_on=bias_on,
        bias_sense_p=read(Address.BIAS_SENSP),
        bias_sense_n=read(Address.BIAS_SENSN),
        bias_measure=bias_measure,
        cal_share=(2 if config2.cal_double else 1) / 2400 if cal_on else 0.0,
        cal_period_tclk=_CAL_PERIOD_TCLK.get(config2.cal_frequency, 0),
        srb1=older or Misc1.decode(read(Address.MISC1)).srb1,  # no switch: the board wires the reference
        lead_off=_lead_off(chip, registers, rate_hz),
        channels=tuple(_channel(chip, read(Address.CH1SET + k)) for k in range(chip.channels)),
    )


def _rate_hz(chip: ChipSpec, config1: int) -> float:
    return 0.0 if config1 & 0x07 == 7 else chip.rate_of(config1)


def _config3(chip: ChipSpec, byte: int) -> tuple[bool, float, bool, bool]:
    """Reference on, its volts, bias drive on, bias measured."""
    if chip.family is Family.ADS1298:
        older = Ads1298Config3.decode(byte)
        return older.reference_on, chip.vref_v[older.vref_4v], older.rld_on, older.rld_measure
    config3 = Config3.decode(byte)
    return config3.reference_on, chip.vref_v[0], config3.bias_on, config3.bias_measure


def _channel(chip: ChipSpec, byte: int) -> ChannelSetting:
    setting = ChannelSet.decode(byte)
    code = byte >> 4 & 7
    off = setting.power_down or code >= len(chip.gains)
    return ChannelSetting(
        setting.mux, 0 if off else chip.gains[code], setting.srb2 and chip.family is Family.ADS1299
    )


def _lead_off(chip: ChipSpec, registers: RegisterFile, rate_hz: float) -> LeadOffSetting:
    byte = registers.read(Address.LOFF)
    threshold = LeadOffThreshold(byte >> 5)
    quarter_tclk = round(4 * chip.fclk_hz / rate_hz) if rate_hz else 0
    if chip.family is Family.ADS1298:
        older = Ads1298LeadOff.decode(byte)
        current_a = 0.0 if older.pull_resistors else _ADS1298_CURRENTS_A[older.current]
        period_tclk = quarter_tclk if older.frequency is Ads1298LeadOffFrequency.QUARTER_RATE else 0
        if older.frequency not in (Ads1298LeadOffFrequency.QUARTER_RATE, Ads1298LeadOffFrequency.DC):
            current_a = 0.0
    else:
        newer = LeadOff.decode(byte)
        current_a = _CURRENTS_A[newer.current]
        period_tclk = {
            LeadOffFrequency.DC: 0,
            LeadOffFrequency.HZ_7_8: 1 << 18,
            LeadOffFrequency.HZ_31_25: 1 << 16,
            LeadOffFrequency.QUARTER_RATE: quarter_tclk,
        }[newer.frequency]
    return LeadOffSetting(
        current_a,
        period_tclk,
        _ABOVE[threshold],
        registers.read(Address.LOFF_SENSP),
        registers.read(Address.LOFF_SENSN),
        registers.read(Address.LOFF_FLIP),
    )
