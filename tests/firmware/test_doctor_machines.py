"""The doctor on whole machines, laid out as folders: what it finds there, the cures, and the verdict."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firmware.doctor.boot import raspberry
from firmware.doctor.checks import CHECKS, examine
from firmware.doctor.findings import Row, State
from firmware.doctor.machine import Ran
from firmware.doctor.probes import ClockState
from firmware.doctor.verdict import Fitness, Verdict, judge
from tests.support.machines import INVENTORY, PI5, Layout, healthy, laptop, stock_pi4


def seen(layout: Layout, root: Path) -> tuple[dict[str, Row], Verdict]:
    """Rows by name, and the verdict."""
    machine = layout.build(root)
    rows = list(examine(machine))
    return {row.check.name: row for row in rows}, judge(rows, raspberry(machine) is not None)


def states(rows: dict[str, Row], *wanted: State) -> set[str]:
    """Names of the checks in one of these states."""
    return {name for name, row in rows.items() if row.state in wanted}


def cure_of(row: Row) -> str:
    """The cure with its lines to copy."""
    return " ".join((row.finding.cure, *row.finding.commands))


def test_a_healthy_pi5_is_fit_for_tier_b(tmp_path: Path) -> None:
    rows, verdict = seen(healthy(), tmp_path)
    assert states(rows, State.OK) == {check.name for check in CHECKS}
    assert verdict.fitness is Fitness.TIER_B
    assert verdict.text.startswith("tier B: up to 4 kSPS")
    found = {name: row.finding.found for name, row in rows.items()}
    assert found["model"] == "Raspberry Pi 5 Model B Rev 1.0 (BCM2712)"
    assert found["SPI devices"] == "/dev/spidev0.0, /dev/spidev0.1"  # not the boot loader's flash
    assert found["GPIO chips"] == "/dev/gpiochip0 is pinctrl-rp1, 1 more"
    assert found["memory"] == "6,847 of 8,062 MB available"
    assert found["core clock"] == "fixed, measured 910 and 910 MHz"
    assert found["wake-up"].startswith(
        "FIFO p50 31, p99 58, max 96 µs; normal p50 62, p99 210, max 1480 µs, 2"
    )
    assert found["room"].startswith(f"400.0 of 500.0 GB free in {DATA_SHOWN}: 289 h")
    assert found["device"].startswith("nvme0n1 NVMe Samsung SSD 980 500GB, live")
    assert found["wall clock"] == "synchronised by chrony: offset -12 µs, at most 2.3 ms"
    assert found["packages"] == "all 3 new enough (numpy 2.4.6, numba 0.68.1)"


DATA_SHOWN = "/home/pi/.local/share/evokd"


def test_a_pi4_out_of_the_box(tmp_path: Path) -> None:
    rows, verdict = seen(stock_pi4(), tmp_path)
    assert states(rows, State.FAIL) == {"SPI devices"}
    assert states(rows, State.SKIPPED) == {"SPI permission", "SPI buffer", "serial ports"}
    warned = {"core clock", "preemption", "governor", "isolated CPU", "wake-up", "device"}
    assert states(rows, State.WARN) == warned
    cures = {name: cure_of(rows[name]) for name in (*warned, "SPI devices")}
    assert cures["SPI devices"] == "write dtparam=spi=on in /boot/firmware/config.txt and restart"
    assert "write core_freq_fixed=1 under [all] in /boot/firmware/config.txt" in cures["core clock"]
    assert "bcm2711_rt_defconfig" in cures["preemption"] and "kernel8_rt.img" in cures["preemption"]
    assert "cpufreq.default_governor=performance" in cures["governor"]
    assert "isolcpus=3 nohz_full=3 rcu_nocbs=3 irqaffinity=0-2" in cures["isolated CPU"]
    assert "SSD" in cures["device"] and rows["device"].finding.found == "mmcblk0, SD card SC32G"
    assert verdict == Verdict(Fitness.NOT_FIT, "not fit until cured: SPI devices", ("SPI devices",))


def test_a_pi4_with_spi_on_is_fit_for_tier_a(tmp_path: Path) -> None:
    rows, verdict = seen(stock_pi4().but(files={"/dev/spidev0.0": ""}), tmp_path)
    assert not states(rows, State.FAIL)
    assert verdict.fitness is Fitness.TIER_A
    assert verdict.reasons == ("core clock", "preemption", "governor", "isolated CPU", "wake-up")
    assert verdict.text == (
        "tier A: up to 1 kSPS. Not tier B because of: core clock, preemption, governor, isolated CPU, wake-up"
    )


def test_a_laptop_is_fine_for_the_simulated_box(tmp_path: Path) -> None:
    rows, verdict = seen(laptop(), tmp_path)
    assert not states(rows, State.FAIL, State.WARN)
    assert states(rows, State.SKIPPED) == {
        *("model", "core clock", "supply", "temperature", "preemption", "governor", "isolated CPU"),
        *("real-time rights", "locked memory", "SPI devices", "SPI permission", "SPI buffer", "GPIO chips"),
        *("GPIO permission", "serial ports", "bindings"),
    }
    assert rows["model"].finding.found == "not a Raspberry Pi (x86_64, ThinkPad T14)"
    assert rows["processors"].finding.found == (
        "16 x 12th Gen Intel(R) Core(TM) i5-1240P, 4 usable by this process"
    )
    assert rows["wall clock"].finding.found.startswith("synchronised by systemd-timesyncd")
    assert verdict.text == "not a Raspberry Pi: fine for the simulated box"


def test_a_laptop_with_a_fault_is_not_fit_for_that_either(tmp_path: Path) -> None:
    old = {**INVENTORY, "python": "3.10.12"}
    rows, verdict = seen(laptop().but(inventory=old), tmp_path)
    assert states(rows, State.FAIL) == {"Python"}
    assert verdict.fitness is Fitness.NOT_FIT
    assert verdict.text == "not a Raspberry Pi, and not fit for the simulated box until cured: Python"


def read_only(folder: Path) -> Any:
    raise OSError(errno.EROFS, "Read-only file system")


def both_libraries() -> Layout:
    versions = {**INVENTORY["versions"], "RPi.GPIO": "0.7.1"}
    return healthy().but(inventory={**INVENTORY, "versions": versions})


def unsynchronised() -> Layout:
    clock = ClockState(synchronised=False, offset_us=0.0, max_error_us=16e6, frequency_ppm=0.0)
    return healthy().but(files={"/proc/812/comm": None}, probes={"clock": lambda: clock})


ONE_FAULT: dict[str, tuple[Callable[[], Layout], dict[str, tuple[State, str, str, str]], Fitness]] = {
    "RPi.GPIO and rpi-lgpio": (
        both_libraries,
        {
            "pin library": (
                State.FAIL,
                "RPi.GPIO 0.7.1 and rpi-lgpio 0.6: they overwrite each other's files",
                "remove both, then install rpi-lgpio alone",
                "pip uninstall -y RPi.GPIO rpi-lgpio",
            )
        },
        Fitness.NOT_FIT,
    ),
    "under-voltage now": (
        lambda: healthy().but(programs={"vcgencmd get_throttled": Ran(0, "throttled=0x50005")}),
        {"supply": (State.FAIL, "now: under-voltage, throttled (0x50005)", "official supply", "")},
        Fitness.NOT_FIT,
    ),
    "under-voltage seen": (
        lambda: healthy().but(programs={"vcgencmd get_throttled": Ran(0, "throttled=0x50000")}),
        {
            "supply": (
                State.WARN,
                "since the start: under-voltage, throttled (0x50000)",
                "official supply (5 V 5 A for a Pi 5",
                "",
            )
        },
        Fitness.TIER_B,
    ),
    "read-only disk": (
        lambda: healthy().but(
            files={"/proc/self/mountinfo": PI5["/proc/self/mountinfo"].replace("rw,noatime", "ro,noatime")},
            probes={"writing": read_only},
        ),
        {
            "writes": (State.FAIL, "cannot be written: Read-only file system", "--data", ""),
            "mount": (State.FAIL, "nothing can be recorded", "fsck", "sudo mount -o remount,rw /"),
        },
        Fitness.NOT_FIT,
    ),
    "unsynchronised clock": (
        unsynchronised,
        {
            "wall clock": (
                State.WARN,
                "not synchronised, and nobody tries",
                "chrony",
                "sudo apt install chrony && sudo systemctl enable --now chrony",
            )
        },
        Fitness.TIER_B,
    ),
}


@pytest.mark.parametrize("name", ONE_FAULT)
def test_a_pi5_with_one_fault(tmp_path: Path, name: str) -> None:
    make, faults, fitness = ONE_FAULT[name]
    rows, verdict = seen(make(), tmp_path)
    assert states(rows, State.WARN, State.FAIL, State.SKIPPED) == set(faults)
    for check, (state, found, cure, command) in faults.items():
        finding = rows[check].finding
        assert finding.state is state
        assert found in finding.found and cure in finding.cure and command in "\n".join(finding.commands)
    assert verdict.fitness is fitness


def test_every_fault_has_a_cure_and_every_check_a_reason(tmp_path: Path) -> None:
    for k, (make, _, _) in enumerate(ONE_FAULT.values()):
        rows, _ = seen(make(), tmp_path / str(k))
        assert all(rows[name].finding.cure for name in states(rows, State.WARN, State.FAIL))
    assert all(check.why for check in CHECKS)
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_what_a_check_cannot_read_is_a_finding_too(tmp_path: Path) -> None:
    broken = healthy().but(files={"/proc/sys/kernel/sched_rt_period_us": "often\n"})
    rows, verdict = seen(broken, tmp_path)
    assert states(rows, State.WARN, State.FAIL, State.SKIPPED) == {"RT throttling"}
    assert rows["RT throttling"].finding.found.startswith("could not be judged: invalid literal")
    assert verdict.fitness is Fitness.TIER_B
