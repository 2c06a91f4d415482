"""Replay speed: recordings through `evokd replay`'s code on one core, as multiples of real time."""

import io
import math
import os
import re
import tempfile
import time
from pathlib import Path

from firmware.simulated import SimulatedSource
from hostd import casefile
from hostd.case import Case
from hostd.case_folder import CaseFolder
from hostd.daemon import configure_message
from hostd.replay import Replay, write_lines
from tests.support.lockstep import simulate

SECONDS, MINUTE_S, JUDGED_S = 180.0, 60.0, 120.0
"""The first minute, in which plugs are being checked, and the last, in which they are judged."""
ROUNDS = 3
INDEX = re.compile(r'"index":(\d+)')
FOUR = """
name = "four SSEPs on 16 channels"
[acquisition]
rate_hz = 8000
channels = [
  "CP3", "CP4", "CPz", "Cz", "Fpz", "C5S", "EPL", "EPR",
  "T12S", "PFL", "PFR", "APBL", "C3", "C4", "Fz", "AHL",
]
[test.left_median]
modality = "median_ssep"
side = "left"
line = 1
[test.right_median]
modality = "median_ssep"
side = "right"
line = 2
[test.left_tibial]
modality = "tibial_ssep"
side = "left"
line = 3
[test.right_tibial]
modality = "tibial_ssep"
side = "right"
line = 4
"""


def measure() -> dict[str, float]:
    """Multiples of real time, medians over some rounds, messages as JSON lines included: the default case
    ("median"), and four SSEP tests on 16 channels at 8 kSPS ("four"), each in its first minute and
    ("… judged") once its plugs are judged."""
    found = {}
    for name, case in (
        ("median", casefile.procedure("median_ssep")),
        ("four", casefile.parse(FOUR, "bench")),
    ):
        found[name], found[f"{name} judged"] = _speeds(case)
    return found


class _Stamped(io.TextIOBase):
    """Lines that are thrown away, but for when those of two moments came."""

    def __init__(self, rate_hz: float) -> None:
        self._at = {round(s * rate_hz): math.nan for s in (MINUTE_S, JUDGED_S)}

    def write(self, line: str) -> int:
        """Take a line; its sample is looked at while a moment is waited for."""
        waiting = [index for index, came_s in self._at.items() if math.isnan(came_s)]
        if waiting and (told := INDEX.search(line)) and int(told[1]) >= waiting[0]:
            self._at[waiting[0]] = time.perf_counter()
        return len(line)

    @property
    def came_s(self) -> tuple[float, ...]:
        """When each moment came."""
        return tuple(self._at.values())


def _speeds(case: Case) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        description = SimulatedSource(None, 1.0, 1).configure(configure_message(case))
        record = CaseFolder(Path(folder), "bench", case, description)
        simulate(SECONDS, case, on_block=record.append)
        record.close()
        (Path(folder) / "bench" / "case.sqlite").unlink()
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        first, last = [], []
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            with Replay(Path(folder) / "bench") as replay:
                out = _Stamped(replay.case.rate_hz)
                write_lines(replay, out)
            minute_s, judged_s = out.came_s
            first.append(minute_s - start)
            last.append(time.perf_counter() - judged_s)
        os.sched_setaffinity(0, cores)
    middle = ROUNDS // 2
    return MINUTE_S / sorted(first[1:])[middle], (SECONDS - JUDGED_S) / sorted(last[1:])[middle]
