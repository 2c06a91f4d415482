"""Power fails anywhere in an update: the box works with the old or the new. `make update-cuts` does more."""

import random
from pathlib import Path

import pytest

from firmware.update.disk import replace
from tests.support.cut_disk import CutDisk, PowerCut
from tests.support.updates import Box
from tests.update.bit_flips import wrong_of
from tests.update.power_cuts import STARTS, cuts, start, wrong_after


@pytest.mark.control("H17.5")
@pytest.mark.parametrize("name", STARTS)
def test_power_may_fail_anywhere_in_an_update(name: str, tmp_path: Path) -> None:
    at = start(name, tmp_path)
    wrong = [why for cut, seed in cuts(at, 15, 7) if (why := wrong_after(at, cut, seed, tmp_path))]
    assert wrong == []


def test_a_bit_that_flips_is_refused_or_gone_back_from(tmp_path: Path) -> None:
    assert wrong_of(25, 3, tmp_path) == []


def test_the_disk_loses_what_was_not_synced_and_keeps_what_was() -> None:
    found = set()
    for seed in range(200):
        disk = CutDisk()
        disk.make_folder("f")
        disk.sync_folder(".")
        disk.append("f/synced", b"s" * 600)
        disk.sync("f/synced")
        disk.sync_folder("f")
        disk.append("f/loose", b"l" * 600)
        disk.rename("f/loose", "f/renamed")
        after = disk.after_cut(random.Random(seed))
        assert after.read("f/synced") == b"s" * 600
        names = tuple(name for name in after.names("f") if name != "synced")
        found.add((names, *(len(after.read(f"f/{name}")) == 600 for name in names)))
    assert {((),), (("renamed",), True), (("renamed",), False), (("loose",), False)} <= found


def test_the_power_fails_within_the_bytes_of_one_write() -> None:
    disk = CutDisk()
    disk.left = 4
    with pytest.raises(PowerCut):
        disk.append("file", b"12345")
    assert disk.read("file") == b"123"


def test_a_record_is_the_old_or_the_new_at_any_cut_and_the_new_once_written() -> None:
    for seed in range(120):
        rng = random.Random(seed)
        disk = CutDisk()
        disk.make_folder("f")
        disk.sync_folder(".")
        replace(disk, "f/record", b"old" * 300)
        disk.left = rng.randrange(900)
        with pytest.raises(PowerCut):
            replace(disk, "f/record", b"new" * 300)
        disk = disk.after_cut(rng)
        assert disk.read("f/record") in (b"old" * 300, b"new" * 300)
        replace(disk, "f/record", b"newest")
        assert disk.after_cut(rng).read("f/record") == b"newest"


def test_what_the_host_was_told_is_installed_is_tried_after_a_cut(tmp_path: Path) -> None:
    at = start("first", tmp_path)
    for seed in range(20):
        box = Box(at.disk.copy(), tmp_path)
        box.power_up()
        assert box.update(at.new) == ""
        after = Box(box.disk.after_cut(random.Random(seed)), tmp_path)  # type: ignore[attr-defined]
        after.power_up()
        assert after.runs() == at.new.files
