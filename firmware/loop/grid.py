"""The index of a data-ready edge, from the kernel's sequence number and its time stamp together.

A kernel counts the edges that it saw, so a dropped event shows in its number and a missed interrupt only in
time; a bounce shows in both. Where number and time disagree, time decides if it is clear (within 0.35 of a
period); if it is not, the number keeps the index and the sample is doubtful, that is lost. The period follows
the converter's own clock by a recursive line fit with fading memory.
"""

import numpy as np
from numba import float64, int64, njit, void
from numpy.typing import NDArray

# grid: counters and times; clock: period and the fraction of a nanosecond of GRID_NS
STARTED, SEQ, INDEX, GRID_NS, FITTED, DOUBTS = range(6)
PERIOD_NS, FRACTION_NS, NOMINAL_NS = range(3)
SPURIOUS, FIRST_FIT, LONGEST_FIT = -1, 8, 400
DOUBTFUL = 1 << 62
"""Added to an index whose sample must not be believed."""
CLEAR = 0.35
NEXT_MAY_COME = 0.9
"""A row read later than so many periods after its edge may be the next one's."""
MOST_OFF = 0.05
LONG_SILENCE, MOST_DOUBTS = 50, 4


def edge_grid(rate_hz: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The memory of `place` for edges of about `rate_hz`; the first edge is index 0."""
    period_ns = 1e9 / rate_hz
    return np.zeros(6, np.int64), np.array([period_ns, 0.0, period_ns])


@njit(void(int64[::1], float64[::1], int64, int64), nogil=True, cache=True)
def fit(grid: NDArray[np.int64], clock: NDArray[np.float64], t_ns: int, n: int) -> None:
    """Draw grid time and period towards an edge `n` periods after the last; late outliers count little."""
    nominal = clock[NOMINAL_NS]
    error = t_ns - grid[GRID_NS] - clock[FRACTION_NS]
    error = min(max(error, -0.1 * nominal), 0.1 * nominal)
    k = grid[FITTED] = min(grid[FITTED] + 1, LONGEST_FIT)
    clock[FRACTION_NS] += error * 2 * (2 * k - 1) / (k * (k + 1))
    period = clock[PERIOD_NS] + error * 6 / (k * (k + 1)) / n
    clock[PERIOD_NS] = min(max(period, (1 - MOST_OFF) * nominal), (1 + MOST_OFF) * nominal)


@njit(int64(int64[::1], float64[::1], int64, int64), nogil=True, cache=True)
def place(grid: NDArray[np.int64], clock: NDArray[np.float64], seq: int, t_ns: int) -> int:
    """The index of the edge with number `seq` at `t_ns`; SPURIOUS for none, plus DOUBTFUL when unclear."""
    if not grid[STARTED]:
        grid[STARTED], grid[SEQ], grid[INDEX], grid[GRID_NS], grid[FITTED] = 1, seq, 0, t_ns, FIRST_FIT
        return 0
    counted = (seq - grid[SEQ]) & 0xFFFFFFFF
    grid[SEQ] = seq
    elapsed = (t_ns - grid[GRID_NS] - clock[FRACTION_NS]) / clock[PERIOD_NS]
    n = int64(np.floor(elapsed + 0.5))
    doubt = 0
    if n != counted and abs(elapsed - n) > CLEAR and abs(elapsed - counted) < 1.5:
        n, doubt = counted, DOUBTFUL
    elif n == counted and elapsed < n - CLEAR:  # interrupts come late, never early: it may be a bounce
        doubt = DOUBTFUL
    if n <= 0:
        return SPURIOUS
    grid[INDEX] += n
    grid[DOUBTS] = grid[DOUBTS] + 1 if doubt else 0
    restarted = n > LONG_SILENCE and n != counted
    if restarted or grid[DOUBTS] > MOST_DOUBTS:  # another phase, and here to stay: begin the fit anew
        grid[GRID_NS], clock[FRACTION_NS], grid[FITTED] = t_ns, 0.0, FIRST_FIT
        return int(grid[INDEX])
    advance = n * clock[PERIOD_NS] + clock[FRACTION_NS]
    grid[GRID_NS] += int64(np.floor(advance))
    clock[FRACTION_NS] = advance - np.floor(advance)
    if not doubt:
        fit(grid, clock, t_ns, n)
    return int(grid[INDEX] + doubt)
