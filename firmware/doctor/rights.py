"""Checks of real-time rights and of how late this machine wakes a thread.

Owns the budgets that a wake-up must keep (facts: hardware 3.4 and 6). What a machine can hold on real edges
is for the bench to measure; here a machine that cannot is found.
"""

from firmware.doctor.boot import raspberry
from firmware.doctor.findings import Finding, fail, ok, unneeded, warn
from firmware.doctor.machine import Machine
from firmware.doctor.wakeup import FIFO_PRIORITY, Latency

_MARGIN_US = 10
TIER_A_BUDGET_US = 1000 - 100 - _MARGIN_US
"""1 kSPS: the period, less 100 us of transfer on a stock kernel and the margin of the refusal rule."""
TIER_B_PERIOD_US = 250
TIER_B_BUDGET_US = TIER_B_PERIOD_US - 75 - _MARGIN_US
"""4 kSPS: the period, less 75 us of transfer on a real-time kernel and the margin."""
_LIMITS = "/etc/security/limits.d/evokd.conf"


def realtime(machine: Machine) -> Finding:
    """The sample loop may run before everything else."""
    refused = machine.probes.realtime()
    limit = machine.probes.limits()[0]
    if not refused:
        return ok(f"SCHED_FIFO {FIFO_PRIORITY} permitted", rtprio_limit=limit)
    found = f"SCHED_FIFO {FIFO_PRIORITY} refused: {refused} (limit of rtprio: {limit})"
    if raspberry(machine) is None:
        return unneeded(found, rtprio_limit=limit)
    return fail(
        found,
        "allow it, then log out and in again:",
        f"echo '{machine.user.name} - rtprio {FIFO_PRIORITY}' | sudo tee -a {_LIMITS}",
        rtprio_limit=limit,
    )


def locked_memory(machine: Machine) -> Finding:
    """The sample loop's memory may be kept from being paged out."""
    refused = machine.probes.lock_memory()
    limit = machine.probes.limits()[1]
    if not refused:
        return ok("mlockall permitted", memlock_limit_bytes=limit)
    found = f"mlockall refused: {refused} (limit of memlock: {limit // 1024:,} kB)"
    if raspberry(machine) is None:
        return unneeded(found, memlock_limit_bytes=limit)
    return warn(
        found,
        "allow it, then log out and in again:",
        f"echo '{machine.user.name} - memlock unlimited' | sudo tee -a {_LIMITS}",
        memlock_limit_bytes=limit,
    )


def wakeup(machine: Machine) -> Finding:
    """Lateness of a 1 ms timer for a second, as a normal thread and, where permitted, as a real-time one."""
    normal = machine.probes.wakeup(False)
    fifo = None if machine.probes.realtime() else machine.probes.wakeup(True)
    found = f"FIFO {_said(fifo)}; " if fifo else ""
    found += f"normal {_said(normal)} (Python's own time included)"
    figures = _figures("normal", normal) | (_figures("fifo", fifo) if fifo else {})
    pi = raspberry(machine) is not None
    if (fifo or normal).p99_us > TIER_A_BUDGET_US:
        return (fail if pi else warn)(
            f"{found}; 1 kSPS leaves {TIER_A_BUDGET_US} µs",
            "end what else runs here and ask again; see governor and real-time rights",
            **figures,
        )
    if not pi or (fifo and fifo.p99_us <= TIER_B_BUDGET_US and fifo.max_us <= TIER_B_PERIOD_US):
        return ok(found, **figures)
    return warn(
        found,
        f"4 kSPS leave {TIER_B_BUDGET_US} µs, and {TIER_B_PERIOD_US} lose a sample: see preemption, "
        "governor, isolated CPU and real-time rights",
        **figures,
    )


def _said(latency: Latency) -> str:
    missed = f", {latency.n_missed} of {latency.n_wakes} a period late" if latency.n_missed else ""
    return f"p50 {latency.p50_us:.0f}, p99 {latency.p99_us:.0f}, max {latency.max_us:.0f} µs{missed}"


def _figures(name: str, latency: Latency) -> dict[str, float | int | str]:
    return {
        f"{name}_p50_us": latency.p50_us,
        f"{name}_p99_us": latency.p99_us,
        f"{name}_max_us": latency.max_us,
        f"{name}_missed": latency.n_missed,
        f"{name}_wakes": latency.n_wakes,
    }
