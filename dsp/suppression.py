"""Suppression of the EEG over time: ratio of the last minute by two rules, and burst-suppression probability.

Owns the band (0.5 to 30 Hz, mains out), which samples are artifact and count neither way, and one record a
second. Refuses to say how deep an anaesthesia is, and any ratio of too little good time.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.burst_probability import BurstProbability, Cycles, wilson
from dsp.cleaner import Cleaner
from dsp.decimate import windowed_sinc
from dsp.filters import ForwardFilter, backward, butterworth
from dsp.segmentation import SUPPRESSED_UV, VARIANCE_UV2, by_amplitude, by_variance, without_baseline
from dsp.trends import Estimates

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WINDOW_S = 60
LEAST_GOOD_S = 30.0
"""A ratio of less good time than this is not told."""
BAND_HZ, STOP_HZ, STOP_DB = (0.5, 30.0), 45.0, 60.0
LIMIT_UV = 500.0
"""What leaves the median of its second by more is no EEG."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Per derivation, the last minute before `end_index` (samples of the EEG's own rate).

    `ratio` and `ratio_by_variance` in percent of good time, by amplitude and by local variance; their
    intervals say what the minute tells of the propensity at the time. `probability` (0 to 1) is that
    propensity now. `artifact_share` of the seen time is in neither; NaN where less than 30 s are good.
    """

    first_index: int
    end_index: int
    ratio: Estimates
    ratio_by_variance: Estimates
    probability: Estimates
    good_s: Floats
    artifact_share: Floats


@dataclass(frozen=True, slots=True)
class _Second:
    """Samples (derivation,) of one frame: good ones, and suppressed ones of these by either rule."""

    good: NDArray[np.int64]
    by_amplitude: NDArray[np.int64]
    by_variance: NDArray[np.int64]


class SuppressionMeter:
    """Suppression of `derivations` derivations at `rate_hz`, a record a second.

    Seconds begin at absolute indices that are multiples of the rate, so that blocks leave no trace; a second
    is told 2.1 s after its end, and the first two behind a gap are not. ValueError for a rate below 125 Hz or
    not of whole samples a second, and for limits that are not positive.
    """

    def __init__(
        self,
        derivations: int,
        rate_hz: float,
        *,
        suppressed_uv: float = SUPPRESSED_UV,
        variance_uv2: float = VARIANCE_UV2,
        limit_uv: float = LIMIT_UV,
    ) -> None:
        if not (math.isfinite(rate_hz) and rate_hz >= 125.0 and float(rate_hz).is_integer()):
            raise ValueError(f"suppression needs a whole rate of 125 Hz or more, not {rate_hz:g}")
        if derivations < 1:
            raise ValueError(f"{derivations} derivations are none")
        if not (suppressed_uv > 0.0 and variance_uv2 > 0.0 and limit_uv > suppressed_uv):
            raise ValueError(
                f"limits of {suppressed_uv:g}, {limit_uv:g} uV, {variance_uv2:g} uV^2 are impossible"
            )
        self._rate_hz, self._frame = rate_hz, int(rate_hz)
        self._limits = suppressed_uv, variance_uv2
        self._derivations = derivations
        self._cleaner = Cleaner(derivations, rate_hz, limit_uv)
        self._taps = windowed_sinc(BAND_HZ[1] / rate_hz, STOP_HZ / rate_hz, STOP_DB)
        self._sos = butterworth(2, BAND_HZ[0], "high", rate_hz)
        self._high_pass = ForwardFilter(self._sos, derivations)
        self._seconds: deque[_Second] = deque(maxlen=WINDOW_S)
        self._cycles = Cycles(derivations, rate_hz)
        self._filter = BurstProbability(derivations)
        self.restart(0)

    def restart(self, index: int) -> None:
        """Begin anew at `index`, the first sample behind a gap. The minute before it goes on counting."""
        self._cleaner.restart(index)
        self._clean: list[tuple[Floats, Bools]] = []
        self._banded: list[tuple[Floats, Floats, Bools]] = []
        self._high_pass.reset()

    def exclude(self, first_index: int, end_index: int) -> None:
        """Samples that are no EEG (electrosurgery, clipping), for seconds that have not been told yet."""
        self._cleaner.exclude(first_index, end_index)

    def append(self, uv: Floats, first_index: int) -> list[Suppression]:
        """Take the next rows (time, derivation) in microvolts; a record for every second that can be judged.

        Rows that do not follow the last ones are behind a gap.
        """
        if first_index != self._cleaner.next_index:
            self.restart(first_index)
        told = []
        for index, rows, bad in self._cleaner.append(uv):
            self._clean = [*self._clean[-2:], (rows, bad)]
            if len(self._clean) == 3:
                self._banded = [*self._banded[-2:], (*self._band(), self._clean[1][1])]
                if len(self._banded) == 3:
                    told.append(self._judge(index - self._frame))
        return told

    def _band(self) -> tuple[Floats, Floats]:
        """The middle one of three clean frames: 0.5 to 30 Hz (high-pass causal), and up to 30 Hz."""
        rows = np.concatenate([rows for rows, _ in self._clean])
        at = self._frame - len(self._taps) // 2
        out = np.zeros((self._frame, self._derivations))
        for k, tap in enumerate(self._taps):
            out += tap * rows[at + k : at + k + self._frame]
        banded = out.copy()
        self._high_pass.run(banded)
        return banded, out

    def _judge(self, end_index: int) -> Suppression:
        """The middle one of three banded frames, which ends at `end_index`."""
        banded, uv = (np.concatenate([frame[k] for frame in self._banded]) for k in (0, 1))
        held = np.concatenate([frame[2] for frame in self._banded])
        limit_uv, limit_uv2 = self._limits
        amplitude, lone = by_amplitude((banded, backward(uv, self._sos)), uv, self._rate_hz, limit_uv, held)
        level = without_baseline(banded, uv, amplitude, lone, self._rate_hz)
        variance = by_variance(level, self._rate_hz, limit_uv2)
        middle = slice(self._frame, 2 * self._frame)
        amplitude, variance, good = amplitude[middle], variance[middle], ~held[middle]
        self._seconds.append(
            _Second(good.sum(axis=0), (amplitude & good).sum(axis=0), (variance & good).sum(axis=0))
        )
        self._cycles.add(amplitude, good)
        return self._record(end_index)

    def _record(self, end_index: int) -> Suppression:
        newest, news_s = self._seconds[-1], self._cycles.news_s
        share = newest.by_amplitude / np.maximum(newest.good, 1)
        probability = self._filter.add(share, newest.good / self._rate_hz / news_s)
        seen_s = float(len(self._seconds))
        good = np.sum([second.good for second in self._seconds], axis=0)
        minute_s = good / self._rate_hz
        told = minute_s >= LEAST_GOOD_S
        amplitude = np.sum([second.by_amplitude for second in self._seconds], axis=0)
        # Log odds never reach the ends; where the minute knows one state only they are not excluded.
        probability = Estimates(
            probability.value,
            np.where(amplitude == 0, 0.0, probability.low),
            np.where(amplitude == good, 1.0, probability.high),
        )

        def ratio(count: NDArray[np.int64]) -> Estimates:
            part = count / np.maximum(good, 1)
            low, high = wilson(part, minute_s / news_s)
            return Estimates(100.0 * part, 100.0 * low, 100.0 * high).where(told)

        return Suppression(
            end_index - len(self._seconds) * self._frame,
            end_index,
            ratio(amplitude),
            ratio(np.sum([second.by_variance for second in self._seconds], axis=0)),
            probability,
            minute_s,
            1.0 - minute_s / seen_s,
        )
