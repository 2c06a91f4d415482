"""Replay speed: recordings through `evokd replay`'s code on one core, as multiples of real time."""

import io
import os
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

SECONDS = 60.0
ROUNDS = 3
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
    ("median"), and four SSEP tests on 16 channels at 8 kSPS ("four")."""
    return {
        "median": _speed(casefile.procedure("median_ssep")),
        "four": _speed(casefile.parse(FOUR, "bench")),
    }


def _speed(case: Case) -> float:
    with tempfile.TemporaryDirectory() as folder:
        description = SimulatedSource(None, 1.0, 1).configure(configure_message(case))
        record = CaseFolder(Path(folder), "bench", case, description)
        simulate(SECONDS, case, on_block=record.append)
        record.close()
        (Path(folder) / "bench" / "case.sqlite").unlink()
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        times = []
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            with Replay(Path(folder) / "bench") as replay:
                write_lines(replay, io.StringIO())
            times.append(time.perf_counter() - start)
        os.sched_setaffinity(0, cores)
    return SECONDS / sorted(times[1:])[ROUNDS // 2]
