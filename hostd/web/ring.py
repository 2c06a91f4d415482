"""Raw samples of the last minutes, for readers who average anew: an ear on the raw endpoint, a bounded store.

The box makes raw messages only while somebody listens, so what is before the ear's first sample is not here.
Where blocks do not follow one another somebody lost samples: who averages them sees it by their indices.
"""

import threading
from collections import deque

from hostd.client import Subscription
from hostd.errors import BusError
from hostd.keys import Secret
from hostd.raw_blocks import raw_block
from hostd.route import Route
from hostd.wire import Message
from hw.samples import SampleBlock

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
        try:
            raw = raw_block(message)
        except ValueError:
            return
        block, scale = raw.block, (raw.lsb_uv, raw.offset_uv)
        with self._lock:
            if raw.boot != self.boot or scale != (self.lsb_uv, self.offset_uv):
                self._blocks.clear()
                self._bytes = 0
                self.boot, (self.lsb_uv, self.offset_uv) = raw.boot, scale
                self.latency_offset_samples = raw.latency_offset_samples
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

    def __init__(self, route: Route, key: Secret | None, ring: Ring, stop: threading.Event) -> None:
        self._route, self._key, self._ring, self._stop = route, key, ring, stop
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
            while not self._stop.is_set():
                bus = self._route.bus
                with Subscription(bus, ("raw",), raw=True, key=self._key) as subscription:
                    while not self._stop.is_set() and self._route.bus == bus:
                        for message in subscription.receive(RECEIVE_MS):
                            self._ring.add(message)
        except BusError:
            return
