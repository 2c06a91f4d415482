"""Latency: from the block with the last sample that a sweep needs to its average received.

A stand-in edge sends 8 channels at 4 kSPS in real time over the link's own unix socket to a host process
that records, averages and publishes; a subscriber notes when each average arrives. Both stamps are of this
machine's monotonic clock, so the figure contains the link, the host and the bus.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hostd.client import Subscription
from hw.board import LATENCY_OFFSET_SAMPLES, LINES_PER_CHIP
from hw.frames import pack24
from hw.link import Description
from tests.bench.stand_in_edge import Samples, StandInEdge
from tests.support.ports import free_bus

RATE_HZ, CHANNELS, BLOCK = 4000, 8, 40
PERIOD = 1486
LSB_UV = 0.022351741790771484
POST_ROWS = 321


def _blocks(seconds: float) -> Iterator[Samples]:
    """Noise with triggers on two lines."""
    noise = np.random.default_rng(1).normal(0.0, 300.0, (RATE_HZ, CHANNELS)).astype(np.int32)
    for first in range(0, round(seconds * RATE_HZ / BLOCK) * BLOCK, BLOCK):
        index = np.arange(first, first + BLOCK)
        bits = ((index % PERIOD) < 4).astype(np.uint8) | (((index + PERIOD // 2) % PERIOD) < 4) * 2
        yield first, pack24(noise[index % RATE_HZ]).tobytes(), bits.astype(np.uint8).tobytes()


def _description(channels: tuple[str, ...]) -> Description:
    n = len(channels)
    offset = LATENCY_OFFSET_SAMPLES
    return Description("simulated", RATE_HZ, channels, (LSB_UV,) * n, (0.0,) * n, offset, LINES_PER_CHIP)


def measure(seconds: float = 40.0) -> dict[str, float]:
    """p50 and p99 in milliseconds over every average but those of the first five seconds, and how many."""
    with tempfile.TemporaryDirectory() as folder:
        edge = StandInEdge(f"{folder}/edge.sock", _description, _blocks(seconds), BLOCK)
        bus = free_bus()
        edge.start()
        host = [sys.executable, "-m", "hostd", "host", "--link", f"unix:{folder}/edge.sock", "--bus", bus]
        host += ["--data", str(Path(folder) / "data"), "--seconds", str(seconds - 1.0)]
        process = subprocess.Popen(host, stderr=subprocess.DEVNULL)
        late_ms = []
        with Subscription(bus, ("average.",)) as subscription:
            while process.poll() is None:
                for message in subscription.receive(20):
                    received_ns = time.monotonic_ns()
                    needed = message.header["last_index"] + POST_ROWS - 1
                    if needed > 5 * RATE_HZ and needed // BLOCK < len(edge.sent_ns):
                        late_ms.append((received_ns - edge.sent_ns[needed // BLOCK]) / 1e6)
        process.wait()
    return {
        "p50": float(np.percentile(late_ms, 50)),
        "p99": float(np.percentile(late_ms, 99)),
        "n": float(len(late_ms)),
    }
