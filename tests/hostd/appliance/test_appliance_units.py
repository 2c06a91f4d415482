"""The units as systemd judges them, and that each of them lives and dies alone."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hostd.appliance import places, system_files, units

SOURCES = ("simulated", "pi", "serial:/dev/evokd-pico", "mirror:tcp://10.0.0.5:5750")
MOST_EXPOSED = 20  # tenths: 2.0 is where "OK" begins to end
ANALYZE = shutil.which("systemd-analyze")
with_systemd = pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze (Debian: apt install systemd)")


def _lines(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def _written(source: str, folder: Path) -> list[str]:
    box = units.Box(sys.executable, source, ("0.0", "0.1"), ("10.0.0.0/24",))
    files = {f"evokd-{name}.service": units.unit(name, box) for name in box.services}
    for name, text in (files | {"evokd.target": units.target(box)}).items():
        (folder / name).write_text(text)
    return [str(folder / name) for name in files]


@with_systemd
@pytest.mark.parametrize("source", SOURCES)
def test_systemd_finds_nothing_wrong_and_little_exposed(source: str, tmp_path: Path) -> None:
    services = _written(source, tmp_path)
    command = [str(ANALYZE), "verify", *services, str(tmp_path / "evokd.target")]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    for service in services:
        command = [str(ANALYZE), "security", "--offline=true", f"--threshold={MOST_EXPOSED}", service]
        judged = subprocess.run(command, capture_output=True, text=True)
        overall = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout + judged.stderr)
        assert overall is not None, judged.stderr
        assert judged.returncode == 0 and float(overall[1]) <= 2.0, overall[0]


@pytest.mark.parametrize("source", SOURCES)
def test_no_unit_can_take_another_with_it_or_give_up(source: str) -> None:
    box = units.Box("/python", source)
    for name in box.services:
        text = units.unit(name, box)
        for binding in ("Requires", "Requisite", "BindsTo", "Upholds", "Conflicts", "OnFailure"):
            assert not _lines(text, binding)
        for order in ("Wants", "After", "Before"):
            assert all("evokd-" not in word or word.endswith(".device") for word in _lines(text, order))
        assert _lines(text, "PartOf") == ["evokd.target"]
        assert _lines(text, "Restart") == ["always"] and _lines(text, "RestartSec") == ["200ms"]
        assert _lines(text, "StartLimitIntervalSec") == ["0"] and _lines(text, "Type") == ["notify"]
        assert _lines(text, "WatchdogSec") == [str(units.WATCHDOG_S[name])]
        assert _lines(text, "OOMPolicy") == (["continue"] if name == "host" else [])


@pytest.mark.parametrize("source", SOURCES)
def test_what_numba_needs_is_left_to_it_and_its_cache_is_writable(source: str) -> None:
    box = units.Box("/python", source)
    for name in box.services:
        settings = [line for line in units.unit(name, box).splitlines() if not line.startswith("#")]
        assert not [s for s in settings if s.startswith(("MemoryDenyWriteExecute", "ProcSubset"))]
        assert any(f"NUMBA_CACHE_DIR={places.STATE}/" in s for s in settings)
        assert "ProtectSystem=strict" in settings and "StateDirectory=evokd" in settings


@pytest.mark.parametrize("source", SOURCES)
def test_what_libzmq_would_end_the_process_for_is_let_be(source: str) -> None:
    box = units.Box("/python", source)
    for name in ("host", "web"):
        assert "AF_NETLINK" in _lines(units.unit(name, box), "RestrictAddressFamilies")[0]
    for name in box.services:
        assert _lines(units.unit(name, box), "SystemCallFilter") == ["@system-service", "~@privileged"]


def test_a_missing_configuration_starts_nothing_rather_than_a_simulation() -> None:
    box = units.Box("/python", "pi")
    assert all(_lines(units.unit(name, box), "EnvironmentFile") == [places.CONFIG] for name in box.services)


def test_only_the_edge_of_real_pins_gets_at_them_and_waits_for_them() -> None:
    pi = units.Box("/python", "pi", ("0.0", "1.2"))
    edge = units.unit("edge", pi)
    assert _lines(edge, "DeviceAllow") == ["char-spi rw", "char-gpiochip rw"]
    assert _lines(edge, "Wants") == _lines(edge, "After") == ["dev-spidev0.0.device dev-spidev1.2.device"]
    assert (
        _lines(edge, "LimitRTPRIO") and _lines(edge, "LimitMEMLOCK") and not _lines(edge, "RestrictRealtime")
    )
    for name in ("host", "web"):
        assert not _lines(units.unit(name, pi), "DeviceAllow")
        assert "PrivateDevices=yes" in units.unit(name, pi)
    assert "PrivateDevices=yes" in units.unit("edge", units.Box("/python", "simulated"))


def test_a_coprocessor_is_an_edge_by_itself() -> None:
    box = units.Box("/python", "serial:/dev/evokd-pico")
    assert box.services == ("host", "web") and "edge" not in units.target(box)
    host = units.unit("host", box)
    assert _lines(host, "DeviceAllow") == ["char-ttyACM rw", "char-ttyUSB rw"]
    assert _lines(host, "After") == [r"dev-evokd\x2dpico.device"]
    assert "EVOKD_LINK=serial:/dev/evokd-pico\n" in system_files.config("serial:/dev/evokd-pico", False)


def test_a_mirror_has_no_edge_and_listens_to_its_box() -> None:
    box = units.Box("/python", "mirror:tcp://10.0.0.5:5750", allow=("10.0.0.5",))
    assert box.services == ("host", "web") and "edge" not in units.target(box)
    host = units.unit("host", box)
    (command,) = _lines(host, "ExecStart")
    assert command == (
        "/python -P -m hostd host --mirror tcp://10.0.0.5:5750 --data /var/lib/evokd/cases $EVOKD_HOST"
    )
    assert "PrivateDevices=yes" in host
    config = system_files.config(box.source, False)
    assert "EVOKD_HOST=\n" in config and "EVOKD_EDGE" not in config


@pytest.mark.parametrize("name", ["host", "web"])
def test_only_the_networks_that_were_allowed_are_reached(name: str) -> None:
    alone = units.unit(name, units.Box("/python", "simulated"))
    assert (_lines(alone, "IPAddressDeny"), _lines(alone, "IPAddressAllow")) == (["any"], ["localhost"])
    some = units.unit(name, units.Box("/python", "simulated", allow=("10.0.0.0/24", "fd00::/8")))
    assert _lines(some, "IPAddressDeny") == ["any"]
    assert _lines(some, "IPAddressAllow") == ["localhost 10.0.0.0/24 fd00::/8"]


@pytest.mark.parametrize("path", ["/dev/evokd-pico", "/dev/spidev0.0", "/dev/serial/by-id/a b:c"])
@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="no systemd-escape (apt install systemd)")
def test_device_units_are_named_as_systemd_names_them(path: str) -> None:
    command = ["systemd-escape", "--path", "--suffix=device", path]
    assert units.device_unit(path) == subprocess.run(command, capture_output=True, text=True).stdout.strip()


def test_modem_manager_keeps_off_the_pico_and_its_name_is_the_same_everywhere() -> None:
    (port,) = (rule for rule in system_files.UDEV.replace("\\\n", "").splitlines() if "ttyACM" in rule)
    assert 'ENV{ID_MM_DEVICE_IGNORE}="1"' in port and 'SYMLINK+="evokd-pico"' in port
    assert 'ATTRS{idVendor}=="2e8a"' in port and 'TAG+="systemd"' in port and 'GROUP="evokd"' in port
    assert f"/dev/{'evokd-pico'}" == places.PICO
