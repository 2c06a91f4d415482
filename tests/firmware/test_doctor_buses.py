"""The doctor's checks of device nodes: SPI, GPIO by label, serial ports, and the groups that may use them."""

from pathlib import Path

import pytest

from tests.support.doctor_cases import FAIL, OK, SKIPPED, WARN, Case, prove, put
from tests.support.machines import laptop, stock_pi4

CLOSED_SPI = {"denied": frozenset({"/dev/spidev0.1"})}
CLOSED_GPIO = {"denied": frozenset({"/dev/gpiochip0", "/dev/gpiochip10"})}
OUTSIDE = {"gids": frozenset({1000})}
NO_GROUPS = put("/etc/group", "root:x:0:\n")
STRANGERS = put("/etc/group", "spi:x:989:eva\ngpio:x:986:\ndialout:x:20:\n")
CASES = [
    Case(
        "SPI devices",
        FAIL,
        "though config.txt has dtparam=spi=on",
        "sudo modprobe spidev",
        put("/dev/spidev0.0", None, ("/dev/spidev0.1", None)),
    ),
    Case("SPI devices", SKIPPED, "no /dev/spidev*, not a Raspberry Pi", "", {}, laptop),
    Case("SPI devices", OK, "/dev/spidev1.0", "", put("/dev/spidev1.0", ""), laptop),
    Case("SPI permission", OK, "pi may use /dev/spidev0.0, /dev/spidev0.1", "", {}),
    Case(
        "SPI permission",
        FAIL,
        "/dev/spidev0.1: not for pi: not in group spi",
        "sudo usermod -aG spi pi",
        {**CLOSED_SPI, **OUTSIDE, **STRANGERS},
    ),
    Case(
        "SPI permission",
        FAIL,
        "in group spi since the last login",
        "log out and in",
        {**CLOSED_SPI, **OUTSIDE},
    ),
    Case(
        "SPI permission",
        FAIL,
        "though in group spi",
        'SUBSYSTEM=="spidev", GROUP="spi", MODE="0660"',
        CLOSED_SPI,
    ),
    Case(
        "SPI permission",
        FAIL,
        "there is no group spi",
        "sudo groupadd --system spi",
        {**CLOSED_SPI, **OUTSIDE, **NO_GROUPS},
    ),
    Case(
        "SPI buffer",
        FAIL,
        "107 bytes; four chips need 108",
        "spidev.bufsiz=4096",
        put("/sys/module/spidev/parameters/bufsiz", "107\n"),
    ),
    Case("SPI buffer", OK, "108 bytes", "", put("/sys/module/spidev/parameters/bufsiz", "108\n")),
    Case("SPI buffer", SKIPPED, "not loaded", "", put("/sys/module/spidev/parameters/bufsiz", None)),
    Case(
        "GPIO chips",
        OK,
        "/dev/gpiochip4 is pinctrl-rp1, 1 more",
        "",
        put("/dev/gpiochip0", None, ("/dev/gpiochip4", "pinctrl-rp1")),
    ),
    Case("GPIO chips", OK, "pinctrl-rp1, 1 more", "", put("/dev/gpiochip4", "-> /dev/gpiochip0")),
    Case("GPIO chips", OK, "/dev/gpiochip0 is pinctrl-bcm2711, 1 more", "", {}, stock_pi4),
    Case(
        "GPIO chips",
        FAIL,
        "gpiochip0 gpio-mockup, gpiochip10 gpio-brcmstb@107d508500; none of pinctrl-rp1",
        "apt install --reinstall",
        put("/dev/gpiochip0", "gpio-mockup"),
    ),
    Case(
        "GPIO chips",
        FAIL,
        "no /dev/gpiochip*; none of pinctrl-rp1",
        "Raspberry Pi's own kernel",
        put("/dev/gpiochip0", None, ("/dev/gpiochip10", None)),
    ),
    Case(
        "GPIO chips",
        FAIL,
        "/dev/gpiochip0, /dev/gpiochip10 cannot be asked for its label",
        "sudo usermod -aG gpio pi",
        {**CLOSED_GPIO, **OUTSIDE, **STRANGERS},
    ),
    Case(
        "GPIO chips",
        OK,
        "gpiochip0 INTC1055:00; no Raspberry Pi header",
        "",
        put("/dev/gpiochip0", "INTC1055:00"),
        laptop,
    ),
    Case(
        "GPIO permission",
        FAIL,
        "not in group gpio",
        "sudo usermod -aG gpio pi",
        {**CLOSED_GPIO, **OUTSIDE, **STRANGERS},
    ),
    Case("GPIO permission", OK, "pi may use /dev/gpiochip0", "", {}),
    Case(
        "serial ports",
        WARN,
        "/dev/ttyACM0: not for pi: not in group dialout",
        "sudo usermod -aG dialout pi",
        {"denied": frozenset({"/dev/ttyACM0"}), **OUTSIDE, **STRANGERS},
    ),
    Case("serial ports", OK, "/dev/ttyACM0, /dev/ttyUSB0", "", put("/dev/ttyUSB0", "")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.state} {case.found}")
def test_a_change_is_found_and_cured(tmp_path: Path, case: Case) -> None:
    prove(case, tmp_path)
