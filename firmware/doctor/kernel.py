"""Checks of the kernel: version, preemption, processors, governor, isolation, real-time throttling, memory.

Judges what decides how late a thread may wake (facts: hardware 3.3, 3.4 and 6). Measures nothing itself.
"""

import re

from firmware.doctor.boot import boot_folder, raspberry
from firmware.doctor.findings import Finding, fail, ok, skipped, unneeded, warn
from firmware.doctor.machine import Machine

OLDEST_KERNEL = (5, 10)
"""GPIO uAPI v2, which numbers the edges of each line, came with Linux 5.10."""
_LEAST_MEMORY_MB, _ENOUGH_MEMORY_MB = 480, 900  # boards of 512 MB and 1 GB, less what the firmware keeps
_CPU = "/sys/devices/system/cpu"
_GOOD_SOURCES = ("arch_sys_counter", "tsc")
_VIRTUAL_SOURCES = ("kvm-clock", "hyperv", "xen")


def version(machine: Machine) -> Finding:
    """New enough for numbered edges."""
    release = machine.text("/proc/sys/kernel/osrelease") or ""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if not numbers:
        return skipped("/proc/sys/kernel/osrelease is not readable")
    if (int(numbers[1]), int(numbers[2])) < OLDEST_KERNEL:
        needed = ".".join(map(str, OLDEST_KERNEL))
        return fail(
            f"Linux {release}; {needed} is needed",
            "update the system and restart",
            "sudo apt update && sudo apt full-upgrade",
            release=release,
        )
    return ok(f"Linux {release}", release=release)


def preemption(machine: Machine) -> Finding:
    """PREEMPT_RT, or what instead."""
    words = (machine.text("/proc/sys/kernel/version") or "").split()
    if machine.text("/sys/kernel/realtime") == "1" or "PREEMPT_RT" in words:
        return ok("PREEMPT_RT", model="PREEMPT_RT")
    model = next((word for word in words if word.startswith("PREEMPT")), "no preemption")
    pi = raspberry(machine)
    if pi is None:
        return unneeded(f"{model}, a stock kernel", model=model)
    defaults = "bcm2712_defconfig with CONFIG_PREEMPT_RT=y" if pi.generation == 5 else "bcm2711_rt_defconfig"
    return warn(
        f"{model}, a stock kernel",
        f"for more than 1 kSPS: build github.com/raspberrypi/linux with {defaults}, install it as "
        f"kernel8_rt.img, and write kernel=kernel8_rt.img in {boot_folder(machine)}/config.txt",
        model=model,
    )


def processors(machine: Machine) -> Finding:
    """How many, which, and how many of them we may use."""
    text = machine.text("/proc/cpuinfo") or ""
    online = _members(machine.text(f"{_CPU}/online") or "")
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    name = named[1] if named else machine.architecture
    n, usable = max(len(online), 1), len(machine.probes.cpus())
    found = f"{n} x {name}" + (f", {usable} usable by this process" if usable < n else "")
    if n < 2:
        return warn(
            f"{found}: one for everything", "a machine with two processors or more", cpus=n, usable=usable
        )
    return ok(found, cpus=n, usable=usable)


def architecture(machine: Machine) -> Finding:
    """A 64-bit system on the Pi: numba has no wheels for the 32-bit one."""
    if machine.architecture in ("aarch64", "arm64", "x86_64", "AMD64"):
        return ok(f"{machine.architecture}, 64 bit")
    return warn(
        f"{machine.architecture}: the compiled sample loop has no ready package here",
        "write a 64-bit system to the card (Raspberry Pi OS 64-bit)",
    )


def governor(machine: Machine) -> Finding:
    """Every processor's clock at its top."""
    files = machine.glob(f"{_CPU}/cpu[0-9]*/cpufreq/scaling_governor")
    governors = [machine.text(path) or "" for path in files]
    if not governors:
        return skipped("no frequency scaling on this machine")
    slow = sorted({name for name in governors if name != "performance"})
    if not slow:
        return ok(f"performance on all {len(governors)}", governor="performance")
    found = f"{', '.join(slow)} on {len(governors) - governors.count('performance')} of {len(governors)}"
    if raspberry(machine) is None:
        return unneeded(found, governor=slow[0])
    return warn(
        found,
        "append cpufreq.default_governor=performance to the line in "
        f"{boot_folder(machine)}/cmdline.txt and restart; until then:",
        f"echo performance | sudo tee {_CPU}/cpu*/cpufreq/scaling_governor",
        governor=slow[0],
    )


def isolation(machine: Machine) -> Finding:
    """A processor kept free of everything else for the sample loop."""
    isolated = machine.text(f"{_CPU}/isolated")
    if isolated is None:
        return skipped(f"{_CPU}/isolated is not readable")
    if isolated:
        return ok(f"CPU {isolated} isolated", isolated=isolated)
    online = _members(machine.text(f"{_CPU}/online") or "")
    if raspberry(machine) is None:
        return unneeded("none", isolated="")
    if len(online) < 3:
        return skipped(f"none; {len(online)} processors are too few to give one away", isolated="")
    last = online[-1]
    words = f"isolcpus={last} nohz_full={last} rcu_nocbs={last} irqaffinity=0-{last - 1}"
    return warn(
        f"none of {len(online)}",
        f"append this to the line in {boot_folder(machine)}/cmdline.txt and restart:",
        words,
        isolated="",
    )


def throttling(machine: Machine) -> Finding:
    """How much of a second real-time threads may take."""
    runtime, period = (machine.text(f"/proc/sys/kernel/sched_rt_{name}_us") for name in ("runtime", "period"))
    if not runtime or not period:
        return skipped("/proc/sys/kernel/sched_rt_runtime_us is not readable")
    runtime_us, period_us = int(runtime), max(int(period), 1)
    figures = {"runtime_us": runtime_us, "period_us": period_us}
    restore = "sudo sysctl -w kernel.sched_rt_runtime_us=950000"
    if runtime_us == 0:
        return fail("0 us: real-time threads get no time at all", "restore the default:", restore, **figures)
    if runtime_us < 0:
        found = "no limit: one spinning real-time thread would hang the machine"
        return warn(found, "restore the default:", restore, **figures)
    share = 100 * runtime_us / period_us
    return ok(f"{share:.0f} % of each {period_us / 1e6:g} s; our loop blocks and stays far below", **figures)


def clock_source(machine: Machine) -> Finding:
    """A counter that is read without a trap."""
    folder = "/sys/devices/system/clocksource/clocksource0"
    source = machine.text(f"{folder}/current_clocksource")
    if source is None:
        return skipped(f"{folder} is not readable")
    if source in _GOOD_SOURCES:
        return ok(source, source=source)
    if source.startswith(_VIRTUAL_SOURCES):
        return ok(f"{source} (virtual machine)", source=source)
    available = machine.text(f"{folder}/available_clocksource") or ""
    best = next((name for name in _GOOD_SOURCES if name in available.split()), None)
    if best is None:
        cure: tuple[str, ...] = (f"this machine offers only: {available or source}; use another machine",)
    else:
        cure = ("until the next start:", f"echo {best} | sudo tee {folder}/current_clocksource")
    return warn(f"{source}: slow to read", *cure, source=source)


def memory(machine: Machine) -> Finding:
    """Enough for rings, averages and the page cache."""
    sizes: dict[str, str] = dict(
        re.findall(r"^(\w+):\s+(\d+) kB", machine.text("/proc/meminfo") or "", re.MULTILINE)
    )
    if "MemTotal" not in sizes:
        return skipped("/proc/meminfo is not readable")
    total_mb = int(sizes["MemTotal"]) // 1024
    free_mb = int(sizes.get("MemAvailable", sizes.get("MemFree", "0"))) // 1024
    found, figures = f"{free_mb:,} of {total_mb:,} MB available", {"total_mb": total_mb, "free_mb": free_mb}
    if total_mb < _LEAST_MEMORY_MB:
        return fail(found, f"a board with {_ENOUGH_MEMORY_MB + 100} MB or more", **figures)
    if total_mb < _ENOUGH_MEMORY_MB or free_mb < _LEAST_MEMORY_MB // 2:
        return warn(found, "end what else runs here, or use a board with more memory", **figures)
    return ok(found, **figures)


def swap(machine: Machine) -> Finding:
    """Nothing swapped to a disk."""
    text = machine.text("/proc/swaps")
    if text is None:
        return skipped("/proc/swaps is not readable")
    areas = [line.split() for line in text.splitlines()[1:]]
    slow = [area for area in areas if "zram" not in area[0]]
    if not slow:
        return ok("none on a disk" + (f"; compressed memory: {areas[0][0]}" if areas else ""))
    size_mb = sum(int(area[2]) for area in slow) // 1024
    used_mb = sum(int(area[3]) for area in slow) // 1024
    return warn(
        f"{', '.join(area[0] for area in slow)}: {size_mb:,} MB, {used_mb:,} in use",
        "for good: sudo systemctl disable dphys-swapfile, or its line in /etc/fstab; now:",
        "sudo swapoff -a",
        size_mb=size_mb,
        used_mb=used_mb,
    )


def _members(ranges: str) -> list[int]:
    """Numbers of a kernel's list, such as 0-1,3. Words that are none are left out."""
    numbers: list[int] = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", ranges):
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers
