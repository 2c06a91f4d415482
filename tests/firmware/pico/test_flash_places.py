"""The one board is found by USB or as a drive; none, two, wrong names and other devices are told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.errors import ConfigError, EdgeError, LinkError, PortError
from firmware.flash import board, contents
from firmware.flash.places import Drive, Machine, Port, named, read_drive, usb_ports
from tests.support.pico_board import PICO, PicoBoard, UsbPort
from tests.support.pico_flash import ONE, check, device, flash, impatient, plugged
from tests.support.pico_set import pico_set

INFO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: {}\r\n"


def drive(folder: Path, board_id: str = "RPI-RP2") -> Path:
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text(INFO.format(board_id))
    return folder


def machine(folder: Path, ports: list[UsbPort] | None = None, mounted: tuple[Path, ...] = ()) -> Machine:
    lines = [
        f"/dev/sd{k} {str(path).replace(' ', chr(92) + '040')} vfat rw 0 0" for k, path in enumerate(mounted)
    ]
    mounts = folder / "mounts"
    mounts.write_text("\n".join(["proc /proc proc rw 0 0", "broken", *lines]))
    return Machine(lambda: ports or [], mounts, folder / "by-label")


def test_one_board_is_found_wherever_it_is(tmp_path: Path) -> None:
    ports = [
        UsbPort("/dev/ttyS0", None),
        UsbPort("/dev/ttyUSB0", 0x0403),
        UsbPort("/dev/ttyACM3", 0x2E8A, "E6"),
    ]
    assert machine(tmp_path, ports).choose(None, None) == Port("/dev/ttyACM3", "E6")
    rp2350 = drive(tmp_path / "RP 2350", "RP2350")
    other = drive(tmp_path / "other", "SAMD21G18A")
    assert machine(tmp_path, [], (other, rp2350)).choose(None, None) == Drive(rp2350, "RP2350")
    assert machine(tmp_path, ports, (rp2350,)).choose(None, rp2350) == Drive(rp2350, "RP2350")
    assert machine(tmp_path, ports).choose("/dev/ttyACM3", None) == Port("/dev/ttyACM3", "E6")
    assert machine(tmp_path).choose("/dev/ttyX", None) == Port("/dev/ttyX")


def test_no_board_and_two_boards_are_told(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="no board found; plug a Pico in, a new one with BOOTSEL held down"):
        machine(tmp_path).choose(None, None)
    assert not Machine(list, tmp_path / "no mounts").drives(), "elsewhere --drive names it"
    (tmp_path / "by-label").mkdir()
    (tmp_path / "by-label" / "RP2350").touch()
    with pytest.raises(PortError, match="by-label/RP2350 is a board's drive but not mounted: mount it"):
        machine(tmp_path).choose(None, None)
    two = [UsbPort("/dev/ttyACM0"), UsbPort("/dev/ttyACM1")]
    with pytest.raises(ConfigError, match="3 boards found: /dev/ttyACM0, /dev/ttyACM1, RP2040 in BOOTSEL"):
        machine(tmp_path, two, (drive(tmp_path / "d"),)).choose(None, None)


def test_wrong_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--port and --drive exclude each other"):
        machine(tmp_path).choose("/dev/ttyACM0", tmp_path)
    with pytest.raises(ConfigError, match=r"holds no INFO_UF2.TXT; give the folder of a board in BOOTSEL"):
        read_drive(tmp_path)
    with pytest.raises(ConfigError, match="is a board 'SAMD21G18A'; only RP2040 or RP2350 can be flashed"):
        read_drive(drive(tmp_path / "samd", "SAMD21G18A"))


def test_a_board_is_known_again_by_its_serial_number(tmp_path: Path) -> None:
    ports = [UsbPort("/dev/ttyACM1", 0x2E8A, "E6"), UsbPort("/dev/ttyACM0", 0x2E8A, "E7")]
    assert machine(tmp_path, ports).again(Port("/dev/ttyACM0", "E6")) == Port("/dev/ttyACM1", "E6")
    assert machine(tmp_path, ports).again(Port("/dev/ttyACM0", "E8")) is None
    assert machine(tmp_path).again(Port(str(tmp_path))) == Port(str(tmp_path))
    assert machine(tmp_path).again(Port("/dev/none")) is None
    assert named(Port("/dev/ttyACM0")) == "/dev/ttyACM0"
    assert all(port.device for port in usb_ports())


OTHERS = {
    "silence": (lambda heard: b"", "no answer; plug the board in again, or, for one without MicroPython"),
    "garbage": (lambda heard: b"\x80\x00garbage", r"\d+ bytes that are neither MicroPython's nor evokd's"),
    "an echo": (lambda heard: heard, r"\d+ bytes that are neither MicroPython's nor evokd's"),
}


@pytest.mark.parametrize(("answer", "why"), OTHERS.values(), ids=OTHERS.keys())
def test_what_is_neither_micropython_nor_ours_is_told(
    tmp_path: Path, answer: Callable[[bytes], bytes], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    with device(tmp_path, answer) as place, board.opened(place) as port, pytest.raises(LinkError, match=why):
        board.answer(port, board.CHECK)


WRONG = {
    "an ESP32": (("micropython", (1, 23, 0), "esp32", "ESP32"), r"is no Raspberry Pi Pico \(esp32: ESP32\)"),
    "CircuitPython": (("circuitpython", (9, 0, 0), "RP2040", ""), "runs circuitpython, not MicroPython"),
    "an old one": (("micropython", (1, 21, 0), "rp2", "Pico"), r"has MicroPython 1.21.0; give --interpreter"),
}


@pytest.mark.parametrize(("who", "why"), WRONG.values(), ids=WRONG.keys())
def test_a_board_that_is_no_pico_is_left_alone(tmp_path: Path, who: tuple[object, ...], why: str) -> None:
    with plugged(PicoBoard(tmp_path / "board", who=who)) as other:  # type: ignore[arg-type]
        for attempt in (flash, check):
            with pytest.raises(PortError, match=why):
                attempt(other, ONE)
        assert not contents.read_contents(other.ask(contents.SURVEY)).files


OPENING = {
    "missing": ("/dev/none_such", PortError, "no such port; plug the board in or check the name"),
    "a file": ("/etc/hostname", EdgeError, "/etc/hostname: cannot be opened"),
    "another scheme": ("nonsense://x", ConfigError, "--port nonsense://x: .*give a serial port"),
}


@pytest.mark.parametrize(("name", "kind", "why"), OPENING.values(), ids=OPENING.keys())
def test_a_port_that_does_not_open_is_told(name: str, kind: type[EdgeError], why: str) -> None:
    with pytest.raises(kind, match=why), board.opened(Port(name)):
        pass


def test_a_port_that_is_forbidden_or_busy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, why in ((13, "permission denied; add yourself to the group"), (16, "another program has it")):

        def failing(*_args: object, error: int = number, **_how: object) -> None:
            raise OSError(error, "as told")

        monkeypatch.setattr("serial.serial_for_url", failing)
        with pytest.raises(PortError, match=why), board.opened(Port("/dev/ttyACM0")):
            pass


def test_a_board_that_stays_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "BACK_S", 0.05)
    away = board.reopened(machine(tmp_path), Port("/dev/none_such"))
    with pytest.raises(PortError, match=r"did not come back within 0.05 s; plug it in again"), away:
        pass


def test_a_survey_that_is_garbage_is_told() -> None:
    for told in (None, {}, {"files": {"/a": 3}}, {"files": [], "folders": [], "texts": {}}):
        with pytest.raises(PortError, match="list of its files is garbage"):
            contents.read_contents(told)


def test_a_board_is_named_by_what_it_is() -> None:
    assert contents.read_who(PICO, "x").text == "Raspberry Pi Pico with RP2040, MicroPython 1.22.1"
    assert pico_set("x") == pico_set("x")
