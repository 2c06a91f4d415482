"""Items over the shape and the place of the test signal: the filter's step, and what leaks into neighbours.

Limits: facts/hardware.md 1.1 for the step; those of crosstalk are ours.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from firmware.bench.bench import QUIET_RATE_HZ, Bench, Inputs, channel_names
from firmware.bench.items_signal import PERIODS_S, SETTLED, Square, square_wave
from firmware.bench.items_timing import NOT_CONVERTING
from firmware.bench.verdicts import Cause, Outcome, Plot, Series, failed, judged, within
from hw.registers import CalFrequency, Mux

WARN_CROSSTALK_DB, MOST_CROSSTALK_DB = -80.0, -66.0
MOST_UNSETTLED = 0.002
LEAST_SIGNAL_COUNTS = 1000.0


def settling(bench: Bench) -> Outcome:
    """The step of the test signal: settled from the fourth conversion on."""
    gain = bench.gains()[0]
    square, taken = square_wave(bench, gain, True, 2.0)
    if taken.timed_out:
        return failed(f"{len(taken)} samples", NOT_CONVERTING)
    return judge_settling(taken.uv(bench.scales_uv()), square, channel_names(bench.chips))


def judge_settling(uv: NDArray[np.float64], square: Square, names: Sequence[str]) -> Outcome:
    """`uv` (n, channel) of a square wave: the mean step of each channel, 0 before and 1 after."""
    timing = np.median(uv, axis=1)
    high = timing > (timing.max() + timing.min()) / 2
    steps = [at for at in np.flatnonzero(np.diff(high)) + 1 if 6 <= at < len(uv) - 12]
    if not steps or not np.median(square.peak) > 0:
        return failed("no step", Cause("no test signal to step", "see the test signal"))
    sign = np.array([1.0 if high[at] else -1.0 for at in steps])
    windows = np.stack([uv[at - 6 : at + 12] for at in steps])
    height = 2 * np.maximum(np.abs(square.peak), 1e-9)
    shape = ((windows - square.middle) * sign[:, None, None] / height).mean(axis=0) + 0.5
    rough = np.abs(shape[6 + SETTLED :] - 1).max(axis=0)
    rough[np.abs(square.peak) < 0.1 * np.median(np.abs(square.peak))] = 0.0  # dead, and named elsewhere
    values = [
        within(f"channel {name} unsettled", 100 * float(rough[k]), "%", None, 100 * MOST_UNSETTLED * 5,
               (None, 100 * MOST_UNSETTLED * 2))
        for k, name in enumerate(names)
    ]  # fmt: skip
    x = tuple(float(k - 6) for k in range(18))
    lines = tuple(Series(f"channel {name}", x, tuple(shape[:, k].tolist())) for k, name in enumerate(names))
    plot = Plot("Step of the test signal", "lines", "conversions after the step", "share", lines,
                marks=((float(SETTLED), "settled"),))  # fmt: skip
    cause = Cause(
        "the step does not settle in four conversions: another filter, or samples out of order",
        "check the part's marking, and that each edge's own frame is read",
    )
    return judged(f"within {100 * float(rough.max()):.2g} % from the fourth", values, [cause], [plot])


def crosstalk(bench: Bench) -> Outcome:
    """The test signal on one channel of every chip at a time, the others shorted."""
    parts = bench.chips
    width, gain = parts[0].channels, bench.gains()[-1]
    periods = 1.0 if bench.quick else 2.0
    n = round(periods * PERIODS_S[CalFrequency.HZ_1_95] * QUIET_RATE_HZ) + 8
    shares, signal = np.zeros((len(parts), width, width)), 0.0
    for own in range(width):
        inputs = Inputs(Mux.TEST_SIGNAL, gain, QUIET_RATE_HZ, True, CalFrequency.HZ_1_95, own)
        taken = bench.record(inputs, n)
        if taken.timed_out:
            return failed(f"{len(taken)} samples", NOT_CONVERTING)
        for chip in range(len(parts)):
            x = taken.frames.counts[:, chip * width : (chip + 1) * width].astype(np.float64)
            signal = max(signal, float(np.std(x[:, own])))
            shares[chip, own] = couplings(x, own)
    if signal < LEAST_SIGNAL_COUNTS:
        return failed("no test signal", Cause("no test signal to look for elsewhere", "see the test signal"))
    return judge_crosstalk(shares, channel_names(parts))


def couplings(x: NDArray[np.float64], own: int) -> NDArray[np.float64]:
    """How much of channel `own` is in each channel of `x` (n, channel), by projection; its own is 0."""
    centred = x - x.mean(axis=0)
    energy = float(centred[:, own] @ centred[:, own])
    if energy < len(x) * LEAST_SIGNAL_COUNTS**2:  # a dead channel couples into nothing
        return np.zeros(x.shape[1])
    share: NDArray[np.float64] = centred.T @ centred[:, own] / energy
    share[own] = 0.0
    return share


def judge_crosstalk(shares: NDArray[np.float64], names: Sequence[str]) -> Outcome:
    """`shares` (chip, from, to): what of one channel is in another."""
    _, width, _ = shares.shape
    db = 20 * np.log10(np.maximum(np.abs(shares), 1e-9))
    values, causes = [], []
    for chip in range(len(shares)):
        for to in range(width):
            source = int(np.argmax(db[chip, :, to]))
            name, origin = names[chip * width + to], names[chip * width + source]
            values.append(
                within(
                    f"into channel {name} from {origin}", float(db[chip, source, to]), "dB",
                    None, MOST_CROSSTALK_DB, (None, WARN_CROSSTALK_DB),
                )
            )  # fmt: skip
            if db[chip, source, to] > WARN_CROSSTALK_DB:
                share = 100 * abs(float(shares[chip, source, to]))
                causes.append(
                    Cause(
                        f"crosstalk: {share:.2g} % of channel {origin} is in channel {name}",
                        "look for solder bridges and leakage between these inputs; clean the board",
                    )
                )
    note = "limits are ours; the datasheet's figure for sine waves is -110 dB"
    return judged(f"largest {float(db.max()):.0f} dB", values, causes[:4], note=note)
