"""The charts of a report: traces over their baseline, and how a peak went over the case.

Negative is up, as displays show it. What lies outside a frame is drawn at its edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hostd.export.averages import Course, Trace
from hostd.export.axes import Axes, spread
from hostd.export.document import (
    BAD,
    BEFORE,
    GREY,
    INK,
    LIGHT,
    NOW,
    PAGE_WIDTH,
    WORST,
    Box,
    Dot,
    Drawing,
    Label,
    Line,
    Mark,
)
from hostd.export.rows import Peak

PANEL, GAP, MARGIN = 322.0, 28.0, 26.0
TRACE_HEIGHT, TREND_HEIGHT = 100.0, 64.0
TRACE_PITCH, TREND_PITCH = 132.0, 98.0
MOST_POINTS = 120
MOST_ROWS = 700


@dataclass(frozen=True, slots=True)
class Shown:
    """One trace of a panel: its peaks are marked in its colour."""

    trace: Trace
    colour: str
    width: float
    name: str
    peaks: tuple[Peak, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """What of the case a trend shows: seconds to its end, moments of alerts (number, seconds), of events."""

    end_s: float
    alerts: tuple[tuple[int, float], ...] = ()
    events: tuple[float, ...] = ()


def traces_drawing(shown: Sequence[Shown], judged_from_ms: float, title: str) -> Drawing:
    """A panel for each derivation, two or three in a row; `judged_from_ms`: the scale is that of what comes
    later."""
    names = shown[-1].trace.header.derivations
    columns = 2 if len(names) <= 4 else 3
    rows = -(-len(names) // columns)
    width = (PAGE_WIDTH - MARGIN - (columns - 1) * GAP) / columns
    drawing = Drawing(PAGE_WIDTH, 20 + rows * TRACE_PITCH, f"{title}: traces")
    drawing.marks += _key([(s.name, s.colour) for s in shown])
    for k, name in enumerate(names):
        left = MARGIN + k % columns * (width + GAP)
        top = 30 + k // columns * TRACE_PITCH
        drawing.marks += _trace_panel(shown, name, (left, top, width), judged_from_ms)
    return drawing


def _key(names: Sequence[tuple[str, str]]) -> list[Mark]:
    marks: list[Mark] = []
    x = MARGIN
    for name, colour in names:
        marks.append(Line(((x, 8), (x + 18, 8)), colour, 2.0))
        marks.append(Label(x + 23, 11, name, 9, "start", INK))
        x += 38 + 4.9 * len(name)
    marks.append(Label(PAGE_WIDTH - 2, 11, "negative up", 8, "end", GREY))
    return marks


def _trace_panel(
    shown: Sequence[Shown], name: str, place: tuple[float, float, float], judged_from_ms: float
) -> list[Mark]:
    left, top, width = place
    having = [
        (s, s.trace.header.derivations.index(name)) for s in shown if name in s.trace.header.derivations
    ]
    times = having[-1][0].trace.times_ms
    parts = [s.trace.mean_uv[s.trace.times_ms >= judged_from_ms, d] for s, d in having]
    values = [float(v) for part in parts if len(part) for v in (part.min(), part.max())]
    axes = Axes(
        left, top, width, TRACE_HEIGHT, (float(times[0]), float(times[-1])), spread(values, 0.2), True
    )
    marks = axes.frame("ms", "\N{MICRO SIGN}V")
    if times[0] < 0 < times[-1]:
        marks.append(Line(((axes.across(0), top), (axes.across(0), top + TRACE_HEIGHT)), LIGHT, 1.2))
    for s, d in having:
        step = max(1, len(s.trace.mean_uv) // MOST_ROWS)
        xy = zip(s.trace.times_ms[::step].tolist(), s.trace.mean_uv[::step, d].tolist(), strict=True)
        marks.append(Line(tuple(axes.at(x, y) for x, y in xy), s.colour, s.width))
    for s, d in having:
        for p in s.peaks:
            if p.derivation == name and p.present and p.latency_ms is not None:
                x, y = axes.at(p.latency_ms, float(s.trace.mean_uv[s.trace.row_at(p.latency_ms), d]))
                marks.append(Dot(x, y, 2.4, s.colour))
                if s is shown[-1] and p.peak != name:
                    above = y < axes.at(0, 0)[1]
                    at_y = max(y - 5, top + 8) if above else min(y + 12, top + TRACE_HEIGHT - 2)
                    marks.append(Label(x, at_y, p.peak, 8.5, "middle", s.colour, True))
    marks.append(Label(left + width, top - 4, name, 9.5, "end", INK, True))
    return marks


def trends_drawing(courses: Sequence[Course], span: Span, rate_hz: float, title: str) -> Drawing:
    """A row for each peak: its amplitude and its latency over the case, with 95 % intervals."""
    drawing = Drawing(PAGE_WIDTH, 22 + len(courses) * TREND_PITCH, f"{title}: trends")
    drawing.marks += [
        Line(((MARGIN, 8), (MARGIN + 18, 8)), BEFORE, 1.2, (4, 3)),
        Label(MARGIN + 23, 11, "baseline"),
        Dot(MARGIN + 84, 8, 3.2, WORST, False),
        Label(MARGIN + 92, 11, "worst"),
        Label(MARGIN + 138, 11.5, "\N{MULTIPLICATION SIGN}", 11, "middle", BAD, True),
        Label(MARGIN + 146, 11, "not seen"),
        Box(MARGIN + 208, 4, 1.4, 9, BAD),
        Label(MARGIN + 214, 11, "alert"),
        Box(MARGIN + 256, 7, 1.4, 6, GREY),
        Label(MARGIN + 262, 11, "event"),
    ]
    for k, course in enumerate(courses):
        top = 32 + k * TREND_PITCH
        for side, latency in enumerate((False, True)):
            drawing.marks += _trend(course, span, rate_hz, MARGIN + side * (PANEL + GAP), top, latency)
    return drawing


def _trend(course: Course, span: Span, rate_hz: float, left: float, top: float, latency: bool) -> list[Mark]:
    rows = thinned(course.rows, MOST_POINTS, course.worst)
    seen = [_of(row, latency) for row in rows]
    values = [v for value in seen if value is not None for v in value[:1]]
    before = None if course.baseline is None else _of(course.baseline, latency)
    known = values + ([before[0]] if before else [])
    y = spread(known, 0.4 if latency else 0.2, from_zero=not latency)
    axes = Axes(left, top, PANEL, TREND_HEIGHT, (0.0, max(span.end_s, 1.0)), y)
    marks = axes.frame("", "ms" if latency else "\N{MICRO SIGN}V", clock=True)
    bottom = top + TREND_HEIGHT
    marks += [Box(axes.across(s) - 0.6, bottom - 6, 1.2, 6, GREY) for s in span.events]
    for n, at_s in span.alerts:
        marks.append(Box(axes.across(at_s) - 0.6, top, 1.2, TREND_HEIGHT, BAD))
        marks.append(Label(axes.across(at_s) + 2.5, top + 8, str(n), 8, "start", BAD, True))
    if before:
        marks.append(Line((axes.at(0, before[0]), axes.at(span.end_s, before[0])), BEFORE, 1.2, (4, 3)))
    for row, value in zip(rows, seen, strict=True):
        at_s = row.sample / rate_hz
        if value is None:
            if not latency:
                mark = "\N{MULTIPLICATION SIGN}"
                marks.append(Label(axes.across(at_s), bottom - 1, mark, 10, "middle", BAD, True))
            continue
        if value[1] is not None and value[2] is not None:
            marks.append(Line((axes.at(at_s, value[1]), axes.at(at_s, value[2])), "#c6d8ef", 1.0))
        x, at_y = axes.at(at_s, value[0])
        marks.append(Dot(x, at_y, 1.8, NOW))
        if row is course.worst:
            marks.append(Dot(x, at_y, 3.6, WORST, False))
    name = f"{course.peak} latency" if latency else f"{course.peak} amplitude"
    where = f" ({course.derivation})" if course.derivation != course.peak else ""
    marks.append(Label(left + PANEL, top - 4, name + where, 9.5, "end", INK, True))
    return marks


def _of(row: Peak, latency: bool) -> tuple[float, float | None, float | None] | None:
    """Value and interval; None where the peak was not seen."""
    value = row.latency_ms if latency else row.amplitude_uv
    if not row.present or value is None:
        return None
    if latency:
        return value, row.latency_low_ms, row.latency_high_ms
    return value, row.amplitude_low_uv, row.amplitude_high_uv


def thinned(rows: Sequence[Peak], most: int, keep: Peak | None = None) -> list[Peak]:
    """At most about `most` of the rows, evenly over time, the last of each span; and `keep`."""
    if len(rows) <= most:
        return list(rows)
    edges = np.linspace(rows[0].sample, rows[-1].sample, most + 1)
    chosen = {int(np.searchsorted(edges, row.sample)): row for row in rows}
    kept = sorted(chosen.values(), key=lambda row: row.sample)
    if keep is not None and keep not in kept:
        kept = sorted([*kept, keep], key=lambda row: row.sample)
    return kept
