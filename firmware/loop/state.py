"""The memory of the sample loop: plain arrays that compiled code and Python both see.

Owns the layout; decides nothing (`firmware.loop.telling` turns it into messages). One thread runs the loop
and writes; one reads what lies between the OUT and IN counters. Positions only grow: slot = position modulo
size.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from hw import limits

MOST_PLANS = 64
MOST_LINES = 8
MOST_EVENTS = 1024
NEVER = 1 << 62
EDGE_TIMEOUT_S = 0.5
"""So long without an edge, or without a good row, and nothing can be proven any more."""
UNKNOWN = 0xFF
LONGEST_S = 1000.0
"""A line rests no longer, whatever the limits say: its time in samples must fit a word."""

# scalars: the sequencer
OUTPUTS, SEEN, NEXT, LAST_FIRED, INDEX, FAULTED, SPACING, LINES, RATE_MHZ = range(9)
# scalars: the samples
EXPECTED, TORN, MOST_TORN, BLIND, BLOCK, NOTIFY, LOST_FROM = range(9, 16)
# scalars: counters of the two rings, and what was counted on the way
EVENTS_IN, EVENTS_OUT, EVENTS_LOST, RECORDS_IN, RECORDS_OUT = range(16, 21)
SPURIOUS, LATE, READ_ERRORS, ERRNO, CHANGE = range(21, 26)
# scalars: the arbiter. LOCKS: bits of hw.link.LOCK_REASONS; OWNER's stimulus or window lasts until before
# LOCK_UNTIL; BURST: the row of the plan whose train is under way (-1: none), its next pulse and when
LOCKS, OWNER, LOCK_UNTIL, BURST, BURST_AT, BURST_PULSE, SHOT_WAIT = range(26, 33)
N_SCALARS = 40

# a row of plans, as in hw.link.StimPlan, with what one pulse delivers; PLAN is -1 in a free row
PLAN, COMMAND, LINE, ALTERNATE, PERIOD, PHASE, HOLD, COUNT = range(8)
PULSES, INTERVAL, TRAINS, GAP, GUARD, KIND, CHARGE_NC, ENERGY_NJ = range(8, 16)
# and what became of it: next on its grid, how many stimuli fired, how many could not, when the last did
DUE, FIRED, UNFIRED, LAST = range(16, 20)
N_PLAN = 20
# a row of arms: the plan's number, the last index at which it may be started, for how long it was armed
ARMED_PLAN, ARMED_UNTIL, ARMED_SAMPLES = range(3)
# a row of lines: the sample with which the last pulse ends, the plan that raised it, and the pulse whose
# edge is awaited (AWAITED is its sample, -1: none); RESTS: no stimulus before that sample
UNTIL, RAISED_BY, AWAITED, AW_PLAN, AW_COMMAND, AW_NUMBER, AW_PULSE, RESTS = range(8)
# a row of doses, one a line: of the case; the second of the newest count, then pulses in each of 60 seconds
D_PULSES, D_CHARGE_NC, D_ENERGY_NJ, D_SECOND, D_COUNTS = range(5)
MINUTE = 60
# a row of ceilings, one a kind of stimulation; least from a stimulus to the next and from its last pulse
C_MINUTE, C_PULSES, C_CHARGE_NC, C_ENERGY_NJ, C_APART_US, C_REST_US = range(6)
# a row of records: one sample (its bytes in the same slot of `raw`), or a run of lost ones
RECORD, FIRST, LENGTH, T_NS = range(4)
SAMPLE, LOST_MISSED, LOST_TORN, LOST_OVERFLOW = range(4)
REASONS = ("", "missed", "torn", "overflow")
# a row of events: its kind and up to seven numbers
PROOF, FAULT, REPLY, NOT_FIRED = range(4)
N_EVENT = 8
(
    MISSING,
    UNEXPECTED,
    REPEATED,
    STUCK,
    DOSE,
    HOST_SILENT,
    NO_DATA_READY,
    TORN_FRAMES,
    SPI_ERROR,
) = range(9)
(
    ACCEPTED,
    REFUSED_BLIND,
    REFUSED_FULL,
    REFUSED_CROWDED,
    REFUSED_UNARMED,
    REFUSED_LOCKED,
    REFUSED_DOSE,
    REFUSED_WAITED,
    REFUSED_STOPPED,
) = range(9)
# why a stimulus did not fire: the box is locked, another plan's window, its line is not low, too close, lost,
# its line rests as the limits of its last stimulus want it, who hands it over came too late (a coprocessor)
BY_LOCK, BY_PLAN, BY_LINE, BY_SPACING, BY_LOSS, BY_REST, BY_LATE = range(7)
# commands in the mailbox
VERB_STOP, VERB_START, VERB_ARM, VERB_LOCK = range(4)


class LoopState(NamedTuple):
    """`raw` (slots, bytes of one board row); `headers`: bit offsets in a row where a chip's 1100 stands;
    `last`: the newest row that was believed, from which CHANGE bits separate the one before it."""

    scalars: NDArray[np.int64]
    plans: NDArray[np.int64]
    arms: NDArray[np.int64]
    lines: NDArray[np.int64]
    doses: NDArray[np.int64]
    ceilings: NDArray[np.int64]
    events: NDArray[np.int64]
    records: NDArray[np.int64]
    raw: NDArray[np.uint8]
    headers: NDArray[np.int64]
    last: NDArray[np.uint8]


_TABLE = types.int64[:, ::1]
LOOP_STATE = types.NamedTuple(  # type: ignore[no-untyped-call]
    [
        types.int64[::1],
        *(_TABLE,) * 7,
        types.uint8[:, ::1],
        types.int64[::1],
        types.uint8[::1],
    ],
    LoopState,
)


def loop_state(
    lines: int, slots: int, row_bytes: int, headers: tuple[int, ...] = (0,), most_torn: int = NEVER
) -> LoopState:
    """Memory for `slots` samples of `row_bytes`; ValueError for more lines than an output word has here."""
    if not 0 <= lines <= MOST_LINES:
        raise ValueError(f"{lines} stimulus lines: the loop drives 0 to {MOST_LINES}")
    state = LoopState(
        np.zeros(N_SCALARS, np.int64),
        np.full((MOST_PLANS, N_PLAN), -1, np.int64),
        np.full((MOST_PLANS, 3), -1, np.int64),
        np.full((MOST_LINES, RESTS + 1), -1, np.int64),
        np.zeros((MOST_LINES, D_COUNTS + MINUTE), np.int64),
        np.array([ceiling_row(c) for c in limits.CEILINGS], np.int64),
        np.zeros((MOST_EVENTS, N_EVENT), np.int64),
        np.zeros((slots, 4), np.int64),
        np.zeros((slots, row_bytes), np.uint8),
        np.array(headers, np.int64),
        np.zeros(row_bytes, np.uint8),
    )
    scalars = state.scalars
    scalars[LINES], scalars[MOST_TORN] = lines, most_torn
    scalars[NEXT], scalars[LAST_FIRED] = NEVER, -NEVER
    scalars[LOCK_UNTIL], scalars[OWNER], scalars[BURST] = -NEVER, -1, -1
    scalars[INDEX] = scalars[LOST_FROM] = -1
    scalars[BLOCK] = NEVER
    return state


def ceiling_row(ceiling: limits.Ceiling) -> tuple[int, ...]:
    """The sums of a ceiling as the loop counts them, and its times."""
    charge_nc, energy_nj = ceiling.case_charge_mc * 1e6, ceiling.case_energy_j * 1e9
    sums = int(ceiling.minute_pulses), int(ceiling.case_pulses), int(charge_nc), int(energy_nj)
    apart_s = 1 / ceiling.rate_hz if ceiling.rate_hz > 0 else LONGEST_S
    return (*sums, int(min(apart_s, LONGEST_S) * 1e6), int(min(ceiling.rest_s, LONGEST_S) * 1e6))
