"""Electrodes whose impedance is known, from 1 to 50 kohm."""

from hw.model.electrodes import Electrode
from tests.support.leads import resistor

NETWORKS = (
    resistor(1_000),
    resistor(2_200),
    resistor(10_000),
    resistor(50_000),
    Electrode(200, 4_800, 47e-9),
    Electrode(500, 20_000, 100e-9),
    Electrode(1_000, 49_000, 22e-9),
    Electrode(0, 1_500, 1e-6),
)
