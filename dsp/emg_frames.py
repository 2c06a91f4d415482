"""Frames of 5 ms of free-running EMG: peaks, power and what may not be judged, for `dsp.free_emg`.

Owns the detector's own high-pass (80 Hz, causal: which an ECG, drift and most of the mains are below), frames
aligned to the absolute sample index, and the muted spans. Refuses to decide. Blocks leave no trace.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.filters import ForwardFilter, butterworth

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FRAME_S = 0.005
HIGH_PASS_HZ = 80.0
GUARD_S = 0.030
"""Nothing is judged for so long behind a muted span or a sample that is no EMG: the filter's own memory."""
AT_ONCE = 4
"""Frames that are worth the trouble: fewer wait."""
LEAST_UV = 1e-3


@dataclass(frozen=True, slots=True)
class Frames:
    """Whole frames from number `first` on, each (frame, derivation); `y` has a row more at either end.

    `peak_uv`, `power` are those of the high-passed rows `y` (time, derivation); `high_uv`, `low_uv`, `square`
    of what was given. `mute`: not to be judged.
    """

    first: int
    y: Floats
    peak_uv: Floats
    power: Floats
    high_uv: Floats
    low_uv: Floats
    square: Floats
    mute: Flags


class Framer:
    """Cuts rows into frames. ValueError for an impossible rate or limit."""

    def __init__(self, rate_hz: float, n_derivations: int, artifact_uv: float, late_s: float) -> None:
        self.rows = round(FRAME_S * rate_hz)
        self._guard = math.ceil(GUARD_S / FRAME_S)
        self._late_rows = round(late_s * rate_hz)
        self._artifact_uv = artifact_uv
        self._filter = ForwardFilter(butterworth(2, HIGH_PASS_HZ, "high", rate_hz), n_derivations)
        self._n = n_derivations
        self._spans: list[tuple[int, float]] = []
        self.restart(0)

    def restart(self, index: int) -> None:
        """Row `index` is the next, and not the neighbour of any before it."""
        self._held = np.empty((0, self._n))
        self._held_from = self.next_index = index
        self._x, self._y = np.empty((0, self._n)), np.empty((0, self._n))
        self._bad = np.empty((0, self._n), dtype=np.bool_)
        self._from = index
        self._behind_bad = np.zeros((self._guard, self._n), dtype=np.bool_)
        self._was_muted = False
        self._filter.reset()

    @property
    def judged(self) -> int:
        """Rows before this index have been filtered: a span that is told now cannot change them."""
        return self._held_from

    def exclude(self, first: int, end: int | None) -> None:
        """Mute rows `first` to `end`; None: until the span that begins at `first` is told with its end."""
        until = math.inf if end is None else float(end)
        self._spans = [span for span in self._spans if span[0] != first]
        self._spans.append((first, until))
        self._bad[max(first - self._from, 0) : max(int(min(until, self._held_from)) - self._from, 0)] = True

    def append(self, uv: Floats) -> Frames | None:
        """The frames that these next rows complete, in rows that are older than the lateness allowed."""
        self._held = np.concatenate([self._held, uv])
        self.next_index += len(uv)
        ready = len(self._held) - self._late_rows
        if ready < AT_ONCE * self.rows:
            return None
        self._take(self._held[:ready])
        self._held = self._held[ready:].copy()
        return self._cut()

    def flush(self) -> Frames | None:
        """The frames of all that has been given; a restart must follow."""
        self._take(self._held)
        self._held = self._held[:0]
        return self._cut()

    def _take(self, uv: Floats) -> None:
        """Filter rows; those muted are left out, and the filter begins anew behind them."""
        first, n = self._held_from, len(uv)
        self._held_from += n
        bad = np.zeros(uv.shape, dtype=np.bool_)
        largest = np.abs(uv).max(initial=0.0)
        if not largest < self._artifact_uv:  # nan neither
            bad = ~(np.abs(uv) < self._artifact_uv)
            uv = np.where(np.isfinite(uv), uv, 0.0).clip(-self._artifact_uv, self._artifact_uv)
        muted = self._muted(first, n)
        y = np.zeros(uv.shape)
        if muted is None:
            if self._was_muted:
                self._filter.reset()
            y[:] = uv
            self._filter.run(y)
            self._was_muted = False
        else:
            bad[muted] = True
            for start, stop in _runs(muted, 0, n):
                if muted[start]:
                    self._was_muted = True
                    continue
                if self._was_muted:
                    self._filter.reset()
                part = uv[start:stop].copy()
                self._filter.run(part)
                y[start:stop] = part
                self._was_muted = False
        self._x, self._y = np.concatenate([self._x, uv]), np.concatenate([self._y, y])
        self._bad = np.concatenate([self._bad, bad])

    def _muted(self, first: int, n: int) -> Flags | None:
        """Which of the rows are within a span; None where no span is near."""
        if not self._spans:
            return None
        self._spans = [span for span in self._spans if span[1] > first]
        near = [span for span in self._spans if span[0] < first + n]
        if not near:
            return None
        muted = np.zeros(n, dtype=np.bool_)
        for start, end in near:
            stop = n if math.isinf(end) else int(end) - first
            muted[max(start - first, 0) : max(stop, 0)] = True
        return muted

    def _cut(self) -> Frames | None:
        """Whole frames of what is filtered: each needs the row before it and the row behind."""
        number = -(-(self._from + 1) // self.rows)
        start = number * self.rows - self._from
        count = (len(self._y) - 1 - start) // self.rows
        if count < 1:
            return None
        stop = start + count * self.rows
        shape = (count, self.rows, self._n)
        x, y = self._x[start:stop].reshape(shape), self._y[start:stop].reshape(shape)
        bad = np.asarray(self._bad[start:stop].reshape(shape).any(axis=1))
        mute = bad.copy()
        flags = np.concatenate([self._behind_bad, bad])
        if flags.any():
            for late in range(1, self._guard + 1):
                mute |= flags[self._guard - late : len(flags) - late]
        self._behind_bad = flags[len(flags) - self._guard :]
        frames = Frames(
            number,
            self._y[start - 1 : stop + 1].copy(),
            np.abs(y).max(axis=1),
            np.add.reduce(y * y, axis=1) / self.rows,
            x.max(axis=1),
            x.min(axis=1),
            np.add.reduce(x * x, axis=1) / self.rows,
            mute,
        )
        keep = stop - 1
        self._x, self._y, self._bad = self._x[keep:].copy(), self._y[keep:].copy(), self._bad[keep:].copy()
        self._from += keep
        return frames


def _runs(flags: Flags, first: int, end: int) -> list[tuple[int, int]]:
    """Borders of the runs of equal flags."""
    edges = [first, *(int(k) + 1 for k in np.flatnonzero(flags[1:] != flags[:-1])), end]
    return list(itertools.pairwise(edges))
