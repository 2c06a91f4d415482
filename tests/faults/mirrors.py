"""A box that is gone, edge and host at once, as by a power cut, while a mirror and displays are there.

Real processes in real time. The displays know the box alone, and hear it as the web gateway does.
"""

import contextlib
import os
import random
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

from hostd.client import Joined, request, snapshot
from hostd.errors import EvokdError
from hostd.route import Route
from hostd.web.feed import Feed
from hostd.wire import Message
from hw.recording import RecordingReader
from tests.faults.box import Box
from tests.faults.measured import Measured
from tests.support.ports import free_bus
from tests.support.session import ROOT, until

DISPLAYS = 2
AT_MIRROR_S = 5.0
"""So soon the displays of a box that is gone are at its mirror."""


@dataclass(slots=True)
class Display:
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


def all_at(shown: list[Display], bus: str, since_s: float) -> bool:
    """Whether every display has joined at `bus`."""
    return all(display.at(bus, since_s) for display in shown)


def gone(one: Box) -> float:
    """Edge and host and its keeper, at once; when, in monotonic seconds."""
    serving, killed_s = one.serving(), time.monotonic()
    for name in ("edge", "host"):
        one.processes[name].kill()
    with contextlib.suppress(ProcessLookupError):  # its keeper's death ends it too
        os.kill(serving, signal.SIGKILL)
    for name in ("edge", "host"):
        one.processes[name].wait()
    return killed_s


@contextlib.contextmanager
def mirror(one: Box, wrong: list[str]) -> Iterator[str]:
    """A mirror of the box; afterwards, what is `wrong` with what it kept."""
    bus, folder = free_bus(), Path(tempfile.mkdtemp(prefix="evokd-mirror-"))
    words = ["hostd", "host", "--mirror", one.bus, "--bus", bus, "--data", str(folder)]
    process = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stderr=one.errors)
    try:
        until(lambda: _answers(bus), "the mirror")
        yield bus
    finally:
        process.terminate()
        process.wait()
        wrong += [] if any(map(_opens, folder.glob("*/raw.bdf"))) else ["the mirror kept nothing that opens"]
        shutil.rmtree(folder)


def _answers(bus: str) -> bool:
    with contextlib.suppress(EvokdError):
        return request(bus, "hello", {}, 500)["ok"] is True and len(snapshot(bus)) > 3
    return False


def _opens(path: Path) -> bool:
    """Whether a recording opens and has samples."""
    with path.open("rb") as file, contextlib.suppress(ValueError):
        return RecordingReader(file).n_samples > 0
    return False


@contextlib.contextmanager
def displays(one: Box, bus: str) -> Iterator[list[Display]]:
    """Displays that hear the box, and have heard of its mirror at `bus`."""
    shown = [Display(Route([one.bus])) for _ in range(DISPLAYS)]
    threads = [threading.Thread(target=Feed(d.route, d.heard, d.stop).run, daemon=True) for d in shown]
    for thread in threads:
        thread.start()
    try:
        known = lambda d: d.at(one.bus, 0.0) is not None and d.route.mirrors == [bus]  # noqa: E731
        until(lambda: all(map(known, shown)), "the displays")
        yield shown
    finally:
        for display in shown:
            display.stop.set()
        for thread in threads:
            thread.join()


def box_gone(one: Box, chance: random.Random, measured: Measured) -> None:
    """The displays are at the mirror, which tells whoever comes what is known, and come home with the box."""
    with mirror(one, measured.wrong) as bus, displays(one, bus) as shown:
        before = one.beating("a beat")
        told = {m.topic for m in snapshot(one.bus)}
        killed_s = gone(one)
        until(partial(all_at, shown, bus, killed_s), "the displays at the mirror")
        late_s = max(at_s for d in shown if (at_s := d.at(bus, killed_s)) is not None) - killed_s
        if late_s > AT_MIRROR_S:
            measured.wrong.append(f"a display was at the mirror only after {late_s:.1f} s")
        with Joined(bus) as newcomer:
            if missing := told - {m.topic for m in newcomer.receive(1000)}:
                measured.wrong.append(f"the mirror does not know {sorted(missing)}")
        for name in ("edge", "host"):
            one.start(name)
        one.beating("the next start", lambda h: h["boot"] != before["boot"])
        until(partial(all_at, shown, one.bus, killed_s), "the displays at home")
