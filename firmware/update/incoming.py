"""A bundle on its way into the free slot: taken in pieces, resumed, verified, made complete.

Nothing that runs is written to. The slot becomes complete by one rename, after every byte of it was read back
with its hash and is certain to be on the medium; until then it is as good as empty.
"""

import contextlib
import errno
import hashlib
from collections.abc import Iterator

from firmware.errors import EdgeError, PortError
from firmware.update.disk import remove_tree, replace
from firmware.update.slots import ROOT, Slots, cache, head_path, tree
from hw.bundle import Manifest, folders_of

SPARE_BYTES = 16 << 20
"""Room that has to be left over beside an update: compiled code, the selector, a log."""


class Incoming:
    """One bundle into `slot`. Methods raise PortError when the disk fails, EdgeError for wrong bytes."""

    def __init__(self, slots: Slots, slot: str, head: bytes, manifest: Manifest) -> None:
        self._slots, self._disk = slots, slots.disk
        self.slot, self.head, self.manifest = slot, head, manifest
        self._file = 0
        self._in_file = 0
        self.at = 0
        """The next byte wanted, of all files one after the other."""

    @property
    def complete(self) -> bool:
        """Whether all bytes are there."""
        return self.at == self.manifest.size

    def begin(self) -> None:
        """Make the slot ready; go on where an earlier attempt at the same bundle was."""
        with _disk_trouble(self._slots, self.slot):
            if not self._resumable():
                self._clear()
            for file in self.manifest.files:
                if not self._holds(self._file):
                    break
                self._file += 1
                self.at += file.size
            self._fill_empty()

    def _resumable(self) -> bool:
        try:
            return self._disk.read(f"{ROOT}/{self.slot}/offer") == self.head
        except OSError:
            return False

    def _clear(self) -> None:
        """Nothing is left of what the slot held; the new head lies ready."""
        self._slots.discard(self.slot)
        remove_tree(self._disk, tree(self.slot))
        remove_tree(self._disk, cache(self.slot))
        room = self._disk.free_bytes()
        if room < self.manifest.size + SPARE_BYTES:
            raise OSError(
                errno.ENOSPC,
                f"{room >> 20} MiB free, {self.manifest.size >> 20} MiB and "
                f"{SPARE_BYTES >> 20} to spare wanted",
            )
        self._disk.make_folder(f"{ROOT}/{self.slot}")
        self._disk.sync_folder(".")
        self._disk.sync_folder(ROOT)
        replace(self._disk, f"{ROOT}/{self.slot}/offer", self.head)
        self._disk.make_folder(tree(self.slot))

    def _where(self, path: str) -> str:
        return f"{tree(self.slot)}/{path}"

    def _holds(self, number: int) -> bool:
        """Whether the file of that number is there, whole."""
        file = self.manifest.files[number]
        try:
            held = self._disk.read(self._where(file.path))
        except OSError:
            return False
        return len(held) == file.size and hashlib.sha256(held).hexdigest() == file.sha256

    def part(self, data: bytes) -> None:
        """The bytes from `at` on."""
        if len(data) > self.manifest.size - self.at:
            raise EdgeError("more bytes came than the manifest lists; make the bundle anew")
        with _disk_trouble(self._slots, self.slot):
            while data:
                file = self.manifest.files[self._file]
                piece, data = data[: file.size - self._in_file], data[file.size - self._in_file :]
                self._append(file.path, piece)
                self._in_file += len(piece)
                self.at += len(piece)
                if self._in_file == file.size:
                    self._close_file()
                    self._fill_empty()

    def _append(self, path: str, data: bytes) -> None:
        if self._in_file == 0:
            if folders := folders_of(path):
                self._disk.make_folder(self._where(folders[-1]))
            if self._disk.is_file(self._where(path)):  # left over from an attempt that was cut short
                self._disk.remove(self._where(path))
        self._disk.append(self._where(path), data)

    def _close_file(self) -> None:
        """The file that is under way is all there. Raises EdgeError when it is another one."""
        if not self._holds(self._file):
            name = self.manifest.files[self._file].path
            self._slots.discard(self.slot)
            raise EdgeError(f"{name} is not what the manifest says; the bundle was damaged, get it anew")
        self._file, self._in_file = self._file + 1, 0

    def _fill_empty(self) -> None:
        """Files without bytes never get a part."""
        while self._file < len(self.manifest.files) and self.manifest.files[self._file].size == 0:
            self._append(self.manifest.files[self._file].path, b"")
            self._close_file()

    def finish(self) -> None:
        """Every file certain to be on the medium and read back, then the slot is complete."""
        if not self.complete:
            raise EdgeError(
                f"{self.manifest.size - self.at} bytes of the update are missing; send them first"
            )
        with _disk_trouble(self._slots, self.slot):
            for number, file in enumerate(self.manifest.files):
                self._disk.sync(self._where(file.path))
                if not self._holds(number):
                    self._slots.discard(self.slot)
                    raise EdgeError(f"{file.path} does not read back as written; is the disk failing?")
            below = {folder for file in self.manifest.files for folder in folders_of(file.path)}
            for folder in sorted(below, key=len, reverse=True):
                self._disk.sync_folder(self._where(folder))
            self._disk.sync_folder(tree(self.slot))
            self._disk.rename(f"{ROOT}/{self.slot}/offer", head_path(self.slot))
            self._disk.sync_folder(f"{ROOT}/{self.slot}")


@contextlib.contextmanager
def _disk_trouble(slots: Slots, slot: str) -> Iterator[None]:
    """Turns what a disk says into one line; one that is full gets back the room that the slot took."""
    try:
        yield
    except EdgeError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full:
            with contextlib.suppress(OSError):
                slots.discard(slot)
                remove_tree(slots.disk, tree(slot))
        cure = "make room" if full else "is the disk failing or read-only?"
        raise PortError(f"cannot write slot {slot}: {error.strerror or error}; {cure}") from None
