"""The link between a real edge and a real host over packets that are lost, doubled, late, bent, out of order.

Edge and host keep their TCP; the edge lives in a network namespace of its own, and between its TUN device and
ours a relay hands on each packet, or does not. Needs root, iproute2 and /dev/net/tun; else it is skipped.
"""

import contextlib
import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from hostd.client import request
from tests.faults.box import Around, Box, box
from tests.faults.measured import Measured, SkippedError
from tests.faults.processes import RATE_HZ, TESTS, judge, so_far
from tests.support.ports import free_block

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
OURS, ITS = "10.213.77.1", "10.213.77.2"
"""Of a block that nobody is given on the internet."""
LARGEST = 1 << 16
BEHIND_S = 0.02
LONGEST_S = 4.5
"""Longer than the host waits for an edge elsewhere that says nothing; what TCP then waits is held as well."""
STOPS_S = 0.2
ON_THE_WAY_S = 0.15
"""Samples' way to a beat, a step of the edge on a busy machine."""


@dataclass(slots=True)
class Trouble:
    """What happens to each packet: shares of them, how late they all are, and whether none passes."""

    lose: float = 0.0
    double: float = 0.0
    reorder: float = 0.0
    flip: float = 0.0
    late_s: float = 0.0
    none: bool = False


class Tunnel:
    """Two TUN devices and the relay between them; `trouble` may be changed at any time."""

    def __init__(self, seed: int) -> None:
        """Raises SkippedError where there can be none."""
        if not (shutil.which("ip") and os.access("/dev/net/tun", os.W_OK) and os.geteuid() == 0):
            raise SkippedError("packets need root, iproute2 and /dev/net/tun")
        self.trouble = Trouble()
        self.harmed = 0
        self._chance = random.Random(seed)
        self._space = f"evokd-faults-{os.getpid()}"
        self._fds: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._relay, name="relay", daemon=True)
        try:
            self._make()
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            raise SkippedError(f"packets need a network namespace and TUN devices: {error}") from None
        self._thread.start()
        self.port = free_block(1)
        before = {"edge": ("ip", "netns", "exec", self._space)}
        self.around = Around(before, link=f"tcp:{ITS}:{self.port}")

    def _make(self) -> None:
        _ip("netns", "add", self._space)
        names = [f"evf{os.getpid() % 10**7}{side}" for side in "hg"]
        self._fds = [_tun(name) for name in names]
        _ip("addr", "add", OURS, "peer", ITS, "dev", names[0])
        _ip("link", "set", names[0], "up")
        _ip("link", "set", names[1], "netns", self._space)
        for words in (
            ("addr", "add", ITS, "peer", OURS, "dev", names[1]),
            ("link", "set", names[1], "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", self._space, *words)

    def _relay(self) -> None:
        """Hand on, in the order of when each packet is due."""
        order, waiting = itertools.count(), list[tuple[float, int, int, bytes]]()
        while not self._stop.is_set():
            now_s = time.monotonic()
            until_s = max(0.0, min(0.05, waiting[0][0] - now_s)) if waiting else 0.05
            for fd in select.select(self._fds, [], [], until_s)[0]:
                to = self._fds[1 - self._fds.index(fd)]
                for late_s, packet in self._troubled(os.read(fd, LARGEST)):
                    heapq.heappush(waiting, (time.monotonic() + late_s, next(order), to, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, to, packet = heapq.heappop(waiting)
                with contextlib.suppress(OSError):  # a device that takes nothing loses, as a cable does
                    os.write(to, packet)

    def _troubled(self, packet: bytes) -> list[tuple[float, bytes]]:
        become = harmed(packet, self.trouble, self._chance)
        self.harmed += become != [(0.0, packet)]
        return become

    def close(self) -> None:
        """Nothing of it is left."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for fd in self._fds:
            os.close(fd)
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self._space)


def harmed(packet: bytes, trouble: Trouble, chance: random.Random) -> list[tuple[float, bytes]]:
    """What becomes of one packet: how late and in which form it arrives, and how often."""
    lost, twice, behind, bent = (
        chance.random() < share for share in (trouble.lose, trouble.double, trouble.reorder, trouble.flip)
    )
    if lost or trouble.none:
        return []
    if bent:
        changed = bytearray(packet)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        packet = bytes(changed)
    return [(trouble.late_s + BEHIND_S * behind, packet)] * (2 if twice else 1)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


def _tun(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


@contextlib.contextmanager
def _tunnel(seed: int) -> Iterator[Tunnel]:
    tunnel = Tunnel(seed)
    try:
        yield tunnel
    finally:
        tunnel.close()


def _shares(name: str, chance: random.Random) -> Trouble:
    share = chance.choice((0.02, 0.1, 0.3))
    if name == "late":
        return Trouble(late_s=share)
    if name == "none":
        return Trouble(none=True)
    return Trouble(**{name: share})


def troubled(name: str, seed: int, n: int = 5) -> Measured:
    """`n` times packets are harmed for a while, and then no more: TCP repeats, the edge's ring holds, and the
    host has every sample once in the end. A line whose host's word is late does not pulse."""
    chance, measured = random.Random(seed), Measured()
    with _tunnel(seed) as tunnel, box(seed % 1000, around=tunnel.around) as one:
        for _ in range(n):
            for test in TESTS:
                request(one.bus, "test.start", {"test": test})
            before = one.beating("a beat")
            for_s = chance.uniform(0.4, LONGEST_S if name == "none" else 2.0)
            _harm(tunnel, _shares(name, chance), for_s, one, before, measured)
            measured.injected += 1
        lost = one.status("a status", lambda h: True)["lost_samples"]
        measured.lost_s = lost / RATE_HZ
        if not tunnel.harmed:
            measured.wrong.append("no packet was harmed")
        one.end()
        judge(one, measured)
    return measured


def _harm(tunnel: Tunnel, trouble: Trouble, for_s: float, one: Box, before: dict, measured: Measured) -> None:
    """For so long, and then until the host has all that was converted meanwhile."""
    began_ns = time.monotonic_ns()
    tunnel.trouble = trouble
    threading.Event().wait(for_s)
    tunnel.trouble = Trouble()
    at, end = (
        before["index"] + round((ns - before["t_ns"]) * RATE_HZ / 1e9)
        for ns in (began_ns, time.monotonic_ns())
    )
    one.beating("what the edge had held", lambda h: h["index"] > end)
    if trouble.none:
        last = max((seen for _, seen in so_far(one).rises if at < seen < end), default=at)
        if (last - at) / RATE_HZ > STOPS_S + ON_THE_WAY_S:
            measured.uncommanded += 1
            measured.wrong.append(f"a pulse {(last - at) / RATE_HZ:.2f} s after the host's last word")
