"""A braille canvas: curves on a grid of 2 x 4 dots a cell, numpy throughout.

A curve is drawn as the span that it runs through in every column of dots, so that no peak is lost between
columns and no line is broken, however many samples a column holds. Layers keep their order: a cell has the
colour of the topmost layer that has a dot in it. Refuses nothing: what is not finite is not drawn, what
lies outside is cut.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hostd.show.lines import Line

BLANK = 0x2800
# Bits of the dots of a cell, (row, column): Unicode 15, chapter 21.1, "Braille Patterns".
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)


def spans(x: NDArray[np.float64], y: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Lowest and highest `y` of a curve in each column of dots, (2, columns); NaN where there is none.

    `x` rises, in columns (0 is the middle of the first one); a column reaches half a column to each side,
    where the curve is interpolated. A sample that is not finite leaves a hole between its neighbours.
    """
    edges = np.arange(columns + 1) - 0.5
    at_edge = np.interp(edges, x, y, left=np.nan, right=np.nan)
    low = np.fmin(at_edge[:-1], at_edge[1:])
    high = np.fmax(at_edge[:-1], at_edge[1:])
    first = np.searchsorted(x, edges)
    has = first[1:] > first[:-1]
    if has.any():
        # Runs of samples, one after another: those of a column end where the next column's begin.
        starts = first[:-1][has]
        inside = y[: first[-1]]
        low[has] = np.fmin(low[has], np.fmin.reduceat(inside, starts))
        high[has] = np.fmax(high[has], np.fmax.reduceat(inside, starts))
    return np.stack((low, high))


class Canvas:
    """`columns` x `rows` cells; dots are counted from the top left, two a cell across and four down."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = max(columns, 0), max(rows, 0)
        self.wide, self.high = 2 * self.columns, 4 * self.rows
        self._layers: dict[str, NDArray[np.int16]] = {}
        self._words: list[tuple[int, int, str, str]] = []

    def curve(self, style: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """A curve through (x, y) in dots, x rising."""
        if len(x) and self.wide and self.high:
            low, high = spans(x, y, self.wide)
            self.band(style, low, high)

    def band(self, style: str, low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
        """Dots from row `low` to row `high` in every column of dots, (wide,) each; NaN draws nothing."""
        if not self.wide or not self.high:
            return
        drawn = np.isfinite(low) & np.isfinite(high)
        first = np.rint(np.where(drawn, low, 0.0))
        last = np.rint(np.where(drawn, high, 0.0))
        drawn &= (last >= 0) & (first < self.high)
        at = np.flatnonzero(drawn)
        layer = self._layer(style)
        # Runs as steps up and down: one cumulative sum fills them all when the canvas is read.
        layer[np.clip(first[at], 0, self.high - 1).astype(np.intp), at] += 1
        layer[np.clip(last[at], 0, self.high - 1).astype(np.intp) + 1, at] -= 1

    def bars(
        self, style: str, x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> None:
        """Upright bars at columns `x` from row `low` to row `high`, one column of dots wide, in any order."""
        kept = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
        column = np.rint(x[kept]).astype(np.intp)
        inside = (column >= 0) & (column < self.wide)
        column, low, high = column[inside], low[kept][inside], high[kept][inside]
        top, end = np.full(self.wide, np.inf), np.full(self.wide, -np.inf)
        np.minimum.at(top, column, low)
        np.maximum.at(end, column, high)
        self.band(style, top, end)

    def vertical(self, style: str, x: float, first: int, last: int, every: int = 1) -> None:
        """A line of dots down column `x`, one dot in `every`."""
        column = round(x)
        if 0 <= column < self.wide:
            layer = self._layer(style)
            begin, end = max(first, 0), min(last + 1, self.high)
            layer[begin:end:every, column] += 1
            layer[begin + 1 : end + 1 : every, column] -= 1

    def horizontal(self, style: str, y: float, first: int, last: int, every: int = 1) -> None:
        """A line of dots along row `y`, one dot in `every`."""
        row = round(y)
        if 0 <= row < self.high:
            layer = self._layer(style)
            at = slice(max(first, 0), max(min(last + 1, self.wide), 0), every)
            layer[row, at] += 1
            layer[row + 1, at] -= 1

    def word(self, column: int, row: int, text: str, style: str) -> None:
        """Letters (of one cell each) over the dots, from cell (column, row) on; what lies outside is cut."""
        if 0 <= row < self.rows and column < self.columns:
            text = text[max(-column, 0) :][: self.columns - max(column, 0)]
            if text:
                self._words.append((max(column, 0), row, text, style))

    def lines(self) -> list[Line]:
        """The picture, as lines of `columns` cells."""
        codes = np.full((self.rows, self.columns), BLANK, dtype=np.uint32)
        top = np.zeros((self.rows, self.columns), dtype=np.uint8)
        styles = [""]
        for style, layer in self._layers.items():
            first, bits = _cells(layer)
            codes[first : first + len(bits)] |= bits
            styles.append(style)
            top[first : first + len(bits)][bits > 0] = len(styles) - 1
        codes[top == 0] = ord(" ")
        for column, row, text, style in self._words:
            if style not in styles:
                styles.append(style)
            end = column + len(text)
            codes[row, column:end] = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
            top[row, column:end] = styles.index(style)
        return [_line(codes[k], top[k], styles) for k in range(self.rows)]

    def _layer(self, style: str) -> NDArray[np.int16]:
        if style not in self._layers:
            self._layers[style] = np.zeros((self.high + 1, self.wide), dtype=np.int16)
        return self._layers[style]


def _cells(layer: NDArray[np.int16]) -> tuple[int, NDArray[np.uint8]]:
    """The bits of each cell of a layer, from the first row of cells on that holds any; and which row that
    is."""
    touched = np.flatnonzero(layer.any(axis=1))
    if not len(touched):
        return 0, np.zeros((0, layer.shape[1] // 2), dtype=np.uint8)
    first, end = touched[0] // 4, -(-touched[-1] // 4)
    dots = (np.cumsum(layer[4 * first : 4 * end], axis=0, dtype=np.int16) > 0).view(np.uint8)
    bits = np.zeros((end - first, layer.shape[1] // 2), dtype=np.uint8)
    for down in range(4):
        for across in range(2):
            bits |= dots[down::4, across::2] * DOTS[down, across]
    return int(first), bits


def _line(codes: NDArray[np.uint32], top: NDArray[np.uint8], styles: list[str]) -> Line:
    text = codes.tobytes().decode("utf-32-le")
    changes = np.flatnonzero(top[1:] != top[:-1]) + 1
    bounds = [0, *changes.tolist(), len(text)]
    return [(text[a:b], styles[top[a]]) for a, b in pairwise(bounds) if b > a]
