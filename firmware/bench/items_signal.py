"""Items over the internal test signal: amplitude, ratio, period, gains against one another, crosstalk, step.

The signal is derived from the chip's own reference: it proves gains, channels and filter, not the absolute
scale (see the reference). Limits: facts/hardware.md 1.1, 1.5, 6; crosstalk's are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware.bench.bench import QUIET_RATE_HZ, Bench, Inputs, channel_names
from firmware.bench.box import Capture
from firmware.bench.items_timing import NOT_CONVERTING
from firmware.bench.verdicts import Cause, Outcome, Value, chosen, failed, judged, within
from hw.chips import FCLK_HZ
from hw.registers import CalFrequency, Mux

AMPLITUDE, RATIO, PERIOD, LINEARITY, OWN_STANDARD = 0.03, 0.01, 0.025, 0.01, 0.001
PEAK_SHARE = 1 / 2400
PERIODS_S = {CalFrequency.HZ_0_98: (1 << 21) / FCLK_HZ, CalFrequency.HZ_1_95: (1 << 20) / FCLK_HZ}
SETTLED = 4


@dataclass(frozen=True, slots=True)
class Square:
    """A square wave as captured, per channel: half its height `peak`, its middle, both in the unit given.

    `period_s`: from its crossings, 0 where there were too few.
    """

    peak: NDArray[np.float64]
    middle: NDArray[np.float64]
    period_s: float


def levels_of(x: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which samples of `x` (n,) are settled on the high and on the low half, four samples after a change."""
    high = x > (np.max(x) + np.min(x)) / 2
    changes = np.flatnonzero(np.diff(high)) + 1
    settled = np.ones(len(x), np.bool_)
    for at in changes:
        settled[max(at - 3, 0) : at + SETTLED] = False
    return settled & high, settled & ~high


def square_of(x: NDArray[np.float64], t_ns: NDArray[np.int64]) -> Square:
    """The square wave in `x` (n, channel), timed by the median over the channels."""
    timing = np.median(x, axis=1)
    high, low = levels_of(timing)
    if not (high.any() and low.any()):
        zero = np.zeros(x.shape[1])
        return Square(zero, x.mean(axis=0), 0.0)
    top, bottom = x[high].mean(axis=0), x[low].mean(axis=0)
    return Square((top - bottom) / 2, (top + bottom) / 2, _period_s(timing, t_ns))


def _period_s(x: NDArray[np.float64], t_ns: NDArray[np.int64]) -> float:
    """Mean distance of crossings of the middle, twice; by interpolation, in seconds of the stamps."""
    level = x - (np.max(x) + np.min(x)) / 2
    at = np.flatnonzero(np.diff(level > 0))
    if len(at) < 2:
        return 0.0
    share = level[at] / (level[at] - level[at + 1])
    t = t_ns - t_ns[0]
    crossings = t[at] + share * (t[at + 1] - t[at])
    return float(2 * (crossings[-1] - crossings[0]) / (len(crossings) - 1) / 1e9)


def square_wave(bench: Bench, gain: int, double: bool, periods: float) -> tuple[Square, Capture]:
    """The test signal on all channels, in microvolts: 1x with its slow, 2x with its fast period."""
    frequency = CalFrequency.HZ_1_95 if double else CalFrequency.HZ_0_98
    inputs = Inputs(Mux.TEST_SIGNAL, gain, QUIET_RATE_HZ, double, frequency)
    n = round(periods * PERIODS_S[frequency] * QUIET_RATE_HZ) + 8
    taken = bench.record(inputs, n)
    bench.set_inputs(inputs)
    if len(taken) < n // 2:
        zero = np.zeros(taken.frames.counts.shape[1])
        return Square(zero, zero, 0.0), taken
    return square_of(taken.uv(bench.scales_uv()), taken.t_ns), taken


def test_signal(bench: Bench) -> Outcome:
    """Test signal 1x and 2x at gain 1 and the highest gain, on every channel."""
    squares = {}
    for gain in (bench.gains()[0], bench.gains()[-1]):
        for double in (False, True):
            squares[gain, double], taken = square_wave(bench, gain, double, 2.0 if double else 1.6)
            if taken.timed_out:
                return failed(f"{len(taken)} samples", NOT_CONVERTING)
    peak_uv = bench.chips[0].vref_v[0] * PEAK_SHARE * 1e6
    return judge_test_signal(squares, peak_uv, channel_names(bench.chips))


def judge_test_signal(
    squares: dict[tuple[int, bool], Square], peak_uv: float, names: Sequence[str]
) -> Outcome:
    """`squares` by (gain, doubled); `peak_uv` what 1x shall be."""
    values: list[Value] = []
    shares: list[NDArray[np.float64]] = []
    for (gain, double), square in squares.items():
        want = peak_uv * (2 if double else 1)
        shares.append(square.peak / want)
        for k, name in enumerate(names):
            what = f"channel {name}, gain {gain}, {'2x' if double else '1x'}"
            low, high = want * (1 - AMPLITUDE), want * (1 + AMPLITUDE)
            values.append(within(what, float(square.peak[k]), "uV", low, high))
        period = PERIODS_S[CalFrequency.HZ_1_95 if double else CalFrequency.HZ_0_98]
        low, high = period * (1 - PERIOD), period * (1 + PERIOD)
        values.append(within(f"period at gain {gain}", square.period_s, "s", low, high))
    for gain in {gain for gain, _ in squares}:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(
                squares[gain, False].peak > 0.1 * peak_uv,
                squares[gain, True].peak / squares[gain, False].peak,
                0.0,
            )
        for k, name in enumerate(names):
            what = f"channel {name}, gain {gain}, 2x / 1x"
            values.append(within(what, float(ratio[k]), "", 2 * (1 - RATIO), 2 * (1 + RATIO)))
    share = np.array(shares)
    typical = float(np.median(share))
    text = f"peak {typical * peak_uv:.1f} uV, {100 * (typical - 1):+.2f} %"
    return judged(text, values, _signal_causes(share, squares, names))


def _signal_causes(
    share: NDArray[np.float64], squares: dict[tuple[int, bool], Square], names: Sequence[str]
) -> list[Cause]:
    causes = []
    typical = float(np.median(share))
    off_period = any(
        abs(square.period_s / PERIODS_S[CalFrequency.HZ_1_95 if double else CalFrequency.HZ_0_98] - 1)
        > PERIOD
        for (_, double), square in squares.items()
    )
    if abs(typical) < 0.1:
        return [
            Cause(
                "test signal dead: no channel shows it",
                "replace the chip if INT_CAL reads back; gains are then unproven",
            )
        ]
    per_channel = np.median(share, axis=0)
    dead = np.abs(per_channel) < 0.1
    off = (np.abs(per_channel / typical - 1) > LINEARITY) & ~dead
    if dead.any():
        causes.append(
            Cause(
                f"dead channel {', '.join(chosen(names, dead))}: no test signal there",
                "replace the chip; until then leave the channel out of the montage",
            )
        )
    if off.any():
        which = ", ".join(
            f"{names[k]} ({100 * (per_channel[k] / typical - 1):+.2g} %)"
            for k in np.flatnonzero(off).tolist()
        )
        causes.append(Cause(f"gain error of channel {which}", "replace the chip, or calibrate the channel"))
    if abs(typical - 1) > AMPLITUDE:
        causes.append(
            Cause(
                f"the test signal reads {100 * typical:.3g} % on all channels",
                "check gain decoding and VREF; half of it is a scale of 4.5 / (2^24 - 1)",
            )
        )
    if off_period and not causes:
        text = "wrong clock or restarted conversions: the test signal's period is off"
        causes.append(Cause(text, "see data-ready"))
    return causes


def scale(bench: Bench) -> Outcome:
    """Every gain on every channel against the chip's own test signal at the mean of the gains."""
    peaks = {}
    for gain in bench.gains():
        square, taken = square_wave(bench, gain, True, 2.0)
        if taken.timed_out:
            return failed(f"{len(taken)} samples", NOT_CONVERTING)
        peaks[gain] = square
    return judge_scale(peaks, channel_names(bench.chips))


def judge_scale(squares: dict[int, Square], names: Sequence[str]) -> Outcome:
    """Gain and offset of every gain: 0.1 % against one another, 1 % at most; among channels 1 %."""
    peak = np.array([square.peak for square in squares.values()])
    middle = np.array([square.middle for square in squares.values()])
    per_channel = np.median(peak, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.where(per_channel > 0, peak / per_channel - 1, -1.0)
        among = np.where(per_channel > 0, per_channel / np.median(per_channel) - 1, -1.0)
    full_scale_uv = float(np.median(per_channel)) * 1200  # 2x is 1/1200 of the reference
    values, causes = [], []
    for g, gain in enumerate(squares):
        worst = int(np.argmax(np.abs(off[g])))
        values.append(
            within(
                f"gain {gain}, channel {names[worst]} (worst)", 100 * float(off[g, worst]), "%",
                -100 * LINEARITY, 100 * LINEARITY, (-100 * OWN_STANDARD, 100 * OWN_STANDARD),
            )
        )  # fmt: skip
        share = 100 * float(np.abs(middle[g]).max()) * gain / full_scale_uv if full_scale_uv else 100.0
        values.append(within(f"gain {gain}, offset of full scale", share, "%", None, 1.0, (None, 0.1)))
    for k, name in enumerate(names):
        values.append(
            within(f"channel {name} against the median", 100 * float(among[k]), "%", -1.0, 1.0, (-0.5, 0.5))
        )
    dead = per_channel < 0.1 * np.median(per_channel) if per_channel.any() else np.ones(len(names), np.bool_)
    wrong = chosen(names, (np.abs(among) > 0.005) & ~dead)
    bent = chosen(names, (np.abs(off).max(axis=0) > OWN_STANDARD) & ~dead)
    if dead.all():
        causes.append(Cause("no test signal to compare gains with", "see the test signal"))
    elif dead.any():
        which = ", ".join(chosen(names, dead))
        causes.append(Cause(f"dead channel {which}: no test signal there", "see the noise of that channel"))
    if wrong:
        causes.append(
            Cause(f"gain error of channel {', '.join(wrong)}", "replace the chip, or calibrate the channel")
        )
    if bent:
        causes.append(
            Cause(
                f"gains of channel {', '.join(bent)} do not agree", "check the gain codes; replace the chip"
            )
        )
    if np.abs(middle).max() > 500:
        loud = names[int(np.argmax(np.abs(middle).max(axis=0)))]
        causes.append(Cause(f"offset of channel {loud} at some gain", "see the offset with shorted inputs"))
    note = "against the chip's own test signal, no absolute standard: the reference is judged elsewhere"
    return judged(f"gains within {100 * float(np.abs(off).max()):.2g} %", values, causes, note=note)
