"""`evokd bundle`: keys, bundles of a source tree, what is shown, and one line for what is wrong."""

from pathlib import Path

import pytest

from firmware.update import making
from firmware.update.__main__ import main
from firmware.update.disk import FolderDisk
from firmware.update.signing import trusted_keys
from hw.bundle import decode_manifest
from tests.support.updates import Box, Made, files

PROJECT = """[project]
version = "0.9.1"
requires-python = ">=3.11"
dependencies = ["numpy>=2.1", "pyzmq>=26", "pyserial>=3.5"]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for name, text in {
        "pyproject.toml": PROJECT,
        "hw/__init__.py": "",
        "hw/link.py": "VERSION, TABLE = 8, 0xAB\n",
        "hw/__pycache__/a.pyc": "no",
        "hw/.hidden": "no",
        "firmware/pico/board/x.py": "x = 1\n",
        "dsp/y.py": "no",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    return tree


def run(capsys: pytest.CaptureFixture[str], code: int, *words: object) -> str:
    assert main([str(word) for word in words]) == code
    said = capsys.readouterr()
    if code:
        assert said.err.count("\n") == 1
    return said.err if code else said.out


def test_from_keys_to_a_bundle_that_a_box_takes(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, again, folder = tmp_path / "one", tmp_path / "two", tmp_path / "k"
    said = run(capsys, 0, "keys", "release", "--folder", folder)
    assert "keep it off every box" in said
    assert (folder / "release.key").stat().st_mode & 0o777 == 0o600
    run(capsys, 0, "make", "--tree", tree, "--build", 3, "--may-replace", 4, "--out", out)
    assert "signed:   not" in run(capsys, 0, "show", out)
    assert "is not signed" in run(capsys, 2, "show", out, "--keys", folder)
    run(capsys, 0, "sign", out, "--key", folder / "release.key")
    run(
        capsys, 0, "make", "--tree", tree, "--build", 3, "--may-replace", 4, "--out", again,
        "--key", folder / "release.key",
    )  # fmt: skip
    assert out.read_bytes() == again.read_bytes()
    shown = run(capsys, 0, "show", out, "--keys", folder)
    assert "0.9.1 (build 3), 3 files, 31 bytes, may replace builds up to 4" in shown
    assert "Python 3.11, numpy>=2.1, pyserial>=3.5" in shown
    assert "by release, whom" in shown
    assert "version and table 8 000000ab" in shown
    head, manifest, _ = making.read(out)
    assert [file.path for file in manifest.files] == [
        "hw/__init__.py",
        "hw/link.py",
        "firmware/pico/board/x.py",
    ]
    assert decode_manifest(head.manifest) == manifest


def test_this_source_tree_makes_a_bundle() -> None:
    manifest, payload = making.make(Path(making.__file__).parents[2], 1)
    paths = {file.path for file in manifest.files}
    assert {"hw/link.py", "firmware/__main__.py", "firmware/update/launch.py"} <= paths
    assert {path.split("/")[0] for path in paths} == {"hw", "firmware"}
    assert {r.split(">")[0] for r in manifest.requires} == {"numpy", "numba", "pyserial", "pynacl"}
    assert len(payload) == manifest.size


@pytest.mark.parametrize("bit", range(3, 40000, 1777))
def test_a_damaged_bundle_file_is_told(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bit: int
) -> None:
    out = tmp_path / "one"
    folder = tmp_path / "k"
    run(capsys, 0, "keys", "r", "--folder", folder)
    (tree / "hw/big.py").write_bytes(b"#" * 3000)
    run(capsys, 0, "make", "--tree", tree, "--build", 3, "--out", out, "--key", folder / "r.key")
    data = bytearray(out.read_bytes())
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    out.write_bytes(data)
    run(capsys, 2, "show", out, "--keys", folder)


def test_what_cannot_be_made_is_one_line(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, new = tmp_path / "one", ("make", "--build", "1", "--out")
    assert "name evokd's source tree" in run(capsys, 2, *new, out, "--tree", tmp_path)
    (tree / "pyproject.toml").write_text("[project]\n")
    assert "is not evokd's" in run(capsys, 2, *new, out, "--tree", tree)
    (tree / "pyproject.toml").write_text(PROJECT)
    assert "cannot write" in run(capsys, 2, *new, tmp_path, "--tree", tree)
    assert "whole numbers" in run(capsys, 2, "make", "--build", 0, "--out", out, "--tree", tree)
    assert "check the path" in run(capsys, 2, *new, out, "--tree", tree, "--key", tmp_path / "none.key")
    (tmp_path / "bad.key").write_text("evokd-update-private zz\n")
    assert "is not one line" in run(capsys, 2, *new, out, "--tree", tree, "--key", tmp_path / "bad.key")
    (tree / "hw/bad name.py").write_text("")
    assert "is not allowed" in run(capsys, 2, *new, out, "--tree", tree)
    (tree / "hw/bad name.py").unlink()
    (tree / "hw/linked.py").symlink_to(tree / "hw/__init__.py")
    assert "is a link" in run(capsys, 2, *new, out, "--tree", tree)
    (tree / "hw/linked.py").unlink()
    (tree / "hw/link.py").write_text("VERSION = 3\n")
    assert "does not say which link it speaks: ImportError" in run(capsys, 2, *new, out, "--tree", tree)
    (tree / "firmware").rename(tree / "fw")
    assert "has no folder firmware" in run(capsys, 2, *new, out, "--tree", tree)


def test_what_cannot_be_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Made(tmp_path, 1, files(1))
    for data, why in (
        (b"nothing", "is no bundle"),
        (made.file[:-1], "not as long"),
        (made.file + b"!", "not as"),
    ):
        (tmp_path / "b").write_bytes(data)
        assert why in run(capsys, 2, "show", tmp_path / "b")
    assert "check the path" in run(capsys, 2, "show", tmp_path / "none")
    assert "see evokd bundle" in run(capsys, 2, "show")
    run(capsys, 0, "keys", "one", "--folder", tmp_path / "k")
    assert "is there already" in run(capsys, 2, "keys", "one", "--folder", tmp_path / "k")
    assert "may hold letters" in run(capsys, 2, "keys", "../x", "--folder", tmp_path / "k")
    assert "cannot write keys" in run(capsys, 2, "keys", "x", "--folder", tmp_path / "b/c")
    assert list(trusted_keys(tmp_path / "k").values()) == ["one"]
    assert trusted_keys(tmp_path / "nowhere") == {}


def test_a_box_shows_its_slots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box = Box(FolderDisk(tmp_path / "s"), tmp_path)
    box.power_up()
    assert box.update(Made(tmp_path, 1, files(1))) == ""
    assert "slot a, on trial, 0 starts" in run(capsys, 0, "status", "--state", tmp_path / "s")
    box.power_up()
    box.ill = {2}
    assert box.update(Made(tmp_path, 2, files(2))) == ""
    box.power_up()
    said = run(capsys, 0, "status", "--state", tmp_path / "s")
    assert "slot a:   0.1.0 (build 1), whole" in said
    assert "slot b:   empty" in said
    assert "builds up to 1 are refused" in said
    assert "last:     slot b, 0.2.0 (build 2), did not pass its trial" in said
    (tmp_path / "s/slots/a/tree/top.txt").write_bytes(b"!!")
    assert "top.txt is damaged" in run(capsys, 0, "status", "--state", tmp_path / "s")
    assert "is no folder" in run(capsys, 2, "status", "--state", tmp_path / "none")
