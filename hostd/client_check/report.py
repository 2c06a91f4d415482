"""What a client says of itself in a check: the request `client.report`. Pure.

A form, checked; what is wrong with it is told in words to its author.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

COMMAND = "client.report"


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    boot: str
    latest: dict[str, tuple[int, float]]
    stale: bool
    holes: Annotated[int, msgspec.Meta(ge=0)]
    topics: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class Report:
    """`latest`: by topic the number of the message shown and its digest; `topics`: beginnings of what it
    reads; `at_s`: when it came."""

    boot: str
    latest: dict[str, tuple[int, float]]
    stale: bool
    holes: int
    topics: tuple[str, ...]
    at_s: float

    def reads(self, topic: str) -> bool:
        """Whether the client reads a topic; raw is only read by who names it."""
        if topic == "raw":
            return "raw" in self.topics
        return topic.startswith(self.topics)


def parse(args: Any, at_s: float) -> Report:
    """The report in `args`. Raises ValueError, which says what is wrong."""
    try:
        form = msgspec.convert(args, _Form, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{COMMAND}: {error}") from None
    for topic, (_, digest) in form.latest.items():
        if not math.isfinite(digest):
            raise ValueError(f"{COMMAND}: {topic}: the digest is {digest}; leave out what is not finite")
    return Report(form.boot, form.latest, form.stale, form.holes, form.topics, at_s)
