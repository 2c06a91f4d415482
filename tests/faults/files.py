"""Files harmed at rest: bits flipped, pages overwritten, ends cut off, as bad cards and hands do.

A recording is made once by the product's recorder, of counts that name their place; each fault harms a copy,
has it repaired and reads it: a sample is the one that was recorded, or its record is told as not what was
written, or it is behind the end.
"""

import functools
import random
import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np

from hostd.audit_check import check
from hostd.errors import EvokdError
from hostd.repair import RepairReport, repair_all
from hostd.segments import opened, segment_paths
from hostd.store import Store
from hw.recording import RecordingReader
from hw.samples import SampleBlock
from tests.faults.measured import Measured
from tests.recording.child import FIRST, counts, recorder

CHANNELS, RATE_HZ, BLOCKS = 4, 1000.0, 60
HEADER_BYTES = 256 * (CHANNELS + 3)


@functools.cache
def recording(closed: bool) -> Path:
    """The files of 6 s of samples, closed or as a killed host leaves them; made once."""
    folder = Path(tempfile.mkdtemp(prefix="evokd-faults-")) / "20260101-000000-00000000"
    folder.mkdir()
    one = recorder(folder, CHANNELS, RATE_HZ, 2.0)
    for k in range(BLOCKS):
        rows = counts(FIRST + k * 100, 100, CHANNELS)
        one.append(SampleBlock(FIRST + k * 100, rows, np.zeros(100, np.uint8)))
    if closed:
        one.close()
    else:
        one._file.abandon()
    return folder


@functools.cache
def database() -> Path:
    """The folder of a case whose database holds a thousand rows of the audit."""
    folder = Path(tempfile.mkdtemp(prefix="evokd-faults-")) / "20260101-000000-00000001"
    folder.mkdir()
    store = Store(folder / "case.sqlite")
    for k in range(1000):
        store.audit("Ann", "mark", {"text": f"note {k}"}, k)
    store.close()
    return folder


def harm(path: Path, chance: random.Random, first: int = 0) -> str:
    """Flip bits, blank or overwrite a part behind `first`, or cut the end off; what was done."""
    data = bytearray(path.read_bytes())
    kind = chance.choice(("flip", "zeros", "noise", "cut"))
    at = chance.randrange(first, len(data))
    n = min(chance.choice((1, 512, 4096)), len(data) - at)
    if kind == "flip":
        for _ in range(chance.choice((1, 3, 20))):
            data[chance.randrange(first, len(data))] ^= 1 << chance.randrange(8)
    elif kind == "zeros":
        data[at : at + n] = bytes(n)
    elif kind == "noise":
        data[at : at + n] = chance.randbytes(n)
    else:
        del data[at:]
    path.write_bytes(data)
    return f"{kind} in {path.name} from {at}"


def recording_harmed(seed: int) -> Measured:
    """Records of samples harmed on disk."""
    chance, measured = random.Random(seed), Measured(1)
    with tempfile.TemporaryDirectory(prefix="evokd-faults-") as name:
        folder = Path(name) / "case"
        shutil.copytree(recording(chance.random() < 0.5), folder)
        path = chance.choice(segment_paths(folder))
        did = harm(path, chance, HEADER_BYTES)
        try:
            reports = repair_all(folder)
            _read(folder, reports, measured)
        except EvokdError as error:
            measured.unopened += 1
            measured.wrong.append(f"{did}: {error}")
        measured.wrong = [f"{did}: {text}" for text in measured.wrong]
    return measured


def _read(folder: Path, reports: tuple[RepairReport, ...], measured: Measured) -> None:
    suspect: set[int] = set()
    with opened(segment_paths(folder)) as (first, *further):
        blocks = list(RecordingReader(first, further=further).blocks(100))
    at = FIRST
    bounds = {}
    for report in reports:
        bounds[report.path] = at
        suspect |= {at + n * 100 + k for n in report.mismatched for k in range(100)}
        at += 2000
    wrong = 0
    for block in blocks:
        true = counts(block.first_index, len(block.counts), CHANNELS)
        rows = np.flatnonzero((true != block.counts).any(axis=1) | (block.trigger_bits != 0))
        wrong += sum(block.first_index + int(r) not in suspect for r in rows)
        measured.samples += len(block.counts)
    if wrong:
        measured.uncounted += wrong
        measured.wrong.append(f"{wrong} samples are not what was recorded, and nothing says so")
    measured.lost_s = (BLOCKS * 100 - measured.samples) / RATE_HZ


def database_harmed(seed: int) -> Measured:
    """Pages of `case.sqlite` harmed: the check of the audit says so, or finds all rows whole."""
    chance, measured = random.Random(seed), Measured(1)
    with tempfile.TemporaryDirectory(prefix="evokd-faults-") as name:
        folder = Path(name) / database().name
        shutil.copytree(database(), folder)
        did = harm(folder / "case.sqlite", chance)
        try:
            report = check(folder)
            if not report.why and not _same(folder):
                measured.wrong.append(f"{did}: rows are not what was written, and the check says nothing")
        except EvokdError:
            pass
    return measured


def _same(folder: Path) -> bool:
    """Whether the rows of the audit are those that were written."""
    question = "SELECT actor, action, detail, sample FROM audit ORDER BY rowid"
    rows = []
    for one in (folder, database()):
        with sqlite3.connect(f"file:{one / 'case.sqlite'}?mode=ro", uri=True) as db:
            rows.append(db.execute(question).fetchall())
    return rows[0] == rows[1]
