"""The sequencer's steps, compiled: stimuli on the sample grid, believed only when the samples show them.

Kernels over `LoopState`, for the one thread that runs the loop. Rules: a pulse that does not come back, an
edge that nobody ordered, or a line that stays high ends all plans, takes all lines low and is told once; a
pulse that could not fire in time is never made up for, since a burst would be faster than any limit.
"""

import numpy as np
from numba import int64, njit, void
from numpy.typing import NDArray

from firmware.loop.state import (
    ACCEPTED,
    AW_COMMAND,
    AW_NUMBER,
    AW_PLAN,
    AWAITED,
    BLIND,
    COMMAND,
    COUNT,
    DUE,
    EVENTS_IN,
    EVENTS_LOST,
    EVENTS_OUT,
    FAULT,
    FAULTED,
    FIRED,
    HOLD,
    INDEX,
    LAST_FIRED,
    LINE,
    LINES,
    LOOP_STATE,
    MISSING,
    MOST_EVENTS,
    MOST_PLANS,
    NEVER,
    NEXT,
    NOTIFY,
    OUTPUTS,
    PERIOD,
    PHASE,
    PLAN,
    PROOF,
    RAISED_BY,
    RATE_MHZ,
    REFUSED_BLIND,
    REFUSED_CROWDED,
    REFUSED_FULL,
    REPLY,
    SEEN,
    SPACING,
    STUCK,
    UNEXPECTED,
    UNKNOWN,
    UNTIL,
    LoopState,
)
from hw import limits
from hw.link import ALL_PLANS

RETURN_WITHIN = limits.RETURN_WITHIN_SAMPLES
MOST_RATE_MHZ = round(limits.MAX_RATE_HZ * 1000)


@njit(void(LOOP_STATE, int64, int64, int64, int64, int64, int64, int64), nogil=True, cache=True)
def tell(st: LoopState, kind: int, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
    """Append an event; one that finds no room is counted."""
    s = st.scalars
    s[NOTIFY] = 1
    at = s[EVENTS_IN]
    if at - s[EVENTS_OUT] >= MOST_EVENTS:
        s[EVENTS_LOST] += 1
        return
    row = st.events[at % MOST_EVENTS]
    row[0], row[1], row[2], row[3], row[4], row[5], row[6] = kind, a, b, c, d, e, f
    s[EVENTS_IN] = at + 1


@njit(int64(int64, int64, int64), nogil=True, cache=True)
def due(phase: int, period: int, index: int) -> int:
    """The first sample of a plan's grid that is not before `index`."""
    return index + (phase - index) % period


@njit(void(LOOP_STATE, int64, int64), nogil=True, cache=True)
def lower(st: LoopState, line: int, index: int) -> None:
    """Take a line low (0 = line 1); it may show high in the samples a little longer than `index`."""
    bit = 1 << line
    if st.scalars[OUTPUTS] & bit:
        st.scalars[OUTPUTS] &= ~bit
        st.lines[line, UNTIL] = index


@njit(void(LOOP_STATE), nogil=True, cache=True)
def schedule(st: LoopState) -> None:
    """The next index at which `act` has anything to do."""
    s = st.scalars
    upcoming = NEVER
    for k in range(MOST_PLANS):
        if st.plans[k, PLAN] >= 0:
            upcoming = min(upcoming, max(st.plans[k, DUE], s[LAST_FIRED] + s[SPACING]))
    for line in range(s[LINES]):
        row = st.lines[line]
        if row[AWAITED] >= 0:
            upcoming = min(upcoming, row[AWAITED] + RETURN_WITHIN + 1)
        if s[OUTPUTS] >> line & 1:
            upcoming = min(upcoming, row[UNTIL])
        elif s[SEEN] >> line & 1:
            upcoming = min(upcoming, row[UNTIL] + RETURN_WITHIN + 1)
    s[NEXT] = upcoming


@njit(void(LOOP_STATE, int64), nogil=True, cache=True)
def stop(st: LoopState, plan: int) -> None:
    """End plan `plan`, or all of them; nothing more of it is fired and its line is low."""
    for k in range(MOST_PLANS):
        if plan in (ALL_PLANS, st.plans[k, PLAN]):
            st.plans[k, PLAN] = -1
    for line in range(st.scalars[LINES]):
        if plan in (ALL_PLANS, st.lines[line, RAISED_BY]):
            lower(st, line, st.scalars[INDEX])
    schedule(st)


@njit(void(LOOP_STATE), nogil=True, cache=True)
def forget_awaited(st: LoopState) -> None:
    """Await no edge any more."""
    for line in range(st.scalars[LINES]):
        st.lines[line, AWAITED] = -1


@njit(void(LOOP_STATE, int64, int64, int64, int64), nogil=True, cache=True)
def fail(st: LoopState, code: int, line: int, index: int, number: int) -> None:
    """A fault: everything ends; the first cause is told, others only after a plan was started anew."""
    s = st.scalars
    forget_awaited(st)
    stop(st, ALL_PLANS)
    s[NEXT] = NEVER
    if not s[FAULTED]:
        s[FAULTED] = 1
        tell(st, FAULT, code, line, index, number, 0, 0)


@njit(int64(LOOP_STATE, int64[::1]), nogil=True, cache=True)
def crowd_mhz(st: LoopState, plan: NDArray[np.int64]) -> int:
    """Pulses a second, in thousandths, that the line of `plan` would have with it."""
    rate = st.scalars[RATE_MHZ]
    total = rate / plan[PERIOD]
    for k in range(MOST_PLANS):
        row = st.plans[k]
        if row[PLAN] >= 0 and row[PLAN] != plan[PLAN] and row[LINE] == plan[LINE]:
            total += rate / row[PERIOD]
    return int(total + 0.5)


@njit(int64(LOOP_STATE, int64[::1]), nogil=True, cache=True)
def start(st: LoopState, plan: NDArray[np.int64]) -> int:
    """Begin the plan in a row of plans (DUE and FIRED are ours); the code of the refusal, 0 when it runs.

    What one plan alone may be has been checked (hw.limits); here: the plans of one line together.
    """
    s = st.scalars
    if s[BLIND]:
        return REFUSED_BLIND
    if crowd_mhz(st, plan) > MOST_RATE_MHZ:
        return REFUSED_CROWDED
    free = -1
    for k in range(MOST_PLANS - 1, -1, -1):
        if st.plans[k, PLAN] == -1:
            free = k
    for k in range(MOST_PLANS):
        if st.plans[k, PLAN] == plan[PLAN]:
            free = k
    if free < 0:
        return REFUSED_FULL
    s[FAULTED] = 0
    st.plans[free, :] = plan
    st.plans[free, DUE] = due(plan[PHASE], plan[PERIOD], s[INDEX] + 1)
    st.plans[free, FIRED] = 0
    schedule(st)
    return ACCEPTED


@njit(void(LOOP_STATE, int64[::1], int64), nogil=True, cache=True)
def obey(st: LoopState, row: NDArray[np.int64], starts: int) -> None:
    """Start the plan in `row` or, unless `starts`, stop the one that it names; the reply is an event."""
    code, crowd = ACCEPTED, 0
    if starts:
        crowd = crowd_mhz(st, row)
        code = start(st, row)
    else:
        stop(st, row[PLAN])
    tell(st, REPLY, row[COMMAND], code, row[LINE], crowd, 0, 0)


@njit(void(LOOP_STATE, int64), nogil=True, cache=True)
def lost(st: LoopState, index: int) -> None:
    """Samples before `index` were lost: what was awaited in them cannot be proven or refuted.

    Pulses that ended in them end now, those due in them are left out.
    """
    s = st.scalars
    forget_awaited(st)
    s[SEEN] = UNKNOWN
    s[INDEX] = index - 1
    for k in range(MOST_PLANS):
        row = st.plans[k]
        if row[PLAN] >= 0:
            row[DUE] = max(row[DUE], due(row[PHASE], row[PERIOD], index))
    for line in range(s[LINES]):
        if st.lines[line, UNTIL] < index:
            lower(st, line, index - 1)
    schedule(st)


@njit(void(LOOP_STATE, int64, int64), nogil=True, cache=True)
def edges(st: LoopState, index: int, bits: int) -> None:
    """Trigger bits changed: a rising one proves the pulse that awaits it, or is a fault."""
    s = st.scalars
    rising = bits & ~s[SEEN]
    s[SEEN] = bits
    for line in range(s[LINES]):
        if rising >> line & 1:
            row = st.lines[line]
            if row[AWAITED] < 0:
                fail(st, UNEXPECTED, line + 1, index, 0)
                return
            tell(st, PROOF, row[AW_PLAN], row[AW_COMMAND], row[AW_NUMBER], line + 1, row[AWAITED], index)
            row[AWAITED] = -1
    schedule(st)


@njit(void(LOOP_STATE, int64), nogil=True, cache=True)
def fire(st: LoopState, index: int) -> None:
    """Fire the earliest due plan; pulses of different plans keep their distance by waiting."""
    s = st.scalars
    if index < s[LAST_FIRED] + s[SPACING]:
        return
    best = -1
    for k in range(MOST_PLANS):
        row = st.plans[k]
        if row[PLAN] < 0 or row[DUE] > index:
            continue
        line = row[LINE] - 1
        # A line has been low, and seen to be: only then will the next pulse show as an edge.
        if index <= st.lines[line, UNTIL] or s[SEEN] >> line & 1 or st.lines[line, AWAITED] >= 0:
            continue
        earlier = best < 0 or row[DUE] < st.plans[best, DUE]
        if earlier or (row[DUE] == st.plans[best, DUE] and row[PLAN] < st.plans[best, PLAN]):
            best = k
    if best < 0:
        return
    plan = st.plans[best]
    line = plan[LINE] - 1
    plan[FIRED] += 1
    plan[DUE] = due(plan[PHASE], plan[PERIOD], index + 1)
    pulse = st.lines[line]
    pulse[UNTIL], pulse[RAISED_BY] = index + plan[HOLD], plan[PLAN]
    pulse[AWAITED], pulse[AW_NUMBER] = index, plan[FIRED]
    pulse[AW_PLAN], pulse[AW_COMMAND] = plan[PLAN], plan[COMMAND]
    if plan[COUNT] and plan[FIRED] >= plan[COUNT]:
        plan[PLAN] = -1
    s[LAST_FIRED] = index
    s[OUTPUTS] |= 1 << line


@njit(void(LOOP_STATE, int64), nogil=True, cache=True)
def act(st: LoopState, index: int) -> None:
    """What is due at `index`: edges that are overdue, pulses that end, lines that stick, pulses to fire."""
    s = st.scalars
    for line in range(s[LINES]):
        row = st.lines[line]
        if row[AWAITED] >= 0 and index > row[AWAITED] + RETURN_WITHIN:
            tell(st, PROOF, row[AW_PLAN], row[AW_COMMAND], row[AW_NUMBER], line + 1, row[AWAITED], -1)
            fail(st, MISSING, line + 1, index, row[AW_NUMBER])
            return
    for line in range(s[LINES]):
        if s[OUTPUTS] >> line & 1:
            if index >= st.lines[line, UNTIL]:
                lower(st, line, index)
        elif s[SEEN] >> line & 1 and index > st.lines[line, UNTIL] + RETURN_WITHIN:
            fail(st, STUCK, line + 1, index, 0)
            return
    fire(st, index)
    schedule(st)


@njit(int64(LOOP_STATE, int64, int64), nogil=True, cache=True)
def step(st: LoopState, index: int, bits: int) -> int:
    """Take sample `index` with trigger `bits`; return the output bits from now on."""
    s = st.scalars
    s[INDEX] = index
    if bits != s[SEEN]:
        edges(st, index, bits)
    if index >= s[NEXT]:
        act(st, index)
    return int(s[OUTPUTS])
