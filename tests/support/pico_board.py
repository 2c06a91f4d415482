"""A Raspberry Pi Pico on a pseudo-terminal: its flash is a file with a real littlefs, its code runs in
MicroPython.

It restarts and comes back under its name like a USB device, loses power at any byte that it is sent or any
write to its flash (which is then half done), is pulled out, or is no Pico at all.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware.flash.places import VENDOR, Machine

BLOCK = 4096
BLOCKS = 64
RESET, SOFT, SOFT_START = 3, 4, 6
INTERPRETER = Path(__file__).with_name("pico_interpreter.py")
VOLUME = Path(__file__).with_name("pico_volume.py")
PICO = ("micropython", (1, 22, 1), "rp2", "Raspberry Pi Pico with RP2040")
# The unix port is a CPython extension; without site it starts in 16 ms rather than 35.
RUN = """
import sys
sys.path.append(sys.argv.pop(1))
import micropython_run
sys.exit(micropython_run.run_main(sys.argv))
"""


def micropython(script: Path, folder: Path, **how: Any) -> "subprocess.Popen[bytes]":
    """`script` in MicroPython, in `folder`; it dies of arguments longer than 255 bytes."""
    import micropython_run

    site = str(Path(micropython_run.__file__).parent)
    command = [sys.executable, "-S", "-E", "-c", RUN, site, "-X", "heapsize=16M", str(script)]
    return subprocess.Popen(command, cwd=folder, **how)


@dataclass
class UsbPort:
    device: str
    vid: int | None = VENDOR
    serial_number: str | None = None


@dataclass
class PicoBoard:
    """One board. `power_up` plugs it in; counts, log and cuts are since then. `who` answers on it."""

    folder: Path
    name: str = "ttyACM0"
    who: tuple[str, tuple[int, ...], str, str] = PICO
    blocks: int = BLOCKS
    cut_bytes: int = -1
    cut_writes: int = -1
    starts: int = 0
    gone: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.device = self.folder / self.name
        self.flash, self.before = self.folder / "flash.img", self.folder / "before.img"
        self.log = self.folder / "flash.log"
        self._state = self.folder / "state.json"
        if not self.flash.exists():
            self.flash.write_bytes(b"\xff" * BLOCK * self.blocks)
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pulled = False

    def ports(self) -> list[UsbPort]:
        return [UsbPort(str(self.device), serial_number=self.name)] if self.device.exists() else []

    def machine(self) -> Machine:
        """A machine with this board and nothing else."""
        return Machine(self.ports, self.folder / "mounts", self.folder / "by-label")

    def power_up(self, cut_bytes: int = -1, cut_writes: int = -1) -> None:
        self.power_down()
        self.cut_bytes, self.cut_writes, self._pulled = cut_bytes, cut_writes, False
        shutil.copy(self.flash, self.before)
        self.log.write_bytes(b"")
        self._state.write_text(f"{json.dumps({'bytes': 0, 'writes': 0}):80}")
        self.gone.clear()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(ready,), name="board")
        self._thread.start()
        ready.wait()

    def power_down(self) -> None:
        """Pull it out."""
        self._pulled = True
        if self._process is not None:
            self._process.kill()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def counts(self) -> dict[str, int]:
        """Bytes received and writes done, as of its last reset or end."""
        told: dict[str, int] = json.loads(self._state.read_text())
        return told

    def after_cuts(self) -> list[tuple[str, str]]:
        """What would run at the first and at the second start, had power failed at any write since it was
        plugged in, or in the middle of it; the last one is after all of them. "repl": nothing runs."""
        return [(first, second) for first, second in self._volume("")]

    def boots(self) -> str:
        """Which set it starts when it is plugged in again, "repl" for none. It is pulled out."""
        told = self._volume("import json, os\nos.umount('/')\nprint(json.dumps(boot(flash)))\nflash.mount()")
        return str(told)

    def ask(self, code: str) -> Any:
        """What MicroPython prints as JSON with its flash mounted. It is pulled out."""
        return self._volume(code)

    def put(self, files: dict[str, bytes]) -> None:
        """Write files. It is pulled out."""
        code = ["import os", "def put(path, content):"]
        code += [" at = path.find('/', 1)", " while at > 0:"]
        code += ["  try: os.mkdir(path[:at])", "  except OSError: pass", "  at = path.find('/', at + 1)"]
        code += [" with open(path, 'wb') as file: file.write(content)"]
        code += [f"put({path!r}, {content!r})" for path, content in files.items()]
        self._volume("\n".join([*code, "print(0)"]))

    def _volume(self, code: str) -> Any:
        self.power_down()
        (self.folder / "told.json").write_text(json.dumps({"code": code}))
        out, _ = micropython(
            VOLUME, self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        ).communicate(timeout=60)
        return json.loads(out.splitlines()[-1])

    def _live(self, ready: threading.Event) -> None:
        code = RESET
        while code == RESET and not self._pulled:
            with self._plugged() as master:
                ready.set()
                raw = False
                while True:
                    code = self._run(master, raw)
                    if code not in (SOFT, SOFT_START):
                        break
                    raw = code == SOFT
        self.gone.set()

    @contextlib.contextmanager
    def _plugged(self) -> Iterator[int]:
        """The board on the bus: a terminal, and a name for it."""
        master, slave = os.openpty()
        tty.setraw(slave)
        try:
            self.device.symlink_to(os.ttyname(slave))
            yield master
        finally:
            self.device.unlink(missing_ok=True)
            os.close(master)
            os.close(slave)

    def _run(self, master: int, raw: bool) -> int:
        told = {"raw": raw, "bytes": self.cut_bytes, "writes": self.cut_writes, "who": self.who}
        (self.folder / "told.json").write_text(json.dumps(told))
        self.starts += 1
        self._process = micropython(INTERPRETER, self.folder, stdin=master, stdout=master)
        if self._pulled:
            self._process.kill()
        return self._process.wait()
