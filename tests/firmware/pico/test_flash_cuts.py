"""Power may fail at any byte and in any write: the old set runs, the new one or none, never a mixture."""

from pathlib import Path

import pytest

from firmware.flash import board
from hw.link import VERSION
from tests.flash.cuts import NEW, Start, cuts, wrong_after
from tests.support.pico_board import PicoBoard
from tests.support.pico_flash import ONE, flash, flashed, line, pico, quick, topics, with_one

__all__ = ["flashed", "pico", "quick", "with_one"]


def test_power_lost_in_any_write_of_a_first_flash_leaves_nothing_or_the_set(pico: PicoBoard) -> None:
    flash(pico, NEW)
    outcomes = pico.after_cuts()
    assert set(outcomes) == {("repl", "repl"), ("new", "repl"), ("new", "new")}, "the trial runs once"
    assert outcomes[-1] == ("new", "new") and len(outcomes) > 2 * 40


@pytest.mark.control("H17.1")
def test_power_lost_in_any_write_of_an_update_leaves_the_old_set_or_the_new_one(with_one: PicoBoard) -> None:
    flash(with_one, NEW)
    outcomes = with_one.after_cuts()
    # The REPL comes once, where the firmware was left for it.
    assert set(outcomes) == {("one", "one"), ("repl", "one"), ("new", "one"), ("new", "new")}
    assert outcomes[-1] == ("new", "new") and len(outcomes) > 2 * 40
    kept = outcomes.index(("new", "new"))
    assert set(outcomes[kept:]) == {("new", "new")}, "what is kept stays"


@pytest.mark.parametrize("k", range(2))
def test_an_attempt_that_power_ended_is_repeated_to_its_end(
    tmp_path: Path, flashed: bytes, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "BACK_S", 0.7)
    start = Start(flashed, "one", 15000, 44)  # of `make flash-cuts`, which tries hundreds
    assert wrong_after(tmp_path / "pico", start, list(cuts(start, 1, seed=2))[k]) == ""


def test_files_that_are_right_on_the_board_are_not_sent_again(with_one: PicoBoard) -> None:
    with_one.put({"/b/evokd/one.py": NEW["evokd/one.py"], "/b/evokd/two.py": NEW["evokd/two.py"][:3000]})
    with_one.power_up()
    said = flash(with_one, NEW)
    assert line(said, "sent").startswith("4 files, ") and line(said, "sent").endswith("; 1 were there")
    assert "kept" in topics(said)


def test_a_set_written_whole_but_never_tried_is_tried_without_a_byte_sent(with_one: PicoBoard) -> None:
    with_one.put({f"/b/{path}": content for path, content in NEW.items()})
    with_one.power_up()
    said = flash(with_one, NEW)
    assert line(said, "sent").startswith("0 files, 0 bytes") and topics(said)[-3:] == [
        "on trial",
        "kept",
        "started",
    ]
    assert with_one.boots() == "new"


DAMAGED = (
    ("/a/manifest.json", ONE["manifest.json"][:-20]),
    ("/a/manifest.json", ONE["manifest.json"].replace(b'"version": "0', b'"version": "1')),
    (
        "/a/manifest.json",
        ONE["manifest.json"].replace(b'"link": %d' % VERSION, b'"link": %d' % (VERSION + 1)),
    ),
    ("/a/manifest.json", b"[]"),
    ("/a/manifest.json", b'{"files": {}}'),
    ("/a/evokd/two.py", b"TAG = 'one'"),
    ("/active", b"c\n"),
    ("/active", b""),
)
WITH_DAMAGE = """
import json, os
found = []
for path, damaged in {damaged!r}:
    with open(path, "rb") as file:
        good = file.read()
    for content in (damaged, good):
        with open(path, "wb") as file:
            file.write(content)
        os.umount("/")
        found.append(boot(flash))
        flash.mount()
print(json.dumps(found))
"""


def test_the_board_tells_a_damaged_set_from_a_whole_one(with_one: PicoBoard) -> None:
    """main.py reckons as image.py does, and believes no manifest whose own hash is wrong."""
    assert with_one.ask(WITH_DAMAGE.format(damaged=DAMAGED)) == ["repl", "one"] * len(DAMAGED)


WITH_PINS = """
import json, os, sys
class Micropython:
    def kbd_intr(self, char):
        told.append(char)
sys.modules["micropython"] = Micropython()
os.umount("/")
boot(flash)
flash.mount()
print(json.dumps(told))
"""


@pytest.mark.control("H1.1")
def test_pins_are_let_go_and_no_byte_interrupts_from_the_first_line_on(with_one: PicoBoard) -> None:
    """A host's Hello may hold a 3, which is Ctrl-C; at the end the REPL is people's again."""
    pins = [[number, "in", "pull-down"] for number in (*range(23), 26, 27, 28)]
    assert with_one.ask(WITH_PINS) == [-1, *pins, "ran", *pins, 3]
