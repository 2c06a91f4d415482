"""Random plans that the limits allow, as rows of the loop's table: what a host may ask for at a rate."""

import numpy as np
from numpy.typing import NDArray

from firmware.orders import plan_row
from hw import limits
from hw.link import StimPlan

RATES = (250, 500, 1000, 2000, 4000, 8000, 16_000)
LINES = 4


def random_plan(rng: np.random.Generator, rate_hz: int) -> StimPlan:
    """A plan that may be refused."""
    kind = int(rng.integers(len(limits.CEILINGS)))
    ceiling = limits.CEILINGS[kind]
    line = int(rng.integers(1, LINES + 1))
    other = int(rng.integers(1, LINES + 1))
    most_hold = max(2, min(12, int(rate_hz * limits.MAX_HOLD_S)))
    hold = int(rng.integers(2, most_hold + 1))
    trained, paired = rng.random() < 0.4, rng.random() < 0.25
    least = max(hold + limits.LOW_SAMPLES, int(np.ceil(ceiling.interval_ms * rate_hz / 1000)))
    slack = int(rng.choice([0, 0, 1, 2, 7, 30]))
    single = rng.random() < 0.3
    shortest = int(np.ceil(rate_hz / ceiling.rate_hz))
    period = 0 if single else shortest + int(rng.choice([0, rng.integers(40), rng.integers(400)]))
    return StimPlan(
        command=0,
        plan=0,
        line=line,
        period=period,
        phase=int(rng.integers(0, 5 * max(period, 1))),
        hold=hold,
        count=1 if single else int(rng.choice([0, 0, rng.integers(1, 6)])),
        alternate=other if other != line and rng.random() < 0.3 else 0,
        pulses=int(rng.integers(2, 10)) if trained else 1,
        interval=least + slack,
        trains=2 if paired else 1,
        gap=least + slack + int(rng.integers(30)),
        guard=int(rng.choice([0, 0, rng.integers(60), rng.integers(300)])),
        kind=kind,
        current_ua=int(rng.integers(0, int(ceiling.current_ma * 1000) + 1)),
        width_us=int(rng.integers(0, int(ceiling.width_us) + 1)),
        area_cm2=1.0,
    )


def plans(rate_hz: int, n: int, seed: int) -> NDArray[np.int64]:
    """`n` plans that are allowed at `rate_hz`, one a row; number and command are to be filled in."""
    rng = np.random.default_rng((seed, rate_hz))
    rows = []
    while len(rows) < n:
        plan = random_plan(rng, rate_hz)
        if not limits.refuse(plan, rate_hz, LINES):
            rows.append(plan_row(plan))
    return np.array(rows, np.int64)


def all_plans(n: int, seed: int = 1) -> NDArray[np.int64]:
    """Plans of every rate, (rate, plan, field)."""
    return np.array([plans(rate, n, seed) for rate in RATES])
