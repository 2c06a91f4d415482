"""Serial ports: found by who is plugged in, opened for one program alone, and their faults in one line.

A device that comes back may come back under another name, and another one under its name: one that has a USB
serial number is kept to it. Refuses to know what is said over a port.
"""

import contextlib
import errno
import termios
from dataclasses import dataclass
from pathlib import Path

import serial
from serial.tools import list_ports

from hostd.errors import LinkError

SERIAL_BAUD = 921600
WRITE_S = 10.0
# A link that breaks while it is used, or was closed by another thread; pyserial lets the C library's errors
# through, and its own TypeError from a port that has gone.
BROKEN = (OSError, ValueError, TypeError, serial.SerialException, termios.error)
# Somebody holds the lock that pyserial takes, or has made the terminal his own (TIOCEXCL).
_TAKEN = (errno.EAGAIN, errno.EBUSY)


@dataclass(frozen=True, slots=True)
class Device:
    """A port as it was asked for (`url`), what is opened now (`path`), and `usb`: vendor, product, serial
    number and interface of what is plugged in there, or "" where it has none."""

    url: str
    path: str
    usb: str = ""


class SerialWire:
    """An open port as the link's bytes. Raises one of BROKEN when the device has gone."""

    same_machine = False

    def __init__(self, device: Device, port: serial.SerialBase) -> None:
        self.device, self._port = device, port

    def read(self, timeout_s: float) -> bytes:
        """What has come, waiting at most so long for the first byte."""
        if self._port.timeout != timeout_s:  # setting it asks the device
            self._port.timeout = timeout_s
        data: bytes = self._port.read(1)
        return data + self._port.read(self._port.in_waiting) if data else b""

    def write(self, data: bytes) -> None:
        """Send all of it."""
        self._port.write(data)

    def close(self) -> None:
        """Let go of the port, whatever has become of its device."""
        with contextlib.suppress(*BROKEN):
            self._port.close()


def plugged_in() -> dict[str, str]:
    """Path of every serial device that tells a USB serial number, by who it is (see `Device.usb`)."""
    found = {}
    try:
        for port in list_ports.comports():
            if port.serial_number:
                interface = (port.location or "").partition(":")[2]
                who = f"{port.vid:04x}:{port.pid:04x} {port.serial_number} {interface}".strip()
                found[who] = port.device
    except BROKEN:  # one that is unplugged while it is looked at
        return {}
    return found


def find(url: str, usb: str = "") -> Device:
    """The port `url`; with `usb` wherever that device is now. Raises LinkError when it is nowhere."""
    if "://" in url:
        return Device(url, url)
    ports = plugged_in()
    if usb:
        if usb not in ports:
            raise LinkError(f"{usb}, which was at {url}, is not plugged in; check its cable")
        return Device(url, ports[usb], usb)
    here = str(Path(url).resolve())
    return Device(url, url, next((who for who, path in ports.items() if path == here), ""))


def open_wire(url: str, usb: str = "") -> SerialWire:
    """The port of `find`, ours alone, what had waited in it dropped. Raises LinkError: nobody there, no
    permission, in use."""
    device = find(url, usb)
    try:
        port = serial.serial_for_url(device.path, baudrate=SERIAL_BAUD, write_timeout=WRITE_S, exclusive=True)
    except BROKEN as error:
        raise LinkError(f"cannot open serial port {device.path}: {_reason(error)}") from None
    return SerialWire(device, port)


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in _TAKEN:
        return "it is in use, by which program is unknown; a case may be running there: end that first"
    if number in (errno.EACCES, errno.EPERM):
        return "no permission; add this user to the group that owns it (dialout, as a rule)"
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return "there is no such device; check its name and its cable"
    return f"{error}; check its name and permissions"
