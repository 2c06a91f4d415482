"""The memory of the sample loop: plain arrays that compiled code and Python both see.

Owns the layout, and the one place where Python turns it into messages; decides nothing. One thread runs the
loop and writes; one reads what lies between the OUT and IN counters. Positions only grow: slot = position
modulo size.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from hw import limits
from hw.link import NOT_SEEN, Fault, Message, Reply, Stimulus

MOST_PLANS = 64
MOST_LINES = 8
MOST_EVENTS = 1024
NEVER = 1 << 62
EDGE_TIMEOUT_S = 0.5
"""So long without an edge, or without a good row, and nothing can be proven any more."""
UNKNOWN = 0xFF

# scalars: the sequencer
OUTPUTS, SEEN, NEXT, LAST_FIRED, INDEX, FAULTED, SPACING, LINES, RATE_MHZ = range(9)
# scalars: the samples
EXPECTED, TORN, MOST_TORN, BLIND, BLOCK, NOTIFY, LOST_FROM = range(9, 16)
# scalars: counters of the two rings, and what was counted on the way
EVENTS_IN, EVENTS_OUT, EVENTS_LOST, RECORDS_IN, RECORDS_OUT = range(16, 21)
SPURIOUS, LATE, READ_ERRORS, ERRNO, CHANGE = range(21, 26)
N_SCALARS = 32

# a row of plans; PLAN is -1 in a free row
PLAN, COMMAND, LINE, PERIOD, PHASE, HOLD, COUNT, DUE, FIRED = range(9)
# a row of lines: the sample with which the last pulse ends, the plan that raised it, and the pulse whose
# edge is awaited (AWAITED is its sample, -1: none)
UNTIL, RAISED_BY, AWAITED, AW_PLAN, AW_COMMAND, AW_NUMBER = range(6)
# a row of records: one sample (its bytes in the same slot of `raw`), or a run of lost ones
KIND, FIRST, LENGTH, T_NS = range(4)
SAMPLE, LOST_MISSED, LOST_TORN, LOST_OVERFLOW = range(4)
REASONS = ("", "missed", "torn", "overflow")
# a row of events: its kind and up to six numbers
PROOF, FAULT, REPLY = range(3)
MISSING, UNEXPECTED, STUCK, NO_DATA_READY, TORN_FRAMES, SPI_ERROR, EVENTS_OVERFLOW = range(7)
ACCEPTED, REFUSED_BLIND, REFUSED_FULL, REFUSED_CROWDED = range(4)

FAULT_CODES = (
    "missing",
    "unexpected",
    "stuck",
    "no_data_ready",
    "torn_frames",
    "spi_error",
    "events_lost",
)


class LoopState(NamedTuple):
    """`raw` (slots, bytes of one board row); `headers`: bit offsets in a row where a chip's 1100 stands;
    `last`: the newest row that was believed, from which CHANGE bits separate the one before it."""

    scalars: NDArray[np.int64]
    plans: NDArray[np.int64]
    lines: NDArray[np.int64]
    events: NDArray[np.int64]
    records: NDArray[np.int64]
    raw: NDArray[np.uint8]
    headers: NDArray[np.int64]
    last: NDArray[np.uint8]


_TABLE = types.int64[:, ::1]
LOOP_STATE = types.NamedTuple(  # type: ignore[no-untyped-call]
    [
        types.int64[::1],
        *(_TABLE,) * 4,
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
        np.full((MOST_PLANS, 9), -1, np.int64),
        np.full((MOST_LINES, 6), -1, np.int64),
        np.zeros((MOST_EVENTS, 7), np.int64),
        np.zeros((slots, 4), np.int64),
        np.zeros((slots, row_bytes), np.uint8),
        np.array(headers, np.int64),
        np.zeros(row_bytes, np.uint8),
    )
    scalars = state.scalars
    scalars[LINES], scalars[MOST_TORN] = lines, most_torn
    scalars[NEXT], scalars[LAST_FIRED] = NEVER, -NEVER
    scalars[INDEX] = scalars[LOST_FROM] = -1
    scalars[BLOCK] = NEVER
    return state


def events(state: LoopState) -> Iterator[Message]:
    """What the loop has to say since the last call, in order."""
    scalars = state.scalars
    end = int(scalars[EVENTS_IN])
    for position in range(int(scalars[EVENTS_OUT]), end):
        kind, *numbers = (int(x) for x in state.events[position % MOST_EVENTS])
        scalars[EVENTS_OUT] = position + 1
        yield _message(state, kind, numbers)
    if scalars[EVENTS_LOST]:
        lost, scalars[EVENTS_LOST] = int(scalars[EVENTS_LOST]), 0
        yield Fault("events_lost", f"{lost} proofs or faults were lost: nobody took them in time", 0)


def _message(state: LoopState, kind: int, numbers: list[int]) -> Message:
    if kind == PROOF:
        plan, command, number, line, commanded, seen = numbers
        return Stimulus(plan, command, number, line, commanded, NOT_SEEN if seen < 0 else seen)
    if kind == REPLY:
        command, code, line, rate_mhz, *_ = numbers
        return Reply(command, refusal_text(code, line, rate_mhz))
    code, line, index, number, *_ = numbers
    return Fault(FAULT_CODES[code], fault_text(code, line, index, number), 0)


def refusal_text(code: int, line: int, rate_mhz: int) -> str:
    """Why a plan may not run, in one line; empty when it was accepted."""
    if code == REFUSED_BLIND:
        return "no samples are coming in; nothing can be stimulated"
    if code == REFUSED_FULL:
        return f"{MOST_PLANS} plans are running; stop one first"
    if code == REFUSED_CROWDED:
        rate, limit = f"{rate_mhz / 1000:g} pulses a second", f"the rate limit of {limits.MAX_RATE_HZ:g} Hz"
        return f"line {line} would have {rate}, which exceeds {limit}"
    return ""


def fault_text(code: int, line: int, index: int, number: int) -> str:
    """A fault in one line: what, where, and where to look."""
    if code == MISSING:
        return f"pulse {number} on line {line} never came back in the samples"
    if code == UNEXPECTED:
        return f"line {line} rose at sample {index} without a command"
    if code == STUCK:
        return f"line {line} is still high in the samples at {index}"
    if code == NO_DATA_READY:
        return f"no data-ready edge for {EDGE_TIMEOUT_S:g} s; check the converter's clock, START and the line"
    if code == TORN_FRAMES:
        return f"no frame with its header for {EDGE_TIMEOUT_S:g} s; check the chip's supply and SPI lines"
    return f"the SPI transfer of sample {index} failed with errno {number}; check the bus and its driver"
