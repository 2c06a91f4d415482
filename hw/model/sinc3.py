"""What the converter's filter does to signals, in closed form: steps, square waves, a body behind it.

Owns the signals; the filter's gain at a frequency is `hw.sinc3`. Refuses to know of counts and registers.
Three running means over one sample period each: settled 3 periods after a step (facts/hardware.md 1.1).
"""

from collections.abc import Sequence
from functools import lru_cache
from math import gcd
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hw import sinc3
from hw.board import SINC3_DELAY_SAMPLES
from hw.chips import FCLK_HZ

Floats = NDArray[np.float64]
_SIDE_TAP, _MIDDLE_TAP = 0.125, 0.75
_FEWEST_HARMONICS = 1024


class Network(Protocol):
    """An impedance; hashable."""

    def impedance_ohm(self, frequency_hz: Floats) -> NDArray[np.complex128]:
        """Complex ohms at each frequency."""
        ...


class _Rows(Protocol):
    def read(self, sample: int) -> Sequence[float]: ...

    def stimulate(self, at: float, site: str) -> None: ...


def magnitude(frequency_hz: float, rate_hz: float) -> float:
    """The filter's gain at `frequency_hz`: 0.9255 at fDR / 8, 0.730 at fDR / 4 (facts 1.1)."""
    return float(sinc3.magnitude(np.asarray(frequency_hz / rate_hz)))


def step_response(periods: float) -> float:
    """What the filter has taken up of a step `periods` sample periods ago: 0 to 1 over 3 periods."""
    if periods <= 0:
        return 0.0
    if periods < 1:
        return periods**3 / 6
    if periods < 2:
        return (3 + periods * (-9 + periods * (9 - 2 * periods))) / 6
    return 1 - (3 - periods) ** 3 / 6 if periods < 3 else 1.0


@lru_cache(maxsize=128)
def square_wave(
    period_tclk: int, sample_tclk: int, offset_tclk: int, network: Network | None = None
) -> Floats:
    """One period of a square wave of amplitude 1 after the filter, one value per conversion, read-only.

    The wave is +1 in the first half. Value n belongs to the conversion whose aperture ends `offset_tclk + n *
    sample_tclk` after the wave began. With `network` the wave is a current of 1 A into it, and the values are
    volts. ValueError unless the period is a whole number of conversions.
    """
    if gcd(period_tclk, sample_tclk) != sample_tclk:
        raise ValueError(f"a wave of {period_tclk} tCLK is no multiple of a sample of {sample_tclk} tCLK")
    n = period_tclk // sample_tclk
    k: Floats = np.arange(1, max(_FEWEST_HARMONICS, 16 * n), 2).astype(np.float64)
    turned = np.exp(2j * np.pi * k * (offset_tclk / period_tclk))
    harmonics = 4 / (np.pi * k) * sinc3.response(k / n) * turned
    if network is not None:
        frequency_hz: Floats = np.multiply(k, FCLK_HZ / period_tclk)
        harmonics = harmonics * network.impedance_ohm(frequency_hz)
    folded = np.zeros(n, np.complex128)
    np.add.at(folded, (k % n).astype(np.intp), harmonics)  # sampling folds the harmonics beyond half the rate
    values: Floats = np.fft.ifft(folded).imag * n
    values.setflags(write=False)
    return values


class Filtered:
    """A body seen through the filter: delay 1.5 samples in all, and its droop.

    `body` must hold in row k the input half a sample before conversion k (`Patient(delay_samples=0.5)`). Rows
    are weighted 1/8, 3/4, 1/8, the quadratic B-spline that three running means make; it has the filter's
    curvature, 0.1 % too much gain at fDR / 8 and 2.7 % at fDR / 4. Rows are to be read in order.
    """

    delay_samples = SINC3_DELAY_SAMPLES - 1

    def __init__(self, body: _Rows) -> None:
        self._body = body
        self._older: Sequence[float] | None = None
        self._newer: Sequence[float] = ()

    def read(self, sample: int) -> list[float]:
        """Volts as the converter gives them at conversion `sample`."""
        row = self._body.read(sample)
        older, newer = self._older, self._newer
        if older is None:  # before the first row the input stood still
            older = newer = row
        self._older, self._newer = newer, row
        return [_SIDE_TAP * (a + c) + _MIDDLE_TAP * b for a, b, c in zip(older, newer, row, strict=True)]

    def stimulate(self, at: float, site: str) -> None:
        """Passed on."""
        self._body.stimulate(at, site)
