"""What one run of a fault came to, and the sum of many."""

from dataclasses import dataclass, field


class SkippedError(Exception):
    """What a fault needs this machine does not have; the reason is said in the campaign's table."""


@dataclass(slots=True)
class Measured:
    """Of one run: faults injected; invariants broken, counted and in words; what was lost, how long it took.

    `lost_s`: samples that are not on file, as named gaps or behind the last record; `recovery_s`: from a
    kill until it serves and records again; `stops_ms`: from the death of a host to the last pulse after it;
    `skipped`: why there was no run.
    """

    injected: int = 0
    uncommanded: int = 0
    uncounted: int = 0
    unopened: int = 0
    above: int = 0
    pulses: int = 0
    samples: int = 0
    unanswered: int = 0
    lost_s: float = 0.0
    recovery_s: list[float] = field(default_factory=list)
    stops_ms: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    skipped: str = ""

    def add(self, other: "Measured") -> None:
        """Take another run in; of losses the worst is kept."""
        self.injected += other.injected
        self.uncommanded += other.uncommanded
        self.uncounted += other.uncounted
        self.unopened += other.unopened
        self.above += other.above
        self.pulses += other.pulses
        self.samples += other.samples
        self.unanswered += other.unanswered
        self.lost_s = max(self.lost_s, other.lost_s)
        self.recovery_s += other.recovery_s
        self.stops_ms += other.stops_ms
        self.wrong += other.wrong
        self.skipped = self.skipped or other.skipped


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share does not exceed; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
