"""The edge: the simulated box through the true loop, what the loop itself costs, and the link."""

import threading
import time

import numpy as np

from firmware.acquisition import Acquisition
from firmware.ports import Edge
from firmware.session import block_message
from firmware.simulated import SimulatedSource
from hostd import casefile
from hostd.blocks import Reassembler
from hostd.daemon import configure_message
from hw.frames import encode_frame
from hw.link import Block, Receiver, Sender
from hw.samples import SampleBlock

FRAMES = 40_000


class _Scripted:
    """Edges at once, the same frame again and again."""

    exhausted = False

    def __init__(self, n: int) -> None:
        self._left, self._seq = n, 0
        self._frame = encode_frame([1000 * k for k in range(8)])

    def wait(self, timeout_s: float) -> Edge | None:
        if self._seq == self._left:
            self.exhausted = True
            return None
        self._seq += 1
        return Edge(self._seq - 1, self._seq * 250_000)

    def write(self, bits: int) -> None:
        """Outputs go nowhere."""

    def read_frame(self) -> bytes:
        return self._frame


def measure() -> dict[str, float]:
    """Simulated box and link as multiples of real time (8 channels, 4 kSPS); loop cost in us per frame."""
    source = SimulatedSource(None, FRAMES / 4000, 1)
    source.configure(configure_message(casefile.procedure("median_ssep")))
    blocks: list[SampleBlock] = []
    simulated_s = _seconds(lambda: source.run(_keep(blocks), threading.Event()))
    ports = _Scripted(FRAMES)
    loop = Acquisition(ports.read_frame, ports, ports, 4000.0, 4, 8)
    loop_s = _seconds(lambda: loop.run(lambda item: None, threading.Event()))
    link_s = min(_seconds(lambda: _through_link(blocks)) for _ in range(3))
    return {
        "simulated": FRAMES / 4000 / simulated_s,
        "loop_us": 1e6 * loop_s / FRAMES,
        "link": FRAMES / 4000 / link_s,
    }


def _keep(blocks: list[SampleBlock]):
    return lambda item: blocks.append(item) if isinstance(item, SampleBlock) else None


def _through_link(blocks: list[SampleBlock]) -> int:
    sender, receiver, reassembler = Sender(), Receiver(), Reassembler()
    total = 0
    for block in blocks:
        for message in receiver.feed(sender.frame(block_message(block))):
            if isinstance(message, Block) and (back := reassembler.take(message)) is not None:
                total += int(np.sum(back.trigger_bits))
    return total


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
