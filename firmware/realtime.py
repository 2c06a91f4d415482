"""What the kernel grants a thread that must not be late: SCHED_FIFO, locked memory, a CPU of its own.

Asks for each and says what it got; nothing here is needed for correctness, so a refusal is no error.
"""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

MCL_CURRENT, MCL_FUTURE = 1, 2
ISOLATED = Path("/sys/devices/system/cpu/isolated")


@dataclass(frozen=True, slots=True)
class Granted:
    """`cpu` None: any. `refused` says why, per thing that was refused."""

    fifo: int
    locked: bool
    cpu: int | None
    refused: tuple[str, ...]

    def text(self) -> str:
        """One line for the log."""
        parts = [
            f"SCHED_FIFO {self.fifo}" if self.fifo else "no SCHED_FIFO",
            "memory locked" if self.locked else "memory not locked",
            "any CPU" if self.cpu is None else f"CPU {self.cpu}",
        ]
        return ", ".join(parts) + (f" ({'; '.join(self.refused)})" if self.refused else "")


def isolated_cpu() -> int | None:
    """The first CPU that the kernel was told to keep free, if any."""
    try:
        first = ISOLATED.read_text(encoding="ascii").strip().split(",")[0].split("-")[0]
    except OSError:
        return None
    return int(first) if first.isdecimal() else None


def claim(priority: int, cpu: int | None) -> Granted:
    """Ask for all three for the calling thread (memory: for the process). `cpu` None: an isolated one."""
    refused = []
    fifo = priority
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        fifo = 0
        refused.append(f"SCHED_FIFO: {error.strerror}; allow rtprio {priority} in limits.conf")
    locked = ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE) == 0
    if not locked:
        refused.append(f"mlockall: {os.strerror(ctypes.get_errno())}; raise the memlock limit")
    cpu = isolated_cpu() if cpu is None else cpu
    if cpu is not None:
        try:
            os.sched_setaffinity(0, {cpu})
        except OSError as error:
            refused.append(f"CPU {cpu}: {error.strerror}; this machine has {os.cpu_count()}")
            cpu = None
    return Granted(fifo, locked, cpu, tuple(refused))
