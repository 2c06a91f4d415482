"""Stimulus commands as the loop takes them: rows of numbers with a verb, or the refusal in one line.

Owns what Python checks before a command may reach the loop: the limits of one plan, tightened by the case.
What hangs on other plans, doses and time is the arbiter's (`firmware.loop.arbiter`).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware.loop.state import (
    LINES,
    N_PLAN,
    RATE_MHZ,
    SHOT_WAIT,
    SPACING,
    VERB_ARM,
    VERB_LOCK,
    VERB_START,
    VERB_STOP,
    LoopState,
    ceiling_row,
)
from firmware.ports import Command
from hw import limits
from hw.link import ALL_PLANS, LOCK_REASONS, Lockout, StimArm, StimLimits, StimPlan, StimStop


@dataclass(frozen=True, slots=True)
class Order:
    """What the loop is to do: `row` as `firmware.loop.state` lays out a plan; of other verbs its head."""

    verb: int
    row: NDArray[np.int64]


def prepare(state: LoopState, rate_hz: float) -> None:
    """Tell the loop's memory the sampling rate, on which limits in seconds depend."""
    state.scalars[SPACING] = max(1, math.ceil(limits.MIN_SPACING_S * rate_hz - 1e-6))
    state.scalars[RATE_MHZ] = round(rate_hz * 1000)
    state.scalars[SHOT_WAIT] = round(limits.SHOT_WAIT_S * rate_hz)


class Orders:
    """Judges commands for one loop. `take` may be called from any thread."""

    def __init__(self, state: LoopState, rate_hz: float) -> None:
        self._state, self._rate_hz = state, rate_hz
        self._ceilings = list(limits.CEILINGS)
        prepare(state, rate_hz)

    def take(self, command: Command) -> Order | str:
        """The order for the loop, or what to answer at once: a refusal, or "" for what is done already."""
        match command:
            case StimPlan() | StimArm() if command.plan == ALL_PLANS:
                return f"plan {ALL_PLANS} stands for all plans; give it another number"
            case StimPlan():
                lines = int(self._state.scalars[LINES])
                refusal = limits.refuse(command, self._rate_hz, lines, self._ceilings)
                return refusal or Order(VERB_START, plan_row(command))
            case StimStop():
                return Order(VERB_STOP, _row(command.plan, command.command, 0))
            case StimArm():
                return self._armed(command)
            case Lockout():
                if command.reason not in LOCK_REASONS:
                    return f"{command.reason} is no reason to lock; known are {list(LOCK_REASONS)}"
                return Order(VERB_LOCK, _row(command.reason, command.command, command.on))
            case StimLimits():
                return self._tighten(command)

    def _armed(self, command: StimArm) -> Order | str:
        seconds = command.samples / self._rate_hz
        if not 0 < seconds <= limits.ARM_S + 1e-9:
            return f"armed for {seconds:g} s is not within the limit of {limits.ARM_S:g} s"
        return Order(VERB_ARM, _row(command.plan, command.command, command.samples))

    def _tighten(self, command: StimLimits) -> str:
        """Every figure that is stricter holds from now on; the loop reads each as one word."""
        try:
            wanted = limits.from_figures(command.kind, command.figures)
        except ValueError as error:
            return str(error)
        ceiling = limits.stricter(self._ceilings[command.kind], wanted)
        self._ceilings[command.kind] = ceiling
        self._state.ceilings[command.kind] = ceiling_row(ceiling)
        return ""


def plan_row(plan: StimPlan) -> NDArray[np.int64]:
    """A plan as a row of the loop's table; charge and energy of a pulse rounded up."""
    head = (plan.plan, plan.command, plan.line, plan.alternate, plan.period, plan.phase, plan.hold)
    train = (plan.count, plan.pulses, plan.interval, plan.trains, plan.gap, plan.guard, plan.kind)
    dose = math.ceil(limits.charge_nc(plan) - 1e-6), math.ceil(limits.energy_nj(plan) - 1e-6)
    return np.array((*head, *train, *dose, 0, 0, 0, 0), np.int64)


def _row(number: int, command: int, value: int) -> NDArray[np.int64]:
    """The head of a row: PLAN, COMMAND and LINE."""
    row = np.zeros(N_PLAN, np.int64)
    row[:3] = number, command, value
    return row
