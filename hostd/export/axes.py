"""Axes of a small chart: data to pixels, ticks at round numbers. Numbers only."""

import math
from dataclasses import dataclass

from hostd.export.document import GREY, LIGHT, Label, Line, Mark, Point

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Axes:
    """A frame at pixels (left, top) of `width` and `height`, that shows x and y from low to high.

    `down`: y grows downwards, as where negative is shown up.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    down: bool = False

    def at(self, x: float, y: float) -> Point:
        """Where a value lies, at the frame's edge at the furthest."""
        share = min(max((y - self.y[0]) / (self.y[1] - self.y[0]), 0.0), 1.0)
        down = share if self.down else 1.0 - share
        return self.across(x), self.top + down * self.height

    def across(self, x: float) -> float:
        """The pixel of an x."""
        share = min(max((x - self.x[0]) / (self.x[1] - self.x[0]), 0.0), 1.0)
        return self.left + share * self.width

    def frame(self, x_unit: str, y_unit: str, clock: bool = False) -> list[Mark]:
        """Grid, ticks and their numbers, `clock`: x is seconds, written as minutes."""
        bottom, right = self.top + self.height, self.left + self.width
        marks: list[Mark] = []
        for value in ticks(*self.y, 4):
            y = self.at(self.x[0], value)[1]
            marks.append(Line(((self.left, y), (right, y)), LIGHT, 0.6))
            marks.append(Label(self.left - 4, y + 3, number(value), 8, "end", GREY))
        for value in clock_ticks(self.x[1]) if clock else ticks(*self.x, 6):
            x = self.across(value)
            marks.append(Line(((x, bottom), (x, bottom + 3)), GREY, 0.6))
            marks.append(Label(x, bottom + 12, time_of(value) if clock else number(value), 8, "middle", GREY))
        marks.append(Line(((self.left, self.top), (self.left, bottom), (right, bottom)), GREY, 0.8))
        marks.append(Label(self.left + 4, self.top + 8, y_unit, 8, "start", GREY))
        if x_unit:
            marks.append(Label(right, bottom + 12, x_unit, 8, "end", GREY))
        return marks


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from low to high, `most` or a few fewer."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * s for s in _STEPS if span / (power * s) <= most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def clock_ticks(end_s: float) -> list[float]:
    """Round times from 0 to `end_s`, six at most."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    step = next((s for s in steps if end_s / s <= 6), 28800)
    return [float(k * step) for k in range(int(end_s // step) + 1)]


def time_of(seconds: float) -> str:
    """Elapsed time: 0:01:23, with hours."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def number(value: float) -> str:
    """A tick's number."""
    return f"{value + 0.0:.6g}".replace("-", "\N{MINUS SIGN}")


def spread(values: list[float], least: float, from_zero: bool = False) -> tuple[float, float]:
    """The range of an axis for `values`, a little wider than they are, `least` wide at least."""
    low, high = (min(values), max(values)) if values else (0.0, least)
    if from_zero:
        return 0.0, max(high, least) * 1.08
    middle, half = (low + high) / 2, max(high - low, least) / 2 * 1.12
    return middle - half, middle + half
