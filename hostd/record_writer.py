"""The writer of the raw recording: threads that alone touch the disk, behind a bounded queue of records.

Owns the queue, the sync each second, the retries while the disk refuses, and the word on how the disk does.
Refuses to make anybody wait: who hands over asks `ready` and goes on; only `close` waits, and not for ever.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hostd.errors import RecordingError
from hostd.record_file import NoFile, RecordFile

BACKLOG_BYTES = 16 << 20
"""What may wait for the disk: 10 s of 32 channels at 16 kSPS, 8 minutes of 8 channels at 1 kSPS."""
SLOW_S = 1.0
RETRY_S = 0.1
CLOSE_S = 5.0

State = Literal["off", "ok", "slow", "failing"]


@dataclass(frozen=True, slots=True)
class Storage:
    """How the recording's disk does. `slow`: a record or a sync has waited for more than 1 s. `failing`: the
    disk refuses, or so much waits that samples are lost. `waiting_s` is the age of the oldest record not yet
    written, or of a sync under way that is older, `why` the disk's own words while it refuses."""

    state: State = "off"
    waiting_s: float = 0.0
    lost_samples: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Step:
    """Something to do on disk; done again when the disk refused it."""

    do: Callable[[], None]
    n_bytes: int
    since_ns: int


class RecordWriter:
    """A new recording whose first file is `path` and begins with `header`; None: it goes on behind files that
    are whole, of `finished_bytes`, and the first record is begun by `begin`. Raises RecordingError when that
    cannot be created. Any thread may call its methods; they return at once, but for `flush`, `sync`, `close`
    and a `ready` that is told to wait. A thread beside the writer syncs every `sync_interval_s`: a sync that
    takes its time keeps no record from the kernel, where a killed host does not lose it."""

    def __init__(
        self,
        path: Path,
        header: bytes | None,
        sync_interval_s: float = 1.0,
        backlog_bytes: int = BACKLOG_BYTES,
        now_ns: Callable[[], int] = time.monotonic_ns,
        finished_bytes: int = 0,
    ) -> None:
        self._file: RecordFile | NoFile = NoFile(path) if header is None else RecordFile(path, header)
        self._finished_bytes = finished_bytes
        self.bytes_written = finished_bytes + self._file.end
        """Bytes of headers and whole records on file, in all segments."""
        self._interval_s = sync_interval_s
        self._backlog_bytes = backlog_bytes
        self._now_ns = now_ns
        self._changed = threading.Condition()
        self._steps: deque[_Step] = deque()
        self._waiting_bytes = 0
        self._syncing_ns: int | None = None
        self._failing: dict[str, str] = {}
        self._fault: RecordingError | None = None
        self._ending: Literal["", "close", "abandon"] = ""
        self._released = False
        self._use = threading.Lock()
        """Held while the file is synced or changed for another, which must not happen at once."""
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._write_loop, name="evokd-writer", daemon=True),
            threading.Thread(target=self._sync_loop, name="evokd-sync", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def storage(self) -> Storage:
        """How the disk does now; of samples lost, who was refused by `ready` knows."""
        with self._changed:
            since = [step.since_ns for step in self._steps][:1]
            since += [] if self._syncing_ns is None else [self._syncing_ns]
            waiting_s = (self._now_ns() - min(since)) / 1e9 if since else 0.0
            state: State = "slow" if waiting_s > SLOW_S else "ok"
            why = next(iter(self._failing.values()), "")
            return Storage("failing" if why else state, waiting_s, 0, why)

    def ready(self, within_s: float = 0.0) -> bool:
        """Whether another record can be taken `within_s` from now; when not, it is lost to the file."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._waiting_bytes < self._backlog_bytes, max(0.0, within_s)
            )

    def append(self, record: bytes) -> None:
        """Take one record."""
        self._put(lambda: self._file.append(record), len(record))

    def patch(self, offset: int, field: bytes) -> None:
        """Take a change of the current file's header."""
        self._put(lambda: self._file.patch(offset, field), len(field))

    def begin(self, path: Path, header: bytes) -> None:
        """Finish the current file and go on in a new one."""
        self._put(lambda: self._next(path, header), len(header))

    def take_fault(self) -> RecordingError | None:
        """The fault not yet handed out; the same trouble is not handed out again until it has ended once."""
        with self._changed:
            fault, self._fault = self._fault, None
        return fault

    def flush(self, within_s: float) -> bool:
        """Wait until everything taken is written (not: synced), `within_s` at most; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._steps, within_s)

    def sync(self) -> None:
        """Bring what is written to the disk now."""
        with self._use:
            with self._changed:
                self._syncing_ns = self._now_ns()
            self._try("sync", self._file.sync)
            with self._changed:
                self._syncing_ns = None

    def close(self) -> None:
        """Write what waits, state the record count, sync, release. What the disk refuses now is lost and
        becomes the kept fault, and so does a disk that hangs for longer than `CLOSE_S`."""
        self._end("close")
        self._threads[0].join(CLOSE_S)
        if self._threads[0].is_alive():
            self._keep("close", f"the disk has not answered for {CLOSE_S:g} s")

    def abandon(self) -> None:
        """Write what was taken, then release file and lock as a process that is killed leaves them."""
        self._end("abandon")
        self._threads[0].join()

    def _put(self, do: Callable[[], None], n_bytes: int) -> None:
        with self._changed:
            self._steps.append(_Step(do, n_bytes, self._now_ns()))
            self._waiting_bytes += n_bytes
            self._changed.notify_all()

    def _end(self, how: Literal["close", "abandon"]) -> None:
        with self._changed:
            self._ending = how
            self._failing.clear()  # what fails now is lost for good and is said again
            self._changed.notify_all()

    def _sync_loop(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.sync()

    def _write_loop(self) -> None:
        while step := self._awaited():
            if self._try("write", step.do):
                self._try("sidecar", self._file.note)
                self._done(step)
            elif self._ending:
                break
            else:
                with self._changed:
                    self._changed.wait_for(lambda: self._ending, RETRY_S)
        self._stop.set()
        with self._use:
            if self._ending == "close":
                # The count must not reach the disk before the records that it counts.
                self._try("sync", self._file.sync if self._steps else self._file.finish)
            if not self._released:
                self._file.release()

    def _awaited(self) -> "_Step | None":
        """The next step; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._steps or self._ending)
            return self._steps[0] if self._steps else None

    def _done(self, step: _Step) -> None:
        with self._changed:
            self.bytes_written = self._finished_bytes + self._file.end
            self._steps.popleft()
            self._waiting_bytes -= step.n_bytes
            self._changed.notify_all()

    def _next(self, path: Path, header: bytes) -> None:
        with self._use:
            if not self._released:
                self._file.finish()
                self._finished_bytes += self._file.end
                self._file.release()
                self._released = True
            self._file = RecordFile(path, header)
            self._released = False

    def _try(self, doing: str, do: Callable[[], None]) -> bool:
        """Do it; a failure becomes the kept fault."""
        try:
            do()
        except RecordingError as error:  # a new file that cannot be made says all itself
            self._keep(doing, str(error), whole=True)
        except OSError as error:
            self._keep(doing, error.strerror or str(error))
        else:
            with self._changed:
                self._failing.pop(doing, None)
            return True
        return False

    def _keep(self, doing: str, why: str, whole: bool = False) -> None:
        with self._changed:
            if doing in self._failing:
                return
            self._failing[doing] = why
            if self._fault is None:
                said = why if whole else f"{self._file.path}: {doing} failed: {why}; free or replace the disk"
                self._fault = RecordingError(said)
