"""The time of a case as its database tells it: for replay, exports, and a host that takes it up.

A case that outlives a start of its machine has more than one monotonic clock. On record all times are on
the first one; wall time carries them over.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hostd.store import read_rows


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
    """The time of a case; one recorded before the edge told its fit has an anchor alone."""
    rows = read_rows(database, "SELECT key, value FROM settings")
    settings = {key: json.loads(value) for key, value in rows}
    index, t_ns, utc_minus_t_ns = settings.get("anchor", (0, 0, 0))
    fitted: list[tuple[Any, ...]] = []
    if read_rows(database, "SELECT 1 FROM sqlite_master WHERE name = 'timebase'"):
        query = "SELECT sample, t_ns, ns_per_sample FROM timebase WHERE sample >= 0 ORDER BY sample"
        fitted = read_rows(database, query)
    delay = settings.get("filter_delay_samples", 0.0)
    return PastTime((index, t_ns), utc_minus_t_ns, delay, tuple((i, t, ns) for i, t, ns in fitted))
