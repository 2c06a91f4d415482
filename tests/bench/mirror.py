"""How soon the displays of a box that is gone are at its mirror, and what a mirror adds to a message's way.

Real processes in real time: a box (edge, host), its mirror, two displays that know the box alone; edge and
host are killed at once, as by a power cut. From the kill until both displays have joined at the mirror, until
a display that comes only then knows the case, and until all is heard from the box again after its next start.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hostd.client import Joined, Subscription, request, snapshot
from hostd.route import Route
from hostd.web.feed import Feed
from hostd.wire import Message
from tests.faults.box import Box, box
from tests.faults.measured import percentile
from tests.support.ports import free_bus
from tests.support.session import ROOT, until

BOXES, DISPLAYS = 5, 2
DELAY_S = 10.0


@dataclass(slots=True)
class _Display:
    """A display as the web gateway has it: a feed, and what it has heard."""

    route: Route
    stop: threading.Event = field(default_factory=threading.Event)
    moved: list[tuple[str, float]] = field(default_factory=list)

    def heard(self, batch: list[Message]) -> None:
        """The first message at another place than before: there it has joined."""
        if not self.moved or self.moved[-1][0] != self.route.bus:
            self.moved.append((self.route.bus, time.monotonic()))

    def at(self, bus: str, since_s: float) -> float | None:
        """When it had joined at `bus`."""
        where, at_s = self.moved[-1] if self.moved else ("", 0.0)
        return at_s if where == bus and at_s >= since_s else None


def measure() -> dict[str, float]:
    """Seconds: `away` and `late` (worst and p50 of `n`), `back`; `delay_p99` in ms; `wrong` takings over."""
    away: list[float] = []
    late: list[float] = []
    back: list[float] = []
    delays: list[float] = []
    for seed in range(BOXES):
        with box(seed) as one, _mirror(one) as bus, _displays(one) as displays:
            until(lambda: all(d.at(one.bus, 0.0) and d.route.mirrors == [bus] for d in displays), "displays")
            if not seed:
                delays = _delays(one.bus, bus)
            boot = str(one.beating("a beat")["boot"])
            told = {m.topic for m in snapshot(one.bus)}
            _gone(one)
            killed_s = time.monotonic()
            until(partial(_all, displays, bus, killed_s), "the displays at the mirror")
            away += [at_s - killed_s for d in displays if (at_s := d.at(bus, killed_s)) is not None]
            came_s = time.monotonic()
            with Joined(bus) as newcomer:
                known = {m.topic for m in newcomer.receive(1000)}
            if told <= known:
                late.append(time.monotonic() - came_s)
            for name in ("edge", "host"):
                one.start(name)
            one.beating("the next start", lambda h, boot=boot: h["boot"] != boot)  # type: ignore[misc]
            again_s = time.monotonic()
            until(partial(_all, displays, one.bus, killed_s), "the displays at home")
            back += [
                max(0.0, at_s - again_s) for d in displays if (at_s := d.at(one.bus, killed_s)) is not None
            ]
    return {
        "n": float(len(away)),
        "p50": percentile(away, 0.5),
        "worst": max(away),
        "late": max(late, default=float("inf")),
        "back": max(back),
        "delay_p50": percentile(delays, 0.5),
        "delay_p99": percentile(delays, 0.99),
        "wrong": float(BOXES - len(late)),
    }


def _all(displays: list[_Display], bus: str, since_s: float) -> bool:
    """Whether every display has joined at `bus`."""
    return all(display.at(bus, since_s) for display in displays)


def _gone(one: Box) -> None:
    """Edge and host and its keeper, at once."""
    serving = one.serving()
    for name in ("edge", "host"):
        one.processes[name].kill()
    with contextlib.suppress(ProcessLookupError):  # its keeper's death ends it too
        os.kill(serving, signal.SIGKILL)
    for name in ("edge", "host"):
        one.processes[name].wait()


@contextlib.contextmanager
def _mirror(one: Box) -> Iterator[str]:
    bus, folder = free_bus(), Path(tempfile.mkdtemp(prefix="evokd-mirror-"))
    words = ["hostd", "host", "--mirror", one.bus, "--bus", bus, "--data", str(folder)]
    process = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stderr=one.errors)
    try:
        until(lambda: _answers(bus), "the mirror")
        yield bus
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _answers(bus: str) -> bool:
    with contextlib.suppress(Exception):
        return request(bus, "hello", {}, 500)["ok"] is True and len(snapshot(bus)) > 3
    return False


@contextlib.contextmanager
def _displays(one: Box) -> Iterator[list[_Display]]:
    displays = [_Display(Route([one.bus])) for _ in range(DISPLAYS)]
    threads = [threading.Thread(target=Feed(d.route, d.heard, d.stop).run, daemon=True) for d in displays]
    for thread in threads:
        thread.start()
    try:
        yield displays
    finally:
        for display in displays:
            display.stop.set()
        for thread in threads:
            thread.join()


def _delays(bus: str, mirror: str) -> list[float]:
    """Milliseconds by which a message comes later by the mirror than from the box, on one clock."""
    came: dict[tuple[str, int], float] = {}
    delays: list[float] = []
    with Subscription(bus) as here, Subscription(mirror) as there:
        here.connected(3000), there.connected(3000)
        end_s = time.monotonic() + DELAY_S
        while time.monotonic() < end_s:
            for own, subscription in ((True, here), (False, there)):
                for message in subscription.receive(0 if own else 1):
                    key, now_s = (message.topic, int(message.header["seq"])), time.monotonic()
                    if own:
                        came[key] = now_s
                    elif key in came:
                        delays.append(1e3 * (now_s - came[key]))
    return delays
