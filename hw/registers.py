"""The one door to the registers: what each address of each part holds, and the bytes of a driver's wishes.

The ADS1299's names are re-exported; the ADS1298's that differ are in `hw.registers_ads1298`. No I/O.
Sources: SBAS499C tables 11 to 28, facts/hardware.md 1.5, 1.11.
"""

from collections.abc import Mapping
from types import MappingProxyType

from hw.chips import ADS1299, ChipSpec, DataRate, Family, Gain
from hw.register_fields import Register
from hw.registers_ads1298 import (
    Ads1298ChannelSet,
    Ads1298Config1,
    Ads1298Config3,
    Ads1298Gain,
    ads1298_specs,
)
from hw.registers_ads1299 import (
    Address,
    ChannelSet,
    Config1,
    Config2,
    Config3,
    Config4,
    Id,
    LeadOff,
    LeadOffCurrent,
    LeadOffFrequency,
    Misc1,
    Misc2,
    ads1299_specs,
)
from hw.registers_shared import (
    BiasSensN,
    BiasSensP,
    CalFrequency,
    ChannelBits,
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

__all__ = [
    "REGISTERS",
    "Address",
    "BiasSensN",
    "BiasSensP",
    "CalFrequency",
    "ChannelBits",
    "ChannelSet",
    "Config1",
    "Config2",
    "Config3",
    "Config4",
    "Gpio",
    "Id",
    "LeadOff",
    "LeadOffCurrent",
    "LeadOffFrequency",
    "LeadOffThreshold",
    "LoffFlip",
    "LoffSensN",
    "LoffSensP",
    "LoffStatN",
    "LoffStatP",
    "Misc1",
    "Misc2",
    "Mux",
    "RegisterSpec",
    "channel_set",
    "config1",
    "config3",
    "reference_v",
    "register_map",
]


def register_map(chip: ChipSpec) -> Mapping[int, RegisterSpec]:
    """Address -> specification, ascending; on parts of 4 and 6 channels absent ones read 0 (facts 1.5)."""
    kind: type[Register]
    if chip.family is Family.ADS1298:
        specs, kind, reset, writable = ads1298_specs(chip), Ads1298ChannelSet, 0x00, 0xF7
    else:
        specs, kind, reset, writable = ads1299_specs(chip), ChannelSet, 0x61, 0xFF
    for number in range(1, 9):
        present = number <= chip.channels
        specs[Address.CH1SET + number - 1] = RegisterSpec(
            f"CH{number}SET", kind, reset if present else 0, writable if present else 0
        )
    return MappingProxyType(dict(sorted(specs.items())))


REGISTERS = register_map(ADS1299)


def config1(
    chip: ChipSpec, rate_hz: float, multiple_readback: bool = False, clock_output: bool = False
) -> int:
    """CONFIG1's byte; ValueError for a rate that the part does not have."""
    bits = chip.rate_bits(rate_hz)
    register: Register
    if chip.family is Family.ADS1298:
        register = Ads1298Config1(bool(bits & 0x80), multiple_readback, clock_output, bits & 0x07)
    else:
        register = Config1(multiple_readback, clock_output, DataRate(bits))
    return register.encode()


def config3(chip: ChipSpec, bias: bool, vref_v: float | None = None) -> int:
    """CONFIG3's byte: reference on; bias drive (right-leg drive) on its internal reference, or off.

    `vref_v`: one of the part's references, None for the one that it starts with; ValueError for another.
    """
    wanted_v = chip.vref_v[0] if vref_v is None else vref_v
    if wanted_v not in chip.vref_v:
        allowed = ", ".join(f"{volts:g}" for volts in chip.vref_v)
        raise ValueError(f"the {chip.name} has no reference of {wanted_v:g} V: use one of {allowed}")
    register: Register
    if chip.family is Family.ADS1298:
        register = Ads1298Config3(
            reference_on=True, vref_4v=wanted_v == 4.0, rld_reference_internal=bias, rld_on=bias
        )
    else:
        register = Config3(reference_on=True, bias_reference_internal=bias, bias_on=bias)
    return register.encode()


def reference_v(chip: ChipSpec, byte: int) -> float:
    """The internal reference that CONFIG3 = `byte` chooses."""
    return 4.0 if chip.family is Family.ADS1298 and Ads1298Config3.decode(byte).vref_4v else chip.vref_v[0]


def channel_set(chip: ChipSpec, gain: int, mux: Mux, power_down: bool = False, srb2: bool = False) -> int:
    """CHnSET's byte; ValueError for a gain that the part does not have, or SRB2 where there is none."""
    code = chip.gain_code(gain)
    register: Register
    if chip.family is Family.ADS1298:
        if srb2:
            raise ValueError(
                f"the {chip.name} has no SRB2: wire the reference to every input, leave srb2 off"
            )
        register = Ads1298ChannelSet(power_down, Ads1298Gain(code), mux)
    else:
        register = ChannelSet(power_down, Gain(code), srb2, mux)
    return register.encode()
