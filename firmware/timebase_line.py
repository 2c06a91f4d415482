"""The regression under the timebase: quadratics of time on index that forget, how they start, robust spread.

Pure arithmetic of one clock against one count; decides nothing about which edges to believe.
"""

import math

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MEMORY_S = 0.15  # while the oscillator is calm
QUICK_S = 0.03  # while it wanders
KEPT_OF_MISSES = 0.96  # by every piece of 10 ms: which memory is right is judged over a quarter of a second
# At most so much of the line's misses, squared, must be the other's: in a calm clock the quick one misses
# less by mere chance 12 times an hour (1 kSPS, 2 us of jitter), and its rate is 60 ppm off then.
CLEARLY = 0.7
MOST_MISSED_NS = 25_000.0
START_POINTS = 64
# Weight, in edges a memory away, of "the rate is what it was" and "it does not change": felt only while they
# are few.
RATE_WEIGHT = 0.0018
BEND_WEIGHT = 0.0316
RECENT = 512
# Standard deviation of a normal distribution over the magnitude below which that part of it lies.
NORMAL_SD = {2: 1.4826, 4: 3.1383}


class Line:
    """Least squares of time on index, quadratic, with exponential forgetting; the fit is its own reference.

    Time of index i is `t_ns` + off + (1e9 + rate_off) x + bend x^2 with x = (i - index) / rate in seconds.
    New edges are seen as residuals, so sums stay small and int64 keeps its last nanosecond at any index.
    """

    def __init__(
        self,
        rate_hz: float,
        index: int = 0,
        t_ns: int = 0,
        rate_off: float = 0.0,
        memory_s: float = MEMORY_S,
    ) -> None:
        self._rate_hz, self._index, self._t_ns, self._memory_s = rate_hz, index, t_ns, memory_s
        self._rate_weight, self._bend_weight = RATE_WEIGHT * memory_s**2, BEND_WEIGHT * memory_s**4
        self._off, self.rate_off, self._bend = 0.0, rate_off, 0.0
        self._s = (0.0, 0.0, 0.0, 0.0, 0.0)  # weighted sums of x^0 .. x^4

    def at(self, index: int) -> int:
        """Time of `index`: along the curve within the memory, straight on beyond."""
        x = (index - self._index) / self._rate_hz
        near = max(-self._memory_s, min(self._memory_s, x))
        bent = self._bend * near * (2.0 * x - near)
        return self._t_ns + round(self._off + (1e9 + self.rate_off) * x + bent)

    def advance(self, index: int) -> None:
        """Let `index` be the origin; what is behind fades."""
        x = (index - self._index) / self._rate_hz
        near = min(self._memory_s, x)
        ahead = self._off + (1e9 + self.rate_off) * x + self._bend * near * (2.0 * x - near)
        whole = round(ahead)
        self._index, self._t_ns, self._off = index, self._t_ns + whole, ahead - whole
        self.rate_off += 2.0 * self._bend * near
        if x > self._memory_s:
            self._bend = 0.0
        s0, s1, s2, s3, s4 = self._s
        kept, x2 = math.exp(-x / self._memory_s), x * x
        self._s = (
            kept * s0,
            kept * (s1 - x * s0),
            kept * (s2 - 2.0 * x * s1 + x2 * s0),
            kept * (s3 - 3.0 * x * s2 + 3.0 * x2 * s1 - x2 * x * s0),
            kept * (s4 - 4.0 * x * s3 + 6.0 * x2 * s2 - 4.0 * x2 * x * s1 + x2 * x2 * s0),
        )

    def residuals(self, indices: Ints, times_ns: Ints) -> tuple[Floats, Floats]:
        """(x_s, residual_ns) of edges up to the origin, not far behind it."""
        x_s = (indices - self._index) / self._rate_hz
        fitted = self._off + x_s * ((1e9 + self.rate_off) + self._bend * x_s)
        return x_s, (times_ns - self._t_ns) - fitted

    def with_memory(self, memory_s: float) -> "Line":
        """One that begins like this one did and has its own memory."""
        return Line(self._rate_hz, self._index, self._t_ns, self.rate_off, memory_s)

    def ahead_of(self, other: "Line", x: float) -> float:
        """ns by which this one says later than `other`, of the same origin, `x` seconds from it."""
        rate, bend = self.rate_off - other.rate_off, self._bend - other._bend
        return (self._t_ns - other._t_ns) + (self._off - other._off) + x * (rate + x * bend)

    def learn(self, n: int, x: float, residual_ns: float) -> None:
        """`n` edges lie about `x` seconds from the origin, `residual_ns` off the fit in the mean."""
        x2 = x * x
        s0, s1, s2, s3, s4 = self._s
        s0, s1, s2, s3, s4 = s0 + n, s1 + n * x, s2 + n * x2, s3 + n * x2 * x, s4 + n * x2 * x2
        self._s = (s0, s1, s2, s3, s4)
        t0, t1 = n * residual_ns, n * residual_ns * x
        t2 = t1 * x - self._bend_weight * self._bend
        a, b = s2 + self._rate_weight, s4 + self._bend_weight
        # Cramer's rule on [[s0 s1 s2] [s1 a s3] [s2 s3 b]]: the damped sums are positive definite.
        m0, m1, m2 = a * b - s3 * s3, s1 * b - s2 * s3, s1 * s3 - s2 * a
        det = s0 * m0 - s1 * m1 + s2 * m2
        m3, m4, m5 = s0 * b - s2 * s2, s0 * s3 - s1 * s2, s0 * a - s1 * s1
        self._off += (t0 * m0 - t1 * m1 + t2 * m2) / det
        self.rate_off += (-t0 * m1 + t1 * m3 - t2 * m4) / det
        self._bend += (t0 * m2 - t1 * m4 + t2 * m5) / det


class Fit:
    """Two lines over the same edges, a calm one and a quick one; `line` is that which foresees edges
    better, unless the other one does so clearly.

    The calm one has a tenth of the noise in its rate; a wandering oscillator leaves either by the third power
    of its memory.
    """

    def __init__(self, start: Line) -> None:
        self.line, self._other = start, start.with_memory(QUICK_S)
        self._missed = self._other_missed = 0.0

    def advance(self, index: int) -> None:
        """Let `index` be the origin."""
        self.line.advance(index)
        self._other.advance(index)

    def learn(self, n: int, x: float, residual_ns: float) -> None:
        """`n` edges lie about `x` seconds from the origin, in the mean `residual_ns` off `line`."""
        line, other = self.line, self._other
        other_ns = residual_ns + line.ahead_of(other, x)
        line.learn(n, x, residual_ns)
        other.learn(n, x, other_ns)
        self._missed = KEPT_OF_MISSES * self._missed + n * min(abs(residual_ns), MOST_MISSED_NS) ** 2
        self._other_missed = KEPT_OF_MISSES * self._other_missed + n * min(abs(other_ns), MOST_MISSED_NS) ** 2
        if self._other_missed < CLEARLY * self._missed:
            self.line, self._other = other, line
            self._missed, self._other_missed = self._other_missed, self._missed


class Recent:
    """The last 512 numbers and their spread, judged by the smallest `part`-th (2: half, 4: a quarter)."""

    def __init__(self, part: int) -> None:
        self._part = part
        self._values = np.zeros(RECENT)
        self._n = self._counted = 0
        self._sd = 0.0

    def add(self, values: Floats) -> None:
        """Remember at most 512 more."""
        values = values[-RECENT:]
        at = self._n % RECENT
        room = RECENT - at
        self._values[at : at + len(values)] = values[:room]
        if len(values) > room:
            self._values[: len(values) - room] = values[room:]
        self._n += len(values)

    def sd(self) -> float:
        """Standard deviation if they are normal, whatever the largest say; 0 without any number."""
        known = np.abs(self._values[: self._n])
        if not known.size:
            return 0.0
        self._counted = self._n
        rank = known.size // self._part
        self._sd = NORMAL_SD[self._part] * float(np.partition(known, rank)[rank])
        return self._sd

    def sd_of_late(self) -> float:
        """The same, at most an eighth of the numbers old: cheap enough for every 10 ms."""
        return self.sd() if self._n - self._counted >= min(RECENT, self._n) // 8 else self._sd


def robust_line(indices: Ints, times_ns: Ints, rate_hz: float) -> Line:
    """A line through edges of which nearly half may be late: the median of every edge's median slope to the
    others (Siegel's repeated medians)."""
    few = np.linspace(0, len(indices) - 1, min(len(indices), START_POINTS)).astype(np.intp)
    x_s = (indices[few] - indices[0]) / rate_hz
    y_ns = (times_ns[few] - times_ns[0]) - x_s * 1e9
    others = ~np.eye(len(few), dtype=bool)
    run, rise = ((v - v[:, None])[others].reshape(len(few), -1) for v in (x_s, y_ns))
    slope = float(np.median(np.median(rise / run, axis=1)))
    first_ns = int(times_ns[0]) + round(float(np.median(y_ns - slope * x_s)))
    return Line(rate_hz, int(indices[0]), first_ns, slope)
