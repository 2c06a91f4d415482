"""Items over the four GPIO pins: idle, driven by the chip itself, and looped back from the stimulus lines.

The loop is what every stimulus is proven by (DESIGN principle 6). Limits: facts/hardware.md 2 and 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware.bench.bench import Bench, Inputs
from firmware.bench.items_timing import NOT_CONVERTING
from firmware.bench.verdicts import (
    Cause,
    Outcome,
    Plot,
    Series,
    exactly,
    failed,
    judged,
    listed,
    skipped,
    within,
)
from firmware.ports import Edge
from hw.chips import wait_for_tclk_ns
from hw.registers import Address, Gpio

PULSES, QUICK_PULSES = 1000, 200
HIGH_SAMPLES, PULSE_SAMPLES = 2, 5
MOST_LATE_SAMPLES = 2.0
SLACK_US = 20.0
MOST_LINES = 8


def gpio_idle(bench: Bench) -> Outcome:
    """The nibble of every chip while all stimulus lines are low."""
    bench.box.outputs.write(0)
    taken = bench.record(Inputs(rate_hz=bench.rate_hz), bench.samples(500))
    if len(taken) < 8:
        return failed(f"{len(taken)} samples", NOT_CONVERTING)
    return judge_idle(taken.frames.chip_gpio, bench.box.lines)


def judge_idle(nibbles: NDArray[np.uint8], lines: int) -> Outcome:
    """`nibbles` (n, chip): the first chip's lines must be low; no pin may flicker."""
    values, causes = [], []
    mask = (1 << lines) - 1
    first = nibbles[:, 0] & mask
    high = [line for line in range(lines) if (first >> line & 1).all()]
    values.append(exactly("lines high while idle", len(high), 0))
    if high:
        causes.append(
            Cause(
                f"GPIO {listed(high)} stuck high: shorted to the supply, or its stimulus output is high",
                "check for solder bridges and what drives the line; pull it down",
            )
        )
    for chip in range(nibbles.shape[1]):
        changing = [pin for pin in range(4) if np.ptp(nibbles[:, chip] >> pin & 1)]
        values.append(exactly(f"chip {chip + 1}: pins that flicker", len(changing), 0))
        if changing:
            causes.append(
                Cause(
                    f"chip {chip + 1}: GPIO {listed(changing)} floats or picks up noise",
                    "pull unused and unplugged lines down with 10 to 100 kohm",
                )
            )
    return judged("all low" if not high else f"GPIO {listed(high)} high", values, causes)


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse: the line, when it was raised, and the time of the row that first showed it, None for never.

    `moved`: other lines that changed with it; `ended`: it was low again when it had to be.
    """

    line: int
    raised_ns: int
    seen_ns: int | None
    moved: int
    ended: bool


class Pulser:
    """Raises one line after the other for two samples, at any phase, and looks at what comes back."""

    def __init__(self, bench: Bench, pulses: int) -> None:
        self._box, self._lines = bench.box, bench.box.lines
        self._generator = np.random.default_rng(bench.seed)
        self._period_ns = 1e9 / bench.rate_hz
        self._pulses = pulses
        self.raised: list[tuple[int, int, int]] = []

    def after(self, row: int, edge: Edge) -> None:
        """To be called after each row: raise, lower, or wait."""
        number, at = divmod(row, PULSE_SAMPLES)
        if number >= self._pulses:
            return
        line = number % self._lines
        if at == 0:
            # Any phase but the last fifth, which the next edge's read needs.
            self._box.clock.wait_ns(int(self._generator.uniform(0, 0.8 * self._period_ns)))
            self.raised.append((line, row, self._box.clock.now_ns()))
            self._box.outputs.write(1 << line)
        elif at == HIGH_SAMPLES:
            self._box.outputs.write(0)


def trigger_loop(bench: Bench) -> Outcome:
    """Pulses on every stimulus line at any phase of the sampling, each seen in the first chip's status."""
    if not bench.box.lines:
        return skipped("no stimulus lines are wired")
    pulses = QUICK_PULSES if bench.quick else PULSES
    bench.info  # noqa: B018 (brings the chips up)
    bench.set_inputs(Inputs(rate_hz=bench.rate_hz))
    pulser = Pulser(bench, pulses)
    bench.box.outputs.write(0)
    try:
        with bench.running():
            taken = bench.take(pulses * PULSE_SAMPLES + 8, bench.rate_hz, pulser.after)
    finally:
        bench.box.outputs.write(0)
    if taken.timed_out:
        return failed(f"{len(taken)} samples", NOT_CONVERTING)
    nibbles = taken.frames.chip_gpio[:, 0] & np.uint8((1 << bench.box.lines) - 1)
    seen = [_pulse(nibbles, taken.t_ns, *raised) for raised in pulser.raised]
    return judge_trigger_loop(seen, bench.rate_hz, bench.box.lines, bench.box.one_time)


def _pulse(nibbles: NDArray[np.uint8], t_ns: NDArray[np.int64], line: int, row: int, raised_ns: int) -> Pulse:
    after = nibbles[row + 1 : row + PULSE_SAMPLES + 1]
    before = int(nibbles[row])
    rows = np.flatnonzero(after >> line & 1)
    seen_ns = int(t_ns[row + 1 + rows[0]]) if len(rows) and not before >> line & 1 else None
    moved = int(np.bitwise_or.reduce((after ^ before) & ~np.uint8(1 << line)))
    return Pulse(line, raised_ns, seen_ns, moved, not int(after[-1]) >> line & 1)


def judge_trigger_loop(pulses: Sequence[Pulse], rate_hz: float, lines: int, one_time: bool = True) -> Outcome:
    """All seen, in place, alone, and ended. The position is uniform over a sample: SD of T / sqrt(12).

    `one_time` False: the times of raising and seeing cannot be compared, and are not.
    """
    seen = [pulse for pulse in pulses if pulse.seen_ns is not None]
    late_us = np.array([(pulse.seen_ns or 0) - pulse.raised_ns for pulse in seen]) / 1e3
    period_us = 1e6 / rate_hz
    dead = [
        line for line in range(lines)
        if not any(pulse.line == line for pulse in seen) and any(pulse.line == line for pulse in pulses)
    ]  # fmt: skip
    moved = [line for line in range(lines) if any(pulse.moved >> line & 1 for pulse in pulses)]
    open_ended = sum(not pulse.ended for pulse in pulses)
    values = [
        exactly("pulses seen", len(seen), len(pulses)),
        exactly("lines that never rise", len(dead), 0),
        exactly("lines that move with another", len(moved), 0),
        exactly("pulses that did not end", open_ended, 0),
    ]
    if len(seen) and one_time:
        sd = float(np.std(late_us))
        values += [
            within("position SD", sd, "us", None, period_us / np.sqrt(12) + SLACK_US),
            within("latest", float(late_us.max()), "us", None, MOST_LATE_SAMPLES * period_us),
        ]
    causes = _loop_causes(pulses, dead, moved, open_ended, len(seen))
    plots = [_histogram(late_us)] if len(seen) and one_time else []
    return judged(f"{len(seen)} of {len(pulses)} seen", values, causes, plots)


def _loop_causes(
    pulses: Sequence[Pulse], dead: list[int], moved: list[int], open_ended: int, seen: int
) -> list[Cause]:
    causes = []
    stuck = {
        line for line in range(MOST_LINES)
        if any(pulse.line == line for pulse in pulses)
        and all(not pulse.ended for pulse in pulses if pulse.line == line)
    }  # fmt: skip
    low = [line for line in dead if line not in stuck]
    if low:
        causes.append(
            Cause(
                f"GPIO {listed(low)} stuck low or open: stimulus line {listed(low)} never comes back",
                "check the wire from the stimulus output to this GPIO pin; look for a short to ground; "
                "if all are dead, look for swapped chip selects",
            )
        )
    if stuck:
        causes.append(
            Cause(
                f"GPIO {listed(sorted(stuck))} stuck high: {open_ended} pulses do not end",
                "check for a short to the supply, and what else drives the line",
            )
        )
    if moved and not stuck:
        causes.append(
            Cause(
                f"GPIO {listed(moved)} moves with another line: shorted together",
                "look for solder bridges between the stimulus lines",
            )
        )
    if not causes:
        text = "single pulses are missed or seen late: late outputs, stale or lost frames"
        causes.append(Cause(text, "see the soak; lower the rate"))
    return causes


def _histogram(late_us: NDArray[np.float64]) -> Plot:
    counts, edges = np.histogram(late_us, 40)
    x = (edges[:-1] + edges[1:]) / 2
    line = Series("pulses", tuple(x.tolist()), tuple(counts.astype(float).tolist()))
    return Plot("From raising a line to the sample that shows it", "bars", "microseconds", "pulses", (line,))


def gpio_loop(bench: Bench) -> Outcome:
    """Every chip drives its own GPIO pins and reads them back, both states of each."""
    first = 0 if bench.box.pins_free else 1
    if first >= len(bench.box.ports):
        return skipped(
            "the stimulus lines drive these pins: two outputs against each other are a short; "
            "unplug them and say --pins-free"
        )
    bench.info  # noqa: B018 (brings the chips up)
    bench.box.outputs.write(0)
    seen: list[tuple[int, int, int, int]] = []
    with bench.front_end.restored():
        bench.set_inputs(Inputs(rate_hz=bench.rate_hz))
        for chip in range(first, len(bench.box.ports)):
            for bits in (0x0, 0x1, 0x2, 0x4, 0x8, 0xF, 0x0):
                register = Gpio(levels=bits, inputs=0).encode()
                bench.front_end.write_registers(chip, {Address.GPIO: register})
                bench.box.clock.wait_ns(wait_for_tclk_ns(64))
                by_register = bench.front_end.read_registers(chip)[Address.GPIO] >> 4
                with bench.running():
                    taken = bench.take(2, bench.rate_hz)
                by_nibble = int(taken.frames.chip_gpio[-1, chip]) if len(taken) else -1
                seen.append((chip, bits, by_register, by_nibble))
    return judge_gpio_loop(seen)


def judge_gpio_loop(seen: Sequence[tuple[int, int, int, int]]) -> Outcome:
    """`seen`: chip, levels driven, read back in GPIO, read in the frame's nibble (-1: no frame)."""
    if all(nibble < 0 for _, _, _, nibble in seen):
        return failed("no frames", NOT_CONVERTING)
    wrong = [row for row in seen if row[1] != row[2] or row[1] != row[3]]
    values = [exactly("states read back wrong", len(wrong), 0)]
    causes = []
    for chip in {row[0] for row in wrong}:
        own = [row for row in seen if row[0] == chip]
        for pin in range(4):
            levels = {nibble >> pin & 1 for _, _, _, nibble in own if nibble >= 0}
            if len(levels) == 1:
                text = f"chip {chip + 1}: GPIO {pin + 1} stuck {'high' if 1 in levels else 'low'}"
                causes.append(Cause(text, "check the pin for a short; what else drives it?"))
    causes = causes or [Cause("the nibble and the GPIO register disagree", "see headers and write/read-back")]
    return judged(f"{len(seen) - len(wrong)} of {len(seen)} states", values, causes)
