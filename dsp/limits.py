"""What a case file is judged by before anything is computed: the least and most that stages can do.

Numbers and names only, so that reading a case loads no kernel.
"""

from typing import Literal

Averaging = Literal["running", "moving", "exponential", "blocks"]
"""How a test averages: `dsp.averagers`."""
SUB_AVERAGES = 16
"""Sweeps go in turn into so many averages, whose differences are the noise: `dsp.average`."""
BLOCK = 8
"""Sweeps of one block that is weighted by its own variance: `dsp.modes`."""
SHARP_HZ = 300.0
"""Corner of the low-pass of a sharper trace: `dsp.sharpen`."""
MAINS_MIN_RATE_HZ = 150.0
"""Samples a second from which on mains are measured: `dsp.mains_meter`."""


def least_sweeps(averaging: Averaging) -> int:
    """The fewest sweeps whose noise can be told: one in each sub-average, or a block."""
    return SUB_AVERAGES * (BLOCK if averaging == "blocks" else 1)
