"""The report as one page of HTML: inline SVG and CSS, no script, nothing fetched, every text escaped.

Prints on A4.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from hostd.export.document import (
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

STYLE = """
@page { size: A4; margin: 14mm 13mm 16mm; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 24px 40px; max-width: 748px; color: #1a1d21; background: #fff;
  font: 13px/1.45 system-ui, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
.kind { margin: 0; color: #6b7280; font-size: 12px; letter-spacing: .04em; text-transform: uppercase; }
h1 { margin: 2px 0 10px; font-size: 25px; line-height: 1.2; font-weight: 650; }
h2 { margin: 26px 0 8px; padding-bottom: 4px; border-bottom: 1.5px solid #1a1d21; font-size: 16px; }
h3 { margin: 24px 0 2px; font-size: 14.5px; }
p { margin: 4px 0 8px; }
dl { display: grid; grid-template-columns: 130px 1fr; gap: 2px 14px; margin: 10px 0 0; }
dt { color: #6b7280; } dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; margin: 6px 0 10px; border-collapse: collapse; font-size: 12px;
  font-variant-numeric: tabular-nums; table-layout: fixed; }
th { padding: 4px 8px 4px 0; border-bottom: 1px solid #9aa1aa; color: #4b5563; text-align: left;
  font-weight: 600; vertical-align: bottom; }
td { padding: 3px 8px 3px 0; border-bottom: 1px solid #e7eaee; vertical-align: top; overflow-wrap: anywhere; }
.r { text-align: right; }
figure { margin: 8px 0 6px; } svg { display: block; width: 100%; height: auto; }
figcaption, .quiet { color: #6b7280; } .good { color: #1b7f4b; }
p.warn, p.bad { padding: 6px 10px; border-left: 3px solid; background: #fdf6ec; }
.warn { color: #9a5b00; } .bad { color: #b3261e; font-weight: 600; } p.bad { background: #fdf0ef; }
footer { margin-top: 30px; padding-top: 8px; border-top: 1px solid #dfe3e8; color: #6b7280; font-size: 11px; }
thead { display: table-header-group; } tr, figure, h2, h3, dl { break-inside: avoid; }
h2, h3, h3 + p { break-after: avoid; }
@media print { body { padding: 0; max-width: none; font-size: 11px; } table { font-size: 10px; } }
"""
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
"""


def write_file(record: Record, out: Path, tests: tuple[str, ...], identity: Identity | None) -> None:
    """The page at `out`; raises RecordingError, OSError."""
    out.write_text(page(report(record, tests, identity)), encoding="utf-8")


def page(made: Report) -> str:
    """A report as a page."""
    name = next((b.text for b in made.blocks if isinstance(b, Heading)), made.title)
    parts = [
        HEAD,
        f"<title>{escape(f'{name}: {made.title}')}</title>\n<style>{STYLE}</style></head>\n<body>\n",
    ]
    parts.append(f'<p class="kind">{escape(made.title)}</p>\n')
    parts += [_block(block) + "\n" for block in made.blocks]
    parts.append(f"<footer>{escape(made.footer)}</footer>\n</body></html>\n")
    return "".join(parts)


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
        case Paragraph():
            return f'<p class="{_tone(block.tone)}">{escape(block.text)}</p>'
        case Facts():
            return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in block.pairs)}</dl>"
        case Table():
            return "".join(_table(block))
        case Figure():
            caption = f"<figcaption>{escape(block.caption)}</figcaption>" if block.caption else ""
            return f"<figure>{svg(block.drawing)}{caption}</figure>"


def _table(table: Table) -> Iterator[str]:
    whole = sum(table.widths)
    yield "<table><colgroup>"
    yield from (f'<col style="width:{100 * w / whole:.1f}%">' for w in table.widths)
    yield "</colgroup><thead><tr>"
    yield from (f"<th{_side(a)}>{escape(c)}</th>" for c, a in zip(table.columns, table.align, strict=True))
    yield "</tr></thead><tbody>\n"
    tones = table.tones or ("plain",) * len(table.rows)
    for row, tone in zip(table.rows, tones, strict=True):
        yield f'<tr class="{_tone(tone)}">' if tone != "plain" else "<tr>"
        yield from (f"<td{_side(a)}>{escape(cell)}</td>" for cell, a in zip(row, table.align, strict=True))
        yield "</tr>\n"
    yield "</tbody></table>"


def _side(align: str) -> str:
    return ' class="r"' if align == "r" else ""


def _tone(tone: str) -> str:
    return tone if tone in TONES else "plain"


def svg(drawing: Drawing) -> str:
    """A drawing as inline SVG."""
    size = f"{drawing.width:g} {drawing.height:g}"
    marks = "".join(map(_mark, drawing.marks))
    return f'<svg viewBox="0 0 {size}" role="img" aria-label="{escape(drawing.label)}">{marks}</svg>'


def _mark(mark: Mark) -> str:
    match mark:
        case Line():
            dash = f' stroke-dasharray="{" ".join(f"{d:g}" for d in mark.dash)}"' if mark.dash else ""
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
            look = f'stroke="{mark.colour}" stroke-width="{mark.width:g}" stroke-linejoin="round"{dash}'
            return f'<polyline points="{points}" fill="none" {look}/>'
        case Label():
            bold = ' font-weight="600"' if mark.bold else ""
            look = f'font-size="{mark.size:g}" text-anchor="{mark.anchor}" fill="{mark.colour}"{bold}'
            return f'<text x="{mark.x:.1f}" y="{mark.y:.1f}" {look}>{escape(mark.text)}</text>'
        case Box():
            size = f'width="{mark.width:.1f}" height="{mark.height:.1f}"'
            return f'<rect x="{mark.x:.1f}" y="{mark.y:.1f}" {size} fill="{mark.colour}"/>'
        case Dot():
            fill = f'fill="{mark.colour}"' if mark.filled else f'fill="none" stroke="{mark.colour}"'
            return f'<circle cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="{mark.radius:g}" {fill}/>'
