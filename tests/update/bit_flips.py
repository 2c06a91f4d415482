"""One bit flipped: in a bundle on its way, in a slot that was good, in the record. The box refuses or goes
back."""

import random
from pathlib import Path

from firmware.update.slots import SELECTOR, head_path, tree
from tests.support.cut_disk import CutDisk
from tests.support.updates import Box, Made, files


def box_with_both(folder: Path) -> Box:
    """Build 1 in slot a, build 2 in slot b, which runs."""
    box = Box(CutDisk(), folder)
    box.power_up()
    for build in (1, 2):
        box.update(Made(folder, build, files(build)))
        box.power_up()
    return box


def in_bundle(box: Box, rng: random.Random) -> str:
    """What is wrong after an update with one bit flipped, "" for nothing."""
    made = Made(box.folder, 3, files(3))
    data = bytearray(made.file)
    bit = rng.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    made.head, made.payload = bytes(data[: len(made.head)]), bytes(data[len(made.head) :])
    if not box.update(made):
        return f"bit {bit} of the bundle was taken"
    box.power_up()
    return "" if box.runs() == files(2) else f"bit {bit} of the bundle: {box.slot} runs"


def on_disk(box: Box, rng: random.Random) -> str:
    """What is wrong after a bit of the running slot or of the record flipped, "" for nothing."""
    places = [f"{tree('b')}/{name}" for name, held in files(2).items() if held]
    path = rng.choice([*places, head_path("b"), SELECTOR])
    disk = box.disk
    assert isinstance(disk, CutDisk)
    bit = rng.randrange(8 * len(disk.read(path)))
    disk.damage(path, bit)
    box.power_up()
    expected = (files(2),) if path == SELECTOR else (files(1),)
    return "" if box.runs() in expected else f"bit {bit} of {path}: {box.slot} runs"


def wrong_of(n: int, seed: int, folder: Path) -> list[str]:
    """What was wrong of `n` flips of each kind."""
    rng, start = random.Random(seed), box_with_both(folder)
    wrong = []
    for _ in range(n):
        for flip in (in_bundle, on_disk):
            disk = start.disk
            assert isinstance(disk, CutDisk)
            box = Box(disk.copy(), folder)
            box.power_up()
            if why := flip(box, rng):
                wrong.append(why)
    return wrong
