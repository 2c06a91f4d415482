"""What the pipeline says: a topic, its fields and the sample index it speaks for; the bus adds the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message before it is numbered and encoded; ndarray values become buffers."""

    topic: str
    index: int
    fields: Mapping[str, Any]
