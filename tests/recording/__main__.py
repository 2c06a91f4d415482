"""`python -m tests.recording [--kills N]`: kills, full disks and the cost of a record, as a table."""

import argparse
import errno
import os
import random
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from hostd.errors import RecordingError
from hostd.segments import opened, segment_paths
from hw.raw_bdf import RAW_NAME
from hw.recording import RecordingReader
from hw.samples import SampleBlock
from tests.recording.child import FIRST, counts, recorder
from tests.recording.kills import kill
from tests.support import strict_bdf

CHANNELS, RATE_HZ = 32, 16_000.0
BAR_S = 2.0


def killed(folder: Path, n: int) -> list[tuple[str, str, str]]:
    """`n` hosts killed at random moments of 32 channels at 16 kSPS in real time, segments of a second."""
    random_ = random.Random(7)
    told = [kill(folder / str(k), random_.randint(60, 240), CHANNELS, RATE_HZ) for k in range(n)]
    opened_too = opened_by_mne(folder)
    lost_s = sorted(one.lost_s for one in told)
    assert lost_s[-1] <= BAR_S
    return [
        (f"{n} hosts killed, samples handed over and lost: median", "", f"{lost_s[n // 2] * 1e3:.0f} ms"),
        ("the worst of them", f"<= {BAR_S:g} s", f"{lost_s[-1] * 1e3:.0f} ms"),
        (f"every segment of them opened by pyedflib, edfio, the strict rules{opened_too}", "all", "all"),
    ]


def opened_by_mne(folder: Path) -> str:
    """Have MNE read every segment in `folder`/* as well; "" without MNE."""
    try:
        import mne
    except ImportError:
        return ""
    for path in sorted(folder.glob("*/*.bdf")):
        raw = mne.io.read_raw_bdf(path, verbose="error")
        assert raw.n_times == strict_bdf.check(path) * round(RATE_HZ / 10)
    return ", MNE"


def cost(folder: Path, seconds: float = 20.0) -> list[tuple[str, str, str]]:
    """Bytes and processor time of a record."""
    folder.mkdir()
    size = round(RATE_HZ / 100)
    blocks = [counts(k * size, size, CHANNELS) for k in range(100)]
    bits = np.zeros(size, np.uint8)
    recording = recorder(folder, CHANNELS, RATE_HZ, 600.0)
    began_s, took = time.process_time(), 0.0
    for k in range(round(seconds * 100)):
        recording.append(SampleBlock(k * size, blocks[k % 100], bits))
        if k % 10 == 9:
            recording._file.flush(30.0)
    took = time.process_time() - began_s
    recording.close()
    n_records = round(seconds * 10)
    record = bytes(recording._header.record_bytes)
    began_s = time.process_time()
    for _ in range(1000):
        zlib.crc32(record)
    crc_us = (time.process_time() - began_s) * 1e3
    sidecar = sum(path.with_suffix(".crc").stat().st_size for path in segment_paths(folder))
    return [
        ("bytes of a record of 0.1 s, 32 channels at 16 kSPS", "", f"{len(record):,}"),
        ("bytes of its line in the CRC sidecar", "", f"{sidecar / n_records:.0f}"),
        (
            "processor time of a record, from blocks to the kernel, all threads",
            "",
            f"{took / n_records * 1e6:.0f} us",
        ),
        ("of it the CRC", "", f"{crc_us:.0f} us"),
    ]


def full(folder: Path, seconds: float) -> tuple[str, str, str]:
    """A disk that takes nothing for so many seconds of samples, then works again."""
    folder.mkdir()
    refusing = False
    real = os.pwrite

    def pwrite(fd: int, content: bytes, at: int) -> int:
        if refusing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, content, at)

    os.pwrite = pwrite
    size, at, faults = round(RATE_HZ / 100), FIRST, 0
    live = lambda: round((at - FIRST) / RATE_HZ * 1e9)  # noqa: E731
    recording = recorder(folder, CHANNELS, RATE_HZ, 600.0, now_ns=live)
    try:
        for phase_s, refusing in ((1.0, False), (seconds, True), (1.0, False)):
            recording._file.flush(0.0 if refusing else 30.0)
            end = at + phase_s * RATE_HZ
            while at < end:
                try:
                    recording.append(SampleBlock(at, counts(at, size, CHANNELS), np.zeros(size, np.uint8)))
                except RecordingError:
                    faults += 1
                at += size
        recording.close()
    finally:
        os.pwrite = real
    with opened(segment_paths(folder)) as (first, *further):
        blocks = list(RecordingReader(first, further=further).blocks(1 << 15))
    for block in blocks:
        np.testing.assert_array_equal(block.counts, counts(block.first_index, len(block.counts), CHANNELS))
    gaps = [gap for block in blocks for gap in block.gaps]
    named = sum(gap.length for gap in gaps)
    assert named == recording.lost_samples and {gap.reason for gap in gaps} <= {"file"}
    assert blocks[-1].end_index == at and (folder / RAW_NAME).exists()
    lost = (
        f"{named / RATE_HZ:.2f} s lost, {len(gaps)} gaps, {len(segment_paths(folder))} files, told {faults}x"
    )
    return (f"disk full for {seconds:g} s", "gap named, recording goes on", lost)


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="python -m tests.recording", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    asked = parser.parse_args()
    table = Table("what", "bar", "measured")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = cost(folder / "cost") + killed(folder / "killed", asked.kills)
        rows += [full(folder / f"full-{s:g}", s) for s in (5.0, 12.0, 30.0)]
    for row in rows:
        table.add_row(*row)
    Console(file=sys.stdout, width=150).print(table)


if __name__ == "__main__":
    main()
