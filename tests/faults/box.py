"""A box of real processes (edge, host, web) and a supervisor that starts each anew at once.

Hears the bus as a display does. Times are of this machine's monotonic clock; what was measured is read from
beats, from the recordings and from `case.sqlite`.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hostd.repair import repair_all
from hostd.segments import opened, segment_paths
from hw.recording import RecordingReader
from tests.support import strict_bdf
from tests.support.ports import free_block
from tests.support.session import DEADLINE_S, ROOT, Ear, until

NAMES = ("edge", "host", "web")
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""A shell that sets it would have each start compile three hundred modules, as no installed box does."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the processes of a box live in: words before each one's command line, more environment, and where
    edge and host meet instead of a socket in the box's folder."""

    before: Mapping[str, Sequence[str]] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    link: str = ""


NOTHING = Around()


class Box:
    """A running box in `folder`. `seed` is the simulated patient's; `web` False starts no web display."""

    def __init__(self, folder: Path, seed: int, web: bool = False, around: Around = NOTHING) -> None:
        self.data = folder / "data"
        self.port = free_block(5)
        self.bus = f"tcp://127.0.0.1:{self.port}"
        self._around = around
        link, page = around.link or f"unix:{folder / 'edge.sock'}", f"127.0.0.1:{self.port + 4}"
        self.page = f"http://{page}/"
        self.words = {
            "edge": ["firmware", "--source", "simulated", "--seed", str(seed), "--link", link],
            "host": ["hostd", "host", "--bus", self.bus, "--data", str(self.data), "--link", link],
            "web": ["hostd", "web", "--bus", self.bus, "--http", page],
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.errors = (folder / "stderr").open("wb")
        for name in NAMES if web else NAMES[:2]:
            self.start(name)
        self.ear = Ear(self.bus, ("beat", "status", "alert"))

    def start(self, name: str) -> None:
        """Start a process, or another one in its place."""
        around = self._around
        self.processes[name] = subprocess.Popen(
            [*around.before.get(name, ()), sys.executable, "-m", *self.words[name]],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if k != NO_BYTECODE} | dict(around.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
        )

    def serving(self) -> int:
        """The process id of the host that serves; what was started is its keeper."""
        keeper = self.processes["host"].pid
        children = Path(f"/proc/{keeper}/task/{keeper}/children")
        return int(until(lambda: children.read_text().split(), "a host that serves")[0])

    def kill_serving(self) -> int:
        """SIGKILL of the host that serves: its keeper starts the next one."""
        killed_ns = time.monotonic_ns()
        os.kill(self.serving(), signal.SIGKILL)
        return killed_ns

    def kill(self, name: str) -> int:
        """SIGKILL, and the next one at once; the monotonic time of the kill."""
        process = self.processes[name]
        killed_ns = time.monotonic_ns()
        process.kill()
        process.wait()
        self.start(name)
        return killed_ns

    def stop(self, pid: int, seconds: float) -> None:
        """SIGSTOP for so long; who is killed meanwhile stays so."""
        os.kill(pid, signal.SIGSTOP)
        end_ns = time.monotonic_ns() + round(seconds * 1e9)
        until(lambda: time.monotonic_ns() >= end_ns, "time to pass")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def beating(self, what: str, wanted: Callable[[dict[str, Any]], bool] = lambda h: True) -> dict[str, Any]:
        """The next beat with samples that is `wanted`."""
        self.ear.heard.clear()
        beat = self.ear.until(
            lambda m: m.topic == "beat" and m.header["index"] > 0 and wanted(dict(m.header)), what, True
        )
        return dict(beat.header)

    def status(self, what: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next status that is `wanted`."""
        found = self.ear.until(lambda m: m.topic == "status" and wanted(dict(m.header)), what, True)
        return dict(found.header)

    def recording(self) -> Path:
        """The directory of the case that was begun last."""
        return max(path for path in self.data.iterdir() if path.is_dir())

    def web_answers(self) -> bool:
        """Whether the page is served."""
        with contextlib.suppress(OSError), urllib.request.urlopen(self.page, timeout=1.0) as page:
            return bool(page.status == 200)
        return False

    def end(self) -> None:
        """SIGTERM to all, the host first, as systemd stops them."""
        for name in ("host", "web", "edge"):
            process = self.processes.get(name)
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(DEADLINE_S)
        self.ear.close()
        self.errors.close()

    def destroy(self) -> None:
        """Leave no process behind."""
        for process in self.processes.values():
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


@contextlib.contextmanager
def box(seed: int, web: bool = False, around: Around = NOTHING) -> Iterator[Box]:
    """A box whose first samples have come; nothing of it is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="evokd-faults-"))
    one = Box(folder, seed, web, around)
    try:
        one.beating("the first samples")
        if web:
            until(one.web_answers, "the page")
        yield one
    finally:
        one.destroy()
        shutil.rmtree(folder, ignore_errors=True)


class Record:
    """A case as read from its files by others than the product: rises of the stimulus lines and samples."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports = repair_all(folder)
        self.wrong = [r.line for r in self.reports if r.fault or r.mismatched]
        for path in segment_paths(folder):
            try:
                strict_bdf.check(path)
            except AssertionError as error:
                self.wrong.append(f"{path.name} does not open: {error}")
        with opened(segment_paths(folder)) as (first, *further):
            self.blocks = list(RecordingReader(first, further=further).blocks(1 << 15))
        self.first, self.end = self.blocks[0].first_index, self.blocks[-1].end_index
        self.samples = sum(len(b.counts) for b in self.blocks)
        self.gaps = [g for b in self.blocks for g in b.gaps if g.index >= self.first]
        if self.samples + sum(g.length for g in self.gaps) != self.end - self.first:
            self.wrong.append(f"{folder.name}: samples and named gaps do not fill the recording")
        self.rises = self._rises()

    def _rises(self) -> set[tuple[int, int]]:
        """(line, index) of every rise that is whole on file."""
        rises = set()
        for block in self.blocks:
            for line in range(4):
                bits = (block.trigger_bits >> line & 1).astype(int)
                for k in np.flatnonzero(np.diff(bits) == 1):
                    rises.add((line + 1, block.first_index + int(k) + 1))
        return rises

    def unordered(self) -> list[tuple[int, int]]:
        """Rises that no command of the case accounts for."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.folder / 'case.sqlite'}?mode=ro", uri=True)
        ) as db:
            told = {(line, seen) for line, seen in db.execute("SELECT line, seen FROM stimuli")}
        return sorted(self.rises - told)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
