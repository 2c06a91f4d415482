"""Small signed bundles, and a box with slots that takes them, without processes."""

import functools
import hashlib
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from firmware.update.boot import boot, confirm
from firmware.update.disk import Disk
from firmware.update.launched import Launched
from firmware.update.selector import INSTALLED
from firmware.update.signing import new_key, sign
from firmware.update.slots import Slots, tree
from firmware.update.talk import Updates
from hw.bundle import BundleFile, Head, Manifest
from hw.link import TABLE, VERSION
from hw.link_update import UpdateInstall, UpdateOffer, UpdatePart, UpdateState

LINK = f"{VERSION} {TABLE:08x}"
Files = Mapping[str, bytes]


@functools.cache
def keys(folder: Path) -> Path:
    """A folder with release.key, release.pub, and other/other.key that is not trusted."""
    new_key(folder, "release")
    new_key(folder / "other", "other")
    return folder


def files(seed: int, scale: int = 1) -> dict[str, bytes]:
    """What a release might hold: folders, an empty file, one of several sectors."""
    rng = random.Random(seed)
    sizes = {"hw/__init__.py": 0, "hw/a.py": 700, "firmware/__init__.py": 30, "firmware/loop/n.py": 1500}
    sizes |= {"firmware/update/x.py": 513, "firmware/z.py": 512, "top.txt": 1}
    return {name: rng.randbytes(size * scale) for name, size in sizes.items()}


class Made:
    """A signed bundle: its head, its payload, its files."""

    def __init__(
        self,
        folder: Path,
        build: int,
        held: Files,
        may_replace: int = 0,
        key: str = "release.key",
        version: str = "",
    ) -> None:
        listed = tuple(BundleFile(n, len(d), hashlib.sha256(d).hexdigest()) for n, d in held.items())
        self.manifest = Manifest(version or f"0.{build}.0", build, listed, may_replace, LINK)
        self.files = dict(held)
        self.payload = b"".join(held.values())
        self.head = sign(self.manifest.encode(), keys(folder) / key).encode()

    @property
    def file(self) -> bytes:
        return self.head + self.payload


class Box:
    """Slots on a disk as the launcher and the edge use them."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self.disk, self.folder = disk, folder
        self.slots = Slots(disk)
        self.slot = INSTALLED
        self.said: list[str] = []
        self.checked: list[str] = []
        self.ill: set[int] = set()
        """Builds that do not pass their health check."""

    def power_up(self, comes_up: bool = True) -> str:
        """Through the launcher; the slot that runs."""
        self.slot = boot(self.slots, self._check, self.said.append).slot
        if comes_up:
            confirm(self.slots, self.slot)
        return self.slot

    def _check(self, slot: str) -> str:
        manifest = self.slots.manifest(slot)
        assert manifest is not None
        self.checked.append(slot)
        return "its link is silent" if manifest.build in self.ill else ""

    def updates(self) -> Updates:
        """What the edge that runs takes updates with."""
        return Updates(Launched(Path(), keys(self.folder), self.slot, ("launch",)), self.slots)

    def update(self, made: Made, piece: int = 400) -> str:
        """Offered, sent and installed; why it was refused, or ""."""
        for state in self.talk(made, piece):
            if state.stage == "refused":
                return state.text
        return ""

    def talk(self, made: Made, piece: int = 400) -> Iterator[UpdateState]:
        """The edge's answers, one by one."""
        updates = self.updates()
        state = updates.hear(UpdateOffer(1, made.head), False)
        assert state is not None
        yield state
        at = state.at
        while state.stage == "receiving" and at < len(made.payload):
            answer = updates.hear(UpdatePart(at, made.payload[at : at + piece]), False)
            assert answer is not None
            state = answer
            yield state
            at = state.at
        if state.stage == "receiving":
            answer = updates.hear(UpdateInstall(2), False)
            assert answer is not None
            yield answer

    def runs(self) -> dict[str, bytes] | None:
        """The files of the slot that runs, None for what was installed."""
        if self.slot == INSTALLED:
            return None
        return dict(_below(self.disk, tree(self.slot), ""))


def _below(disk: Disk, root: str, path: str) -> Iterator[tuple[str, bytes]]:
    for name in disk.names(f"{root}/{path}"):
        below = f"{path}/{name}" if path else name
        if disk.is_folder(f"{root}/{below}"):
            yield from _below(disk, root, below)
        else:
            yield below, disk.read(f"{root}/{below}")


def unsigned(made: Made) -> bytes:
    """The head without a signature."""
    return Head(made.manifest.encode()).encode()
