"""Where the peaks are: extremes of one polarity within a window, and the joint choice for a derivation.

A peak is the largest value of its window. Where that is not certain, because a rival could be meant or two
peaks would stand in the wrong order, the peaks of a derivation are chosen together: score = prominence in
units of the noise + 5 x a soft prior of the window's centre (the weight of the `abr` program), the best sum
of scores in rising order of latency by dynamic programming. Decides no presence and gives no interval.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dsp import kernels_measure as kernels
from dsp.nouns import Peak

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
PRIOR_WEIGHT = 5.0
SPAN_FLOOR = 1e-12


@dataclass(frozen=True, slots=True)
class Picker:
    """One peak's rows: `window` and `to` (first, end), `before` baseline rows (0: amplitudes from zero)."""

    sign: int
    n_rows: int
    window: tuple[int, int]
    to: tuple[int, int] | None
    before: int
    plan: Rows = field(init=False, compare=False, repr=False)
    """The same for `dsp.kernels_measure`."""

    def __post_init__(self) -> None:
        rows = (*self.window, *(self.to or (0, 0)), self.before, self.sign, *self.span)
        object.__setattr__(self, "plan", np.array(rows, dtype=np.int64))

    @property
    def empty(self) -> bool:
        """Its windows lie outside of the trace."""
        return self.window[1] <= self.window[0] or (self.to is not None and self.to[1] <= self.to[0])

    @property
    def span(self) -> tuple[int, int]:
        """Rows (first, end) of the window and of where the amplitude runs to."""
        to = self.to or self.window
        return min(self.window[0], to[0]), max(self.window[1], to[1])

    def narrowed(self, first: int, end: int) -> "Picker":
        """The same peak within rows first to end - 1 of its window only."""
        return replace(self, window=(max(self.window[0], first), min(self.window[1], end)))


def picker(peak: Peak, n_rows: int, t0_ms: float, dt_ms: float) -> Picker:
    """The rows of `peak` in traces of `n_rows`; row k is at t0_ms + k*dt_ms."""

    def rows(span_ms: tuple[float, float]) -> tuple[int, int]:
        first = max(1, math.ceil((span_ms[0] - t0_ms) / dt_ms - 1e-9))
        return first, min(n_rows - 1, math.floor((span_ms[1] - t0_ms) / dt_ms + 1e-9) + 1)

    before = min(max(0, math.floor((0.0 - t0_ms) / dt_ms)), n_rows)
    to = rows(peak.to_ms) if peak.to_ms else None
    return Picker(peak.polarity, n_rows, rows(peak.window_ms), to, before if before > 3 else 0)


def ambiguous(trace: Floats, where: Picker, row: int, noise_uv: float) -> bool:
    """Whether another extreme of the window could score more than the largest value, at `row`.

    `trace` (row,) is as recorded. A rival's prominence is at most its rise over the lowest point
    towards `row`.
    """
    sums = np.empty(2)
    kernels.rival(trace, where.plan, row, sums)
    prominence, rise = sums.tolist()
    return bool(rise > 0.0 and rise + PRIOR_WEIGHT * noise_uv > prominence)


def candidates(trace: Floats, where: Picker, noise_uv: float) -> list[tuple[int, float]]:
    """Row and score of each local extreme of the window; `trace` (row,) as recorded."""
    first, end = where.window
    prominences = np.empty(len(trace))
    kernels.extremes(trace, where.plan, prominences)
    centre, half = 0.5 * (first + end - 1), max(0.5 * (end - 1 - first), 0.5)
    found = []
    for row, prominence in enumerate(prominences[first:end].tolist(), first):
        if prominence >= 0.0:
            off = (row - centre) / half
            score = prominence / max(noise_uv, SPAN_FLOOR) + PRIOR_WEIGHT * (1.0 - off * off)
            found.append((row, score))
    return found


def best_in_order(choices: list[list[tuple[int, float]]]) -> list[int | None]:
    """One row per list of (row, score), rising, with the largest sum of scores; None: left out (score 0)."""
    # Each state: last row taken, its sum, and the rows so far; only the best sum of a last row is kept.
    states: dict[int, tuple[float, tuple[int | None, ...]]] = {-1: (0.0, ())}
    for rows in choices:
        after = {last: (total, (*taken, None)) for last, (total, taken) in states.items()}
        for row, score in rows:
            total, taken = max(
                (s for last, s in states.items() if last < row), key=lambda s: s[0], default=(-math.inf, ())
            )
            if total + score > after.get(row, (-math.inf, ()))[0]:
                after[row] = (total + score, (*taken, row))
        states = after
    return list(max(states.values(), key=lambda s: s[0])[1])


def bounds(trace: Floats, where: Picker, row: int) -> tuple[int, int]:
    """Rows (first, end) around `row` in which it is the largest: to the lowest point before a higher one."""
    first, end = where.window
    left, right = trace[first : row + 1][::-1], trace[row:end]
    higher = np.flatnonzero(left > trace[row])
    begin = row - int(np.argmin(left[: higher[0]])) if len(higher) else first
    higher = np.flatnonzero(right > trace[row])
    stop = row + int(np.argmin(right[: higher[0]])) + 1 if len(higher) else end
    return begin, stop
