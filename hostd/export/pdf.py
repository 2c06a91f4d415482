"""The report as a PDF on A4: text as text, traces as vectors. Needs fpdf2, of the extra `export`.

Letters beyond Latin-1 need a font of the system (DejaVu Sans); without it they become question marks.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hostd.errors import UsageError
from hostd.export.document import (
    GREY,
    INK,
    LIGHT,
    TONES,
    Block,
    Box,
    Dot,
    Drawing,
    Facts,
    Figure,
    Heading,
    Label,
    Line,
    Mark,
    Paragraph,
    Report,
    Table,
)
from hostd.export.identity import Identity
from hostd.export.record import Record
from hostd.export.report import report

if TYPE_CHECKING:
    from fpdf import FPDF

MISSING = "--to pdf needs fpdf2, which is not installed; pip install 'evokd[export]', or export html"
FONTS = Path("/usr/share/fonts/truetype/dejavu")
MARGIN_MM = 14.0
FOOT_MM = 14.0
POINTS_PER_MM = 72 / 25.4
_SIZES = {1: 18.0, 2: 12.5, 3: 11.0}


def write_file(record: Record, out: Path, tests: tuple[str, ...], identity: Identity | None) -> None:
    """The PDF at `out`. Raises UsageError without fpdf2; RecordingError, OSError."""
    try:
        import fpdf
    except ImportError:
        raise UsageError(MISSING) from None
    made = report(record, tests, identity)

    class Page(fpdf.FPDF):
        """A4 with the report's foot on every page."""

        def footer(self) -> None:
            """The case, and the page's number."""
            self.set_y(-FOOT_MM)
            self.set_font(family, size=7.5)
            self.set_text_color(*_rgb(GREY))
            self.cell(0, 5, clean(made.footer))
            self.set_x(MARGIN_MM)
            self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="R")

    pdf = Page(format="A4")
    family, clean = _font(pdf)
    pdf.set_title(clean(made.title))
    pdf.set_creator("evokd")
    pdf.set_margin(MARGIN_MM)
    pdf.set_auto_page_break(True, FOOT_MM + 3)
    pdf.add_page()
    _Writer(pdf, family, clean).write(made)
    pdf.output(str(out))


def _font(pdf: "FPDF") -> tuple[str, Any]:
    """The family to write with, and what makes text fit for it."""
    regular, bold = FONTS / "DejaVuSans.ttf", FONTS / "DejaVuSans-Bold.ttf"
    if regular.is_file() and bold.is_file():
        pdf.add_font("Report", fname=regular)
        pdf.add_font("Report", "B", fname=bold)
        return "Report", str
    return "helvetica", _latin


def _latin(text: str) -> str:
    plain = text.replace("\N{MINUS SIGN}", "-").replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
    return (
        plain.replace("\N{GREEK CAPITAL LETTER OMEGA}", "Ohm").encode("latin-1", "replace").decode("latin-1")
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


class _Writer:
    """Puts blocks on pages; one thread."""

    def __init__(self, pdf: "FPDF", family: str, clean: Any) -> None:
        self._pdf, self._family, self._clean = pdf, family, clean

    def write(self, made: Report) -> None:
        """All blocks in order."""
        self._text(made.title, 8.5, GREY)
        for k, block in enumerate(made.blocks):
            if isinstance(block, Heading):
                self._room(block, made.blocks[k + 1 :])
            self._block(block)

    def _room(self, heading: Heading, behind: tuple[Block, ...]) -> None:
        """A heading stays with what follows it."""
        figure = next((b for b in behind[:2] if isinstance(b, Figure)), None)
        needed_mm = 28.0
        if figure is not None:
            needed_mm += min(self._scale(figure.drawing) * figure.drawing.height, 200.0)
        if self._pdf.will_page_break(needed_mm):
            self._pdf.add_page()
        elif heading.level > 1:
            self._pdf.ln(4 if heading.level == 2 else 3)

    def _block(self, block: Block) -> None:
        pdf = self._pdf
        match block:
            case Heading():
                self._text(block.text, _SIZES[block.level], INK, bold=True)
                if block.level == 2:
                    pdf.set_draw_color(*_rgb(INK))
                    pdf.set_line_width(0.3)
                    pdf.line(MARGIN_MM, pdf.y + 0.5, pdf.w - MARGIN_MM, pdf.y + 0.5)
                    pdf.ln(2)
            case Paragraph():
                self._text(block.text, 8.5, TONES.get(block.tone, INK), block.tone == "bad")
                pdf.ln(1)
            case Facts():
                for name, value in block.pairs:
                    pdf.set_font(self._family, size=8.5)
                    pdf.set_text_color(*_rgb(GREY))
                    pdf.cell(32, 4.6, self._clean(name))
                    pdf.set_text_color(*_rgb(INK))
                    pdf.multi_cell(0, 4.6, self._clean(value), align="L", new_x="LMARGIN", new_y="NEXT")
            case Table():
                self._table(block)
            case Figure():
                self._figure(block)

    def _text(self, text: str, size: float, colour: str, bold: bool = False) -> None:
        self._pdf.set_font(self._family, "B" if bold else "", size)
        self._pdf.set_text_color(*_rgb(colour))
        height_mm = size * 0.48
        self._pdf.multi_cell(0, height_mm, self._clean(text), align="L", new_x="LMARGIN", new_y="NEXT")

    def _table(self, table: Table) -> None:
        from fpdf.enums import TableBordersLayout
        from fpdf.fonts import FontFace

        pdf = self._pdf
        pdf.set_font(self._family, size=7.5)
        pdf.set_text_color(*_rgb(INK))
        pdf.set_draw_color(*_rgb(LIGHT))
        pdf.set_line_width(0.15)
        with pdf.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            col_widths=tuple(table.widths),
            text_align=tuple("RIGHT" if a == "r" else "LEFT" for a in table.align),
            headings_style=FontFace(emphasis="BOLD", color=_rgb("#4b5563")),
            line_height=4.0,
            padding=(0.5, 1.0, 0.5, 0.0),
        ) as made:
            made.row([self._clean(column) for column in table.columns])
            for row, tone in zip(table.rows, table.tones or ("plain",) * len(table.rows), strict=True):
                style = FontFace(color=_rgb(TONES.get(tone, INK)), emphasis="BOLD" if tone == "bad" else None)
                made.row([self._clean(cell) for cell in row], style=style)
        pdf.ln(2)

    def _figure(self, figure: Figure) -> None:
        """A drawing, on the next page where this one has no room; a taller one is made to fit a page."""
        pdf, scale = self._pdf, self._scale(figure.drawing)
        height_mm = figure.drawing.height * scale
        if pdf.will_page_break(height_mm):
            pdf.add_page()
        left, top = pdf.l_margin, pdf.y + 1
        with pdf.local_context():
            for mark in figure.drawing.marks:
                self._mark(mark, left, top, scale)
        pdf.set_xy(pdf.l_margin, top + height_mm)
        if figure.caption:
            self._text(figure.caption, 7.5, GREY)

    def _scale(self, drawing: Drawing) -> float:
        """Millimetres per unit."""
        return float(min(self._pdf.epw / drawing.width, (self._pdf.eph - 4) / drawing.height))

    def _mark(self, mark: Mark, left: float, top: float, scale: float) -> None:
        pdf = self._pdf
        match mark:
            case Line():
                pdf.set_draw_color(*_rgb(mark.colour))
                pdf.set_line_width(mark.width * scale)
                pdf.set_dash_pattern(*(d * scale for d in mark.dash[:2]))
                pdf.polyline([(left + x * scale, top + y * scale) for x, y in mark.points])
                pdf.set_dash_pattern()
            case Label():
                pdf.set_font(self._family, "B" if mark.bold else "", mark.size * scale * POINTS_PER_MM)
                pdf.set_text_color(*_rgb(mark.colour))
                text = self._clean(mark.text)
                share = {"start": 0.0, "middle": 0.5, "end": 1.0}[mark.anchor]
                x = left + mark.x * scale - share * pdf.get_string_width(text)
                pdf.text(x, top + mark.y * scale, text)
            case Box():
                pdf.set_fill_color(*_rgb(mark.colour))
                pdf.rect(
                    left + mark.x * scale, top + mark.y * scale, mark.width * scale, mark.height * scale, "F"
                )
            case Dot():
                pdf.set_fill_color(*_rgb(mark.colour))
                pdf.set_draw_color(*_rgb(mark.colour))
                pdf.set_line_width(scale)
                style = "F" if mark.filled else "D"
                pdf.circle(left + mark.x * scale, top + mark.y * scale, mark.radius * scale, style)
