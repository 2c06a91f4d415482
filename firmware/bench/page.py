"""The bench's page: one HTML file without anything from outside, for screen, print and the archive.

Pure text; whatever comes from chips or options is escaped. Light and dark follow the reader's setting.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from firmware.bench.plots import as_svg, legend
from firmware.bench.run import Row, findings, verdict_of
from firmware.bench.verdicts import Value, Verdict

_STYLE = """
:root{--bg:#fbfbf9;--panel:#fff;--ink:#1c2126;--soft:#5d6770;--line:#dcdfe2;--pass:#1f7a44;--warn:#9a6200;
--fail:#b3261e;--skipped:#68727c;--c0:#1f6fb4;--c1:#c2571a;--c2:#2a8a57;--c3:#8a4fb0;--c4:#b0304f;
--c5:#0d8a96;
--c6:#8a7410;--c7:#5b6470}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--panel:#1c2024;--ink:#e6e8ea;--soft:#9aa4ad;
--line:#343a41;
--pass:#62c98a;--warn:#e6b04a;--fail:#ff8a80;--skipped:#9aa4ad;--c0:#6cb2ee;--c1:#f19a63;--c2:#6fcf9a;
--c3:#c79aea;
--c4:#f07f9b;--c5:#5fcbd6;--c6:#d8c05a;--c7:#aeb7bf}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:32px 0 10px}
.head{display:flex;flex-wrap:wrap;gap:8px 18px;align-items:baseline;border-bottom:2px solid var(--line);
padding-bottom:14px}
.head .sum{color:var(--soft)}
.badge{font-weight:650;text-transform:uppercase;font-size:.78rem;letter-spacing:.04em;white-space:nowrap}
.head .badge{font-size:1rem}
.pass{color:var(--pass)}.warn{color:var(--warn)}.fail{color:var(--fail)}.skipped{color:var(--skipped)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:14px 0 0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.finding{background:var(--panel);border:1px solid var(--line);border-left:4px solid var(--fail);
border-radius:6px;
padding:10px 14px;margin:8px 0}
.finding.warn{border-left-color:var(--warn);color:inherit}.finding p{margin:0}
.finding .cure{color:var(--soft)}
.scroll{overflow-x:auto;background:var(--panel);border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:7px 12px;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;font-size:.85rem}tr:last-child td{border-bottom:0}
td.num{text-align:right;white-space:nowrap}
td small{color:var(--soft);display:block}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:14px}
figure{margin:0;background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:12px 14px}
figcaption{font-weight:600;margin-bottom:6px}
svg{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font-size:11px;font-family:inherit}svg .note{font-size:10px;fill:var(--ink);
paint-order:stroke;stroke:var(--panel);stroke-width:3px}
svg .grid{stroke:var(--line);stroke-width:1}svg .limit{stroke:var(--fail);stroke-dasharray:5 4}
svg .mark{stroke:var(--soft);stroke-dasharray:2 3}
svg polyline{fill:none;stroke-width:1.5;stroke-linejoin:round}
.legend{margin:6px 0 0;display:flex;flex-wrap:wrap;gap:2px 14px;color:var(--soft);font-size:.82rem}
.legend i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:5px}
details{background:var(--panel);border:1px solid var(--line);border-radius:6px;margin:6px 0}
summary{cursor:pointer;padding:8px 14px;display:flex;gap:12px;align-items:baseline}
summary .what{font-weight:600}summary .found{color:var(--soft)}
details table{font-size:.9rem}details p{margin:4px 14px 10px;color:var(--soft)}
@media print{:root{--bg:#fff;--panel:#fff;--ink:#000;--soft:#444;--line:#bbb}body{font-size:10pt}
main{max-width:none;padding:0}figure,.finding,tr{break-inside:avoid}.scroll{overflow:visible}
details{border:0}details::details-content{content-visibility:visible;display:block}}
"""


def _colours() -> str:
    return "".join(
        f"svg polyline.c{k}{{stroke:var(--c{k})}}svg rect.c{k},svg circle.c{k}{{fill:var(--c{k})}}"
        f".legend .c{k}{{background:var(--c{k})}}"
        for k in range(8)
    )


def as_html(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """The whole page. `about`: what is in the report under the same key."""
    verdict = verdict_of(rows)
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>Bench: {escape(verdict)}</title><style>{_STYLE}{_colours()}</style></head><body><main>",
            f'<header class="head"><h1>Hardware bench</h1>{_badge(verdict)}',
            f'<span class="sum">{escape(_summary(rows))}</span></header>',
            _about(about),
            _findings(rows),
            f"<h2>Items</h2>{_table(rows)}",
            _plots(rows),
            f"<h2>Every value</h2>{''.join(_values(row) for row in rows if row.outcome.values)}",
            "</main></body></html>\n",
        ]
    )


def _badge(verdict: Verdict) -> str:
    return f'<span class="badge {verdict}">{verdict}</span>'


def _summary(rows: Sequence[Row]) -> str:
    counts = {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}
    return ", ".join(f"{n} {verdict}" for verdict, n in reversed(counts.items()) if n)


def _about(about: Mapping[str, Any]) -> str:
    lines = []
    for key, value in about.items():
        if isinstance(value, Mapping):
            value = ", ".join(str(part) for part in value.values())
        elif isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        if value not in ("", None):
            lines.append(f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{escape(str(value))}</dd>")
    return f"<dl>{''.join(lines)}</dl>"


def _findings(rows: Sequence[Row]) -> str:
    found = findings(rows)
    if not found:
        return ""
    parts = [
        f'<div class="finding {row.verdict}"><p><strong>{escape(cause.cause)}</strong></p>'
        f'<p class="cure">{escape(row.item.title)}: {escape(cause.cure)}</p></div>'
        for row, cause in found
    ]
    return f"<h2>What is wrong, first cause first</h2>{''.join(parts)}"


def _table(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        outcome = row.outcome
        found = outcome.reason if row.verdict is Verdict.SKIPPED else outcome.measured
        note = f"<small>{escape(outcome.note)}</small>" if outcome.note else ""
        lines.append(
            f"<tr><td>{escape(row.item.title)}</td><td>{escape(found)}{note}</td>"
            f"<td>{escape(row.item.limit).replace('+-', '±')}<small>{escape(row.item.source)}</small></td>"
            f"<td>{_badge(row.verdict)}</td></tr>"
        )
    head = "<tr><th>item</th><th>measured</th><th>limit</th><th>verdict</th></tr>"
    return f'<div class="scroll"><table>{head}{"".join(lines)}</table></div>'


def _plots(rows: Sequence[Row]) -> str:
    figures = [
        f"<figure><figcaption>{escape(plot.title)}</figcaption>{as_svg(plot)}{legend(plot)}</figure>"
        for row in rows
        for plot in row.outcome.plots
    ]
    return f'<h2>Plots</h2><div class="plots">{"".join(figures)}</div>' if figures else ""


def _values(row: Row) -> str:
    lines = "".join(_value(value) for value in row.outcome.values)
    head = "<tr><th>value</th><th>measured</th><th>limits</th><th>verdict</th></tr>"
    opened = " open" if row.verdict is Verdict.FAIL else ""
    return (
        f'<details{opened}><summary>{_badge(row.verdict)}<span class="what">{escape(row.item.title)}</span>'
        f'<span class="found">{escape(row.outcome.measured)}</span></summary>'
        f"<table>{head}{lines}</table></details>"
    )


def _value(value: Value) -> str:
    low, high = value.low, value.high
    if low is not None and low == high:
        limits = f"exactly {low:.6g}"
    elif low is not None and high is not None:
        limits = f"{low:.6g} to {high:.6g}"
    else:
        limits = (
            f"at least {low:.6g}" if low is not None else f"at most {high:.6g}" if high is not None else ""
        )
    return (
        f'<tr><td>{escape(value.what)}</td><td class="num">{value.measured:.6g} {escape(value.unit)}</td>'
        f"<td>{escape(limits)}</td><td>{_badge(value.verdict)}</td></tr>"
    )
