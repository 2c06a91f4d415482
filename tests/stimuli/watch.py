"""What the campaign believes about the sequencer: a bookkeeping of its own, and its first complaint.

It knows the commands that it gave, the outputs that it saw and the events that it was told, and reads nothing
else, but for whose pulse a rising line is: that claim is held against everything that is known of the plan.
"""

from typing import NamedTuple

import numpy as np
from numba import int64, types
from numpy.typing import NDArray

from firmware.loop.state import GUARD, MOST_LINES, N_PLAN, NEVER
from tests.stimuli.compiled import TYPES, inner

MOST = 8
"""Plan numbers are below this."""
RECENT = 4096

# scalars
LAG, EARLY, RATE, SPACING, WAIT, TAMPER, LINES, OUT = range(8)
NOW, LOCKS, FAULTED, EXCUSED, BURST, LAST, COMMANDS, CODE = range(8, 16)
REPLIED, CUT_TOLD, SILENCED, LOW, DEAF = range(16, 21)
N_SCALARS = 24
# a plan's row goes on behind the loop's: what is believed of it
ACTIVE, GRID, STARTED, FIRED, PULSE, NEXT_AT, WINDOW, ANSWERED, ARM_UNTIL, ARM_FOR = range(
    N_PLAN, N_PLAN + 10
)
DOUBTFUL, PLANNED = range(N_PLAN + 10, N_PLAN + 12)
"""Armed after a fault, when another one disarms without a word; and when its window was to end."""
WAITING = -1
"""In ANSWERED: a single stimulus whose command was not answered yet."""
# a row of lines: when its pulse ends, whose it is, the pulse whose proof is awaited (-1: none), and until
# when nothing may begin on it
UNTIL, BY, PENDING, P_PLAN, P_COMMAND, P_NUMBER, P_PULSE, REST = range(8)
# a row of doses
PULSES_OF, CHARGE_OF, ENERGY_OF, N_RECENT = range(4)
# `found`: what, where, and two numbers that say more
WHAT, WHERE, ONE, TWO = range(4)

COMPLAINTS = (
    "",
    "a pulse of a plan that does not run",
    "a plan that was not armed was accepted",
    "an armed plan was refused as not armed",
    "a pulse off its grid",
    "a pulse that is not the next one of its plan",
    "a pulse on another line than its plan's",
    "less than 5 ms after another stimulus",
    "within another plan's stimulus or window",
    "a pulse while the box is locked",
    "a pulse held too long",
    "a pulse cut short",
    "a line is high after everything was stopped",
    "a pulse before the last one of its line was proven",
    "a pulse without a proof",
    "a proof without its pulse",
    "a proof seen at the wrong sample",
    "a grid point neither fired nor told",
    "an unfired stimulus that was none",
    "an unfired stimulus for no reason",
    "a fault for no reason",
    "a second fault before anything was started",
    "a dose above its ceiling",
    "a command not answered exactly once",
    "more stimuli a second than a line may have",
    "a single stimulus that waited too long",
    "more stimuli than its count",
    "a line without the rest between its stimuli",
)
(
    _OK,
    NOT_RUNNING,
    NOT_ARMED,
    WAS_ARMED,
    OFF_GRID,
    NOT_NEXT,
    OTHER_LINE,
    TOO_CLOSE,
    IN_WINDOW,
    LOCKED,
    TOO_LONG,
    TOO_SHORT,
    NOT_LOW,
    UNPROVEN,
    NO_PROOF,
    FALSE_PROOF,
    WRONG_PROOF,
    UNTOLD,
    FALSE_UNFIRED,
    NO_REASON,
    FALSE_FAULT,
    SECOND_FAULT,
    OVERDOSE,
    UNANSWERED,
    CROWDED,
    WAITED,
    COUNTED,
    NO_REST,
) = range(len(COMPLAINTS))

TALLIES = (
    *("samples", "pulses", "stimuli", "proofs", "never seen", "not fired", "replies", "refused"),
    *("faults", "dose faults", "stops", "losses", "locks", "silences", "trains cut", "stopped unseen"),
)
(
    T_SAMPLES,
    T_PULSES,
    T_STIMULI,
    T_PROOFS,
    T_UNSEEN,
    T_UNFIRED,
    T_REPLIES,
    T_REFUSED,
    T_FAULTS,
    T_DOSES,
    T_STOPS,
    T_LOSSES,
    T_LOCKS,
    T_SILENCES,
    T_CUTS,
    T_SHORT,
) = range(len(TALLIES))


class Watch(NamedTuple):
    """`s` scalars; `plans` by number; `lines`, `doses` by line; `recent` (line, slot) when it was raised;
    `ceilings` in the order of the loop's; `found` the first complaint; `tally` what has happened."""

    s: NDArray[np.int64]
    plans: NDArray[np.int64]
    lines: NDArray[np.int64]
    doses: NDArray[np.int64]
    recent: NDArray[np.int64]
    ceilings: NDArray[np.int64]
    found: NDArray[np.int64]
    tally: NDArray[np.int64]


TYPES[Watch] = types.NamedTuple([int64[::1], *(int64[:, ::1],) * 5, int64[::1], int64[::1]], Watch)


def new_watch(ceilings: NDArray[np.int64]) -> Watch:
    return Watch(
        np.zeros(N_SCALARS, np.int64),
        np.zeros((MOST, N_PLAN + 12), np.int64),
        np.zeros((MOST_LINES, 8), np.int64),
        np.zeros((MOST_LINES, 4), np.int64),
        np.zeros((MOST_LINES, RECENT), np.int64),
        ceilings.copy(),
        np.zeros(4, np.int64),
        np.zeros(len(TALLIES), np.int64),
    )


@inner
def forget(w: Watch) -> None:
    """A new run: nothing is known."""
    w.s[:] = 0
    w.plans[:] = 0
    w.plans[:, ARM_UNTIL] = w.plans[:, WINDOW] = w.plans[:, PLANNED] = -NEVER
    w.plans[:, NEXT_AT] = -1
    w.lines[:] = -1
    w.doses[:] = 0
    w.found[:] = 0
    w.s[BURST], w.s[LAST], w.s[EXCUSED], w.s[NOW] = -1, -NEVER, -1, -1


@inner
def complain(w: Watch, what: int, one: int, two: int) -> None:
    """Only the first counts: what follows may follow from it."""
    if w.found[WHAT] == 0:
        w.found[WHAT], w.found[WHERE], w.found[ONE], w.found[TWO] = what, w.s[NOW], one, two


@inner
def excuse(w: Watch, until: int) -> None:
    """Faults up to sample `until` are no wonder."""
    w.s[EXCUSED] = max(w.s[EXCUSED], until)


@inner
def end_plan(w: Watch, p: int) -> None:
    """Plan `p` was stopped: it neither fires nor keeps others from it, and is not armed."""
    m = w.plans[p]
    if m[ACTIVE] and m[ANSWERED] == WAITING:
        complain(w, UNANSWERED, p, 0)
    m[ACTIVE], m[NEXT_AT] = 0, -1
    m[WINDOW] = m[PLANNED] = m[ARM_UNTIL] = -NEVER
    if w.s[BURST] == p:
        w.s[BURST] = -1


@inner
def end_all(w: Watch) -> None:
    for p in range(MOST):
        end_plan(w, p)


@inner
def window_after(w: Watch, p: int) -> int:
    """Until when others wait after the last pulse, which was of plan `p`."""
    return w.s[LAST] + max(w.plans[p, GUARD], w.s[SPACING])


@inner
def cut(w: Watch, p: int) -> None:
    """The train of plan `p` is not gone on with; its window counts from its last pulse."""
    m = w.plans[p]
    w.tally[T_CUTS] += 1
    w.s[BURST], m[NEXT_AT] = -1, -1
    m[WINDOW] = max(m[WINDOW], window_after(w, p))
    if m[GRID] == NEVER:
        m[ACTIVE] = 0
