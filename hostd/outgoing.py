"""What the pipeline says: a topic, its fields and the sample index it speaks for; the bus adds the rest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message before it is numbered and encoded; ndarray values become buffers."""

    topic: str
    index: int
    fields: Mapping[str, Any]


def finite(value: float) -> float | None:
    """A number as the bus takes it: null for what is none."""
    return float(value) if math.isfinite(value) else None


def event(index: int, text: str, kind: str, author: str, **more: Any) -> Outgoing:
    """A moment that is told: `test` it is of ("" none), numbers (`values`) that came with it."""
    fields = {"text": text, "kind": kind, "author": author, "test": "", "values": {}}
    return Outgoing("event", index, fields | more)
