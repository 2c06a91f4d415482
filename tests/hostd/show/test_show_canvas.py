"""The braille canvas: every dot against a slow twin that asks each dot by itself."""

import numpy as np
import pytest

from hostd.show.canvas import BLANK, Canvas
from hostd.show.lines import plain_text

BITS = {
    (0, 0): 0x01,
    (1, 0): 0x02,
    (2, 0): 0x04,
    (0, 1): 0x08,
    (1, 1): 0x10,
    (2, 1): 0x20,
    (3, 0): 0x40,
    (3, 1): 0x80,
}


def dots_of(canvas: Canvas) -> set[tuple[int, int]]:
    found = set()
    for row, line in enumerate(canvas.lines()):
        for column, letter in enumerate(plain_text(line)):
            bits = 0 if letter == " " else ord(letter) - BLANK
            assert 0 <= bits < 256
            found |= {(4 * row + r, 2 * column + c) for (r, c), bit in BITS.items() if bits & bit}
    return found


def naive_curve(x: list[float], y: list[float], wide: int, high: int) -> set[tuple[int, int]]:
    """In every column: from the lowest to the highest of what the curve is there, its ends interpolated."""
    found = set()
    for column in range(wide):
        left, right = column - 0.5, column + 0.5
        here = [b for a, b in zip(x, y, strict=True) if left <= a < right]
        for edge in (left, right):
            for k in range(len(x) - 1):
                if x[k] <= edge <= x[k + 1]:
                    share = (edge - x[k]) / (x[k + 1] - x[k])
                    here.append(y[k] + share * (y[k + 1] - y[k]))
                    break
        here = [b for b in here if np.isfinite(b)]
        if here:
            first, last = round(min(here)), round(max(here))
            found |= {(row, column) for row in range(max(first, 0), min(last, high - 1) + 1)}
    return found


@pytest.mark.parametrize("samples", [3, 17, 40, 400])
def test_a_curve_has_the_dots_of_its_twin(samples: int) -> None:
    rng = np.random.default_rng(samples)
    canvas = Canvas(20, 6)
    x = np.sort(rng.uniform(-3, 42, samples))
    y = rng.normal(12, 9, samples)  # some of it lies outside
    canvas.curve("a", x, y)
    assert dots_of(canvas) == naive_curve(x.tolist(), y.tolist(), canvas.wide, canvas.high)


def test_a_curve_has_no_break_and_loses_no_peak_between_columns() -> None:
    canvas = Canvas(10, 4)
    x = np.linspace(0, 19, 2000)
    y = np.full(2000, 12.0)
    y[1000] = 1.0  # one sample of a hundred in its column
    canvas.curve("a", x, y)
    dots = dots_of(canvas)
    assert {column for _, column in dots} == set(range(20))
    assert min(row for row, _ in dots) == 1


def test_what_is_not_finite_is_a_hole() -> None:
    canvas = Canvas(10, 2)
    y = np.full(20, 3.0)
    y[8:12] = np.nan
    canvas.curve("a", np.arange(20.0), y)
    columns = {column for _, column in dots_of(canvas)}
    assert columns == set(range(20)) - {8, 9, 10, 11}


def test_the_topmost_layer_gives_the_colour_and_all_give_their_dots() -> None:
    canvas = Canvas(2, 1)
    canvas.horizontal("under", 0, 0, 3)
    canvas.horizontal("over", 3, 0, 1)
    assert canvas.lines() == [[("⣉", "over"), ("⠉", "under")]]


def test_words_stand_over_dots_and_are_cut_at_the_edges() -> None:
    canvas = Canvas(6, 2)
    canvas.horizontal("a", 0, 0, 11)
    canvas.word(4, 0, "N20", "peak")
    canvas.word(-1, 1, "abc", "peak")
    canvas.word(0, 7, "nowhere", "peak")
    canvas.word(9, 0, "nowhere", "peak")
    assert [plain_text(line) for line in canvas.lines()] == ["⠉⠉⠉⠉N2", "bc    "]


def test_lines_and_bars_lie_where_they_are_put() -> None:
    canvas = Canvas(3, 2)
    canvas.vertical("a", 1, 1, 6, 2)
    canvas.vertical("a", 99, 0, 7)
    canvas.horizontal("a", -3, 0, 5)
    canvas.bars(
        "a", np.array([4.0, 4.0, np.nan, 40.0]), np.array([5.0, 2.0, 0, 0]), np.array([6.0, 2.0, 1, 1])
    )
    assert dots_of(canvas) == {(1, 1), (3, 1), (5, 1)} | {(row, 4) for row in range(2, 7)}


@pytest.mark.parametrize("size", [(0, 0), (0, 3), (3, 0), (1, 1)])
def test_no_size_is_too_small(size: tuple[int, int]) -> None:
    canvas = Canvas(*size)
    canvas.curve("a", np.arange(5.0), np.arange(5.0))
    canvas.bars("a", np.arange(2.0), np.zeros(2), np.ones(2))
    canvas.vertical("a", 0, 0, 9)
    canvas.horizontal("a", 0, 0, 9)
    canvas.word(0, 0, "x", "a")
    assert len(canvas.lines()) == size[1]
