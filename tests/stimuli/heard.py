"""Every event held against what is believed: proofs, faults, replies, what did not fire. Compiled."""

from firmware.loop.state import (
    BY_LINE,
    BY_LOCK,
    BY_LOSS,
    BY_PLAN,
    BY_REST,
    BY_SPACING,
    COMMAND,
    DOSE,
    EVENTS_IN,
    EVENTS_LOST,
    EVENTS_OUT,
    FAULT,
    HOST_SILENT,
    MISSING,
    MOST_EVENTS,
    NOT_FIRED,
    PERIOD,
    PROOF,
    REPLY,
    STUCK,
    LoopState,
)
from hw import limits
from hw.link import ALL_PLANS
from tests.stimuli.compiled import Row, inner
from tests.stimuli.rises import excess, line_of
from tests.stimuli.watch import (
    ACTIVE,
    ANSWERED,
    BURST,
    CODE,
    COMMANDS,
    CUT_TOLD,
    DEAF,
    EXCUSED,
    FALSE_FAULT,
    FALSE_PROOF,
    FALSE_UNFIRED,
    FAULTED,
    FIRED,
    GRID,
    LAG,
    LAST,
    LINES,
    LOCKS,
    MOST,
    NEXT_AT,
    NO_PROOF,
    NO_REASON,
    P_COMMAND,
    P_NUMBER,
    P_PLAN,
    P_PULSE,
    PENDING,
    PLANNED,
    REPLIED,
    REST,
    SECOND_FAULT,
    SILENCED,
    SPACING,
    T_DOSES,
    T_FAULTS,
    T_PROOFS,
    T_REFUSED,
    T_REPLIES,
    T_SHORT,
    T_UNFIRED,
    T_UNSEEN,
    UNANSWERED,
    UNTIL,
    UNTOLD,
    WAITING,
    WRONG_PROOF,
    Watch,
    complain,
    cut,
    end_all,
)

IN_STEP, IN_COMMAND, IN_LOSS = range(3)
RETURN_WITHIN = limits.RETURN_WITHIN_SAMPLES


@inner
def take_proof(w: Watch, e: Row, i: int, context: int) -> None:
    line, seen = e[4] - 1, e[6]
    mine = w.lines[line]
    if context == IN_COMMAND or mine[PENDING] < 0 or mine[PENDING] != e[5]:
        complain(w, FALSE_PROOF, line + 1, e[5])
        return
    same = mine[P_PLAN] == e[1] and mine[P_COMMAND] == e[2]
    if not (same and mine[P_NUMBER] == e[3] and mine[P_PULSE] == e[7]):
        complain(w, FALSE_PROOF, line + 1, e[1])
    if seen < 0:
        w.tally[T_UNSEEN] += 1
    elif seen != i or not 0 < seen - e[5] <= RETURN_WITHIN:
        complain(w, WRONG_PROOF, line + 1, seen - e[5])
    cut_short = seen < 0 and mine[UNTIL] <= e[5]
    w.tally[T_SHORT] += cut_short
    lost = seen < 0 and context == IN_LOSS
    if seen != e[5] + w.s[LAG] and i > w.s[EXCUSED] and not (cut_short or lost):
        complain(w, WRONG_PROOF, line + 1, seen - e[5])
    mine[PENDING] = -1
    w.tally[T_PROOFS] += 1


@inner
def dose_due(w: Watch, line: int, i: int) -> bool:
    """Whether a plan that was due at `i` would be too much for `line`. A shot was answered just before."""
    for p in range(MOST):
        m = w.plans[p]
        if line != line_of(m, m[FIRED] + 1) or not excess(w, m, line, i):
            continue
        if m[ACTIVE] and m[PERIOD] > 0 and m[GRID] == i:
            return True
        if m[PERIOD] == 0 and m[FIRED] == 0 and (m[ACTIVE] or m[ANSWERED] == 1):
            return True
    return False


@inner
def take_fault(w: Watch, e: Row, i: int) -> None:
    s, code = w.s, e[1]
    if code == HOST_SILENT:
        if not s[SILENCED]:
            complain(w, FALSE_FAULT, code, e[2])
        return
    if s[FAULTED]:
        complain(w, SECOND_FAULT, code, e[2])
    s[FAULTED] = 1
    w.tally[T_FAULTS] += 1
    if code == DOSE:
        w.tally[T_DOSES] += 1
        if not dose_due(w, e[2] - 1, i):
            complain(w, FALSE_FAULT, code, e[2])
    elif not MISSING <= code <= STUCK or i > s[EXCUSED]:
        complain(w, FALSE_FAULT, code, e[2])
    if e[2] > 0:
        w.lines[e[2] - 1, PENDING] = -1
    end_all(w)


@inner
def take_reply(w: Watch, e: Row, context: int) -> None:
    """To the command under way, or to a single stimulus that waited."""
    s = w.s
    w.tally[T_REPLIES] += 1
    w.tally[T_REFUSED] += e[2] != 0
    if context == IN_COMMAND and e[1] == s[COMMANDS]:
        s[REPLIED] += 1
        s[CODE] = e[2]
        return
    for p in range(MOST):
        m = w.plans[p]
        if m[COMMAND] == e[1] and m[ACTIVE] and m[ANSWERED] == WAITING:
            m[ANSWERED] = 1
            s[CODE] = e[2]
            if e[2]:
                m[ACTIVE] = 0
            return
    complain(w, UNANSWERED, e[1], e[2])


@inner
def check_reason(w: Watch, p: int, reason: int, other: int, i: int) -> None:
    """Why a stimulus did not fire must be so."""
    s, m = w.s, w.plans[p]
    line = line_of(m, m[FIRED] + 1)
    if reason == BY_LOCK:
        true = s[LOCKS] != 0 and other == s[LOCKS]
    elif reason == BY_SPACING:
        true = i < s[LAST] + s[SPACING]
    elif reason == BY_REST:
        true = i < w.lines[line, REST]
    elif reason == BY_LINE:
        true = i <= w.lines[line, UNTIL] + RETURN_WITHIN or i <= s[EXCUSED]
    else:
        known = 0 <= other < MOST
        true = reason == BY_PLAN and (other == ALL_PLANS or ((known and other != p) or s[BURST] == p))
        if true and known:
            true = w.plans[other, ACTIVE] != 0 or i < w.plans[other, PLANNED] or s[BURST] >= 0
    if not true:
        complain(w, NO_REASON, p, reason)


@inner
def take_unfired(w: Watch, e: Row, i: int, context: int) -> None:
    """A train that is cut (by a lock, by a loss), or grid points."""
    s, p, reason, n = w.s, e[1], e[4], e[6]
    w.tally[T_UNFIRED] += n
    if not 0 <= p < MOST or not w.plans[p, ACTIVE] or w.plans[p, COMMAND] != e[2]:
        complain(w, FALSE_UNFIRED, p, reason)
        return
    m = w.plans[p]
    cutting = context != IN_STEP and p == s[BURST] and e[3] == m[NEXT_AT] and not s[CUT_TOLD]
    if cutting:
        s[CUT_TOLD] = 1
        cut(w, p)
        if n != 1 or reason != (BY_LOCK if context == IN_COMMAND else BY_LOSS):
            complain(w, FALSE_UNFIRED, p, reason)
    elif context == IN_STEP:
        if m[GRID] != i or e[3] != i or n != 1:
            complain(w, FALSE_UNFIRED, p, m[GRID])
        check_reason(w, p, reason, e[5], i)
        m[GRID] += m[PERIOD]
    else:
        if context != IN_LOSS or reason != BY_LOSS or e[3] != m[GRID] + (n - 1) * m[PERIOD]:
            complain(w, FALSE_UNFIRED, p, e[3])
        m[GRID] += n * m[PERIOD]


@inner
def listen(st: LoopState, w: Watch, i: int, context: int) -> bool:
    """Take all events there are; True when one was a fault."""
    s, told = st.scalars, False
    w.s[CUT_TOLD] = 0
    for position in range(s[EVENTS_OUT], s[EVENTS_IN]):
        e = st.events[position % MOST_EVENTS]
        if e[0] == w.s[DEAF] - 1:  # a harness that is deaf to a kind of event must notice
            continue
        if e[0] == PROOF:
            take_proof(w, e, i, context)
        elif e[0] == FAULT:
            take_fault(w, e, i)
            told = True
        elif e[0] == REPLY:
            take_reply(w, e, context)
        elif e[0] == NOT_FIRED:
            take_unfired(w, e, i, context)
    s[EVENTS_OUT] = s[EVENTS_IN]
    if s[EVENTS_LOST]:
        complain(w, UNANSWERED, -1, s[EVENTS_LOST])
    return told


@inner
def check_told(w: Watch, i: int) -> None:
    """Behind sample `i`: every grid point up to it is accounted for, and every pulse that must be proven."""
    for p in range(MOST):
        m = w.plans[p]
        if m[ACTIVE] and m[PERIOD] > 0 and m[GRID] <= i:
            complain(w, UNTOLD, p, m[GRID])
    for line in range(w.s[LINES]):
        if 0 <= w.lines[line, PENDING] < i - RETURN_WITHIN:
            complain(w, NO_PROOF, line + 1, w.lines[line, PENDING])
