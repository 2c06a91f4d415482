"""The last item: what rate this machine can hold, by the true compiled loop on the true device nodes.

A rate holds when the latest begin of a row and its transfer fit into the period less 10 us (facts/hardware.md
3.4, 6). A simulated box proves nothing about a machine and is not measured.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from firmware.bench.bench import Bench, Inputs
from firmware.bench.verdicts import Cause, Outcome, Plot, Series, Value, Verdict, judged, skipped
from firmware.errors import ConfigError
from firmware.held import SPARE_US, Held, RateHeld

SECONDS, QUICK_SECONDS = 3.0, 1.0
INDEX, EDGE_NS, BEGUN_NS, DONE_NS = range(4)


def held_rates(bench: Bench) -> Outcome:
    """Every rate of the chips, lowest first, until one does not hold."""
    if bench.box.timed_rows is None:
        return skipped("a simulated board has time of its own and proves nothing about this machine")
    info, part = bench.info, bench.chips[0]
    rates = []
    for rate_hz in sorted(part.rates_hz):
        try:
            bench.set_inputs(Inputs(rate_hz=rate_hz))
        except ConfigError:
            continue
        seconds = QUICK_SECONDS if bench.quick else SECONDS
        bench.edges(rate_hz)
        with bench.running():
            times = bench.box.timed_rows(info, rate_hz, round(seconds * rate_hz))
        rates.append(rate_of(times, rate_hz))
        if not rates[-1].holds():
            break
    bench.held = Held(len(info.chips), tuple(rates))
    return judge_held(rates, bench.rate_hz)


def rate_of(times: NDArray[np.int64], rate_hz: float) -> RateHeld:
    """What `times` (n, 4: index, edge, row begun, row there) say of `rate_hz`; the first row is left out."""
    if len(times) < 3:
        return RateHeld(rate_hz, len(times), max(1, 3 - len(times)), 0.0, 0.0, 0.0)
    rows = times[1:]
    late_us = (rows[:, BEGUN_NS] - rows[:, EDGE_NS]) / 1e3
    wire_us = (rows[:, DONE_NS] - rows[:, BEGUN_NS]) / 1e3
    lost = int(rows[-1, INDEX] - times[0, INDEX]) - len(rows)
    return RateHeld(
        rate_hz,
        len(rows),
        lost,
        float(np.median(late_us + wire_us)),
        float(late_us.max()),
        float(wire_us.max()),
    )


def judge_held(rates: Sequence[RateHeld], wanted_hz: float) -> Outcome:
    """The bench's own rate should hold; what does not is a finding about the machine, not the board."""
    highest_hz = max((rate.rate_hz for rate in rates if rate.holds()), default=0.0)
    values, causes = [], []
    for rate in rates:
        verdict = Verdict.PASS if rate.holds() or rate.rate_hz > wanted_hz else Verdict.WARN
        limit_us = 1e6 / rate.rate_hz - SPARE_US
        values.append(
            Value(f"tail + transfer at {rate.rate_hz:g} Hz", rate.need_us(), "us", None, limit_us, verdict)
        )
    if highest_hz < wanted_hz:
        causes.append(
            Cause(
                f"this machine holds {highest_hz:g} Hz and not {wanted_hz:g}: it wakes the loop too late",
                "see evokd doctor: SCHED_FIFO, an isolated CPU, the governor, a PREEMPT_RT kernel",
            )
        )
    x = tuple(rate.rate_hz for rate in rates)
    plot = Plot(
        "Edge to row against the period", "lines", "samples per second", "microseconds",
        (
            Series("tail + transfer, worst", x, tuple(rate.need_us() for rate in rates)),
            Series("typical", x, tuple(rate.typical_us for rate in rates)),
            Series("period less 10 us", x, tuple(1e6 / rate.rate_hz - SPARE_US for rate in rates)),
        ),
        log_y=True,
    )  # fmt: skip
    return judged(f"{highest_hz:g} Hz holds", values, causes, [plot])
