"""A recorder to be killed: `python -m tests.recording.child DIR CHANNELS RATE_HZ SPEED SEGMENT_S [SECONDS]`.

Appends blocks of 10 ms whose counts tell their sample and channel, SPEED times as fast as time (0: as fast as
it goes), and says after each block up to which sample it has handed over.
"""

import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hostd.recorder import Recorder
from hw.samples import SampleBlock

FIRST = 1000


def counts(first: int, n_samples: int, channels: int) -> NDArray[np.int32]:
    """What the child records from sample `first` on, (time, channel)."""
    index = np.arange(first, first + n_samples)[:, None]
    return ((index * 7919 + np.arange(channels) * 104_729) % (1 << 23)).astype(np.int32)


def recorder(folder: Path, channels: int, rate_hz: float, segment_s: float, **more: Any) -> Recorder:
    """The child's recorder."""
    names = [f"C{k}" for k in range(channels)]
    head = (rate_hz, [0.1] * channels, [0.0] * channels, "gain 24", folder.name, datetime.now(UTC))
    return Recorder(folder / "raw.bdf", names, *head, segment_s=segment_s, **more)


def main() -> None:
    """Record until killed, or for SECONDS of samples."""
    folder, channels, rate_hz = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    speed, segment_s = float(sys.argv[4]), float(sys.argv[5])
    seconds = float(sys.argv[6]) if len(sys.argv) > 6 else 1e9
    size, at = round(rate_hz / 100), FIRST
    with recorder(folder, channels, rate_hz, segment_s) as recording:
        began_ns, pace = time.monotonic_ns(), threading.Event()
        while at < FIRST + seconds * rate_hz:
            recording.append(SampleBlock(at, counts(at, size, channels), np.zeros(size, np.uint8)))
            at += size
            os.write(1, b"%d\n" % at)
            if speed:
                late_s = (at - FIRST) / rate_hz / speed - (time.monotonic_ns() - began_ns) / 1e9
                pace.wait(max(0.0, late_s))


if __name__ == "__main__":
    main()
