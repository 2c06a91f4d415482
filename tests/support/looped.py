"""A sequencer on a bench: its outputs come back `lag` samples later, unless the test says otherwise."""

from collections.abc import Callable
from typing import Any

from firmware.ports import Command
from firmware.sequencer import Sequencer
from hw.link import Reply, StimArm, StimPlan, Stimulus, Unfired


def plan(
    number: int = 1,
    line: int = 1,
    period: int = 400,
    phase: int = 0,
    hold: int = 4,
    count: int = 0,
    **more: Any,
) -> StimPlan:
    """A plan whose command is 100 + its number; `more` are other fields of StimPlan."""
    return StimPlan(100 + number, number, line, period, phase, hold, count, **more)


def shot(number: int = 1, line: int = 1, hold: int = 4, **more: Any) -> StimPlan:
    """A single stimulus, as soon as nothing is in the way."""
    return plan(number, line, 0, 0, hold, 1, **more)


def armed(*plans: StimPlan, samples: int = 4000) -> list[Command]:
    """What a host sends to start `plans`: each one armed, by a command 200 + its number, then asked for."""
    return [order for p in plans for order in (StimArm(200 + p.plan, p.plan, samples), p)]


class Looped:
    """`outputs[i]` are the output bits after sample i; pins stay as they were while samples are `lost`."""

    def __init__(self, rate_hz: float = 4000.0, lines: int = 4, lag: int = 1) -> None:
        self.proofs: list[Stimulus] = []
        self.faults: list[tuple[str, str]] = []
        self.outputs: list[int] = []
        self.lost: set[int] = set()
        self.lag = lag
        self.rate_hz = rate_hz
        self.sequencer = Sequencer(
            rate_hz, lines, self.proofs.append, lambda code, text: self.faults.append((code, text))
        )

    @property
    def index(self) -> int:
        """The next sample."""
        return len(self.outputs)

    @property
    def unfired(self) -> list[Unfired]:
        """The stimuli that were told not to have fired."""
        return [said for said in self.sequencer.said if isinstance(said, Unfired)]

    @property
    def replies(self) -> list[Reply]:
        """Answers, those to arming for tests left out."""
        return [said for said in self.sequencer.said if isinstance(said, Reply) and said.command]

    def left_out(self, number: int) -> list[int]:
        """Samples at which plan `number` was due and did not fire."""
        return [said.index for said in self.unfired if said.plan == number]

    def run(self, until: int, bits: Callable[[int, int], int] = lambda index, level: level) -> "Looped":
        """Step to sample `until` (not included); `bits` says what a sample shows instead of the level."""
        while self.index < until:
            at = self.index - self.lag
            shown = bits(self.index, self.outputs[at] if at >= 0 else 0)
            self.outputs.append(self.sequencer.step(self.index, shown))
        return self

    def lose(self, n: int) -> "Looped":
        """The next `n` samples never arrive."""
        self.lost.update(range(self.index, self.index + n))
        self.outputs += [self.outputs[-1] if self.outputs else 0] * n
        self.sequencer.lost(self.index)
        return self

    def rises(self, line: int = 1) -> list[int]:
        """Samples after which the line's output rose."""
        high = [driven >> (line - 1) & 1 for driven in self.outputs]
        return [i for i, now in enumerate(high) if now and not (i and high[i - 1])]

    def highs(self, line: int = 1) -> list[int]:
        """How many samples, lost ones not counted, the line's output was high each time."""
        lengths, run = [], 0
        for i, driven in enumerate([*self.outputs, 0]):
            if driven >> (line - 1) & 1:
                run += i not in self.lost
            elif run:
                lengths.append(run)
                run = 0
        return lengths
