"""The coprocessor's firmware in MicroPython's unix port, on a pseudo-terminal, with a modelled board behind."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

from firmware.pico import generate
from tests.support.pico_model import PicoModel

HERE = Path(__file__).parent.parent / "firmware" / "pico"
BOARD = Path(__file__).parents[2] / "firmware" / "pico" / "board"
MICROPYTHON = Path(sys.executable).parent / "micropython"


def board_files(folder: Path) -> Path:
    """Everything that goes onto a board, under `folder`."""
    shutil.copytree(BOARD, folder, dirs_exist_ok=True)
    for name, text in generate.modules().items():
        (folder / "evokd" / f"{name}.py").write_text(text)
    return folder


class PicoProcess:
    """The firmware running: `path` is its serial port. `crash` is what it said on the way down."""

    def __init__(self, model: PicoModel, files: Path, image: str = "0" * 16) -> None:
        self.model = model
        to_board, from_firmware = os.pipe()
        from_board, to_firmware = os.pipe()
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._errors = tempfile.TemporaryFile()
        environment = {
            "EVOKD_BOARD_TO": str(from_firmware),
            "EVOKD_BOARD_FROM": str(from_board),
            "EVOKD_BOARD_HZ": str(model.clock_hz),
        }
        shim = HERE / "shim"
        self.process = subprocess.Popen(
            [MICROPYTHON, "-X", "heapsize=8m", str(shim / "run.py"), str(shim), str(files), image],
            stdin=self._master,
            stdout=self._master,
            stderr=self._errors,
            pass_fds=(from_firmware, from_board),
            env=environment,
        )
        self._slave = slave
        os.close(from_firmware)
        os.close(from_board)
        self._server = threading.Thread(target=model.serve, args=(to_board, to_firmware), daemon=True)
        self._server.start()

    @property
    def crash(self) -> str:
        """What the interpreter said."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def end(self) -> None:
        """Power off."""
        self.model.stop()
        self.process.kill()
        self.process.wait()
        for descriptor in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._server.join(5.0)


@contextlib.contextmanager
def pico(model: PicoModel, files: Path) -> Iterator[PicoProcess]:
    """A running board; what its interpreter complained of is an error."""
    board = PicoProcess(model, files)
    try:
        yield board
    finally:
        board.end()
        if said := board.crash:
            raise AssertionError(said)
