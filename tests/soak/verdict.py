"""The table of a soak: every quantity beside its bar, from its readings alone."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field

import numpy as np

from tests.soak.gauges import Row
from tests.soak.judge import Trend, evenness, trend


def _growth() -> dict[str, float]:
    return {
        "rss_kb": 500.0,
        "edge_rss_kb": 500.0,
        "heap_kb": 50.0,
        "blocks": 5000.0,
        "handles": 0.02,
        "threads": 0.02,
        "waiting": 0.02,
    }


@dataclass(frozen=True, slots=True)
class Bars:
    """`growth`: how much more a case may cost with every hour. `level`: how fast what stays may seem
    to move in an hour, either way. `even`: by which share the second half may grow otherwise than the first,
    of what grows by design. `most_off_us`: of sample time, at any moment."""

    growth: dict[str, float] = field(default_factory=_growth)
    level: Mapping[str, float] = field(default_factory=lambda: {"latency_ms": 0.05, "time_off_us": 1.0})
    even: Mapping[str, float] = field(default_factory=lambda: {"database_kb": 0.05, "raw_kb": 0.02})
    most_off_us: float = 25.0


def verdict(
    rows: Sequence[Row], warm_hours: float, bars: Bars, period_h: float = 0.0
) -> tuple[list[tuple[str, ...]], list[str]]:
    """Rows of the table, and what is wrong; the first `warm_hours` left out. A baseline is taken every
    `period_h`. ValueError for too few."""
    columns = dict(zip(Row.names(), np.array([astuple(row) for row in rows]).T, strict=True))
    good = columns["hours"] >= warm_hours
    hours = columns["hours"][good]
    table: list[tuple[str, ...]] = []
    wrong: list[str] = []

    def judged(name: str, bar: str, t: Trend, slope: str, held: bool) -> None:
        at = (f"{t.start:.6g}", f"{t.middle:.6g}", f"{t.end:.6g}")
        table.append((name, bar, *at, slope, "ok" if held else "BROKEN"))
        if not held:
            wrong.append(f"{name}: {slope} per hour, its bar is {bar}")

    for name, most in (*bars.growth.items(), *bars.level.items()):
        there = np.isfinite(columns[name][good])  # now and then no average shows the answer
        t = trend(hours[there], columns[name][good][there], period_h)
        held = t.within(most) if name in bars.growth else t.level(most)
        judged(name, f"{most:g} /h", t, f"{t.slope:+.4g} +- {t.error:.2g}", held)
    for name, share in bars.even.items():
        values = columns[name][good]
        if values.any():
            t, ratio = trend(hours, values), evenness(hours, values)
            slope = f"{t.slope:+.5g}, 2nd half x {ratio:.4f}"
            judged(name, f"even to {share:.0%}", t, slope, abs(ratio - 1.0) <= share)
    worst_us = float(columns["time_off_us"][good].max())
    if worst_us > bars.most_off_us:
        wrong.append(f"sample time was {worst_us:.1f} us off, at most {bars.most_off_us:g}")
    if lost := columns["lost"].max():
        wrong.append(f"{lost:.0f} samples, pulses, messages or rows were lost")
    return table, wrong
