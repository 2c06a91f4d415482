"""Items about time and loss: data-ready, headers, stale frames, the soak, and RDATAC against RDATA.

Limits: facts/hardware.md 1.1, 3.2, 6. The kernel's late stamps are refused like the timebase refuses them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware.bench.bench import Bench, Inputs
from firmware.bench.box import Capture
from firmware.bench.verdicts import (
    Cause,
    Outcome,
    Plot,
    Series,
    Value,
    exactly,
    failed,
    judged,
    within,
)
from hw.chips import SETTLING_CONVERSIONS

EDGES = 1000
WARN_RATE, MOST_RATE = 0.005, 0.025
"""The oscillator: within 0.5 % at room temperature, 2.5 % over the range (facts 1.1)."""
MOST_RESIDUAL_US = 5.0
WARN_WANDER_PPM, MOST_WANDER_PPM = 200.0, 400.0
"""A few 0.1 ms over seconds was seen on sound chips (facts 1.1); the limits are ours."""
SEGMENT = 100
NO_EDGE = Cause(
    "no data-ready edge although the chip converts: the data-ready line is open or on another pin",
    "check the wire from DRDY, and data_ready in the wiring",
)
NOT_CONVERTING = Cause(
    "the chip does not convert: no clock, no START, or it was reset",
    "check CLK and CLKSEL, START and RESET",
)
LOST_EDGES = Cause(
    "data-ready edges are missing between others: a loose line, or interrupts lost",
    "check the data-ready wire and its slopes; look for another program that holds interrupts off",
)


WAS_RESET = Cause(
    "the chip was reset in mid-run: it holds the values of RESET",
    "look for dips of the supply and spikes on RESET; add a capacitor, tie RESET high",
)
RESTARTED = Cause(
    "START interrupted: conversions begin anew after gaps of the settling time, four periods",
    "check the START line, and that nothing writes CONFIG1 while converting",
)


@dataclass(frozen=True, slots=True)
class Edges:
    """A train of edges against a regular one.

    `period_s` mean over the whole train; `missing` between the first and the last; `residual_us` (n,) and
    `wander_ppm` after and of line fits over segments of 100; `steps` (n - 1,) whole periods between edges.
    """

    period_s: float
    missing: int
    residual_us: NDArray[np.float64]
    wander_ppm: float
    steps: NDArray[np.int64]
    intervals_us: NDArray[np.float64]


def edges_of(t_ns: NDArray[np.int64]) -> Edges:
    """The train of `t_ns` (n,), ascending; ValueError for fewer than 8."""
    if len(t_ns) < 8:
        raise ValueError(f"{len(t_ns)} edges are too few to judge")
    intervals = np.diff(t_ns).astype(np.float64)
    steps = np.maximum(np.rint(intervals / np.median(intervals)), 1).astype(np.int64)
    at = np.concatenate(([0], np.cumsum(steps))).astype(np.float64)
    t = (t_ns - t_ns[0]).astype(np.float64)
    residual, rates = np.zeros(len(t)), []
    count = max(1, len(t) // SEGMENT)
    for part in np.array_split(np.arange(len(t)), count):
        slope, offset = np.polyfit(at[part], t[part], 1)
        residual[part] = t[part] - offset - slope * at[part]
        rates.append(slope)
    wander = float(np.std(rates) / np.mean(rates) * 1e6) if count > 1 else 0.0
    return Edges(
        float(t[-1] / at[-1]) / 1e9,
        int(steps.sum() - len(steps)),
        residual / 1e3,
        wander,
        steps,
        intervals / 1e3,
    )


def robust_sd(x: NDArray[np.float64]) -> float:
    """Standard deviation from the median deviation: late stamps do not count."""
    return float(1.4826 * np.median(np.abs(x - np.median(x))))


def gaps_of(train: Edges) -> Cause:
    """What gaps of the train's lengths come from."""
    gaps = train.steps[train.steps > 1]
    return RESTARTED if len(gaps) and (gaps == SETTLING_CONVERSIONS).all() else LOST_EDGES


def data_ready(bench: Bench) -> Outcome:
    """A thousand edges of the data-ready line."""
    rate_hz = bench.rate_hz
    taken = bench.record(Inputs(rate_hz=rate_hz), EDGES)
    if len(taken) >= 8:
        return judge_data_ready(taken.told_ns, rate_hz, taken.timed_out, taken.read_late)
    return failed(f"{len(taken)} of {EDGES} edges", NOT_CONVERTING)


def judge_data_ready(
    t_ns: NDArray[np.int64], rate_hz: float, timed_out: bool = False, read_late: int = 0
) -> Outcome:
    """`t_ns` of successive edges of nominally `rate_hz`; `read_late` of them the bench was too slow for.

    That is no fault of the line, nor of the product's compiled loop; what it holds is the item `held`.
    """
    train = edges_of(t_ns)
    measured_hz = 1 / train.period_s if train.period_s else 0.0
    off = measured_hz / rate_hz - 1
    values = [
        within(
            "rate", measured_hz, "Hz",
            rate_hz * (1 - MOST_RATE), rate_hz * (1 + MOST_RATE),
            (rate_hz * (1 - WARN_RATE), rate_hz * (1 + WARN_RATE)),
        ),
        exactly("edges missing", train.missing, 0),
        exactly("edges ceased", int(timed_out), 0),
        within("jitter SD", robust_sd(train.residual_us), "us", None, MOST_RESIDUAL_US),
        within("latest stamp", float(np.max(train.residual_us)), "us", None, None, (None, 0.1e6 / rate_hz)),
    ]  # fmt: skip
    causes = []
    if train.missing:
        causes.append(gaps_of(train))
    if timed_out:
        causes.append(NOT_CONVERTING)
    if abs(off) > WARN_RATE:
        causes.append(_wrong_clock(off))
    if robust_sd(train.residual_us) > MOST_RESIDUAL_US:
        causes.append(Cause("time stamps jitter", "use kernel stamps of the edge line; check its slopes"))
    text = f"{measured_hz:.3f} Hz ({off * 1e6:+.0f} ppm), {train.missing} missing{_late(read_late)}"
    return judged(text, values, causes, [histogram_of_intervals(train)])


def _late(read_late: int) -> str:
    """A word about samples that the bench's own reading was too late for."""
    return f", {read_late} read late" if read_late else ""


def _wrong_clock(off: float) -> Cause:
    text = f"wrong clock: conversions are {1 + off:.4g} of the rate set"
    if abs(off + 0.5) < 0.05 or abs(off - 1) < 0.1:
        return Cause(f"{text}: another crystal, a divided clock, or another part", "feed 2.048 MHz to CLK")
    if abs(off) <= MOST_RATE:
        return Cause(f"{text}: the oscillator is warm or cold", "feed a crystal's 2.048 MHz to CLK")
    return Cause(f"{text}: the oscillator is out of its range", "feed a crystal's 2.048 MHz to CLK")


def histogram_of_intervals(train: Edges) -> Plot:
    """Intervals between edges, as bars."""
    us = train.intervals_us
    centre = float(np.median(us))
    width = max(float(np.ptp(us)), 1e-3 * centre, 1.0)
    edges = np.linspace(centre - width * 1.05, centre + width * 1.05, 42)
    counts, _ = np.histogram(us, edges)
    x = (edges[:-1] + edges[1:]) / 2
    line = Series("intervals", tuple(x.tolist()), tuple(counts.astype(float).tolist()))
    return Plot("Interval between data-ready edges", "bars", "microseconds", "edges", (line,), log_y=True)


def soak(bench: Bench) -> Outcome:
    """Many samples at the bench's rate: edges, repeated frames, and whether the chip lived through it."""
    taken = bench.record(Inputs(rate_hz=bench.rate_hz), bench.soak_samples)
    lost = bench.front_end.still_configured()
    return judge_soak(taken, bench.soak_samples, lost)


def judge_soak(taken: Capture, wanted: int, lost_registers: str) -> Outcome:
    """`lost_registers`: what the driver found afterwards, "" when the chips still hold what was written."""
    if len(taken) < 8:
        return failed(f"{len(taken)} of {wanted} samples", NOT_CONVERTING)
    train = edges_of(taken.told_ns)
    stale = stale_rows(taken)
    residual_us = robust_sd(train.residual_us)
    values = [
        exactly("samples that never came", wanted - len(taken), 0),
        exactly("gaps in the edges", train.missing, 0),
        exactly("stale frames", stale, 0),
        exactly("chips that lost their registers", int(bool(lost_registers)), 0),
        within("residual of the rate's fit, SD", residual_us, "us", None, MOST_RESIDUAL_US),
        within("wander of the rate", train.wander_ppm, "ppm", None, MOST_WANDER_PPM, (None, WARN_WANDER_PPM)),
    ]
    causes = []
    if lost_registers:
        causes.append(Cause(f"a register changed by itself: {lost_registers}", "see write and read back"))
    elif taken.timed_out:
        causes.append(NOT_CONVERTING)
    if train.missing:
        causes.append(gaps_of(train))
    if stale:
        causes.append(
            Cause(
                f"stale frames: {stale} repeat the one before",
                "chips that free-run need a common CLK and START; else read each frame after its own edge",
            )
        )
    if train.wander_ppm > WARN_WANDER_PPM:
        causes.append(
            Cause(
                f"clock wander: the rate changes by {train.wander_ppm:.0f} ppm in the run",
                "feed a crystal's 2.048 MHz to CLK; keep the oscillator's supply quiet",
            )
        )
    gaps = f"{train.missing} gaps{_late(taken.read_late)}"
    text = f"{len(taken)} samples, {gaps}, {stale} stale, wander {train.wander_ppm:.0f} ppm"
    return judged(text, values, causes)


def stale_rows(taken: Capture) -> int:
    """Rows whose counts repeat the row before on some chip that has noise otherwise."""
    counts = taken.frames.counts
    first, most = 0, 0
    widths = _chip_widths(taken)
    for width in widths:
        own = counts[:, first : first + width]
        first += width
        if np.ptp(own, axis=0).any():
            most = max(most, int((own[1:] == own[:-1]).all(axis=1).sum()))
    return most


def _chip_widths(taken: Capture) -> list[int]:
    chips = taken.frames.chip_gpio.shape[1]
    return [taken.frames.counts.shape[1] // chips] * chips


def headers(bench: Bench) -> Outcome:
    """1100 in every frame of the soak and of all before it."""
    bench.record(Inputs(rate_hz=bench.rate_hz), bench.soak_samples)
    return judge_headers(bench.tally.frames, bench.tally.headless)


def judge_headers(frames: int, headless: list[int]) -> Outcome:
    """`headless`: frames without header, per chip."""
    values: list[Value] = [within("frames", frames, "", 1)]
    values += [exactly(f"chip {k + 1}: frames without header", n, 0) for k, n in enumerate(headless)]
    causes = [
        Cause(
            f"chip {k + 1}: corrupt header in {n} of {frames} frames: torn or disturbed on the wire"
            if n < frames
            else f"chip {k + 1}: no header at all: bytes out of step, or no frame is read",
            "read with RDATA; lower the SPI clock, shorten the leads, use SPI mode 1",
        )
        for k, n in enumerate(headless)
        if n
    ]
    bad = sum(headless)
    return judged(f"{100 * (1 - bad / max(frames * len(headless), 1)):.4g} % of {frames}", values, causes)


def continuous(bench: Bench) -> Outcome:
    """The same inputs read with RDATA and with RDATAC."""
    n = bench.samples(500)
    inputs = Inputs(rate_hz=bench.rate_hz)
    snapshot = bench.record(inputs, n)
    scale = bench.scales_uv()
    bench.bring_up("rdatac")
    try:
        streamed = bench.record(inputs, n)
    finally:
        bench.bring_up()
    if min(len(snapshot), len(streamed)) < 8:
        return failed(f"{len(snapshot)} and {len(streamed)} of {n} samples", NOT_CONVERTING)
    return judge_continuous(snapshot.uv(scale), streamed.uv(scale), int((~streamed.frames.header_ok).sum()))


def judge_continuous(
    snapshot_uv: NDArray[np.float64], streamed_uv: NDArray[np.float64], headless: int
) -> Outcome:
    """Both (n, channel), the same inputs: means and noise must agree as far as noise allows."""
    n = min(len(snapshot_uv), len(streamed_uv))
    a, b = np.std(snapshot_uv, axis=0), np.std(streamed_uv, axis=0)
    noise = np.sqrt((a**2 + b**2) / 2)
    apart = np.abs(snapshot_uv.mean(axis=0) - streamed_uv.mean(axis=0))
    z = apart / np.maximum(noise * np.sqrt(2 / n), 1e-6)
    ratio = np.where(a > 0, b / np.maximum(a, 1e-9), 1.0)
    values = [
        exactly("frames without header in RDATAC", headless, 0),
        within("mean apart, in standard errors", float(z.max()), "", None, 12.0, (None, 8.0)),
        within("noise RDATAC / RDATA, lowest", float(ratio.min()), "", 0.6, None, (0.75, None)),
        within("noise RDATAC / RDATA, highest", float(ratio.max()), "", None, 1.6, (None, 1.33)),
    ]
    causes = [
        Cause(
            "continuous reading gives other samples than RDATA: torn or late reads",
            "record with RDATA, or read within a sample period less 2 us",
        )
    ]
    return judged(f"noise ratio {ratio.min():.2f} to {ratio.max():.2f}", values, causes)
