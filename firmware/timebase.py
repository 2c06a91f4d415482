"""Edge time against sample index: a regression that forgets, with late edges refused.

Owns what the edge believes about its converter's clock. Every edge stamp comes from one clock, late by the
kernel's whim but never early. Time now is a quadratic that forgets in 0.15 s while the oscillator is calm and
in 0.03 s while it wanders (a few 0.1 ms over seconds); the published rate is a line over the last half
minute. Reads no clock, renumbers nothing, and knows nothing of the filter's delay: this is the time of edges.
"""

import math

import numpy as np

from firmware.timebase_line import Fit, Floats, Ints, Line, Recent, robust_line
from hw.link import Timebase as TimebaseReport

PIECE_S = 0.01
START_EDGES = 16
START_S = 0.05
MOST_OFF_NS_PER_S = 0.2e9
GATE_SD = 6.0 / math.sqrt(2.0)  # of the difference of two stamps
LEAST_GATE_NS = 25_000.0
WANDER_NS_PER_S = 4e6  # how fast an oscillator may leave its line while no edge is believed
EARLY_EDGES = 16
BLIND_S = 1.0
KNOT_S = 0.25
KNOTS_PER_S = 4
RATE_KNOTS = 30 * KNOTS_PER_S
WANDER_KNOTS = 120 * KNOTS_PER_S
SETTLED_KNOTS = 5 * KNOTS_PER_S
REPORT_S = 1.0
MOVED_NS = 5_000
FRESH_S = 0.1
FRESH_MOVED_NS = 6_000
MOST_REFUSED = (1 << 32) - 1
NO_KNOTS = np.empty((0, 2), np.int64)


class Timebase:
    """The time of every edge of a converter of nominally `rate_hz`. Raises ValueError for no rate.

    Follows starts, gaps, bursts of late edges and a clock that steps. What an oscillator may have done in a
    gap is believed when most edges of 10 ms agree on it; another time that goes on for a second (for 16
    edges when early, since no edge is) begins the fit anew. Edges more than a fifth off the nominal rate
    begin none. One thread.
    """

    def __init__(self, rate_hz: float) -> None:
        if not (math.isfinite(rate_hz) and rate_hz > 0.0):
            raise ValueError(f"sample rate {rate_hz} Hz: give a positive one")
        self._nominal_hz = rate_hz
        self._piece = max(1, round(rate_hz * PIECE_S))
        self._early = self._knot_due = 0
        self._begun = False
        self._waiting: list[tuple[int, int]] = []
        self._fit = Fit(Line(rate_hz))
        self._believed = 0  # newest index whose edge was
        self._last: int | None = None
        self._residual, self._noise = Recent(2), Recent(4)  # one late edge spoils two steps
        self._knots = NO_KNOTS  # (n, 2): sample, ns
        self.refused = self.restarts = 0

    def follow(self, index: int, t_ns: int) -> None:
        """The edge of sample `index` was stamped `t_ns`."""
        self.follow_many(np.array([index], np.int64), np.array([t_ns], np.int64))

    def follow_many(self, indices: Ints, times_ns: Ints) -> None:
        """The same for edges in ascending order (n,); what is not newer than the last one is refused."""
        if self._last is not None and indices.size and indices[0] <= self._last:
            newer = indices > self._last
            self.refused += int(np.count_nonzero(~newer))
            indices, times_ns = indices[newer], times_ns[newer]
        for at in range(0, len(indices), self._piece):
            piece = slice(at, at + self._piece)
            if self._begun:
                self._fold(indices[piece], times_ns[piece])
            else:
                self._wait(indices[piece], times_ns[piece])
            self._last = int(indices[piece][-1])

    def at(self, index: int) -> int:
        """Fitted time of the edge of `index`; those before the last 10 ms lie between fits of their day.

        Before the fit has begun, nominal steps from the earliest edge. Raises ValueError before any edge.
        """
        if self._last is None:
            raise ValueError(f"sample {index}: no edge was seen yet")
        if not self._begun and self.restarts == 0:
            step_ns = 1e9 / self._nominal_hz
            return min(t_ns + round((index - known) * step_ns) for known, t_ns in self._waiting)
        if not len(self._knots) or index > self._last - self._piece:
            return self._fit.line.at(index)
        first, first_ns = (int(value) for value in self._knots[0])
        known, times_ns = self._since_first(WANDER_KNOTS)
        if index < first:
            return first_ns + round((index - first) * self.ns_per_sample)
        known = np.append(known, self._last - first)
        times_ns = np.append(times_ns, self._fit.line.at(self._last) - first_ns)
        return first_ns + round(float(np.interp(float(index - first), known, times_ns)))

    @property
    def begun(self) -> bool:
        """Whether there is a fit at all."""
        return self._begun

    @property
    def settled(self) -> bool:
        """Whether the fit has gone on for five seconds since its start or the last step of the clock."""
        return self._begun and len(self._knots) > SETTLED_KNOTS

    @property
    def ns_per_sample(self) -> float:
        """The period now, as the short memory has it."""
        return (1e9 + self._fit.line.rate_off) / self._nominal_hz

    @property
    def rate_hz(self) -> float:
        """Samples per second of the edge's clock: the slope over the last half minute."""
        if len(self._knots) < 2:
            return 1e9 / self.ns_per_sample
        known, times_ns = self._since_first(RATE_KNOTS)
        known -= known.mean()
        return 1e9 * float(known @ known) / float(known @ (times_ns - times_ns.mean()))

    @property
    def ppm(self) -> float:
        """How far the converter runs fast of its nominal rate."""
        return (self.rate_hz / self._nominal_hz - 1.0) * 1e6

    @property
    def wander_ppm(self) -> float:
        """Standard deviation of the rate over single seconds, of the last two minutes; 0 when too new."""
        if len(self._knots) <= KNOTS_PER_S + 1:
            return 0.0
        known, times_ns = self._since_first(WANDER_KNOTS)
        steps = known[KNOTS_PER_S:] - known[:-KNOTS_PER_S]
        spans_ns = times_ns[KNOTS_PER_S:] - times_ns[:-KNOTS_PER_S]
        return float(np.std(spans_ns / steps) * self._nominal_hz * 1e-3)

    @property
    def residual_ns(self) -> float:
        """Robust standard deviation of the last 512 stamps about the fit, refused ones included."""
        return self._residual.sd()

    def _since_first(self, newest: int) -> tuple[Floats, Floats]:
        """(samples, ns) of the `newest` knots since their first."""
        knots = self._knots[-newest:]
        since = (knots - knots[0]).astype(np.float64)
        return since[:, 0], since[:, 1]

    def _wait(self, indices: Ints, times_ns: Ints) -> None:
        """Gather edges until a line through them can be believed."""
        if self._waiting and indices[0] - self._waiting[-1][0] > self._nominal_hz * BLIND_S:
            self._waiting.clear()
        self._waiting += zip(indices.tolist(), times_ns.tolist(), strict=True)
        span_s = (self._waiting[-1][0] - self._waiting[0][0]) / self._nominal_hz
        if len(self._waiting) < START_EDGES or span_s < START_S:
            return
        edges = np.array(self._waiting, np.int64)
        line = robust_line(edges[:, 0], edges[:, 1], self._nominal_hz)
        if abs(line.rate_off) > MOST_OFF_NS_PER_S:  # stamps that stand still, or another rate than configured
            del self._waiting[:-1]
            return
        self._fit, self._waiting, self._begun = Fit(line), [], True
        self._believed, self._early = int(edges[0, 0]), 0
        self._knot_due = self._believed
        self._knots = NO_KNOTS
        self._stamp_noise(edges[:, 0], line.residuals(edges[:, 0], edges[:, 1])[1])
        for at in range(0, len(edges), self._piece):
            self._fold(edges[at : at + self._piece, 0], edges[at : at + self._piece, 1])

    def _stamp_noise(self, indices: Ints, residual_ns: Floats) -> None:
        """Keep the jitter of successive stamps: unlike residuals, it knows neither steps nor a wrong fit."""
        if len(indices) > 1:
            self._noise.add((residual_ns[1:] - residual_ns[:-1])[indices[1:] - indices[:-1] <= 2])

    def _fold(self, indices: Ints, times_ns: Ints) -> None:
        """Take in at most 10 ms of edges: refuse the outliers, fit the mean of the others."""
        newest = int(indices[-1])
        self._fit.advance(newest)
        x_s, residual_ns = self._fit.line.residuals(indices, times_ns)
        self._residual.add(residual_ns)
        self._stamp_noise(indices, residual_ns)
        blind_s = (newest - self._believed) / self._nominal_hz
        gate_ns = max(LEAST_GATE_NS, GATE_SD * self._noise.sd_of_late())
        good = np.abs(residual_ns) <= gate_ns
        if not good.any():  # a wander in a gap: most are off by the same, and not too much
            middle_ns = float(np.sort(residual_ns)[(len(good) - 1) // 2])
            alike = np.abs(residual_ns - middle_ns) <= gate_ns
            if abs(middle_ns) <= WANDER_NS_PER_S * blind_s and 2 * np.count_nonzero(alike) > len(alike):
                good = alike
        n = int(np.count_nonzero(good))
        self.refused += len(good) - n
        if n == 0:
            self._early += int(np.count_nonzero(residual_ns < 0.0))
            if self._early >= EARLY_EDGES or blind_s > BLIND_S:
                self._begun = False
                self.restarts += 1
            return
        self._early = 0
        self._believed = newest
        if n == len(good):
            self._fit.learn(n, float(x_s.sum()) / n, float(residual_ns.sum()) / n)
        else:
            self._fit.learn(n, float(x_s[good].sum()) / n, float(residual_ns[good].sum()) / n)
        if newest >= self._knot_due:
            knot = ((newest, self._fit.line.at(newest)),)
            self._knots = np.concatenate((self._knots[1 - WANDER_KNOTS :], knot), dtype=np.int64)
            self._knot_due = newest + max(1, round(KNOT_S * self._nominal_hz))


class TimebaseReporter:
    """Says on the link what the fit has found: when it begins, every second of samples, and when it has left
    the line of the last report by 5 us (by 6 us within 0.1 s, since a calm one needs no haste). `watch` fits
    the place of that name."""

    def __init__(self, rate_hz: float) -> None:
        self.timebase = Timebase(rate_hz)
        self._second, self._tenth = round(rate_hz * REPORT_S), round(rate_hz * FRESH_S)
        self._told: TimebaseReport | None = None

    def watch(self, indices: Ints, times_ns: Ints) -> TimebaseReport | None:
        """Follow the edges of a block, (n,) ascending; the report that is due then, which goes before it."""
        fit, told = self.timebase, self._told
        fit.follow_many(indices, times_ns)
        if not fit.begun or not indices.size:
            return None
        index = int(indices[-1])
        if told is not None and index - told.index < self._second:
            line_ns = told.t_ns + round((index - told.index) * told.ns_per_sample)
            most_ns = FRESH_MOVED_NS if index - told.index < self._tenth else MOVED_NS
            if abs(fit.at(index) - line_ns) < most_ns:
                return None
        self._told = TimebaseReport(
            index=index,
            t_ns=fit.at(index),
            ns_per_sample=fit.ns_per_sample,
            ppm=fit.ppm,
            wander_ppm=fit.wander_ppm,
            residual_ns=fit.residual_ns,
            refused=min(fit.refused, MOST_REFUSED),
            settled=int(fit.settled),
        )
        return self._told
