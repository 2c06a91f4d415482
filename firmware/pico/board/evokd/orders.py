"""Stimulus commands held against the limits of one plan, as the box's edge does (firmware/orders.py)."""

import math

from evokd import arbiter, limits
from evokd.arbiter import N_PLAN, VERB_ARM, VERB_LOCK, VERB_START, VERB_STOP
from evokd.messages import ALL_PLANS, LOCK_REASONS, Lockout, StimArm, StimLimits, StimPlan, StimStop
from evokd.pulses import WIDE


class Orders:
    """Judges commands and lets the arbiter carry them out. `dead`: samples that the state machine keeps a
    line low after each pulse."""

    def __init__(self, pulses, rate_hz, lines, dead):
        self._pulses, self._rate_hz, self._lines, self._dead = pulses, rate_hz, lines, dead
        self._ceilings = list(limits.CEILINGS)

    def take(self, command):
        """Carry out; the refusal, "" for what is done, None: the arbiter will say."""
        kind = type(command)
        if kind in (StimPlan, StimArm) and command.plan == ALL_PLANS:
            return "plan %d stands for all plans; give it another number" % ALL_PLANS
        if kind is StimPlan:
            refusal = limits.refuse(command, self._rate_hz, self._lines, self._ceilings) or self._refuse(
                command
            )
            if refusal:
                return refusal
            arbiter.obey(self._pulses, _row(command), VERB_START)
        elif kind is StimStop:
            arbiter.obey(self._pulses, _head(command.plan, command.command, 0), VERB_STOP)
        elif kind is StimArm:
            if not 0 < command.samples <= limits.ARM_S * self._rate_hz:
                seconds = command.samples / self._rate_hz
                return "armed for %g s is not within the limit of %g s" % (seconds, limits.ARM_S)
            arbiter.obey(self._pulses, _head(command.plan, command.command, command.samples), VERB_ARM)
        elif kind is Lockout:
            if command.reason not in LOCK_REASONS:
                return "%d is no reason to lock; known are %s" % (command.reason, sorted(LOCK_REASONS))
            arbiter.obey(self._pulses, _head(command.reason, command.command, command.on), VERB_LOCK)
        elif kind is StimLimits:
            return self._tighten(command)
        return None

    def _refuse(self, plan):
        """What this board cannot do besides: a line is low for a while after each pulse."""
        waits = [plan.interval] * (plan.pulses > 1) + [plan.gap] * (plan.trains > 1)
        least = plan.hold + (plan.hold >> WIDE) + self._dead + 1
        for samples in waits:
            if samples < least:
                return "pulses %d samples apart are under %d: this board keeps a line low for %d samples" % (
                    samples,
                    least,
                    self._dead,
                )
        return ""

    def _tighten(self, command):
        try:
            wanted = limits.from_figures(command.kind, command.figures)
        except ValueError as error:
            return str(error)
        ceiling = limits.stricter(self._ceilings[command.kind], wanted)
        self._ceilings[command.kind] = ceiling
        self._pulses.ceilings[command.kind] = list(arbiter.ceiling_row(ceiling))
        return ""


def _row(plan):
    """A plan as the arbiter's row; charge and energy of a pulse rounded up."""
    head = [plan.plan, plan.command, plan.line, plan.alternate, plan.period, plan.phase, plan.hold]
    train = [plan.count, plan.pulses, plan.interval, plan.trains, plan.gap, plan.guard, plan.kind]
    dose = [math.ceil(limits.charge_nc(plan)), math.ceil(limits.energy_nj(plan))]
    return head + train + dose + [0, 0, 0, 0]


def _head(number, command, value):
    row = [0] * N_PLAN
    row[:3] = [number, command, value]
    return row
