"""Commands as the loop carries them out, compiled: plans begin or are refused, arms, locks and stops.

What one plan alone may be has been checked before (`firmware.orders`); here: what hangs on all else. Who
fires when is decided in `firmware.loop.arbiter`.
"""

import numpy as np
from numba import int64, njit, void
from numpy.typing import NDArray

from firmware.loop import dose
from firmware.loop.pulses import (
    arm,
    armed,
    cut_train,
    due,
    end,
    schedule,
    stop,
    tell,
)
from firmware.loop.state import (
    ACCEPTED,
    BLIND,
    BURST,
    BY_LOCK,
    COMMAND,
    DUE,
    FAULTED,
    FIRED,
    INDEX,
    KIND,
    LAST,
    LINE,
    LOCKS,
    LOOP_STATE,
    MOST_PLANS,
    NEVER,
    PERIOD,
    PHASE,
    PLAN,
    PULSES,
    RATE_MHZ,
    REFUSED_BLIND,
    REFUSED_CROWDED,
    REFUSED_DOSE,
    REFUSED_FULL,
    REFUSED_LOCKED,
    REFUSED_STOPPED,
    REFUSED_UNARMED,
    REPLY,
    TRAINS,
    UNFIRED,
    VERB_ARM,
    VERB_LOCK,
    VERB_START,
    LoopState,
)
from firmware.loop.state import ALTERNATE as OTHER_LINE
from hw import limits

MOST_RATE_MHZ = round(limits.MAX_RATE_HZ * 1000)


@njit(int64(LOOP_STATE, int64[::1]), nogil=True, cache=True)
def crowd_mhz(st: LoopState, plan: NDArray[np.int64]) -> int:
    """Stimuli a second, in thousandths, that the lines of `plan` would have with it."""
    rate, most = st.scalars[RATE_MHZ], 0.0
    for line in (plan[LINE], plan[OTHER_LINE]):
        total = rate / plan[PERIOD] if plan[PERIOD] else 0.0
        for k in range(MOST_PLANS):
            row = st.plans[k]
            shares = line > 0 and (row[LINE] == line or row[OTHER_LINE] == line)
            if row[PLAN] >= 0 and row[PLAN] != plan[PLAN] and row[PERIOD] and shares:
                total += rate / row[PERIOD]
        most = max(most, total)
    return int(most + 0.5)


@njit(int64(LOOP_STATE, int64[::1]), nogil=True, cache=True)
def dose_line(st: LoopState, plan: NDArray[np.int64]) -> int:
    """The line (0 = line 1) on which the next stimulus of `plan` would be too much, or -1."""
    n = plan[PULSES] * plan[TRAINS]
    if dose.excess(st, plan, plan[LINE] - 1, n) != dose.NOTHING:
        return int(plan[LINE] - 1)
    if plan[OTHER_LINE] > 0 and dose.excess(st, plan, plan[OTHER_LINE] - 1, n) != dose.NOTHING:
        return int(plan[OTHER_LINE] - 1)
    return -1


@njit(int64(LOOP_STATE, int64[::1]), nogil=True, cache=True)
def start(st: LoopState, plan: NDArray[np.int64]) -> int:
    """Begin the plan in a row of plans (DUE and what follows are ours); the code of the refusal, or ACCEPTED.

    What one plan alone may be has been checked (hw.limits); here: what hangs on all else.
    """
    s = st.scalars
    if s[BLIND]:
        return REFUSED_BLIND
    if armed(st, plan[PLAN]) < 0:
        return REFUSED_UNARMED
    if s[LOCKS] and plan[PERIOD] == 0:
        return REFUSED_LOCKED
    if crowd_mhz(st, plan) > MOST_RATE_MHZ:
        return REFUSED_CROWDED
    if dose_line(st, plan) >= 0:
        return REFUSED_DOSE
    free = -1
    for k in range(MOST_PLANS - 1, -1, -1):
        if st.plans[k, PLAN] == -1:
            free = k
    for k in range(MOST_PLANS):
        if st.plans[k, PLAN] == plan[PLAN]:
            free = k
            end(st, k, REFUSED_STOPPED)
    if free < 0:
        return REFUSED_FULL
    s[FAULTED] = 0
    row = st.plans[free]
    for k in range(len(plan)):
        row[k] = plan[k]
    row[FIRED], row[UNFIRED], row[LAST] = 0, 0, -NEVER
    row[DUE] = due(plan[PHASE], plan[PERIOD], s[INDEX] + 1) if plan[PERIOD] else s[INDEX] + 1
    schedule(st)
    return ACCEPTED


@njit(void(LOOP_STATE, int64[::1], int64, int64), nogil=True, cache=True)
def refuse(st: LoopState, plan: NDArray[np.int64], code: int, crowd: int) -> None:
    """Answer a plan that may not run, with the figures of the limit."""
    if code != REFUSED_DOSE:
        figure = st.scalars[LOCKS] if code == REFUSED_LOCKED else crowd
        tell(st, REPLY, plan[COMMAND], code, plan[LINE], figure, 0, 0)
        return
    line, n = dose_line(st, plan), plan[PULSES] * plan[TRAINS]
    which = dose.excess(st, plan, line, n)
    value, most = dose.sum_with(st, plan, line, n, which), dose.ceiling(st, plan, which)
    slot = tell(st, REPLY, plan[COMMAND], code, line + 1, which, value, most)
    if slot >= 0:
        st.events[slot, 7] = plan[KIND]


@njit(void(LOOP_STATE, int64, int64), nogil=True, cache=True)
def lock(st: LoopState, reason: int, on: int) -> None:
    """Lock the box for a reason, or unlock it: trains under way end, what waits to fire is refused."""
    s = st.scalars
    if not on:
        s[LOCKS] &= ~reason
        return
    s[LOCKS] |= reason
    if s[BURST] >= 0:
        cut_train(st, BY_LOCK, s[LOCKS])
    for k in range(MOST_PLANS):
        row = st.plans[k]
        if row[PLAN] >= 0 and row[PERIOD] == 0 and row[FIRED] == 0:
            tell(st, REPLY, row[COMMAND], REFUSED_LOCKED, row[LINE], s[LOCKS], 0, 0)
            row[FIRED] = 1
            end(st, k, REFUSED_LOCKED)
    schedule(st)


@njit(void(LOOP_STATE, int64[::1], int64), nogil=True, cache=True)
def obey(st: LoopState, row: NDArray[np.int64], verb: int) -> None:
    """Carry out a command; the reply is an event, for a single stimulus when it has fired or will not."""
    if verb == VERB_START:
        crowd = crowd_mhz(st, row)
        code = start(st, row)
        if code != ACCEPTED:
            refuse(st, row, code, crowd)
        elif row[PERIOD]:
            tell(st, REPLY, row[COMMAND], ACCEPTED, row[LINE], 0, 0, 0)
    elif verb == VERB_ARM:
        arm(st, row[PLAN], row[LINE], row[COMMAND])
    elif verb == VERB_LOCK:
        lock(st, row[PLAN], row[LINE])
        tell(st, REPLY, row[COMMAND], ACCEPTED, 0, 0, 0, 0)
    else:
        stop(st, row[PLAN])
        tell(st, REPLY, row[COMMAND], ACCEPTED, 0, 0, 0, 0)
