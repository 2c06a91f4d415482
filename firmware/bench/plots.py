"""A plot as inline SVG: lines or bars, linear or logarithmic, limits and marks. Colours are CSS's.

Pure text; whatever comes from outside is escaped. Draws what it is given and judges nothing.
"""

import math
from collections.abc import Callable, Sequence
from html import escape

from firmware.bench.verdicts import Plot

WIDTH, HEIGHT = 620, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 44
N_COLOURS = 8
Scale = Callable[[float], float]


def as_svg(plot: Plot) -> str:
    """The plot, titled for those who do not see it."""
    xs = [x for line in plot.series for x in line.x]
    ys = [y for line in plot.series for y in line.y] + [y for y, _ in plot.limits]
    if not xs:
        return ""
    step = _step(plot)
    x_low, x_high = min(xs) - step / 2, max(xs) + step / 2
    y_low, y_high = _y_range(ys, plot)
    x = _scale(x_low, x_high, LEFT, WIDTH - RIGHT, log=False)
    y = _scale(y_low, y_high, HEIGHT - BOTTOM, TOP, log=plot.log_y)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(plot.title)}">',
        f"<title>{escape(plot.title)}</title>",
        *_grid(
            x, y, _ticks(x_low, x_high), _log_ticks(y_low, y_high) if plot.log_y else _ticks(y_low, y_high)
        ),
        *_series(plot, x, y, y_low, step),
        *_limits(plot, x, y, (x_low, x_high), (y_low, y_high)),
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 6}" '
        f'text-anchor="middle">{escape(plot.x_label)}</text>',
        f'<text class="axis" transform="translate(12 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(plot.y_label)}</text>',
        "</svg>",
    ]
    return "".join(parts)


def legend(plot: Plot) -> str:
    """The names of several lines; one line needs none."""
    if len(plot.series) < 2:
        return ""
    names = (
        f'<span><i class="c{k % N_COLOURS}"></i>{escape(line.name)}</span>'
        for k, line in enumerate(plot.series)
    )
    return f'<p class="legend">{"".join(names)}</p>'


def _step(plot: Plot) -> float:
    """The width of a bar."""
    if plot.kind != "bars" or len(plot.series[0].x) < 2:
        return 0.0
    return plot.series[0].x[1] - plot.series[0].x[0]


def _y_range(ys: Sequence[float], plot: Plot) -> tuple[float, float]:
    if plot.log_y:
        positive = [y for y in ys if y > 0] or [1.0]
        low = 0.5 if plot.kind == "bars" else min(positive) / 1.5
        return low, max(max(positive) * 1.5, low * 10)
    low, high = min(ys), max(ys)
    if plot.kind == "bars":
        return 0.0, max(high * 1.08, 1.0)
    margin = 0.06 * (high - low) or abs(high) or 1.0
    return low - margin, high + margin


def _scale(low: float, high: float, start: float, end: float, log: bool) -> Scale:
    if log:
        a, b = math.log10(low), math.log10(high)
        return lambda v: start + (math.log10(max(v, low)) - a) / (b - a) * (end - start)
    span = (high - low) or 1.0
    return lambda v: start + (v - low) / span * (end - start)


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers."""
    span = (high - low) or 1.0
    raw = span / 6
    base = 10 ** math.floor(math.log10(raw))
    step = next(base * k for k in (1, 2, 5, 10) if base * k >= raw)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 between them when there are few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 3 else (1,)
    return [k * 10.0**d for d in decades for k in steps if low <= k * 10.0**d <= high]


def _grid(x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[str]:
    parts = []
    for tick in y_ticks:
        at = f"{y(tick):.1f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{at}" dy="0.32em" text-anchor="end">{_number(tick)}</text>'
        )
    for tick in x_ticks:
        at = f"{x(tick):.1f}"
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(
            f'<text class="tick" x="{at}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
            f"{_number(tick)}</text>"
        )
    return parts


def _number(value: float) -> str:
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.3g}"


def _series(plot: Plot, x: Scale, y: Scale, y_low: float, step: float) -> list[str]:
    parts = []
    for k, line in enumerate(plot.series):
        colour = f"c{k % N_COLOURS}"
        points = list(zip(line.x, line.y, strict=True))
        if plot.kind == "bars":
            width = max(abs(x(step) - x(0.0)) - 1, 1.0)
            for a, b in points:
                if b > 0:
                    top, floor = y(b), y(y_low)
                    parts.append(
                        f'<rect class="{colour}" x="{x(a) - width / 2:.1f}" y="{top:.1f}" '
                        f'width="{width:.1f}" height="{max(floor - top, 0.5):.1f}"/>'
                    )
        else:
            path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
            parts.append(f'<polyline class="{colour}" points="{path}"/>')
            if len(points) <= 24:
                parts += [
                    f'<circle class="{colour}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.4"/>' for a, b in points
                ]
    return parts


def _limits(
    plot: Plot, x: Scale, y: Scale, x_range: tuple[float, float], y_range: tuple[float, float]
) -> list[str]:
    parts = []
    for level, what in plot.limits:
        if y_range[0] <= level <= y_range[1]:
            at = f"{y(level):.1f}"
            parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
            parts.append(
                f'<text class="note" x="{WIDTH - RIGHT - 4}" y="{at}" dy="-0.4em" text-anchor="end">'
                f"{escape(what)}</text>"
            )
    for place, what in plot.marks:
        if x_range[0] <= place <= x_range[1]:
            at = f"{x(place):.1f}"
            parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            parts.append(f'<text class="note" x="{at}" y="{TOP + 8}" dx="4">{escape(what)}</text>')
    return parts
