"""How fast and how evenly a folder's disk takes what must be on it: small blocks, each with fdatasync.

Measures in a file of its own that is gone afterwards. Judges nothing.
"""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 65_536
N_BLOCKS = 64
LONGEST_S = 5.0
PREFIX = ".evokd-doctor-"


@dataclass(frozen=True, slots=True)
class Writing:
    """`n_blocks` written one by one, each safely on disk before the next."""

    n_blocks: int
    bytes_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float


def measure_writing(folder: Path) -> Writing:
    """Write and sync up to 4 MiB in `folder`, for no longer than 5 s and one block. Raises OSError."""
    fd, name = tempfile.mkstemp(prefix=PREFIX, dir=folder)
    try:
        block = os.urandom(BLOCK_BYTES)  # nothing for a compressing file system to save on
        took_ns: list[int] = []
        written = 0
        while len(took_ns) < N_BLOCKS and sum(took_ns) < LONGEST_S * 1e9:
            began_ns = time.monotonic_ns()
            written += os.write(fd, block)
            os.fdatasync(fd)
            took_ns.append(time.monotonic_ns() - began_ns)
    finally:
        os.close(fd)
        Path(name).unlink()
    return writing_of(took_ns, written)


def writing_of(took_ns: list[int], written_bytes: int) -> Writing:
    """The figures of a run: time of each block and bytes in all. Raises ValueError when there is none."""
    if not took_ns:
        raise ValueError("no block was written")
    ordered = sorted(took_ns)
    n = len(ordered)
    speed = written_bytes / (sum(ordered) / 1e9)
    p99 = ordered[min(n - 1, n * 99 // 100)]
    return Writing(n, speed, ordered[(n - 1) // 2] / 1e6, p99 / 1e6, ordered[-1] / 1e6)
