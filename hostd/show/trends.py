"""Courses over the case as braille curves with their intervals, the events beside them. Pure.

What was absent has no value: it is a mark on the floor of the plot, and its last word is "absent".
"""

import numpy as np
from numpy.typing import NDArray

from hostd.show.canvas import Canvas
from hostd.show.courses import Course
from hostd.show.known import Known
from hostd.show.lines import Line, apart, beside, cut, padded
from hostd.show.words import NONE, clock, fixed, harmless, micro, title

Array = NDArray[np.float64]
LEAST_S = 30.0
# What people and monitors say happened; what the box does by itself is in the list of events.
MARKED = ("note", "surgeon", "anaesthesia", "vitals", "critical", "mark")


def page(known: Known, chosen: str | None, cells: int, height: int) -> list[Line]:
    """The courses of one test, or of all of them side by side."""
    tests = [chosen] if chosen is not None else [t for t in known.tests() if known.courses.of_test(t)]
    if not any(known.courses.of_test(test) for test in tests):
        return padded([[("no trend yet: it begins with the first measurement", "dim")]], height)
    columns = max(1, min(cells // 70, len(tests)))
    rows = -(-len(tests) // columns)
    if height // rows < 4:
        rows = max(height // 4, 1)
    wide = (cells - columns + 1) // columns
    lines: list[Line] = []
    for row in range(rows):
        high = (row + 1) * height // rows - row * height // rows
        blocks = [
            (block(known, test, wide, high), wide) for test in tests[row * columns : (row + 1) * columns]
        ]
        lines += beside(blocks, high)
    return padded(lines, height)


def block(known: Known, test: str, cells: int, height: int, head: bool = True) -> list[Line]:
    """The courses of one test above one another, three lines each at least."""
    courses = known.courses.of_test(test)
    lines: list[Line] = [[(title(test), "title")]] if head else []
    room = height - len(lines)
    shown = courses[: max(room // 3, 1)]
    for k, course in enumerate(shown):
        high = (k + 1) * room // len(shown) - k * room // len(shown)
        lines += plot(known, course, cells, high)
    return padded(lines, height)


def plot(known: Known, course: Course, cells: int, height: int) -> list[Line]:
    """One course: a line of words (what, now, at first), and its curve beneath."""
    points = course.points
    if not points or height < 1:
        return padded([], height)
    last = points[-1]
    of_peak = course.unit in ("µV", "ms")
    gone = last.value is None
    now = ("absent" if of_peak else NONE) if gone else f"{_said(last.value, course.unit)} {course.unit}"
    began = next((p.value for p in points if p.value is not None), None)
    first = f"first {_said(began, course.unit)}"
    words: Line = [(harmless(course.name, 40), ""), (f"  {now}", "bad" if gone and of_peak else "strong")]
    begin_s = known.courses.began_s()
    end_s = max(known.now_s() or last.at_s, last.at_s, begin_s + LEAST_S)
    head = apart(words, [(f"  {first}  {clock(begin_s)} to {clock(end_s)}", "dim")], cells)
    return [head, *_curve(known, course, (begin_s, end_s), cells, height - 1)]


def _said(value: float | None, unit: str) -> str:
    return micro(value) if unit != "of 4" else fixed(value, 0)


def _curve(known: Known, course: Course, span_s: tuple[float, float], cells: int, height: int) -> list[Line]:
    if height < 1:
        return []
    points = course.points
    at = np.array([p.at_s for p in points])
    value = _numbers([p.value for p in points])
    low = np.where(np.isfinite(value), _numbers([p.low for p in points]), np.nan)
    high = np.where(np.isfinite(value), _numbers([p.high for p in points]), np.nan)
    canvas = Canvas(cells - 7, height)
    bottom, top = _range(value, course.unit)
    scale = (canvas.high - 1) / (top - bottom)
    across = (canvas.wide - 1) / (span_s[1] - span_s[0])
    x = (at - span_s[0]) * across
    for entry in known.journal:
        seconds = known.seconds(entry.header)
        if entry.topic == "event" and seconds is not None and entry.header.get("kind") in MARKED:
            canvas.vertical("mark", (seconds - span_s[0]) * across, 0, canvas.high - 1, 3)

    def y(values: Array) -> Array:
        return np.clip((top - values) * scale, 0, canvas.high - 1)

    canvas.bars("range", x, y(high), y(low))
    canvas.curve("course", x, y(value))
    canvas.bars("course", x, y(value), y(value))
    floor = np.full(len(x), float(canvas.high - 1))
    style = "bad" if course.unit in ("µV", "ms") else "axis"
    canvas.bars(style, np.where(np.isfinite(value), np.nan, x), floor - 1, floor)
    lines = canvas.lines()
    labels = {0: micro(top), height - 1: micro(bottom)} if height > 1 else {0: micro(top)}
    return [[(f"{cut(labels.get(k, ''), 6):>6} ", "axis"), *line] for k, line in enumerate(lines)]


def _numbers(values: list[float | None]) -> Array:
    return np.array([np.nan if one is None else one for one in values], dtype=np.float64)


def _range(value: Array, unit: str) -> tuple[float, float]:
    """What the axis holds: amplitudes from nothing, so that a half looks like a half; all else with a
    margin."""
    finite = value[np.isfinite(value)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if unit in ("µV", "", "of 4") and low >= 0:
        return 0.0, max(high * 1.1, 1e-6)
    half = max((high - low) * 0.6, abs(low + high) * 0.025, 1e-6)
    return (low + high) / 2 - half, (low + high) / 2 + half
