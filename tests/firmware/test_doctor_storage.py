"""The doctor's checks of the disk: room, safe writes, mount, device and wear."""

import errno
from pathlib import Path

import pytest

from firmware.doctor.probes import Space
from tests.support.doctor_cases import FAIL, OK, SKIPPED, WARN, Case, card, mount, probe, prove, put, wrote
from tests.support.machines import DATA, NVME, stock_pi4

NO_ROOM = OSError(errno.ENOSPC, "No space left on device")
CASES = [
    Case("room", FAIL, "1.4 of 32.0 GB free", "--data", probe("space", Space(1_382_000_000, 32_000_000_000))),
    Case("room", WARN, "1.4 of 32.0 GB free", "export", probe("space", Space(1_383_000_000, 32_000_000_000))),
    Case("room", WARN, "12 h of 32", "export", probe("space", Space(16_588_000_000, 32_000_000_000))),
    Case("room", OK, "12 h of 32", "", probe("space", Space(16_589_000_000, 32_000_000_000))),
    Case("room", OK, "free in /home/pi:", "", put(f"{DATA}/keep", None, ("/home/pi/x", ""))),
    Case("writes", OK, "2.0 MB/s in synced 64 kB blocks, p50 1.0, p99 500.0", "", wrote(2.0, 500.0)),
    Case("writes", WARN, "1.9 MB/s", "SSD", wrote(1.9, 3.0)),
    Case("writes", WARN, "p99 501.0", "SSD", wrote(30.0, 501.0)),
    Case("writes", FAIL, "0.3 MB/s", "SSD", wrote(0.3, 3.0)),
    Case("writes", FAIL, "p99 2001.0", "SSD", wrote(30.0, 2001.0)),
    Case("writes", FAIL, "No space left on device", "free some room", probe("writing", NO_ROOM)),
    Case(
        "writes",
        FAIL,
        f"{DATA} cannot be written: Permission denied",
        f"sudo install -d -o pi {DATA}",
        probe("writing", OSError(errno.EACCES, "Permission denied")),
    ),
    Case("mount", OK, "ext4 on / (noatime, rw)", "", {}),
    Case(
        "mount", OK, "ext4 on / (noatime, rw)", "", mount("9 1 0:5 / /home/pi/.local/sharex rw - tmpfs x rw")
    ),
    Case(
        "mount",
        WARN,
        "tmpfs on /home (relatime, rw): gone",
        "local disk",
        mount("9 1 0:5 / /home rw,relatime - tmpfs x rw"),
    ),
    Case(
        "mount",
        FAIL,
        "ext4 on /home (ro, rw): nothing",
        "sudo mount -o remount,rw /home",
        mount("9 1 8:1 / /home rw - ext4 /dev/sda1 ro"),
    ),
    Case(
        "mount",
        WARN,
        "nfs4 on /home/pi (relatime, rw): stops with the network",
        "local disk",
        mount("9 1 0:6 / /home/pi rw,relatime shared:7 - nfs4 nas:/x rw"),
    ),
    Case(
        "mount",
        WARN,
        "vfat on /home (relatime, rw): no journal",
        "local disk",
        mount("9 1 8:1 / /home rw,relatime - vfat /dev/sda1 rw"),
    ),
    Case(
        "mount",
        WARN,
        "ext4 on /home (rw, strictatime)",
        "sudo mount -o remount,noatime /home",
        mount("9 1 8:1 / /home rw,strictatime - ext4 /dev/sda1 rw"),
    ),
    Case(
        "mount",
        OK,
        "ext4 on /home/pi (noatime, rw)",
        "",
        mount("8 1 0:5 / /home/pi rw - tmpfs x rw\n9 1 8:1 / /home/pi rw,noatime - ext4 /dev/sda1 rw"),
    ),
    Case(
        "mount",
        WARN,
        "tmpfs on /home/pi/.local (rw)",
        "local disk",
        mount(r"9 1 0:5 / /home/pi/\056local rw - tmpfs x rw"),
    ),
    Case("mount", SKIPPED, "mountinfo", "", put("/proc/self/mountinfo", None)),
    Case("device", FAIL, "nvme0n1 is write-protected", "replace the device", put(f"{NVME}/ro", "1\n")),
    Case("device", FAIL, "its state is dead", "replace the device", put(f"{NVME}/device/state", "dead\n")),
    Case("device", SKIPPED, "no block device below (x)", "", mount("9 1 0:5 / /home rw - tmpfs x rw")),
    Case(
        "device",
        OK,
        "sda spinning ATA WDC",
        "",
        {
            "files": {
                **mount("9 1 8:1 / /home rw - ext4 /dev/sda1 rw")["files"],
                "/sys/class/block/sda1": "-> /sys/devices/ata1/sda/sda1",
                "/sys/devices/ata1/sda/sda1/partition": "1",
                "/sys/devices/ata1/sda/queue/rotational": "1\n",
                "/sys/devices/ata1/sda/device/vendor": "ATA     \n",
                "/sys/devices/ata1/sda/device/model": "WDC\n",
                "/sys/devices/ata1/sda/device/state": "running\n",
            }
        },
    ),
    Case(
        "device",
        OK,
        "eMMC A3A551: up to 20 % of its life used",
        "",
        card(("life_time", "0x01 0x02\n"), ("pre_eol_info", "0x01\n")),
        stock_pi4,
    ),
    Case(
        "device",
        WARN,
        "up to 90 % of its life used",
        "replace the device",
        card(("life_time", "0x09 0x02\n"), ("pre_eol_info", "0x01\n")),
        stock_pi4,
    ),
    Case(
        "device",
        WARN,
        "80 % of its reserve blocks used",
        "replace the device",
        card(("life_time", "0x01 0x02\n"), ("pre_eol_info", "0x02\n")),
        stock_pi4,
    ),
    Case(
        "device",
        FAIL,
        "past its rated life",
        "replace the device",
        card(("life_time", "0x01 0x0b\n"), ("pre_eol_info", "0x01\n")),
        stock_pi4,
    ),
    Case(
        "device",
        FAIL,
        "90 % of its reserve blocks used",
        "replace the device",
        card(("life_time", "0x01 0x01\n"), ("pre_eol_info", "0x03\n")),
        stock_pi4,
    ),
    Case("device", OK, "it tells no wear", "", card(), stock_pi4),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.state} {case.found}")
def test_a_change_is_found_and_cured(tmp_path: Path, case: Case) -> None:
    prove(case, tmp_path)
