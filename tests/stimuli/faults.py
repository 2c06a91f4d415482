"""Injected stimulus faults: each is to be found with its code, on its line, at its sample, and none invented.

A run is its seed: up to three repeating plans on lines of their own, a lag, a rate, and one fault at a random
pulse; in half of the runs all lines then go mad, and the first cause must stay the only one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import int64, types
from numpy.typing import NDArray

from firmware.loop import arbiter
from firmware.loop.state import (
    ALTERNATE,
    AW_PULSE,
    COUNT,
    EVENTS_IN,
    EVENTS_OUT,
    FAULT,
    GAP,
    HOLD,
    INTERVAL,
    LINE,
    MISSING,
    MOST_EVENTS,
    OUTPUTS,
    PERIOD,
    PLAN,
    PULSES,
    REPEATED,
    STUCK,
    TRAINS,
    UNEXPECTED,
    VERB_ARM,
    VERB_START,
    LoopState,
    loop_state,
)
from hw import limits
from tests.stimuli.compiled import TYPES, Cube, Row, Table, inner, outer
from tests.stimuli.pool import LINES, all_plans
from tests.stimuli.sequences import blank_scalars, fresh
from tests.stimuli.wire import N_WIRE, convert, shown

KINDS = ("none", "missing", "late", "unexpected", "repeated", "chatter", "stuck", "too long", "a little long")
NONE, NEVER_BACK, LATE, EXTRA, DIP, CHATTER, HIGH, LONG, TOLERATED = range(len(KINDS))
WITHIN = limits.RETURN_WITHIN_SAMPLES
LONGEST, QUIET = 6000, 1500
NOT_YET, MOST_TRIES = -1, 40
# `r`: of a run
KIND, LAG, LINE_OF, AT, HOLD_OF, NEXT, FROM, CODE, WHERE, TOLD, TARGET, MAD, OTHER = range(13)
# results of a run, and its row: result, code told, line, how many samples after the first wrong one
SKIPPED, RIGHT, WRONG = range(3)


class Run(NamedTuple):
    """`r` scalars; `rose` and `until` per line."""

    r: NDArray[np.int64]
    rose: NDArray[np.int64]
    until: NDArray[np.int64]


TYPES[Run] = types.NamedUniTuple(int64[::1], 3, Run)


@inner
def begin(st: LoopState, run: Run, pool: Table, kind: int) -> None:
    """One to three plans on lines of their own, started before the first sample; a lag that they bear."""
    r = run.r
    r[:] = NOT_YET
    run.rose[:], run.until[:] = -100, -100
    lag = 1 if np.random.random() < 0.6 else np.random.randint(2, 4)
    head = np.zeros(len(pool[0]), np.int64)
    for k in range(np.random.randint(1, 4)):
        row = pool[np.random.randint(len(pool))].copy()
        row[PLAN], row[LINE], row[ALTERNATE], row[COUNT] = k + 1, k + 1, 0, 0
        closest = row[INTERVAL] if row[TRAINS] == 1 else min(row[INTERVAL], row[GAP])
        if row[PULSES] * row[TRAINS] > 1 and closest < row[HOLD] + 3:
            lag = min(lag, 2)
        head[PLAN], head[LINE] = k + 1, 1 << 40
        arbiter.obey(st, head, VERB_ARM)
        arbiter.obey(st, row, VERB_START)
    r[KIND], r[LAG] = kind, lag
    r[TARGET], r[MAD], r[OTHER] = np.random.randint(1, 13), np.random.randint(2), np.random.randint(LINES)


@inner
def next_pulse(st: LoopState, plan: Row, line: int, at: int) -> int:
    """When the train goes on after the pulse at `at`, or never."""
    pulse = st.lines[line, AW_PULSE]
    if pulse >= plan[PULSES] * plan[TRAINS]:
        return 1 << 60
    return at + (plan[GAP] if pulse % plan[PULSES] == 0 else plan[INTERVAL])


@inner
def inject(st: LoopState, run: Run, line: int, i: int) -> None:
    """Line `line` (0 = line 1) rose with sample `i`: this is the pulse that is spoilt."""
    r = run.r
    plan = st.plans[0]
    for k in range(len(st.plans)):
        if st.plans[k, LINE] == line + 1 and st.plans[k, PLAN] >= 0:
            plan = st.plans[k]
    kind, lag, hold = r[KIND], r[LAG], plan[HOLD]
    r[LINE_OF], r[AT], r[HOLD_OF], r[NEXT] = line, i, hold, next_pulse(st, plan, line, i)
    if kind in (NEVER_BACK, LATE):
        r[CODE], r[FROM], r[WHERE] = MISSING, i + lag, i + WITHIN + 1
    elif kind == DIP:
        r[CODE], r[FROM] = REPEATED, i + lag + 2
        r[WHERE] = r[FROM]
    elif kind == CHATTER:
        r[CODE], r[FROM] = REPEATED, i + hold + lag + 1
        r[WHERE] = r[FROM]
    elif kind in (HIGH, LONG):
        r[CODE], r[FROM] = STUCK, i + hold + lag
        r[WHERE] = min(i + hold + WITHIN + 1, r[NEXT])
    single = plan[PULSES] * plan[TRAINS] == 1
    blurred = (kind == CHATTER and lag > 1) or (kind == TOLERATED and not single)
    if blurred or plan[PERIOD] < hold + 8:  # what is seen may be the next pulse
        r[AT] = r[WHERE] = NOT_YET


@inner
def spoilt(run: Run, bits: int, before: int, i: int) -> int:
    """What sample `i` shows instead of `bits`; `before` is what the one before showed."""
    r = run.r
    kind, lag, at, hold, bit = r[KIND], r[LAG], r[AT], r[HOLD_OF], 1 << r[LINE_OF]
    if kind == EXTRA:
        x, bit = r[OTHER], 1 << r[OTHER]
        clear = not (bits | before) & bit and i > run.rose[x] + lag
        if r[WHERE] == NOT_YET and i > at + 2 and clear:
            r[WHERE], r[FROM], r[LINE_OF] = i, i, x
            r[CODE] = REPEATED if run.rose[x] >= 0 and i <= run.until[x] + WITHIN else UNEXPECTED
        return bits | bit if r[WHERE] != NOT_YET else bits
    if kind == NEVER_BACK or (kind == LATE and i < at + WITHIN + 1):
        return bits & ~bit
    if kind == LATE:
        return bits | bit
    if kind == DIP:
        return bits & ~bit if i == at + lag + 1 else bits | bit if i == at + lag + 2 else bits
    if kind == CHATTER:
        return bits | bit if i == at + hold + lag + 1 else bits
    last = at + hold + WITHIN + (0 if kind == TOLERATED else 1)
    long = kind == HIGH or i <= last
    return bits | bit if long and i > at + lag else bits


@inner
def hear(st: LoopState, run: Run, i: int) -> bool:
    """Take the events; False for a fault that is not the one that was injected, or is one too many."""
    s, r, right = st.scalars, run.r, True
    for position in range(s[EVENTS_OUT], s[EVENTS_IN]):
        e = st.events[position % MOST_EVENTS]
        if e[0] != FAULT:
            continue
        right = right and r[TOLD] == NOT_YET and r[AT] != NOT_YET and s[OUTPUTS] == 0
        right = right and e[1] == r[CODE] and e[2] == r[LINE_OF] + 1 and e[3] == i and i == r[WHERE]
        r[TOLD] = i
    s[EVENTS_OUT] = s[EVENTS_IN]
    return right


@inner
def take_rises(st: LoopState, run: Run, out: int, before: int, i: int) -> None:
    """Remember what rose; the pulse that was chosen is spoilt."""
    r = run.r
    for line in range(LINES):
        if out & ~before & 1 << line:
            run.rose[line] = i
            for k in range(len(st.plans)):
                if st.plans[k, PLAN] >= 0 and st.plans[k, LINE] == line + 1:
                    run.until[line] = i + st.plans[k, HOLD]
            r[TARGET] -= 1
            if r[KIND] != NONE and r[AT] == NOT_YET and r[TARGET] <= 0:
                inject(st, run, line, i)


@inner
def run_one(st: LoopState, run: Run, wire: Row, found: Row) -> int:
    """One run from its first sample until a while after the fault, or QUIET samples without one."""
    r, out, before = run.r, 0, 0
    for i in range(LONGEST):
        convert(wire, out)
        bits = shown(wire, i, r[LAG])
        if r[AT] != NOT_YET and i > r[AT]:
            mad = r[TOLD] != NOT_YET and r[MAD]
            bits = np.random.randint(1 << LINES) if mad else spoilt(run, bits, before, i)
        before, was = bits, out
        out = arbiter.step(st, i, bits)
        if st.scalars[EVENTS_IN] != st.scalars[EVENTS_OUT] and not hear(st, run, i):
            return WRONG
        if out and r[TOLD] != NOT_YET:
            return WRONG
        take_rises(st, run, out, was, i)
        if r[TOLD] != NOT_YET and i > r[TOLD] + 40:
            found[1], found[2], found[3] = r[CODE], r[LINE_OF] + 1, r[TOLD] - r[FROM]
            return RIGHT
        if r[WHERE] != NOT_YET and i > r[WHERE] and r[TOLD] == NOT_YET:
            return WRONG
        if r[KIND] != NONE and r[TARGET] < -MOST_TRIES:
            return SKIPPED
        if r[KIND] in (NONE, TOLERATED) and i >= QUIET:
            return RIGHT if r[KIND] == NONE or r[AT] != NOT_YET else SKIPPED
    return SKIPPED


@outer
def run_seeds(
    st: LoopState, blank: LoopState, scalars: Table, pool: Cube, kinds: Row, first: int, found: Table
) -> int:
    """Seeds from `first` on until every row of `found` is filled; the seed after the last one.

    A row: result, code, line, delay, seed, kind. What no pulse came to be spoilt in is skipped.
    """
    seed, n = first, 0
    run = Run(np.zeros(13, np.int64), np.zeros(LINES, np.int64), np.zeros(LINES, np.int64))
    while n < len(found):
        np.random.seed(seed)
        k = np.random.randint(len(pool))
        kind = kinds[np.random.randint(len(kinds))]
        fresh(st, blank, scalars[k])
        begin(st, run, pool[k], kind)
        result = run_one(st, run, np.zeros(N_WIRE, np.int64), found[n])
        if result != SKIPPED:
            found[n, 0], found[n, 4], found[n, 5] = result, seed, kind
            n += 1
        seed += 1
    return seed


@dataclass(frozen=True, slots=True)
class Faults:
    """Of `n` runs: what was `wrong`, with its seed; per kind how many, and the samples until it was told."""

    n: int
    wrong: tuple[str, ...]
    kinds: dict[str, int]
    delays: dict[str, dict[int, int]]


def repeating(n: int) -> Cube:
    """Plans of every rate that repeat, within 2000 samples, on one line."""
    rows = []
    for plans in all_plans(6 * n, seed=2):
        fits = (plans[:, PERIOD] > 0) & (plans[:, PERIOD] <= 2000)
        rows.append(plans[fits][:n])
    return np.array([row[: min(map(len, rows))] for row in rows])


def run_all(first: int, n: int, injected: bool = True) -> Faults:
    """`n` runs from seed `first` on, each with a fault or each without."""
    st, blank = loop_state(LINES, 1, 3), loop_state(LINES, 1, 3)
    found = np.zeros((n, 6), np.int64)
    wanted = np.arange(1 if injected else 0, len(KINDS) if injected else 1)
    if injected:
        wanted = wanted[wanted != TOLERATED]
    else:
        wanted = np.array([NONE, TOLERATED])
    run_seeds(st, blank, blank_scalars(), repeating(200), wanted, first, found)
    wrong = tuple(f"seed {row[4]}: {KINDS[row[5]]}" for row in found if row[0] == WRONG)
    names = [KINDS[kind] for kind in found[:, 5]]
    delays: dict[str, dict[int, int]] = {}
    for name, row in zip(names, found.tolist(), strict=True):
        if row[0] == RIGHT and injected:
            held = delays.setdefault(name, {})
            held[row[3]] = held.get(row[3], 0) + 1
    return Faults(n, wrong, {name: names.count(name) for name in sorted(set(names))}, delays)
