"""The two nouns that leave the edge: a contiguous block of samples, and a gap between blocks.

Refuses to repair anything: a lost sample is a `Gap`, never an invented value.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

GapReason = Literal["missed", "torn", "link", "overflow", "file"]


@dataclass(frozen=True, slots=True)
class Gap:
    """`length` samples from `index` on were converted but never arrived.

    Reasons: `missed` data-ready edge not served, `torn` frame without the 1100 header or
    the one before again, `link` block lost
    between edge and host, `overflow` edge ring full, `file` marked as a gap in a recording.
    """

    index: int
    length: int
    reason: GapReason


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Contiguous samples: `counts` (time, channel) int32, `trigger_bits` (time,) uint8, bit 0 = line 1.

    `first_index` is the 64-bit sample index of row 0, `t_ns` the monotonic time of the last row's
    data-ready edge. Rows are contiguous; what was lost lies before row 0 and is named in `gaps`.
    """

    first_index: int
    counts: NDArray[np.int32]
    trigger_bits: NDArray[np.uint8]
    t_ns: int = 0
    gaps: tuple[Gap, ...] = ()

    @property
    def end_index(self) -> int:
        """Index after the last row."""
        return self.first_index + len(self.counts)
