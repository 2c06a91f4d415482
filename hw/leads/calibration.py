"""What a lead's current is known to be: its pin, current and frequency, and what a board's calibration says.

Owns the values; how they are measured and kept in a file is the edge's (`hw.leads.calibration`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hw.impedance import CALIBRATED_TOLERANCE, TOLERANCE
from hw.lead_off import BOARD_SERIES_OHM

Side = Literal["p", "n"]


@dataclass(frozen=True, slots=True)
class Pin:
    """One input of one chip, counted from 1 as on the board's print."""

    chip: int
    channel: int
    side: Side


@dataclass(frozen=True, slots=True)
class Excited:
    """A pin with one current and frequency: what was calibrated together."""

    pin: Pin
    nominal_na: int
    frequency_hz: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """`board`: its serial number, "" when nothing was calibrated; `series_ohm` between connector and pin.

    `currents_a`: complex, what flows against a wave that is positive from START on.
    """

    board: str = ""
    series_ohm: float = BOARD_SERIES_OHM
    currents_a: Mapping[Excited, complex] = field(default_factory=dict)

    def current_a(self, excited: Excited) -> tuple[complex, float]:
        """The current and its relative tolerance: nominal with 20 % where it was not calibrated."""
        known = self.currents_a.get(excited)
        if known is None:
            return complex(excited.nominal_na * 1e-9), TOLERANCE
        return known, CALIBRATED_TOLERANCE


UNCALIBRATED = Calibration()
