"""Stimuli as the samples show them: rising edges of the trigger bits, across blocks, never across gaps."""

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Trigger
from hw.samples import SampleBlock

N_LINES = 8
UNKNOWN = 0xFF


class EdgeFinder:
    """Finds rising edges; a bit already high at the first sample of a recording counts as an edge there,
    a bit already high behind a gap does not (its edge was lost with the gap)."""

    def __init__(self) -> None:
        self._last = 0

    def find(self, block: SampleBlock) -> list[Trigger]:
        """Triggers within `block`, in order of index, then line."""
        if block.gaps:
            self._last = UNKNOWN
        bits = block.trigger_bits
        if not len(bits):
            return []
        before = np.empty_like(bits)
        before[0] = self._last
        before[1:] = bits[:-1]
        self._last = int(bits[-1])
        rising: NDArray[np.uint8] = bits & ~before
        found = []
        for row in np.flatnonzero(rising):
            for line in range(N_LINES):
                if rising[row] >> line & 1:
                    found.append(Trigger(block.first_index + int(row), line + 1))
        return found
