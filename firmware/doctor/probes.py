"""What can only be learnt by trying: real-time rights, wake-up, writing, the kernel's clock.

Owns the measurements' records and the door to them. Each puts back what it changed; none judges.
"""

import ctypes
import os
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from firmware.doctor.wakeup import FIFO_PRIORITY, Latency, measure_wakeup
from firmware.doctor.writing import Writing, measure_writing
from firmware.realtime import MCL_CURRENT, MCL_FUTURE

_STA_UNSYNC, _STA_NANO = 0x0040, 0x2000


class _Timex(ctypes.Structure):
    """The kernel's struct timex, with room for what later kernels append (adjtimex(2))."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


@dataclass(frozen=True, slots=True)
class ClockState:
    """What the kernel thinks of its wall clock; `frequency_ppm` is the correction in force."""

    synchronised: bool
    offset_us: float
    max_error_us: float
    frequency_ppm: float


@dataclass(frozen=True, slots=True)
class Space:
    """Room on a file system."""

    free_bytes: int
    total_bytes: int


def try_realtime() -> str:
    """Empty when a thread may become SCHED_FIFO at the edge's priority, else the kernel's reason."""
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY)).result()
        except OSError as error:
            return error.strerror or str(error)
    return ""


def try_lock_memory() -> str:
    """Empty when all memory, now and to come, may be locked, else the kernel's reason. Unlocked again."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE):
        return os.strerror(ctypes.get_errno())
    libc.munlockall()
    return ""


def read_limits() -> tuple[int, int]:
    """Soft limits of real-time priority and of locked bytes; -1 is no limit."""
    return resource.getrlimit(resource.RLIMIT_RTPRIO)[0], resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]


def read_clock() -> ClockState:
    """The kernel's clock state. Raises OSError where the call is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    state = _Timex()
    if libc.adjtimex(ctypes.byref(state)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    unit_us = 1e-3 if state.status & _STA_NANO else 1.0
    return ClockState(
        synchronised=not state.status & _STA_UNSYNC,
        offset_us=state.offset * unit_us,
        max_error_us=float(state.maxerror),
        frequency_ppm=state.freq / 65536,
    )


def read_space(folder: Path) -> Space:
    """Room for this user on `folder`'s file system. Raises OSError."""
    of = os.statvfs(folder)
    return Space(of.f_bavail * of.f_frsize, of.f_blocks * of.f_frsize)


def usable_cpus() -> Sequence[int]:
    """Processors that this process may run on."""
    return sorted(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Probes:
    """The measurements, each replaceable."""

    realtime: Callable[[], str] = try_realtime
    lock_memory: Callable[[], str] = try_lock_memory
    limits: Callable[[], tuple[int, int]] = read_limits
    wakeup: Callable[[bool], Latency] = measure_wakeup
    clock: Callable[[], ClockState] = read_clock
    space: Callable[[Path], Space] = read_space
    writing: Callable[[Path], Writing] = measure_writing
    cpus: Callable[[], Sequence[int]] = usable_cpus
