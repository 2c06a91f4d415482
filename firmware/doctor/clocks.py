"""Check of the wall clock: is it kept by somebody, and how far may it be off?

Sample time is the converter's own count; the wall clock only dates a case and joins it with other devices'
logs, so that a wrong one warns and never fails.
"""

from firmware.doctor.findings import Figure, Finding, ok, skipped, warn
from firmware.doctor.machine import Machine

_KEEPERS = {
    "chronyd": "chrony",
    "systemd-timesyn": "systemd-timesyncd",
    "ntpd": "ntpd",
    "ptp4l": "ptp4l",
    "phc2sys": "phc2sys",
}
_FAR_US = 500_000.0
_CHRONY_OFFSET_S, _CHRONY_FIELDS = 4, 14


def synchronised(machine: Machine) -> Finding:
    """The kernel's own state of its clock, and who keeps it."""
    try:
        clock = machine.probes.clock()
    except OSError as error:
        return skipped(f"the kernel does not tell: {error.strerror}")
    keepers = _keepers(machine)
    by = f"by {', '.join(keepers)}" if keepers else "by nobody seen here"
    offset_us = _offset_us(machine, clock.offset_us) if keepers else clock.offset_us
    figures: dict[str, Figure] = {
        "synchronised": int(clock.synchronised),
        "offset_us": offset_us,
        "max_error_us": clock.max_error_us,
        "frequency_ppm": round(clock.frequency_ppm, 3),
    }
    if clock.synchronised:
        found = f"synchronised {by}: offset {_span(offset_us)}, at most {_span(clock.max_error_us)}"
        if clock.max_error_us <= _FAR_US:
            return ok(found, **figures)
        return warn(found, "wait, or name a nearer server in /etc/chrony/chrony.conf", **figures)
    if "chrony" in keepers:
        return warn(
            "not synchronised, though chrony runs",
            "it reaches no server: look at its sources, and name the hospital's in /etc/chrony/chrony.conf:",
            "chronyc sources",
            **figures,
        )
    if keepers:
        return warn(
            f"not synchronised, though {', '.join(keepers)} runs",
            "look why:",
            "timedatectl status",
            **figures,
        )
    return warn(
        "not synchronised, and nobody tries",
        "let chrony keep it:",
        "sudo apt install chrony && sudo systemctl enable --now chrony",
        **figures,
    )


def _keepers(machine: Machine) -> list[str]:
    running = {machine.text(path) for path in machine.glob("/proc/[0-9]*/comm")}
    return [name for command, name in _KEEPERS.items() if command in running]


def _offset_us(machine: Machine, kernel_us: float) -> float:
    """Chrony steers by frequency and leaves the kernel's offset at 0, so it is asked itself."""
    fields = machine.run(("chronyc", "-c", "tracking")).out.split(",")
    if len(fields) < _CHRONY_FIELDS:
        return kernel_us
    try:
        return float(fields[_CHRONY_OFFSET_S]) * 1e6
    except ValueError:
        return kernel_us


def _span(us: float) -> str:
    size = abs(us)
    if size < 1e3:
        return f"{us:.0f} µs"
    return f"{us / 1e3:.1f} ms" if size < 1e6 else f"{us / 1e6:.1f} s"
