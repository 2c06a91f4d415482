"""What the outputs never do, whatever is asked of the sequencer and whatever the samples show: an independent
observer of a looped sequencer, who believes nothing but what was asked, what was driven and what was told."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from hw import limits
from hw.link import ALL_PLANS, NOT_SEEN, StimPlan, Stimulus
from tests.support.looped import Looped

NEVER = 1 << 62


@dataclass
class Observer:
    """Follows one bench; `check` looks at all of it in the end."""

    box: Looped
    plans: dict[int, StimPlan] = field(default_factory=dict)  # by command, those that were accepted or wait
    armed_until: dict[int, int] = field(default_factory=dict)
    locked: set[int] = field(default_factory=set)
    mute: list[tuple[int, int, str]] = field(default_factory=list)  # from, until, why nothing may be raised
    stopped: list[tuple[int, int]] = field(default_factory=list)  # sample, plan
    since: int | None = None
    low_at: list[int] = field(default_factory=list)
    faults: int = 0

    def look(self) -> None:
        """After a fault all is low and nothing is armed."""
        if len(self.box.faults) > self.faults:
            self.faults = len(self.box.faults)
            assert self.box.sequencer.outputs == 0
            self.low_at.append(self.box.index)
            self.armed_until.clear()

    def start(self, order: StimPlan) -> None:
        """Ask for a plan; nothing may come of it unless it was armed."""
        box = self.box
        answer = box.sequencer.command(order)
        armed = self.armed_until.get(order.plan, -1) >= box.index - 1
        assert answer is None or "\n" not in answer
        if answer is None or not answer:
            assert armed or self._fired_recently(order.plan), "never armed"
            self.plans[order.command] = order

    def _fired_recently(self, number: int) -> bool:
        """What fires stays armed: for 200 samples at most here."""
        return any(p.plan == number and p.commanded > self.box.index - 202 for p in self.box.proofs)

    def arm(self, number: int, samples: int) -> None:
        """Arm a plan."""
        if self.box.sequencer.arm(number, samples / self.box.rate_hz) == "":
            self.armed_until[number] = self.box.index - 1 + samples

    def stop(self, number: int) -> None:
        """Stop a plan or all: low at once, and disarmed."""
        self.box.sequencer.stop(number)
        if number == ALL_PLANS:
            assert self.box.sequencer.outputs == 0
            self.armed_until.clear()
        else:
            self.armed_until.pop(number, None)
        self.stopped.append((self.box.index, number))

    def lock(self, reason: int, on: int) -> None:
        """Lock or unlock; while locked no line rises."""
        if on and not self.locked:
            self.since = self.box.index
        (self.locked.add if on else self.locked.discard)(reason)
        if not self.locked and self.since is not None:
            self.mute.append((self.since, self.box.index, "locked"))
            self.since = None

    def check(self) -> None:
        """All rules, at the end."""
        if self.since is not None:
            self.mute.append((self.since, self.box.index, "locked"))
        rises = sorted((i, line) for line in range(1, 9) for i in self.box.rises(line))
        for start, end, why in self.mute:
            assert not [i for i, _ in rises if start <= i < end], why
        self._told(rises)
        self._stopped()
        self._spaced()
        self._within_limits()

    def _told(self, rises: list[tuple[int, int]]) -> None:
        """Every pulse told exactly once, every proof of a pulse driven by a plan that was asked for."""
        box = self.box
        told = sorted((p.commanded, p.line) for p in box.proofs)
        assert len(set(told)) == len(told), "told twice"
        recent = box.index - 1 - limits.RETURN_WITHIN_SAMPLES
        assert {r for r in rises if r[0] < recent} <= set(told), "not told"
        # A pulse that is stopped in its own sample is told and was never driven.
        cut = {at for at, _ in self.stopped}
        assert {t for t in told if t[0] + 1 not in cut} <= set(rises), "told and not driven"
        for p in box.proofs:
            order = self.plans[p.command]
            assert p.plan == order.plan
            assert p.line == (order.alternate if order.alternate and p.number % 2 == 0 else order.line)
            assert 1 <= p.pulse <= order.pulses * order.trains
            assert p.seen == NOT_SEEN or 0 < p.seen - p.commanded <= limits.RETURN_WITHIN_SAMPLES
            if order.period and p.pulse == 1:
                assert (p.commanded - order.phase) % order.period == 0, "off its grid"

    def _stopped(self) -> None:
        for at, number in self.stopped:
            if number == ALL_PLANS and at < self.box.index:
                first = next((p.commanded for p in self.stimuli() if p.commanded >= at), self.box.index)
                assert not any(self.box.outputs[at:first]), "high after a stop"

    def stimuli(self) -> list[Stimulus]:
        """The first pulses, in order."""
        return sorted((p for p in self.box.proofs if p.pulse == 1), key=lambda p: p.commanded)

    def _spaced(self) -> None:
        """Spacing between stimuli, no other plan's pulse in a window, trains exact."""
        spacing = math.ceil(limits.MIN_SPACING_S * self.box.rate_hz)
        stimuli = self.stimuli()
        assert all(b.commanded - a.commanded >= spacing for a, b in pairwise(stimuli))
        pulses: dict[tuple[int, int], list[Stimulus]] = defaultdict(list)
        for p in self.box.proofs:
            pulses[p.command, p.commanded - self._offset(p)].append(p)
        for (command, start), train in pulses.items():
            assert [p.pulse for p in sorted(train, key=lambda p: p.pulse)] == list(
                range(1, len(train) + 1)
            ), start
            order = self.plans[command]
            last = max(p.commanded for p in train)
            end = last + max(order.guard, spacing)
            ended = min(
                (at for at, n in self.stopped if n in (ALL_PLANS, order.plan) and at > start), default=NEVER
            )
            for other in self.box.proofs:
                if other.plan != order.plan and start < other.commanded < min(end, ended):
                    assert self._given_up(start), (order, other)

    def _given_up(self, start: int) -> bool:
        """A window ends with a fault, which stops all."""
        return any(at > start for at in self.low_at)

    def _offset(self, p: Stimulus) -> int:
        order = self.plans[p.command]
        train, k = divmod(p.pulse - 1, order.pulses)
        return train * ((order.pulses - 1) * order.interval + order.gap) + k * order.interval

    def _within_limits(self) -> None:
        """Hold, and stimuli of one line in any second by the rate of their kind."""
        longest = dict.fromkeys(range(1, 9), 0)
        for order in self.plans.values():
            for line in (order.line, order.alternate or order.line):
                longest[line] = max(longest[line], order.hold)
        for line, most in longest.items():
            assert all(n <= most for n in self.box.highs(line)), "held too long"
        by_line: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for p in self.stimuli():
            by_line[p.line].append((p.commanded, limits.CEILINGS[self.plans[p.command].kind].rate_hz))
        for starts in by_line.values():
            for (a, rate), (b, _) in pairwise(starts):
                assert b - a >= self.box.rate_hz / rate - 1e-6, "above the rate of its kind"
