"""The least of a driver, for programs on the rig: bring a chip up, know a sample by the ramp it is of."""

import itertools
import os
import time

from firmware.rig.options import LOCKSTEP_AHEAD_NS

RATE_CODE = 0x96  # 250 SPS
ON_KERNEL = os.environ.get("EVOKD_RIG_NODES") == "kernel"
"""The nodes are a real kernel's (tests.guest): it stamps edges by its own clock and keeps real time."""
AHEAD_NS = 0 if ON_KERNEL else LOCKSTEP_AHEAD_NS
"""What stamps of edges are ahead of the clock."""
JITTER_NS = 1_000_000 if ON_KERNEL else 0
"""How far the time between edges may be off."""
RAMP_V, START_V, LSB_V = 100e-6, -4.0, 4.5 / (1 << 23)


def bring_up(spi):
    """Reset, internal reference, gain 1, SRB1 closed; stopped, in SDATAC."""
    spi.mode = 1
    spi.max_speed_hz = 4_000_000
    time.sleep(0.15)
    for command in (
        [0x06],
        [0x11],
        [0x43, 0, 0xE0],
        [0x41, 0, RATE_CODE],
        [0x45, 7, *[0] * 8],
        [0x55, 0, 0x20],
    ):
        spi.xfer2(command)
        time.sleep(0.001)
    time.sleep(0.16)
    for command in ([0x08], [0x0A]):  # the model takes a started reference over at its first conversion
        spi.xfer2(command)


def sample_of(frame):
    """Which conversion the frame is of, by its first channel; None for no frame."""
    if frame[0] & 0xF0 != 0xC0:
        return None
    counts = int.from_bytes(bytes(frame[3:6]), "big", signed=True)
    return round((counts * LSB_V - START_V) / RAMP_V)


class Ready:
    """Waits for data-ready by its level, as a program without edges does."""

    def __init__(self, offset=17):
        import gpiod

        self._request = gpiod.request_lines("/dev/gpiochip0", config={offset: None})
        self._offset, self._high = offset, gpiod.line.Value.ACTIVE

    def wait(self):
        """Until it is low."""
        while self._request.get_value(self._offset) == self._high:
            pass


def off_period_ns(stamps, period_ns=4_000_000):
    """By how much the times between neighbours are off at most, beyond JITTER_NS."""
    off = max(abs(b - a - period_ns) for a, b in itertools.pairwise(stamps))
    return max(off - JITTER_NS, 0)


def steps(samples):
    """The differences between neighbours."""
    return sorted({b - a for a, b in itertools.pairwise(samples)})
