"""Arrivals of a coprocessor's blocks as USB and a scheduler deliver them, beside the truth. Seeded."""

from dataclasses import dataclass
from math import pi, sin

import numpy as np

from hostd.edge_clock import EdgeClock

HOST_NS = 4_000_000_000_000
"""What the host's clock showed when the edge's began."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A crystal `drift` fast of the host's, wandering by `wander` with a period of `wander_s`; delays of at
    least `least_s`, an exponential tail of `tail_s`, and every `burst_every_s` one of `burst_s` in which
    nothing comes until its end."""

    drift: float = 50e-6
    wander: float = 0.0
    wander_s: float = 60.0
    least_s: float = 0.3e-3
    tail_s: float = 1e-3
    burst_s: float = 20e-3
    burst_every_s: float = 0.5

    def blocks(self, seconds: float, seed: int, every_s: float = 0.01) -> list[tuple[int, int, int]]:
        """(edge's stamp, host's true time of it, arrival) in ns, in order; arrivals never overtake."""
        rng = np.random.default_rng(seed)
        rows = []
        last = burst_end = 0.0
        next_burst = rng.exponential(self.burst_every_s) if self.burst_s else float("inf")
        for k in range(1, round(seconds / every_s) + 1):
            true_s = k * every_s
            turn = 2 * pi / self.wander_s
            edge_s = true_s * (1 - self.drift) + self.wander / turn * sin(turn * true_s)
            arrival_s = true_s + self.least_s + rng.exponential(self.tail_s)
            while arrival_s > next_burst:
                burst_end = next_burst + self.burst_s
                next_burst += self.burst_s + rng.exponential(self.burst_every_s)
            last = max(arrival_s, burst_end if arrival_s > burst_end - self.burst_s else 0.0, last)
            rows.append((round(edge_s * 1e9), HOST_NS + round(true_s * 1e9), HOST_NS + round(last * 1e9)))
        return rows


def errors_us(wire: Wire, seconds: float, seed: int) -> np.ndarray:
    """How far from the truth the host's clock of each block is when it has come, in us."""
    clock, off_ns = EdgeClock(), []
    for t_ns, true_ns, arrival_ns in wire.blocks(seconds, seed):
        clock.hear(t_ns, arrival_ns)
        off_ns.append(clock.host_ns(t_ns) - true_ns)
    return np.array(off_ns) / 1e3
