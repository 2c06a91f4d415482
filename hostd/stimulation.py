"""From a test to what the edge fires: stimulus plans on the sample grid, and the edge's answers to commands.

Owns command numbers and who waits for which answer. Limits are checked here before sending and by the edge
before firing, from one table.
"""

import threading
from collections.abc import Callable

from hostd.case import Case, TestPlan
from hw import limits
from hw.link import ALL_PLANS, Description, Message, StimPlan, StimStop

PULSE_S = 0.001
Answered = Callable[[str], None]


class Stimulation:
    """Plans of one case. `send` raises LinkError; answers come back through `answered`."""

    def __init__(self, case: Case, description: Description, send: Callable[[Message], None]) -> None:
        self._case, self._description, self._send = case, description, send
        self._lock = threading.Lock()
        self._number = 0
        self._waiting: dict[int, Answered] = {}

    def start(self, test: TestPlan, answered: Answered, count: int = 0) -> str:
        """Ask the edge to fire `test`; the refusal, or empty: then `answered` hears the edge's."""
        with self._lock:
            self._number += 1
            plan = stim_plan(self._case, test, self._description.rate_hz, self._number, count)
            refusal = limits.refuse(plan, self._description.rate_hz, self._description.lines)
            if not refusal:
                self._waiting[plan.command] = answered
        if not refusal:
            self._send(plan)
        return refusal

    def stop(self, test: TestPlan | None) -> None:
        """Stop one test's stimuli, or all."""
        with self._lock:
            self._number += 1
            number = self._number
        self._send(StimStop(number, ALL_PLANS if test is None else test.line))

    def ask(self, make: Callable[[int], Message], answered: Answered) -> None:
        """Send what `make` makes of a command number; `answered` hears the edge's refusal, or empty."""
        with self._lock:
            self._number += 1
            number = self._number
            self._waiting[number] = answered
        self._send(make(number))

    def answered(self, command: int, refusal: str) -> None:
        """The edge's answer to a command of ours."""
        with self._lock:
            waiting = self._waiting.pop(command, None)
        if waiting is not None:
            waiting(refusal)


def stim_plan(case: Case, test: TestPlan, rate_hz: float, command: int, count: int) -> StimPlan:
    """The plan of `test` in whole samples, its phase spread among the case's tests of the same period."""
    period = max(1, round(rate_hz / test.stimulus_hz))
    alike = [t for t in case.tests if max(1, round(rate_hz / t.stimulus_hz)) == period]
    phase = round(alike.index(test) * period / len(alike))
    hold = max(limits.MIN_HOLD_SAMPLES, round(PULSE_S * rate_hz))
    return StimPlan(command, test.line, test.line, period, phase, hold, count)
