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
