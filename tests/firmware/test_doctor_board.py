"""The doctor's checks of the Pi itself: model, memory, core clock, supply, temperature, and config.txt."""

import dataclasses
from pathlib import Path

import pytest

from firmware.doctor.board import core_clock
from firmware.doctor.boot import Pi, parameter_on, raspberry, setting
from firmware.doctor.machine import Ran
from tests.support.doctor_cases import FAIL, OK, SKIPPED, WARN, Case, prove, put, says
from tests.support.machines import CPU, healthy, laptop, stock_pi4

UNFIXED = {"vcgencmd get_config core_freq_fixed": Ran(1), "vcgencmd measure_clock core": Ran(1)}
COMPATIBLE = "/proc/device-tree/compatible"
MODEL = "/proc/device-tree/model"
CASES = [
    Case("model", WARN, "Pi 3", "a Pi 4 or Pi 5", put(COMPATIBLE, "brcm,bcm2837", (MODEL, "Raspberry Pi 3"))),
    Case(
        "model",
        FAIL,
        "too slow",
        "a Pi 4 or Pi 5",
        put(COMPATIBLE, "brcm,bcm2835", (MODEL, "Raspberry Pi Zero")),
    ),
    Case(
        "model",
        WARN,
        "nobody has measured",
        "evokd bench",
        put(COMPATIBLE, "brcm,x", (MODEL, "Raspberry Pi 6")),
    ),
    Case("model", SKIPPED, "not a Raspberry Pi (aarch64, nothing says", "", put(MODEL, "Orange Pi 5")),
    Case("architecture", WARN, "armv7l: the compiled", "64-bit system", {"architecture": "armv7l"}),
    Case(
        "processors", WARN, "1 x aarch64: one for everything", "two processors", put(f"{CPU}/online", "0\n")
    ),
    Case(
        "memory",
        FAIL,
        "of 420 MB",
        "1000 MB",
        put("/proc/meminfo", "MemTotal: 430080 kB\nMemFree: 100000 kB"),
    ),
    Case(
        "memory",
        WARN,
        "of 878 MB",
        "end what",
        put("/proc/meminfo", "MemTotal: 900000 kB\nMemFree: 800000 kB"),
    ),
    Case(
        "memory",
        WARN,
        "97 of 7,812",
        "end what",
        put("/proc/meminfo", "MemTotal: 8000000 kB\nMemFree: 100000 kB"),
    ),
    Case("memory", SKIPPED, "/proc/meminfo", "", put("/proc/meminfo", None)),
    Case(
        "swap",
        WARN,
        "/var/swap: 512 MB, 24 in use",
        "sudo swapoff -a",
        put(
            "/proc/swaps",
            "Filename Type Size Used Priority\n/var/swap file 524288 24576 -2\n/dev/zram0 partition 9 0 1\n",
        ),
    ),
    Case("swap", OK, "none on a disk", "", put("/proc/swaps", "Filename Type Size Used Priority\n")),
    Case("swap", SKIPPED, "/proc/swaps", "", put("/proc/swaps", None)),
    Case(
        "core clock",
        WARN,
        "free to move with the load; measured 910 and 910 MHz",
        "core_freq_fixed=1 under [all]",
        says("vcgencmd get_config core_freq_fixed", "core_freq_fixed=0"),
    ),
    Case("core clock", OK, "fixed, not measurable", "", {"programs": UNFIXED}),
    Case(
        "core clock",
        OK,
        "fixed",
        "",
        {"programs": UNFIXED, **put("/boot/firmware/config.txt", "force_turbo=1")},
    ),
    Case(
        "core clock",
        WARN,
        "free to move",
        "in /boot/config.txt and restart",
        {
            "programs": UNFIXED,
            **put("/boot/firmware/config.txt", None, ("/boot/config.txt", "[pi4]\ncore_freq_fixed=1")),
        },
    ),
    Case(
        "supply",
        FAIL,
        "now: clock capped (0x2)",
        "heat sink",
        says("vcgencmd get_throttled", "throttled=0x2"),
    ),
    Case(
        "supply",
        WARN,
        "now: soft temperature limit (0x8)",
        "heat sink",
        says("vcgencmd get_throttled", "throttled=0x8"),
    ),
    Case(
        "supply",
        WARN,
        "now: soft temperature limit; since the start: soft temperature limit (0x80008)",
        "then restart",
        says("vcgencmd get_throttled", "throttled=0x80008"),
    ),
    Case(
        "supply",
        WARN,
        "vcgencmd does not answer: it says nothing",
        "sudo usermod -aG video pi",
        says("vcgencmd get_throttled", "", None),
    ),
    Case(
        "supply",
        FAIL,
        "under-voltage now (rpi_volt)",
        "official supply",
        {
            **says("vcgencmd get_throttled", "", None),
            **put(
                "/sys/class/hwmon/hwmon1/name",
                "rpi_volt\n",
                ("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
            ),
        },
    ),
    Case(
        "supply",
        OK,
        "no under-voltage now",
        "",
        {
            **says("vcgencmd get_throttled", "", None),
            **put(
                "/sys/class/hwmon/hwmon1/name",
                "rpi_volt\n",
                ("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n"),
            ),
        },
    ),
    Case(
        "temperature", WARN, "70.0 °C", "heat sink", put("/sys/class/thermal/thermal_zone1/temp", "70000\n")
    ),
    Case(
        "temperature",
        FAIL,
        "80.0 °C: the firmware throttles",
        "fan",
        put("/sys/class/thermal/thermal_zone1/temp", "80000\n"),
    ),
    Case(
        "temperature",
        WARN,
        "93.0 °C",
        "heat sink",
        put("/sys/class/thermal/thermal_zone0/temp", "93000"),
        laptop,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.state} {case.found}")
def test_a_change_is_found_and_cured(tmp_path: Path, case: Case) -> None:
    prove(case, tmp_path)


def test_a_core_clock_that_moves_is_a_failure(tmp_path: Path) -> None:
    answers = iter((Ran(0, "frequency(1)=500000992"), Ran(0, "frequency(1)=250000496")))
    moving = dataclasses.replace(healthy().build(tmp_path), run=lambda argv: next(answers))
    finding = core_clock(moving)
    assert finding.state is FAIL
    assert finding.found == "it moves: measured 500 and 250 MHz"
    assert finding.figures == {"core_mhz_1": 500.000992, "core_mhz_2": 250.000496}


CONFIGS = {
    "core_freq_fixed=1": "1",
    "[pi4]\ncore_freq_fixed=1": None,
    "[PI5]\ncore_freq_fixed = 1 # fixed": "1",
    "[cm5]\ncore_freq_fixed=1\n[pi4]\ncore_freq_fixed=0": "1",
    "core_freq_fixed=1\n[all]\ncore_freq_fixed=0": "0",
    "#core_freq_fixed=1": None,
    "[gpio4=1]\ncore_freq_fixed=1": None,
    "[none]\ncore_freq_fixed=1": None,
}


@pytest.mark.parametrize("text", CONFIGS)
def test_only_settings_that_hold_for_this_pi_count(tmp_path: Path, text: str) -> None:
    machine = healthy().but(files={"/boot/firmware/config.txt": text}).build(tmp_path)
    assert setting(machine, "bcm2712", "core_freq_fixed") == CONFIGS[text]


PARAMETERS = {
    "dtparam=spi=on": True,
    "dtparam=spi": True,
    "device_tree_param=i2c=on,spi=yes": True,
    "dtparam=spi=off": False,
    "dtparam=spi=on\ndtparam=spi=off": False,
    "dtoverlay=spi=on": False,
    "#dtparam=spi=on": False,
    "": False,
}


@pytest.mark.parametrize("text", PARAMETERS)
def test_spi_is_on_when_its_parameter_says_so(tmp_path: Path, text: str) -> None:
    machine = healthy().but(files={"/boot/firmware/config.txt": text}).build(tmp_path)
    assert parameter_on(machine, "bcm2712", "spi") is PARAMETERS[text]


def test_the_board_is_known_by_its_chip(tmp_path: Path) -> None:
    machine = stock_pi4().build(tmp_path)
    assert raspberry(machine) == Pi("Raspberry Pi 4 Model B Rev 1.4", "bcm2711", 4)
