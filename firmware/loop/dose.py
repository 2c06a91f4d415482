"""What every line has delivered, compiled: sums of a minute and of the case, held against their ceilings.

Kernels over `LoopState`. Counted when a pulse is raised, before it is proven.
"""

import numpy as np
from numba import int64, njit, void
from numpy.typing import NDArray

from firmware.loop.state import (
    C_CHARGE_NC,
    C_ENERGY_NJ,
    C_MINUTE,
    C_PULSES,
    CHARGE_NC,
    D_CHARGE_NC,
    D_COUNTS,
    D_ENERGY_NJ,
    D_PULSES,
    D_SECOND,
    ENERGY_NJ,
    INDEX,
    KIND,
    LOOP_STATE,
    MINUTE,
    RATE_MHZ,
    LoopState,
)

NOTHING = -1
SUMS = 4
OF_MINUTE, OF_PULSES, OF_CHARGE, OF_ENERGY = range(SUMS)


@njit(void(LOOP_STATE, int64), nogil=True, cache=True)
def turn(st: LoopState, line: int) -> None:
    """Forget the seconds that have left the last minute of a line."""
    row = st.doses[line]
    second = max(st.scalars[INDEX], 0) * 1000 // max(st.scalars[RATE_MHZ], 1)
    for passed in range(max(row[D_SECOND] + 1, second - MINUTE + 1), second + 1):
        row[D_COUNTS + passed % MINUTE] = 0
    row[D_SECOND] = max(row[D_SECOND], second)


@njit(int64(LOOP_STATE, int64[::1], int64, int64, int64), nogil=True, cache=True)
def sum_with(st: LoopState, plan: NDArray[np.int64], line: int, n: int, which: int) -> int:
    """One sum of a line with `n` more pulses of `plan`."""
    row = st.doses[line]
    if which == OF_MINUTE:
        turn(st, line)
        return int(row[D_COUNTS:].sum() + n)
    if which == OF_PULSES:
        return int(row[D_PULSES] + n)
    if which == OF_CHARGE:
        return int(row[D_CHARGE_NC] + n * plan[CHARGE_NC])
    return int(row[D_ENERGY_NJ] + n * plan[ENERGY_NJ])


@njit(int64(LOOP_STATE, int64[::1], int64), nogil=True, cache=True)
def ceiling(st: LoopState, plan: NDArray[np.int64], which: int) -> int:
    """The most that a sum may be for the kind of `plan`."""
    row = st.ceilings[plan[KIND]]
    if which == OF_MINUTE:
        return int(row[C_MINUTE])
    if which == OF_PULSES:
        return int(row[C_PULSES])
    return int(row[C_CHARGE_NC] if which == OF_CHARGE else row[C_ENERGY_NJ])


@njit(int64(LOOP_STATE, int64[::1], int64, int64), nogil=True, cache=True)
def excess(st: LoopState, plan: NDArray[np.int64], line: int, n: int) -> int:
    """The first sum that `n` more pulses of `plan` on `line` (0 = line 1) would take too far, or NOTHING."""
    for which in range(SUMS):
        if sum_with(st, plan, line, n, which) > ceiling(st, plan, which):
            return which
    return NOTHING


@njit(void(LOOP_STATE, int64[::1], int64), nogil=True, cache=True)
def count(st: LoopState, plan: NDArray[np.int64], line: int) -> None:
    """One pulse of `plan` goes out on `line`."""
    turn(st, line)
    row = st.doses[line]
    row[D_COUNTS + row[D_SECOND] % MINUTE] += 1
    row[D_PULSES] += 1
    row[D_CHARGE_NC] += plan[CHARGE_NC]
    row[D_ENERGY_NJ] += plan[ENERGY_NJ]
