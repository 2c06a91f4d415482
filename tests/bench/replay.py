"""Replay speed: a recording of the default case through `evokd replay`'s code, as a multiple of real time."""

import io
import tempfile
import time
from pathlib import Path

from firmware.simulated import SimulatedSource
from hostd import casefile
from hostd.case_folder import CaseFolder
from hostd.daemon import configure_message
from hostd.replay import Replay, write_lines
from tests.support.lockstep import simulate

SECONDS = 60.0
ROUNDS = 3


def measure() -> dict[str, float]:
    """Best and median multiple of real time over some rounds, messages as JSON lines included."""
    case = casefile.procedure("median_ssep")
    with tempfile.TemporaryDirectory() as folder:
        description = SimulatedSource(None, 1.0, 1).configure(configure_message(case))
        record = CaseFolder(Path(folder), "bench", case, description)
        simulate(SECONDS, case, on_block=record.append)
        record.close()
        (Path(folder) / "bench" / "case.sqlite").unlink()
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            with Replay(Path(folder) / "bench") as replay:
                write_lines(replay, io.StringIO())
            times.append(time.perf_counter() - start)
    return {"best": SECONDS / min(times), "median": SECONDS / sorted(times)[len(times) // 2]}
