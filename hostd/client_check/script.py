"""Messages for a check: of every topic of the schema, seeded, and what a client must make of each.

The headers are the schema's examples; the arrays are drawn. Pure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hostd import wire
from hostd.fixture.lines import arrays
from hostd.schema_page import examples
from hostd.wire import Message

TEST = "left_median"
RATE_HZ = 2000.0
FAMILIES = ("average", "sweep", "baseline", "wave", "measure", "response", "plugs")
"""A client that reads one of these is tried on tests of its own; of others on the topic itself."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a client must show of a topic."""

    seq: int
    digest: float
    scale: float
    """The sum of what was added, without signs: how far a digest may be off by rounding."""

    def is_(self, seq: int, digest: float) -> bool:
        """Whether a client's word is right."""
        return seq == self.seq and abs(digest - self.digest) <= 1e-6 * max(self.scale, 1e-3)


def digest(message: Message) -> tuple[float, float]:
    """Of all arrays: every finite number times its column (from 1), summed; and without signs."""
    total = scale = 0.0
    for key in arrays(message.header):
        values = message.array(key).astype(np.float64)
        if values.size:
            weighted = values * np.arange(1, values.shape[-1] + 1)
            weighted = weighted[np.isfinite(weighted)]
            total, scale = total + float(np.sum(weighted)), scale + float(np.sum(np.abs(weighted)))
    return total, scale


@dataclass(slots=True)
class Script:
    """Numbers and fills the messages of one start of the box, `boot`."""

    boot: str
    draw: np.random.Generator
    seq: dict[str, int] = field(default_factory=dict)
    index: int = 0

    def message(self, topic: str, more: Mapping[str, Any] | None = None, seq: int | None = None) -> Message:
        """The next message of a topic; `more` replaces or adds fields, `seq` its number."""
        number = self.seq.get(topic, 0) + 1 if seq is None else seq
        self.seq[topic] = max(number, self.seq.get(topic, 0))
        self.index += 20
        t_ns = round(self.index / RATE_HZ * 1e9)
        own = {"v": wire.SCHEMA_VERSION, "boot": self.boot, "seq": number, "index": self.index}
        header = _example(topic) | own | {"t_ns": t_ns, "utc_ns": 1_767_254_400_000_000_000 + t_ns}
        for key in arrays(header):
            header[key] = self._array(header[key])
        plain, parts = wire.pack_arrays(header | dict(more or {}))
        return Message(topic, plain, parts)

    def _array(self, described: Mapping[str, Any]) -> NDArray[Any]:
        kind, shape = np.dtype(described["dtype"]), tuple(described["shape"])
        if kind.kind == "f":
            return (10.0 * self.draw.standard_normal(shape)).astype(kind)
        least, most = (0, 255) if kind.itemsize == 1 else (-30_000, 30_000)
        return self.draw.integers(least, most, shape).astype(kind)


def shown(message: Message) -> Shown:
    """What a client must show of it."""
    return Shown(int(message.header["seq"]), *digest(message))


def topics() -> list[str]:
    """One topic of every kind that the schema knows; beats are the stage's own."""
    return [topic.replace("TEST", TEST) for topic in examples()["topics"] if topic != "beat"]


def _example(topic: str) -> dict[str, Any]:
    known = _EXAMPLES
    family, dot, _ = topic.partition(".")
    header: dict[str, Any] = known[topic if topic in known else f"{family}.TEST" if dot else family]
    return header


_EXAMPLES: dict[str, Any] = examples()["topics"]


def proving(reads: Sequence[str]) -> tuple[str, bool]:
    """The family on which a client that `reads` topics with these beginnings is tried, and whether it has
    tests. Arrays are preferred; "" when it reads nothing."""
    for family in FAMILIES:
        if f"{family}.check".startswith(tuple(reads)):
            return family, True
    plain = [t for t in topics() if t.startswith(tuple(reads)) and t.partition(".")[0] not in FAMILIES]
    with_arrays = [t for t in plain if arrays(_example(t))]
    return next(iter(with_arrays + plain), ""), False


def odd_arrays() -> dict[str, NDArray[Any]]:
    """By name: what is rare and allowed, for a field of any name."""
    nan = np.array([[1.0, math.nan, 3.0], [math.inf, 5.0, -math.inf]], np.float32)
    return {"empty": np.empty((0, 3), np.float32), "nan": nan}
