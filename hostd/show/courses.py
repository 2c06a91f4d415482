"""What is followed over a case: peaks, muscles, trains of four, EEG, and the last seconds of what is
watched. Pure.

Every course is bounded: thinned to half of its rows when it is full, waves and spectra forget their oldest.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hostd.show.frames import array
from hostd.show.words import interval, items, maps, number, strings, whole
from hostd.wire import Message

MOST_POINTS = 1024
MOST_COURSES = 256
WAVE_S = 12.0
SPECTRA = 900


@dataclass(frozen=True, slots=True)
class Point:
    """One row of a course; `low` and `high` are its 95 % interval, None where nothing was said."""

    at_s: float
    value: float | None
    low: float | None = None
    high: float | None = None


class Course:
    """One quantity of one test over the case."""

    def __init__(self, name: str, unit: str) -> None:
        self.name, self.unit = name, unit
        self.points: list[Point] = []
        self._spacing_s = 1.0

    def add(self, point: Point) -> None:
        """Append; what comes closer than the spacing replaces the newest point."""
        points = self.points
        if points and point.at_s <= points[-1].at_s:
            return
        if len(points) > 1 and point.at_s - points[-2].at_s < self._spacing_s:
            points[-1] = point
            return
        points.append(point)
        if len(points) > MOST_POINTS:
            del points[1::2]
            self._spacing_s *= 2


@dataclass(slots=True)
class Wave:
    """The last seconds of a watch: rows of the highest and lowest of `rows_per` samples, (row,
    derivation)."""

    derivations: tuple[str, ...]
    row_s: float
    high_uv: NDArray[np.float64]
    low_uv: NDArray[np.float64]
    next_index: int

    @property
    def rows(self) -> int:
        """How many rows are kept."""
        return max(2, min(round(WAVE_S / self.row_s), 20_000))


@dataclass(slots=True)
class Spectra:
    """Density of the EEG, once a second: dB re 1 uV^2/Hz, (derivation, bin) each."""

    derivations: tuple[str, ...]
    hz: tuple[float, ...]
    density_db: deque[NDArray[np.float64]] = field(default_factory=lambda: deque(maxlen=SPECTRA))


class Courses:
    """All courses of one daemon start, by (test, name)."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], Course] = {}
        self.waves: dict[str, Wave] = {}
        self.spectra: dict[str, Spectra] = {}
        self._single: set[str] = set()

    def of_test(self, test: str) -> list[Course]:
        """The courses of one test, in the order in which they were first told."""
        return [course for (name, _), course in self.of.items() if name == test]

    def add(self, message: Message, at_s: float | None) -> None:
        """Take up what a message says of any course. Raises ValueError for arrays that are none."""
        topic, header = message.topic, message.header
        family, _, test = topic.partition(".")
        if family == "wave":
            self._wave(message, test)
        elif family == "spectrum":
            self._spectrum(message)
        elif at_s is None:
            return
        elif family == "measure":
            self._peak(header, test, at_s)
        elif family == "response" and header.get("accepted") is True and header.get("control") is not True:
            if test not in self._single and len(self._single) < MOST_COURSES:
                self._single.add(test)  # every answer is followed: the mean of some of them is not, beside it
                self.of = {key: course for key, course in self.of.items() if key[0] != test}
            for answer in maps(header.get("responses"))[:16]:
                self._response(answer, test, at_s)
        elif family in ("tof", "eeg") and isinstance(name := header.get("test"), str):
            self._watch(family, header, name, at_s)

    def began_s(self) -> float:
        """When the first point of any course was told: where axes of time begin."""
        return min((course.points[0].at_s for course in self.of.values() if course.points), default=0.0)

    def _course(self, test: str, name: str, unit: str) -> Course | None:
        if (test, name) not in self.of:
            if len(self.of) >= MOST_COURSES:
                return None
            self.of[test, name] = Course(name, unit)
        return self.of[test, name]

    def _say(self, test: str, name: str, unit: str, point: Point) -> None:
        if (course := self._course(test, name[:40], unit)) is not None:
            course.add(point)

    def _peak(self, header: Mapping[str, Any], test: str, at_s: float) -> None:
        peaks = maps(header.get("peaks"))
        if not peaks or test in self._single:
            return
        peak = next((p for p in peaks if p.get("name") == header.get("leading")), peaks[0])
        seen = peak.get("present") is True
        for key, unit in (("amplitude", "µV"), ("latency", "ms")):
            suffix = "ms" if unit == "ms" else "uv"
            value = number(peak.get(f"{key}_{suffix}")) if seen else None
            low, high = interval(peak.get(f"{key}_ci_{suffix}")) or (None, None)
            self._say(test, f"{peak.get('name')} {key}", unit, Point(at_s, value, low, high))

    def _response(self, answer: Mapping[str, Any], test: str, at_s: float) -> None:
        value = number(answer.get("amplitude_uv")) if answer.get("present") is True else None
        low, high = interval(answer.get("amplitude_ci_uv")) or (None, None)
        self._say(test, str(answer.get("name")), "µV", Point(at_s, value, low, high))

    def _watch(self, family: str, header: Mapping[str, Any], test: str, at_s: float) -> None:
        if family == "tof":
            low, high = interval(header.get("ratio_ci")) or (None, None)
            self._say(test, "T4/T1", "", Point(at_s, number(header.get("ratio")), low, high))
            self._say(test, "twitches", "of 4", Point(at_s, number(header.get("count"))))
            return
        edges = header.get("sef95_hz")
        for name, edge in zip(strings(header.get("derivations"))[:8], items(edges), strict=False):
            if isinstance(edge, list | tuple) and len(edge) == 3:
                value, low, high = (number(one) for one in edge)
                self._say(test, f"SEF95 {name}", "Hz", Point(at_s, value, low, high))

    def _wave(self, message: Message, test: str) -> None:
        header = message.header
        names = tuple(strings(header.get("derivations")))[:64]
        rate, per = number(header.get("rate_hz")), whole(header.get("rows_per"))
        first = whole(header.get("first_index"))
        high = array(message, "uv", 2)
        low = array(message, "low_uv", 2) if isinstance(header.get("low_uv"), Mapping) else high
        if not rate or rate < 0 or per is None or not 0 < per < 1e6 or first is None:
            raise ValueError("a wave without a time axis")
        if high.shape != low.shape or high.shape[1] != len(names) or len(high) > 20_000:
            raise ValueError("a wave that does not fit its derivations")
        known = self.waves.get(test)
        if known is None or known.derivations != names or known.row_s != 1.0 / rate:
            if known is None and len(self.waves) >= 16:
                return
            known = self.waves[test] = Wave(names, 1.0 / rate, high[:0], low[:0], first)
        missing = (first - known.next_index) // per
        if missing < 0:
            return
        # What was lost is a hole of its length: nothing is moved closer together.
        hole = np.full((min(missing, known.rows), len(names)), np.nan)
        known.high_uv = np.concatenate((known.high_uv, hole, high))[-known.rows :]
        known.low_uv = np.concatenate((known.low_uv, hole, low))[-known.rows :]
        known.next_index = first + per * len(high)

    def _spectrum(self, message: Message) -> None:
        header = message.header
        names = tuple(strings(header.get("derivations")))[:64]
        test, listed = header.get("test"), header.get("hz")
        hz = [number(one) for one in listed[:4096]] if isinstance(listed, list | tuple) else []
        density = array(message, "density_db", 2)
        known_hz = tuple(one for one in hz if one is not None)
        if not isinstance(test, str) or density.shape != (len(names), len(known_hz)):
            raise ValueError("a spectrum that does not fit its derivations")
        known = self.spectra.get(test)
        if known is None or known.derivations != names or known.hz != known_hz:
            if known is None and len(self.spectra) >= 16:
                return
            known = self.spectra[test] = Spectra(names, known_hz)
        known.density_db.append(density)
