"""A board is flashed whole and told what is done; what runs is not touched until the new set has answered."""

from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from firmware.errors import ConfigError, EdgeError, LinkError, PortError
from firmware.flash import board
from firmware.flash.places import Port
from firmware.flash.repl import Repl
from hw.link import TABLE, VERSION, Hello
from tests.support.pico_board import PicoBoard
from tests.support.pico_flash import (
    ONE,
    TWO,
    check,
    flash,
    flashed,
    image_of,
    line,
    lying_there,
    pico,
    plugged,
    quick,
    topics,
    with_one,
)
from tests.support.pico_set import pico_set, signed

__all__ = ["flashed", "pico", "quick", "with_one"]


def in_slot(slot: str, set_: dict[str, bytes]) -> dict[str, bytes]:
    return {f"/{slot}/{path}": content for path, content in set_.items()}


def test_an_empty_board_gets_the_set_and_runs_it(pico: PicoBoard) -> None:
    said = flash(pico, ONE)
    steps = ["board", "holds", "holds", "set", "sent", "verified", "on trial", "kept", "started"]
    assert topics(said) == steps
    assert line(said, "holds") == "Raspberry Pi Pico with RP2040, MicroPython 1.22.1"
    assert said[2] == ("holds", "nothing of evokd")
    assert image_of(ONE) in line(said, "set") and line(said, "set").endswith("-> slot a")
    assert line(said, "sent").startswith("5 files, ") and line(said, "sent").endswith("0 were there")
    assert f"image {image_of(ONE)}" in line(said, "started") and "self test passed" in line(said, "started")
    assert pico.boots() == "one"


def test_an_update_goes_beside_the_old_set_which_stays(with_one: PicoBoard) -> None:
    said = flash(with_one, TWO)
    assert any(text.startswith("slot a, runs: ") and image_of(ONE) in text for _, text in said)
    assert line(said, "kept").startswith("slot b")
    found = lying_there(with_one)
    assert found.active == found.runs == "b" and found.whole("a")
    assert with_one.boots() == "two"


def test_the_same_set_again_sends_nothing(with_one: PicoBoard) -> None:
    said = flash(with_one, ONE)
    assert line(said, "sent").startswith("0 files, 0 bytes") and "kept" not in topics(said)
    assert line(said, "set").endswith("-> slot a")
    assert with_one.boots() == "one"


@pytest.mark.control("H17.2")
def test_a_board_that_is_busy_with_a_case_is_left_alone(with_one: PicoBoard) -> None:
    with_one.put(in_slot("a", pico_set("busy", busy=True)))
    with_one.power_up()
    for attempt in (flash, check):
        with pytest.raises(PortError, match="a case is running on this board; end it"):
            attempt(with_one, TWO)
    with_one.power_down()
    assert with_one.log.read_bytes() == b""


def test_a_port_that_somebody_has_is_left_alone(with_one: PicoBoard) -> None:
    with board.opened(Port(str(with_one.device))):
        for attempt in (flash, check):
            with pytest.raises(PortError, match="ttyACM0: another program has it, perhaps a running case"):
                attempt(with_one, TWO)
    with_one.power_down()
    assert with_one.log.read_bytes() == b""


def test_somebody_elses_program_is_replaced_only_when_told_so(pico: PicoBoard) -> None:
    pico.put({"/main.py": b"theirs = 1\n", "/boot.py": b"theirs = 2\n", "/mine.txt": b"mine"})
    pico.power_up()
    with pytest.raises(ConfigError, match=r"main.py that is not evokd's; --yes replaces it"):
        flash(pico, ONE)
    same, shown = check(pico, ONE)
    assert not same and "holds: a main.py that is not evokd's (11 bytes)" in shown
    assert "holds: a boot.py, which runs before evokd and is left alone" in shown
    assert lying_there(pico).foreign and not lying_there(pico).folders
    pico.power_up()
    flash(pico, ONE, replace=True)
    assert pico.boots() == "one"
    assert pico.ask("import json\nprint(json.dumps(open('/mine.txt').read()))") == "mine"


NO_START = {
    "it raises": "raise ValueError('no')\n",
    "it is no Python": "def main(:\n",
}


@pytest.mark.control("H17.1")
@pytest.mark.parametrize("edge", NO_START.values(), ids=NO_START.keys())
def test_a_set_that_does_not_start_leaves_the_old_one(with_one: PicoBoard, edge: str) -> None:
    with pytest.raises(LinkError, match=f"image {image_of(ONE)} answers, not .*; the board starts what"):
        flash(with_one, pico_set("bad", edge=edge))
    assert lying_there(with_one).active == "a"
    assert with_one.boots() == "one"


def test_a_first_set_that_does_not_start_leaves_the_repl(
    pico: PicoBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "LINK_S", 0.2)
    with pytest.raises(LinkError, match="the new set did not start, the board is in the REPL"):
        flash(pico, pico_set("bad", edge="import nothing_like_it\n"))
    flash(pico, ONE)
    assert pico.boots() == "one"


def test_a_set_that_hangs_is_gone_with_the_next_power_up(
    with_one: PicoBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = "import sys\ndef main():\n while True: sys.stdin.buffer.read(1)\n"
    monkeypatch.setattr(board, "ASKED_STARTING", 1)
    monkeypatch.setattr(board, "LINK_S", 0.3)
    with pytest.raises(LinkError, match="the new set does not answer; plug the board in again, which starts"):
        flash(with_one, pico_set("hangs", edge=hangs))
    assert with_one.boots() == "one"


OTHER = "pico X; evokd 1; image 0123456789abcdef; ok"
NOT_KEPT = {
    "another image": (pico_set("x", source=OTHER), "an image 0123456789abcdef answers, not"),
    "no name": (pico_set("x", source="something"), "an image that it does not name answers"),
    "another table": (pico_set("x", greeting=Hello(VERSION, TABLE ^ 1, 7, "edge")), "edge has message table"),
}


@pytest.mark.parametrize(("wrong", "why"), NOT_KEPT.values(), ids=NOT_KEPT.keys())
def test_a_set_that_answers_as_another_is_not_kept(
    with_one: PicoBoard, wrong: dict[str, bytes], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "LINK_S", 0.5)
    with pytest.raises(LinkError, match=f"{why}.*; the board starts what it had before"):
        flash(with_one, wrong)
    assert with_one.boots() == "one"


def test_a_damaged_set_is_replaced_while_the_other_one_runs(with_one: PicoBoard) -> None:
    damaged = in_slot("b", TWO) | {"/b/evokd/one.py": b"TAG = 'rot'\n", "/active": b"b\n", "/stay": b"1"}
    with_one.put(damaged)
    with_one.power_up()
    same, shown = check(with_one, TWO)
    assert not same and "slot b, not whole" in shown and "slot a, runs" in shown
    assert with_one.boots() == "one"
    with_one.power_up()
    said = flash(with_one, TWO)
    assert line(said, "set").endswith("-> slot b") and line(said, "sent").endswith("; 3 were there")
    assert with_one.boots() == "two"


def test_what_is_too_much_in_a_slot_goes(with_one: PicoBoard) -> None:
    with_one.put({"/b/evokd/stray.py": b""})
    with_one.power_up()
    flash(with_one, TWO)
    assert set(lying_there(with_one).files) == {"/main.py", *in_slot("a", ONE), *in_slot("b", TWO)}


def test_a_flash_without_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with plugged(PicoBoard(tmp_path / "small", blocks=16)) as small:
        with pytest.raises(PortError, match=r"flash lacks \d+ KiB for this set; remove files of your own"):
            flash(small, pico_set("big", pad=40000))
        assert not lying_there(small).folders


def test_a_flash_that_fills_up_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.flash.contents.SPARE_BLOCKS", -1000)
    with plugged(PicoBoard(tmp_path / "small", blocks=12)) as small:
        with pytest.raises(
            EdgeError, match=r"the board failed writing /a/evokd/\w+.py: no space left; remove"
        ):
            flash(small, pico_set("big", pad=24000))
        assert small.boots() == "repl"


def test_firmware_that_does_not_leave_is_told_with_the_cure(
    with_one: PicoBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays = ONE["evokd/edge.py"].replace(b"leaving and True", b"False")
    files = {path: content for path, content in ONE.items() if path != "manifest.json"}
    monkeypatch.setattr(board, "RESTART_S", 0.1)
    with pytest.raises(LinkError, match="does not leave for the REPL; erase the flash"):
        flash(with_one, signed({**files, "evokd/edge.py": stays}))
    assert with_one.boots() == "one"


def test_what_runs_is_shown_without_a_write_to_the_board(with_one: PicoBoard) -> None:
    same, shown = check(with_one, ONE)
    assert same and f"runs: evokd 0.1.0 on RP2040, image {image_of(ONE)}, link {VERSION}" in shown
    same, _ = check(with_one, TWO)
    assert not same
    with_one.power_down()
    assert with_one.log.read_bytes() == b""


def test_an_edge_that_does_not_name_itself_is_shown_as_such(with_one: PicoBoard) -> None:
    nameless = pico_set("nameless", source="something else")
    with_one.put(in_slot("a", nameless))
    with_one.power_up()
    same, shown = check(with_one, nameless)
    assert not same and "runs: an evokd that does not name itself" in shown


def test_what_a_board_in_the_repl_holds_is_shown(with_one: PicoBoard) -> None:
    with_one.put({"/stay": b""})
    with_one.power_up()
    same, shown = check(with_one, ONE)
    assert same and f"slot a, runs: evokd 0.1.0, image {image_of(ONE)}" in shown


def test_what_a_new_board_holds_is_shown(pico: PicoBoard) -> None:
    same, shown = check(pico, ONE)
    assert not same and "MicroPython 1.22.1" in shown and "nothing of evokd" in shown


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/b/evokd/one.py", "/b/evokd/one.py on the board is not as sent"),
        ("/trial.new", "/trial.new on the board is not what was sent"),
        ("/active.new", "/active.new on the board is not what was sent"),
    ],
)
def test_what_the_board_keeps_wrongly_is_seen_and_not_started(
    with_one: PicoBoard, path: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Repl.write

    def write(repl: Repl, at: str, content: bytes, progress: Callable[[int], None]) -> None:
        right(repl, at, content[:-1] + b"#" if at == path else content, progress)

    monkeypatch.setattr(Repl, "write", write)
    with pytest.raises(PortError, match=f"{why}; repeat the command"):
        flash(with_one, TWO)
    assert with_one.boots() == "one"


def test_a_board_that_is_gone_before_its_answer_is_read_is_waited_for(
    with_one: PicoBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, lost = board.answer, []

    def answer(port: serial.SerialBase, role: str, starting: bool = False) -> board.Running | None:
        try:
            told = right(port, role, starting)
        except board.LostError:  # a board that is slow loses it by itself
            lost.append((role, starting))
            raise
        if (role, starting) not in lost and (role == board.FLASH or starting):
            lost.append((role, starting))
            raise board.LostError("gone")
        return told

    monkeypatch.setattr(board, "answer", answer)
    flash(with_one, TWO)
    assert len(lost) >= 2 and with_one.boots() == "two"  # a slow board is asked again as one that starts
