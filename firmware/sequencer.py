"""Fires stimuli on the sample grid, and believes in none that the samples do not show.

A pure state machine: `step(index, bits)` takes each sample's trigger bits and gives the output bits to drive.
A pulse that does not come back, one that nobody ordered, or a line that stays high is a fault: all plans end,
outputs go low, the first cause is kept. Refuses plans beyond `hw.limits`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hw import limits
from hw.link import ALL_PLANS, NOT_SEEN, StimPlan, Stimulus

NEVER = 1 << 62


@dataclass(slots=True)
class _Running:
    plan: StimPlan
    due: int
    fired: int = 0


class Sequencer:
    """Plans of one board; `report` receives a Stimulus per pulse, `fault` the one line of the first fault."""

    def __init__(
        self,
        rate_hz: float,
        lines: int,
        report: Callable[[Stimulus], None],
        fault: Callable[[str, str], None],
    ) -> None:
        self._rate_hz, self._lines = rate_hz, lines
        self._report, self._fault = report, fault
        self._plans: dict[int, _Running] = {}
        self._awaited: dict[int, Stimulus] = {}
        self._high_until = [0] * (lines + 1)
        self._outputs = 0
        self._seen = 0
        self._spacing = max(1, round(limits.MIN_SPACING_S * rate_hz))
        self._next = NEVER
        self._last_fired = -NEVER
        self._index = -1

    @property
    def outputs(self) -> int:
        """Bits that the output lines must show now."""
        return self._outputs

    def start(self, plan: StimPlan) -> str:
        """Begin a plan; the refusal in one line, or empty. Pulses fall on `phase` modulo `period`."""
        refusal = limits.refuse(plan, self._rate_hz, self._lines)
        if not refusal:
            now = self._index + 1
            self._plans[plan.plan] = _Running(plan, now + (plan.phase - now) % plan.period)
            self._schedule()
        return refusal

    def stop(self, plan: int = ALL_PLANS) -> None:
        """End one plan or all; nothing more is fired and the lines are low."""
        if plan == ALL_PLANS:
            self._plans.clear()
        else:
            self._plans.pop(plan, None)
        self._outputs = 0
        self._high_until = [0] * (self._lines + 1)
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
        """Samples before `index` were lost: what was awaited in them cannot be proven or refuted."""
        self._awaited.clear()
        self._seen = 0xFF
        self._index = index - 1

    def _edges(self, index: int, bits: int) -> None:
        rising = bits & ~self._seen
        self._seen = bits
        for line in range(1, self._lines + 1):
            if rising >> (line - 1) & 1:
                awaited = self._awaited.pop(line, None)
                if awaited is None:
                    self._fail("unexpected", f"line {line} rose at sample {index} without a command")
                    return
                self._report(_proven(awaited, index))
        self._schedule()

    def _act(self, index: int) -> None:
        for line, awaited in list(self._awaited.items()):
            if index > awaited.commanded + limits.RETURN_WITHIN_SAMPLES:
                del self._awaited[line]
                self._report(awaited)
                self._fail("missing", f"pulse {awaited.number} on line {line} never came back in the samples")
                return
        for line in range(1, self._lines + 1):
            if self._outputs >> (line - 1) & 1 and index >= self._high_until[line]:
                self._outputs &= ~(1 << (line - 1))
        for line in range(1, self._lines + 1):
            if self._stuck(line, index):
                self._fail("stuck", f"line {line} is still high in the samples at {index}")
                return
        self._fire(index)
        self._schedule()

    def _stuck(self, line: int, index: int) -> bool:
        high, ended = self._seen >> (line - 1) & 1, self._high_until[line]
        return bool(high and self._seen != 0xFF and ended and index > ended + limits.RETURN_WITHIN_SAMPLES)

    def _fire(self, index: int) -> None:
        """Fire the earliest due plan; pulses of different plans keep their distance by waiting."""
        due = [r for r in self._plans.values() if r.due <= index]
        if not due or index < self._last_fired + self._spacing:
            return
        running = min(due, key=lambda r: (r.due, r.plan.plan))
        plan = running.plan
        running.fired += 1
        running.due += plan.period
        if plan.count and running.fired >= plan.count:
            del self._plans[plan.plan]
        self._last_fired = index
        self._outputs |= 1 << (plan.line - 1)
        self._high_until[plan.line] = index + plan.hold
        self._awaited[plan.line] = Stimulus(
            plan.plan, plan.command, running.fired, plan.line, index, NOT_SEEN
        )

    def _schedule(self) -> None:
        """The next index at which `_act` has anything to do."""
        nexts = [max(r.due, self._last_fired + self._spacing) for r in self._plans.values()]
        nexts += [a.commanded + limits.RETURN_WITHIN_SAMPLES + 1 for a in self._awaited.values()]
        for line in range(1, self._lines + 1):
            if self._outputs >> (line - 1) & 1:
                nexts.append(self._high_until[line])
            elif self._seen >> (line - 1) & 1 and self._seen != 0xFF:
                nexts.append(self._high_until[line] + limits.RETURN_WITHIN_SAMPLES + 1)
        self._next = min(nexts, default=NEVER)

    def _fail(self, code: str, text: str) -> None:
        self._awaited.clear()
        self.stop()
        self._next = NEVER
        self._fault(code, text)


def _proven(awaited: Stimulus, seen: int) -> Stimulus:
    return Stimulus(awaited.plan, awaited.command, awaited.number, awaited.line, awaited.commanded, seen)
