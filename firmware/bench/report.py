"""The bench's report as plain values for JSON; `firmware.bench` documents it. Adds nothing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from firmware.bench.run import Row, findings, verdict_of
from firmware.bench.verdicts import Plot, Value, Verdict

SCHEMA = 1


def as_json(rows: Sequence[Row], about: Mapping[str, Any], held: Mapping[str, Any] | None) -> dict[str, Any]:
    """The whole report. `about`: source, options and board; `held`: the machine's rates, or None."""
    counts = {str(verdict): sum(row.verdict is verdict for row in rows) for verdict in Verdict}
    content = {
        "schema": SCHEMA,
        "about": dict(about),
        "verdict": str(verdict_of(rows)),
        "counts": counts,
        "findings": [
            {"item": row.item.name, "verdict": str(row.verdict), "cause": cause.cause, "cure": cause.cure}
            for row, cause in findings(rows)
        ],
        "items": [_item(row) for row in rows],
        "held": None if held is None else dict(held),
    }
    return {key: _finite(value) for key, value in content.items()}


def _item(row: Row) -> dict[str, Any]:
    outcome = row.outcome
    return {
        "name": row.item.name,
        "title": row.item.title,
        "limit": row.item.limit,
        "source": row.item.source,
        "verdict": str(row.verdict),
        "measured": outcome.measured,
        "reason": outcome.reason,
        "note": outcome.note,
        "seconds": round(row.seconds, 3),
        "values": [_value(value) for value in outcome.values],
        "causes": [asdict(cause) for cause in outcome.causes],
        "plots": [_plot(plot) for plot in outcome.plots],
    }


def _value(value: Value) -> dict[str, Any]:
    return {
        "what": value.what,
        "measured": value.measured,
        "unit": value.unit,
        "low": value.low,
        "high": value.high,
        "verdict": str(value.verdict),
    }


def _plot(plot: Plot) -> dict[str, Any]:
    return {
        "title": plot.title,
        "x_label": plot.x_label,
        "y_label": plot.y_label,
        "series": [{"name": line.name, "x": list(line.x), "y": list(line.y)} for line in plot.series],
    }


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: null says that it was no number."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
