"""The shape of one response in a trace without offset: turning points, onset, end, turns and phases.

Owns what is read from rows of one derivation that hold a response; whether there is one is decided in
`dsp.muscle`. Thresholds are multiples of the noise that the caller tells. Refuses to know of time: all places
are rows.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.presence import Z_95

Floats = NDArray[np.float64]

CLEAR_SDS, CLEAR_SHARE = 5.0, 0.01
"""A response is on its way where the rectified trace first is beyond so many standard deviations of the
noise, and so much of its peak to peak."""
EDGE_SDS, QUIET_MS = 3.0, 0.5
"""From there its edge is where the trace last lay below so many for so long."""
RISE_SHARES = (0.5, 8.0)
"""How much sooner than the edge it may have begun, in times of what it needs from there to twice the height.
A rise like t^p has begun 1 / (2^(1/p) - 1) of them before: 1 for a straight line, 3.8 for a cube."""


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of the first and the last edge, and the interval of the first: earliest and latest beginning."""

    onset: float
    onset_ci: tuple[float, float]
    end: float


def vertex(x: Floats, row: int) -> tuple[float, float]:
    """Place (row) and height of the extreme at `row`: the parabola through it and its neighbours."""
    if not 0 < row < len(x) - 1:
        return float(row), float(x[row])
    left, middle, right = (float(v) for v in x[row - 1 : row + 2])
    bent = left - 2.0 * middle + right
    if bent == 0.0 or (middle - left) * (middle - right) < 0.0:
        return float(row), middle
    at = min(0.5, max(-0.5, 0.5 * (left - right) / bent))
    return row + at, middle - 0.25 * (left - right) * at


def turning_points(x: Floats, least: float) -> list[int]:
    """Rows where `x` (time,) turns by `least` or more: extremes in turn, the ends of the trace not counted.

    A turn is told when the trace has come by `least` and gone back by as much (hysteresis: the turns of
    Willison 1964).
    """
    step = np.diff(x)
    moves = np.flatnonzero(step)
    turns = moves[1:][(step[moves[1:]] > 0) != (step[moves[:-1]] > 0)]
    rows = [0, *turns.tolist(), len(x) - 1]
    found: list[int] = []
    low = high = rows[0]
    direction = 0
    for row in rows[1:]:
        value = x[row]
        if value > x[high]:
            high = row
        if value < x[low]:
            low = row
        if direction >= 0 and x[high] - value >= least:
            if direction > 0 or x[high] - x[0] >= least:
                found.append(high)
            direction, low, high = -1, row, row
        elif direction <= 0 and value - x[low] >= least:
            if direction < 0 or x[0] - x[low] >= least:
                found.append(low)
            direction, low, high = 1, row, row
    return found


def crossing(x: Floats) -> int:
    """The first row of `x` (time,) on the other side of zero than row 0; its length where there is none."""
    other = np.signbit(x) != np.signbit(x[0])
    return int(other.argmax()) if other.any() else len(x)


def phases(x: Floats, least: float) -> int:
    """Phases of a response (rows from onset to end): changes of sign plus one.

    Only what is beyond `least` has a sign: noise about the base line makes no phase.
    """
    signs = np.sign(x[np.abs(x) >= least])
    return int(np.count_nonzero(signs[1:] != signs[:-1])) + 1 if len(signs) else 0


def span(x: Floats, noise: float, peak_to_peak: float, dt_ms: float) -> Span:
    """Where the response in `x` (time,) begins and ends, `noise` its rms of noise.

    The first row beyond CLEAR_SDS x noise (and CLEAR_SHARE of the peak to peak; at most nine tenths of the
    largest value), then back to the last QUIET_MS below EDGE_SDS, a crossing between two rows; the end is
    the same from behind. The interval holds the true beginning: the trace leaves the base line slowly, and
    sooner than can be seen (RISE_SHARES), and noise moves the crossing by noise / slope.
    """
    size = np.abs(x)
    largest = float(size.max())
    clear = min(max(CLEAR_SDS * noise, CLEAR_SHARE * peak_to_peak), 0.9 * largest)
    edge = min(max(EDGE_SDS * noise, 0.002 * peak_to_peak), 0.8 * clear)
    over = np.flatnonzero(size >= clear)
    quiet = max(1, round(QUIET_MS / dt_ms))
    onset = _edge(size, int(over[0]), edge, quiet)
    end = len(x) - 1 - _edge(size[::-1], len(x) - 1 - int(over[-1]), edge, quiet)
    rise = _rise(size, onset, edge, min(2.0 * edge, 0.9 * largest))
    wander = Z_95 * noise / edge * rise
    low = onset - RISE_SHARES[1] * rise - wander - 0.5
    return Span(onset, (low, onset - RISE_SHARES[0] * rise + wander + 0.5), end)


def _edge(size: Floats, clear: int, edge: float, quiet: int) -> float:
    """The crossing of `edge` before row `clear` that `quiet` rows below it precede; 0 where none does."""
    below = (size[: clear + 1] < edge).astype(np.int64)
    runs = np.convolve(below, np.ones(quiet, np.int64))[: clear + 1]
    ended = np.flatnonzero(runs >= quiet)
    if not len(ended):
        return 0.0
    row = int(ended[-1])
    a, b = float(size[row]), float(size[row + 1])
    return row + (edge - a) / (b - a) if b > a else float(row)


def _rise(size: Floats, onset: float, edge: float, twice: float) -> float:
    """Rows from the crossing of `edge` at `onset` to that of `twice` as much."""
    first = math.floor(onset) + 1
    over = np.flatnonzero(size[first:] >= twice)
    if not len(over):
        return 0.0
    row = first + int(over[0])
    a, b = float(size[row - 1]), float(size[row])
    there = row - 1 + (twice - a) / (b - a) if b > a else float(row)
    return max(there - onset, 0.0)
