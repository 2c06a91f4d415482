"""Lines of styled text: what all views are made of. Pure; knows how wide a text is on a terminal.

A span is (text, style), a style a name of `theme`; a line is a list of spans.
"""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
Line = list[Span]


def width_of(line: Iterable[Span]) -> int:
    """Cells that a line takes."""
    return sum(cell_len(text) for text, _ in line)


def plain_text(line: Iterable[Span]) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line)


def cut(text: str, cells: int) -> str:
    """`text` in at most so many cells, with an ellipsis where something is missing."""
    if cells <= 0:
        return ""
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…"


def fit(line: Iterable[Span], cells: int, fill: str = "") -> Line:
    """A line of exactly so many cells: cut, or filled with spaces of style `fill`."""
    made: Line = []
    left = cells
    for text, style in line:
        wide = cell_len(text)
        if wide > left:
            if left > 0:
                made.append((cut(text, left), style))
            left -= cell_len(made[-1][0]) if made and left > 0 else 0
            break
        made.append((text, style))
        left -= wide
    if left > 0:
        made.append((" " * left, fill))
    return made


def apart(left: Line, right: Line, cells: int, fill: str = "") -> Line:
    """Two lines in one, at its two ends; the right one keeps its place."""
    right = fit(right, min(width_of(right), cells), fill)
    room = cells - width_of(right)
    return fit(left, room, fill) + right


def beside(blocks: Sequence[tuple[list[Line], int]], height: int, gap: int = 1) -> list[Line]:
    """Blocks (lines, cells) side by side, each of `height` lines."""
    rows: list[Line] = []
    for k in range(height):
        row: Line = []
        for at, (lines, cells) in enumerate(blocks):
            if at:
                row.append((" " * gap, ""))
            row += fit(lines[k] if k < len(lines) else [], cells)
        rows.append(row)
    return rows


def wrapped(text: str, cells: int, most: int) -> list[str]:
    """`text` broken at spaces into at most `most` lines, the last cut with an ellipsis."""
    if cells <= 0 or most <= 0:
        return []
    rows: list[str] = []
    rest = text.strip()
    while rest and len(rows) < most:
        if cell_len(rest) <= cells:
            rows.append(rest)
            break
        if len(rows) == most - 1:
            rows.append(cut(rest, cells))
            break
        head = set_cell_size(rest, cells)
        at = head.rfind(" ") if rest[len(head.rstrip()) :][:1] != " " else len(head)
        at = at if at > cells // 3 else len(head)
        rows.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    return rows


def padded(lines: list[Line], height: int) -> list[Line]:
    """Exactly `height` lines."""
    return (lines + [[] for _ in range(height - len(lines))])[:height] if height > 0 else []
