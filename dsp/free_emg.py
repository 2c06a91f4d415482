"""Free-running EMG: spikes, bursts and trains found in the samples as they come, and how long trains last.

Owns the decision which frames are loud; refuses to judge muted samples (stimulus windows, electrosurgery),
what lies across a gap, and a derivation whose quiet level it has not seen for five seconds. Light anaesthesia
is told from a nerve's train by being in many derivations at once and without an A-train's rate.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dsp.emg_activity import SLOW_PARTS, Activity, Course, Due
from dsp.emg_frames import FRAME_S, LEAST_UV, Framer, Frames
from dsp.emg_level import BLOCK, QuietLevel
from dsp.emg_range import HIGHEST_HZ, LOWEST_HZ
from dsp.emg_verdict import EmgEvent, Evidence, Verdict

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

__all__ = ["EmgEvent", "FreeEmgDetector"]

RATES_HZ = (LOWEST_HZ, HIGHEST_HZ)
LATE_S = 0.030
ARTIFACT_UV = 10_000.0
PEAK_TIMES, POWER_TIMES = 6.0, 5.0
LEAST_PEAK, LEAST_POWER = math.log(1.8), math.log(3.0)
"""Scatters above the quiet level, and factors at least, from which on a frame's peak or power is loud."""
OF_LIMIT = 0.6
"""Peaks from this share of the limit on may be discharges."""
STUCK_S = 60.0
"""What lasts longer without a pause is learned as the new quiet level while it is told."""
_RING = 1024
_SPAN = 3


class FreeEmgDetector:
    """Events of all derivations of one stream, band-passed to about 20-3000 Hz by who gives it.

    Rows are judged `late_s` after they have come, so that a span may still be excluded that long after it
    began; beyond `artifact_uv` there is no EMG. Events are told 0.25 s after their end; a train when it has
    lasted 0.5 s, and every second from then on, or when it turns out to be another. ValueError for a rate
    outside 2 to 26 kSPS, no derivations, and impossible limits.
    """

    def __init__(
        self,
        rate_hz: float,
        n_derivations: int,
        late_s: float = LATE_S,
        artifact_uv: float = ARTIFACT_UV,
    ) -> None:
        if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
            raise ValueError(f"rate {rate_hz:g} Hz is outside {RATES_HZ[0]:g}..{RATES_HZ[1]:g} Hz")
        if n_derivations < 1:
            raise ValueError("no derivation to listen to; give at least one")
        if not 0.0 <= late_s <= 1.0:
            raise ValueError(f"late_s = {late_s:g} is outside 0..1 s")
        if not artifact_uv > 0.0:
            raise ValueError(f"artifact_uv = {artifact_uv:g} is not above 0")
        self.rate_hz = rate_hz
        self._n = n_derivations
        self._framer = Framer(rate_hz, n_derivations, artifact_uv, late_s)
        self._verdict = Verdict(rate_hz, self._framer.rows)
        least = np.repeat([LEAST_PEAK, LEAST_POWER, 0.0], n_derivations)
        times = np.repeat([PEAK_TIMES, POWER_TIMES, 0.0], n_derivations)
        self._quiet = QuietLevel(least, times)
        self._hot, self._open = np.zeros((2, _RING, n_derivations), dtype=np.bool_)
        self._power, self._square, self._spans = np.zeros((3, _RING, n_derivations))
        self._muted_frames = np.zeros(n_derivations, dtype=np.int64)
        self._a_train_s = np.zeros(n_derivations)
        self._begin()

    def _begin(self) -> None:
        """No frame has come before the next."""
        self._activities = [Activity(d) for d in range(self._n)]
        self._peaks: list[list[tuple[Indices, Floats]]] = [[] for _ in range(self._n)]
        nothing = np.zeros((1, self._n))
        self._before = (nothing, nothing, np.ones((1, self._n), dtype=np.bool_))
        self._extremes = np.full((_SPAN - 1, 2 * self._n), -math.inf)
        self._block: list[tuple[Floats, Flags]] = []

    @property
    def known(self) -> Flags:
        """Of which derivations (derivation,) the quiet level is known: the others have no events yet."""
        return self._quiet.known[: self._n].copy()

    @property
    def noise_uv(self) -> Floats:
        """The quiet rms (derivation,) of what is given; nan where it is not known yet."""
        return np.exp(0.5 * self._quiet.level[2 * self._n :])

    @property
    def a_train_s(self) -> Floats:
        """Seconds of A-trains so far (derivation,), as far as they are analysed: train time (Prell 2007)."""
        return self._a_train_s.copy()

    @property
    def muted_s(self) -> Floats:
        """Seconds (derivation,) that could not be judged, because they were excluded or no EMG."""
        return np.multiply(self._muted_frames, self._framer.rows / self.rate_hz, dtype=np.float64)

    def exclude(self, first: int, end: int | None) -> None:
        """Rows `first` to `end` are not to be judged; None: until the same `first` is told with its end.

        To be told before those rows are `late_s` old: of what has been judged by then, what is open forgets
        them, but what has been told stays told.
        """
        self._framer.exclude(first, end)
        if first < self._framer.judged:
            for activity in self._activities:
                activity.truncate(first // self._framer.rows)

    def restart(self, index: int) -> list[EmgEvent]:
        """Row `index` comes next, after a gap: what was open ends there, cut."""
        events = self._judge(self._framer.flush())
        at = self._framer.next_index // self._framer.rows
        for activity in self._activities:
            due = activity.close(at, True)
            events += [] if due is None else self._tell(due)
        self._framer.restart(index)
        self._begin()
        return events

    def append(self, first: int, uv: Floats) -> list[EmgEvent]:
        """Take rows `uv` (time, derivation) from index `first` on; what has come to be known by them.

        Where `first` is not the next row there was a gap, and it is a restart.
        """
        events = self.restart(first) if first != self._framer.next_index else []
        return events + self._judge(self._framer.append(uv))

    def _judge(self, frames: Frames | None) -> list[EmgEvent]:
        """Whole frames, block by block: the limits change between blocks."""
        if frames is None:
            return []
        features, spans = self._features(frames), self._peak_to_peak(frames)
        self._muted_frames += np.count_nonzero(frames.mute, axis=0)
        events, n, k = [], len(frames.mute), 0
        while k < n:
            end = min(n, k + BLOCK - (frames.first + k) % BLOCK)
            events += self._segment(frames, k, end, features[k:end], spans[k:end])
            k = end
        return events

    def _features(self, frames: Frames) -> Floats:
        """Logarithms (frame, columns) of peak and power of every frame with the one before it, and of the
        mean square of what was given."""
        peak, power, mute = self._before
        before = np.concatenate([mute, frames.mute[:-1]])
        peaks = np.concatenate([peak, frames.peak_uv[:-1]])
        powers = np.concatenate([power, frames.power[:-1]])
        self._before = (frames.peak_uv[-1:], frames.power[-1:], frames.mute[-1:])
        of_two = np.where(before, frames.power, 0.5 * (powers + frames.power))
        of_peaks = np.where(before, frames.peak_uv, np.maximum(peaks, frames.peak_uv))
        least = LEAST_UV * LEAST_UV
        columns = [np.maximum(of_peaks, LEAST_UV), np.maximum(of_two, least), frames.square + least]
        return np.asarray(np.log(np.hstack(columns)))

    def _peak_to_peak(self, frames: Frames) -> Floats:
        """Peak-to-peak (frame, derivation) within each frame and the two before it."""
        now = np.hstack([frames.high_uv, -frames.low_uv])
        now[np.hstack([frames.mute, frames.mute])] = -math.inf
        rows = np.concatenate([self._extremes, now])
        self._extremes = rows[len(rows) - _SPAN + 1 :]
        largest = np.maximum(np.maximum(rows[2:], rows[1:-1]), rows[:-2])
        return np.asarray(largest[:, : self._n] + largest[:, self._n :])

    def _segment(self, frames: Frames, k: int, end: int, features: Floats, spans: Floats) -> list[EmgEvent]:
        """Frames `k` to `end` of these, all of one block."""
        n, first = self._n, frames.first + k
        mute = frames.mute[k:end]
        over = features[:, : 2 * n] > self._quiet.limit[: 2 * n]
        hot = (over[:, :n] | over[:, n:]) & ~mute
        places = np.arange(first, first + end - k) % _RING
        self._hot[places], self._open[places] = hot, False
        seen = np.where(mute, math.nan, 1.0)
        self._power[places], self._square[places] = frames.power[k:end] * seen, frames.square[k:end] * seen
        self._spans[places] = np.where(mute, 0.0, spans)
        self._keep_peaks(frames, k, end)
        dues: list[Due] = []
        loud, muted_last = np.asarray(hot.any(axis=0)), mute[-1]
        for d, activity in enumerate(self._activities):
            if not loud[d] and not activity.parts:
                activity.unjudged = bool(muted_last[d])
                continue
            for i, (h, m) in enumerate(zip(hot[:, d].tolist(), mute[:, d].tolist(), strict=True)):
                due = activity.step(first + i, h, m)
                if due is not None:
                    dues.append(due)
                self._open[places[i], d] = bool(activity.parts)
        dues.sort(key=lambda due: (due.at, due.derivation))
        events = [event for due in dues for event in self._tell(due)]
        self._learn(first, features, mute, self._open[places])
        self._drop_peaks(first + end - k)
        return events

    def _learn(self, first: int, features: Floats, mute: Flags, busy: Flags) -> None:
        """The frames in which nothing was open, when their block is whole."""
        unknown = ~self._quiet.known[: self._n]
        stuck = first - round(STUCK_S / FRAME_S)
        long = np.array([bool(a.parts) and a.parts[0].first < stuck for a in self._activities])
        self._block.append((features, ~mute & (~busy | unknown | long)))
        if (first + len(features)) % BLOCK:
            return
        block, quiet = (np.concatenate(rows) for rows in zip(*self._block, strict=True))
        self._block = []
        if len(block) == BLOCK:
            self._quiet.learn(block, np.hstack([quiet, quiet, quiet]))

    def _keep_peaks(self, frames: Frames, k: int, end: int) -> None:
        """The local extremes of the high-passed rows that may be discharges, by derivation."""
        rows = self._framer.rows
        limit = OF_LIMIT * np.exp(self._quiet.limit[: self._n])
        size = np.abs(frames.y[k * rows : end * rows + 2])
        middle = size[1:-1]
        large = middle > limit
        if not large.any():
            return
        at, which = np.nonzero(large & (middle >= size[:-2]) & (middle > size[2:]))
        order = np.argsort(which, kind="stable")
        at, which = at[order], which[order]
        values = frames.y[k * rows + 1 + at, which]
        index = at + (frames.first + k) * rows
        edges = np.searchsorted(which, np.arange(self._n + 1))
        for d in np.flatnonzero(edges[1:] > edges[:-1]).tolist():
            self._peaks[d].append((index[edges[d] : edges[d + 1]], values[edges[d] : edges[d + 1]]))

    def _drop_peaks(self, frame: int) -> None:
        """Peaks before what is open are not asked for any more."""
        for peaks, activity in zip(self._peaks, self._activities, strict=True):
            if not peaks:
                continue
            since = frame - 2 * BLOCK
            if activity.parts:
                since = activity.course.upto if activity.course else activity.parts[0].first
            while peaks and peaks[0][0][-1] < (since - 2) * self._framer.rows:
                peaks.pop(0)

    def _tell(self, due: Due) -> list[EmgEvent]:
        """What is due, as events."""
        course = due.course
        if course is None and len(due.parts) < SLOW_PARTS:
            seen = [
                self._evidence(due.derivation, p.first - 1, min(p.end, due.at) + 1, short=True)
                for p in due.parts
            ]
            return [self._verdict.short(due, p, s) for p, s in zip(due.parts, seen, strict=True)]
        if course is None:
            course = Course(due.parts[0].first, 0, due.cut_first)
        evidence = self._evidence(due.derivation, course.upto, due.parts[-1].end, short=False)
        self._a_train_s[due.derivation] += self._verdict.stretch(due, course, evidence)
        return self._verdict.train(due, course, evidence)

    def _evidence(self, derivation: int, first: int, end: int, *, short: bool) -> Evidence:
        """What is known of frames `first` to `end`: the newest second or so of them, where they are more."""
        places = np.arange(max(first, end - _RING // 2), max(end, first + 1)) % _RING
        if short:
            active = np.asarray(self._hot[places].any(axis=0))
        else:
            active = np.asarray(2 * np.count_nonzero(self._open[places], axis=0) >= len(places))
        active[derivation] = True
        judged = ~np.isnan(self._power[places, derivation])
        power, square = (ring[places, derivation][judged] for ring in (self._power, self._square))
        rows, kept = self._framer.rows, self._peaks[derivation]
        index = np.concatenate([p[0] for p in kept]) if kept else np.empty(0, dtype=np.int64)
        value = np.concatenate([p[1] for p in kept]) if kept else np.empty(0)
        inside = (index >= first * rows) & (index < end * rows)
        return Evidence(
            first,
            end,
            index[inside],
            value[inside],
            math.sqrt(float(np.mean(power))) if len(power) else 0.0,
            float(np.max(self._spans[places, derivation])),
            float(np.mean(square)) if len(square) else 0.0,
            int(np.count_nonzero(active)),
            self._n,
            float(self.noise_uv[derivation]),
        )
