"""The kernel's simulated GPIO chip: made in configfs, its inputs pulled and its levels read in sysfs.

Owns those files; refuses to know what a line is wired to. Source: drivers/gpio/gpio-sim.c of Linux 6.1.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

from firmware.errors import PortError

_CONFIG: Final = Path("/sys/kernel/config/gpio-sim")
_PLATFORM: Final = Path("/sys/devices/platform")
_BANK: Final = "bank0"
_PULLS: Final = (b"pull-down", b"pull-up")


class SimChip:
    """One chip called `label` with a line for each of `names`; there until `close`.

    Raises PortError where the kernel has no gpio-sim.
    """

    def __init__(self, label: str, names: tuple[str, ...]) -> None:
        self._folder = _CONFIG / f"evokd{os.getpid()}"
        self._n = len(names)
        self._pulls: dict[int, int] = {}
        try:
            bank = self._folder / _BANK
            bank.mkdir(parents=True)
            _tell(bank / "num_lines", str(self._n))
            _tell(bank / "label", label)
            for offset, name in enumerate(names):
                (bank / f"line{offset}").mkdir()
                _tell(bank / f"line{offset}" / "name", name)
            self._lines = Path()
            self.name, self.base = "", 0
            self.appear()
        except OSError as error:
            self.close()
            where = error.filename or _CONFIG
            raise PortError(
                f"{where}: {error.strerror}; as root: modprobe gpio-sim, and mount configfs"
            ) from None

    def appear(self) -> None:
        """The chip is there. Raises OSError."""
        _tell(self._folder / "live", "1")
        device = _PLATFORM / (self._folder / "dev_name").read_text(encoding="ascii").strip()
        self.name = (self._folder / _BANK / "chip_name").read_text(encoding="ascii").strip()
        self._lines = device / self.name
        base = next(device.glob("gpio/gpiochip*/base"))
        self.base = int(base.read_text(encoding="ascii"))

    def vanish(self) -> None:
        """The chip is gone, as if unplugged; `appear` brings it back with all inputs low."""
        for fd in self._pulls.values():
            os.close(fd)
        self._pulls.clear()
        _tell(self._folder / "live", "0")

    def pull(self, offset: int, level: int) -> None:
        """Put `level` on a line from outside; an edge of an input is heard when this returns."""
        fd = self._pulls.get(offset)
        if fd is None:
            fd = os.open(self._lines / f"sim_gpio{offset}" / "pull", os.O_WRONLY | os.O_CLOEXEC)
            self._pulls[offset] = fd
        os.pwrite(fd, _PULLS[level], 0)

    def level(self, offset: int) -> int:
        """What a voltmeter would say."""
        return int((self._lines / f"sim_gpio{offset}" / "value").read_bytes())

    def levels(self) -> list[int]:
        """Of every line."""
        return [self.level(offset) for offset in range(self._n)]

    def close(self) -> None:
        """Take all away again."""
        with contextlib.suppress(OSError):
            self.vanish()
        bank = self._folder / _BANK
        for folder in (*sorted(bank.glob("line*")), bank, self._folder):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _tell(path: Path, text: str) -> None:
    """Write an attribute. Raises OSError with the path."""
    try:
        path.write_text(text, encoding="ascii")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
