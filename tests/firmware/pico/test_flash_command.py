"""`evokd flash` as a person uses it: a new board from its drive on, what is shown, every fault one line."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from firmware.flash import __main__ as command
from firmware.flash import board
from firmware.flash.places import Machine
from firmware.pico import image
from tests.firmware.pico.test_flash_uf2 import WHOLE
from tests.support.pico_board import PicoBoard, UsbPort
from tests.support.pico_flash import ONE, flashed, image_of, pico, quick, with_one

__all__ = ["flashed", "pico", "quick", "with_one"]


@pytest.fixture(autouse=True)
def of_this_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "build", lambda: ONE)


class Bootsel:
    """A board in BOOTSEL mode: once its drive holds the whole interpreter, it is a port."""

    def __init__(self, folder: Path) -> None:
        self.board, self.drive = PicoBoard(folder / "pico"), folder / "RPI-RP2"
        self.starts = True
        self.drive.mkdir()
        (self.drive / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\nBoard-ID: RPI-RP2\n")
        self.machine = Machine(self.ports, folder / "mounts", folder / "by-label")
        self.machine.mounts.write_text(f"/dev/sda1 {self.drive} vfat rw 0 0\n")
        self.file = folder / "pico.uf2"
        self.file.write_bytes(WHOLE)

    def ports(self) -> list[UsbPort]:
        put = self.drive / "evokd.uf2"
        if self.starts and put.exists() and put.read_bytes() == WHOLE:
            (self.drive / "INFO_UF2.TXT").unlink()
            put.unlink()
            self.board.power_up()
        return self.board.ports()


def run(args: Sequence[str], machine: Machine, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = command.main(args, machine)
    out, err = capsys.readouterr()
    assert "Traceback" not in err and err.count("\n") <= 1
    return code, out, err


def test_a_new_board_gets_interpreter_and_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = Bootsel(tmp_path)
    code, out, err = run(["--check"], new.machine, capsys)
    assert code == 1 and "RP2040 in BOOTSEL mode at" in out and "evokd flash would change it" in out
    code, _, err = run([], new.machine, capsys)
    assert code == 2 and "give --interpreter FILE.uf2, MicroPython 1.22.0 or newer for the RP2040" in err
    sha256 = hashlib.sha256(WHOLE).hexdigest()
    try:
        code, out, err = run(["--interpreter", str(new.file), "--sha256", sha256], new.machine, capsys)
        assert (code, err) == (0, "")
        assert "sent:     MicroPython 1.22.1, 3072 bytes" in out and "started:  MicroPython at" in out
        assert f"image {image_of(ONE)}" in out.splitlines()[-1]
    finally:
        new.board.power_down()
    assert new.board.boots() == "one"


def test_a_board_that_does_not_come_back_from_its_bootloader_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "BACK_S", 0.05)
    new = Bootsel(tmp_path)
    new.starts = False
    new.file.with_name("pico.uf2.sha256").write_text(hashlib.sha256(WHOLE).hexdigest())
    code, _, err = run(["--interpreter", str(new.file)], new.machine, capsys)
    assert code == 1 and "did not come back as a serial port within 0.05 s; plug it in again" in err


def test_a_running_board_is_sent_to_its_bootloader_for_an_interpreter(
    with_one: PicoBoard, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(board, "BACK_S", 0.3)
    file = tmp_path / "pico.uf2"
    file.write_bytes(WHOLE)
    args = ["--interpreter", str(file), "--sha256", hashlib.sha256(WHOLE).hexdigest()]
    code, _, err = run(args, with_one.machine(), capsys)
    assert code == 1 and "is in BOOTSEL mode, but nobody mounts its drive; mount it and repeat" in err
    assert with_one.gone.is_set()


def test_what_is_on_a_board_is_shown_and_is_the_exit_code(
    with_one: PicoBoard, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(["--check", "--port", str(with_one.device)], with_one.machine(), capsys)
    assert code == 0 and out.splitlines()[-1] == "verdict:  up to date"
    monkeypatch.setattr(image, "build", lambda: image_of_two())
    code, out, _ = run(["--check"], with_one.machine(), capsys)
    assert code == 1 and out.splitlines()[-1] == "verdict:  evokd flash would change it"


def image_of_two() -> dict[str, bytes]:
    from tests.support.pico_flash import TWO

    return TWO


USAGE = {
    "an unknown option": (["--prot", "x"], "unrecognized arguments: --prot x; see evokd flash --help"),
    "a hash of nothing": (["--sha256", "0" * 64], "--sha256 belongs to --interpreter; give both"),
    "a check that writes": (["--check", "--yes"], "--check changes nothing; leave --interpreter"),
    "no such file": (["--interpreter", "none.uf2"], "--interpreter none.uf2: No such file or directory"),
    "no drive": (["--drive", "/"], "--drive / holds no INFO_UF2.TXT"),
}


@pytest.mark.parametrize(("args", "why"), USAGE.values(), ids=USAGE.keys())
def test_wrong_usage_is_one_line_and_exit_2(
    args: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(args, Machine(list, tmp_path / "m", tmp_path / "l"), capsys)
    assert (code, out) == (2, "") and err.startswith(f"evokd flash: {why}")


def test_no_board_is_one_line_and_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run([], Machine(list, tmp_path / "m", tmp_path / "l"), capsys)
    assert code == 1 and err.startswith("evokd flash: no board found; plug a Pico in")


def test_a_set_without_its_manifest_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "build", lambda: {"evokd/edge.py": b""})
    code, _, err = run([], Machine(list, tmp_path / "m", tmp_path / "l"), capsys)
    assert code == 1 and "no sound manifest; install evokd anew" in err


def test_a_signal_ends_it_with_the_way_on(
    with_one: PicoBoard, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "build", image_of_two)
    monkeypatch.setattr("firmware.flash.writing.verify", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    code, _, err = run([], with_one.machine(), capsys)
    assert code == 1 and "stopped by SIGINT before the end; the same command goes on where it was" in err
    monkeypatch.undo()
    monkeypatch.setattr(image, "build", image_of_two)
    code, out, _ = run([], with_one.machine(), capsys)
    assert code == 0 and "sent:     0 files" in out
    assert with_one.boots() == "two"


def test_evokd_hands_its_words_on() -> None:
    call = [sys.executable, "-m", "hostd", "flash", "--interpreter", "none.uf2"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "evokd flash: --interpreter none.uf2: No such file or directory; check the path\n"
