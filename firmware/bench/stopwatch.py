"""The compiled sample loop with a stopwatch: when each edge fell, when its row was begun, when it was there.

Made of the loop's own steps, so that what it costs is what the loop costs. Judges nothing, delivers nothing.
"""

import numpy as np
from numba import int64, njit
from numpy.typing import NDArray

from firmware.acquisition import acquisition_state
from firmware.errors import PortError
from firmware.loop.nodes import (
    CARRIED,
    CARRIED_NS,
    LOOP_IO,
    NONE_CARRIED,
    LoopIo,
    now_ns,
    read_edges,
    transfer,
    wait_for_edge,
)
from firmware.loop.runner import ChipRead, LinuxLoop
from firmware.loop.samples import arrive
from firmware.loop.state import LOOP_STATE, RECORDS_IN, RECORDS_OUT, LoopState
from hw.frames import FrameLayout

INDEX, EDGE_NS, BEGUN_NS, DONE_NS = range(4)
EDGES_GONE, TRANSFER_FAILED = -2, -4


@njit(int64(LOOP_STATE, LOOP_IO, int64[:, ::1]), nogil=True, cache=True)
def time_rows(st: LoopState, io: LoopIo, times: NDArray[np.int64]) -> int:
    """Fill `times` (n, 4): index, edge, row begun, row there; how many, or below 0 why there are no more.

    Stops early, with fewer, when no edge comes for half a second.
    """
    wiring = io.wiring
    done = 0
    while done < len(times):
        if wiring[CARRIED] == NONE_CARRIED:
            ready = wait_for_edge(st, io)
            if ready == -1:
                return done
            if ready < 0 or (ready == 1 and read_edges(st, io) == -2):
                return EDGES_GONE
            if wiring[CARRIED] == NONE_CARRIED:
                continue
        times[done, INDEX], times[done, EDGE_NS] = wiring[CARRIED], wiring[CARRIED_NS]
        wiring[CARRIED] = NONE_CARRIED
        times[done, BEGUN_NS] = now_ns(io)
        if transfer(io) > 0:
            return TRANSFER_FAILED
        times[done, DONE_NS] = now_ns(io)
        arrive(st, times[done, INDEX], times[done, EDGE_NS], io.row)
        st.scalars[RECORDS_OUT] = st.scalars[RECORDS_IN]
        done += 1
    return done


def timed_rows(
    edge_fd: int, reads: list[ChipRead], layout: FrameLayout, rate_hz: float, n: int
) -> NDArray[np.int64]:
    """Up to `n` rows of `rate_hz`, (n, 4) as `time_rows`. Raises PortError when a device is gone."""
    state = acquisition_state(rate_hz, 0, layout.row_bytes, layout.first_bits)
    loop = LinuxLoop(state, rate_hz, edge_fd, -1, reads)
    try:
        return run_timed(loop, state, n)
    finally:
        loop.close()


def run_timed(loop: LinuxLoop, state: LoopState, n: int) -> NDArray[np.int64]:
    """The rows of one run of `loop`."""
    times = np.zeros((n, 4), np.int64)
    done = int(time_rows(state, loop.io, times))
    if done == EDGES_GONE:
        raise PortError("the data-ready line is gone; check the GPIO driver and who else uses the line")
    if done == TRANSFER_FAILED:
        raise PortError("an SPI transfer failed; check the bus and its driver")
    return times[:done]
