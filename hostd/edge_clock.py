"""Host time of what an edge stamps with a clock of its own: the lower envelope of arrivals. Pure.

arrival = edge time + offset + drift * edge time + delay, where a delay is never negative and now and then as
short as it can be. So the line sought lies below all arrivals and touches them; of all such lines it is the
one closest to them in the mean, with weights that forget: one side of the lower convex hull (after Moon,
Skelly and Towsley, INFOCOM 1999, and Zhang, Liu and Xia, INFOCOM 2002, on clock skew in delay measurements).
The shortest delay cannot be told from an offset and stays in (README: how far off it is). Owns no clock:
arrivals are handed in, in the order of the edge's stamps.
"""

import math
from collections import deque
from collections.abc import Sequence

BUCKET_NS = 250_000_000
"""Of so much time only the promptest arrival counts."""
WINDOW_NS = 60_000_000_000
FORGET_NS = 12_000_000_000
SLOPE_AFTER_NS = 3_000_000_000
"""Before, the drift is what was known of this crystal, or none."""
MOST_DRIFT = 1e-3
"""Beyond what two crystals and a slewed host clock can differ by, it is no clock that goes as ours."""
EARLY_NS, LATE_NS = 5_000_000, 20_000_000
LATE_FOR_NS = 20_000_000_000
"""One arrival earlier than that, or all of them later for so long, means that a clock was set: begin anew."""

Point = tuple[int, int]
"""(edge time, arrival - edge time), both in ns since the first."""


class EdgeClock:
    """`hear` every arrival, ask `host_ns` for any edge time. `drift` is where to begin from, when known."""

    def __init__(self, drift: float = 0.0) -> None:
        self._origin: Point | None = None
        self._begin(drift)

    def _begin(self, drift: float) -> None:
        self._points: deque[Point] = deque()
        self._open: Point | None = None
        self._ref, self.drift = (0, 0), drift
        self._known = False
        self._late_from: int | None = None
        self._prompt_ns = 0

    def hear(self, t_ns: int, arrival_ns: int) -> None:
        """What was stamped `t_ns` arrived at `arrival_ns`."""
        if self._origin is None:
            self._origin = t_ns, arrival_ns - t_ns
        x, y = t_ns - self._origin[0], arrival_ns - t_ns - self._origin[1]
        late_ns = y - self._line(x)
        set_back = self._open is not None and x < self._open[0]
        if self._known and (set_back or late_ns < -EARLY_NS or self._overdue(x)):
            self._begin(self.drift)
        if not self._known:
            self._known, self._ref, late_ns = True, (x, y), 0.0
        if late_ns < LATE_NS:
            self._late_from, self._prompt_ns = None, x
        elif self._late_from is None:
            self._late_from = x
        if late_ns < 0:  # at once: no delay is negative
            self._ref = x, y
        self._keep(x, y)

    def host_ns(self, t_ns: int) -> int:
        """The host's time when the edge's clock shows `t_ns`; ValueError before anything was heard."""
        if self._origin is None:
            raise ValueError("nothing was heard of that clock")
        x = t_ns - self._origin[0]
        return t_ns + self._origin[1] + round(self._line(x))

    def _line(self, x: int) -> float:
        return self._ref[1] + self.drift * (x - self._ref[0])

    def _lateness(self, x: int, y: int) -> float:
        """In units of what is late; bounded, so that its exponential is no zero."""
        return min(max((y - self._line(x)) / LATE_NS, 0.0), 100.0)

    def _overdue(self, x: int) -> bool:
        """Whether everything has been late for so long that it is no lateness."""
        return self._late_from is not None and x - self._late_from > LATE_FOR_NS

    def _keep(self, x: int, y: int) -> None:
        """Gather the promptest arrival of each bucket; fit when one is full."""
        if self._open is None:
            self._open = x, y
        elif x // BUCKET_NS == self._open[0] // BUCKET_NS:
            if y - self._line(x) < self._open[1] - self._line(self._open[0]):
                self._open = x, y
        else:
            self._points.append(self._open)
            self._open = x, y
            while self._points[0][0] < self._prompt_ns - WINDOW_NS:
                self._points.popleft()
                if not self._points:
                    return
            self._fit([*self._points, self._open])

    def _fit(self, points: Sequence[Point]) -> None:
        now = points[-1][0]
        if now - points[0][0] < SLOPE_AFTER_NS:
            self._ref = min(points, key=lambda p: p[1] - self.drift * p[0])
            return
        weights = [math.exp((x - now) / FORGET_NS - self._lateness(x, y)) for x, y in points]
        middle = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / sum(weights)
        left, right = side_below(points, middle)
        drift = (right[1] - left[1]) / (right[0] - left[0])
        if abs(drift) < MOST_DRIFT:
            self._ref, self.drift = left, drift


def side_below(points: Sequence[Point], at: float) -> tuple[Point, Point]:
    """The side of the lower convex hull of `points` (two or more, ascending and apart in x) over `at`."""
    hull: list[Point] = []
    for point in points:
        while len(hull) > 1 and _above(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    k = next((k for k in range(1, len(hull) - 1) if hull[k][0] >= at), len(hull) - 1)
    return hull[k - 1], hull[k]


def _above(a: Point, b: Point, c: Point) -> bool:
    """Whether b lies on or above the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
