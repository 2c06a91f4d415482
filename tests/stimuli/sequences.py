"""Random sequences of commands, losses and faults through the compiled steps, every sample watched.

A sequence is its seed: plans, times, lags, rates and what befalls the wire. TAMPERS are ways to break the
loop's memory, the wire or the watcher's ears, by which a test proves that what it watches for would be found.
"""

from dataclasses import dataclass

import numpy as np

from firmware.loop import arbiter
from firmware.loop.state import (
    ARMED_PLAN,
    ARMED_SAMPLES,
    ARMED_UNTIL,
    C_CHARGE_NC,
    C_ENERGY_NJ,
    C_MINUTE,
    C_PULSES,
    EVENTS_IN,
    EVENTS_OUT,
    LOCKS,
    NOT_FIRED,
    OUTPUTS,
    PLAN,
    PROOF,
    REPLY,
    LoopState,
    loop_state,
)
from firmware.loop.state import GUARD as PLAN_GUARD
from firmware.loop.state import HOLD as PLAN_HOLD
from firmware.loop.state import INTERVAL as PLAN_INTERVAL
from firmware.loop.state import LINE as PLAN_LINE
from firmware.loop.state import PHASE as PLAN_PHASE
from firmware.loop.state import SPACING as LOOP_SPACING
from firmware.orders import prepare
from hw.limits import SHOT_WAIT_S
from tests.stimuli import orders, watch
from tests.stimuli.compiled import Cube, Row, Table, inner, outer
from tests.stimuli.heard import IN_STEP, check_told, listen
from tests.stimuli.pool import LINES, RATES, all_plans
from tests.stimuli.rises import take_outputs
from tests.stimuli.watch import COMPLAINTS, TALLIES, Watch
from tests.stimuli.wire import CUT, CUT_UNTIL, GLITCH, N_WIRE, STUCK, STUCK_UNTIL, convert, shown

POOL = 400
TAMPERS = (
    *("", "grid", "guard", "spacing", "arm", "hold", "interval", "line", "dose", "lock", "stop"),
    *("proofs unheard", "unfired unheard", "replies unheard", "a wire that lies"),
)
(_NONE, GRID, GUARD, SPACING, ARM, HOLD, INTERVAL, LINE, DOSE, LOCK, STOP, PROOFS, UNFIRED, REPLIES, LIES) = (
    range(len(TAMPERS))
)


@inner
def fresh(st: LoopState, blank: LoopState, scalars: Row) -> None:
    """The loop's memory as at the start."""
    st.scalars[:] = scalars[:-1]
    st.plans[:] = blank.plans
    st.arms[:] = blank.arms
    st.lines[:] = blank.lines
    st.doses[:] = blank.doses
    st.ceilings[:] = blank.ceilings


@inner
def set_up(st: LoopState, w: Watch, blank: LoopState, rate: int, tamper: int) -> None:
    """Lag, order of commands and conversions, ceilings; and what is broken from the start."""
    s = w.s
    watch.forget(w)
    s[watch.LAG] = 1 if np.random.random() < 0.7 else np.random.randint(2, 4)
    s[watch.EARLY] = np.random.randint(2)
    s[watch.RATE], s[watch.LINES], s[watch.TAMPER] = rate, LINES, tamper
    s[watch.SPACING] = st.scalars[LOOP_SPACING]
    s[watch.WAIT] = int(SHOT_WAIT_S * rate)
    w.ceilings[:] = blank.ceilings
    if np.random.random() < 0.25:
        w.ceilings[:, C_MINUTE] = np.random.randint(1, 60)
        w.ceilings[:, C_PULSES] = np.random.randint(1, 100)
        w.ceilings[:, C_CHARGE_NC] = np.random.randint(1, 400_000)
        w.ceilings[:, C_ENERGY_NJ] = np.random.randint(1, 4_000_000)
    if s[watch.LAG] == 3:
        watch.excuse(w, 1 << 62)  # a train may be closer than its edges return
    if tamper != DOSE:
        st.ceilings[:] = w.ceilings
    if tamper == SPACING:
        st.scalars[LOOP_SPACING] = 1
    if PROOFS <= tamper <= REPLIES:
        heard = (PROOF, NOT_FIRED, REPLY)
        s[watch.DEAF] = heard[tamper - PROOFS] + 1


@inner
def break_plan(st: LoopState, tamper: int, p: int) -> None:
    """Spoil a plan that was accepted."""
    for k in range(len(st.plans)):
        row = st.plans[k]
        if row[PLAN] != p:
            continue
        if tamper == GRID:
            row[PLAN_PHASE] += 1
        elif tamper == GUARD:
            row[PLAN_GUARD] = 0
        elif tamper == HOLD:
            row[PLAN_HOLD] += 1
        elif tamper == INTERVAL:
            row[PLAN_INTERVAL] += 1
        elif tamper == LINE:
            row[PLAN_LINE] = row[PLAN_LINE] % LINES + 1


@inner
def random_start(st: LoopState, w: Watch, pool: Table) -> None:
    """Start a random plan, most often armed just before, now and then long ago or never."""
    p = np.random.randint(1, 6)
    row = pool[np.random.randint(len(pool))].copy()
    row[PLAN] = p
    if np.random.random() < 0.8:
        orders.arm(st, w, p, 1 + np.random.randint(2 * w.s[watch.RATE]))
    if w.s[watch.TAMPER] == ARM:
        st.arms[0, ARMED_PLAN], st.arms[0, ARMED_UNTIL], st.arms[0, ARMED_SAMPLES] = p, 1 << 40, 1
    if orders.start(st, w, row):
        break_plan(st, w.s[watch.TAMPER], p)


@inner
def random_command(st: LoopState, w: Watch, pool: Table) -> None:
    """One of the commands, starting most often."""
    dice, tamper = np.random.random(), w.s[watch.TAMPER]
    if w.s[watch.LOCKS] and np.random.random() < 0.5:
        for reason in (1, 2, 4):
            orders.lock(st, w, reason, 0)
    if dice < 0.72:
        random_start(st, w, pool)
    elif dice < 0.80:
        orders.stop(st, w, np.random.randint(1, 6))
    elif dice < 0.83:
        before = st.scalars[OUTPUTS]
        orders.stop(st, w, orders.EVERYBODY)
        if tamper == STOP:
            st.scalars[OUTPUTS] = before
    elif dice < 0.88:
        orders.arm(st, w, np.random.randint(1, 6), 1 + np.random.randint(60))
    elif dice < 0.98:
        orders.lock(st, w, 1 << np.random.randint(3), np.random.randint(2))
        if tamper == LOCK:
            st.scalars[LOCKS] = 0
    else:
        orders.hush(st, w)


@inner
def random_fault(st: LoopState, w: Watch, wire: Row, i: int) -> int:
    """Lose samples from `i` on or spoil the wire; the next sample there is."""
    dice, line = np.random.random(), 1 << np.random.randint(LINES)
    if dice < 0.5:
        n = 1 + np.random.randint(6) if np.random.random() < 0.6 else np.random.randint(1, 300)
        if np.random.random() < 0.02:
            n = np.random.randint(1, 70) * w.s[watch.RATE]
        for _ in range(min(n, 5)):
            convert(wire, st.scalars[OUTPUTS])
        wire[GLITCH] = 0
        orders.lose(st, w, i + n)
        return i + n
    n = 1 + np.random.randint(40)
    if dice < 0.7:
        wire[GLITCH] = line
        n = 1
    elif dice < 0.85:
        wire[CUT], wire[CUT_UNTIL] = line, i + n
    else:
        wire[STUCK], wire[STUCK_UNTIL] = line, i + n
    watch.excuse(w, i + n + 6)
    return i


@inner
def run(st: LoopState, w: Watch, wire: Row, pool: Table, faulty: bool) -> None:
    """One sequence of 600 to 2000 samples, and a few more in which nothing is asked."""
    s = w.s
    i, at, n = 0, np.random.randint(20), np.random.randint(600, 2000)
    end, pause = n, np.random.randint(10, 200)
    while i < end + 6:
        level = st.scalars[OUTPUTS]
        if at <= i or i % 8 == 0:  # what was not told stays untold
            check_told(w, i - 1)
        while at <= i < end:
            at += np.random.randint(pause)
            if faulty and np.random.random() < 0.2:
                held = st.scalars[OUTPUTS]
                lost_until = random_fault(st, w, wire, i)
                end += lost_until - i
                at += lost_until - i
                if lost_until > i:
                    i, level = lost_until, held
            else:
                random_command(st, w, pool)
        convert(wire, st.scalars[OUTPUTS] if s[watch.EARLY] else level)
        bits = shown(wire, i, s[watch.LAG] + (s[watch.TAMPER] == LIES))
        s[watch.NOW] = i
        out = arbiter.step(st, i, bits)
        told = st.scalars[EVENTS_IN] != st.scalars[EVENTS_OUT] and listen(st, w, i, IN_STEP)
        if out or s[watch.OUT]:
            take_outputs(st, w, i, out, told)
        if w.found[watch.WHAT]:
            return
        i += 1
        w.tally[watch.T_SAMPLES] += 1
    orders.stop(st, w, orders.EVERYBODY)


@outer
def run_seeds(
    st: LoopState,
    w: Watch,
    blank: LoopState,
    scalars: Table,
    pool: Cube,
    seeds: Row,
    found: Table,
    tamper: int,
) -> None:
    """All sequences; `found` (seed, 4) the first complaint of each."""
    for n in range(len(seeds)):
        np.random.seed(seeds[n])
        k = np.random.randint(len(pool))
        fresh(st, blank, scalars[k])
        set_up(st, w, blank, scalars[k, -1], tamper)
        run(st, w, np.zeros(N_WIRE, np.int64), pool[k], np.random.random() < 0.7)
        found[n] = w.found


@dataclass(frozen=True, slots=True)
class Sequences:
    """What came of it: complaints with their seeds, and how often what happened."""

    n: int
    wrong: tuple[str, ...]
    tally: dict[str, int]


def blank_scalars() -> Table:
    """The loop's scalars at the start, per rate, and the rate behind them."""
    rows = []
    for rate in RATES:
        st = loop_state(LINES, 1, 3)
        prepare(st, rate)
        rows.append([*st.scalars.tolist(), rate])
    return np.array(rows, np.int64)


def run_all(first: int, n: int, tamper: str = "") -> Sequences:
    """`n` sequences from seed `first` on."""
    st, blank = loop_state(LINES, 1, 3), loop_state(LINES, 1, 3)
    w, found = watch.new_watch(st.ceilings), np.zeros((n, 4), np.int64)
    seeds = np.arange(first, first + n)
    how = TAMPERS.index(tamper)
    run_seeds(st, w, blank, blank_scalars(), all_plans(POOL), seeds, found, how)
    wrong = tuple(
        f"seed {seeds[k]}: {COMPLAINTS[what]} at sample {where} ({one}, {two})"
        for k, (what, where, one, two) in enumerate(found.tolist())
        if what
    )
    return Sequences(n, wrong, dict(zip(TALLIES, w.tally.tolist(), strict=True)))
