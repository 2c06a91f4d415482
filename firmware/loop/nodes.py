"""The sample loop on device nodes, compiled: poll, read the edge, transfer, judge, ring, drive the lines.

One function without interpreter and without the GIL, on plain libc calls, so that no other Python thread can
delay a sample or a stimulus. It returns only to stop or to say why it cannot go on; it never opens,
configures or repairs a device. Structures are those of linux/gpio.h (uAPI v2) and linux/spi/spidev.h.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import int64, njit, types, void
from numpy.typing import NDArray

from firmware.loop.arbiter import obey
from firmware.loop.borrowed import borrowed
from firmware.loop.grid import DOUBTFUL, GRID_NS, NEXT_MAY_COME, PERIOD_NS, SPURIOUS, place
from firmware.loop.pulses import hush, lower, stop, tell
from firmware.loop.samples import arrive, silence, unread
from firmware.loop.state import (
    ACCEPTED,
    EDGE_TIMEOUT_S,
    ERRNO,
    FAULT,
    INDEX,
    LATE,
    LINES,
    LOOP_STATE,
    LOST_MISSED,
    LOST_TORN,
    MOST_TORN,
    N_PLAN,
    NOTIFY,
    OUTPUTS,
    READ_ERRORS,
    REPLY,
    SPI_ERROR,
    TORN,
    LoopState,
)
from firmware.loop.state import SPURIOUS as COUNT_SPURIOUS
from hw import limits
from hw.link import ALL_PLANS

STOPPED, SILENT, EDGE_GONE, SPI_GONE, OUTPUT_GONE, HEADERLESS = range(6)
"""Why `acquire` returned."""

# wiring: descriptors and numbers that do not change while the loop runs, and a few that it keeps
EDGE_FD, WAKE_FD, OUTPUT_FD, NOTE_FD, CHIPS, SKIP, TRANSFER_COMMAND, TRANSFER_RESULT = range(8)
STOP, MAIL_OUT, DRIVEN, CARRIED, CARRIED_NS, HEARD_NS, HALT, HALT_COMMAND = range(8, 16)
N_WIRING = 16
# after these, for each chip: its descriptor; and from N_WIRING + MOST_CHIPS on: the bytes of its frame
MOST_CHIPS = 4
NONE_CARRIED = -1

EVENT_WORDS, MOST_EVENTS = 6, 64
MAIL_SLOTS, MAIL_WORDS = 64, N_PLAN + 3
WAIT_MS, WAIT_HIGH_MS = round(EDGE_TIMEOUT_S * 1000), 20
HOST_SILENT_NS = round(limits.HEARTBEAT_TIMEOUT_S * 1e9)
GPIO_V2_LINE_SET_VALUES_IOCTL = 0xC010B40F
SPI_IOC_MESSAGE_1 = 0x40206B00
POLLIN, POLLERR_HUP_NVAL = 0x1, 0x38
EINTR, EAGAIN, ENXIO, EBADF, ENODEV, ESHUTDOWN = 4, 11, 6, 9, 19, 108


class LoopIo(NamedTuple):
    """Memory of the system calls. `transfers` (chips, 32): spi_ioc_transfer; `reply` (chips, bytes);
    `mail` (MAIL_SLOTS, MAIL_WORDS): commands from Python; `words`: clock (2), line values (2), note (1).
    """

    wiring: NDArray[np.int64]
    grid: NDArray[np.int64]
    clock: NDArray[np.float64]
    polls: NDArray[np.uint8]
    events: NDArray[np.int64]
    transfers: NDArray[np.uint8]
    reply: NDArray[np.uint8]
    row: NDArray[np.uint8]
    mail: NDArray[np.int64]
    words: NDArray[np.int64]


_I, _B = types.int64[::1], types.uint8[:, ::1]
LOOP_IO = types.NamedTuple(  # type: ignore[no-untyped-call]
    [_I, _I, types.float64[::1], types.uint8[::1], _I, _B, _B, types.uint8[::1], types.int64[:, ::1], _I],
    LoopIo,
)

# By name and not through ctypes pointers: only so can the compiled loop be cached.
_i32, _i64, _u64, _ptr = types.int32, types.int64, types.uint64, types.intp
_poll: Any = types.ExternalFunction("poll", _i32(_ptr, _u64, _i32))
_read: Any = types.ExternalFunction("read", _i64(_i32, _ptr, _u64))
_write: Any = types.ExternalFunction("write", _i64(_i32, _ptr, _u64))
_ioctl: Any = types.ExternalFunction("ioctl", _i32(_i32, _u64, _ptr))
_clock_gettime: Any = types.ExternalFunction("clock_gettime", _i32(_i32, _ptr))
_errno: Any = types.ExternalFunction("__errno_location", types.CPointer(_i32)())  # type: ignore[no-untyped-call]
CLOCK_MONOTONIC = 1


@njit(int64(LOOP_IO), nogil=True, cache=True, forceinline=True)
def now_ns(io: LoopIo) -> int:
    """CLOCK_MONOTONIC, the clock of the kernel's edge stamps."""
    _clock_gettime(CLOCK_MONOTONIC, io.words.ctypes.data)
    return int(io.words[0] * 1_000_000_000 + io.words[1])


@njit(int64(LOOP_STATE, LOOP_IO), nogil=True, cache=True, forceinline=True)
def drive(st: LoopState, io: LoopIo) -> int:
    """Put the lines where the sequencer wants them; 0, or the errno of a line that cannot be driven."""
    outputs = st.scalars[OUTPUTS]
    if outputs != io.wiring[DRIVEN] and io.wiring[OUTPUT_FD] >= 0:
        io.words[2], io.words[3] = outputs, (1 << st.scalars[LINES]) - 1
        if _ioctl(io.wiring[OUTPUT_FD], GPIO_V2_LINE_SET_VALUES_IOCTL, io.words.ctypes.data + 16) < 0:
            return int(_errno()[0])
        io.wiring[DRIVEN] = outputs
    return 0


@njit(void(LOOP_STATE, LOOP_IO), nogil=True, cache=True, forceinline=True)
def notify(st: LoopState, io: LoopIo) -> None:
    """Wake the consumer when there is a block or something to say."""
    if st.scalars[NOTIFY]:
        st.scalars[NOTIFY] = 0
        io.words[4] = 1
        _write(io.wiring[NOTE_FD], io.words.ctypes.data + 32, 8)


@njit(void(LOOP_STATE, LOOP_IO), nogil=True, cache=True, forceinline=True)
def take_mail(st: LoopState, io: LoopIo) -> None:
    """Obey the commands that are complete: serial number and checksum must be there, in whatever order.

    HALT, for which there is always room, stops everything behind them.
    """
    halt = io.wiring[HALT]
    while True:
        position = io.wiring[MAIL_OUT]
        row = io.mail[position % MAIL_SLOTS]
        if row[0] != position + 1 or row[MAIL_WORDS - 1] != row[: MAIL_WORDS - 1].sum():
            if halt:
                io.wiring[HALT] = 0
                stop(st, ALL_PLANS)
                tell(st, REPLY, io.wiring[HALT_COMMAND], ACCEPTED, 0, 0, 0, 0)
            return
        obey(st, row[2 : MAIL_WORDS - 1], row[1])
        io.wiring[MAIL_OUT] = position + 1


@njit(int64(LOOP_IO), nogil=True, cache=True, forceinline=True)
def transfer(io: LoopIo) -> int:
    """One board row: every chip's frame in turn. 0, an errno, or -1 when fewer bytes came than asked for."""
    wiring = io.wiring
    at, short = 0, 0
    for chip in range(wiring[CHIPS]):
        got = _ioctl(wiring[N_WIRING + chip], wiring[TRANSFER_COMMAND], io.transfers[chip].ctypes.data)
        if got < 0:
            return int(_errno()[0])
        if wiring[TRANSFER_RESULT] >= 0 and got != wiring[N_WIRING + MOST_CHIPS + chip] + wiring[SKIP]:
            short = -1
        n = wiring[N_WIRING + MOST_CHIPS + chip]
        skip = wiring[SKIP]
        for k in range(n):
            io.row[at + k] = io.reply[chip, skip + k]
        at += n
    return short


@njit(int64(LOOP_STATE, LOOP_IO), nogil=True, cache=True, forceinline=True)
def wait_for_edge(st: LoopState, io: LoopIo) -> int:
    """Sleep until edges can be read: 1, 0 (woken, or look again), -1 (silent), -2 (the line is gone).

    A line that is high waits no longer than its pulse may last: no edge comes to end it.
    """
    waited = 0
    while True:
        timeout = WAIT_HIGH_MS if st.scalars[OUTPUTS] else WAIT_MS - waited
        got = _poll(io.polls.ctypes.data, 2, timeout)
        if got < 0:
            return 0 if _errno()[0] == EINTR else -2
        if got == 0:
            waited += timeout
            for line in range(st.scalars[LINES]):
                lower(st, line, st.scalars[INDEX])
            if drive(st, io):
                return -3
            if waited >= WAIT_MS:
                return -1
            continue
        if io.polls[14] & POLLIN:
            _read(io.wiring[WAKE_FD], io.words.ctypes.data + 32, 8)
        if io.polls[6] & POLLIN:
            return 1
        return -2 if io.polls[6] & POLLERR_HUP_NVAL else 0


@njit(int64(LOOP_STATE, LOOP_IO), nogil=True, cache=True, forceinline=True)
def read_edges(st: LoopState, io: LoopIo) -> int:
    """Read what edges there are, keep the newest as CARRIED; how many were real, or -2: the line is gone."""
    wiring = io.wiring
    got = _read(wiring[EDGE_FD], io.events.ctypes.data, MOST_EVENTS * EVENT_WORDS * 8)
    if got <= 0:
        return 0 if got < 0 and _errno()[0] in (EAGAIN, EINTR) else -2
    real = 0
    for k in range(got // (EVENT_WORDS * 8)):
        t_ns = io.events[k * EVENT_WORDS]
        at = place(io.grid, io.clock, io.events[k * EVENT_WORDS + 2] >> 32 & 0xFFFFFFFF, t_ns)
        if at == SPURIOUS:
            st.scalars[COUNT_SPURIOUS] += 1
        else:
            wiring[CARRIED], wiring[CARRIED_NS] = at, t_ns
            real += 1
    return real


@njit(int64(LOOP_STATE, LOOP_IO, int64, int64), nogil=True, cache=True)
def whose_row(st: LoopState, io: LoopIo, start_ns: int, end_ns: int) -> int:
    """Which edge the row read from `start_ns` to `end_ns` belongs to, when the next one may have come.

    0: the one that it was read for (an edge after it is CARRIED). 1: the newest one before it, which is
    CARRIED. 2: cannot be said, since an edge came while it was read.
    """
    whose = 0
    while _poll(io.polls.ctypes.data, 1, 0) > 0:
        real = read_edges(st, io)
        if real <= 0:  # a line that is gone is told by whoever waits for it next
            break
        if io.wiring[CARRIED_NS] > start_ns:
            return 0 if whose == 0 and real == 1 and io.wiring[CARRIED_NS] > end_ns else 2
        whose = 1
    return whose


@njit(int64(LOOP_STATE, LOOP_IO), nogil=True, cache=True, forceinline=True)
def take_sample(st: LoopState, io: LoopIo) -> int:
    """Read and judge the row of the CARRIED edge; 0, or why the loop must return."""
    s, wiring = st.scalars, io.wiring
    index, t_ns = wiring[CARRIED], wiring[CARRIED_NS]
    wiring[CARRIED] = NONE_CARRIED
    start_ns = now_ns(io)
    error = transfer(io)
    end_ns = now_ns(io)
    torn = error < 0
    if end_ns - min(t_ns, io.grid[GRID_NS]) > NEXT_MAY_COME * io.clock[PERIOD_NS]:
        s[LATE] += 1
        whose = whose_row(st, io, start_ns, end_ns)
        if whose == 1:
            index, t_ns = wiring[CARRIED], wiring[CARRIED_NS]
            wiring[CARRIED] = NONE_CARRIED
        torn = torn or whose == 2
    if index >= DOUBTFUL:
        index -= DOUBTFUL
        torn = True
    if error > 0:
        s[READ_ERRORS] += 1
        if not s[ERRNO]:
            tell(st, FAULT, SPI_ERROR, 0, index, error, 0, 0)
        s[ERRNO] = error
        unread(st, index, LOST_MISSED)
        return SPI_GONE if error in (ENXIO, EBADF, ENODEV, ESHUTDOWN) else 0
    s[ERRNO] = 0
    if torn:
        unread(st, index, LOST_TORN)
    else:
        arrive(st, index, t_ns, io.row)
    return 0


@njit(void(LOOP_STATE, LOOP_IO), nogil=True, cache=True, forceinline=True)
def watch_host(st: LoopState, io: LoopIo) -> None:
    """End all stimulation when the host has been silent too long, whatever Python is doing meanwhile.

    By the clock as it was read when the sample's transfer ended: asking it once more is a system call.
    """
    heard_ns = io.wiring[HEARD_NS]  # read once: Python writes it meanwhile
    if heard_ns and io.words[0] * 1_000_000_000 + io.words[1] - heard_ns > HOST_SILENT_NS:
        io.wiring[HEARD_NS] = 0
        hush(st)


@njit(int64(LOOP_STATE, LOOP_IO), nogil=True, cache=True)
def serve(st: LoopState, io: LoopIo) -> int:
    """`acquire` over memory that somebody else keeps."""
    s, wiring = st.scalars, io.wiring
    while True:
        take_mail(st, io)
        if drive(st, io):
            return OUTPUT_GONE
        notify(st, io)
        if wiring[STOP]:
            return STOPPED
        if wiring[CARRIED] == NONE_CARRIED:
            ready = wait_for_edge(st, io)
            if ready == -1:
                silence(st)
                drive(st, io)
                notify(st, io)
                return SILENT
            if ready == -3:
                return OUTPUT_GONE
            if ready == -2 or (ready == 1 and read_edges(st, io) == -2):
                return EDGE_GONE
            if wiring[CARRIED] == NONE_CARRIED:
                continue
        why = take_sample(st, io)
        watch_host(st, io)
        if why:
            return why
        if s[TORN] >= s[MOST_TORN]:
            s[TORN] = 0
            drive(st, io)
            notify(st, io)
            return HEADERLESS


@njit(int64(LOOP_STATE, LOOP_IO), nogil=True, cache=True)
def acquire(st: LoopState, io: LoopIo) -> int:
    """Serve edges until stopped or until something needs more than a loop; see STOPPED and the others."""
    return int(
        serve(
            LoopState(
                borrowed(st.scalars),
                borrowed(st.plans),
                borrowed(st.arms),
                borrowed(st.lines),
                borrowed(st.doses),
                borrowed(st.ceilings),
                borrowed(st.events),
                borrowed(st.records),
                borrowed(st.raw),
                borrowed(st.headers),
                borrowed(st.last),
            ),
            LoopIo(
                borrowed(io.wiring),
                borrowed(io.grid),
                borrowed(io.clock),
                borrowed(io.polls),
                borrowed(io.events),
                borrowed(io.transfers),
                borrowed(io.reply),
                borrowed(io.row),
                borrowed(io.mail),
                borrowed(io.words),
            ),
        )
    )
