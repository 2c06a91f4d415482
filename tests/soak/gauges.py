"""What is read of a soak every few minutes: memory, handles, threads, queues, files, time, an answer."""

import ctypes
import gc
import os
import sys
import threading
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from hostd.store import Store, read_rows
from tests.soak.apart import EdgeApart
from tests.soak.box import Box

PEAK = "N20"
POLL_S, MOST_POLLS = 0.02, 1500


_COUNTS = ("arena", "ordblks", "smblks", "hblks", "hblkhd")
_COUNTS += ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in _COUNTS)


def heap_kb() -> float:
    """What the C heap has given away, numpy's arrays and long bytes among it; 0 where glibc is too old."""
    try:
        told = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return 0.0
    told.restype = _Mallinfo2
    info = told()
    return float(info.uordblks + info.hblkhd) / 1024.0


def rss_kb(process: int | str = "self") -> float:
    """Resident memory of a process, this one as a rule."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024.0


def _database_kb(path: Path) -> float:
    """What the database holds; its file grows only when its log is taken in."""
    ((pages,),), ((size,),) = read_rows(path, "PRAGMA page_count"), read_rows(path, "PRAGMA page_size")
    return float(pages * size) / 1024.0


@dataclass(frozen=True, slots=True)
class Row:
    """One reading. `blocks` are Python's own small objects; `time_off_us` the worst error of
    the host's sample time since the last reading; `latency_ms` the mean of the modelled answer since then;
    `edge_rss_kb` of an edge in a process of its own."""

    hours: float
    rss_kb: float
    heap_kb: float
    blocks: float
    handles: float
    threads: float
    waiting: float
    database_kb: float
    raw_kb: float
    latency_ms: float
    time_off_us: float
    pulses: float
    lost: float
    edge_rss_kb: float = 0.0

    @classmethod
    def names(cls) -> list[str]:
        """Of the columns."""
        return [field.name for field in fields(cls)]


class Gauges:
    """Reads a box; `watch` after every block, `read` now and then."""

    def __init__(self, box: Box, topic: str) -> None:
        self._box, self._topic = box, topic
        self._latencies: list[float] = []
        self._last_seq = 0
        self._off_us = 0.0
        self.raw_removed_kb = 0.0
        self._readings = 0

    def watch(self) -> None:
        """What only shows from block to block."""
        box = self._box
        message = box.latest.get(self._topic)
        if message is not None and message.header["seq"] != self._last_seq:
            self._last_seq = message.header["seq"]
            for peak in message.header["peaks"]:
                if peak["name"] == PEAK and peak["latency_ms"] is not None:
                    self._latencies.append(peak["latency_ms"])
        index = box.taken - 1
        delay_ns = box.timebase.delay_samples * 1e9 / box.rate_hz
        true_ns = int(box.edge.edges_ns(np.array([index]))[0])
        off_us = (box.timebase.at(index)[0] + delay_ns - true_ns) / 1e3
        self._off_us = max(self._off_us, abs(off_us))

    def _written(self, database: Path, store: Store) -> None:
        """Wait until what is queued is in the database: rows on their way are no growth."""
        self._readings += 1
        store.setting("soak", self._readings)
        waiting = threading.Event()
        query = "SELECT value FROM settings WHERE key = 'soak'"
        for _ in range(MOST_POLLS):
            if read_rows(database, query) == [(str(self._readings),)]:
                return
            waiting.wait(POLL_S)
        raise TimeoutError(f"{database} has written nothing for {MOST_POLLS * POLL_S:g} s")

    def _copied(self) -> None:
        """Wait until a checkpoint that is being brought to the disk is there: its file is open meanwhile."""
        kept, waiting = self._box.processing._memory._kept, threading.Event()
        while kept is not None and kept._copying.is_set():
            waiting.wait(POLL_S)

    def read(self) -> Row:
        """A reading; garbage that only waits for its collector is collected first."""
        box = self._box
        path = box.folder.path
        store = box.folder._store
        if path is not None and store is not None:
            self._written(path / "case.sqlite", store)
        self._copied()
        gc.collect()
        files = [] if path is None else list(path.iterdir())
        size = {f.name: f.stat().st_size / 1024.0 for f in files}
        latency = float(np.mean(self._latencies)) if self._latencies else float("nan")
        row = Row(
            hours=box.taken / box.rate_hz / 3600.0,
            rss_kb=rss_kb(),
            heap_kb=heap_kb(),
            blocks=float(sys.getallocatedblocks()),
            handles=float(sum(1 for _ in Path("/proc/self/fd").iterdir())),
            threads=float(threading.active_count()),
            waiting=float(box._items.qsize() + box.bus._posted.qsize()),
            database_kb=0.0 if path is None else _database_kb(path / "case.sqlite"),
            raw_kb=sum(kb for name, kb in size.items() if name.startswith("raw")) + self.raw_removed_kb,
            latency_ms=latency,
            time_off_us=self._off_us,
            pulses=float(box.pulses),
            lost=float(box.lost + box.unproven + box.holes + (0 if store is None else store._lost_rows)),
            edge_rss_kb=rss_kb(box.edge.pid) if isinstance(box.edge, EdgeApart) else 0.0,
        )
        self._latencies, self._off_us = [], 0.0
        return row
