"""The time of a case as its database tells it: for replay, exports, and a host that takes it up.

A case that outlives a start of its machine has more than one monotonic clock. On record all times are on
the first one; wall time carries them over.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hostd.store import read_rows

MOST_DELAY_SAMPLES = 1e6


@dataclass(frozen=True, slots=True)
class PastTime:
    """One edge and wall time less its clock; what edges are later by; what the edge fitted, see `know` of
    hostd.timebase."""

    anchor: tuple[int, int] = (0, 0)
    utc_minus_t_ns: int = 0
    delay_samples: float = 0.0
    fitted: tuple[tuple[int, int, float], ...] = ()


def machine_boot() -> str:
    """Names this start of the machine, with which its monotonic clock begins; "" where the kernel does not
    say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def on_this_clock(past: PastTime, clocks: Mapping[str, int]) -> tuple[PastTime, int]:
    """`past` on the monotonic clock of this start of the machine, and how far the clock on record is ahead of
    it in ns. `clocks`: wall time less the clock, of every start of the machine that recorded the case."""
    ours = clocks.get(machine_boot(), time.time_ns() - time.monotonic_ns())
    ahead_ns = ours - past.utc_minus_t_ns
    index, t_ns = past.anchor
    fitted = tuple((i, t - ahead_ns, slope) for i, t, slope in past.fitted)
    return replace(past, anchor=(index, t_ns - ahead_ns), utc_minus_t_ns=ours, fitted=fitted), ahead_ns


def past_time(database: Path) -> PastTime:
    """The time of a case; one recorded before the edge told its fit has an anchor alone. Raises ValueError,
    one line, for a database that tells no time."""
    told: dict[str, Any] = {}
    for key, value in read_rows(database, "SELECT key, value FROM settings"):
        if key in ("anchor", "filter_delay_samples"):
            told[key] = _decoded(key, value)
    anchor, delay = told.get("anchor", [0, 0, 0]), told.get("filter_delay_samples", 0.0)
    if not (isinstance(anchor, list) and len(anchor) == 3 and all(map(_is_whole, anchor))):
        raise ValueError(f"setting anchor is {str(anchor)[:60]!r}, expected three whole numbers")
    if not (_is_number(delay) and 0.0 <= delay < MOST_DELAY_SAMPLES):
        raise ValueError(f"setting filter_delay_samples is {str(delay)[:60]!r}, expected a number of samples")
    fitted: list[tuple[Any, ...]] = []
    if read_rows(database, "SELECT 1 FROM sqlite_master WHERE name = 'timebase'"):
        query = "SELECT sample, t_ns, ns_per_sample FROM timebase WHERE sample >= 0 ORDER BY sample"
        fitted = read_rows(database, query)
    for row in fitted:
        if not (_is_whole(row[0]) and _is_whole(row[1]) and _is_number(row[2]) and row[2] > 0.0):
            raise ValueError(f"table timebase holds {str(row)[:60]}, expected whole numbers and a period")
    index, t_ns, utc_minus_t_ns = anchor
    return PastTime((index, t_ns), utc_minus_t_ns, delay, tuple((i, t, ns) for i, t, ns in fitted))


def _decoded(key: str, value: object) -> Any:
    """A setting's value. Raises ValueError."""
    try:
        return json.loads(str(value))
    except (ValueError, RecursionError):
        raise ValueError(f"setting {key} is {str(value)[:60]!r}, expected JSON") from None


def _is_whole(value: object) -> bool:
    return type(value) is int and abs(value) < 1 << 63


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
