"""Which edge of a trigger line begins a stimulus, and which is a further pulse of its train.

From the samples and the case alone, so that replay finds the same; the edge's proof, where there is one,
knows better. Pure.
"""

from collections.abc import Iterable

from dsp.nouns import Trigger
from hostd.case import TestPlan
from hw.limits import RETURN_WITHIN_SAMPLES


class Trains:
    """Counts pulses of the tests' trains at `rate_hz` samples a second."""

    def __init__(self, tests: Iterable[TestPlan], rate_hz: float) -> None:
        self._span: dict[int, int] = {}
        for test in tests:
            s = test.stimulus
            for line in filter(None, (test.line, s.alternate_line)):
                self._span[line] = round(s.train_ms * rate_hz / 1e3) if s.pulses * s.trains > 1 else 0
        self._begun: dict[int, tuple[int, int]] = {}

    def pulse(self, edge: Trigger, told: int | None = None) -> int:
        """The number of the pulse that `edge` is in its stimulus, from 1; `told` is what the edge said."""
        first, number = self._begun.get(edge.line, (edge.index, 0))
        span = self._span.get(edge.line, 0)
        if number and span and edge.index <= first + span + RETURN_WITHIN_SAMPLES:
            number += 1
        else:
            first, number = edge.index, 1
        if told is not None:
            first, number = (edge.index if told == 1 else first), told
        self._begun[edge.line] = first, number
        return number
