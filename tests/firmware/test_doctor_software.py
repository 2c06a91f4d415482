"""The doctor's checks of the interpreter: Python, packages, bindings, pin libraries, the loop's cache."""

from pathlib import Path

import pytest

from firmware.doctor.machine import Ran
from tests.support.doctor_cases import FAIL, OK, SKIPPED, WARN, Case, has, prove, put
from tests.support.machines import stock_pi4

CRASHED = {"inventory": Ran(-11, "", "Traceback\nModuleNotFoundError: no module named firmware")}
ERROR = "No module named 'spidev'"
CASES = [
    Case("Python", FAIL, "Python 3.10.12; 3.11 is needed", "PYTHON=python3.11", has(python="3.10.12")),
    Case("Python", FAIL, "the inventory failed: ModuleNotFoundError", "pip install -e", CRASHED),
    Case("Python", FAIL, "its process ended with -11", "pip install -e", {"inventory": Ran(-11)}),
    Case("Python", FAIL, "its answer is not JSON", "pip install -e", {"inventory": Ran(0, "hello")}),
    Case(
        "packages",
        FAIL,
        "numpy 2.0.9 is older than 2.1; pyserial is missing",
        "pip install -e .",
        has(versions={"numpy": "2.0.9", "pyserial": None}),
    ),
    Case("packages", OK, "all 3", "", has(versions={"numpy": "2.10.0rc1"})),
    Case("packages", OK, "all 1 new", "", has(requires=["numpy>=2.0"], versions={"numpy": "2"})),
    Case("packages", SKIPPED, "not installed as a package", "", has(requires=[])),
    Case("packages", SKIPPED, "not known", "", CRASHED),
    Case(
        "bindings",
        FAIL,
        f"spidev: {ERROR}",
        "sudo apt install gcc python3-dev",
        has(bindings={"gpiod": "", "spidev": ERROR}),
    ),
    Case(
        "bindings",
        FAIL,
        "gpiod 1.6.3 speaks the old interface",
        "pip install 'gpiod>=2.2'",
        has(gpiod_v2=False, versions={"gpiod": "1.6.3"}),
    ),
    Case(
        "bindings",
        WARN,
        "gpiod 2.1.3 is older than 2.2",
        "pip install -e '.[pi]'",
        has(versions={"gpiod": "2.1.3"}),
    ),
    Case("bindings", OK, "gpiod 2.5.0, spidev 3.8", "", {}),
    Case("bindings", SKIPPED, "the inventory failed", "", CRASHED),
    Case(
        "pin library",
        WARN,
        "RPi.GPIO 0.7.1: does not run on a Pi 5",
        "pip install rpi-lgpio",
        has(versions={"RPi.GPIO": "0.7.1", "rpi-lgpio": None}),
    ),
    Case(
        "pin library",
        OK,
        "RPi.GPIO 0.7.1, for outputs on request",
        "",
        has(versions={"RPi.GPIO": "0.7.1", "rpi-lgpio": None}),
        stock_pi4,
    ),
    Case(
        "pin library",
        FAIL,
        "overwrite",
        "pip install RPi.GPIO",
        has(versions={"RPi.GPIO": "0.7.1"}),
        stock_pi4,
    ),
    Case("pin library", WARN, "unknown origin", "RPi.__path__", has(versions={"rpi-lgpio": None})),
    Case("pin library", OK, "neither", "", has(versions={"rpi-lgpio": None}, rpi_package=False)),
    Case("pin library", SKIPPED, "the inventory failed", "", CRASHED),
    Case("loop cache", OK, "in /opt/evokd/firmware/__pycache__", "", {}),
    Case(
        "loop cache",
        OK,
        "in /home/pi/.cache/numba",
        "",
        {"denied": frozenset({"/"}), **put("/home/pi/x", "")},
    ),
    Case("loop cache", OK, "in /var/evokd", "", {"environ": {"NUMBA_CACHE_DIR": "/var/evokd"}}),
    Case(
        "loop cache",
        WARN,
        "/var/evokd cannot be written",
        "export NUMBA_CACHE_DIR=/var/cache/evokd",
        {"environ": {"NUMBA_CACHE_DIR": "/var/evokd"}, "denied": frozenset({"/"})},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.state} {case.found}")
def test_a_change_is_found_and_cured(tmp_path: Path, case: Case) -> None:
    prove(case, tmp_path)
