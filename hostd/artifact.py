"""The stimulus artifact as proof that a stimulus arrived: how large it is beside what it was at first.

Owns the raw rows around each stimulus and each line's usual artifact across all channels. A lead of the
stimulator that has come off leaves none (facts/clinical.md 1.G). Refuses to judge where there never was one:
clicks and flashes leave nothing.
"""

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Trigger

Floats = NDArray[np.float64]
SPAN_S, LEAD_S = 0.002, 0.001
"""Rows that hold it, from a little before the trigger's sample; as long before them is the noise."""
LEARNED = 8
"""Stimuli that tell the usual one."""
CLEAR = 5.0
"""Times the noise of single stimuli that the usual one must have, to tell anything."""


class ArtifactWatch:
    """Follows the artifact of every line over `channels` channels at `rate_hz`. One thread."""

    def __init__(self, rate_hz: float, channels: int) -> None:
        self._lead = max(1, math.ceil(LEAD_S * rate_hz))
        self._span = max(3, math.ceil(SPAN_S * rate_hz))
        self._keep = self._lead + 2 * self._span
        self._rows = np.empty((0, channels))
        self._first = 0
        self._waiting: deque[Trigger] = deque()
        self._usual: dict[int, _Usual] = {}

    def restart(self, index: int) -> None:
        """The samples begin anew at `index`; what was not whole is not known."""
        self._rows, self._first = self._rows[:0], index
        self._waiting.clear()

    def append(self, uv: Floats, triggers: Sequence[Trigger]) -> list[tuple[Trigger, float]]:
        """The next contiguous samples (time, channel) and the stimuli in them; of each that is whole now, its
        artifact as a ratio to the usual one, once that is known."""
        self._waiting.extend(trigger for trigger in triggers if trigger.pulse == 1)
        rows = np.concatenate([self._rows, uv]) if len(self._rows) else uv
        end = self._first + len(rows)
        told = []
        while self._waiting and self._waiting[0].index - self._lead + self._span <= end:
            trigger = self._waiting.popleft()
            at = trigger.index - self._lead - self._first
            if at < self._span:
                continue
            size = np.ptp(rows[at : at + self._span], axis=0) - np.ptp(rows[at - self._span : at], axis=0)
            usual = self._usual.setdefault(trigger.line, _Usual(rows.shape[1]))
            ratio = usual.see(size)
            if ratio is not None:
                told.append((trigger, ratio))
        keep = min(len(rows), self._keep)
        self._rows, self._first = rows[len(rows) - keep :].copy(), end - keep
        return told


class _Usual:
    """The mean of a line's first artifacts, and the noise of single ones along it."""

    def __init__(self, channels: int) -> None:
        self._sizes: list[Floats] = []
        self._mean = np.zeros(channels)
        self._energy = 0.0

    def see(self, size: Floats) -> float | None:
        """The ratio of this one; None while the usual one is learned, and where it is none."""
        if len(self._sizes) < LEARNED:
            self._sizes.append(size)
            if len(self._sizes) == LEARNED:
                self._learn()
            return None
        return float(size @ self._mean) / self._energy if self._energy > 0.0 else None

    def _learn(self) -> None:
        first = np.array(self._sizes)
        self._mean = np.median(first, axis=0)
        energy = float(self._mean @ self._mean)
        noise = float(np.std(first @ self._mean)) / energy if energy > 0.0 else math.inf
        self._energy = energy if CLEAR * noise < 1.0 else 0.0
