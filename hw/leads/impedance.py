"""Electrode impedance measured inside the running stream: one run from command to result.

Owns the order of things: excite connected leads, let them settle, watch a window of whole cycles, drop a lead
that is off and measure the others again (a floating excited lead drags all), put the registers back. Refuses
to touch a register itself. Called in the thread that delivers blocks. Facts 1.8, 6.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from hw.chips import SETTLING_CONVERSIONS, Family
from hw.lead_off import CURRENTS_NA, SIDE_N, SIDE_P, refuse_current, tone
from hw.leads.calibration import UNCALIBRATED, Calibration, Side
from hw.leads.current import Current, Inputs
from hw.leads.report import REFERENCE, Verdict, lead_name, not_measured, report
from hw.leads.window import Judge, Window
from hw.link import NOT_SEEN, Excited, Fault, ImpedanceStart, Message
from hw.samples import SampleBlock

SETTLE_S = 0.25
"""After a current changes: ten time constants of a bad electrode (250 kohm, 100 nF), and a moved offset."""
MOST_ROUNDS = 6
MOST_GAPS = 8
LONGEST_S = 60.0
RETRY_S = 1.0
RAILED = "the channel is railed: one of its electrodes is off, or its offset is too large"
OTHER = "the channel's other electrode is off"
SHARED = "one electrode for all channels through SRB1; a current in it shows in all of them alike"


@dataclass(slots=True)
class _Job:
    """A command being carried out: sides still to do, and of the one under way the channels (bits) that are
    excited, the window, and how often it was begun anew."""

    command: ImpedanceStart
    judge: Judge
    first_index: int | None = None
    sides: list[Side] = field(default_factory=list)
    todo: list[Side] = field(default_factory=list)
    active: int = 0
    window: Window | None = None
    rounds: int = 0
    gaps: int = 0
    verdicts: dict[tuple[int, Side], Verdict] = field(default_factory=dict)
    off: int = 0


@dataclass(frozen=True, slots=True)
class _Result:
    """What is told when the current has ended."""

    command: ImpedanceStart
    frequency_hz: float
    verdicts: list[tuple[str, Verdict]]


class ImpedanceRun:
    """Measures the leads of `channels`, the first ones of the front end; one run at a time.

    `start` accepts or refuses, `block` does the rest and says what there is to say, `abort` puts the
    registers back at once. Not thread-safe.
    """

    def __init__(
        self,
        current: Current,
        info: Inputs,
        channels: Sequence[str],
        calibration: Calibration = UNCALIBRATED,
    ) -> None:
        self._info, self._names, self._current = info, tuple(channels), current
        self._calibration = calibration
        self._job: _Job | None = None
        self._owed: Excited | None = None
        self._result: _Result | None = None
        self._ending = False
        self._retry_index = 0
        self._phase_known = True

    @property
    def running(self) -> bool:
        """From `start` until the result has been said and the currents have ended."""
        return self._job is not None or self._owed is not None

    def start(self, command: ImpedanceStart) -> str:
        """Accept `command`, to begin after the next block, or say in one line why not."""
        if self.running:
            return "impedance is being measured; wait for the result, or stop it"
        refusal = self._current.refuse() or refuse_current(
            command.current_na, direct=False, phantom=bool(command.phantom)
        )
        if refusal:
            return refusal
        if command.sides > SIDE_P | SIDE_N:
            return f"sides {command.sides}: use 1 (positive), 2 (negative), 3 (both) or 0 (as wired)"
        for part in self._info.chips:
            if command.current_na not in CURRENTS_NA[part.family]:
                known = ", ".join(map(str, CURRENTS_NA[part.family]))
                return f"the {part.name} has no current of {command.current_na} nA; use one of {known}"
        try:
            tones = tuple(tone(part, self._info.rate_hz, command.frequency_hz) for part in self._info.chips)
        except ValueError as error:
            return str(error)
        judge = Judge(self._info, self._calibration, tones, command.current_na, self._phase_known)
        self._job = _Job(command, judge)
        return ""

    def block(self, block: SampleBlock, railed: int = 0) -> list[Message]:
        """Take the next samples, `railed` one bit per channel; what there is to say after them."""
        job = self._job
        if job is None:
            return self._pay(block)
        said: list[Message] = []
        try:
            if job.first_index is None:
                job.first_index = block.end_index
                said.append(Excited(job.command.command, block.end_index, NOT_SEEN))
                self._begin(job)
                said += self._next_side(job, block, railed)
            else:
                said += self._go_on(job, block, railed)
        except self._current.failure as error:
            said += self._finish(job, block, str(error))
        return said

    def stop(self, block: SampleBlock, why: str) -> list[Message]:
        """End the run under way after `block`; what was not measured says `why`."""
        return [] if self._job is None else self._finish(self._job, block, why)

    def abort(self) -> None:
        """Put the registers back now and say nothing: the samples have ended. Raises as the driver does."""
        self._job = self._owed = self._result = None
        self._current.restore()

    def restarted(self) -> None:
        """The chips were brought up anew: nothing to put back, and samples no longer count from START."""
        self._phase_known = False
        self._current.forget()

    def _begin(self, job: _Job) -> None:
        self._current.begin()
        shared = self._current.shared_negative
        # Without SRB1 switches no register tells whether negative inputs have electrodes of their own.
        told = all(part.family is Family.ADS1299 for part in self._info.chips)
        wanted = job.command.sides or (SIDE_P | SIDE_N if told and not shared else SIDE_P)
        if wanted & SIDE_P:
            job.sides.append("p")
        if wanted & SIDE_N and not shared:
            job.sides.append("n")
        job.todo = list(job.sides)

    def _next_side(self, job: _Job, block: SampleBlock, railed: int) -> list[Message]:
        """The next side that has a lead to excite, or the end."""
        while job.todo:
            side = job.todo[0]
            self._drop(job, railed)
            job.active = (1 << len(self._names)) - 1 & ~job.off
            if job.active:
                job.rounds = job.gaps = 0
                self._drive(job, side, block)
                return []
            job.todo.pop(0)
        return self._finish(job, block, "")

    def _drop(self, job: _Job, railed: int) -> None:
        """Channels at a rail have a lead that is off; which of the two cannot be told."""
        for k in range(len(self._names)):
            if railed >> k & 1:
                for side in job.sides:
                    job.verdicts[k, side] = not_measured(RAILED, off=True)
                job.off |= 1 << k

    def _drive(self, job: _Job, side: Side, block: SampleBlock) -> None:
        """Excite what is active, and begin a window when that has settled."""
        sense = (job.active, 0) if side == "p" else (0, job.active)
        job.window = None
        self._current.drive(job.command.current_na, job.judge.tones, *sense)
        self._settle(job, block)

    def _settle(self, job: _Job, block: SampleBlock) -> None:
        """Begin the window, once it is known from where on the current flows."""
        reached = self._current.reached(block)
        if reached is not None:
            settle = math.ceil(SETTLE_S * self._info.rate_hz) + SETTLING_CONVERSIONS
            self._open(job, reached + settle)

    def _open(self, job: _Job, first_index: int) -> None:
        job.window = Window(job.judge.tones[0].window_samples, first_index)

    def _go_on(self, job: _Job, block: SampleBlock, railed: int) -> list[Message]:
        window, side = job.window, job.todo[0]
        first_index = block.end_index if job.first_index is None else job.first_index
        if block.end_index - first_index > LONGEST_S * self._info.rate_hz:
            return self._finish(job, block, f"no quiet window within {LONGEST_S:g} s")
        if railed & job.active:
            self._drop(job, railed & job.active)
            return self._again(job, side, block)
        if window is None:
            self._settle(job, block)
            return []
        if window.broken_by(block):
            job.gaps += 1
            if job.gaps > MOST_GAPS:
                return self._finish(job, block, "samples were lost inside every window")
            self._open(job, block.first_index)
            return self._go_on(job, block, railed)
        window.take(block)
        if not window.full:
            return []
        found = job.judge.verdicts(window, side, job.active)
        off = sum(1 << k for k, verdict in found.items() if verdict.off)
        job.verdicts |= {(k, side): verdict for k, verdict in found.items()}
        job.off |= off
        if off and job.active & ~off:  # what they dragged is measured again without them
            return self._again(job, side, block)
        job.todo.pop(0)
        return self._next_side(job, block, railed)

    def _again(self, job: _Job, side: Side, block: SampleBlock) -> list[Message]:
        """The side's leads without those that were found off."""
        job.active &= ~job.off
        job.rounds += 1
        if job.rounds > MOST_ROUNDS:
            for k in range(len(self._names)):
                if job.active >> k & 1:
                    job.verdicts.pop((k, side), None)
            return self._finish(job, block, "leads kept coming off")
        if job.active:
            self._drive(job, side, block)
            return []
        job.todo.pop(0)
        return self._next_side(job, block, 0)

    def _finish(self, job: _Job, block: SampleBlock, why: str) -> list[Message]:
        """Registers back, the span closed, the result; what has no verdict was not measured because `why`."""
        self._job = None
        verdicts = [
            (
                lead_name(name, side),
                job.verdicts.get((k, side)) or not_measured(why or "no lead is connected"),
            )
            for side in job.sides or ["p"]
            for k, name in enumerate(self._names)
        ]
        if self._current.shared_negative:
            verdicts.append((REFERENCE, not_measured(SHARED)))
        first = block.end_index if job.first_index is None else job.first_index
        self._owed = Excited(job.command.command, first, NOT_SEEN)
        self._result = _Result(job.command, job.judge.tones[0].frequency_hz, verdicts)
        return self._pay(block)

    def _pay(self, block: SampleBlock) -> list[Message]:
        """Put the registers back, tried again until it works, and say when the currents have ended; then the
        result, which does not wait for registers that are not back."""
        owed = self._owed
        if owed is None:
            return []
        try:
            if not self._ending:
                if self._result is None and block.end_index < self._retry_index:
                    return []
                self._current.restore()
                self._ending = True
            reached = self._current.reached(block)
        except self._current.failure as error:
            self._ending = False
            self._retry_index = block.end_index + math.ceil(RETRY_S * self._info.rate_hz)
            text = f"the lead-off registers are not back, currents may flow; tried again: {error}"
            first_time = self._result is not None
            return [*([Fault("impedance", text, 0)] if first_time else []), *self._told(owed, NOT_SEEN)]
        if reached is None:
            return []
        self._owed, self._ending = None, False
        end = reached + SETTLING_CONVERSIONS
        return [Excited(owed.command, owed.first_index, end), *self._told(owed, end)]

    def _told(self, owed: Excited, end: int) -> list[Message]:
        """The result, once."""
        result, self._result = self._result, None
        if result is None:
            return []
        span, board = (owed.first_index, end), self._calibration.board
        return [report(result.command, span, result.frequency_hz, board, result.verdicts)]
