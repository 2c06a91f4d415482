"""Two slots on a disk, and which one starts.

`slots/a`, `slots/b`: `head` (manifest and signature; written last, so that it says that the slot is
complete), `tree/` (the files) and, while one is on its way, `offer` (the head to be). `slots/selector` says
which starts. Compiled code of a slot is in `slots/cache-a`, `slots/cache-b`.
"""

import contextlib
import hashlib

from firmware.update.disk import Disk, remove_tree, replace
from firmware.update.selector import INSTALLED, SLOTS, Selector, decode
from hw.bundle import Manifest, decode_head, decode_manifest

ROOT = "slots"
SELECTOR = f"{ROOT}/selector"


def image_of(head: bytes) -> str:
    """What names a bundle: the SHA-256 of its head."""
    return hashlib.sha256(head).hexdigest()


def tree(slot: str) -> str:
    """Where a slot's files are."""
    return f"{ROOT}/{slot}/tree"


def head_path(slot: str) -> str:
    """What makes a slot complete."""
    return f"{ROOT}/{slot}/head"


def cache(slot: str) -> str:
    """Where code compiled for a slot is kept."""
    return f"{ROOT}/cache-{slot}"


class Slots:
    """The slots of one state folder. Raises OSError when it cannot be written; reading raises nothing."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def selector(self) -> Selector | None:
        """Which slot starts; None when nothing says so, or it was damaged."""
        try:
            return decode(self.disk.read(SELECTOR))
        except OSError:
            return None

    def select(self, selector: Selector) -> None:
        """Certain when this returns."""
        self.disk.make_folder(ROOT)
        self.disk.sync_folder(".")
        replace(self.disk, SELECTOR, selector.encode())

    def manifest(self, slot: str) -> Manifest | None:
        """What a complete slot says that it holds."""
        if slot not in SLOTS:
            return None
        try:
            return decode_manifest(decode_head(self.disk.read(head_path(slot))).manifest)
        except (OSError, ValueError):
            return None

    def fault(self, slot: str, image: str | None) -> str:
        """Why a slot cannot be started, "" when every file has its hash and the head is `image` (None:
        any)."""
        if slot == INSTALLED:
            return ""
        manifest = self.manifest(slot)
        if manifest is None:
            return "it is not complete"
        if image is not None and image_of(self.disk.read(head_path(slot))) != image:
            return "its manifest is not what was installed"
        for file in manifest.files:
            try:
                held = self.disk.read(f"{tree(slot)}/{file.path}")
            except OSError as error:
                return f"{file.path} cannot be read: {error.strerror or error}"
            if len(held) != file.size or hashlib.sha256(held).hexdigest() != file.sha256:
                return f"{file.path} is damaged"
        return ""

    def recovered(self) -> Selector:
        """What to start when nothing says so: the newest whole slot, on trial; else what was installed."""
        whole = {slot: m.build for slot in SLOTS if (m := self.manifest(slot)) and not self.fault(slot, None)}
        newest = sorted(whole, key=lambda slot: whole[slot], reverse=True)
        if not newest:
            return Selector()
        before = newest[1] if len(newest) > 1 else INSTALLED
        images = {slot: image_of(self.disk.read(head_path(slot))) for slot in newest}
        # The floor is what both slots prove: one of them may never have been good.
        return Selector(newest[0], True, 0, before, images, min(whole.values()) if before in SLOTS else 0)

    def discard(self, slot: str) -> None:
        """The slot is no longer complete, nor on its way."""
        for name in ("head", "offer"):
            if self.disk.is_file(f"{ROOT}/{slot}/{name}"):
                self.disk.remove(f"{ROOT}/{slot}/{name}")
        if self.disk.is_folder(f"{ROOT}/{slot}"):
            self.disk.sync_folder(f"{ROOT}/{slot}")

    def forget_compiled(self, slot: str) -> None:
        """Code compiled for a slot is made anew at its next start."""
        with contextlib.suppress(OSError):
            remove_tree(self.disk, cache(slot))
