"""Lead-off excitation as facts: which currents and frequencies a part has, which may flow, their registers.

Owns the limits on people and the bytes; refuses to know of samples and of ports. Host and edge ask the same
`refuse_current`. Sources: SBAS499C tables 16, 20 to 22, 28; SBAS459 for the ADS1298; facts/hardware.md 1.5,
1.8, 1.11.
"""

from dataclasses import dataclass
from math import isfinite

from hw.chips import FCLK_HZ, ChipSpec, Family
from hw.registers import (
    Address,
    LeadOff,
    LeadOffCurrent,
    LeadOffFrequency,
    LeadOffThreshold,
)
from hw.registers_ads1298 import Ads1298LeadOff, Ads1298LeadOffCurrent, Ads1298LeadOffFrequency

CURRENTS_NA = {
    Family.ADS1299: {6: 0, 24: 1, 6_000: 2, 24_000: 3},
    Family.ADS1298: {6: 0, 12: 1, 18: 2, 24: 3},
}
DEFAULT_NA = 6
MOST_ON_PEOPLE_NA = 24
"""Two steps below the limit: with 32 leads excited at once the sum stays under 1 uA."""
PATIENT_AUXILIARY_DC_NA = 10_000
"""Direct patient-auxiliary current allowed in normal condition, as quoted in facts/hardware.md 1.8."""
SLOW_HZ = FCLK_HZ / (1 << 18)
USUAL_HZ = FCLK_HZ / (1 << 16)
BOARD_SERIES_OHM = 2_200.0
"""Between electrode connector and pin on widespread boards; the calibration file may say otherwise."""
SIDE_P, SIDE_N = 1, 2
WINDOW_S = 2.048
"""Whole cycles of every tone at every rate: 16 of 7.8125 Hz, 64 of 31.25 Hz, 0.512 x rate of fDR / 4."""
EXCITATION = (Address.LOFF, Address.LOFF_FLIP, Address.LOFF_SENSP, Address.LOFF_SENSN)
"""In writing order: the ADS1298 must have its frequency before a lead is sensed (facts 1.11)."""


@dataclass(frozen=True, slots=True)
class Tone:
    """One excitation frequency at one rate; `code` is LOFF.FLEAD_OFF."""

    frequency_hz: float
    samples_per_cycle: int
    window_samples: int
    code: int


def tone(chip: ChipSpec, rate_hz: float, frequency_hz: float = 0.0) -> Tone:
    """The tone of `frequency_hz`, 0 for the part's default; ValueError for one that it does not have.

    31.25 Hz is the default at every rate of the ADS1299: it comes from the clock and not from the rate, lies
    18.75 Hz from the nearest mains harmonic (50 or 60 Hz), and has 8 samples per cycle even at 250 SPS. The
    ADS1298 has a quarter of the data rate only, which from 1 kSPS on is a harmonic of 50 Hz.
    """
    quarter_hz = rate_hz / 4
    if chip.family is Family.ADS1298:
        codes = {quarter_hz: int(Ads1298LeadOffFrequency.QUARTER_RATE)}
        default_hz = quarter_hz
    else:
        codes = {
            quarter_hz: int(LeadOffFrequency.QUARTER_RATE),
            USUAL_HZ: int(LeadOffFrequency.HZ_31_25),
            SLOW_HZ: int(LeadOffFrequency.HZ_7_8),
        }
        default_hz = USUAL_HZ
    wanted_hz = frequency_hz or default_hz
    if not isfinite(wanted_hz) or wanted_hz not in codes:
        known = ", ".join(f"{hz:g}" for hz in sorted(codes))
        raise ValueError(f"the {chip.name} excites at {known} Hz here, not {frequency_hz:g}; use one of them")
    return Tone(wanted_hz, round(rate_hz / wanted_hz), round(rate_hz * WINDOW_S), codes[wanted_hz])


def refuse_current(current_na: int, direct: bool, phantom: bool) -> str:
    """Why this lead-off current must not flow, in one line; "" when it may.

    `direct`: comparators with a direct current, else a square wave; `phantom`: no person is connected.
    """
    if direct and current_na > PATIENT_AUXILIARY_DC_NA:
        return (
            f"{current_na / 1e3:g} uA DC is above the limit of {PATIENT_AUXILIARY_DC_NA / 1e3:g} uA for a "
            "direct patient-auxiliary current; use 6 or 24 nA"
        )
    if current_na > MOST_ON_PEOPLE_NA and not phantom:
        return (
            f"{current_na / 1e3:g} uA in every lead is not for people: a source that sticks is direct, "
            f"with a limit of {PATIENT_AUXILIARY_DC_NA / 1e3:g} uA for the patient; use 6 or 24 nA, or say "
            "that a phantom is connected"
        )
    return ""


def excitation_registers(
    chip: ChipSpec, current_na: int, frequency_code: int, sense_p: int, sense_n: int
) -> dict[int, int]:
    """LOFF, LOFF_FLIP, LOFF_SENSP, LOFF_SENSN by address in writing order; ValueError for an unknown current.

    `sense_p`, `sense_n`: one bit per channel of the chip, whose leads are excited.
    """
    codes = CURRENTS_NA[chip.family]
    if current_na not in codes:
        known = ", ".join(map(str, codes))
        raise ValueError(f"the {chip.name} has no lead-off current of {current_na} nA: use one of {known}")
    if chip.family is Family.ADS1298:
        byte = Ads1298LeadOff(
            LeadOffThreshold.PERCENT_95,
            False,
            Ads1298LeadOffCurrent(codes[current_na]),
            Ads1298LeadOffFrequency(frequency_code),
        ).encode()
    else:
        byte = LeadOff(
            LeadOffThreshold.PERCENT_95,
            LeadOffCurrent(codes[current_na]),
            LeadOffFrequency(frequency_code),
        ).encode()
    return dict(zip(EXCITATION, (byte, 0, sense_p, sense_n), strict=True))


def direct_code(chip: ChipSpec) -> int:
    """LOFF.FLEAD_OFF of a direct current."""
    older = chip.family is Family.ADS1298
    return int(Ads1298LeadOffFrequency.DC if older else LeadOffFrequency.DC)
