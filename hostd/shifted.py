"""Sample indices in link messages, moved from an edge's own count to the case's and back. Pure.

An edge that was started anew counts from 0 while the case's time line goes on. Owns which fields of which
message hold an index, declared once; refuses to know by how much to move them (see `succession`).
"""

from dataclasses import replace
from typing import Any, TypeVar

from hw.link import (
    ALL_PLANS,
    NOT_SEEN,
    Block,
    Ended,
    Excited,
    Fault,
    Impedance,
    Leads,
    Message,
    Rows,
    StimPlan,
    StimState,
    Stimulus,
    Timebase,
    Unfired,
)

Kind = TypeVar("Kind", bound=Message)

INDICES: dict[type, tuple[str, ...]] = {
    Block: ("first_index", "gaps"),
    Rows: ("first_index", "gaps"),
    Stimulus: ("commanded", "seen"),
    Fault: ("index",),
    Ended: ("index",),
    Timebase: ("index",),
    Excited: ("first_index", "end_index"),
    Impedance: ("first_index", "end_index"),
    Leads: ("index",),
    Unfired: ("index",),
    StimState: ("index", "until", "armed_until"),
}
"""Fields of the edge's messages that are sample indices: numbers, tuples of them, or gaps."""


def shifted(message: Kind, by: int) -> Kind:
    """`message` of the edge with every index `by` later; NOT_SEEN stays, and so does no plan's `until`."""
    names = INDICES.get(type(message), ()) if by else ()
    if not names:
        return message
    moved: dict[str, Any] = {name: _moved(getattr(message, name), by) for name in names}
    if isinstance(message, StimState) and message.owner == ALL_PLANS:
        moved["until"] = message.until  # nobody's window: no index
    return replace(message, **moved)


def for_edge(message: Message, by: int) -> Message:
    """`message` of the host for an edge whose indices are `shifted` by so much: the same samples fire."""
    if by and isinstance(message, StimPlan) and message.period:
        return replace(message, phase=(message.phase - by) % message.period)
    return message


def _moved(value: Any, by: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_moved_gap(v, by) if hasattr(v, "reason") else max(v + by, 0.0) for v in value)
    return value if value == NOT_SEEN else max(value + by, 0)


def _moved_gap(gap: Any, by: int) -> Any:
    return replace(gap, index=max(gap.index + by, 0))
