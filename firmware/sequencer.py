"""Fires stimuli on the sample grid, and believes in none that the samples do not show.

A pure state machine: `step(index, bits)` takes each sample's trigger bits and gives the output bits to drive.
A pulse that does not come back, one that nobody ordered, or a line that stays high is a fault: all plans end,
outputs go low, the first cause is kept. Refuses plans beyond `hw.limits`, and to make up for pulses that it
could not fire in time: a burst would be faster than any limit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from hw import limits
from hw.link import ALL_PLANS, NOT_SEEN, StimPlan, Stimulus

NEVER = 1 << 62
UNKNOWN = 0xFF


@dataclass(slots=True)
class _Running:
    plan: StimPlan
    due: int
    fired: int = 0


@dataclass(slots=True)
class _Line:
    """`until`: the sample with which the last pulse ends or ended; `plan` is the one that raised it."""

    bit: int
    until: int = -1
    plan: int = -1


class Sequencer:
    """Plans of one board; `report` receives a Stimulus per pulse, `fault` the one line of the first fault.

    After a fault nothing is fired and no other fault is told until a plan is started anew.
    """

    def __init__(
        self,
        rate_hz: float,
        lines: int,
        report: Callable[[Stimulus], None],
        fault: Callable[[str, str], None],
    ) -> None:
        self._rate_hz = rate_hz
        self._report, self._fault = report, fault
        self._plans: dict[int, _Running] = {}
        self._awaited: dict[int, Stimulus] = {}
        self._lines = {line: _Line(1 << (line - 1)) for line in range(1, lines + 1)}
        self._outputs = 0
        self._seen = 0
        self._spacing = max(1, math.ceil(limits.MIN_SPACING_S * rate_hz - 1e-6))
        self._next = NEVER
        self._last_fired = -NEVER
        self._index = -1
        self._faulted = False

    @property
    def outputs(self) -> int:
        """Bits that the output lines must show now."""
        return self._outputs

    def start(self, plan: StimPlan) -> str:
        """Begin a plan; the refusal in one line, or empty. Pulses fall on `phase` modulo `period`."""
        refusal = limits.refuse(plan, self._rate_hz, len(self._lines)) or self._crowded(plan)
        if not refusal:
            self._faulted = False
            self._plans[plan.plan] = _Running(plan, _due(plan, self._index + 1))
            self._schedule()
        return refusal

    def _crowded(self, plan: StimPlan) -> str:
        """Why the plans of one line together may not run; each by itself is within the limits."""
        running = [r.plan for r in self._plans.values() if r.plan.plan != plan.plan]
        periods = [p.period for p in (plan, *running) if p.line == plan.line]
        rate_hz = sum(self._rate_hz / period for period in periods)
        if rate_hz <= limits.MAX_RATE_HZ * (1 + 1e-9):
            return ""
        limit = f"the rate limit of {limits.MAX_RATE_HZ:g} Hz"
        return f"line {plan.line} would have {rate_hz:g} pulses a second, which exceeds {limit}"

    def stop(self, plan: int = ALL_PLANS) -> None:
        """End one plan or all; nothing more of it is fired and its line is low."""
        if plan == ALL_PLANS:
            self._plans.clear()
        else:
            self._plans.pop(plan, None)
        for line in self._lines.values():
            if plan in (ALL_PLANS, line.plan):
                self._lower(line, self._index)
        self._schedule()

    def step(self, index: int, bits: int) -> int:
        """Take sample `index` with trigger `bits`; return the output bits from now on."""
        self._index = index
        if bits != self._seen:
            self._edges(index, bits)
        if index >= self._next:
            self._act(index)
        return self._outputs

    def lost(self, index: int) -> None:
        """Samples before `index` were lost: what was awaited in them cannot be proven or refuted.

        Pulses that ended in them end now, those due in them are left out. `outputs` may have changed.
        """
        self._awaited.clear()
        self._seen = UNKNOWN
        self._index = index - 1
        for running in self._plans.values():
            running.due = max(running.due, _due(running.plan, index))
        for line in self._lines.values():
            if line.until < index:
                self._lower(line, index - 1)
        self._schedule()

    def _lower(self, line: _Line, index: int) -> None:
        """Take a line low; it may show high in the samples a little longer than `index`."""
        if self._outputs & line.bit:
            self._outputs &= ~line.bit
            line.until = index

    def _edges(self, index: int, bits: int) -> None:
        rising = bits & ~self._seen
        self._seen = bits
        for number, line in self._lines.items():
            if rising & line.bit:
                awaited = self._awaited.pop(number, None)
                if awaited is None:
                    self._fail("unexpected", f"line {number} rose at sample {index} without a command")
                    return
                self._report(_proven(awaited, index))
        self._schedule()

    def _act(self, index: int) -> None:
        for number, awaited in self._awaited.items():
            if index > awaited.commanded + limits.RETURN_WITHIN_SAMPLES:
                self._report(awaited)
                self._fail(
                    "missing", f"pulse {awaited.number} on line {number} never came back in the samples"
                )
                return
        for number, line in self._lines.items():
            if self._outputs & line.bit:
                if index >= line.until:
                    self._lower(line, index)
            elif self._seen & line.bit and index > line.until + limits.RETURN_WITHIN_SAMPLES:
                self._fail("stuck", f"line {number} is still high in the samples at {index}")
                return
        self._fire(index)
        self._schedule()

    def _fire(self, index: int) -> None:
        """Fire the earliest due plan; pulses of different plans keep their distance by waiting."""
        if index < self._last_fired + self._spacing:
            return
        due = [r for r in self._plans.values() if r.due <= index and self._free(r.plan.line, index)]
        if not due:
            return
        running = min(due, key=lambda r: (r.due, r.plan.plan))
        plan = running.plan
        running.fired += 1
        running.due = _due(plan, index + 1)
        if plan.count and running.fired >= plan.count:
            del self._plans[plan.plan]
        self._last_fired = index
        line = self._lines[plan.line]
        line.until, line.plan = index + plan.hold, plan.plan
        self._outputs |= line.bit
        self._awaited[plan.line] = Stimulus(
            plan.plan, plan.command, running.fired, plan.line, index, NOT_SEEN
        )

    def _free(self, number: int, index: int) -> bool:
        """A line has been low, and seen to be: only then will the next pulse show as an edge."""
        line = self._lines[number]
        return index > line.until and not self._seen & line.bit and number not in self._awaited

    def _schedule(self) -> None:
        """The next index at which `_act` has anything to do."""
        nexts = [max(r.due, self._last_fired + self._spacing) for r in self._plans.values()]
        nexts += [a.commanded + limits.RETURN_WITHIN_SAMPLES + 1 for a in self._awaited.values()]
        for line in self._lines.values():
            if self._outputs & line.bit:
                nexts.append(line.until)
            elif self._seen & line.bit:
                nexts.append(line.until + limits.RETURN_WITHIN_SAMPLES + 1)
        self._next = min(nexts, default=NEVER)

    def _fail(self, code: str, text: str) -> None:
        self._awaited.clear()
        self.stop()
        self._next = NEVER
        if not self._faulted:
            self._faulted = True
            self._fault(code, text)


def _due(plan: StimPlan, index: int) -> int:
    """The first sample of the plan's grid that is not before `index`."""
    return index + (plan.phase - index) % plan.period


def _proven(awaited: Stimulus, seen: int) -> Stimulus:
    return Stimulus(awaited.plan, awaited.command, awaited.number, awaited.line, awaited.commanded, seen)
