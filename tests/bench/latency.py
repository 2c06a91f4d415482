"""Latency: from the block with the last sample that a sweep needs to its average received.

A stand-in edge sends 8 channels at 4 kSPS in real time over the link's own unix socket to a host process
that records, averages and publishes; a subscriber notes when each average arrives. Both stamps are of this
machine's monotonic clock, so the figure contains the link, the host and the bus.
"""

import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from hostd.client import Subscription
from hw.board import LATENCY_OFFSET_SAMPLES, LINES_PER_CHIP
from hw.frames import pack24
from hw.link import (
    Block,
    Configure,
    Description,
    Hello,
    Receiver,
    Reply,
    Sender,
    Start,
    StimArm,
    StimPlan,
    StimStop,
    hello,
)
from tests.support.ports import free_bus

RATE_HZ, CHANNELS, BLOCK = 4000, 8, 40
PERIOD = 1486
LSB_UV = 0.022351741790771484
POST_ROWS = 321


class StandInEdge(threading.Thread):
    """Serves one host noise with triggers on two lines; `sent_ns[k]` is when block k was sent."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(name="stand-in-edge", daemon=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen(1)
        self._blocks = round(seconds * RATE_HZ / BLOCK)
        self.sent_ns: list[int] = []

    def run(self) -> None:
        """Handshake, then blocks in real time."""
        connection, _ = self._server.accept()
        sender, receiver = Sender(), Receiver()
        started = False
        while not started:
            for message in receiver.feed(connection.recv(65536)):
                match message:
                    case Hello():
                        connection.sendall(sender.frame(hello("edge", 1)))
                    case Configure():
                        connection.sendall(sender.frame(_description(message.channels)))
                    case Start():
                        started = True
        threading.Thread(target=self._answer, args=(connection, receiver, sender), daemon=True).start()
        rng = np.random.default_rng(1)
        noise = rng.normal(0.0, 300.0, (RATE_HZ, CHANNELS)).astype(np.int32)
        start_ns = time.monotonic_ns()
        tick = threading.Event()
        for k in range(self._blocks):
            first = k * BLOCK
            index = np.arange(first, first + BLOCK)
            bits = ((index % PERIOD) < 4).astype(np.uint8) | (((index + PERIOD // 2) % PERIOD) < 4) * 2
            samples = pack24(noise[index % RATE_HZ]).tobytes()
            due_ns = start_ns + round((first + BLOCK) * 1e9 / RATE_HZ)
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                tick.wait(left_ns / 1e9)
            frame = sender.frame(Block(first, due_ns, CHANNELS, samples, bits.astype(np.uint8).tobytes(), ()))
            self.sent_ns.append(time.monotonic_ns())
            try:
                connection.sendall(frame)
            except OSError:  # the host has had its seconds
                break
        connection.close()

    def _answer(self, connection: socket.socket, receiver: Receiver, sender: Sender) -> None:
        while True:
            try:
                data = connection.recv(65536)
            except OSError:
                return
            if not data:
                return
            for message in receiver.feed(data):
                if isinstance(message, StimArm | StimPlan | StimStop):
                    connection.sendall(sender.frame(Reply(message.command, "")))


def _description(channels: tuple[str, ...]) -> Description:
    n = len(channels)
    offset = LATENCY_OFFSET_SAMPLES
    return Description("simulated", RATE_HZ, channels, (LSB_UV,) * n, (0.0,) * n, offset, LINES_PER_CHIP)


def measure(seconds: float = 40.0) -> dict[str, float]:
    """p50 and p99 in milliseconds over every average but those of the first five seconds, and how many."""
    with tempfile.TemporaryDirectory() as folder:
        edge = StandInEdge(f"{folder}/edge.sock", seconds)
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
