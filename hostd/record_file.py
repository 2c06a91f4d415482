"""One file of a recording on disk, with its CRC sidecar: whole records appended, locked against repair.

Owns the descriptors, the lock, and where the next record goes. Refuses to know what a record holds, and to
wait or retry: every OSError comes out, and what failed can be asked for again.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from hostd.errors import RecordingError
from hw.bdf import N_RECORDS_OFFSET, text_field
from hw.record_crc import CRC_SUFFIX, encode_entry, record_crc

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class RecordFile:
    """A new file at `path` that begins with `header`; the sidecar stands beside it. Raises RecordingError
    when it cannot be created, and leaves nothing behind then. One thread, but for `sync`, which may run
    beside `append`, `note` and `patch`."""

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self._end = len(header)
        self._records = 0
        self._entries = b""
        self._entries_end = 0
        self._finished = False
        self._dirty = True
        with contextlib.ExitStack() as undo:
            self._fd = _create(path, header, undo)
            self._sidecar = _create(path.with_suffix(CRC_SUFFIX), b"", undo)
            try:
                sync_directory(path.parent)
            except OSError as error:
                raise _unwritable(path, error) from None
            undo.pop_all()

    @property
    def end(self) -> int:
        """Bytes of the header and the whole records on file."""
        return self._end

    def append(self, record: bytes) -> None:
        """Write one record, one write() as a rule. Raises OSError: then it was not taken."""
        self._write_all(self._fd, record, self._end)
        self._end += len(record)
        self._entries += encode_entry(self._records, record_crc(record))
        self._records += 1

    def note(self) -> None:
        """Write the lines of the sidecar that are not on file yet. Raises OSError: then they wait."""
        if not self._entries:
            return
        self._write_all(self._sidecar, self._entries, self._entries_end)
        self._entries_end += len(self._entries)
        self._entries = b""

    def patch(self, offset: int, field: bytes) -> None:
        """Replace bytes of the header. Raises OSError."""
        self._write_all(self._fd, field, offset)

    def sync(self) -> None:
        """Bring what is written to the disk. Raises OSError."""
        if not self._dirty:
            return
        self._dirty = False
        try:
            os.fdatasync(self._fd)
            os.fdatasync(self._sidecar)
        except OSError:
            self._dirty = True
            raise

    def finish(self) -> None:
        """State the number of records in the header, behind the records themselves. Raises OSError."""
        if self._finished:
            return
        self.note()
        self.sync()
        self.patch(N_RECORDS_OFFSET, text_field("number of records", str(self._records), 8))
        self.sync()
        self._finished = True

    def release(self) -> None:
        """Let go of file and lock as they are."""
        for fd in (self._sidecar, self._fd):
            with contextlib.suppress(OSError):  # the sync before it has said what is wrong
                os.close(fd)

    def _write_all(self, fd: int, content: bytes, offset: int) -> None:
        """One write() as a rule; a short one is continued, so that its reason comes out as an error."""
        view = memoryview(content)
        while view:
            written = os.pwrite(fd, view, offset)
            if written == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            view, offset = view[written:], offset + written
        self._dirty = True


class NoFile:
    """Before the first file of a recording that goes on: its first record begins one."""

    def __init__(self, path: Path) -> None:
        self.path, self.end = path, 0

    def append(self, record: bytes) -> None:
        """Raises OSError: there is no file."""
        raise OSError(errno.EBADF, f"no file for a record of {len(record)} bytes")

    def patch(self, offset: int, field: bytes) -> None:
        """Raises OSError: there is no file."""
        raise OSError(errno.EBADF, f"no file for {len(field)} bytes at {offset}")

    def note(self) -> None:
        """Nothing."""

    def sync(self) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""


def _create(path: Path, header: bytes, undo: contextlib.ExitStack) -> int:
    """A locked descriptor of the new file, `header` on disk; `undo` takes both away again.

    It has its name only when its header is whole: whoever dies before leaves no file that nobody can open.
    """
    unnamed = path.with_name(f".{path.name}.new")
    try:
        if path.exists():
            raise FileExistsError
        unnamed.unlink(missing_ok=True)  # of one that died just then
        fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be created: {error.strerror}; check directory and permissions"
        ) from None
    undo.callback(_unlink, unnamed)
    undo.callback(os.close, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if header and os.pwrite(fd, header, 0) != len(header):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
        _name(unnamed, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    undo.callback(_unlink, path)
    return fd


def _name(unnamed: Path, path: Path) -> None:
    """Rename, but never over another file. Raises OSError."""
    try:
        os.link(unnamed, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        unnamed.rename(path)  # as on a memory stick (vfat); a moment ago there was none
    else:
        _unlink(unnamed)


def _exists(path: Path) -> RecordingError:
    return RecordingError(f"{path} exists already; a recording is never overwritten, choose another case")


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):  # what kept it from being made is told
        path.unlink()


def _unwritable(path: Path, error: OSError) -> RecordingError:
    return RecordingError(f"{path} cannot be written: {error.strerror}; check the disk")


def sync_directory(directory: Path) -> None:
    """Bring a directory's entries to the disk, so that a new file is still there after a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
