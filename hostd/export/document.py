"""What a report is made of, whatever shows it: headings, facts, tables, paragraphs and drawings of marks.

Drawings are in units of one CSS pixel, y downwards, PAGE_WIDTH wide at most. Colours are hex.
"""

from dataclasses import dataclass, field

PAGE_WIDTH = 700.0
INK, GREY, LIGHT, PAPER = "#1a1d21", "#6b7280", "#dfe3e8", "#ffffff"
NOW, BEFORE, WORST = "#0b4f9e", "#8a929c", "#c2410c"
BAD, WARN, GOOD = "#b3261e", "#9a5b00", "#1b7f4b"
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points."""

    points: tuple[Point, ...]
    colour: str = INK
    width: float = 1.0
    dash: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    """Text whose baseline starts, centres or ends (`anchor`) at a point."""

    x: float
    y: float
    text: str
    size: float = 9.0
    anchor: str = "start"
    colour: str = INK
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: str = LIGHT


@dataclass(frozen=True, slots=True)
class Dot:
    """A disc, or a ring where it is not `filled`."""

    x: float
    y: float
    radius: float
    colour: str = INK
    filled: bool = True


Mark = Line | Label | Box | Dot


@dataclass(slots=True)
class Drawing:
    """Marks in order; `label` says what it shows to who cannot see it."""

    width: float
    height: float
    label: str
    marks: list[Mark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Heading:
    """`level` 1 is the title, 2 a section, 3 a test."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """`tone`: plain, quiet, warn, bad or good."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`widths` are shares; `align` one letter a column, l or r; `tones` one a row, or none."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]
    align: str
    tones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing and what is to be said of it."""

    drawing: Drawing
    caption: str = ""


Block = Heading | Paragraph | Facts | Table | Figure


@dataclass(frozen=True, slots=True)
class Report:
    """The whole of it."""

    title: str
    footer: str
    blocks: tuple[Block, ...]


TONES = {"plain": INK, "quiet": GREY, "warn": WARN, "bad": BAD, "good": GOOD}
