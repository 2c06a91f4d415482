"""How late this machine wakes a thread: a timer every millisecond, the time from its expiry to our next line.

Measured in Python, whose own tens of microseconds are in every figure: good to find a machine that cannot,
not to prove one that can; the bench measures the compiled loop on real edges. Neither acquires nor judges.
"""

import ctypes
import gc
import os
import select
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from firmware.wiring import Wiring

FIFO_PRIORITY = Wiring().priority
"""What the sample loop asks for unless a wiring says otherwise."""
PERIOD_NS = 1_000_000
N_WAKES = 1000
_LEAD_NS = 5_000_000
_STUCK_MS = 2000
_TFD_TIMER_ABSTIME = 1


@dataclass(frozen=True, slots=True)
class Latency:
    """Wake-up lateness over `n_wakes`; `n_missed` wakes came a whole period late or more."""

    n_wakes: int
    n_missed: int
    p50_us: float
    p99_us: float
    max_us: float


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


def measure_wakeup(realtime: bool, n_wakes: int = N_WAKES) -> Latency:
    """Wake a thread of its own `n_wakes` times, one a millisecond, as SCHED_FIFO if `realtime`.

    Raises OSError when real time is not permitted or timers are not to be had.
    """
    collecting = gc.isenabled()
    gc.disable()  # a collection is Python's tail, not the machine's
    try:
        with ThreadPoolExecutor(1) as thread:
            return latency_of(thread.submit(_late_ns, realtime, n_wakes).result())
    finally:
        if collecting:
            gc.enable()


def latency_of(late_ns: Sequence[int]) -> Latency:
    """The figures of a run, lateness in nanoseconds. Raises ValueError when there is none."""
    if not late_ns:
        raise ValueError("no wake-up was measured")
    ordered = sorted(late_ns)
    n = len(ordered)
    p50, p99 = ordered[(n - 1) // 2], ordered[min(n - 1, n * 99 // 100)]
    missed = sum(late >= PERIOD_NS for late in ordered)
    return Latency(n, missed, p50 / 1e3, p99 / 1e3, ordered[-1] / 1e3)


def _late_ns(realtime: bool, n_wakes: int) -> list[int]:
    if realtime:  # this thread's alone, and it ends with it
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
    start_ns = time.monotonic_ns() + _LEAD_NS
    fd = _timer(start_ns)
    try:
        waiting = select.poll()
        waiting.register(fd, select.POLLIN)
        late_ns: list[int] = []
        expired = 0
        while len(late_ns) < n_wakes:
            if not waiting.poll(_STUCK_MS):
                raise TimeoutError(
                    f"a timer of {PERIOD_NS / 1e6:g} ms did not expire in {_STUCK_MS / 1e3:g} s"
                )
            late_ns.append(time.monotonic_ns() - (start_ns + expired * PERIOD_NS))
            expired += int.from_bytes(os.read(fd, 8), sys.byteorder)
        return late_ns
    finally:
        os.close(fd)


def _timer(start_ns: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    spec = _Itimerspec(_Timespec(0, PERIOD_NS), _Timespec(*divmod(start_ns, 10**9)))
    if libc.timerfd_settime(fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None):
        code = ctypes.get_errno()
        os.close(fd)
        raise OSError(code, "timerfd_settime")
    return fd
