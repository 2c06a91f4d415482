"""Stimulation: the cost of the sequencer's step and of an audit entry, the mains left at default rates."""

import tempfile
import time
from pathlib import Path

import numpy as np
from numba import int64, njit

from dsp.mains import left, tuned_period
from firmware.loop import arbiter
from firmware.loop.state import EVENTS_IN, EVENTS_OUT, LOOP_STATE, VERB_ARM, VERB_START, LoopState, loop_state
from firmware.orders import Order, Orders
from hostd.modalities import MODALITIES
from hostd.store import Store
from hw.link import StimArm, StimPlan

RATE_HZ = 16_000.0
SAMPLES, ROUNDS = 400_000, 5
ENTRIES = 4000
OFF_HZ = np.arange(-0.1, 0.1001, 0.01)
METER_HZ = 0.005
PULSE = {"plan": 1, "command": 7, "line": 1, "pulse": 1, "test": "left_median", "current_ma": 25.0}


@njit(int64(LOOP_STATE, int64, int64), nogil=True)
def _run(st: LoopState, first: int, n: int) -> int:
    """Step `n` samples with every pin returning one sample later; the outputs at the end."""
    s = st.scalars
    level = 0
    for index in range(first, first + n):
        level = arbiter.step(st, index, level)
        s[EVENTS_OUT] = s[EVENTS_IN]
    return level


def _step_ns(plans: int) -> float:
    """Nanoseconds a sample with so many plans of different rates on 8 lines."""
    st = loop_state(8, 1, 3)
    orders = Orders(st, RATE_HZ)
    for k in range(plans):
        plan = StimPlan(0, k + 1, k % 8 + 1, 2000 + 131 * k, 200 * k, 16, 0, guard=160)
        for command, verb in ((StimArm(0, k + 1, 1000), VERB_ARM), (plan, VERB_START)):
            order = orders.take(command)
            if not isinstance(order, Order) or order.verb != verb:
                raise RuntimeError(f"refused: {order}")
            arbiter.obey(st, order.row, order.verb)
    best = float("inf")
    for k in range(ROUNDS):
        start_ns = time.perf_counter_ns()
        _run(st, k * SAMPLES, SAMPLES)
        best = min(best, (time.perf_counter_ns() - start_ns) / SAMPLES)
    return best


def _audit_us() -> float:
    """Microseconds that noting one pulse takes whoever notes it."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "case.sqlite")
        start_ns = time.perf_counter_ns()
        for k in range(ENTRIES):
            store.audit("bench", "pulse", PULSE | {"number": k, "commanded": k, "seen": k + 1}, k)
        spent_ns = time.perf_counter_ns() - start_ns
        store.close()
    return spent_ns / ENTRIES / 1e3


def _most_left_pct(rate_hz: float) -> float:
    """The most mains that 64 sweeps leave at any default rate tuned to mains measured 0.005 Hz wrong."""
    most = 0.0
    for wanted_hz in {m.rate_hz for m in MODALITIES.values() if m.rate_hz}:
        for nominal in (50.0, 60.0):
            for mains_hz in nominal + OFF_HZ:
                for error_hz in (-METER_HZ, METER_HZ):
                    period = tuned_period(wanted_hz, rate_hz, mains_hz + error_hz)
                    most = max(most, float(left(period, rate_hz, mains_hz).max()))
    return 100 * most


def measure() -> dict[str, float]:
    """All of it."""
    return {
        "idle_ns": _step_ns(0),
        "busy_ns": _step_ns(8),
        "audit_us": _audit_us(),
        "mains_4k": _most_left_pct(4000.0),
        "mains_16k": _most_left_pct(16_000.0),
    }
