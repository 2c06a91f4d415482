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
from firmware.loop.commands import lock, obey, start
from firmware.loop.pulses import (
    armed,
    due,
    edges,
    end,
    fail,
    line_of,
    raise_line,
    schedule,
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
    LoopState,
)
from firmware.loop.state import ALTERNATE as OTHER_LINE
from hw.link import ALL_PLANS


@njit(int64(int64[::1]), nogil=True, cache=True)
def span(plan: NDArray[np.int64]) -> int:
    """Samples from the first to the last pulse of a stimulus."""
    return int(plan[TRAINS] * (plan[PULSES] - 1) * plan[INTERVAL] + (plan[TRAINS] - 1) * plan[GAP])


@njit(int64(LOOP_STATE, int64[::1]), nogil=True, cache=True)
def window_of(st: LoopState, plan: NDArray[np.int64]) -> int:
    """Samples from a stimulus during which no other plan fires."""
    return int(span(plan) + max(plan[GUARD], st.scalars[SPACING]))


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


@njit(int64(LOOP_STATE, int64, int64), nogil=True, cache=True, forceinline=True)
def step(st: LoopState, index: int, bits: int) -> int:
    """Take sample `index` with trigger `bits`; return the output bits from now on."""
    s = st.scalars
    s[INDEX] = index
    if bits != s[SEEN]:
        edges(st, index, bits)
    if index >= s[NEXT]:
        act(st, index)
    return int(s[OUTPUTS])


__all__ = ["lock", "obey", "start", "step"]
