"""One derivation's free-running EMG, frame by frame: activity opens, goes on, is cut, ends.

Owns when loud frames are one event: pauses of 80 ms part it, 250 ms end it; it outlasts mutes of 100 ms.
Refuses to say what it was: that is `dsp.emg_verdict`'s.
"""

from dataclasses import dataclass, field, replace

from dsp.emg_frames import FRAME_S
from dsp.emg_rhythm import Train

PART_S, END_S, BRIDGE_S = 0.08, 0.25, 0.10
SLOW_PARTS = 4
"""So many parts, none `END_S` from the next, are units that fire slowly, and one event."""
TRAIN_S, AGAIN_S = 0.5, 0.25
"""An event that lasts so long is analysed, and every so often from then on."""
_PART, _END, _BRIDGE = (round(s / FRAME_S) for s in (PART_S, END_S, BRIDGE_S))
_TRAIN, _AGAIN = (round(s / FRAME_S) for s in (TRAIN_S, AGAIN_S))


@dataclass(slots=True)
class Part:
    """Loud frames from `first` to `last` with no long pause between."""

    first: int
    last: int

    @property
    def end(self) -> int:
        """The first frame behind it: a frame is loud with the one before it, and the last with the end."""
        return max(self.last, self.first + 1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A quarter of a second or so of a train: frames `first` to `end`, its kind of train, how many
    derivations were active, peak-to-peak, mean square, its discharges and the intervals that end in it."""

    first: int
    end: int
    train: Train
    channels_active: int
    peak_to_peak_uv: float
    square: float
    discharges: int
    intervals_s: tuple[float, ...]


@dataclass(slots=True)
class Course:
    """What the analyses of one train have found so far, up to frame `upto`."""

    upto: int
    next_frame: int
    cut_first: bool
    sign: float = 0.0
    last_index: int | None = None
    crests: list[float] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    told_frame: int | None = None
    told_as: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """After frame `at`: an analysis of what is open (not `ended`), or parts that are over."""

    at: int
    derivation: int
    parts: list[Part]
    ended: bool
    cut_first: bool
    cut_end: bool
    course: Course | None


class Activity:
    """The state of one derivation."""

    def __init__(self, derivation: int) -> None:
        self._derivation = derivation
        self.parts: list[Part] = []
        self.course: Course | None = None
        self._cut_first = False
        self._quiet = self._mute = 0
        self.unjudged = True
        """The frame before was muted, or there was none."""

    def step(self, k: int, hot: bool, mute: bool) -> Due | None:
        """Frame `k`, loud or not, or muted; what is due after it."""
        if mute:
            return self._muted(k)
        fresh, self.unjudged = self.unjudged, False
        self._mute = 0
        if hot:
            if not self.parts:
                self._cut_first = fresh
            if not self.parts or self._quiet >= _PART:
                self.parts.append(Part(k, k))
            self._quiet = 0
            self.parts[-1].last = k
        elif self.parts:
            self._quiet += 1
            if self._quiet >= _END:
                return self.close(k, False)
        return self._due(k) if self.parts else None

    def _muted(self, k: int) -> Due | None:
        """A muted frame: pauses do not grow in it, and nothing is known of it."""
        self.unjudged = True
        if not self.parts:
            return None
        self._mute += 1
        return self.close(k, True) if self._mute > _BRIDGE else None

    def _due(self, k: int) -> Due | None:
        """An analysis, twice a second from when it has become a train."""
        if self.course is None:
            slow = len(self.parts) >= SLOW_PARTS
            begun = self.parts[0].first if slow else self.parts[-1].first
            if k + 1 - begun < _TRAIN or (not slow and self._quiet >= _PART):
                return None
            self.course = Course(begun, k + 1, self._cut_first)
            if not slow and len(self.parts) > 1:
                before, self.parts = self.parts[:-1], self.parts[-1:]
                self.course.next_frame, self.course.cut_first = k + 2, False
                return Due(k, self._derivation, before, True, self._cut_first, False, None)
        if k + 1 < self.course.next_frame:
            return None
        self.course.next_frame = k + 1 + _AGAIN
        self.parts = [Part(self.parts[0].first, self.parts[-1].last)]
        now = [replace(self.parts[0])]
        return Due(k, self._derivation, now, False, self._cut_first, False, self.course)

    def close(self, k: int, cut: bool) -> Due | None:
        """All that is open ends after frame `k`: `cut` unless it had paused."""
        parts, course, quiet = self.parts, self.course, self._quiet
        self.forget()
        if not parts:
            return None
        cut_end = cut and quiet < _PART
        return Due(k, self._derivation, parts, True, self._cut_first, cut_end, course)

    def forget(self) -> None:
        """Nothing is open."""
        self.parts, self.course = [], None
        self._quiet = self._mute = 0

    def truncate(self, frame: int) -> None:
        """All from `frame` on has turned out to be muted."""
        self.parts = [part for part in self.parts if part.first < frame]
        for part in self.parts:
            part.last = min(part.last, frame - 1)
        if not self.parts:
            self.forget()
