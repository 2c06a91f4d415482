"""The launcher's decision: trials, the way back, slots that were damaged, records that are gone."""

import errno
import hashlib
from pathlib import Path

import pytest

from firmware.update.selector import INSTALLED, MOST_STARTS, Selector, decode
from firmware.update.slots import SELECTOR, head_path, tree
from tests.support.cut_disk import CutDisk
from tests.support.updates import Box, Made, files


def box_with(folder: Path, builds: int) -> Box:
    box = Box(CutDisk(), folder)
    box.power_up()
    for build in range(1, builds + 1):
        assert box.update(Made(folder, build, files(build))) == ""
        box.power_up()
    return box


def test_a_box_without_slots_starts_what_was_installed(tmp_path: Path) -> None:
    box = Box(CutDisk(), tmp_path)
    assert box.power_up() == INSTALLED
    assert box.disk.names("slots") == []


def test_updates_alternate_between_the_slots_and_stay(tmp_path: Path) -> None:
    box = box_with(tmp_path, 3)
    assert (box.slot, box.runs()) == ("a", files(3))
    assert box.slots.selector() == Selector(
        "a",
        False,
        0,
        "b",
        dict(box.slots.selector().images),
        3,
        "",  # type: ignore[union-attr]
    )
    assert box.slots.fault("b", None) == ""
    box.checked.clear()
    assert box.power_up() == "a"
    assert box.checked == []  # what is good is not tried again


def test_an_update_that_is_not_healthy_is_given_up_at_once_and_says_so(tmp_path: Path) -> None:
    box = box_with(tmp_path, 1)
    box.ill = {2}
    assert box.update(Made(tmp_path, 2, files(2))) == ""
    assert (box.power_up(), box.runs()) == ("a", files(1))
    why = "slot b, 0.2.0 (build 2), did not pass its trial: its link is silent"
    assert box.said[-1] == f"{why}; going back to slot a"
    selector = box.slots.selector()
    assert selector is not None
    assert (selector.told, selector.floor) == (why, 1)
    assert box.slots.manifest("b") is None


@pytest.mark.control("H17.5")
def test_an_update_that_never_comes_up_is_given_up_after_its_starts(tmp_path: Path) -> None:
    box = box_with(tmp_path, 1)
    assert box.update(Made(tmp_path, 2, files(2))) == ""
    box.disk.make_folder("slots/cache-b")
    box.disk.append("slots/cache-b/x.pyc", b"!")
    assert [box.power_up(comes_up=False) for _ in range(MOST_STARTS + 1)] == ["b", "b", "b", "a"]
    assert "it was started 3 times and never came up" in box.said[-1]
    assert not box.disk.is_file("slots/cache-b/x.pyc")


def test_code_compiled_for_a_good_slot_goes_when_it_may_be_what_kept_it_from_coming_up(
    tmp_path: Path,
) -> None:
    box = box_with(tmp_path, 1)
    box.disk.make_folder("slots/cache-a")
    box.disk.append("slots/cache-a/x.pyc", b"torn by a power cut")
    box.power_up()
    box.power_up()
    assert box.disk.is_file("slots/cache-a/x.pyc")
    box.power_up(comes_up=False)
    assert box.disk.is_file("slots/cache-a/x.pyc")
    assert box.power_up() == "a"
    assert not box.disk.is_file("slots/cache-a/x.pyc")
    assert "did not come up last time" in box.said[-1]
    said = len(box.said)
    assert box.power_up() == "a"
    assert len(box.said) == said


def test_a_slot_that_came_up_on_its_last_start_stays(tmp_path: Path) -> None:
    box = box_with(tmp_path, 1)
    assert box.update(Made(tmp_path, 2, files(2))) == ""
    for _ in range(MOST_STARTS - 1):
        box.power_up(comes_up=False)
    assert [box.power_up(), box.power_up(), box.power_up()] == ["b", "b", "b"]


@pytest.mark.control("H17.5")
@pytest.mark.parametrize("path", [f"{tree('b')}/hw/a.py", head_path("b"), f"{tree('b')}/top.txt"])
def test_a_good_slot_that_is_damaged_makes_way_for_the_one_before(tmp_path: Path, path: str) -> None:
    for bit in (0, 3, 777):
        box = box_with(tmp_path, 2)
        assert box.slot == "b"
        box.disk.damage(path, bit)  # type: ignore[attr-defined]
        assert (box.power_up(), box.runs()) == ("a", files(1))
        assert "cannot be started any more" in box.said[-1]
        assert (box.power_up(), box.runs()) == ("a", files(1))


def test_a_manifest_that_reads_well_and_is_not_what_was_installed_makes_way(tmp_path: Path) -> None:
    box = box_with(tmp_path, 2)
    at = box.disk.read(head_path("b")).index(b'"0.2.0"') + 3
    box.disk.damage(head_path("b"), 8 * at)  # type: ignore[attr-defined]
    manifest = box.slots.manifest("b")
    assert manifest is not None
    assert manifest.version == "0.3.0"
    assert box.power_up() == "a"
    assert "its manifest is not what was installed" in box.said[-1]


def test_what_was_installed_starts_when_both_slots_are_damaged(tmp_path: Path) -> None:
    box = box_with(tmp_path, 2)
    for slot in ("a", "b"):
        box.disk.damage(f"{tree(slot)}/hw/a.py", 9)  # type: ignore[attr-defined]
    assert box.power_up() == INSTALLED
    assert box.update(Made(tmp_path, 3, files(3))) == ""
    assert (box.power_up(), box.runs()) == ("a", files(3))


def test_a_file_that_is_gone_is_damage_too(tmp_path: Path) -> None:
    box = box_with(tmp_path, 2)
    box.disk.remove(f"{tree('b')}/firmware/z.py")
    assert box.power_up() == "a"
    assert "firmware/z.py cannot be read" in box.said[-1]


@pytest.mark.parametrize("bit", range(0, 4000, 61))
def test_a_damaged_record_leaves_the_newest_whole_slot_on_trial(tmp_path: Path, bit: int) -> None:
    box = box_with(tmp_path, 2)
    box.checked.clear()
    box.disk.damage(SELECTOR, bit)  # type: ignore[attr-defined]
    assert (box.power_up(), box.runs()) == ("b", files(2))
    if box.said and "nothing says which slot" in box.said[-2]:
        assert box.checked == ["b"]
    selector = box.slots.selector()
    assert selector is not None
    assert (selector.slot, selector.trial) == ("b", False)


def test_without_its_record_an_unhealthy_newest_slot_makes_way(tmp_path: Path) -> None:
    box = box_with(tmp_path, 2)
    box.disk.remove(SELECTOR)
    box.ill = {2}
    assert (box.power_up(), box.runs()) == ("a", files(1))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"selector": {}, "sha256": ""}', b"\xff", b"[" * 100000]
)
def test_bytes_that_are_no_record_are_none(data: bytes) -> None:
    assert decode(data) is None


def test_a_record_reads_as_it_was_written_and_keys_of_the_future_are_ignored() -> None:
    record = Selector("b", True, 2, "a", {"b": "12"}, 7, "why")
    assert decode(record.encode()) == record
    assert decode(Selector("c").encode()) is None
    assert decode(Selector("a", before="c").encode()) is None


def test_the_record_keeps_its_form_for_launchers_of_any_age() -> None:
    stored = (
        b'{"selector": {"slot": "b", "trial": true, "starts": 2, "before": "a", "images": {"b": "12"}, '
        b'"floor": 7, "told": "why"}, "sha256": "SUM"}'
    )
    record = Selector("b", True, 2, "a", {"b": "12"}, 7, "why")
    text = b'{"before": "a", "floor": 7, "images": {"b": "12"}, "slot": "b", "starts": 2, "told": "why", '
    text += b'"trial": true}'
    assert decode(stored.replace(b"SUM", hashlib.sha256(text).hexdigest().encode())) == record
    assert decode(stored) is None


class FullDisk(CutDisk):
    """Cannot be written any more."""

    def append(self, path: str, data: bytes) -> None:
        raise OSError(errno.EROFS, "Read-only file system", path)


def test_a_box_that_cannot_write_starts_what_ran_before_the_trial(tmp_path: Path) -> None:
    box = box_with(tmp_path, 1)
    assert box.update(Made(tmp_path, 2, files(2))) == ""
    full = FullDisk()
    full.root = box.disk.root  # type: ignore[attr-defined]
    there = Box(full, tmp_path)
    assert there.power_up(comes_up=False) == "a"
    assert "cannot be noted: Read-only file system" in there.said[-2]
    assert there.power_up(comes_up=False) == "a"
