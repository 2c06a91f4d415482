"""Checkpoints of a running case: files from which a host that is started anew knows what the last one knew.

Every five seconds one in memory that outlives the process, once a minute one of them beside the recording for
when the machine itself goes down. Owns these files, whole or not there at all; what stands in them is
`hostd.frozen`'s. Refuses memory that is not this user's alone.
"""

import contextlib
import os
import queue
import shutil
import stat
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hostd.errors import RecordingError
from hostd.fingerprint import Fingerprint
from hostd.frozen import FrozenError, freeze, size_of, thaw
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.storage import StorageWatch

EVERY_S: Final = 5.0
"""Of samples, and of this machine's time: at most so much is computed again, at many times real time."""
DISK_EVERY: Final = 12
"""Checkpoints in memory for one on disk."""
HELD: Final = 2
"""Checkpoints of a kind: the newest, and the one before it in case that one is damaged."""
SUFFIX: Final = ".state"
EDGE: Final = "edge.json"
"""Which edge serves a case that runs, and where it lies in it: known at once, not with the next commit."""
LEFT_S: Final = 3600.0
"""A case that runs writes there every few seconds."""
_AT_ONCE: Final = 500
_COPIED: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Remembered:
    """All that the processing thread of a host knows at sample `sample`: checkpoint `n`. `latest`: the newest
    message of each topic, as displays that join are told."""

    n: int
    sample: int
    pipeline: Pipeline
    fingerprint: Fingerprint
    storage: StorageWatch
    latest: dict[str, Outgoing]


def memory_folder() -> Path | None:
    """Where files live as long as the machine runs and no longer; None where there is no such place of our
    own."""
    shared = Path("/dev/shm")
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    folder = Path(runtime) / "checkpoints" if runtime else shared / f"evokd-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return folder if ours else None


class Checkpoints:
    """Of the case whose directory is `case`; `memory` as `memory_folder` says. `take` belongs to the
    processing thread; a thread of its own copies to the disk."""

    def __init__(self, case: Path, memory: Path | None, n: int = 0) -> None:
        self._case, self._n = case, n
        self._memory = None if memory is None else memory / case.name
        _forget_others(memory)
        for path in kept(case, memory):
            if (_number(path) or 0) > n:  # of a future that did not come
                path.unlink(missing_ok=True)
        self._fault: RecordingError | None = None
        self._failing = False
        self._copies: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._copying = threading.Event()
        self._copier = threading.Thread(target=self._copy_all, name="checkpoints", daemon=True)
        self._copier.start()

    @property
    def n(self) -> int:
        """The number of the last one."""
        return self._n

    def take(self, remembered: Remembered) -> None:
        """Keep `remembered`, whose number is the next. Trouble is a fault, told once until it has ended."""
        self._n = remembered.n
        to_disk = self._memory is None or self._n % DISK_EVERY == 1
        try:
            fd = self._written(freeze(remembered))
        except OSError as error:
            self._keep(error)
            return
        if to_disk and not self._copying.is_set():  # a disk that hangs must not fill the memory
            self._copying.set()
            self._copies.put((self._n, fd))
        else:
            os.close(fd)
        self._failing = False

    def _written(self, pieces: list[bytes | memoryview]) -> int:
        """A descriptor of the file in memory, complete before it has its name. Raises OSError."""
        if self._memory is None:
            fd = os.memfd_create("evokd-checkpoint")
            return _filled(fd, pieces)
        self._memory.mkdir(mode=0o700, exist_ok=True)
        new, name = self._memory / "new", self._memory / f"{self._n}{SUFFIX}"
        fd = _filled(os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), pieces)
        try:
            new.rename(name)
            _forget(self._memory, HELD)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _copy_all(self) -> None:
        while (copy := self._copies.get()) is not None:
            n, fd = copy
            try:
                self._copy(n, fd)
            except OSError as error:
                self._keep(error)
            finally:
                os.close(fd)
                self._copying.clear()

    def _copy(self, n: int, source: int) -> None:
        """The file `source` to the disk with its CRC behind it, complete before it has its name."""
        new, crc, at = self._case / "new.state", 0, 0
        with new.open("wb", buffering=0) as file:
            while data := os.pread(source, _COPIED, at):
                crc, at = zlib.crc32(data, crc), at + len(data)
                file.write(data)
            file.write(crc.to_bytes(4, "little"))
            os.fsync(file.fileno())
        new.rename(self._case / f"resume-{n}{SUFFIX}")
        _forget(self._case, HELD)

    def take_fault(self) -> RecordingError | None:
        """The fault not yet handed out."""
        fault, self._fault = self._fault, None
        return fault

    def _keep(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            why = f"no checkpoint can be kept: {error.strerror or error}"
            self._fault = RecordingError(f"{self._case}: {why}; a host that dies now computes the case anew")

    def close(self, *, over: bool) -> None:
        """End; of a case that is `over` nothing is kept."""
        self._copies.put(None)
        self._copier.join()
        if over:
            forget(self._case, self._memory)


def forget(case: Path, memory: Path | None) -> None:
    """Remove the checkpoints of a case that is over; `memory`: its own folder there."""
    for path in (*case.glob(f"resume-*{SUFFIX}"), case / "new.state", case / EDGE):
        path.unlink(missing_ok=True)
    if memory is not None:
        shutil.rmtree(memory, ignore_errors=True)


def _forget_others(memory: Path | None) -> None:
    """Memory is short: what a case left there that nobody took up in time is removed."""
    for folder in () if memory is None else tuple(memory.iterdir()):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > LEFT_S:
                shutil.rmtree(folder)


def kept(case: Path, memory: Path | None) -> list[Path]:
    """The checkpoints of a case, the newest first, those in memory before the same on disk."""
    found = [] if memory is None else [*(memory / case.name).glob(f"*{SUFFIX}")]
    found += [*case.glob(f"resume-*{SUFFIX}")]
    numbered = [(n, path.parent != case, path) for path in found if (n := _number(path)) is not None]
    return [path for _, _, path in sorted(numbered, reverse=True)]


def read(path: Path) -> Remembered:
    """What stands in a checkpoint. Raises FrozenError, one line, for anything else."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            data = bytearray(size)
            if file.readinto(data) != size:
                raise FrozenError("was cut while it was read")
    except OSError as error:
        raise FrozenError(f"cannot be read: {error.strerror}") from None
    if path.name.startswith("resume-"):
        crc = int.from_bytes(data[-4:], "little")
        del data[-4:]
        if zlib.crc32(data) != crc:
            raise FrozenError("does not match its CRC")
    state: Any = thaw(data)
    if not isinstance(state, Remembered):
        raise FrozenError(f"holds a {type(state).__name__}")
    return state


def _filled(fd: int, pieces: list[bytes | memoryview]) -> int:
    """`fd`, with `pieces` written. Raises OSError; then it is closed."""
    try:
        for at in range(0, len(pieces), _AT_ONCE):
            rest = pieces[at : at + _AT_ONCE]
            while rest:
                written = os.writev(fd, rest)
                rest = _behind(rest, written)
    except OSError:
        os.close(fd)
        raise
    return fd


def _behind(pieces: list[bytes | memoryview], written: int) -> list[bytes | memoryview]:
    """What is left of `pieces` behind so many bytes."""
    for at, piece in enumerate(pieces):
        if written < size_of(piece):
            return [memoryview(piece)[written:], *pieces[at + 1 :]]
        written -= size_of(piece)
    return []


def _forget(folder: Path, held: int) -> None:
    """Remove all but the newest `held` checkpoints of a folder."""
    numbered = sorted((n, p) for p in folder.glob(f"*{SUFFIX}") if (n := _number(p)) is not None)
    for _, path in numbered[:-held]:
        with contextlib.suppress(OSError):
            path.unlink()


def _number(path: Path) -> int | None:
    word = path.name.removesuffix(SUFFIX).removeprefix("resume-")
    return int(word) if word.isdecimal() else None
