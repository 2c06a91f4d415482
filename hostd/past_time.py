"""The time of a case that is over, as its database tells it: for replay and exports."""

import json
from dataclasses import dataclass
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
