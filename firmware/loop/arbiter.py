"""The arbiter, compiled: of all that is due at a sample, the one stimulus that fires, and why others do not.

A stimulus falls on its own grid or not at all: it never waits, so that every test keeps its own period and
what the mains leave in its average. Nothing fires within another plan's stimulus or window, or while the box
is locked. Rarer plans go first, also those that are due within the window of what would fire now; of equals
the one that fired longest ago. A single stimulus goes before all, as soon as the window under way is over.
"""

import numpy as np
from numba import boolean, int64, njit, void
from numpy.typing import NDArray

from firmware.loop import dose
from firmware.loop.pulses import (
    arm,
    armed,
    cut_train,
    due,
    edges,
    end,
    fail,
    line_of,
    lower,
    raise_line,
    schedule,
    stop,
    tell,
    watch_lines,
)
from firmware.loop.state import (
    ACCEPTED,
    ARMED_SAMPLES,
    ARMED_UNTIL,
    AW_NUMBER,
    AW_PULSE,
    AWAITED,
    BLIND,
    BURST,
    BURST_AT,
    BURST_PULSE,
    BY_LINE,
    BY_LOCK,
    BY_PLAN,
    BY_REST,
    BY_SPACING,
    C_APART_US,
    C_REST_US,
    COMMAND,
    COUNT,
    DOSE,
    DUE,
    FAULT,
    FAULTED,
    FIRED,
    GAP,
    GUARD,
    INDEX,
    INTERVAL,
    KIND,
    LAST,
    LAST_FIRED,
    LINE,
    LOCK_UNTIL,
    LOCKS,
    LOOP_STATE,
    MISSING,
    MOST_PLANS,
    NEVER,
    NEXT,
    NOT_FIRED,
    OUTPUTS,
    OWNER,
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
    REFUSED_WAITED,
    REPLY,
    RESTS,
    SEEN,
    SHOT_WAIT,
    SPACING,
    STUCK,
    TRAINS,
    UNFIRED,
    UNTIL,
    VERB_ARM,
    VERB_LOCK,
    VERB_START,
    LoopState,
)
from firmware.loop.state import ALTERNATE as OTHER_LINE
from hw import limits
from hw.link import ALL_PLANS

MOST_RATE_MHZ = round(limits.MAX_RATE_HZ * 1000)


@njit(int64(int64[::1]), nogil=True, cache=True)
def span(plan: NDArray[np.int64]) -> int:
    """Samples from the first to the last pulse of a stimulus."""
    return int(plan[TRAINS] * (plan[PULSES] - 1) * plan[INTERVAL] + (plan[TRAINS] - 1) * plan[GAP])


@njit(int64(LOOP_STATE, int64[::1]), nogil=True, cache=True)
def window_of(st: LoopState, plan: NDArray[np.int64]) -> int:
    """Samples from a stimulus during which no other plan fires."""
    return int(span(plan) + max(plan[GUARD], st.scalars[SPACING]))


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
    row[:] = plan
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


@njit(boolean(LOOP_STATE, int64, int64), nogil=True, cache=True)
def ready(st: LoopState, line: int, index: int) -> bool:
    """A line has been low, and seen to be: only then will the next pulse show as an edge."""
    row = st.lines[line]
    return not (index <= row[UNTIL] or st.scalars[SEEN] >> line & 1 or row[AWAITED] >= 0)


@njit(boolean(LOOP_STATE, int64[::1], int64), nogil=True, cache=True)
def rests(st: LoopState, plan: NDArray[np.int64], index: int) -> bool:
    """Whether the line of the next stimulus of `plan` must rest after its last one, whosever it was."""
    return bool(index < st.lines[line_of(plan, plan[FIRED] + 1), RESTS])


@njit(void(LOOP_STATE, int64[::1], int64), nogil=True, cache=True)
def let_rest(st: LoopState, plan: NDArray[np.int64], index: int) -> None:
    """The lines of `plan` have a stimulus from `index` on: rate and rest of its kind, for single ones too."""
    ceiling, rate = st.ceilings[plan[KIND]], st.scalars[RATE_MHZ]
    apart = int64(np.ceil(ceiling[C_APART_US] * rate / 1e9 - 1e-6))
    if plan[PULSES] * plan[TRAINS] > 1:
        apart = max(apart, span(plan) + int64(np.ceil(ceiling[C_REST_US] * rate / 1e9 - 1e-6)))
    for line in (plan[LINE] - 1, plan[OTHER_LINE] - 1):
        if line >= 0:
            st.lines[line, RESTS] = max(st.lines[line, RESTS], index + apart)


@njit(int64(LOOP_STATE, int64, int64), nogil=True, cache=True)
def blocked(st: LoopState, k: int, index: int) -> int:
    """Why the plan in row `k` may not fire at `index`, or -1."""
    s, plan = st.scalars, st.plans[k]
    if s[LOCKS]:
        return BY_LOCK
    if s[BURST] >= 0 or (index < s[LOCK_UNTIL] and s[OWNER] != plan[PLAN]):
        return BY_PLAN
    if index < s[LAST_FIRED] + s[SPACING]:
        return BY_SPACING
    if rests(st, plan, index):
        return BY_REST
    return -1 if ready(st, line_of(plan, plan[FIRED] + 1), index) else BY_LINE


@njit(int64(LOOP_STATE, int64, int64), nogil=True, cache=True)
def reserved(st: LoopState, k: int, index: int) -> int:
    """The plan that has the next samples before the repeating one in row `k`, or -1."""
    plan = st.plans[k]
    until = index + window_of(st, plan)
    for a in range(MOST_PLANS):
        row = st.plans[a]
        if row[PLAN] < 0 or a == k:
            continue
        if row[PERIOD] == 0:
            if row[FIRED] == 0 and row[DUE] <= index and not rests(st, row, index):
                return int(row[PLAN])
        elif row[PERIOD] > plan[PERIOD] and index < row[DUE] < until:
            return int(row[PLAN])
    return -1


@njit(int64(LOOP_STATE, int64), nogil=True, cache=True)
def choose(st: LoopState, index: int) -> int:
    """The row of the plan that fires at `index`, or -1."""
    best = -1
    for k in range(MOST_PLANS):
        row = st.plans[k]
        if row[PLAN] < 0 or row[DUE] > index or blocked(st, k, index) >= 0:
            continue
        if row[PERIOD] and reserved(st, k, index) >= 0:
            continue
        if best < 0:
            best = k
            continue
        held = st.plans[best]
        if row[PERIOD] != held[PERIOD]:
            first = row[PERIOD] == 0 or (held[PERIOD] != 0 and row[PERIOD] > held[PERIOD])
        else:
            first = row[LAST] < held[LAST] or (row[LAST] == held[LAST] and row[PLAN] < held[PLAN])
        if first:
            best = k
    return best


@njit(void(LOOP_STATE, int64, int64, int64), nogil=True, cache=True)
def leave_out(st: LoopState, k: int, index: int, winner: int) -> None:
    """The plan in row `k` was due and does not fire: a repeating one goes on, a single one waits its time."""
    s, row = st.scalars, st.plans[k]
    if row[PERIOD] == 0:
        if index > row[DUE] + s[SHOT_WAIT] and row[FIRED] == 0:
            end(st, k, REFUSED_WAITED)
        return
    reason, other = blocked(st, k, index), s[OWNER]
    if reason == BY_LOCK:
        other = s[LOCKS]
    elif reason < 0:
        reason, other = BY_PLAN, reserved(st, k, index)
        if other < 0:
            other = st.plans[winner, PLAN] if winner >= 0 else ALL_PLANS
    row[UNFIRED] += 1
    row[DUE] = due(row[PHASE], row[PERIOD], index + 1)
    tell(st, NOT_FIRED, row[PLAN], row[COMMAND], index, reason, other, 1)


@njit(void(LOOP_STATE, int64, int64), nogil=True, cache=True)
def too_much(st: LoopState, k: int, index: int) -> None:
    """The next stimulus of the plan in row `k` exceeds a dose: a fault that names limit and value."""
    s, plan = st.scalars, st.plans[k]
    line, n = line_of(plan, plan[FIRED] + 1), plan[PULSES] * plan[TRAINS]
    which = dose.excess(st, plan, line, n)
    value, most = dose.sum_with(st, plan, line, n, which), dose.ceiling(st, plan, which)
    told, s[FAULTED] = s[FAULTED], 1
    fail(st, DOSE, line + 1, index, 0, 0)
    if not told:
        slot = tell(st, FAULT, DOSE, line + 1, index, which, value, most)
        if slot >= 0:
            st.events[slot, 7] = plan[KIND]


@njit(void(LOOP_STATE, int64, int64), nogil=True, cache=True)
def fire(st: LoopState, k: int, index: int) -> None:
    """The plan in row `k` stimulates now: its first pulse, and its window begins."""
    s, plan = st.scalars, st.plans[k]
    total = plan[PULSES] * plan[TRAINS]
    line = line_of(plan, plan[FIRED] + 1)
    if dose.excess(st, plan, line, total) != dose.NOTHING:
        too_much(st, k, index)
        return
    plan[FIRED] += 1
    plan[LAST] = index
    raise_line(st, k, index, 1)
    let_rest(st, plan, index)
    s[OWNER], s[LOCK_UNTIL] = plan[PLAN], max(s[LOCK_UNTIL], index + window_of(st, plan))
    a = armed(st, plan[PLAN])
    if a >= 0:
        st.arms[a, ARMED_UNTIL] = index + st.arms[a, ARMED_SAMPLES]
    if plan[PERIOD] == 0:
        tell(st, REPLY, plan[COMMAND], ACCEPTED, plan[LINE], 0, 0, 0)
    done = plan[COUNT] > 0 and plan[FIRED] >= plan[COUNT]
    plan[DUE] = NEVER if done else due(plan[PHASE], plan[PERIOD], index + 1)
    if total > 1:
        s[BURST], s[BURST_PULSE] = k, 2
        s[BURST_AT] = index + (plan[INTERVAL] if plan[PULSES] > 1 else plan[GAP])
    elif done:
        plan[PLAN] = -1


@njit(int64(LOOP_STATE, int64), nogil=True, cache=True)
def go_on(st: LoopState, index: int) -> int:
    """The next pulse of the train under way, exactly in its time; 1 when it cannot be: a fault."""
    s = st.scalars
    k = s[BURST]
    plan = st.plans[k]
    line = line_of(plan, plan[FIRED])
    row = st.lines[line]
    if row[AWAITED] >= 0:
        fail(st, MISSING, line + 1, index, row[AW_NUMBER], row[AW_PULSE])
        return 1
    if not ready(st, line, index):
        fail(st, STUCK, line + 1, index, row[AW_NUMBER], row[AW_PULSE])
        return 1
    raise_line(st, k, index, s[BURST_PULSE])
    if s[BURST_PULSE] >= plan[PULSES] * plan[TRAINS]:
        s[BURST] = -1
        if plan[DUE] == NEVER:
            plan[PLAN] = -1
        return 0
    s[BURST_AT] = index + (plan[GAP] if s[BURST_PULSE] % plan[PULSES] == 0 else plan[INTERVAL])
    s[BURST_PULSE] += 1
    return 0


@njit(void(LOOP_STATE, int64), nogil=True, cache=True)
def act(st: LoopState, index: int) -> None:
    """What is due at `index`: faults first, then the train under way, then whoever may fire."""
    s = st.scalars
    if watch_lines(st, index):
        return
    if s[BURST] >= 0 and index >= s[BURST_AT] and go_on(st, index):
        return
    best = choose(st, index)
    for k in range(MOST_PLANS):
        if st.plans[k, PLAN] >= 0 and st.plans[k, DUE] <= index and k != best:
            leave_out(st, k, index, best)
    if best >= 0:
        fire(st, best, index)
        if s[FAULTED]:
            return
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


__all__ = ["lock", "lower", "obey", "start", "step"]
