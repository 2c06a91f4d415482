"""A hundred subscribers, ten of them asleep: what that costs the ninety others.

Two buses take turns at every message: both have ninety subscribers that listen, one has ten more that
subscribed to everything, were stopped, and whose queues are full. Latency is from handing a message over to
received, by this machine's monotonic clock. A message that does not come, comes twice or out of order counts
as lost.
"""

import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostd.bus import Bus
from hostd.endpoints import parse_bus
from hostd.outgoing import Outgoing
from tests.bench.subscriber_client import LAST
from tests.support.ports import free_bus

AWAKE, ASLEEP, PROCESSES = 90, 10, 3
EVERY_S, TURNS, TURN = 0.02, 20, 12
"""Seconds between messages to the one bus and to the other; turns, each of so many messages to each bus."""
AVERAGE, BIG = np.zeros((320, 4), np.float32), np.zeros((320, 80), np.float32)
FILLING = 400


class _Served:
    """A bus with its serving thread."""

    def __init__(self) -> None:
        self.address = free_bus()
        self.bus = Bus(parse_bus(self.address), "b007", "case", lambda index: (0, 0))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            self.bus.serve(20, lambda body, answer, peer: None)
        self.bus.close()

    def listening(self, n: int) -> bool:
        """Whether `n` subscribers have said what they want to hear."""
        return all(self.bus._door.readers(name) == n for name in ("events", "traces"))

    def say(self, k: int) -> None:
        """An average and what was measured of it, stamped."""
        now_ns = time.monotonic_ns()
        fields = {"sent_ns": now_ns, "k": k}
        self.bus.post(
            Outgoing("average.a", k, {"mean_uv": AVERAGE} | fields), Outgoing("measure.a", k, fields)
        )

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@contextlib.contextmanager
def _clients(folder: Path, buses: list[str]) -> Iterator[list[tuple["subprocess.Popen[bytes]", Path]]]:
    """Processes with AWAKE subscribers of each bus."""
    started = []
    for k in range(PROCESSES):
        out = folder / f"{k}.npy"
        command = [sys.executable, "-m", "tests.bench.subscriber_client", str(AWAKE // PROCESSES), str(out)]
        started.append((subprocess.Popen([*command, *buses]), out))
    try:
        yield started
    finally:
        for process, _ in started:
            if process.poll() is None:
                process.terminate()
            process.wait()


def _wait(buses: list[_Served], n: list[int]) -> None:
    end, tick = time.monotonic() + 60.0, threading.Event()
    while not all(bus.listening(k) for bus, k in zip(buses, n, strict=True)):
        if time.monotonic() > end:
            raise TimeoutError(f"not {n} subscribers: {[bus.bus.clients for bus in buses]}")
        tick.wait(0.05)


def measure() -> dict[str, float]:
    """`ratio`: of p99 with and without sleepers, the median of the turns; `p99` ms with; `lost` messages."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        buses = [_Served(), _Served()]
        for bus in buses:
            stack.callback(bus.close)
        awake = stack.enter_context(_clients(folder, [bus.address for bus in buses]))
        _wait(buses, [AWAKE, AWAKE])
        command = [sys.executable, "-m", "tests.bench.subscriber_client", str(ASLEEP), "asleep"]
        sleeping = subprocess.Popen([*command, buses[1].address])
        stack.callback(sleeping.wait)
        stack.callback(sleeping.kill)
        _wait(buses, [AWAKE, AWAKE + ASLEEP])
        sleeping.send_signal(signal.SIGSTOP)
        _fill(buses[1])
        _talk(buses)
        for process, _ in awake:
            process.wait(60)
        rows = np.concatenate([np.load(out) for _, out in awake])
    return _judged(rows)


def _fill(bus: _Served) -> None:
    """Fill the queues of those that are asleep with what only they have subscribed to."""
    tick = threading.Event()
    for k in range(FILLING):
        bus.bus.post(Outgoing("spectrum", k, {"power": BIG}))
        tick.wait(0.002)


def _talk(buses: list[_Served]) -> None:
    tick, k = threading.Event(), 0
    for k in range(TURNS * TURN):
        for bus in buses if k % 2 else buses[::-1]:
            bus.say(k)
            tick.wait(EVERY_S)
    for bus in buses:
        bus.say(LAST)


def _judged(rows: NDArray[np.int64]) -> dict[str, float]:
    """Of rows (bus, socket, k, latency ns), one for each message received; the last are not counted."""
    rows = rows[rows[:, 2] != LAST]
    wanted, lost = np.arange(TURNS * TURN), 0
    p99 = np.zeros((2, TURNS))
    for bus in (0, 1):
        own = rows[rows[:, 0] == bus]
        for socket in range(2 * AWAKE):
            heard = own[own[:, 1] == socket, 2]
            if not np.array_equal(heard, wanted):
                lost += max(1, len(wanted) - len(np.unique(heard)))
        for turn in range(TURNS):
            p99[bus, turn] = np.percentile(own[own[:, 2] // TURN == turn, 3], 99) / 1e6
    return {
        "ratio": float(np.median(p99[1] / p99[0])),
        "p99": float(np.median(p99[1])),
        "lost": float(lost),
        "n": float(len(rows)),
    }


if __name__ == "__main__":
    print(measure())
