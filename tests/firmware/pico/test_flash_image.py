"""The set for the board is the same for the same sources, names itself by one hash, shows every change."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from firmware.errors import EdgeError
from firmware.pico import identity, image
from hw.link import TABLE, VERSION


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board's sources, and a generator beside them."""
    folder = tmp_path / "evokd"
    folder.mkdir()
    (folder / "edge.py").write_text("def main(): pass\n")
    (folder / "b.py").write_text("b = 1\n")
    monkeypatch.setattr(image, "BOARD", tmp_path)
    made = {"link": "link = 1\n", "evokd/limits.py": "limits = 1\n"}
    monkeypatch.setitem(sys.modules, image.GENERATOR, SimpleNamespace(modules=lambda: made))
    return folder


def test_a_set_holds_sources_generated_modules_and_their_manifest(sources: Path) -> None:
    built = image.build()
    assert list(built) == ["evokd/b.py", "evokd/edge.py", "evokd/limits.py", "evokd/link.py", "manifest.json"]
    assert built == image.build() and list(built) == list(image.build())
    told = image.read_manifest(built["manifest.json"])
    assert told is not None and (told.link, told.table) == (VERSION, f"{TABLE:08x}")
    assert told.files == {path: image.sha256(built[path]) for path in list(built)[:-1]}
    (sources / "b.py").write_text("b = 2\n")
    changed = image.read_manifest(image.build()["manifest.json"])
    assert changed is not None and changed.image != told.image


def test_what_an_installation_lacks_is_told(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sources / "link.py").write_text("")
    with pytest.raises(EdgeError, match=r"evokd/link.py is both a source and generated; remove"):
        image.build()
    (sources / "link.py").unlink()
    (sources / "edge.py").unlink()
    with pytest.raises(EdgeError, match=r"evokd/edge.py is missing; install evokd anew"):
        image.build()
    monkeypatch.setattr(image, "GENERATOR", "firmware.pico.none_such")
    with pytest.raises(EdgeError, match=r"firmware.pico.none_such is missing; install evokd anew"):
        image.build()


def test_a_manifest_that_was_changed_is_none(sources: Path) -> None:
    told = json.loads(image.build()["manifest.json"])
    assert image.read_manifest(json.dumps(told)) is not None
    for change in (
        {"version": "9"},
        {"link": 9},
        {"table": "0"},
        {"image": "0"},
        {"files": {}},
        {"files": []},
    ):
        assert image.read_manifest(json.dumps({**told, **change})) is None
    for text in ("", "[]", "{}", '"x"', "\xff"):
        assert image.read_manifest(text) is None


def test_a_board_names_itself_so_that_it_can_be_read() -> None:
    told = identity.Identity("RP2350", "0.1.0", "0123456789abcdef" * 4, "self test: no converter; 2 of 3")
    assert told.text == "pico RP2350; evokd 0.1.0; image 0123456789abcdef; self test: no converter; 2 of 3"
    read = identity.read(told.text)
    assert read is not None and read.image == "0123456789abcdef" and read.self_test == told.self_test
    for other in (
        "simulated",
        "",
        "pico RP2350; evokd 1; image 0123; x",
        told.text.replace("image", "Image"),
    ):
        assert identity.read(other) is None


def test_main_py_is_recognised_by_its_first_words() -> None:
    from firmware.flash.contents import MARK

    assert image.starter().decode().startswith(MARK)
