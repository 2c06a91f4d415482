"""The coprocessor's hard promises, in emulation: exact in PIO cycles, so that no machine changes them.

One modelled chip at 16 kSPS, its clock sliding against the system clock, read with RDATA and stimulated, on a
Pico (125 MHz) and a Pico 2 (150 MHz); the worse of both counts.
"""

from tests.support.pio_chips import DRDY, LINES, SELECT
from tests.support.pio_rig import PICO2_HZ, PICO_HZ, read_and_stimulated


def measure() -> dict[str, float]:
    """`share`: percent of a period from data-ready to the end of its read; `lag`: samples from an edge to its
    stimulus; `jitter`: cycles between the earliest and the latest of them."""
    shares, lags, jitters = [], [], []
    for hz in (PICO_HZ, PICO2_HZ):
        rig, wanted = read_and_stimulated(hz)
        ready, period = rig.pins.falls(DRDY), rig.reading.period
        reads = [up - down for down, up in zip(ready, rig.pins.rises(SELECT), strict=False)]
        behind = [at - ready[edge] for edge, at in zip(wanted, rig.pins.rises(LINES), strict=True)]
        shares.append(100 * max(reads) / period)
        lags.append(max(behind) / period)
        jitters.append(max(behind) - min(behind))
    return {"share": max(shares), "lag": max(lags), "jitter": max(jitters)}
