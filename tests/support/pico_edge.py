"""The coprocessor's firmware in MicroPython's unix port, on a pseudo-terminal, a modelled board behind it."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

from firmware.pico import image
from tests.support.pico_model import PicoModel

HERE = Path(__file__).parent.parent / "firmware" / "pico"
BOARD = Path(__file__).parents[2] / "firmware" / "pico" / "board"
MICROPYTHON = Path(sys.executable).parent / "micropython"


def board_files(folder: Path) -> Path:
    """Everything that goes onto a board, under `folder`."""
    for path, content in image.build().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


class Cable:
    """The USB cable: carries bytes between the firmware and a pseudo-terminal. `harm` may change what goes to
    the host."""

    def __init__(self, usb: socket.socket) -> None:
        self._usb = usb
        usb.setblocking(False)
        self._master, self._slave = os.openpty()
        for end in (self._master, self._slave):
            tty.setraw(end)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self.harm: Callable[[bytes], bytes] = lambda data: data
        self._end, self._told = os.pipe()
        self._thread = threading.Thread(target=self._carry, name="test-cable", daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        to_host, to_board = bytearray(), bytearray()
        usb = self._usb.fileno()
        while True:
            readers = [self._end] + [usb] * (len(to_host) < 1 << 14) + [self._master] * (len(to_board) < 4096)
            writers = [self._master] * bool(to_host) + [usb] * bool(to_board)
            # A flush of a full terminal makes room without waking who waits for it: look again now and then.
            ready, room, _ = select.select(readers, writers, [], 0.02)
            if self._end in ready:
                return
            if usb in ready:
                try:
                    data = self._usb.recv(1 << 13)
                except ConnectionError:
                    data = b""
                if not data:
                    return
                to_host += self.harm(data)
            if self._master in ready:
                to_board += os.read(self._master, 4096)
            if to_host:
                with contextlib.suppress(BlockingIOError):
                    del to_host[: os.write(self._master, to_host[: 1 << 12])]
            if usb in room:
                with contextlib.suppress(BlockingIOError):
                    del to_board[: self._usb.send(to_board)]

    def unplug(self) -> None:
        """The host's port is gone; the board does not notice."""
        if self._told >= 0:
            os.close(self._told)
            self._thread.join(5.0)
            for descriptor in (self._master, self._slave, self._end):
                os.close(descriptor)
            self._told = -1


class PicoProcess:
    """The firmware running: `path` is its serial port. `crash` is what it said on the way down."""

    def __init__(self, model: PicoModel, files: Path, program: str = "run.py") -> None:
        self.model = model
        to_board, from_firmware = os.pipe()
        from_board, to_firmware = os.pipe()
        self._usb, theirs = socket.socketpair()
        self.plug()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._root = tempfile.TemporaryDirectory()
        environment = {
            "EVOKD_BOARD_TO": str(from_firmware),
            "EVOKD_BOARD_FROM": str(from_board),
            "EVOKD_BOARD_HZ": str(model.clock_hz),
            "EVOKD_BOARD_ROOT": self._root.name,
            "EVOKD_BOARD_BLOCKS": str(model.blocks),
        }
        shim = HERE / "shim"
        self.process = subprocess.Popen(
            [MICROPYTHON, "-X", "heapsize=8m", str(shim / program), str(shim), str(files)],
            stdin=theirs,
            stdout=theirs,
            stderr=self._errors,
            pass_fds=(from_firmware, from_board),
            env=environment,
        )
        theirs.close()
        os.close(from_firmware)
        os.close(from_board)
        self._server = threading.Thread(target=model.serve, args=(to_board, to_firmware), daemon=True)
        self._server.start()

    def plug(self) -> None:
        """A cable to a new serial port, whose name is `path`."""
        self.cable = Cable(self._usb)
        self.path = self.cable.path

    @property
    def crash(self) -> str:
        """What the interpreter said."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def stays(self) -> bool:
        """Whether it would stay in its prompt at the next start."""
        return (Path(self._root.name) / "stay").exists()

    def end(self) -> None:
        """Power off."""
        self.model.stop()
        self.process.kill()
        self.process.wait()
        self.cable.unplug()
        self._usb.close()
        self._server.join(5.0)
        self._root.cleanup()


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
