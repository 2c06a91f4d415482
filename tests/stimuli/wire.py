"""The wire from the output pins back to the samples: so many samples late, and whatever may befall it."""

import numpy as np

from tests.stimuli.compiled import Row, inner

MOST_LAG = 4
GLITCH, CUT, CUT_UNTIL, STUCK, STUCK_UNTIL = range(MOST_LAG + 1, MOST_LAG + 6)
"""After the levels at the newest conversions: bits that are turned over in one sample, bits that are low and
that are high until before a sample."""
N_WIRE = MOST_LAG + 6


def new_wire() -> Row:
    return np.zeros(N_WIRE, np.int64)


@inner
def convert(wire: Row, level: int) -> None:
    """The pins are at `level` when a sample is converted."""
    for k in range(MOST_LAG, 1, -1):
        wire[k] = wire[k - 1]
    wire[1] = level


@inner
def shown(wire: Row, i: int, lag: int) -> int:
    """What sample `i` shows: with `lag` 1 the level at its own conversion."""
    bits = wire[lag]
    if i < wire[CUT_UNTIL]:
        bits &= ~wire[CUT]
    if i < wire[STUCK_UNTIL]:
        bits |= wire[STUCK]
    bits ^= wire[GLITCH]
    wire[GLITCH] = 0
    return bits
