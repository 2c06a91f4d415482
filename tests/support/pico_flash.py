"""`evokd flash` on a simulated board: what it says, what it writes, and boards that are no Pico."""

import contextlib
import os
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from firmware.flash import board, contents
from firmware.flash.contents import Contents
from firmware.flash.course import Course, wanted
from firmware.flash.interpreter import Interpreter
from firmware.flash.places import Drive, Machine, Port
from firmware.pico import image
from tests.support.pico_board import PicoBoard
from tests.support.pico_set import pico_set

pytest.importorskip("micropython_run", reason="MicroPython's unix port comes for x86-64 Linux only")

Said = list[tuple[str, str]]


ONE, TWO = pico_set("one"), pico_set("two")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated board is asked as often, but waited for less long."""
    monkeypatch.setattr(board, "PROMPT_S", 0.05)
    monkeypatch.setattr(board, "POLL_S", 0.005)
    monkeypatch.setattr("firmware.flash.course.RESTART", "import machine\nmachine.reset()")


@pytest.fixture
def pico(tmp_path: Path) -> Iterator[PicoBoard]:
    """A new board with MicroPython, plugged in."""
    with plugged(PicoBoard(tmp_path / "pico")) as new:
        yield new


@pytest.fixture(scope="module")
def flashed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The flash of a board that was given set ONE, by us."""
    with plugged(PicoBoard(tmp_path_factory.mktemp("flashed"))) as new:
        flash(new, ONE)
    return new.flash.read_bytes()


@pytest.fixture
def with_one(tmp_path: Path, flashed: bytes) -> Iterator[PicoBoard]:
    """A board that runs set ONE, plugged in."""
    new = PicoBoard(tmp_path / "pico")
    new.flash.write_bytes(flashed)
    with plugged(new):
        yield new


@contextlib.contextmanager
def plugged(pico: PicoBoard) -> Iterator[PicoBoard]:
    pico.power_up()
    try:
        yield pico
    finally:
        pico.power_down()


def impatient(monkeypatch: pytest.MonkeyPatch, back_s: float = 5.0) -> None:
    """For boards that answer nothing: nobody waits for them."""
    for name, value in (("PROMPT_S", 0.05), ("LINK_S", 0.05), ("BACK_S", back_s)):
        monkeypatch.setattr(board, name, value)
    monkeypatch.setattr(board, "ASKED", 1)
    monkeypatch.setattr(board, "ASKED_STARTING", 2)


def course(machine: Machine, set_: Mapping[str, bytes], said: Said | None = None) -> Course:
    lines: Said = [] if said is None else said
    return Course(
        machine, wanted(set_, image.starter()), lambda *line: lines.append(line), lambda *_progress: None
    )


def flash(
    pico: PicoBoard,
    set_: Mapping[str, bytes],
    place: Port | Drive | None = None,
    with_: Interpreter | None = None,
    replace: bool = False,
) -> Said:
    """Flash the board; what was said."""
    said: Said = []
    machine = pico.machine()
    course(machine, set_, said).flash(place or machine.choose(None, None), with_, replace)
    return said


def check(pico: PicoBoard, set_: Mapping[str, bytes]) -> tuple[bool, str]:
    """Whether the board is up to date, and what was shown."""
    said: Said = []
    machine = pico.machine()
    same = course(machine, set_, said).check(machine.choose(None, None))
    return same, "\n".join(f"{topic}: {text}" for topic, text in said)


def topics(said: Said) -> list[str]:
    return [topic for topic, _ in said]


def line(said: Said, topic: str) -> str:
    return next(text for which, text in said if which == topic)


def lying_there(pico: PicoBoard) -> Contents:
    """What is on the board, which is pulled out."""
    return contents.read_contents(pico.ask(contents.SURVEY))


def image_of(set_: dict[str, bytes]) -> str:
    """As a running board names it."""
    told = image.read_manifest(set_[image.MANIFEST])
    assert told is not None
    return told.image[:16]


@contextlib.contextmanager
def device(folder: Path, answer: Callable[[bytes], bytes]) -> Iterator[Port]:
    """A serial port with something else on it, which answers every read with `answer` of it."""
    master, slave = os.openpty()
    tty.setraw(slave)
    name = folder / "ttyACM9"
    name.symlink_to(os.ttyname(slave))

    def live() -> None:
        with contextlib.suppress(OSError):
            while heard := os.read(master, 4096):
                if heard == b"the end":
                    return
                os.write(master, answer(heard))

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield Port(str(name))
    finally:
        os.write(slave, b"the end")
        thread.join()
        os.close(master)
        os.close(slave)
        name.unlink()
