"""The few things that an update does to a disk, so that tests can cut the power between any two of them.

Paths are relative to the state folder, with slashes. What was written is certain to be there after a power
cut only once the file is synced, and what was created, renamed or removed once its folder is.
"""

import os
import shutil
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """What slots are kept on. Everything raises OSError."""

    def read(self, path: str) -> bytes:
        """The whole file."""
        ...

    def append(self, path: str, data: bytes) -> None:
        """Write at the end of a file, which is created if need be."""
        ...

    def sync(self, path: str) -> None:
        """The file's bytes are on the medium when this returns."""
        ...

    def sync_folder(self, path: str) -> None:
        """The folder's names are on the medium when this returns."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Whole or not at all, in the place of what was there."""
        ...

    def remove(self, path: str) -> None:
        """A file."""
        ...

    def make_folder(self, path: str) -> None:
        """With those above it; one that is there is fine."""
        ...

    def remove_folder(self, path: str) -> None:
        """An empty one."""
        ...

    def names(self, path: str) -> list[str]:
        """What a folder holds; nothing where there is none."""
        ...

    def is_file(self, path: str) -> bool:
        """Whether a file is there."""
        ...

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""
        ...

    def free_bytes(self) -> int:
        """Room left."""
        ...


class FolderDisk:
    """The real one: a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def where(self, path: str) -> Path:
        """On this machine."""
        return self._root / path

    def read(self, path: str) -> bytes:
        """See Disk."""
        return self.where(path).read_bytes()

    def append(self, path: str, data: bytes) -> None:
        """See Disk."""
        with self.where(path).open("ab") as file:
            file.write(data)

    def sync(self, path: str) -> None:
        """See Disk."""
        self._sync(path, os.O_RDONLY)

    def sync_folder(self, path: str) -> None:
        """See Disk."""
        self._sync(path, os.O_RDONLY | os.O_DIRECTORY)

    def _sync(self, path: str, flags: int) -> None:
        handle = os.open(self.where(path), flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, old: str, new: str) -> None:
        """See Disk."""
        self.where(old).replace(self.where(new))

    def remove(self, path: str) -> None:
        """See Disk."""
        self.where(path).unlink()

    def make_folder(self, path: str) -> None:
        """See Disk."""
        self.where(path).mkdir(parents=True, exist_ok=True)

    def remove_folder(self, path: str) -> None:
        """See Disk."""
        self.where(path).rmdir()

    def names(self, path: str) -> list[str]:
        """See Disk."""
        folder = self.where(path)
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def is_file(self, path: str) -> bool:
        """See Disk."""
        return self.where(path).is_file()

    def is_folder(self, path: str) -> bool:
        """See Disk."""
        return self.where(path).is_dir()

    def free_bytes(self) -> int:
        """See Disk."""
        return shutil.disk_usage(self._root).free


def replace(disk: Disk, path: str, data: bytes) -> None:
    """`path` holds `data` or what it held before, whatever happens; certain when this returns."""
    folder, _, name = path.rpartition("/")
    beside = f"{folder}/.{name}.new"
    if disk.is_file(beside):
        disk.remove(beside)
    disk.append(beside, data)
    disk.sync(beside)
    disk.rename(beside, path)
    disk.sync_folder(folder)


def remove_tree(disk: Disk, path: str) -> None:
    """The folder and all that it holds; nothing where there is none."""
    for name in disk.names(path):
        below = f"{path}/{name}"
        if disk.is_folder(below):
            remove_tree(disk, below)
        else:
            disk.remove(below)
    if disk.is_folder(path):
        disk.remove_folder(path)
