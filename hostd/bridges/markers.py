"""What happened in a case as one line of text each: a label, a space, the particulars as a JSON map.

The label is of few kinds and without spaces (`stim/left_median`, `alert/high/raised`), so that tools that
epoch by name need not read JSON. Refuses to carry who said something: LSL is open to everybody near.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hostd.bridges.raw_rows import Missing
from hostd.wire import Message

TOPICS = ("stim", "event", "alert")
STIM = ("site", "line", "verified", "number", "pulse", "lag_samples", "commanded_ma", "current_ma", "index")
EVENT = ("text", "test", "values", "index")
ALERT = ("id", "test", "kind", "priority", "state", "cause", "text", "index")
MOST = 2000
"""Characters of a text; what is longer is cut, with an ellipsis."""


def marker(message: Message) -> str | None:
    """The line for a message of `TOPICS`, None for any other."""
    told = message.header
    match message.topic:
        case "stim":
            return line(("stim", told.get("test") or f"line{told.get('line')}"), _only(told, STIM))
        case "event" if told.get("kind") in ("test.start", "test.stop"):
            return line((told["kind"], told.get("test")), _only(told, EVENT))
        case "event":
            return line(("event", told.get("kind")), _only(told, EVENT))
        case "alert":
            return line(("alert", told.get("priority"), told.get("state")), _only(told, ALERT))
    return None


def gap(hole: Missing) -> str:
    """The line for samples that are missing, at the time of the first sample behind them."""
    told = {"first_index": hole.first_index, "samples": hole.samples, "lost_by": hole.lost_by}
    return line(("bridge", "gap"), told)


def line(label: Iterable[object], told: Mapping[str, Any]) -> str:
    """`label` joined by slashes, then `told`."""
    words = "/".join(re.sub(r"\s+", "_", str(word)) or "-" for word in label)
    return f"{words} {json.dumps(told, ensure_ascii=False, separators=(',', ':'), default=str)}"


def _only(header: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: _short(header[key]) for key in keys if header.get(key) is not None}


def _short(value: Any) -> Any:
    return value[: MOST - 1] + "…" if isinstance(value, str) and len(value) > MOST else value
