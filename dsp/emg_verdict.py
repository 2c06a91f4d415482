"""What activity of one derivation was: spike, burst, train or tonic, with its measures, as an `EmgEvent`.

Owns the classes and the running analysis of trains. Refuses to find activity, which is `dsp.emg_activity`'s.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.emg_activity import Course, Due, Part, Stretch
from dsp.emg_frames import FRAME_S
from dsp.emg_rhythm import BIN_S, OF_LARGEST, Rhythm, Train, discharges, rhythm, sign_of

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Kind = Literal["spike", "burst", "train", "tonic"]

BURST_S, SPIKE_S, POTENTIAL_S = 0.2, 0.04, 0.012
"""A burst is shorter, a spike is no longer loud than that, and its large peaks are no further apart."""
WIDESPREAD, WIDESPREAD_SHARE = 3, 2 / 3
"""Tonic is what so many derivations, and this share of all, do at once."""
TELL_S = 1.0
LEAST_STRETCH_S = 0.1
RECENT_S, MOST_RECENT_S, RECENT_INTERVALS = 0.4, 1.5, 12
"""A stretch is judged with what came before it: so long, or longer where that is not so many intervals."""
LEAVES_A = 2
"""So many stretches that are none end an A-train within something that goes on."""


@dataclass(frozen=True, slots=True)
class EmgEvent:
    """One event of one derivation, rows `first` to `end`; `ongoing` while it lasts, and then told again.

    `kind`: spike (one discharge), burst (< 200 ms), train (`train` A, B or C), or tonic (several derivations
    at once, no A-train). `peak_to_peak_uv` within 15 ms, at most, and `rms_uv` of the loud frames are of what
    was given, with its noise in them, of quiet rms `noise_uv`. `rate_hz` +- `rate_se_hz` of discharges and
    `regularity` (1 of clockwork, 0 of chance) where they were enough. `channels_active`: derivations active
    over most of it, this one included. `cut_first`, `cut_end`: it began, or ended, where nobody could see.
    """

    derivation: int
    kind: Kind
    train: Train
    first: int
    end: int
    ongoing: bool
    peak_to_peak_uv: float
    rms_uv: float
    noise_uv: float
    discharges: int
    rate_hz: float | None
    rate_se_hz: float | None
    regularity: float | None
    channels_active: int
    cut_first: bool
    cut_end: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What lies behind a verdict on frames `first` to `end` of a derivation: ascending peaks, the rms of the
    rows that they stand in, peak-to-peak and mean square of what was given, how many derivations were active,
    of how many, and the quiet rms."""

    first: int
    end: int
    index: Indices
    value: Floats
    rms_uv: float
    peak_to_peak_uv: float
    square: float
    channels_active: int
    channels: int
    noise_uv: float


class Verdict:
    """Judges for one stream; `rows` of a frame at `rate_hz`."""

    def __init__(self, rate_hz: float, rows: int) -> None:
        self._rate_hz = rate_hz
        self._rows = rows
        self._frame_s = rows / rate_hz

    def short(self, due: Due, part: Part, seen: Evidence) -> EmgEvent:
        """A part that ended before it was analysed as a train."""
        kind, at = self._short_kind(part, seen)
        found = rhythm(np.diff(at) / self._rate_hz, math.inf)
        train: Train = found.train if kind == "train" else ""
        cut = (due.cut_first and part is due.parts[0], due.cut_end and part is due.parts[-1])
        whole = Stretch(
            part.first,
            part.end,
            train,
            seen.channels_active,
            seen.peak_to_peak_uv,
            seen.square,
            len(at) or 1,
            (),
        )
        return self._event(due.derivation, kind, [whole], found, seen.noise_uv, False, cut)

    def _short_kind(self, part: Part, seen: Evidence) -> tuple[Kind, Indices]:
        """Its kind by the time from its first to its last large peak, and its discharges."""
        index, value = seen.index, seen.value
        brief = (part.end - part.first) * FRAME_S <= SPIKE_S
        if not len(index):
            return ("spike" if brief else "burst"), index
        sign = sign_of(index, value, max(1, round(BIN_S * self._rate_hz)))
        alone, _ = discharges(index, value, sign, self._rate_hz)
        large = index[np.abs(value) >= OF_LARGEST * np.max(np.abs(value))]
        if brief and (len(alone) <= 1 or large[-1] - large[0] < POTENTIAL_S * self._rate_hz):
            return "spike", alone[:1]
        all_of, _ = discharges(index, value, sign, self._rate_hz, OF_LARGEST)
        return ("burst" if large[-1] - large[0] < BURST_S * self._rate_hz else "train"), all_of

    def stretch(self, due: Due, course: Course, seen: Evidence) -> float:
        """The newest stretch of a train into its course; the seconds of A-train that it adds (or takes)."""
        seconds = (seen.end - course.upto) * self._frame_s
        course.upto = seen.end
        if course.stretches and (seconds <= 0.0 or (due.ended and seconds < LEAST_STRETCH_S)):
            last = course.stretches[-1]
            course.stretches[-1] = replace(last, end=seen.end)
            return seconds if last.train == "A" else 0.0
        train, count, intervals = self._follow(course, seen)
        course.stretches.append(
            Stretch(
                seen.first,
                seen.end,
                train,
                seen.channels_active,
                seen.peak_to_peak_uv,
                seen.square,
                count,
                tuple(intervals.tolist()),
            )
        )
        return max(seconds, 0.0) if train == "A" else 0.0

    def _follow(self, course: Course, seen: Evidence) -> tuple[Train, int, Floats]:
        """The peaks of the next stretch: what train it makes with those before, its discharges, intervals."""
        if course.sign == 0.0:
            course.sign = sign_of(seen.index, seen.value, max(1, round(BIN_S * self._rate_hz)))
        at, typical = discharges(seen.index, seen.value, course.sign, self._rate_hz)
        count = len(at)
        if course.last_index is not None:
            at = np.concatenate([np.array([course.last_index], dtype=np.int64), at])
        intervals = np.diff(at)
        if len(at):
            course.last_index = int(at[-1])
        course.crests.append(typical / seen.rms_uv if seen.rms_uv > 0 else math.inf)
        intervals_s = intervals / self._rate_hz
        before = [stretch.intervals_s for stretch in course.stretches[-6:]]
        recent = np.concatenate([*map(np.array, before), intervals_s])
        ago = np.cumsum(recent[::-1])[::-1]
        near = (ago <= RECENT_S) | (np.arange(len(recent)) >= len(recent) - RECENT_INTERVALS)
        found = rhythm(recent[near & (ago <= MOST_RECENT_S)], float(np.median(course.crests[-2:])))
        return found.train, count, intervals_s

    def train(self, due: Due, course: Course, seen: Evidence) -> list[EmgEvent]:
        """What is to be told of a train: nothing where nothing is new; and what an A-train in it parts."""
        told = [self._parted(due, course, seen, at) for at in self._parting(course)]
        name = self._name(course.stretches, seen.channels)
        if not due.ended:
            since = math.inf if course.told_frame is None else (due.at - course.told_frame) * FRAME_S
            if name == course.told_as and since < TELL_S:
                return told
            course.told_frame, course.told_as = due.at, name
        cut = (course.cut_first, due.cut_end)
        return [*told, self._train_event(due, course, name, course.stretches, seen, not due.ended, cut)]

    def _parting(self, course: Course) -> list[int]:
        """At which stretch an A-train has begun, or has ended for certain, within something that goes on."""
        is_a = [stretch.train == "A" for stretch in course.stretches]
        if len(is_a) > 1 and is_a[-1] and not is_a[0]:
            return [len(is_a) - 1]
        if len(is_a) > LEAVES_A and is_a[0] and not any(is_a[-LEAVES_A:]):
            return [len(is_a) - LEAVES_A]
        return []

    def _parted(self, due: Due, course: Course, seen: Evidence, at: int) -> EmgEvent:
        """What the course was before stretch `at`, which it begins with from now on."""
        before, course.stretches = course.stretches[:at], course.stretches[at:]
        cut = (course.cut_first, False)
        course.cut_first, course.told_frame = False, None
        return self._train_event(due, course, self._name(before, seen.channels), before, seen, False, cut)

    def _name(self, stretches: list[Stretch], channels: int) -> str:
        """A, B, C or tonic: what most of the time was."""
        need = max(WIDESPREAD, math.ceil(WIDESPREAD_SHARE * channels))
        frames: dict[str, int] = {}
        for s in stretches:
            name = "tonic" if s.train != "A" and s.channels_active >= need else s.train
            frames[name] = frames.get(name, 0) + s.end - s.first
        return max(frames, key=lambda name: frames[name])

    def _train_event(
        self,
        due: Due,
        course: Course,
        name: str,
        stretches: list[Stretch],
        seen: Evidence,
        ongoing: bool,
        cut: tuple[bool, bool],
    ) -> EmgEvent:
        intervals_s = np.concatenate([np.array(s.intervals_s) for s in stretches])
        found = rhythm(intervals_s, float(np.median(course.crests)))
        found = replace(
            found, train="A" if name == "A" else "B" if name == "B" else "C" if name == "C" else ""
        )
        kind: Kind = "tonic" if name == "tonic" else "train"
        return self._event(due.derivation, kind, stretches, found, seen.noise_uv, ongoing, cut)

    def _event(
        self,
        derivation: int,
        kind: Kind,
        stretches: list[Stretch],
        found: Rhythm,
        noise_uv: float,
        ongoing: bool,
        cut: tuple[bool, bool],
    ) -> EmgEvent:
        """Of stretches in order."""
        squares = sum(s.square * (s.end - s.first) for s in stretches)
        frames = sum(s.end - s.first for s in stretches)
        return EmgEvent(
            derivation,
            kind,
            found.train if kind == "train" else "",
            stretches[0].first * self._rows,
            stretches[-1].end * self._rows,
            ongoing,
            max(s.peak_to_peak_uv for s in stretches),
            math.sqrt(max(squares, 0.0) / max(frames, 1)),
            noise_uv,
            sum(s.discharges for s in stretches),
            found.rate_hz,
            found.rate_se_hz,
            None if found.variation is None else max(0.0, 1.0 - found.variation),
            round(float(np.median([s.channels_active for s in stretches]))),
            *cut,
        )
