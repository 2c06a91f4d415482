"""The document as Markdown, and as plain values for JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import msgspec

from hostd.export.document import Block, Facts, Heading, Paragraph, Report, Table
from tests.safety import limit_table
from tests.safety.matrix import controls_of
from tests.safety.whole import Whole


def page(report: Report) -> str:
    """One page of GitHub's Markdown."""
    return "\n\n".join(text for block in report.blocks for text in _block(block)) + f"\n\n{report.footer}\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            yield f"{'#' * block.level} {_text(block.text)}"
        case Paragraph():
            yield f"**{_text(block.text)}**" if block.tone == "bad" else _text(block.text)
        case Facts():
            yield "\n".join(f"- {_text(name)}: {_text(value)}" for name, value in block.pairs)
        case Table():
            yield "\n".join(_table(block))


def _table(table: Table) -> Iterator[str]:
    yield _row(table.columns)
    yield _row(tuple("---:" if side == "r" else "---" for side in table.align))
    for row in table.rows:
        yield _row(tuple(map(_cell, row)))


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|").replace("\n\n", "<br>").replace("\n", "<br>")


def _text(text: str) -> str:
    """What would be Markdown or HTML in a text is the text."""
    for sign in ("\\", "`", "*", "_", "<", "["):
        text = text.replace(sign, f"\\{sign}")
    return text


def values(whole: Whole) -> dict[str, Any]:
    """The same as plain values: what another tool reads."""
    columns, rows = limit_table.by_kind()
    return {
        "version": whole.version,
        "units": [
            {
                "name": unit.name,
                "class": unit.grade,
                "why": unit.why,
                "modules": sorted(path for path, name in whole.split.unit_of.items() if name == unit.name),
                "imports": list(whole.split.leans.get(unit.name, ())),
            }
            for unit in whole.units.unit
        ],
        "hazards": [
            {
                "id": hazard.id,
                "hazard": hazard.hazard,
                "sequence": hazard.sequence,
                "harm": hazard.harm,
                "severity": hazard.severity,
                "controls": [one.id for one in hazard.control],
            }
            for hazard in whole.hazards.hazard
        ],
        "controls": [
            {
                "id": one.id,
                "what": one.what,
                "modules": list(one.modules),
                "gap": one.gap or None,
                "tests": [proof.node for proof in whole.matrix.proofs[one.id]],
            }
            for one in controls_of(whole.hazards)
        ],
        "interlocks": [
            {"name": one.name, "rule": one.rule, "controls": list(one.controls)}
            for one in whole.hazards.interlock
        ],
        "threats": [
            {
                "id": one.id,
                "interface": interface.name,
                "stride": one.stride,
                "threat": one.threat,
                "controls": list(one.controls),
                "open": one.open or None,
            }
            for interface in whole.threats.interface
            for one in interface.threat
        ],
        "limits": {"columns": list(columns), "rows": [list(row) for row in rows]},
        "soup": [
            {
                "name": one.soup.name,
                "version": one.version,
                "scope": one.scope,
                "purpose": one.soup.purpose,
                "failure": one.soup.failure,
                "anomalies": list(one.soup.anomalies),
                "users": list(one.users),
            }
            for one in whole.used
        ],
        "anomalies": [asdict(one) for one in (*whole.gaps, *whole.open, *whole.rig)],
        "vulnerabilities": json.loads(msgspec.json.encode(whole.vulnerabilities)),
        "run": whole.ran or None,
    }
