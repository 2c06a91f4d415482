"""Watches in the report: EEG trends, muscle activity; and trains of four, which are readings too."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from hostd.case import WatchPlan
from hostd.export import csv_watches
from hostd.export.axes import Axes, spread, time_of
from hostd.export.document import (
    INK,
    NOW,
    PAGE_WIDTH,
    Block,
    Drawing,
    Figure,
    Heading,
    Label,
    Line,
    Mark,
    Paragraph,
    Table,
)
from hostd.export.plots import GAP, MARGIN, PANEL, TREND_HEIGHT, TREND_PITCH, Span
from hostd.export.record import Record

_TRENDS = {
    "sef95_hz": "spectral edge 95 %, Hz",
    "suppression_pct": "suppression ratio, %",
    "alpha_uv2": "alpha, \N{MICRO SIGN}V\N{SUPERSCRIPT TWO}",
    "delta_uv2": "delta, \N{MICRO SIGN}V\N{SUPERSCRIPT TWO}",
}
_COLOURS = (NOW, "#c2410c", "#1b7f4b", "#7a3e9d", "#0e7c86", "#8a6d00")
MOST_POINTS = 240
Series = dict[str, list[tuple[float, float]]]


def watch_blocks(record: Record, watch: WatchPlan, span: Span) -> Iterator[Block]:
    """What was watched: EEG as trends, muscles as counts."""
    kind = {"eeg": "EEG", "emg": "free-running EMG"}[watch.kind]
    yield Heading(kind if watch.name == watch.kind else f"{watch.name}: {kind}", 3)
    if watch.kind == "eeg":
        yield from _eeg(record, watch, span)
    else:
        yield from _muscles(record, watch)


def _eeg(record: Record, watch: WatchPlan, span: Span) -> Iterator[Block]:
    trends: dict[str, Series] = defaultdict(lambda: defaultdict(list))
    for _, trend, name, _, at_s, _, value, *_ in csv_watches.eeg(record, (watch.name,)):
        if trend in _TRENDS and isinstance(value, int | float):
            trends[trend][name].append((at_s, float(value)))
    if not trends:
        yield Paragraph("Nothing of it is on file but artifacts, if anything.", "quiet")
        return
    names = [d.name for d in watch.derivations]
    shown = [name for name in _TRENDS if name in trends]
    rows = -(-len(shown) // 2)
    drawing = Drawing(PAGE_WIDTH, 24 + rows * TREND_PITCH, f"{watch.name}: trends")
    x = MARGIN
    for k, name in enumerate(names):
        colour = _COLOURS[k % len(_COLOURS)]
        drawing.marks += [Line(((x, 8), (x + 16, 8)), colour, 2.0), Label(x + 20, 11, name)]
        x += 36 + 5.2 * len(name)
    for k, trend in enumerate(shown):
        left, top = MARGIN + k % 2 * (PANEL + GAP), 32 + k // 2 * TREND_PITCH
        drawing.marks += _panel(trends[trend], names, _TRENDS[trend], span.end_s, left, top)
    yield Figure(drawing)


def _panel(series: Series, names: list[str], title: str, end_s: float, left: float, top: float) -> list[Mark]:
    values = [value for points in series.values() for _, value in points]
    axes = Axes(left, top, PANEL, TREND_HEIGHT, (0.0, max(end_s, 1.0)), spread(values, 1.0, from_zero=True))
    marks = axes.frame("", "", clock=True)
    for k, name in enumerate(names):
        points = series.get(name, [])
        step = max(1, len(points) // MOST_POINTS)
        marks.append(
            Line(tuple(axes.at(*point) for point in points[::step]), _COLOURS[k % len(_COLOURS)], 1.0)
        )
    marks.append(Label(left + PANEL, top - 4, title, 9.5, "end", INK, True))
    return marks


def _muscles(record: Record, watch: WatchPlan) -> Iterator[Block]:
    """Per derivation how often each kind was told, and the seconds of A-trains."""
    kinds: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    a_train_s: dict[str, float] = {}
    for row in csv_watches.muscles(record, (watch.name,)):
        about: dict[str, Any] = dict(zip(csv_watches.MUSCLES, row, strict=True))
        name, kind = str(about["derivation"]), str(about["kind"])
        kinds[name][f"{kind} {about['train']}".strip()].add(about["first_index"])  # a train is told again
        a_train_s[name] = float(about["a_train_s"] or 0.0)
    if not kinds:
        yield Paragraph("Quiet: no muscle activity was told.", "good")
        return
    rows = [
        (
            name,
            ", ".join(f"{kind} \N{MULTIPLICATION SIGN} {len(at)}" for kind, at in found.items()),
            f"{a_train_s[name]:.1f}",
        )
        for name, found in kinds.items()
    ]
    yield Table(("Muscle", "Activity", "A-trains, s"), tuple(rows), (25, 55, 20), "llr")


def tof_blocks(record: Record, test: str) -> Iterator[Block]:
    """Trains of four of a test, one a line."""
    found = list(csv_watches.trains_of_four(record, (test,)))
    if not found:
        return
    rows = []
    for row in found:
        about: dict[str, Any] = dict(zip(csv_watches.TRAINS_OF_FOUR, row, strict=True))
        count = "" if about["count"] is None else f"{about['count']} of 4"
        ratio = "" if about["ratio"] is None else f"{about['ratio']:.2f}"
        rows.append((time_of(about["time_s"]), about["muscle"], count, ratio, str(about["text"])))
    yield Table(("When", "Muscle", "Count", "Ratio", "Text"), tuple(rows), (12, 20, 10, 10, 48), "llrrl")
