"""Steps of the wall clock by an hour under a box of real processes, which libfaketime shows it.

Nobody else sees them: this machine's clock is left alone. The monotonic clock goes on as it is, as a kernel's
does when its time is set.
"""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults.box import Around, Box, box
from tests.faults.measured import Measured, SkippedError
from tests.faults.processes import ON_RECORD_S, RATE_HZ, judge
from tests.support.session import ROOT

LIBRARIES = Path("/usr/lib")
HOUR_S = 3600
MOVES_NS = 5_000_000
"""Of a sample's time of day, which is anchored once a case."""
WITNESS = "import sys, time\nfor _ in sys.stdin: print(time.time(), flush=True)"


class Clock:
    """The wall clock of a box, as its processes and a witness see it."""

    def __init__(self, folder: Path) -> None:
        """Raises SkippedError where the library is not there."""
        found = sorted(LIBRARIES.glob("*/faketime/libfaketime.so.1"))
        if not found:
            raise SkippedError("a clock that can be set needs libfaketime (apt-get install libfaketime)")
        self._file, self._off_s = folder / "time", 0
        self._write()
        shown = {"FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_CACHE_DURATION": "1"}
        left_alone = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
        self.around = Around(environ={"LD_PRELOAD": str(found[0])} | shown | left_alone)
        self._witness = subprocess.Popen(
            [sys.executable, "-c", WITNESS],
            cwd=ROOT,
            env=os.environ | self.around.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _write(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._off_s:+d}\n")
        new.replace(self._file)

    def _now_s(self) -> float:
        to, back = self._witness.stdin, self._witness.stdout
        assert to is not None and back is not None
        to.write(b"?\n")
        to.flush()
        return float(back.readline())

    def step(self, by_s: int, one: Box) -> None:
        """Set it, and wait until those who run have seen that; the library looks once a second."""
        before_s = self._now_s()
        self._off_s += by_s
        self._write()
        while abs(self._now_s() - before_s - by_s) > HOUR_S / 2:
            one.beating("a beat")
        seen = one.beating("a beat")
        one.beating("a second more", lambda h: h["index"] > seen["index"] + RATE_HZ)

    def close(self) -> None:
        self._witness.kill()
        self._witness.communicate()


@contextlib.contextmanager
def _clock() -> Iterator[Clock]:
    folder = Path(tempfile.mkdtemp(prefix="evokd-faults-"))
    try:
        clock = Clock(folder)
        try:
            yield clock
        finally:
            clock.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stepped(seed: int, n: int = 4) -> Measured:
    """`n` steps by an hour, forward or back; after every second one the host dies, and the next one must
    find its case by what nobody sets."""
    chance, measured = random.Random(seed), Measured()
    with _clock() as clock, box(seed % 1000, around=clock.around) as one:
        begun = one.beating("a beat")
        at_least = begun["index"] + round(ON_RECORD_S * RATE_HZ)
        before = one.beating("a case that is on record", lambda h: h["index"] > at_least)
        status = one.status("a status", lambda h: True)
        for k in range(n):
            clock.step(chance.choice((-1, 1)) * HOUR_S, one)
            measured.injected += 1
            if k % 2:
                one.kill_serving()
                one.beating("the next host", lambda h, boot=before["boot"]: h["boot"] != boot)
            after = one.beating("a beat")
            _unmoved(before, after, k % 2 == 0, measured)
            before = after
        lost = one.status("a status", lambda h: True)["lost_samples"] - status["lost_samples"]
        measured.lost_s = lost / RATE_HZ
        one.end()
        judge(one, measured)
    return measured


def _unmoved(before: dict, after: dict, lived: bool, measured: Measured) -> None:
    """The case goes on, and a sample has the time of day that it had."""
    if before["case"] != after["case"] or (lived and before["boot"] != after["boot"]):
        measured.wrong.append(f"case {before['case']} was left for {after['case']}")
    moved_ns = (after["utc_ns"] - after["t_ns"]) - (before["utc_ns"] - before["t_ns"])
    if abs(moved_ns) > MOVES_NS:
        measured.wrong.append(f"the case's time of day moved by {moved_ns / 1e9:.3f} s")
