"""A recording host killed by SIGKILL: what was handed over to it and is not on file after repair."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import edfio
import numpy as np
import pyedflib

from hostd.repair import repair_all
from hostd.segments import opened, segment_paths
from hw.recording import RecordingReader
from tests.recording.child import FIRST, counts
from tests.support import strict_bdf

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Killed:
    """One kill: samples handed over, lost of them, segments on file, whether the count was missing."""

    handed_over: int
    lost: int
    rate_hz: float
    segments: int
    unclosed: int

    @property
    def lost_s(self) -> float:
        """Seconds of samples lost."""
        return self.lost / self.rate_hz


def kill(
    folder: Path, blocks: int, channels: int, rate_hz: float, speed: float = 1.0, segment_s: float = 1.0
) -> Killed:
    """Record into `folder`, kill the host after so many blocks of 10 ms, repair, and open every segment with
    every strict reader. AssertionError when a sample on file is not the one that was recorded."""
    folder.mkdir(parents=True)
    words = [str(folder), str(channels), str(rate_hz), str(speed), str(segment_s)]
    program = [sys.executable, "-m", "tests.recording.child", *words]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(blocks):
            child.stdout.readline()
        child.kill()
        rest = child.stdout.read().split(b"\n")
    handed_over = max([FIRST + blocks * round(rate_hz / 100), *(int(line) for line in rest[:-1])])
    reports = repair_all(folder)
    assert not any(report.fault or report.mismatched for report in reports)
    assert not any(report.changed for report in repair_all(folder)), "repairing again changes nothing"
    end = FIRST
    for path in segment_paths(folder):
        records = strict_bdf.check(path)
        with pyedflib.EdfReader(str(path)) as edflib:
            assert edflib.getNSamples()[0] == records * rate_hz / 10
        assert len(edfio.read_bdf(path).signals[0].digital) == records * rate_hz / 10
    with opened(segment_paths(folder)) as (first, *further):
        for block in RecordingReader(first, further=further).blocks(1 << 15):
            assert block.first_index == end and not block.gaps, "nothing is missing within"
            np.testing.assert_array_equal(block.counts, counts(end, len(block.counts), channels))
            end = block.end_index
    unclosed = sum(report.stated_records == -1 for report in reports)
    return Killed(handed_over - FIRST, handed_over - end, rate_hz, len(reports), unclosed)
