"""A disk in memory whose power fails at any byte, as hostile as POSIX allows.

What was written and not synced is afterwards there, gone, cut short, zero or garbage, sector by sector; what
was created, renamed or removed in a folder that was not synced happened or did not, each by itself and so in
any order. Syncing a file does not keep its name. Only a rename is whole or not at all.
"""

import copy
import errno
import random
from dataclasses import dataclass, field

SECTOR = 512


class PowerCut(BaseException):
    """The power is gone."""


@dataclass
class File:
    kept: bytes = b""
    now: bytes = b""


@dataclass
class Folder:
    kept: "dict[str, File | Folder]" = field(default_factory=dict)
    now: "dict[str, File | Folder]" = field(default_factory=dict)
    changes: "list[dict[str, File | Folder | None]]" = field(default_factory=list)

    def change(self, names: "dict[str, File | Folder | None]") -> None:
        self.changes.append(names)
        _apply(self.now, names)


def _apply(names: "dict[str, File | Folder]", change: "dict[str, File | Folder | None]") -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class CutDisk:
    """See firmware.update.disk.Disk. Power fails after `left` more bytes and operations (None: never)."""

    def __init__(self, free: int = 1 << 40) -> None:
        self.root = Folder()
        self.left: int | None = None
        self.spent = 0
        self.free = free
        self.full_after: int | None = None

    def copy(self) -> "CutDisk":
        return copy.deepcopy(self)

    def after_cut(self, rng: random.Random) -> "CutDisk":
        """What is found when the power is back."""
        found = CutDisk(self.free)
        _fail(self.root, rng, set())
        found.root = self.root
        return found

    def _spend(self, wanted: int) -> int:
        done = wanted if self.left is None else min(wanted, self.left)
        self.spent += done
        if self.left is not None:
            self.left -= done
        return done

    def _step(self) -> None:
        if not self._spend(1):
            raise PowerCut

    def _find(self, path: str) -> "File | Folder | None":
        node: File | Folder | None = self.root
        for name in _parts(path):
            node = node.now.get(name) if isinstance(node, Folder) else None
        return node

    def _file(self, path: str) -> File:
        node = self._find(path)
        if isinstance(node, Folder):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return node

    def _folder(self, path: str) -> Folder:
        node = self._find(path)
        if not isinstance(node, Folder):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return node

    def read(self, path: str) -> bytes:
        return self._file(path).now

    def append(self, path: str, data: bytes) -> None:
        if self._find(path) is None:
            self._step()
            folder, name = _split(path)
            self._folder(folder).change({name: File()})
        if self.full_after is not None and self.spent > self.full_after:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        file = self._file(path)
        done = self._spend(len(data))
        file.now += data[:done]
        if done < len(data):
            raise PowerCut

    def sync(self, path: str) -> None:
        self._step()
        file = self._file(path)
        file.kept = file.now

    def sync_folder(self, path: str) -> None:
        self._step()
        folder = self._folder(path)
        folder.kept, folder.changes = dict(folder.now), []

    def rename(self, old: str, new: str) -> None:
        self._step()
        (folder, name), (same, other) = _split(old), _split(new)
        assert folder == same
        self._folder(folder).change({name: None, other: self._file(old)})

    def remove(self, path: str) -> None:
        self._step()
        self._file(path)
        folder, name = _split(path)
        self._folder(folder).change({name: None})

    def make_folder(self, path: str) -> None:
        parts = _parts(path)
        for k, name in enumerate(parts):
            above = self._folder("/".join(parts[:k]))
            if name not in above.now:
                self._step()
                above.change({name: Folder()})

    def remove_folder(self, path: str) -> None:
        self._step()
        if self._folder(path).now:
            raise OSError(errno.ENOTEMPTY, "Directory not empty", path)
        folder, name = _split(path)
        self._folder(folder).change({name: None})

    def names(self, path: str) -> list[str]:
        node = self._find(path)
        return sorted(node.now) if isinstance(node, Folder) else []

    def is_file(self, path: str) -> bool:
        return isinstance(self._find(path), File)

    def is_folder(self, path: str) -> bool:
        return isinstance(self._find(path), Folder)

    def free_bytes(self) -> int:
        return self.free

    def damage(self, path: str, bit: int) -> None:
        """Flip a bit of a file, on the medium."""
        file = self._file(path)
        data = bytearray(file.now)
        data[bit // 8 % len(data)] ^= 1 << bit % 8
        file.now = file.kept = bytes(data)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _split(path: str) -> tuple[str, str]:
    *folder, name = _parts(path)
    return "/".join(folder), name


def _fail(node: "File | Folder", rng: random.Random, seen: set[int]) -> None:
    """Make of a node what is found after the cut."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, File):
        node.now = node.kept = _torn(node.kept, node.now, rng)
        return
    share = rng.choice((0.0, 0.5, 1.0))
    names = dict(node.kept)
    for change in node.changes:
        if rng.random() < share:
            _apply(names, change)
    node.kept, node.now, node.changes = names, dict(names), []
    for below in names.values():
        _fail(below, rng, seen)


def _torn(kept: bytes, now: bytes, rng: random.Random) -> bytes:
    """A file that was only appended to: the new sectors arrived in any order, the length as well."""
    if now[: len(kept)] != kept or rng.random() < 0.2:
        return kept
    if rng.random() < 0.3:
        return now
    data = bytearray(now[: rng.randint(len(kept), len(now))])
    for at in range(len(kept), len(data), SECTOR):
        end = min(at + SECTOR, len(data))
        fate = rng.random()
        if fate < 0.2:
            data[at:end] = bytes(end - at)
        elif fate < 0.3:
            data[at:end] = rng.randbytes(end - at)
    return bytes(data)
