"""Subscribers of one process, at their leanest: when each message came, for `tests.bench.subscribers`.

Usage: subscriber_client.py N OUT.npy BUS [BUS ...]: N subscribers of averages and measurements at each bus,
until each has heard the last; `asleep` for OUT: of everything, read by nobody.
"""

import sys
import threading
import time
from pathlib import Path

import numpy as np
import zmq

from hostd import wire
from hostd.endpoints import parse_bus

LAST = 1 << 40


def main() -> None:
    """Listen, then write rows (bus, socket, k, latency in ns) in the order received."""
    n, out, buses = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    asleep = out == "asleep"
    poller, who = zmq.Poller(), {}
    for at, bus in enumerate(buses):
        ends = parse_bus(bus)
        for k in range(n):
            for end, address in enumerate((ends.events, ends.traces)):
                socket = zmq.Context.instance().socket(zmq.SUB)
                socket.linger, socket.rcvhwm = 0, 1 if asleep else 100_000
                for topic in ("",) if asleep else ("average.", "measure."):
                    socket.subscribe(topic)
                socket.connect(address)
                who[socket] = at, 2 * k + end
                poller.register(socket, zmq.POLLIN)
    if asleep:
        threading.Event().wait()
    own = 0 if asleep else int(Path(out).stem) * 2 * n
    rows: list[tuple[int, int, int, int]] = []
    left = len(who)
    while left:
        for socket, _ in poller.poll():
            frames = socket.recv_multipart()
            now_ns = time.monotonic_ns()
            header = wire.decode(frames).header
            at, k = who[socket]
            rows.append((at, own + k, header["k"], now_ns - header["sent_ns"]))
            left -= header["k"] == LAST
    np.save(out, np.array(rows, np.int64))


if __name__ == "__main__":
    main()
