"""Commands, losses and silence as the campaign gives them, each with what must follow at once. Compiled."""

import numpy as np

from firmware.loop import arbiter, pulses
from firmware.loop.state import (
    ACCEPTED,
    ALTERNATE,
    COMMAND,
    LINE,
    N_PLAN,
    OUTPUTS,
    PERIOD,
    PHASE,
    PLAN,
    REFUSED_UNARMED,
    VERB_ARM,
    VERB_LOCK,
    VERB_START,
    VERB_STOP,
    LoopState,
)
from hw.link import ALL_PLANS
from tests.stimuli.compiled import Row, inner
from tests.stimuli.heard import IN_COMMAND, IN_LOSS, listen
from tests.stimuli.rises import check_crowd, take_lowered
from tests.stimuli.watch import (
    ACTIVE,
    ANSWERED,
    ARM_FOR,
    ARM_UNTIL,
    BURST,
    CODE,
    COMMANDS,
    DOUBTFUL,
    FAULTED,
    FIRED,
    GRID,
    LAG,
    LAST,
    LINES,
    LOCKED,
    LOCKS,
    MOST,
    NEXT_AT,
    NO_PROOF,
    NOT_ARMED,
    NOT_LOW,
    NOW,
    PENDING,
    PULSE,
    REPLIED,
    SILENCED,
    STARTED,
    T_LOCKS,
    T_LOSSES,
    T_SILENCES,
    T_STOPS,
    UNANSWERED,
    UNTOLD,
    WAITING,
    WAS_ARMED,
    Watch,
    complain,
    end_all,
    end_plan,
    excuse,
)

NOBODY, EVERYBODY = -2, -1
LONG_AGO = -(1 << 62)


@inner
def give(st: LoopState, w: Watch, row: Row, verb: int) -> None:
    """One command; REPLIED and CODE are its answer."""
    s = w.s
    s[COMMANDS] += 1
    s[REPLIED], s[CODE] = 0, -1
    row[COMMAND] = s[COMMANDS]
    arbiter.obey(st, row, verb)
    listen(st, w, s[NOW], IN_COMMAND)
    waits = verb == VERB_START and row[PERIOD] == 0
    if s[REPLIED] != 1 and not (waits and s[REPLIED] == 0):
        complain(w, UNANSWERED, verb, s[REPLIED])


@inner
def give_short(st: LoopState, w: Watch, number: int, value: int, verb: int) -> None:
    row = np.zeros(N_PLAN, np.int64)
    row[PLAN], row[LINE] = number, value
    give(st, w, row, verb)


@inner
def arm(st: LoopState, w: Watch, p: int, samples: int) -> None:
    give_short(st, w, p, samples, VERB_ARM)
    w.plans[p, ARM_UNTIL], w.plans[p, ARM_FOR] = w.s[NOW] + samples, samples
    w.plans[p, DOUBTFUL] = w.s[FAULTED]
    take_lowered(w, st.scalars[OUTPUTS], NOBODY, LONG_AGO)


@inner
def start(st: LoopState, w: Watch, row: Row) -> bool:
    """Start a plan; whether it was accepted, or waits to fire."""
    s, p = w.s, row[PLAN]
    m = w.plans[p]
    may, single = m[ARM_UNTIL] >= s[NOW], row[PERIOD] == 0
    give(st, w, row, VERB_START)
    take_lowered(w, st.scalars[OUTPUTS], NOBODY, LONG_AGO)
    if s[REPLIED] and s[CODE] != ACCEPTED:
        if s[CODE] == REFUSED_UNARMED and may and not m[DOUBTFUL]:
            complain(w, WAS_ARMED, p, m[ARM_UNTIL])
        return False
    if not may:
        complain(w, NOT_ARMED, p, m[ARM_UNTIL])
    if single and s[LOCKS]:
        complain(w, LOCKED, p, s[LOCKS])
    if m[ACTIVE] and m[ANSWERED] == WAITING:
        complain(w, UNANSWERED, p, m[COMMAND])
    if s[BURST] == p:
        s[BURST] = -1
    m[:N_PLAN] = row
    m[ACTIVE], m[FIRED], m[PULSE], m[NEXT_AT], m[STARTED] = 1, 0, 0, -1, s[NOW] + 1
    m[ANSWERED] = WAITING if single else 0
    m[GRID] = 0 if single else s[NOW] + 1 + (m[PHASE] - s[NOW] - 1) % m[PERIOD]
    s[FAULTED] = 0
    check_crowd(w, m[LINE])
    check_crowd(w, m[ALTERNATE])
    return True


@inner
def stop(st: LoopState, w: Watch, p: int) -> None:
    """Stop a plan, or EVERYBODY: its lines are low at once."""
    give_short(st, w, ALL_PLANS if p == EVERYBODY else p, 0, VERB_STOP)
    if p == EVERYBODY:
        end_all(w)
    else:
        end_plan(w, p)
    take_lowered(w, st.scalars[OUTPUTS], p, LONG_AGO)
    if p == EVERYBODY and st.scalars[OUTPUTS]:
        complain(w, NOT_LOW, st.scalars[OUTPUTS], 0)
    w.tally[T_STOPS] += 1


@inner
def hush(st: LoopState, w: Watch) -> None:
    """The host falls silent."""
    w.s[SILENCED] = 1
    w.s[COMMANDS] += 1  # no reply that is told now is to the last command
    pulses.hush(st)
    listen(st, w, w.s[NOW], IN_COMMAND)
    w.s[SILENCED] = 0
    end_all(w)
    take_lowered(w, st.scalars[OUTPUTS], EVERYBODY, LONG_AGO)
    w.tally[T_SILENCES] += 1


@inner
def lock(st: LoopState, w: Watch, reason: int, on: int) -> None:
    """Lock or unlock: trains are cut, what waits is refused."""
    s = w.s
    give_short(st, w, reason, on, VERB_LOCK)
    s[LOCKS] = s[LOCKS] | reason if on else s[LOCKS] & ~reason
    take_lowered(w, st.scalars[OUTPUTS], NOBODY, LONG_AGO)
    if on and s[BURST] >= 0:
        complain(w, UNTOLD, s[BURST], 0)
    for p in range(MOST):
        if on and w.plans[p, ACTIVE] and w.plans[p, ANSWERED] == WAITING:
            complain(w, UNANSWERED, p, 0)
    w.tally[T_LOCKS] += 1


@inner
def lose(st: LoopState, w: Watch, index: int) -> None:
    """Samples before `index` are lost."""
    s = w.s
    if s[LAG] > 1 and s[LAST] >= s[NOW] - 3:
        excuse(w, index + 4)  # an edge that comes late shows behind the loss
    s[NOW] = index - 1
    unproven = w.lines[: s[LINES], PENDING].max() >= 0
    pulses.lost(st, index)
    listen(st, w, index, IN_LOSS)
    if w.lines[: s[LINES], PENDING].max() >= 0:
        complain(w, NO_PROOF, 0, index)
    if s[BURST] >= 0 and (unproven or w.plans[s[BURST], NEXT_AT] < index):
        complain(w, UNTOLD, s[BURST], w.plans[s[BURST], NEXT_AT])
    for p in range(MOST):
        m = w.plans[p]
        if m[ACTIVE] and m[PERIOD] > 0 and m[GRID] < index:
            complain(w, UNTOLD, p, m[GRID])
    take_lowered(w, st.scalars[OUTPUTS], NOBODY, index)
    w.tally[T_LOSSES] += 1
