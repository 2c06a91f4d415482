"""The set that is flashed, started by the board's own main.py as a power-up does it."""

from pathlib import Path

import pytest

from firmware.pico import identity, image
from hw.link import Description, Fault, Hello, hello
from tests.support.edges import configure, ramp_model
from tests.support.pico_edge import PicoProcess
from tests.support.pico_talk import JOB, Talk


def flashed(root: Path, slot: str = "a") -> Path:
    """A board's file system with this version's set in a slot that is to run."""
    for path, content in image.build().items():
        (root / slot / path).parent.mkdir(parents=True, exist_ok=True)
        (root / slot / path).write_bytes(content)
    (root / "main.py").write_bytes(image.starter())
    (root / "active").write_text(slot)
    return root


def test_main_verifies_the_set_and_starts_the_edge_which_says_what_it_is(tmp_path: Path) -> None:
    board = PicoProcess(ramp_model(), flashed(tmp_path), "boot.py")
    try:
        t = Talk(board)
        t.send(hello("check", 1))
        heard = t.until(lambda m: isinstance(m, Description))
        assert isinstance(heard[0], Hello)
        who, built = identity.read(heard[-1].source), image.read_manifest(image.build()[image.MANIFEST])
        assert who is not None and built is not None
        assert (who.version, who.image) == (built.version, built.image[:16])
        assert who.self_test == "self test passed"
        said = t.link.open(configure(JOB))
        assert (said.rate_hz, said.lines) == (4000.0, 4)
        t.link.close()
    finally:
        board.end()
    assert board.crash == ""


@pytest.mark.control("H17.1")
def test_a_set_with_one_wrong_byte_is_not_started_and_the_other_one_is(tmp_path: Path) -> None:
    root = flashed(flashed(tmp_path, "b"), "a")
    edge = root / "a" / "evokd" / "edge.py"
    edge.write_bytes(edge.read_bytes().replace(b"SILENCE_MS)", b"SILENCE_M0)"))
    board = PicoProcess(ramp_model(), root, "boot.py")
    try:
        t = Talk(board)
        t.send(hello("check", 1))
        heard = t.until(lambda m: isinstance(m, Description | Fault))
        assert isinstance(heard[-1], Description)
        t.link.close()
    finally:
        board.end()
