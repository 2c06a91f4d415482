"""Memory pressure on a box of real processes: a memory cgroup of its own, and the kernel's own OOM killer.

The cgroup lies within this process's, v1 or v2, so that nobody else is ever chosen. Edge, host and who takes
the memory stand to each other as by the OOM scores of their units, all raised so that the edge's is 0: to go
below takes more than root may have. Needs root and a memory controller; else the faults are skipped.
"""

import contextlib
import os
import random
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hostd.appliance.units import Box as Installed
from hostd.appliance.units import unit
from tests.faults.box import Around, Box, box
from tests.faults.measured import Measured, SkippedError
from tests.faults.processes import judge, killed
from tests.support.session import ROOT, until

ROOM_BYTES = 400 << 20
"""What the box may still take when the pressure begins."""
ORDINARY = 900
"""Of a process that says nothing of its score, on the same scale."""
CHEAP = 260
"""Of a keeper whose host is to be ended, then who takes the memory, and the keeper last of all: by their
sizes and scores in that room each is ahead of the next by some 40 MB."""
CHEAPEST = 700
"""Of a keeper that comes before who takes the memory, should the kernel end a second one after the host."""
TAKES = "import time\nheld = []\nwhile True: held.append(bytearray(b'.' * (4 << 20))); time.sleep(0.02)"
"""Who was ended must have time to be noticed before the next one is."""
SCORED = 'echo $1 > /proc/self/oom_score_adj && echo $$ > "$2/cgroup.procs" || exit; shift 2; exec "$@"'


class Group:
    """A memory cgroup, empty at first."""

    def __init__(self) -> None:
        """Raises SkippedError where there can be none."""
        above = _ours()
        self.path = above / f"evokd-faults-{os.getpid()}"
        try:
            self.path.mkdir()
        except OSError as error:
            raise SkippedError(f"memory pressure needs a memory cgroup: {error.strerror}") from None
        self._v2 = (self.path / "memory.max").exists()
        if not self._v2 and not (self.path / "memory.limit_in_bytes").exists():
            self.close()
            raise SkippedError("memory pressure needs a memory cgroup: its controller is not enabled here")

    def words(self, score: int) -> tuple[str, ...]:
        """Before a command line: in this group, with this OOM score."""
        return "sh", "-c", SCORED, "sh", str(score), str(self.path)

    def limit(self) -> None:
        """From now on there is as much as is in use, and some room."""
        used = int((self.path / ("memory.current" if self._v2 else "memory.usage_in_bytes")).read_text())
        ceiling = self.path / ("memory.max" if self._v2 else "memory.limit_in_bytes")
        ceiling.write_text(str(used + ROOM_BYTES))

    def relax(self) -> None:
        """Without a limit again."""
        ceiling = self.path / ("memory.max" if self._v2 else "memory.limit_in_bytes")
        ceiling.write_text("max" if self._v2 else "-1")

    @property
    def chosen(self) -> int:
        """How many processes of the group the kernel has killed for want of memory."""
        text = (self.path / ("memory.events" if self._v2 else "memory.oom_control")).read_text()
        (n,) = re.findall(r"^oom_kill (\d+)$", text, re.MULTILINE)
        return int(n)

    def close(self) -> None:
        """Nothing is left of it."""
        until(self._gone, "an empty cgroup")

    def _gone(self) -> bool:
        with contextlib.suppress(OSError):
            self.path.rmdir()
        return not self.path.exists()


def _ours() -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory" + path)
    return Path("/sys/fs/cgroup" + path)


def score(name: str) -> int:
    """The OOM score of an installed box's unit, the edge's taken for 0."""
    box = Installed(sys.executable, "simulated")
    its, edges = (_scored(unit(one, box)) for one in (name, "edge"))
    return its - edges


def _scored(text: str) -> int:
    (told,) = re.findall(r"^OOMScoreAdjust=(-?\d+)$", text, re.MULTILINE)
    return int(told)


@contextlib.contextmanager
def _pressed(seed: int, host: int) -> Iterator[tuple[Group, Box]]:
    group = Group()
    try:
        before = {"edge": group.words(score("edge")), "host": group.words(host)}
        with box(seed % 1000, around=Around(before)) as one:
            yield group, one
    finally:
        group.close()


@contextlib.contextmanager
def _taker(group: Group, its_score: int) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody who takes all there is."""
    group.limit()
    taker = subprocess.Popen([*group.words(its_score), sys.executable, "-c", TAKES], cwd=ROOT)
    try:
        yield taker
    finally:
        taker.kill()
        taker.wait()
        group.relax()


def memory_taken(seed: int, n: int = 3) -> Measured:
    """Another process takes all memory: the kernel ends that one, by the scores of the box's units, and the
    case does not notice."""
    measured = Measured()
    with _pressed(seed, score("host")) as (group, one):
        before = one.status("a status", lambda h: True)
        for _ in range(n):
            chosen = group.chosen
            with _taker(group, ORDINARY) as taker:
                until(lambda: taker.poll() is not None, "the kernel's choice")
            measured.injected += 1
            after = one.status("a status", lambda h: True)
            if (before["boot"], before["case"]) != (after["boot"], after["case"]):
                measured.wrong.append("another process took the memory, and the host was ended for it")
            if group.chosen == chosen:
                measured.wrong.append("the kernel ended nobody")
        measured.lost_s = (after["lost_samples"] - before["lost_samples"]) / after["rate_hz"]
        one.end()
        judge(one, measured)
    return measured


def out_of_memory(seed: int, n: int = 2) -> Measured:
    """The kernel ends the host that serves: its keeper, which is dearer to it than who took the memory, lives
    and starts the next one."""
    return _out_of_memory(seed, n, CHEAP, with_keeper=False)


def all_out_of_memory(seed: int, n: int = 2) -> Measured:
    """The keeper too is cheaper than who takes the memory. What a host had is not free at once, and the
    kernel may end its keeper milliseconds later (Linux 6.18, once in two times): then its unit starts both.
    It never ends the keeper alone."""
    return _out_of_memory(seed, n, CHEAPEST, with_keeper=True)


def _out_of_memory(seed: int, n: int, host: int, with_keeper: bool) -> Measured:
    chance, measured = random.Random(seed), Measured()
    with _pressed(seed, host) as (group, one):
        for _ in range(n):
            killed(one, lambda: _ended(group, one, measured, with_keeper), chance, measured)
            measured.injected += 1
        one.end()
        judge(one, measured)
    return measured


def _ended(group: Group, one: Box, measured: Measured, with_keeper: bool) -> int:
    """Have the host ended by the kernel, and its keeper only where it may be; when that was."""
    chosen = group.chosen
    serving = os.pidfd_open(one.serving())
    try:
        with _taker(group, score("edge")):
            select.select([serving], [], [], 30.0)
            ended_ns = time.monotonic_ns()
    finally:
        os.close(serving)
    if group.chosen == chosen:
        measured.wrong.append("the kernel ended nobody")
    both = with_keeper and group.chosen - chosen > 1
    for name, who in (("edge", "edge"), ("host", "keeper")):
        if one.processes[name].poll() is not None:
            if name == "edge" or not both:
                measured.wrong.append(f"the kernel ended the {who} beside or before the host")
            one.start(name)
    return ended_ns
