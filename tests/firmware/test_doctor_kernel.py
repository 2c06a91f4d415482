"""The doctor's checks of the kernel: version, preemption, governor, real-time rights, wake-up, clocks."""

from pathlib import Path

import pytest

from tests.support.doctor_cases import (
    FAIL,
    OK,
    SKIPPED,
    WARN,
    Case,
    clock,
    probe,
    prove,
    put,
    refused,
    says,
    wakes,
)
from tests.support.machines import CPU, laptop

CLOCKSOURCE = "/sys/devices/system/clocksource/clocksource0"
CASES = [
    Case(
        "kernel",
        FAIL,
        "Linux 5.4.0-1-rpi; 5.10 is needed",
        "full-upgrade",
        put("/proc/sys/kernel/osrelease", "5.4.0-1-rpi"),
    ),
    Case("kernel", OK, "Linux 5.10.0", "", put("/proc/sys/kernel/osrelease", "5.10.0")),
    Case("kernel", SKIPPED, "osrelease", "", put("/proc/sys/kernel/osrelease", None)),
    Case("preemption", OK, "PREEMPT_RT", "", put("/sys/kernel/realtime", None)),
    Case("preemption", OK, "PREEMPT_RT", "", put("/proc/sys/kernel/version", "#1 SMP")),
    Case(
        "preemption",
        WARN,
        "no preemption, a stock kernel",
        "bcm2712_defconfig with CONFIG_PREEMPT_RT=y",
        put("/proc/sys/kernel/version", "#1 SMP", ("/sys/kernel/realtime", "0")),
    ),
    Case(
        "governor",
        WARN,
        "ondemand on 1 of 4",
        "tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        put(f"{CPU}/cpu2/cpufreq/scaling_governor", "ondemand\n"),
    ),
    Case("governor", SKIPPED, "powersave on 1 of 1; of no matter without converters", "", {}, laptop),
    Case("isolated CPU", WARN, "none of 4", "isolcpus=3", put(f"{CPU}/isolated", "\n")),
    Case(
        "isolated CPU",
        SKIPPED,
        "2 processors are too few",
        "",
        put(f"{CPU}/isolated", "\n", (f"{CPU}/online", "0-1\n")),
    ),
    Case("isolated CPU", SKIPPED, "not readable", "", put(f"{CPU}/isolated", None)),
    Case("RT throttling", OK, "95 % of each 1 s", "", {}),
    Case(
        "RT throttling",
        WARN,
        "no limit",
        "kernel.sched_rt_runtime_us=950000",
        put("/proc/sys/kernel/sched_rt_runtime_us", "-1\n"),
    ),
    Case(
        "RT throttling",
        FAIL,
        "no time at all",
        "kernel.sched_rt_runtime_us=950000",
        put("/proc/sys/kernel/sched_rt_runtime_us", "0\n"),
    ),
    Case("RT throttling", SKIPPED, "not readable", "", put("/proc/sys/kernel/sched_rt_runtime_us", None)),
    Case(
        "clock source",
        OK,
        "kvm-clock (virtual machine)",
        "",
        put(f"{CLOCKSOURCE}/current_clocksource", "kvm-clock"),
    ),
    Case(
        "clock source",
        WARN,
        "hpet: slow to read",
        f"echo tsc | sudo tee {CLOCKSOURCE}/current_clocksource",
        put(
            f"{CLOCKSOURCE}/current_clocksource",
            "hpet",
            (f"{CLOCKSOURCE}/available_clocksource", "hpet tsc acpi_pm"),
        ),
    ),
    Case(
        "clock source",
        WARN,
        "jiffies",
        "offers only: jiffies",
        put(
            f"{CLOCKSOURCE}/current_clocksource",
            "jiffies",
            (f"{CLOCKSOURCE}/available_clocksource", "jiffies"),
        ),
    ),
    Case("clock source", SKIPPED, "not readable", "", put(f"{CLOCKSOURCE}/current_clocksource", None)),
    Case(
        "real-time rights",
        FAIL,
        "SCHED_FIFO 50 refused: Operation not permitted (limit of rtprio: 0)",
        "echo 'pi - rtprio 50' | sudo tee -a /etc/security/limits.d/evokd.conf",
        refused("realtime"),
    ),
    Case("real-time rights", SKIPPED, "refused: Operation not permitted", "", {}, laptop),
    Case(
        "locked memory",
        WARN,
        "mlockall refused: Operation not permitted (limit of memlock: 8,192 kB)",
        "echo 'pi - memlock unlimited' | sudo tee -a /etc/security/limits.d/evokd.conf",
        refused("lock_memory"),
    ),
    Case("wake-up", OK, "p99 165", "", wakes(165.0, 250.0)),
    Case("wake-up", WARN, "p99 166", "4 kSPS leave 165 µs", wakes(166.0, 250.0)),
    Case("wake-up", WARN, "max 251", "250 lose a sample", wakes(165.0, 251.0)),
    Case("wake-up", WARN, "p99 890", "real-time rights", wakes(890.0, 5000.0)),
    Case(
        "wake-up",
        FAIL,
        "p99 891, max 5000 µs; normal p50 20, p99 891, max 5000 µs (Python's own time included); "
        "1 kSPS leaves 890 µs",
        "end what else runs here",
        wakes(891.0, 5000.0),
    ),
    Case("wake-up", WARN, "normal p50 62, p99 210", "4 kSPS", refused("realtime")),
    Case("wake-up", OK, "normal p50 20, p99 890", "", wakes(890.0, 5000.0), laptop),
    Case("wake-up", WARN, "normal p50 20, p99 891", "end what", wakes(891.0, 5000.0), laptop),
    Case("wall clock", OK, "offset -12 µs, at most 500.0 ms", "", clock(True, 5e5)),
    Case("wall clock", WARN, "at most 1.5 s", "nearer server", clock(True, 1.5e6)),
    Case("wall clock", WARN, "though chrony runs", "chronyc sources", clock(False)),
    Case("wall clock", WARN, "though systemd-timesyncd runs", "timedatectl status", clock(False), laptop),
    Case(
        "wall clock",
        OK,
        "by nobody seen here: offset 250 µs",
        "",
        {**clock(True, 100.0), **put("/proc/812/comm", None)},
    ),
    Case(
        "wall clock",
        OK,
        "offset 250 µs",
        "",
        {**clock(True, 100.0), **says("chronyc -c tracking", "506 Cannot", 1)},
    ),
    Case(
        "wall clock",
        SKIPPED,
        "the kernel does not tell: not here",
        "",
        probe("clock", OSError(1, "not here")),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.state} {case.found}")
def test_a_change_is_found_and_cured(tmp_path: Path, case: Case) -> None:
    prove(case, tmp_path)
