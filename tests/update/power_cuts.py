"""One update that a power cut ends; whether the box works afterwards, with the old or the new, and goes
on."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.cut_disk import CutDisk, PowerCut
from tests.support.updates import Box, Files, Made, files

NEW = 3
STARTS = ("installed", "first", "second", "ill")
"""Boxes before the update: fresh; with one slot; with both; and one whose update is not healthy."""


@dataclass(frozen=True, slots=True)
class Start:
    """A box before the update, what may run after it, and what a whole update takes."""

    name: str
    disk: CutDisk
    old: Files | None
    new: Made
    steps: int

    @property
    def ill(self) -> bool:
        """Whether the update does not pass its trial."""
        return self.name == "ill"


def start(name: str, folder: Path) -> Start:
    """The box of that name, and the measured course of its update without a cut."""
    box = Box(CutDisk(), folder)
    box.power_up()
    old: Files | None = None
    for build in range(1, {"installed": 1, "first": 2, "second": 3, "ill": 3}[name]):
        made = Made(folder, build, files(build))
        old = made.files
        assert box.update(made) == ""
        box.power_up()
        assert box.runs() == old
    made = Made(folder, NEW, files(NEW))
    whole = Start(name, box.disk.copy(), old, made, 0)  # type: ignore[attr-defined]
    disk = whole.disk.copy()
    disk.spent = 0
    _whole(whole, disk, folder)
    return Start(name, whole.disk, old, made, disk.spent)


def _whole(at: Start, disk: CutDisk, folder: Path) -> Box:
    """Power up, update, power up, unless the power fails."""
    box = Box(disk, folder)
    box.ill = {NEW} if at.ill else set()
    box.power_up()
    if box.runs() != at.new.files:
        box.update(at.new)
        box.power_up()
    return box


def cuts(at: Start, n: int, seed: int) -> Iterator[tuple[int, int]]:
    """`n` cut points over the whole update, seeded within, each with a seed for what the cut leaves."""
    rng = random.Random(f"{seed} {at.name}")
    for k in range(n):
        yield int((k + rng.random()) * at.steps / n), rng.getrandbits(32)


def wrong_after(at: Start, cut: int, seed: int, folder: Path) -> str:
    """What is wrong after power failed at step `cut`, and up to three times more on the way back; "" for
    nothing."""
    rng = random.Random(seed)
    disk = at.disk.copy()
    disk.left = cut
    for _ in range(3):
        try:
            _whole(at, disk, folder)
        except PowerCut:
            disk = disk.after_cut(rng)
        else:
            break
        if why := _wrong(at, disk.copy(), folder):
            return f"{at.name}: cut {cut}, seed {seed}: {why}"
        disk.left = rng.randint(1, at.steps)
    disk.left = None
    box = _whole(at, disk, folder)
    wanted = at.old if at.ill else at.new.files
    if box.runs() != wanted:
        return f"{at.name}: cut {cut}, seed {seed}: the same update again does not end where it should"
    return ""


def _wrong(at: Start, disk: CutDisk, folder: Path) -> str:
    """Power comes back: the old or the new has to run, to the byte."""
    disk.left = None
    box = Box(disk, folder)
    box.ill = {NEW} if at.ill else set()
    box.power_up()
    runs = box.runs()
    if runs == at.old or (runs == at.new.files and not at.ill):
        return ""
    what = "what was installed" if runs is None else f"slot {box.slot}, neither the old nor the new"
    return f"{what} runs: {box.said}"
