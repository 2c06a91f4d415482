"""Raw samples of the last minutes, for readers who average anew: an ear on the raw endpoint, a bounded store.

The box makes raw messages only while somebody listens, so what is before the ear's first sample is not here.
Where blocks do not follow one another somebody lost samples: who averages them sees it by their indices.
"""

import threading
from collections import deque
from typing import Any

import numpy as np

from hostd.client import Subscription
from hostd.errors import BusError
from hostd.keys import Secret
from hostd.wire import Message
from hw.samples import Gap, SampleBlock

RECEIVE_MS = 200


class Ring:
    """Blocks of one daemon start, `most_bytes` at most. Filled by one thread, read by any."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._blocks: deque[SampleBlock] = deque()
        self._bytes = 0
        self.boot = ""
        self.lsb_uv: tuple[float, ...] = ()
        self.offset_uv: tuple[float, ...] = ()
        self.latency_offset_samples = 0.0

    def add(self, message: Message) -> None:
        """Take one `raw` message; what is malformed, or older than the newest sample, is dropped."""
        header = message.header
        try:
            block = _block(message)
            lsb_uv, offset_uv = _floats(header["lsb_uv"]), _floats(header["offset_uv"])
            boot, latency = str(header["boot"]), float(header.get("latency_offset_samples", 0.0))
        except (KeyError, TypeError, ValueError):
            return
        if not len(lsb_uv) == len(offset_uv) == block.counts.shape[1]:
            return
        with self._lock:
            if boot != self.boot or (lsb_uv, offset_uv) != (self.lsb_uv, self.offset_uv):
                self._blocks.clear()
                self._bytes = 0
                self.boot, self.lsb_uv, self.offset_uv = boot, lsb_uv, offset_uv
                self.latency_offset_samples = latency
            if self._blocks and block.first_index < self._blocks[-1].end_index:
                return
            self._blocks.append(block)
            self._bytes += block.counts.nbytes
            while self._bytes > self._most and len(self._blocks) > 1:
                self._bytes -= self._blocks.popleft().counts.nbytes

    def since(self, index: int) -> list[SampleBlock]:
        """The blocks that end after sample `index`, in order."""
        with self._lock:
            return [block for block in self._blocks if block.end_index > index]

    @property
    def span(self) -> tuple[int, int]:
        """The first sample that is here, and the one after the last; equal when there are none."""
        with self._lock:
            return (self._blocks[0].first_index, self._blocks[-1].end_index) if self._blocks else (0, 0)


class RawEar:
    """Listens to the raw endpoint with one key, in a thread of its own, until `stop`."""

    def __init__(self, bus: str, key: Secret | None, ring: Ring, stop: threading.Event) -> None:
        self._bus, self._key, self._ring, self._stop = bus, key, ring, stop
        self.key = key
        self._thread = threading.Thread(target=self._run, name="raw", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def join(self) -> None:
        """Wait for its end, after `stop`."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            with Subscription(self._bus, ("raw",), raw=True, key=self._key) as subscription:
                while not self._stop.is_set():
                    for message in subscription.receive(RECEIVE_MS):
                        self._ring.add(message)
        except BusError:
            return


def _block(message: Message) -> SampleBlock:
    counts, bits = message.array("counts"), message.array("trigger_bits")
    first, gaps = message.header["first_index"], message.header["gaps"]
    if (
        counts.dtype != np.int32
        or counts.ndim != 2
        or bits.dtype != np.uint8
        or bits.shape != counts.shape[:1]
    ):
        raise ValueError("no block of samples")
    if type(first) is not int or first < 0 or not len(counts):
        raise ValueError("no place in the case")
    return SampleBlock(first, counts, bits, 0, tuple(Gap(int(at), int(n), "link") for at, n in gaps))


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
