"""The sequencer's steps, compiled: stimuli on the sample grid, believed only when the samples show them.

Kernels over `LoopState`, for the one thread that runs the loop. Rules: a pulse that does not come back, an
edge that nobody ordered, or a line that stays high ends all plans, takes all lines low and is told once.
What may fire when is decided in `firmware.loop.arbiter`.
"""

import numpy as np
from numba import int64, njit, void
from numpy.typing import NDArray

from firmware.loop import dose
from firmware.loop.state import (
    ACCEPTED,
    ALTERNATE,
    ARMED_PLAN,
    ARMED_SAMPLES,
    ARMED_UNTIL,
    AW_COMMAND,
    AW_NUMBER,
    AW_PLAN,
    AW_PULSE,
    AWAITED,
    BURST,
    BURST_AT,
    BY_LOSS,
    COMMAND,
    DUE,
    EVENTS_IN,
    EVENTS_LOST,
    EVENTS_OUT,
    FAULT,
    FAULTED,
    FIRED,
    HOLD,
    HOST_SILENT,
    INDEX,
    LAST_FIRED,
    LINE,
    LINES,
    LOCK_UNTIL,
    LOOP_STATE,
    MISSING,
    MOST_EVENTS,
    MOST_PLANS,
    NEVER,
    NEXT,
    NOT_FIRED,
    NOTIFY,
    OUTPUTS,
    OWNER,
    PERIOD,
    PHASE,
    PLAN,
    PROOF,
    RAISED_BY,
    REFUSED_FULL,
    REFUSED_STOPPED,
    REFUSED_WAITED,
    REPEATED,
    REPLY,
    SEEN,
    SHOT_WAIT,
    STUCK,
    UNEXPECTED,
    UNFIRED,
    UNKNOWN,
    UNTIL,
    LoopState,
)
from hw import limits
from hw.link import ALL_PLANS

RETURN_WITHIN = limits.RETURN_WITHIN_SAMPLES
LOW_BEFORE = limits.LOW_SAMPLES + RETURN_WITHIN


@njit(int64(LOOP_STATE, int64, int64, int64, int64, int64, int64, int64), nogil=True, cache=True)
def tell(st: LoopState, kind: int, a: int, b: int, c: int, d: int, e: int, f: int) -> int:
    """Append an event of six numbers; its slot, where a seventh may be put. Without room: counted, -1."""
    s = st.scalars
    s[NOTIFY] = 1
    at = s[EVENTS_IN]
    if at - s[EVENTS_OUT] >= MOST_EVENTS:
        s[EVENTS_LOST] += 1
        return -1
    slot = at % MOST_EVENTS
    row = st.events[slot]
    row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7] = kind, a, b, c, d, e, f, 0
    s[EVENTS_IN] = at + 1
    return int(slot)


@njit(void(LOOP_STATE, int64, int64), nogil=True, cache=True)
def tell_pulse(st: LoopState, line: int, seen: int) -> None:
    """Tell the proof of the pulse that `line` (0 = line 1) awaits; `seen` -1: it never came."""
    row = st.lines[line]
    slot = tell(st, PROOF, row[AW_PLAN], row[AW_COMMAND], row[AW_NUMBER], line + 1, row[AWAITED], seen)
    if slot >= 0:
        st.events[slot, 7] = row[AW_PULSE]


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
    if s[BURST] >= 0:
        upcoming = s[BURST_AT]
    for k in range(MOST_PLANS):
        if st.plans[k, PLAN] >= 0:
            upcoming = min(upcoming, st.plans[k, DUE])
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
def disarm(st: LoopState, plan: int) -> None:
    """`plan`, or all of them, may no longer be started."""
    for k in range(MOST_PLANS):
        if plan in (ALL_PLANS, st.arms[k, ARMED_PLAN]):
            st.arms[k, ARMED_PLAN] = -1


@njit(void(LOOP_STATE, int64, int64), nogil=True, cache=True)
def end(st: LoopState, k: int, refusal: int) -> None:
    """The plan in row `k` ends; one asked for and not fired yet is answered with `refusal`."""
    row = st.plans[k]
    if row[PERIOD] == 0 and row[FIRED] == 0:
        tell(st, REPLY, row[COMMAND], refusal, row[LINE], 0, 0, 0)
    row[PLAN] = -1
    if st.scalars[BURST] == k:
        st.scalars[BURST] = -1


@njit(void(LOOP_STATE, int64), nogil=True, cache=True)
def stop(st: LoopState, plan: int) -> None:
    """End plan `plan`, or all of them; nothing more of it is fired, it is disarmed and its line is low."""
    s = st.scalars
    for k in range(MOST_PLANS):
        if st.plans[k, PLAN] >= 0 and plan in (ALL_PLANS, st.plans[k, PLAN]):
            end(st, k, REFUSED_STOPPED)
    disarm(st, plan)
    if plan in (ALL_PLANS, s[OWNER]):
        s[LOCK_UNTIL] = min(s[LOCK_UNTIL], s[INDEX])
    for line in range(s[LINES]):
        if plan in (ALL_PLANS, st.lines[line, RAISED_BY]):
            lower(st, line, s[INDEX])
    schedule(st)


@njit(void(LOOP_STATE), nogil=True, cache=True)
def forget_awaited(st: LoopState) -> None:
    """Await no edge any more; each pulse that is given up is told as one that never came back."""
    for line in range(st.scalars[LINES]):
        if st.lines[line, AWAITED] >= 0:
            tell_pulse(st, line, -1)
            st.lines[line, AWAITED] = -1


@njit(void(LOOP_STATE, int64, int64, int64, int64, int64), nogil=True, cache=True)
def fail(st: LoopState, code: int, line: int, index: int, number: int, pulse: int) -> None:
    """A fault: everything ends; the first cause is told, others only after a plan was started anew.

    Pulses under way on other lines are still proven, or told as never seen.
    """
    s = st.scalars
    if line > 0:
        st.lines[line - 1, AWAITED] = -1
    stop(st, ALL_PLANS)
    if not s[FAULTED]:
        s[FAULTED] = 1
        tell(st, FAULT, code, line, index, number, pulse, 0)


@njit(void(LOOP_STATE), nogil=True, cache=True)
def hush(st: LoopState) -> None:
    """The host is silent: what runs ends and what is armed is not; told when there was anything."""
    anything = st.scalars[OUTPUTS] != 0
    for k in range(MOST_PLANS):
        holds = st.arms[k, ARMED_PLAN] >= 0 and st.arms[k, ARMED_UNTIL] >= st.scalars[INDEX]
        anything = anything or st.plans[k, PLAN] >= 0 or holds
    stop(st, ALL_PLANS)
    if anything:
        tell(st, FAULT, HOST_SILENT, 0, st.scalars[INDEX], 0, 0, 0)


@njit(void(LOOP_STATE, int64, int64), nogil=True, cache=True)
def cut_train(st: LoopState, reason: int, other: int) -> None:
    """The train under way is not gone on with; its plan goes on, if it repeats."""
    s = st.scalars
    row = st.plans[s[BURST]]
    tell(st, NOT_FIRED, row[PLAN], row[COMMAND], s[BURST_AT], reason, other, 1)
    row[UNFIRED] += 1
    k, s[BURST] = s[BURST], -1
    if row[PERIOD] == 0 or row[DUE] == NEVER:
        end(st, k, REFUSED_STOPPED)


@njit(int64(int64[::1], int64), nogil=True, cache=True)
def line_of(plan: NDArray[np.int64], number: int) -> int:
    """The line (0 = line 1) of stimulus `number` (from 1) of a plan: every second one has the alternate."""
    if plan[ALTERNATE] > 0 and number % 2 == 0:
        return int(plan[ALTERNATE] - 1)
    return int(plan[LINE] - 1)


@njit(void(LOOP_STATE, int64), nogil=True, cache=True)
def lost(st: LoopState, index: int) -> None:
    """Samples before `index` were lost: what was awaited in them cannot be proven or refuted.

    Pulses that ended in them end now, stimuli due in them are left out, a train that had a pulse or the proof
    of one there is ended.
    """
    s = st.scalars
    unproven = False
    for line in range(s[LINES]):
        unproven = unproven or st.lines[line, AWAITED] >= 0
    forget_awaited(st)
    s[SEEN] = UNKNOWN
    s[INDEX] = index - 1
    if s[BURST] >= 0 and (s[BURST_AT] < index or unproven):
        cut_train(st, BY_LOSS, 0)
    for k in range(MOST_PLANS):
        row = st.plans[k]
        if row[PLAN] >= 0 and row[PERIOD] and row[DUE] < index:
            n = (index - 1 - row[DUE]) // row[PERIOD] + 1
            row[UNFIRED] += n
            row[DUE] = due(row[PHASE], row[PERIOD], index)
            tell(st, NOT_FIRED, row[PLAN], row[COMMAND], row[DUE] - row[PERIOD], BY_LOSS, 0, n)
        elif row[PLAN] >= 0 and row[PERIOD] == 0 and row[FIRED] == 0 and index > row[DUE] + s[SHOT_WAIT]:
            end(st, k, REFUSED_WAITED)
    for line in range(s[LINES]):
        if st.lines[line, UNTIL] < index:
            held = s[OUTPUTS] >> line & 1
            lower(st, line, index - 1)
            # Held high by the loss, a line does not show low in time for the next pulse of its train.
            soon = s[BURST] >= 0 and s[BURST_AT] < index - 1 + LOW_BEFORE
            if held and soon and line_of(st.plans[s[BURST]], st.plans[s[BURST], FIRED]) == line:
                cut_train(st, BY_LOSS, 0)
    schedule(st)


@njit(void(LOOP_STATE, int64, int64), nogil=True, cache=True)
def edges(st: LoopState, index: int, bits: int) -> None:
    """Trigger bits changed: a rising one proves the pulse that awaits it, or is a fault."""
    s = st.scalars
    rising = bits & ~s[SEEN]
    s[SEEN] = bits
    for line in range(s[LINES]):
        if rising >> line & 1 and st.lines[line, AWAITED] >= 0:
            rising &= ~(1 << line)
            if index <= st.lines[line, AWAITED] + RETURN_WITHIN:  # later it is missing, which `act` tells
                tell_pulse(st, line, index)
                st.lines[line, AWAITED] = -1
    for line in range(s[LINES]):
        if rising >> line & 1:
            row = st.lines[line]
            within = row[AW_NUMBER] > 0 and index <= row[UNTIL] + RETURN_WITHIN
            code = REPEATED if within else UNEXPECTED
            fail(st, code, line + 1, index, row[AW_NUMBER], row[AW_PULSE])
    schedule(st)


@njit(void(LOOP_STATE, int64, int64, int64), nogil=True, cache=True)
def raise_line(st: LoopState, k: int, index: int, pulse: int) -> None:
    """Pulse number `pulse` of the current stimulus of the plan in row `k` goes out with sample `index`."""
    s, plan = st.scalars, st.plans[k]
    line = line_of(plan, plan[FIRED])
    row = st.lines[line]
    row[UNTIL], row[RAISED_BY] = index + plan[HOLD], plan[PLAN]
    row[AWAITED], row[AW_NUMBER], row[AW_PULSE] = index, plan[FIRED], pulse
    row[AW_PLAN], row[AW_COMMAND] = plan[PLAN], plan[COMMAND]
    dose.count(st, plan, line)
    s[LAST_FIRED] = index
    s[OUTPUTS] |= 1 << line


@njit(int64(LOOP_STATE, int64), nogil=True, cache=True)
def watch_lines(st: LoopState, index: int) -> int:
    """Edges that are overdue, pulses that end, lines that stick; 1 when that was a fault."""
    s = st.scalars
    for line in range(s[LINES]):
        row = st.lines[line]
        if row[AWAITED] >= 0 and index > row[AWAITED] + RETURN_WITHIN:
            tell_pulse(st, line, -1)
            if row[UNTIL] <= row[AWAITED]:  # stopped before a sample could show it: that is no fault
                row[AWAITED] = -1
                continue
            fail(st, MISSING, line + 1, index, row[AW_NUMBER], row[AW_PULSE])
            return 1
    for line in range(s[LINES]):
        row = st.lines[line]
        if s[OUTPUTS] >> line & 1:
            if index >= row[UNTIL]:
                lower(st, line, index)
        elif s[SEEN] >> line & 1 and index > row[UNTIL] + RETURN_WITHIN:
            fail(st, STUCK, line + 1, index, row[AW_NUMBER], row[AW_PULSE])
            return 1
    return 0


@njit(void(LOOP_STATE, int64, int64, int64), nogil=True, cache=True)
def arm(st: LoopState, plan: int, samples: int, command: int) -> None:
    """Plan number `plan` may be started within `samples` from now on."""
    s = st.scalars
    free = -1
    for k in range(MOST_PLANS - 1, -1, -1):
        if st.arms[k, ARMED_PLAN] < 0 or st.arms[k, ARMED_UNTIL] < s[INDEX]:
            free = k
    for k in range(MOST_PLANS):
        if st.arms[k, ARMED_PLAN] == plan:
            free = k
    if free >= 0:
        row = st.arms[free]
        row[ARMED_PLAN], row[ARMED_UNTIL], row[ARMED_SAMPLES] = plan, s[INDEX] + samples, samples
    tell(st, REPLY, command, ACCEPTED if free >= 0 else REFUSED_FULL, 0, 0, 0, 0)


@njit(int64(LOOP_STATE, int64), nogil=True, cache=True)
def armed(st: LoopState, plan: int) -> int:
    """The row of arms that lets `plan` start now, or -1."""
    for k in range(MOST_PLANS):
        if st.arms[k, ARMED_PLAN] == plan and st.arms[k, ARMED_UNTIL] >= st.scalars[INDEX]:
            return k
    return -1
