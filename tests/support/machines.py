"""Machines laid out as folders for the doctor: a healthy Pi 5, and what else may stand on a cart.

A machine is a mapping from path to text, `None` for what is not there; a variant changes some entries. What
a program answers and what a probe measures are given the same way.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from firmware.doctor.machine import Machine, Ran, User
from firmware.doctor.probes import ClockState, Probes, Space
from firmware.doctor.wakeup import Latency
from firmware.doctor.writing import Writing

DATA = "/home/pi/.local/share/evokd"
QUICK = Latency(1000, 0, 31.0, 58.0, 96.0)
NORMAL = Latency(1000, 2, 62.0, 210.0, 1480.0)
SPACE = Space(400_000_000_000, 500_000_000_000)
WRITING = Writing(64, 38.4e6, 1.6, 3.2, 4.1)
CLOCK = ClockState(synchronised=True, offset_us=-12.0, max_error_us=2_345.0, frequency_ppm=-3.25)

REQUIRES = [
    "numpy>=2.1",
    "numba>=0.61",
    "pyserial>=3.5",
    'spidev>=3.6; extra == "pi"',
    'gpiod>=2.2; extra == "pi"',
    'pytest>=8.2; extra == "dev"',
]
INVENTORY: dict[str, Any] = {
    "python": "3.13.5",
    "bindings": {"gpiod": "", "spidev": ""},
    "gpiod_v2": True,
    "rpi_package": True,
    "requires": REQUIRES,
    "versions": {
        "numpy": "2.4.6",
        "numba": "0.68.1",
        "pyserial": "3.5",
        "gpiod": "2.5.0",
        "spidev": "3.8",
        "rpi-lgpio": "0.6",
    },
}

CPU = "/sys/devices/system/cpu"
NVME = "/sys/devices/platform/axi/1000110000.pcie/nvme/nvme0/nvme0n1"
MMC = "/sys/devices/platform/emmc2bus/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0"

PI5: dict[str, str | None] = {
    "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "/proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
    "/proc/sys/kernel/osrelease": "6.12.47+rpt-rpi-2712-rt\n",
    "/proc/sys/kernel/version": "#1 SMP PREEMPT_RT Debian 1:6.12.47-1+rpt1 (2025-09-16)\n",
    "/proc/sys/kernel/sched_rt_runtime_us": "950000\n",
    "/proc/sys/kernel/sched_rt_period_us": "1000000\n",
    "/proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n",
    "/proc/meminfo": "MemTotal:        8256304 kB\nMemFree:   100 kB\nMemAvailable:    7012345 kB\n",
    "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 2097136 0 100\n",
    "/proc/self/mountinfo": "26 1 259:2 / / rw,noatime shared:1 - ext4 /dev/nvme0n1p2 rw\n"
    "27 26 259:1 / /boot/firmware rw,relatime shared:2 - vfat /dev/nvme0n1p1 rw\n",
    "/proc/812/comm": "chronyd\n",
    "/proc/1/comm": "systemd\n",
    "/sys/kernel/realtime": "1\n",
    f"{CPU}/online": "0-3\n",
    f"{CPU}/isolated": "3\n",
    **{f"{CPU}/cpu{k}/cpufreq/scaling_governor": "performance\n" for k in range(4)},
    "/sys/devices/system/clocksource/clocksource0/current_clocksource": "arch_sys_counter\n",
    "/sys/devices/system/clocksource/clocksource0/available_clocksource": "arch_sys_counter\n",
    "/sys/class/thermal/thermal_zone0/temp": "48850\n",
    "/sys/module/spidev/parameters/bufsiz": "4096\n",
    "/sys/dev/block/259:2": f"-> {NVME}/nvme0n1p2",
    f"{NVME}/nvme0n1p2/partition": "2\n",
    f"{NVME}/ro": "0\n",
    f"{NVME}/queue/rotational": "0\n",
    f"{NVME}/device/model": "Samsung SSD 980 500GB   \n",
    f"{NVME}/device/state": "live\n",
    "/dev/spidev0.0": "",
    "/dev/spidev0.1": "",
    "/dev/spidev10.0": "",
    "/dev/gpiochip0": "pinctrl-rp1",
    "/dev/gpiochip10": "gpio-brcmstb@107d508500",
    "/dev/ttyACM0": "",
    "/boot/firmware/config.txt": "# header\ndtparam=i2c_arm=on,spi=on\n[all]\ncore_freq_fixed=1\n",
    "/etc/group": "root:x:0:\nspi:x:989:pi\ngpio:x:986:pi\ndialout:x:20:pi\n",
    f"{DATA}/keep": "",
}
PI5_PROGRAMS: dict[str, Ran] = {
    "vcgencmd get_throttled": Ran(0, "throttled=0x0"),
    "vcgencmd measure_clock core": Ran(0, "frequency(0)=910007424"),
    "vcgencmd get_config core_freq_fixed": Ran(0, "core_freq_fixed=1"),
    "chronyc -c tracking": Ran(
        0, "C0A80101,192.168.1.1,3,1754560000.1,-0.000012,0.00001,0.00002,-3.2,0.0,0.1,0.01,0.001,64.2,Normal"
    ),
}
PI4_STOCK: dict[str, str | None] = {
    **PI5,
    "/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "/proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
    "/proc/sys/kernel/osrelease": "6.12.47+rpt-rpi-v8\n",
    "/proc/sys/kernel/version": "#1 SMP PREEMPT Debian 1:6.12.47-1+rpt1 (2025-09-16)\n",
    "/sys/kernel/realtime": None,
    f"{CPU}/isolated": "\n",
    **{f"{CPU}/cpu{k}/cpufreq/scaling_governor": "ondemand\n" for k in range(4)},
    "/sys/module/spidev/parameters/bufsiz": None,
    "/proc/self/mountinfo": "26 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw\n",
    "/sys/dev/block/259:2": None,
    "/sys/dev/block/179:2": f"-> {MMC}/mmcblk0p2",
    f"{MMC}/mmcblk0p2/partition": "2\n",
    f"{MMC}/device/type": "SD\n",
    f"{MMC}/device/name": "SC32G\n",
    "/dev/spidev0.0": None,
    "/dev/spidev0.1": None,
    "/dev/spidev10.0": None,
    "/dev/gpiochip0": "pinctrl-bcm2711",
    "/dev/gpiochip10": None,
    "/dev/gpiochip1": "raspberrypi-exp-gpio",
    "/dev/ttyACM0": None,
    "/boot/firmware/config.txt": "[pi5]\ncore_freq_fixed=1\ndtparam=spi=on\n[all]\n#dtparam=spi=on\n",
}
LAPTOP: dict[str, str | None] = {
    **{path: text for path, text in PI5.items() if path.startswith(("/proc/sys", "/proc/self", "/home"))},
    "/proc/sys/kernel/osrelease": "6.12.41-amd64\n",
    "/proc/sys/kernel/version": "#1 SMP PREEMPT_DYNAMIC Debian 6.12.41-1 (2025-08-12)\n",
    "/proc/cpuinfo": "model name\t: 12th Gen Intel(R) Core(TM) i5-1240P\n",
    "/proc/meminfo": "MemTotal: 16123456 kB\nMemAvailable: 9123456 kB\n",
    "/proc/swaps": "Filename Type Size Used Priority\n",
    "/proc/700/comm": "systemd-timesyn\n",
    f"{CPU}/online": "0-15\n",
    f"{CPU}/isolated": "\n",
    f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "/sys/devices/virtual/dmi/id/product_name": "ThinkPad T14\n",
    "/sys/dev/block/259:2": f"-> {NVME}/nvme0n1p2",
    f"{NVME}/nvme0n1p2/partition": "2\n",
    f"{NVME}/device/state": "live\n",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What a machine consists of; `programs`: command line to answer, `denied`: paths closed to the user."""

    files: Mapping[str, str | None]
    programs: Mapping[str, Ran] = field(default_factory=dict)
    inventory: Mapping[str, Any] | Ran = field(default_factory=lambda: INVENTORY)
    probes: Mapping[str, Any] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()
    gids: frozenset[int] = frozenset({1000, 989, 986, 20})
    architecture: str = "aarch64"
    environ: Mapping[str, str] = field(default_factory=lambda: {"HOME": "/home/pi"})

    def but(self, **changes: Any) -> "Layout":
        """The same with some things changed: mappings are added to, the rest is replaced."""
        for name in ("files", "programs", "probes"):
            if name in changes:
                changes[name] = {**getattr(self, name), **changes[name]}
        return replace(self, **changes)

    def build(self, root: Path) -> Machine:
        """The machine, laid out under `root`."""
        for name, text in self.files.items():
            if text is not None:
                _lay(root, name, text)
        return Machine(
            root=root,
            data=Path(DATA),
            package=Path("/opt/evokd/firmware"),
            architecture=self.architecture,
            user=User("pi", 1000, self.gids),
            environ=self.environ,
            run=self._run,
            may_use=lambda path: not self._denied(root, path),
            chip_label=self._label(root),
            probes=Probes(**{**_probes(), **self.probes}),
        )

    def _run(self, argv: Any) -> Ran:
        if tuple(argv) == (sys.executable, "-m", "firmware.doctor.inventory"):
            has = self.inventory
            return has if isinstance(has, Ran) else Ran(0, json.dumps(has))
        return self.programs.get(" ".join(argv), Ran(None, err=f"No such file or directory: {argv[0]!r}"))

    def _denied(self, root: Path, path: Path) -> bool:
        return str(Path("/") / path.relative_to(root)) in self.denied

    def _label(self, root: Path) -> Any:
        def label(path: Path) -> str:
            if self._denied(root, path):
                raise PermissionError(13, "Permission denied")
            return path.read_text()

        return label


def healthy() -> Layout:
    """A Pi 5 with everything as it should be."""
    return Layout(PI5, PI5_PROGRAMS)


def stock_pi4() -> Layout:
    """A Pi 4 out of the box: stock kernel, ondemand governor, SPI off, an SD card."""
    programs = {**PI5_PROGRAMS, "vcgencmd get_config core_freq_fixed": Ran(0, "core_freq_fixed=0")}
    late = {"wakeup": lambda fifo: replace(QUICK, p99_us=190.0, max_us=320.0) if fifo else NORMAL}
    return Layout(PI4_STOCK, programs, probes=late)


def laptop() -> Layout:
    """Somebody's computer: no Pi, no bindings, no real-time rights."""
    bindings = {"gpiod": "No module named 'gpiod'", "spidev": "No module named 'spidev'"}
    versions = {name: INVENTORY["versions"][name] for name in ("numpy", "numba", "pyserial")}
    has = {**INVENTORY, "bindings": bindings, "gpiod_v2": False, "rpi_package": False, "versions": versions}
    refused = {
        "realtime": lambda: "Operation not permitted",
        "lock_memory": lambda: "Cannot allocate memory",
        "limits": lambda: (0, 8 << 20),
    }
    return Layout(LAPTOP, inventory=has, probes=refused, architecture="x86_64", gids=frozenset({1000}))


def _probes() -> dict[str, Any]:
    return {
        "realtime": lambda: "",
        "lock_memory": lambda: "",
        "limits": lambda: (80, -1),
        "wakeup": lambda fifo: QUICK if fifo else NORMAL,
        "clock": lambda: CLOCK,
        "space": lambda folder: SPACE,
        "writing": lambda folder: WRITING,
        "cpus": lambda: (0, 1, 2, 3),
    }


def _lay(root: Path, name: str, text: str) -> None:
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    if text.startswith("-> "):  # a relative link, as in sysfs
        target = root / text[3:].lstrip("/")
        if not target.exists():
            target.mkdir(parents=True)
        path.symlink_to(os.path.relpath(target, path.parent))
    else:
        path.write_text(text)
