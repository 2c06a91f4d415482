"""Serial ports: one program at a time, found by who is plugged in, faults in one line."""

import errno
import os
import subprocess
import sys
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import serial

from hostd import serial_port
from hostd.errors import LinkError
from hostd.serial_port import Device, find, open_wire

PICO = "2e8a:0005 E6614103E7 1.0"


@dataclass
class Port:
    """A port as pyserial lists it."""

    device: str
    serial_number: str | None = "E6614103E7"
    vid: int | None = 0x2E8A
    pid: int | None = 0x0005
    location: str | None = "1-1.2:1.0"


def listed(monkeypatch: pytest.MonkeyPatch, *ports: Port) -> None:
    monkeypatch.setattr(serial_port.list_ports, "comports", lambda: list(ports))


@pytest.fixture
def terminal() -> Iterator[str]:
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_a_port_is_open_for_one_program_alone_and_free_again_when_closed(terminal: str) -> None:
    hold = "import serial, sys; p = serial.Serial(sys.argv[1], exclusive=True); print('held', flush=True)"
    hold += "; sys.stdin.read()"
    command = [sys.executable, "-c", hold, terminal]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(LinkError) as caught:
            open_wire(terminal)
        other.communicate()
    assert str(caught.value) == (
        f"cannot open serial port {terminal}: it is in use, by which program is unknown; "
        "a case may be running there: end that first"
    )
    first = open_wire(terminal)
    with pytest.raises(LinkError, match="it is in use"):
        open_wire(terminal)
    first.close()
    first.close()
    open_wire(terminal).close()


def test_what_had_waited_in_the_port_is_dropped() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    os.write(master, b"of the host before us\0")
    wire = open_wire(os.ttyname(slave))
    os.write(master, b"new")
    assert wire.read(5.0) == b"new" and wire.read(0.0) == b""
    wire.close()
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOENT, "there is no such device; check its name and its cable"),
        (errno.ENXIO, "there is no such device; check its name and its cable"),
        (errno.EACCES, "no permission; add this user to the group that owns it"),
        (errno.EBUSY, "it is in use, by which program is unknown"),
        (errno.EIO, "Input/output error; check its name and permissions"),
    ],
)
def test_a_port_that_cannot_be_opened_says_why(
    number: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(number, os.strerror(number))

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(LinkError) as caught:
        open_wire("/dev/ttyACM0")
    assert str(caught.value).startswith("cannot open serial port /dev/ttyACM0: ")
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.control("H13.1")
def test_a_device_is_known_by_its_usb_serial_number_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    device, link = tmp_path / "ttyACM0", tmp_path / "by-id"
    device.touch()
    link.symlink_to(device)
    listed(monkeypatch, Port("/dev/ttyS0", None), Port(str(device)), Port("/dev/ttyACM7", "other"))
    for url in (str(device), str(link)):
        assert find(url) == Device(url, url, PICO)
    assert find("/dev/ttyS0") == Device("/dev/ttyS0", "/dev/ttyS0", "")
    listed(monkeypatch, Port(str(device), "other"), Port("/dev/ttyACM1"))
    assert find(str(device), PICO) == Device(str(device), "/dev/ttyACM1", PICO), "moved to another name"
    listed(monkeypatch, Port(str(device), "other"), Port("/dev/ttyACM1", location="1-1.2:1.2"))
    with pytest.raises(LinkError) as caught:
        find(str(device), PICO)
    assert str(caught.value) == f"{PICO}, which was at {device}, is not plugged in; check its cable"


def test_a_port_without_a_usb_serial_number_is_kept_to_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, Port("/dev/ttyACM0", None), Port("/dev/ttyACM1", location=None))
    assert find("/dev/ttyACM0").usb == ""
    assert find("/dev/ttyACM1").usb == "2e8a:0005 E6614103E7"
    assert find("socket://10.0.0.5:5000") == Device("socket://10.0.0.5:5000", "socket://10.0.0.5:5000")


def test_a_device_that_goes_while_it_is_looked_at_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish() -> list[Port]:
        raise TypeError("int() argument must be a string, not 'NoneType'")  # as pyserial's does then

    monkeypatch.setattr(serial_port.list_ports, "comports", vanish)
    assert find("/dev/ttyACM0").usb == ""
    with pytest.raises(LinkError, match="is not plugged in"):
        find("/dev/ttyACM0", PICO)
