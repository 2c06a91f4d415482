"""Where a board may be: a serial port, or its bootloader's drive. Finds and chooses, opens nothing."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serial.tools import list_ports

from firmware.errors import ConfigError, PortError

VENDOR = 0x2E8A
"""Raspberry Pi's USB vendor id, which MicroPython for these chips and their bootloaders use."""
INFO = "INFO_UF2.TXT"
CHIP_OF_BOARD_ID = {"RPI-RP2": "RP2040", "RP2350": "RP2350"}
LABELS = ("RPI-RP2", "RP2350")
BY_LABEL = Path("/dev/disk/by-label")
MOUNTS = Path("/proc/self/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")


class UsbPort(Protocol):
    """What pyserial tells of a port."""

    device: str
    vid: int | None
    serial_number: str | None


@dataclass(frozen=True, slots=True)
class Drive:
    """The folder of a bootloader, and the chip whose it is."""

    folder: Path
    chip: str


@dataclass(frozen=True, slots=True)
class Port:
    """A serial port, and by what it is known again when the board comes back under another name."""

    device: str
    serial_number: str = ""


Ports = Callable[[], Iterable[UsbPort]]


def usb_ports() -> Iterable[UsbPort]:
    """All serial ports of this machine."""
    ports: Iterable[UsbPort] = list_ports.comports()
    return ports


@dataclass(frozen=True, slots=True)
class Machine:
    """Where this machine tells of ports and drives."""

    ports: Ports = usb_ports
    mounts: Path = MOUNTS
    by_label: Path = BY_LABEL

    def boards(self) -> tuple[Port, ...]:
        """Serial ports of the vendor."""
        ours = (port for port in self.ports() if port.vid == VENDOR)
        return tuple(Port(port.device, port.serial_number or "") for port in ours)

    def drives(self) -> tuple[Drive, ...]:
        """Mounted bootloaders of chips that we know."""
        return tuple(drive for folder in self._mounted() if (drive := _drive(folder)) is not None)

    def port(self, device: str) -> Port:
        """`device` with what USB knows of it, which may be nothing."""
        real = Path(device).resolve()
        known = (p for p in self.ports() if Path(p.device).resolve() == real)
        return next((Port(device, p.serial_number or "") for p in known), Port(device))

    def again(self, port: Port) -> Port | None:
        """Where `port` is now, by its serial number or else its name; None while it is away."""
        if port.serial_number:
            same = (p for p in self.ports() if p.serial_number == port.serial_number)
            found = next(same, None)
            return None if found is None else Port(found.device, port.serial_number)
        return port if Path(port.device).exists() else None

    def choose(self, device: str | None, folder: Path | None) -> Port | Drive:
        """The one board. Raises ConfigError for two or for a folder that is none, PortError for none."""
        if device is not None and folder is not None:
            raise ConfigError("--port and --drive exclude each other; give one")
        if folder is not None:
            return read_drive(folder)
        if device is not None:
            return self.port(device)
        found: list[Port | Drive] = [*self.boards(), *self.drives()]
        if len(found) > 1:
            names = ", ".join(named(place) for place in found)
            raise ConfigError(f"{len(found)} boards found: {names}; choose with --port or --drive")
        if not found:
            raise PortError(f"no board found; {self._cure()}")
        return found[0]

    def _cure(self) -> str:
        unmounted = [label for label in LABELS if (self.by_label / label).exists()]
        if unmounted:
            device = self.by_label / unmounted[0]
            return f"{device} is a board's drive but not mounted: mount it and give --drive DIR"
        return "plug a Pico in, a new one with BOOTSEL held down, or name its port with --port"

    def _mounted(self) -> list[Path]:
        try:
            lines = self.mounts.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:  # not Linux: --drive names it
            return []
        words = (line.split(" ") for line in lines)
        paths = (_OCTAL.sub(lambda m: chr(int(m[1], 8)), word[1]) for word in words if len(word) > 2)
        return [Path(path) for path in paths]


def named(place: Port | Drive) -> str:
    """As a person would find it."""
    return place.device if isinstance(place, Port) else f"{place.chip} in BOOTSEL mode at {place.folder}"


def read_drive(folder: Path) -> Drive:
    """The bootloader at `folder`. Raises ConfigError for any other folder or board."""
    drive = _drive(folder)
    if drive is not None:
        return drive
    try:
        info = (folder / INFO).read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise ConfigError(
            f"--drive {folder} holds no {INFO}; give the folder of a board in BOOTSEL mode"
        ) from None
    known = " or ".join(CHIP_OF_BOARD_ID.values())
    raise ConfigError(f"--drive {folder} is a board {_board_id(info)!r}; only {known} can be flashed")


def _drive(folder: Path) -> Drive | None:
    try:
        info = (folder / INFO).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    chip = CHIP_OF_BOARD_ID.get(_board_id(info))
    return None if chip is None else Drive(folder, chip)


def _board_id(info: str) -> str:
    lines = (line.partition(":") for line in info.splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == "Board-ID"), "")
