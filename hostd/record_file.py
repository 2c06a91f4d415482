"""The file under a recording: whole records appended, synced once a second, locked against repair.

Owns the descriptor, the lock, the backlog for a failing disk and the sync thread. Refuses to know what a
record holds. A fault is kept and handed out once; the file behind it stays a whole number of records.
"""

import contextlib
import errno
import fcntl
import os
import threading
from collections import deque
from pathlib import Path

from hostd.errors import RecordingError

BACKLOG_BYTES = 16 << 20


class RecordFile:
    """A new file at `path` that begins with `header`. Raises RecordingError when it cannot be created.

    `append`, `patch`, `take_fault` and `close` belong to one thread; a thread of its own calls `sync`
    every `sync_interval_s`, so that a slow disk holds up nobody until `close`.
    """

    def __init__(
        self, path: Path, header: bytes, sync_interval_s: float, backlog_bytes: int = BACKLOG_BYTES
    ) -> None:
        self.path = path
        self._fd = _create(path, header)
        self._end = len(header)
        self._backlog_bytes = backlog_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._failing: set[str] = set()
        self._fault: RecordingError | None = None
        self._fault_lock = threading.Lock()
        self._unsynced = threading.Event()
        self._stop = threading.Event()
        self._interval_s = sync_interval_s
        self._syncer = threading.Thread(target=self._sync_loop, name="evokd-sync", daemon=True)
        self._syncer.start()

    @property
    def bytes_written(self) -> int:
        """Bytes of the header and the whole records on file."""
        return self._end

    def ready(self) -> bool:
        """Whether another record can be taken: the disk works, or the backlog has room left."""
        if self._waiting_bytes >= self._backlog_bytes:
            self._flush()
        return self._waiting_bytes < self._backlog_bytes

    def append(self, record: bytes) -> None:
        """Take one record: written at once, or held in memory while the disk refuses."""
        self._waiting.append(record)
        self._waiting_bytes += len(record)
        self._flush()

    def patch(self, offset: int, data: bytes) -> None:
        """Replace bytes of the header; a failure becomes the kept fault."""
        try:
            self._write_all(data, offset)
        except OSError as error:
            self._keep("write", error)

    def sync(self) -> None:
        """Bring what is written to the disk; a failure becomes the kept fault."""
        if not self._unsynced.is_set():
            return
        self._unsynced.clear()
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            self._unsynced.set()
            self._keep("sync", error)
        else:
            self._failing.discard("sync")

    def take_fault(self) -> RecordingError | None:
        """The fault not yet handed out; the same trouble is not handed out again until it has ended once."""
        with self._fault_lock:
            fault, self._fault = self._fault, None
        return fault

    def close(self, patch_offset: int, patch: bytes) -> None:
        """Write what is held back, replace `patch` in the header, sync, release. Keeps the first fault."""
        self._stop.set()
        self._syncer.join()
        self._failing.clear()  # what fails now is lost for good and is said again
        self._flush()
        self.sync()
        if not self._waiting:  # the count must not reach the disk before the records that it counts
            self.patch(patch_offset, patch)
            self.sync()
        with contextlib.suppress(OSError):  # the sync before it has already said what is wrong
            os.close(self._fd)

    def abandon(self) -> None:
        """Release file and lock as they are, as the end of the process would; nothing more is written."""
        self._stop.set()
        self._syncer.join()
        os.close(self._fd)

    def _flush(self) -> None:
        while self._waiting:
            record = self._waiting[0]
            try:
                self._write_all(record, self._end)
            except OSError as error:
                self._keep("write", error)
                return
            self._waiting.popleft()
            self._waiting_bytes -= len(record)
            self._end += len(record)
        self._failing.discard("write")

    def _write_all(self, data: bytes, offset: int) -> None:
        """One write() as a rule; a short one is continued, so that its reason comes out as an error."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            if written == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            view, offset = view[written:], offset + written
        self._unsynced.set()

    def _keep(self, doing: str, error: OSError) -> None:
        with self._fault_lock:
            if doing in self._failing:
                return
            self._failing.add(doing)
            self._fault = self._fault or RecordingError(
                f"{self.path}: {doing} failed: {error.strerror or error}; free or replace the disk"
            )

    def _sync_loop(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.sync()


def _create(path: Path, header: bytes) -> int:
    """A locked descriptor of the new file, header and directory entry on disk."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    except FileExistsError:
        raise RecordingError(
            f"{path} exists already; a recording is never overwritten, choose another case"
        ) from None
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be created: {error.strerror}; check directory and permissions"
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(fd, header, 0)
        os.fsync(fd)
        sync_directory(path.parent)
    except OSError as error:
        os.close(fd)
        raise RecordingError(f"{path} cannot be written: {error.strerror}; check the disk") from None
    return fd


def sync_directory(directory: Path) -> None:
    """Bring a directory's entries to the disk, so that a new file is still there after a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
