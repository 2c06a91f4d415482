"""Every raised and lowered line held against what is believed of the plans, compiled."""

from firmware.loop.state import (
    ACCEPTED,
    ALTERNATE,
    AW_COMMAND,
    AW_NUMBER,
    AW_PLAN,
    AW_PULSE,
    C_APART_US,
    C_CHARGE_NC,
    C_ENERGY_NJ,
    C_MINUTE,
    C_PULSES,
    C_REST_US,
    CHARGE_NC,
    COMMAND,
    COUNT,
    ENERGY_NJ,
    GAP,
    GUARD,
    HOLD,
    INTERVAL,
    KIND,
    LINE,
    MINUTE,
    NEVER,
    PERIOD,
    PHASE,
    PULSES,
    TRAINS,
    LoopState,
)
from hw import limits
from tests.stimuli.compiled import Row, inner
from tests.stimuli.watch import (
    ACTIVE,
    ANSWERED,
    ARM_FOR,
    ARM_UNTIL,
    BURST,
    BY,
    CHARGE_OF,
    CODE,
    COUNTED,
    CROWDED,
    ENERGY_OF,
    FAULTED,
    FIRED,
    GRID,
    IN_WINDOW,
    LAST,
    LINES,
    LOCKED,
    LOCKS,
    MOST,
    N_RECENT,
    NEXT_AT,
    NO_REST,
    NOT_LOW,
    NOT_NEXT,
    NOT_RUNNING,
    NOW,
    OFF_GRID,
    OTHER_LINE,
    OUT,
    OVERDOSE,
    P_COMMAND,
    P_NUMBER,
    P_PLAN,
    P_PULSE,
    PENDING,
    PLANNED,
    PULSE,
    PULSES_OF,
    RATE,
    RECENT,
    REST,
    SPACING,
    STARTED,
    T_PULSES,
    T_STIMULI,
    TOO_CLOSE,
    TOO_LONG,
    TOO_SHORT,
    UNANSWERED,
    UNPROVEN,
    UNTIL,
    WAIT,
    WAITED,
    WINDOW,
    Watch,
    complain,
    window_after,
)

MOST_HZ = limits.MAX_RATE_HZ


@inner
def seconds_pulses(w: Watch, line: int, i: int) -> int:
    """Pulses of a line in this second and the 59 before."""
    second, n = i // w.s[RATE], 0
    for k in range(min(w.doses[line, N_RECENT], RECENT)):
        if w.recent[line, k] // w.s[RATE] > second - MINUTE:
            n += 1
    return n


@inner
def excess(w: Watch, m: Row, line: int, i: int) -> bool:
    """Whether one more stimulus of `m` on `line` is above a ceiling of its kind."""
    n, sums, most = m[PULSES] * m[TRAINS], w.doses[line], w.ceilings[m[KIND]]
    return (
        sums[PULSES_OF] + n > most[C_PULSES]
        or sums[CHARGE_OF] + n * m[CHARGE_NC] > most[C_CHARGE_NC]
        or sums[ENERGY_OF] + n * m[ENERGY_NJ] > most[C_ENERGY_NJ]
        or seconds_pulses(w, line, i) + n > most[C_MINUTE]
    )


@inner
def line_of(m: Row, number: int) -> int:
    """The line (0 = line 1) of a stimulus: every second one on the alternate, if there is one."""
    other = m[ALTERNATE] > 0 and number % 2 == 0
    return m[ALTERNATE] - 1 if other else m[LINE] - 1


@inner
def hz_on(w: Watch, p: int, line: int) -> float:
    """Stimuli a second that plan `p` puts on `line` (from 1), if it repeats."""
    m = w.plans[p]
    if not m[ACTIVE] or m[PERIOD] == 0 or line not in (m[LINE], m[ALTERNATE]):
        return 0.0
    hz = w.s[RATE] / m[PERIOD]
    return hz / 2 if m[ALTERNATE] > 0 else hz


@inner
def check_crowd(w: Watch, line: int) -> None:
    """No line (from 1) has more stimuli a second than it may."""
    hz = 0.0
    for p in range(MOST if line > 0 else 0):
        hz += hz_on(w, p, line)
    if hz > MOST_HZ + 0.01:
        complain(w, CROWDED, line, int(hz))


@inner
def span(m: Row) -> int:
    """Samples from the first to the last pulse of a stimulus."""
    return m[TRAINS] * (m[PULSES] - 1) * m[INTERVAL] + (m[TRAINS] - 1) * m[GAP]


@inner
def let_rest(w: Watch, m: Row, i: int) -> None:
    """The lines of a plan that fires rest as its kind wants, whoever is next on them."""
    ceiling, rate = w.ceilings[m[KIND]], w.s[RATE]
    apart = -(-ceiling[C_APART_US] * rate // 1_000_000)
    if m[PULSES] * m[TRAINS] > 1:
        apart = max(apart, span(m) - (-ceiling[C_REST_US] * rate // 1_000_000))
    for line in (m[LINE] - 1, m[ALTERNATE] - 1):
        if line >= 0:
            w.lines[line, REST] = max(w.lines[line, REST], i + apart)


@inner
def first_pulse(w: Watch, p: int, line: int, number: int, i: int) -> None:
    """A stimulus begins: may it, and may it now?"""
    s, m = w.s, w.plans[p]
    if number != m[FIRED] + 1 or m[NEXT_AT] >= 0:
        complain(w, NOT_NEXT, p, number)
    if m[COUNT] > 0 and number > m[COUNT]:
        complain(w, COUNTED, p, number)
    if m[PERIOD] > 0:
        if i % m[PERIOD] != m[PHASE] % m[PERIOD] or m[GRID] != i:
            complain(w, OFF_GRID, p, m[GRID])
        m[GRID] += m[PERIOD]
    else:
        if i > m[STARTED] + s[WAIT] + 1:
            complain(w, WAITED, p, i - m[STARTED])
        if m[ANSWERED] != 1 or s[CODE] != ACCEPTED:
            complain(w, UNANSWERED, p, m[ANSWERED])
    if i < s[LAST] + s[SPACING]:
        complain(w, TOO_CLOSE, p, i - s[LAST])
    for q in range(MOST):
        if q != p and i < w.plans[q, WINDOW]:
            complain(w, IN_WINDOW, p, q)
    if i < w.lines[line, REST]:
        complain(w, NO_REST, p, w.lines[line, REST] - i)
    if excess(w, m, line, i):
        complain(w, OVERDOSE, p, line + 1)
    m[FIRED], m[PULSE] = number, 0
    let_rest(w, m, i)
    m[PLANNED] = max(m[PLANNED], i + span(m) + max(m[GUARD], s[SPACING]))
    if m[ARM_UNTIL] >= i:
        m[ARM_UNTIL] = i + m[ARM_FOR]
    if m[COUNT] > 0 and number >= m[COUNT]:
        m[GRID] = NEVER
    w.tally[T_STIMULI] += 1


@inner
def go_on(w: Watch, p: int, i: int) -> None:
    """What is to come after a pulse of plan `p`."""
    s, m = w.s, w.plans[p]
    over = m[PULSE] >= m[PULSES] * m[TRAINS]
    m[WINDOW] = max(m[WINDOW], window_after(w, p))
    if not over:
        s[BURST] = p
        m[NEXT_AT] = i + (m[GAP] if m[PULSE] % m[PULSES] == 0 else m[INTERVAL])
        return
    m[NEXT_AT] = s[BURST] = -1
    if m[GRID] == NEVER:
        m[ACTIVE] = 0


@inner
def count(w: Watch, m: Row, line: int, i: int) -> None:
    sums = w.doses[line]
    sums[PULSES_OF] += 1
    sums[CHARGE_OF] += m[CHARGE_NC]
    sums[ENERGY_OF] += m[ENERGY_NJ]
    w.recent[line, sums[N_RECENT] % RECENT] = i
    sums[N_RECENT] += 1
    w.tally[T_PULSES] += 1


@inner
def take_rise(st: LoopState, w: Watch, line: int, i: int) -> None:
    """Line `line` (0 = line 1) rose with sample `i`."""
    s, row = w.s, st.lines[line]
    p, number, pulse = row[AW_PLAN], row[AW_NUMBER], row[AW_PULSE]
    if not 0 <= p < MOST or not w.plans[p, ACTIVE] or row[AW_COMMAND] != w.plans[p, COMMAND]:
        complain(w, NOT_RUNNING, p, line + 1)
        return
    m, mine = w.plans[p], w.lines[line]
    if s[LOCKS]:
        complain(w, LOCKED, p, s[LOCKS])
    if s[BURST] not in (-1, p):
        complain(w, IN_WINDOW, p, s[BURST])
    if pulse == 1:
        first_pulse(w, p, line, number, i)
    elif m[NEXT_AT] != i or number != m[FIRED]:
        complain(w, NOT_NEXT, p, pulse)
    if line != line_of(m, number):
        complain(w, OTHER_LINE, p, line + 1)
    if pulse != m[PULSE] + 1:
        complain(w, NOT_NEXT, p, pulse)
    if mine[PENDING] >= 0:
        complain(w, UNPROVEN, p, line + 1)
    mine[UNTIL], mine[BY], mine[PENDING] = i + m[HOLD], p, i
    mine[P_PLAN], mine[P_COMMAND], mine[P_NUMBER], mine[P_PULSE] = p, m[COMMAND], number, pulse
    count(w, m, line, i)
    m[PULSE], s[LAST] = pulse, i
    go_on(w, p, i)


@inner
def take_outputs(st: LoopState, w: Watch, i: int, out: int, told: bool) -> None:
    """Outputs behind sample `i`; `told`: a fault was."""
    s = w.s
    if s[FAULTED] and out:
        complain(w, NOT_LOW, out, 0)
    for line in range(s[LINES]):
        high, was = out >> line & 1, s[OUT] >> line & 1
        mine = w.lines[line]
        if high and not was:
            take_rise(st, w, line, i)
        elif high and i >= mine[UNTIL]:
            complain(w, TOO_LONG, line + 1, i - mine[UNTIL])
        elif was and not high:
            if i < mine[UNTIL] and not told:
                complain(w, TOO_SHORT, line + 1, mine[UNTIL] - i)
            mine[UNTIL] = i
    s[OUT] = out


@inner
def take_lowered(w: Watch, out: int, p: int, before: int) -> None:
    """Outputs behind a command or a loss: only lines of plan `p` (-1: of all), and those whose pulse ended
    before sample `before`, are low; none is raised."""
    s = w.s
    for line in range(s[LINES]):
        high, was, mine = out >> line & 1, s[OUT] >> line & 1, w.lines[line]
        ended = was and (p in (-1, mine[BY]) or mine[UNTIL] < before)
        if high and (not was or ended):
            complain(w, NOT_LOW, line + 1, p)
        if was and not high and not ended:
            complain(w, TOO_SHORT, line + 1, p)
        if was and not high:
            mine[UNTIL] = s[NOW]
    s[OUT] = out
