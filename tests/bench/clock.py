"""The host's clock of an edge that has one of its own: how far from the truth, over kinds of USB and crystal.

Seeded arrivals of a coprocessor's blocks (`tests.support.usb_delays`): the shortest delay is 0.3 ms and stays
in every figure, since one way alone cannot tell it from an offset.
"""

import sys

import numpy as np
from numpy.typing import NDArray

from tests.support.usb_delays import Wire, errors_us

LEAST_US = 300.0
SECONDS, SEEDS, BLOCKS_A_SECOND, SETTLED_S = 120.0, 10, 100, 5
WIRES = {
    "tail of 1 ms": Wire(burst_s=0.0),
    "and bursts of 20 ms, two a second": Wire(),
    "and bursts of 20 ms, twenty a second": Wire(burst_every_s=0.05),
    "and bursts of 0.5 s": Wire(burst_s=0.5, burst_every_s=3.0),
    "tail of 5 ms": Wire(tail_s=5e-3),
    "wander of 1 ppm in a minute": Wire(wander=1e-6),
    "wander of 5 ppm in two minutes": Wire(wander=5e-6, wander_s=120.0),
    "wander of 20 ppm in five minutes": Wire(wander=20e-6, wander_s=300.0),
}


def errors(wire: Wire, seconds: float = SECONDS, seeds: int = SEEDS) -> NDArray[np.float64]:
    """(seed, block) in us: what the host says less the truth, each when it has come."""
    return np.array([errors_us(wire, seconds, seed) for seed in range(seeds)])


def measure() -> dict[str, float]:
    """The worst of `WIRES`: p99 of the whole error and of what is left beside the shortest delay, once
    settled, and of the whole in the first seconds, in us."""
    whole, beside, first = [], [], []
    for wire in WIRES.values():
        off = errors(wire)
        early, late = off[:, : SETTLED_S * BLOCKS_A_SECOND], off[:, SETTLED_S * BLOCKS_A_SECOND :]
        whole.append(float(np.percentile(np.abs(late), 99)))
        beside.append(float(np.percentile(np.abs(late - LEAST_US), 99)))
        first.append(float(np.percentile(np.abs(early), 99)))
    return {"whole": max(whole), "beside": max(beside), "first": max(first)}


def table() -> str:
    """The figures of the README, a line per kind."""
    rows = []
    for name, wire in WIRES.items():
        off = errors(wire)
        early, late = off[:, : SETTLED_S * BLOCKS_A_SECOND], off[:, SETTLED_S * BLOCKS_A_SECOND :]
        beside = np.abs(late - LEAST_US)
        p50, p99, most = np.percentile(beside, 50), np.percentile(beside, 99), beside.max()
        whole, at_first = np.percentile(np.abs(late), 99), np.percentile(np.abs(early), 99)
        rows.append(f"| {name} | {p50:.0f} | {p99:.0f} | {most:.0f} | {whole:.0f} | {at_first:.0f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
