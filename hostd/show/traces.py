"""The picture of one test: its derivations, one a row, over their baseline, with stimulus, peaks and scales.

Pure: frames in, lines out. Negative is up unless told otherwise. A row has the scale that its own curve
needs, and says which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hostd.show.canvas import Canvas
from hostd.show.frames import Frame
from hostd.show.lines import Line, cut
from hostd.show.words import harmless, maps, micro, number

Array = NDArray[np.float64]
STEPS = (1.0, 2.0, 5.0)
HOLDS = 10.0**0.1
LEAST_CELLS = 3
STACKED = 4
MOST_MARKS = 64
KEPT = 48
"""Pictures that are kept as long as what they show does not change: most of a screen from one tick to the
next."""
ZERO_DOTS = 16
"""Rows that are lower have no line at zero: it would be taken for the curve."""


class Mark(NamedTuple):
    """A peak to be named in the picture."""

    name: str
    derivation: str
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """Where one derivation is drawn: dots from `top` to `end`, `middle` is zero, `dots_uv` dots a microvolt
    (its sign says which way is up), `bar_uv` the length of its scale."""

    name: str
    at: int
    top: int
    end: int
    dots_uv: float
    bar_uv: float

    @property
    def middle(self) -> float:
        """The dots of zero microvolts."""
        return (self.top + self.end - 1) / 2


def nice(value: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `value`; 1 for what is not positive."""
    if not np.isfinite(value) or value <= 0:
        return 1.0
    power = float(10.0 ** np.floor(np.log10(value)))
    return max((step * power for step in STEPS if step * power <= value * 1.0001), default=power)


def held(reach: float) -> float:
    """What a half row holds of a curve that reaches so far: a tenth of a decade up at most, so that the scale
    moves in steps and not with the noise."""
    return float(HOLDS ** np.ceil(np.log10(max(reach, 1e-3)) / np.log10(HOLDS)))


def reach_uv(uv: Array, frame: Frame) -> float:
    """How far a curve goes from zero where nothing was interpolated over the stimulus."""
    t_ms = frame.t0_ms + frame.dt_ms * np.arange(len(uv))
    kept = np.isfinite(uv)
    if frame.blanked_ms is not None:
        kept &= (t_ms < frame.blanked_ms[0]) | (t_ms > frame.blanked_ms[1])
    return float(np.abs(uv[kept]).max()) if kept.any() else 0.0


def rows_of(
    frame: Frame, baseline: Frame | None, height: int, negative_up: bool, gain: int, first: Sequence[str] = ()
) -> list[Row]:
    """The rows that fit into `height` cells, three cells each at least; where not all do, `first` before
    others."""
    room = max(1, height // LEAST_CELLS)
    names = list(frame.derivations)
    if len(names) > room:
        wanted = [name for name in dict.fromkeys((*first, *names)) if name in names][:room]
        names = [name for name in names if name in wanted]
    rows: list[Row] = []
    for k, name in enumerate(names):
        top, end = 4 * (k * height // len(names)), 4 * ((k + 1) * height // len(names))
        at = frame.derivations.index(name)
        reach = reach_uv(frame.mean_uv[:, at], frame)
        if frame.stack_uv is not None:
            reach = max([reach, *(reach_uv(uv, frame) for uv in frame.stack_uv[-STACKED:, :, at])])
        if baseline is not None and name in baseline.derivations:
            reach = max(reach, reach_uv(baseline.mean_uv[:, baseline.derivations.index(name)], baseline))
        holds = held(reach)
        half = max((end - top) / 2 - 0.5, 1.0)
        dots_uv = half / holds * float(np.prod([2.0] * abs(gain))) ** (1 if gain >= 0 else -1)
        rows.append(Row(name, at, top, end, dots_uv if negative_up else -dots_uv, nice(half / dots_uv)))
    return rows


@lru_cache(maxsize=KEPT)
def picture(
    frame: Frame,
    baseline: Frame | None,
    marks: tuple[Mark, ...],
    size: tuple[int, int],
    *,
    negative_up: bool = True,
    gain: int = 0,
    first: tuple[str, ...] = (),
    small: bool = False,
) -> list[Line]:
    """`size` (columns, rows) cells. `small` leaves names, scales and axis out where there is no room for
    them."""
    columns, height = size
    axis = 0 if small else 1
    canvas = Canvas(columns, height)
    if height - axis < 1 or columns < 4 or len(frame.mean_uv) < 2:
        return canvas.lines()
    span_ms = frame.end_ms - frame.t0_ms
    across = (canvas.wide - 1) / span_ms
    rows = rows_of(frame, baseline, height - axis, negative_up, gain, first)
    zero = -frame.t0_ms * across
    canvas.vertical("stim", zero, 0, 4 * (height - axis) - 1, 2)
    for row in rows:
        if row.end - row.top >= ZERO_DOTS:
            canvas.horizontal("zero", row.middle, 0, canvas.wide - 1, 8)
        _curves(canvas, row, frame, baseline, across)
    taken: set[tuple[int, int]] = set()
    if not small:
        _axis(canvas, frame, height - 1, across, len(rows))
        for row in rows:
            _scale(canvas, row, frame, taken)
    for row in rows:
        for mark in marks:
            if mark.derivation == row.name:
                _mark(canvas, row, frame, mark, across, taken, small)
    return canvas.lines()


def _curves(canvas: Canvas, row: Row, frame: Frame, baseline: Frame | None, across: float) -> None:
    def draw(style: str, of: Frame, uv: Array) -> None:
        at = np.arange(len(uv), dtype=np.float64)
        x = (of.t0_ms - frame.t0_ms + of.dt_ms * at) * across
        y = np.clip(row.middle + uv * row.dots_uv, float(row.top), float(row.end - 1))
        canvas.curve(style, x, y)

    if baseline is not None and row.name in baseline.derivations:
        draw("baseline", baseline, baseline.mean_uv[:, baseline.derivations.index(row.name)])
    if frame.stack_uv is not None:
        for uv in frame.stack_uv[-STACKED:-1, :, row.at]:
            draw("answer", frame, uv)
        draw("trace", frame, frame.stack_uv[-1, :, row.at])
    else:
        draw("trace", frame, frame.mean_uv[:, row.at])


def _scale(canvas: Canvas, row: Row, frame: Frame, taken: set[tuple[int, int]]) -> None:
    """The derivation's name and noise at the left, its microvolt bar at the right."""
    noise = frame.header.get("noise_uv")
    known = number(noise[row.at]) if isinstance(noise, list | tuple) and row.at < len(noise) else None
    name = cut(harmless(row.name, 40), 18)
    said = f"{name} ±{micro(known)}" if known is not None and canvas.columns >= 60 else name
    at = row.top // 4
    canvas.word(0, at, said, "dim")
    taken.update((column, at) for column in range(len(said) + 1))
    length = row.bar_uv * abs(row.dots_uv)
    first = round(row.end - 1 - length)
    canvas.vertical("axis", canvas.wide - 1, max(first, row.top), row.end - 1)
    unit = f"{row.bar_uv / 1000:g} mV" if row.bar_uv >= 1000 else f"{row.bar_uv:g} µV"
    canvas.word(canvas.columns - 1 - len(unit), row.end // 4 - 1, unit, "axis")
    taken.update((canvas.columns - 1 - k, row.end // 4 - 1) for k in range(len(unit) + 1))


def _axis(canvas: Canvas, frame: Frame, at: int, across: float, shown: int) -> None:
    hidden = len(frame.derivations) - shown
    unit = f"+{hidden} more  ms" if hidden else "ms"
    step = nice((frame.end_ms - frame.t0_ms) / max(canvas.columns / 12, 2))
    tick = float(np.ceil(frame.t0_ms / step) * step)
    ends = -2
    while tick <= frame.end_ms:
        said = f"{tick + 0.0:g}".replace("-", "−")
        column = round((tick - frame.t0_ms) * across) // 2 - (len(said) - 1) // 2
        if column > ends and column + len(said) < canvas.columns - len(unit):
            canvas.word(column, at, said, "axis")
            ends = column + len(said)
        tick += step
    canvas.word(canvas.columns - len(unit), at, unit, "axis")


def _mark(
    canvas: Canvas,
    row: Row,
    frame: Frame,
    mark: Mark,
    across: float,
    taken: set[tuple[int, int]],
    small: bool,
) -> None:
    """The peak's name and latency beside the curve, where nothing else stands."""
    latency = mark.latency_ms
    if not frame.t0_ms <= latency <= frame.end_ms:
        return
    said = mark.name if small else f"{mark.name} {latency:.1f}"
    at = round((latency - frame.t0_ms) / frame.dt_ms)
    uv = frame.mean_uv[min(at, len(frame.mean_uv) - 1), row.at]
    y = row.middle + (uv if np.isfinite(uv) else 0.0) * row.dots_uv
    column = round((latency - frame.t0_ms) * across) // 2
    cell = int(np.clip(y, row.top, row.end - 1)) // 4
    up = y <= row.middle
    beyond = cell - 1 if up else cell + 1
    places = [(column - len(said) // 2, beyond), (column + 2, cell), (column + 1, beyond)]
    places += [
        (column - len(said) - 1, cell),
        (column - len(said) // 2, cell),
        (column + 2, 2 * cell - beyond),
    ]
    for left, line in places:
        cells = {(k, line) for k in range(left - 1, left + len(said) + 1)}
        inside = row.top // 4 <= line < row.end // 4 and left >= 0 and left + len(said) <= canvas.columns
        if inside and not cells & taken:
            canvas.word(left, line, said, "peak")
            taken.update(cells)
            return


def marks_of(header: Mapping[str, Any] | None) -> tuple[Mark, ...]:
    """The peaks that a `measure` message sees, or the onsets of a `response`."""
    if header is None:
        return ()
    peaks = [(p.get("name"), p.get("derivation"), p.get("latency_ms"), p) for p in maps(header.get("peaks"))]
    onsets = [("onset", a.get("name"), a.get("onset_ms"), a) for a in maps(header.get("responses"))]
    found = []
    for name, derivation, at, source in (peaks + onsets)[:MOST_MARKS]:
        latency = number(at)
        if source.get("present") is True and latency is not None and isinstance(derivation, str):
            found.append(Mark(cut(harmless(name, 12), 8), derivation, latency))
    return tuple(found)
