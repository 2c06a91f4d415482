"""Sweeps: windows around triggers, weighed by the response-free intervals beside them, or rejected with why.

A sweep never crosses a gap. Its weight is 1/variance of the interval between the end of the previous response
(any line) and this stimulus, and of what follows its own response within its window: known when the sweep is,
and independent of the response it weighs, so that the average is not biased (weights from the response itself
lose 13-16 % of amplitude: facts/dsp 3.1). What follows shows a burst that began during the response. A short
interval tells little: its variance is drawn towards the running level as far as its degrees of freedom are
few. Where tests are interleaved so closely that nothing is free of every response, what is free of the test's
own is taken: the others' count as noise, the same in every sweep. Samples that are told to hold something
else than the body (`exclude`) enter no average.
"""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.filters import backward, level_gain, settle_samples
from dsp.nouns import Sweep, Trigger
from dsp.stream import Stream
from dsp.weights import NoiseWeights

GUARD_S = 0.001
NOISE_SPAN_S = 0.15
MIN_NOISE_SAMPLES = 16
MOST_EXCLUDED = 32
MOST_STIMULI = 1024


@dataclass(frozen=True, slots=True)
class Window:
    """A sweep's geometry in samples relative to the trigger; in `tail` the backward pass settles.

    Of the filtered samples every `every`-th becomes a row, the trigger's own among them.
    """

    pre: int
    post: int
    tail: int
    response: int
    guard: int
    noise_span: int
    every: int = 1

    @property
    def rows(self) -> int:
        """Rows of one sweep."""
        return -(-(self.pre + self.post) // self.every)

    @property
    def row(self) -> int:
        """The row of the trigger's sample."""
        return self.pre // self.every

    @property
    def history(self) -> int:
        """Rows of the stream that a sweep may need."""
        return max(self.pre, self.noise_span + self.guard) + self.post + self.tail + 1


def window(
    window_ms: tuple[float, float],
    response_ms: float,
    offset_samples: float,
    rate_hz: float,
    sos: NDArray[np.float64],
    measured_ms: float | None = None,
    every: int = 1,
) -> Window:
    """Geometry for a window in milliseconds around the stimulus.

    Row k stands for the time (k + offset_samples) / rate after the stimulus; rows from the first at or after
    `window_ms[0]` to the last before `window_ms[1]`. The backward pass has settled at `measured_ms` (default:
    at the window's end), so that a sweep waits for no more samples than what is measured needs. Of `every`
    see `Window`; what it leaves out must be filtered away (`dsp.filters.thinned`). Raises ValueError when the
    window holds less than two rows.
    """
    tiny = 1e-6
    first = math.ceil(window_ms[0] * rate_hz / 1e3 - offset_samples - tiny)
    end = math.ceil(window_ms[1] * rate_hz / 1e3 - offset_samples - tiny)
    first += -first % every
    if end - first < 2:
        raise ValueError(f"window {window_ms[0]:g}..{window_ms[1]:g} ms holds {max(end - first, 0)} samples")
    settled_ms = window_ms[1] if measured_ms is None else min(measured_ms, window_ms[1])
    spare = math.floor((window_ms[1] - settled_ms) * rate_hz / 1e3)
    return Window(
        pre=-first,
        post=end,
        tail=max(0, settle_samples(sos) - spare),
        response=round(response_ms * rate_hz / 1e3),
        guard=max(1, round(GUARD_S * rate_hz)),
        noise_span=round(NOISE_SPAN_S * rate_hz),
        every=every,
    )


class SweepCutter:
    """Cuts the sweeps of one test out of its stream, as soon as their windows are complete.

    `weights` None: every accepted sweep counts 1.
    """

    def __init__(
        self,
        geometry: Window,
        sos: NDArray[np.float64],
        n_derivations: int,
        lines: Collection[int],
        reject_uv: float | None,
        weights: NoiseWeights | None,
    ) -> None:
        self._geometry = geometry
        self._sos = sos
        self._lines = frozenset(lines)
        self._reject_uv = reject_uv
        self._weights = weights
        self._n = n_derivations
        # Stimuli on any line, of one sample once: what bounds the intervals without response.
        self._stimuli: deque[int] = deque(maxlen=MOST_STIMULI)
        self._own: deque[int] = deque(maxlen=MOST_STIMULI)
        self._pending: deque[Trigger] = deque()
        self._settle = settle_samples(sos)
        self._gain = level_gain(sos)
        self._excluded: dict[tuple[int, str], int | None] = {}

    def exclude(self, first: int, end: int | None, reason: str) -> None:
        """Reject with `reason` every sweep that sees samples from `first` until before `end` (None: not known
        yet; told again with an `end`, the span closes). To be told before those samples come.
        """
        self._excluded.pop((first, reason), None)
        self._excluded[first, reason] = end
        if len(self._excluded) > MOST_EXCLUDED:  # one that is still open holds on
            closed = (span for span, last in self._excluded.items() if last is not None)
            del self._excluded[next(closed, (first, reason))]

    def trigger(self, trigger: Trigger, taken: bool = True) -> None:
        """Note a stimulus on any line; first pulses on the test's own lines become sweeps if `taken`."""
        if not self._stimuli or trigger.index > self._stimuli[-1]:
            self._stimuli.append(trigger.index)
        if trigger.line not in self._lines:
            return
        if not self._own or trigger.index > self._own[-1]:
            self._own.append(trigger.index)
        if taken and trigger.pulse == 1:
            self._pending.append(trigger)

    def forget(self) -> None:
        """Drop sweeps under way without a verdict: the test was stopped."""
        self._pending.clear()

    def gap(self) -> list[Sweep]:
        """The stream broke off: every sweep under way is rejected. A response may outlast the gap."""
        lost = [self._rejected(trigger, "gap") for trigger in self._pending]
        self._pending.clear()
        return lost

    def cut(self, stream: Stream) -> list[Sweep]:
        """Sweeps whose windows the stream now covers, in order."""
        done = []
        g = self._geometry
        while self._pending and stream.end >= self._pending[0].index + g.post + g.tail:
            done.append(self._sweep(self._pending.popleft(), stream))
        return done

    def _rejected(self, trigger: Trigger, reason: str) -> Sweep:
        nothing = np.empty((0, self._n), dtype=np.float32)
        return Sweep(trigger, nothing, self._geometry.row, np.zeros(self._n), reason)

    def _sweep(self, trigger: Trigger, stream: Stream) -> Sweep:
        g = self._geometry
        first, end = trigger.index - g.pre, trigger.index + g.post
        if first < stream.begin or first < stream.settled:
            return self._rejected(trigger, "settling")
        if excluded := self._exclusion(trigger.index, end + g.tail):
            return self._rejected(trigger, excluded)
        segment = stream.rows(first, end + g.tail)
        filtered = len(self._sos) > 0
        whole = g.pre + g.post
        uv = backward(segment, self._sos, whole, self._gain) if filtered else segment[:whole].copy()
        if g.every > 1:
            uv = np.ascontiguousarray(uv[:: g.every])
        weights, reason = self._weigh(trigger.index, stream)
        if stream.railed(first, end):
            reason = "saturated"
        if self._reject_uv is not None and not reason:
            magnitude = np.empty(self._n, dtype=np.float32)
            kernels.peak_magnitude(uv if filtered else uv - np.median(uv, axis=0), magnitude)
            weights = np.where(magnitude > self._reject_uv, 0.0, weights)
            if not weights.any():
                reason = "amplitude"
        return Sweep(trigger, uv, g.row, np.zeros(self._n) if reason else weights, reason)

    def _exclusion(self, index: int, end: int) -> str:
        """Why the sweep of a trigger must not see what it sees, "" when it may. The forward filter remembers
        a span, and so would the weight; the backward one looks ahead until `end`."""
        g = self._geometry
        begin = index - max(g.pre, g.noise_span + g.guard)
        for (first, reason), last in self._excluded.items():
            if first < end and (last is None or begin < last + self._settle):
                return reason
        return ""

    def _weigh(self, index: int, stream: Stream) -> tuple[NDArray[np.float64], str]:
        """Weights per derivation, or the reason why there can be none: from before the stimulus, and from
        behind the response as far as the sweep has been waited for, which shows what began meanwhile."""
        if self._weights is None:
            return np.ones(self._n), ""
        spans = self._spans(index, self._stimuli, stream) or self._spans(index, self._own, stream)
        weights = self._weights.weigh(*(stream.rows(a, b) for a, b in spans))
        if weights is None:
            return np.zeros(self._n), "no response-free interval"
        return weights, ""

    def _spans(self, index: int, stimuli: deque[int], stream: Stream) -> list[tuple[int, int]]:
        """What lies beside the sweep of the stimulus at `index` and in no response to any of `stimuli`: spans
        of samples long enough to tell a variance."""
        g = self._geometry
        end = index - g.guard
        start = max(end - g.noise_span, stream.begin, stream.settled)
        k = bisect_left(stimuli, index)
        if k > 0:
            start = max(start, stimuli[k - 1] + g.response)
        k = bisect_right(stimuli, index)
        behind, until = index + g.response, index + g.post + g.tail
        if k < len(stimuli):
            until = min(until, stimuli[k])
        return [(a, b) for a, b in ((start, end), (behind, until)) if b - a >= MIN_NOISE_SAMPLES]
