"""The analogue side of the modelled ADS1299: from multiplexer, gain and reference to counts per volt.

Every channel is counts = volts x scale + offset, worked out on register writes so that a conversion is cheap.
Left out: noise, the decimation filter's response, SRB2, the bias loop (its inputs read 0 V). Facts 1.1, 1.5.
"""

from dataclasses import dataclass
from typing import Literal

from hw.chips import COUNTS_MAX, FULL_SCALE_COUNTS, VREF_V, ChipSpec, Gain
from hw.model.ads1299_registers import RegisterFile
from hw.registers import Address, CalFrequency, ChannelSet, Config2, Misc1, Mux

REFERENCE_OFF_V = 1e-6
"""What the reference pin holds while its buffer is off or starting: any input is beyond full scale."""
NegativeInput = Literal["srb1", "pins"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the chip sits in: supplies, die temperature, and where its negative inputs come from.

    `srb1`: the reference electrode is wired to the SRB1 pin, so a negative input floats until MISC1.SRB1 is
    closed. `pins`: every channel has its own negative electrode.
    """

    avdd_v: float = 5.0
    avss_v: float = 0.0
    dvdd_v: float = 3.3
    temperature_c: float = 25.0
    negative_input: NegativeInput = "srb1"


@dataclass(frozen=True, slots=True)
class InputScales:
    """Per channel: counts per volt, and the offset in counts while the test signal is low or high.

    The test signal is high while `elapsed_tclk & half_period_tclk`; 0 holds it low.
    """

    counts_per_volt: tuple[float, ...]
    offset_low: tuple[float, ...]
    offset_high: tuple[float, ...]
    half_period_tclk: int


def temperature_v(temperature_c: float) -> float:
    """The temperature sensor's output: 145.3 mV at 25 degrees, 490 uV per degree (facts 1.5)."""
    return 0.1453 + 490e-6 * (temperature_c - 25.0)


def supply_v(channel: int, around: Surroundings) -> float:
    """MVDD of `channel` (0 = channel 1): DVDD / 4 on channels 3 and 4, half the analogue sum elsewhere."""
    return around.dvdd_v / 4 if channel in (2, 3) else 0.5 * (around.avdd_v + around.avss_v)


def _test_signal_v(config: Config2, reference_v: float) -> float:
    """Voltage of the low half: -(VREFP - VREFN) / 2400, twice that with CAL_AMP, 0 unless made internally."""
    if not config.cal_internal or config.cal_frequency is CalFrequency.NOT_USED:
        return 0.0
    return -reference_v / 2400 * (2 if config.cal_double else 1)


def _half_period_tclk(config: Config2) -> int:
    """Half the test signal's period; 0 for DC."""
    return {CalFrequency.HZ_0_98: 1 << 20, CalFrequency.HZ_1_95: 1 << 19}.get(config.cal_frequency, 0)


def input_scales(
    chip: ChipSpec, registers: RegisterFile, around: Surroundings, reference_good: bool
) -> InputScales:
    """Scale and offset of every channel for the registers as they stand."""
    reference_v = VREF_V if reference_good else REFERENCE_OFF_V
    config2 = Config2.decode(registers.read(Address.CONFIG2))
    floating = around.negative_input == "srb1" and not Misc1.decode(registers.read(Address.MISC1)).srb1
    test_v = _test_signal_v(config2, reference_v)
    scales: list[tuple[float, float, float]] = []
    for channel in range(chip.channels):
        setting = ChannelSet.decode(registers.read(Address.CH1SET + channel))
        if setting.power_down or setting.gain is Gain.RESERVED:
            scales.append((0.0, 0.0, 0.0))
            continue
        per_volt = setting.gain.factor * FULL_SCALE_COUNTS / reference_v
        if setting.mux is Mux.ELECTRODE:
            scales.append((0.0, COUNTS_MAX, COUNTS_MAX) if floating else (per_volt, 0.0, 0.0))
            continue
        low_v = high_v = 0.0
        if setting.mux is Mux.TEST_SIGNAL:
            low_v, high_v = test_v, -test_v
        elif setting.mux is Mux.TEMPERATURE:
            low_v = high_v = temperature_v(around.temperature_c)
        elif setting.mux is Mux.SUPPLY:
            low_v = high_v = supply_v(channel, around)
        scales.append((0.0, low_v * per_volt, high_v * per_volt))
    per_volts, low, high = zip(*scales, strict=True)
    return InputScales(per_volts, low, high, _half_period_tclk(config2))
