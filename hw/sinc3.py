"""The converter's third-order sinc filter as a formula: gain and delay at a frequency.

Owns |H| and the delay in samples; refuses to know of signals. Three running means over one sample period each
(facts/hardware.md 1.1); the discrete filter of 64 to 4096 modulator samples differs by less than 1e-4.
"""

import numpy as np
from numpy.typing import NDArray

from hw.board import SINC3_DELAY_SAMPLES


def magnitude(cycles_per_sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """The filter's signed gain at frequencies given in cycles per sample: 0.9255 at 1/8, 0.730 at 1/4."""
    gain: NDArray[np.float64] = np.sinc(cycles_per_sample) ** 3
    return gain


def response(cycles_per_sample: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Gain and phase: a sine at this frequency comes out times this, seen at the end of the aperture."""
    delay = np.exp(-2j * np.pi * SINC3_DELAY_SAMPLES * cycles_per_sample)
    turned: NDArray[np.complex128] = magnitude(cycles_per_sample) * delay
    return turned
