"""The sample loop's steps, compiled: what one data-ready edge and one board row mean.

Kernels over `LoopState`, the same for every backend. The index is the edge's own count, never a count of
successful reads; a row that was not read, lacks a 1100 header or is the last one again is a loss with its
reason, never a sample; half a second without any good one ends all stimulation: nothing could prove it.
"""

import numpy as np
from numba import boolean, int64, njit, types, void
from numpy.typing import NDArray

from firmware.loop.arbiter import step
from firmware.loop.pulses import lost, stop, tell
from firmware.loop.state import (
    BLIND,
    BLOCK,
    CHANGE,
    EXPECTED,
    FAULT,
    FIRST,
    LENGTH,
    LINES,
    LOOP_STATE,
    LOST_FROM,
    LOST_MISSED,
    LOST_OVERFLOW,
    LOST_TORN,
    MOST_TORN,
    NO_DATA_READY,
    NOTIFY,
    OUTPUTS,
    RECORD,
    RECORDS_IN,
    RECORDS_OUT,
    SAMPLE,
    T_NS,
    TORN,
    TORN_FRAMES,
    LoopState,
)
from hw.frames import HEADER
from hw.link import ALL_PLANS

ROW = types.Array(types.uint8, 1, "C", readonly=True)
GPIO_BIT = 20
"""Where the four GPIO bits begin behind a header's first bit; those of the second chip are lines 5 to 8."""
STALE_BITS = 32
FULL_SCALE = 0x800000


@njit(boolean(LOOP_STATE, ROW), nogil=True, cache=True, forceinline=True)
def whole(st: LoopState, row: NDArray[np.uint8]) -> bool:
    """Whether every chip's header stands where it must (at any bit, with a gap bit in a daisy chain)."""
    for k in range(len(st.headers)):
        at = st.headers[k] >> 3
        word = int64(row[at]) << 8
        if at + 1 < len(row):
            word |= int64(row[at + 1])
        if word >> (12 - (st.headers[k] & 7)) & 0xF != HEADER:
            return False
    return True


@njit(int64(LOOP_STATE, ROW), nogil=True, cache=True, forceinline=True)
def trigger_bits(st: LoopState, row: NDArray[np.uint8]) -> int:
    """The levels of the lines in a row: GPIO1 to 4 of the first chip, and of the second where used."""
    bits = int64(row[2]) & 0x0F
    if st.scalars[LINES] > 4 and len(st.headers) > 1:
        at = st.headers[1] + GPIO_BIT
        word = int64(row[at >> 3]) << 8 | int64(row[(at >> 3) + 1])
        bits |= (word >> (12 - (at & 7)) & 0x0F) << 4
    return int(bits)


@njit(boolean(LOOP_STATE, ROW), nogil=True, cache=True, forceinline=True)
def stale(st: LoopState, row: NDArray[np.uint8]) -> bool:
    """Whether a row is the last one again, bit for bit, although chance cannot have made it so.

    The step before must have changed by STALE_BITS (about log2 of each channel's change, summed): with noise
    of that size two equal rows come by chance once in 2^STALE_BITS. Quiet inputs are never judged, clipped
    ones are no evidence, and a third equal row is believed: then the inputs do stand still.
    """
    last, change, equal = st.last, 0, True
    for k in range(3, len(row) - 2, 3):
        now = int64(row[k]) << 16 | int64(row[k + 1]) << 8 | int64(row[k + 2])
        before = int64(last[k]) << 16 | int64(last[k + 1]) << 8 | int64(last[k + 2])
        step_counts = abs(((now - before + 0x800000) & 0xFFFFFF) - 0x800000)
        equal = equal and not step_counts
        while step_counts and now != FULL_SCALE and now != FULL_SCALE - 1:
            change, step_counts = change + 1, step_counts >> 1
    equal = equal and row[0] == last[0] and row[1] == last[1] and row[2] == last[2]
    before_bits = st.scalars[CHANGE]
    st.scalars[CHANGE] = change
    if equal and before_bits >= STALE_BITS:
        return True
    for k in range(len(row)):
        last[k] = row[k]
    return False


@njit(boolean(LOOP_STATE, int64, int64, int64, int64), nogil=True, cache=True, forceinline=True)
def record(st: LoopState, kind: int, first: int, length: int, t_ns: int) -> bool:
    """Append a record; with no room the samples are lost from here on, said as soon as there is room."""
    s = st.scalars
    slots = len(st.records)
    at = s[RECORDS_IN]
    if at - s[RECORDS_OUT] + (2 if s[LOST_FROM] >= 0 else 1) > slots:
        if s[LOST_FROM] < 0:
            s[LOST_FROM] = first
        return False
    if s[LOST_FROM] >= 0:
        row = st.records[at % slots]
        row[RECORD], row[FIRST], row[LENGTH] = LOST_OVERFLOW, s[LOST_FROM], first - s[LOST_FROM]
        s[LOST_FROM] = -1
        at += 1
    row = st.records[at % slots]
    row[RECORD], row[FIRST], row[LENGTH], row[T_NS] = kind, first, length, t_ns
    s[RECORDS_IN] = at + 1
    if kind != SAMPLE or at + 1 - s[RECORDS_OUT] >= s[BLOCK]:
        s[NOTIFY] = 1
    return True


@njit(void(LOOP_STATE, int64, int64, int64), nogil=True, cache=True)
def lose(st: LoopState, index: int, length: int, kind: int) -> None:
    """`length` samples from `index` on are lost for the reason `kind`."""
    record(st, kind, index, length, 0)
    lost(st, index + length)


@njit(void(LOOP_STATE, int64), nogil=True, cache=True)
def go_blind(st: LoopState, code: int) -> None:
    """Nothing can be proven any more: end all plans, outputs low; said once until a sample comes in."""
    s = st.scalars
    stop(st, ALL_PLANS)
    if not s[BLIND]:
        s[BLIND] = 1
        tell(st, FAULT, code, 0, s[EXPECTED], 0, 0, 0)


@njit(int64(LOOP_STATE), nogil=True, cache=True)
def silence(st: LoopState) -> int:
    """No data-ready edge for too long; the output bits from now on."""
    go_blind(st, NO_DATA_READY)
    return int(st.scalars[OUTPUTS])


@njit(void(LOOP_STATE, int64, int64), nogil=True, cache=True)
def unread(st: LoopState, index: int, kind: int) -> None:
    """Edge `index` (not before the expected one) brought no row that can be believed."""
    s = st.scalars
    if index != s[EXPECTED]:
        lose(st, s[EXPECTED], index - s[EXPECTED], LOST_MISSED)
    s[EXPECTED] = index + 1
    lose(st, index, 1, kind)
    s[TORN] += 1
    if s[TORN] == s[MOST_TORN]:
        go_blind(st, TORN_FRAMES)


@njit(int64(LOOP_STATE, int64, int64, ROW), nogil=True, cache=True)
def arrive(st: LoopState, index: int, t_ns: int, row: NDArray[np.uint8]) -> int:
    """Take the row read after edge `index` (not before the expected one); the output bits from now on."""
    s = st.scalars
    if not whole(st, row) or stale(st, row):
        unread(st, index, LOST_TORN)
        return int(s[OUTPUTS])
    if index != s[EXPECTED]:
        lose(st, s[EXPECTED], index - s[EXPECTED], LOST_MISSED)
    s[EXPECTED] = index + 1
    at = s[RECORDS_IN] + (1 if s[LOST_FROM] >= 0 else 0)
    if at - s[RECORDS_OUT] < len(st.records):
        kept = st.raw[at % len(st.raw)]
        for k in range(len(row)):
            kept[k] = row[k]
    record(st, SAMPLE, index, 1, t_ns)
    s[TORN] = 0
    s[BLIND] = 0
    return int(step(st, index, trigger_bits(st, row)))
