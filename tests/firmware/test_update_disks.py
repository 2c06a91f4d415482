"""The real disk and the one whose power can be cut do the same; the real one syncs when it says so."""

from pathlib import Path

import pytest

from firmware.update.disk import Disk, FolderDisk, remove_tree, replace
from tests.support.cut_disk import CutDisk


@pytest.fixture(params=["real", "cut"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return FolderDisk(tmp_path / "state") if request.param == "real" else CutDisk()


def test_files_grow_move_and_go(disk: Disk) -> None:
    disk.make_folder("a/b")
    disk.make_folder("a/b")
    disk.append("a/b/file", b"one")
    disk.append("a/b/file", b"two")
    disk.append("a/b/other", b"x")
    assert (disk.read("a/b/file"), disk.names("a/b"), disk.names("a")) == (
        b"onetwo",
        ["file", "other"],
        ["b"],
    )
    disk.sync("a/b/file")
    disk.sync_folder("a/b")
    disk.sync_folder(".")
    disk.rename("a/b/file", "a/b/other")
    assert (disk.read("a/b/other"), disk.is_file("a/b/file"), disk.is_file("a/b/other")) == (
        b"onetwo",
        False,
        True,
    )
    assert (disk.is_folder("a/b"), disk.is_folder("a/b/other"), disk.is_file("a/b")) == (True, False, False)
    disk.remove("a/b/other")
    disk.remove_folder("a/b")
    assert (disk.names("a"), disk.names("a/b"), disk.is_folder("a/b")) == ([], [], False)
    assert disk.free_bytes() > 0


def test_what_is_not_there_or_in_the_way_is_an_os_error(disk: Disk) -> None:
    disk.make_folder("a/b")
    for wrong in (
        lambda: disk.read("none"),
        lambda: disk.read("a"),
        lambda: disk.sync("none"),
        lambda: disk.sync_folder("none"),
        lambda: disk.append("none/file", b""),
        lambda: disk.remove("none"),
        lambda: disk.rename("none", "other"),
        lambda: disk.remove_folder("a"),
    ):
        with pytest.raises(OSError, match=r"\[Errno"):
            wrong()


def test_a_tree_is_removed_whole_and_one_that_is_not_there_is_fine(disk: Disk) -> None:
    disk.make_folder("a/b/c")
    disk.append("a/b/c/file", b"1")
    disk.append("a/file", b"1")
    remove_tree(disk, "a")
    remove_tree(disk, "a")
    assert disk.names(".") == []


def test_the_real_disk_syncs_the_file_renames_and_syncs_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FolderDisk(tmp_path)
    done: list[str] = []
    monkeypatch.setattr(
        "os.fsync", lambda handle: done.append(Path(f"/proc/self/fd/{handle}").readlink().name)
    )
    real = Path.replace
    monkeypatch.setattr(Path, "replace", lambda old, new: (done.append("rename"), real(old, new))[1])
    disk.make_folder("f")
    disk.append("f/.record.new", b"left over")
    replace(disk, "f/record", b"new")
    assert done == [".record.new", "rename", "f"]
    assert (disk.read("f/record"), disk.names("f")) == (b"new", ["record"])
