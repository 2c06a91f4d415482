"""Power cuts: a clone of the recording's block device at one instant, mounted anew, its journal replayed.

The recorder writes in real time on an ext4 of its own, whose device is a file on a file system that clones
files at one instant (btrfs). What no sync had brought to the device by then is not in the clone. Needs root,
loop devices and mkfs.btrfs. A device that reorders or drops what it said was written is not modelled.
"""

import atexit
import contextlib
import fcntl
import functools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hostd.errors import EvokdError
from hostd.repair import repair_all
from hostd.segments import opened, segment_paths
from hw.recording import RecordingReader
from tests.faults.measured import Measured
from tests.recording.child import FIRST, counts
from tests.recording.kills import ROOT
from tests.support import strict_bdf

FICLONE = 0x40049409  # linux/fs.h
CHANNELS, RATE_HZ = 8, 4000.0


def missing() -> str:
    """Why power cannot be cut here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [tool for tool in ("mkfs.btrfs", "mkfs.ext4", "mount") if shutil.which(tool) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    try:
        pool()
    except subprocess.CalledProcessError as error:
        return f"no loop devices: {(error.stderr or b'').decode(errors='replace').strip()[:100]}"
    return ""


def _do(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


@functools.cache
def pool() -> Path:
    """A mounted file system that clones files; made once, gone with this process."""
    folder = Path(tempfile.mkdtemp(prefix="evokd-power-"))
    image, mounted = folder / "pool.img", folder / "pool"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(512 << 20)
    _do("mkfs.btrfs", "-q", image)
    _do("mount", "-o", "loop", image, mounted)

    def gone() -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            _do("umount", mounted)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(gone)
    return mounted


@contextlib.contextmanager
def _mounted(image: Path) -> Iterator[Path]:
    where = image.with_suffix(".mnt")
    where.mkdir(exist_ok=True)
    _do("mount", "-o", "loop", image, where)
    try:
        yield where
    finally:
        _do("umount", where)


def inject(seed: int) -> Measured:
    """One cut after a second to four of recording; what was handed over by then and is lost."""
    if why := missing():
        raise OSError(f"power cuts are not tried: {why}")
    chance, measured = random.Random(seed), Measured(1)
    disk, clone = pool() / f"{seed}.img", pool() / f"{seed}-clone.img"
    with disk.open("wb") as file:
        file.truncate(48 << 20)
    _do("mkfs.ext4", "-q", disk)
    try:
        with _mounted(disk) as where:
            handed_over = _record_and_cut(where, disk, clone, chance.uniform(1.0, 4.0))
        with _mounted(clone) as where:
            _judge(where / "case", handed_over, measured)
    finally:
        disk.unlink()
        clone.unlink(missing_ok=True)
    return measured


def _record_and_cut(where: Path, disk: Path, clone: Path, seconds: float) -> int:
    """Record for so long, clone the device, and only then kill; how many samples had been handed over."""
    folder = where / "case"
    folder.mkdir()
    _do("sync", "-f", where)
    words = [str(folder), str(CHANNELS), str(RATE_HZ), "1", "1.5"]
    program = [sys.executable, "-m", "tests.recording.child", *words]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        end_ns = time.monotonic_ns() + round(seconds * 1e9)
        while time.monotonic_ns() < end_ns:
            line = child.stdout.readline()
        with disk.open("rb") as source, clone.open("wb") as target:
            fcntl.ioctl(target, FICLONE, source.fileno())
        child.kill()
        child.stdout.read()
    return int(line)


def _judge(folder: Path, handed_over: int, measured: Measured) -> None:
    end = FIRST
    try:
        if not (folder / "raw.bdf").exists():
            raise EvokdError("raw.bdf is not there")
        reports = repair_all(folder)
        if not reports[0].records:  # cut before the first sync
            measured.lost_s = (handed_over - FIRST) / RATE_HZ
            return
        for path in segment_paths(folder):
            strict_bdf.check(path)
        with opened(segment_paths(folder)) as (first, *further):
            for block in RecordingReader(first, further=further).blocks(1 << 15):
                true = counts(block.first_index, len(block.counts), CHANNELS)
                if block.gaps or not np.array_equal(true, block.counts):
                    measured.uncounted += len(block.counts)
                    measured.wrong.append(f"samples at {block.first_index} are not what was recorded")
                end = block.end_index
    except (EvokdError, AssertionError, ValueError) as error:
        measured.unopened += 1
        measured.wrong.append(f"after the cut: {error}")
    measured.samples += end - FIRST
    measured.lost_s = max(0.0, (handed_over - end) / RATE_HZ)
