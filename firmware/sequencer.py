"""Fires stimuli on the sample grid, and believes in none that the samples do not show.

The Python side of `loop.pulses`: what one thread may ask of the compiled steps while no loop is running on
them, and the limits of one plan. Refuses plans beyond `hw.limits`.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from firmware.loop import pulses as loop_pulses
from firmware.loop.state import (
    ACCEPTED,
    LINES,
    OUTPUTS,
    RATE_MHZ,
    SPACING,
    LoopState,
    events,
    loop_state,
    refusal_text,
)
from hw import limits
from hw.link import ALL_PLANS, Fault, StimPlan, Stimulus


def prepare(state: LoopState, rate_hz: float) -> None:
    """Tell the loop's memory the sampling rate, on which limits in seconds depend."""
    state.scalars[SPACING] = max(1, math.ceil(limits.MIN_SPACING_S * rate_hz - 1e-6))
    state.scalars[RATE_MHZ] = round(rate_hz * 1000)


def plan_row(plan: StimPlan) -> NDArray[np.int64]:
    """A plan as a row of the loop's table."""
    head = (plan.plan, plan.command, plan.line, plan.period, plan.phase, plan.hold, plan.count)
    return np.array((*head, 0, 0), np.int64)


class Sequencer:
    """Plans of one board; `report` receives a Stimulus per pulse, `fault` the one line of the first fault.

    After a fault nothing is fired and no other fault is told until a plan is started anew. Not thread-safe.
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
        self.state = loop_state(lines, 1, 3)
        prepare(self.state, rate_hz)

    @property
    def outputs(self) -> int:
        """Bits that the output lines must show now."""
        return int(self.state.scalars[OUTPUTS])

    def start(self, plan: StimPlan) -> str:
        """Begin a plan; the refusal in one line, or empty. Pulses fall on `phase` modulo `period`."""
        refusal = limits.refuse(plan, self._rate_hz, int(self.state.scalars[LINES]))
        if refusal:
            return refusal
        row = plan_row(plan)
        crowd = loop_pulses.crowd_mhz(self.state, row)
        code = loop_pulses.start(self.state, row)
        return "" if code == ACCEPTED else refusal_text(code, plan.line, crowd)

    def stop(self, plan: int = ALL_PLANS) -> None:
        """End one plan or all; nothing more of it is fired and its line is low."""
        loop_pulses.stop(self.state, plan)

    def step(self, index: int, bits: int) -> int:
        """Take sample `index` with trigger `bits`; return the output bits from now on."""
        outputs = int(loop_pulses.step(self.state, index, bits))
        self._tell()
        return outputs

    def lost(self, index: int) -> None:
        """Samples before `index` were lost. `outputs` may have changed."""
        loop_pulses.lost(self.state, index)
        self._tell()

    def _tell(self) -> None:
        for message in events(self.state):
            if isinstance(message, Stimulus):
                self._report(message)
            elif isinstance(message, Fault):
                self._fault(message.code, message.text)
