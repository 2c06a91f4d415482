"""Sample index to time: what the edge has fitted, and wall time only as an anchor.

Times in messages are those of samples: the data-ready edge less the converter's filter delay (1.5 samples;
none where a recording already says when its samples were). From each report of the edge its line goes on
until the next; between two, time is interpolated. A correction (a few us: the edge reports what has moved
5 us) is taken at once, but the time of later samples does not run back with it: it waits until the new line
has passed what was said, unless the clock stepped back by a second. Without reports, time goes from the
newest edge at the nominal rate. No average depends on any of this; results speak in sample index.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hw.board import SINC3_DELAY_SAMPLES
from hw.link import Description
from hw.link import Timebase as Report

KEPT_REPORTS = 1000
MOST_OFF = 0.25
SAME_CLOCK_NS = 60_000_000_000
STEP_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Knot:
    """The edge of `index` fell at `t_ns`; the next ones come `ns_per_sample` apart, not before `floor_ns`."""

    index: int
    t_ns: int
    ns_per_sample: float
    floor_ns: int


def filter_delay(description: Description) -> float:
    """Samples by which an edge of this source is later than its sample (facts hardware 1.1, hw.board)."""
    return 0.0 if description.source == "file" else SINC3_DELAY_SAMPLES


class Timebase:
    """Time of the samples of a source of nominally `rate_hz`, `delay_samples` before their edges.

    `learn` and `follow` belong to one thread, `at` and `status` may be called from any.
    """

    def __init__(
        self,
        rate_hz: float,
        delay_samples: float,
        anchor: tuple[int, int] = (0, 0),
        utc_minus_t_ns: int | None = None,
    ) -> None:
        self._rate_hz, self.delay_samples = rate_hz, delay_samples
        self._nominal_ns = 1e9 / rate_hz
        self._delay_ns = delay_samples * self._nominal_ns
        self._anchor = anchor
        self._heard, self._utc_known = False, utc_minus_t_ns is not None
        now = time.time_ns() - time.monotonic_ns()
        self.utc_minus_t_ns = now if utc_minus_t_ns is None else utc_minus_t_ns
        self._knots: tuple[Knot, ...] = ()
        self._report: Report | None = None

    def follow(self, index: int, t_ns: int) -> None:
        """The edge of sample `index` was stamped `t_ns`. The first one tells whose clock that is: one that
        does not show our time within a minute gets its wall time from now."""
        self._heard = True
        if not self._utc_known:
            self._utc_known = True
            if abs(time.monotonic_ns() - t_ns) > SAME_CLOCK_NS:
                self.utc_minus_t_ns = time.time_ns() - t_ns
        self._anchor = (index, t_ns)

    def learn(self, report: Report) -> bool:
        """Believe the edge's report; False for one that is not newer than the last or makes no sense."""
        slope = report.ns_per_sample
        sane = abs(slope / self._nominal_ns - 1.0) < MOST_OFF  # NaN is not
        if not sane or not all(map(math.isfinite, (report.ppm, report.wander_ppm, report.residual_ns))):
            return False
        if self._knots and report.index <= self._knots[-1].index:
            return False
        floor_ns = self.edge_ns(report.index) if self._knots or self._heard else report.t_ns
        if floor_ns >= report.t_ns + STEP_NS:
            floor_ns = report.t_ns
        knot = Knot(report.index, report.t_ns, slope, floor_ns)
        self._knots = (*self._knots, knot)[-KEPT_REPORTS:]
        self._report = report
        return True

    def know(self, fitted: Iterable[tuple[int, int, float]]) -> None:
        """All that was reported in a case that is over: (index, t_ns, ns_per_sample), ascending."""
        self._knots = tuple(Knot(index, t_ns, slope, t_ns) for index, t_ns, slope in fitted)

    def at(self, index: int) -> tuple[int, int]:
        """(t_ns, utc_ns) of the sample `index` itself."""
        t_ns = self.edge_ns(index) - round(self._delay_ns)
        return t_ns, t_ns + self.utc_minus_t_ns

    def edge_ns(self, index: int) -> int:
        """When the data-ready edge of `index` fell, or will fall."""
        knots = self._knots
        if not knots:
            known, known_ns = self._anchor
            return known_ns + round((index - known) * self._nominal_ns)
        at = bisect_right(knots, index, key=lambda knot: knot.index)
        before = knots[max(at - 1, 0)]
        ahead = index - before.index
        if 0 < at < len(knots):
            after = knots[at]
            return before.t_ns + (after.t_ns - before.t_ns) * ahead // (after.index - before.index)
        t_ns = before.t_ns + round(ahead * before.ns_per_sample)
        return max(t_ns, before.floor_ns) if ahead >= 0 else t_ns

    def status(self, index: int) -> dict[str, Any]:
        """What `status` says of time at sample `index`; null where the edge has not reported."""
        r = self._report
        edge_ns = self.edge_ns(index)
        return {
            "rate_hz": self._rate_hz * (1.0 + r.ppm * 1e-6) if r else self._rate_hz,
            "ppm": r.ppm if r else None,
            "wander_ppm": r.wander_ppm if r else None,
            "residual_us": r.residual_ns / 1e3 if r else None,
            "refused": r.refused if r else 0,
            "settled": bool(r and r.settled),
            "filter_delay_samples": self.delay_samples,
            "edge_ns": edge_ns,
            "sample_ns": edge_ns - round(self._delay_ns),
        }
