"""Electrodes as the lead-off currents see them: a network per lead, and which leads the board has.

Owns impedances; refuses to know of registers. Every lead is the board's series resistor (2.2 kohm, as on
widespread boards), a series resistance, and a resistance with a capacitance in parallel (skin and gel).
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Side = Literal["p", "n"]
BOARD_SERIES_OHM = 2_200.0


@dataclass(frozen=True, slots=True)
class Electrode:
    """One electrode on skin; `off`: it touches nothing. ValueError for negative or endless values."""

    series_ohm: float = 200.0
    parallel_ohm: float = 4_800.0
    parallel_farad: float = 47e-9
    off: bool = False

    def __post_init__(self) -> None:
        values = (self.series_ohm, self.parallel_ohm, self.parallel_farad)
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise ValueError(
                f"an electrode has finite resistances and capacitance of 0 or more, not {values}"
            )

    def impedance_ohm(self, frequency_hz: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Complex impedance of the electrode alone at each frequency."""
        turn = 2j * np.pi * np.asarray(frequency_hz, np.float64)
        admitted = 1 + turn * (self.parallel_ohm * self.parallel_farad)
        return np.asarray(self.series_ohm + self.parallel_ohm / admitted, np.complex128)

    @property
    def dc_ohm(self) -> float:
        """Resistance to a direct current."""
        return self.series_ohm + self.parallel_ohm


@dataclass(frozen=True, slots=True)
class Lead:
    """An electrode behind the board's series resistor."""

    electrode: Electrode
    board_ohm: float = BOARD_SERIES_OHM

    def impedance_ohm(self, frequency_hz: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Complex impedance from the pin to the body."""
        return self.board_ohm + self.electrode.impedance_ohm(frequency_hz)

    @property
    def dc_ohm(self) -> float:
        """Resistance from the pin to the body."""
        return self.board_ohm + self.electrode.dc_ohm


@dataclass(slots=True)
class Leads:
    """The leads of one chip: `p[channel]`, `n[channel]`, and the shared reference and bias leads.

    Where the board wires one reference to every channel, that is `reference` and `n` is not used.
    """

    p: list[Lead]
    n: list[Lead]
    reference: Lead = field(default_factory=lambda: Lead(Electrode()))
    bias: Lead = field(default_factory=lambda: Lead(Electrode()))


def plain_leads(channels: int, board_ohm: float = BOARD_SERIES_OHM) -> Leads:
    """Leads with good electrodes everywhere; the reference, told by its identity, is nobody else's."""
    good = Lead(Electrode(), board_ohm)
    reference, bias = Lead(Electrode(), board_ohm), Lead(Electrode(), board_ohm)
    return Leads([good] * channels, [good] * channels, reference, bias)
