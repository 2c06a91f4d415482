"""Checks of the Raspberry Pi itself: model, core clock, supply voltage and throttling, temperature.

Asks the firmware through vcgencmd, and sysfs where that says the same. Skipped on any other machine.
"""

import re

from firmware.doctor.boot import Pi, boot_folder, raspberry, setting
from firmware.doctor.findings import Finding, fail, ok, skipped, warn
from firmware.doctor.machine import Machine

NOT_A_PI = "not a Raspberry Pi"
THROTTLED_BITS = {
    0: "under-voltage",
    1: "clock capped",
    2: "throttled",
    3: "soft temperature limit",
}
"""Of `vcgencmd get_throttled`: now; the same 16 bits higher: since the start."""
_PAST = 16
_SUPPLY = "use the official supply (5 V 5 A for a Pi 5, 5.1 V 3 A for a Pi 4) and a short cable"
_COOLING = "a heat sink with a fan, and air around the case"
_WARM_C, _HOT_C = 70.0, 80.0
_SAME_CLOCK = 0.01


def model(machine: Machine) -> Finding:
    """Which board, and whether anybody has measured one like it."""
    pi = raspberry(machine)
    if pi is None:
        name = machine.text("/sys/devices/virtual/dmi/id/product_name") or "nothing says what it is"
        return skipped(f"{NOT_A_PI} ({machine.architecture}, {name})")
    found = f"{pi.model} ({pi.soc.upper()})"
    figures = {"generation": pi.generation}
    if pi.generation >= 4:
        return ok(found, **figures)
    if pi.generation == 3:
        return warn(
            f"{found}: wake-up tails up to 0.26 ms even on a real-time kernel",
            "a Pi 4 or Pi 5 for more than 500 SPS",
            **figures,
        )
    if pi.generation == 0:
        return warn(f"{found}: nobody has measured one yet", "let evokd bench measure it", **figures)
    return fail(f"{found}: too slow", "use a Pi 4 or Pi 5", **figures)


def core_clock(machine: Machine) -> Finding:
    """The clock that SPI is divided from stands still."""
    pi = raspberry(machine)
    if pi is None:
        return skipped(NOT_A_PI)
    clocks_mhz = [_core_mhz(machine) for _ in range(2)]
    known = [mhz for mhz in clocks_mhz if mhz is not None]
    figures = {f"core_mhz_{k}": mhz for k, mhz in enumerate(known, 1)}
    moved = len(known) == 2 and abs(known[0] - known[1]) > _SAME_CLOCK * max(known)
    measured = f"measured {' and '.join(f'{mhz:.0f}' for mhz in known)} MHz" if known else "not measurable"
    cure = f"write core_freq_fixed=1 under [all] in {boot_folder(machine)}/config.txt and restart"
    if moved:
        return fail(f"it moves: {measured}", cure, **figures)
    if _fixed(machine, pi):
        return ok(f"fixed, {measured}", **figures)
    return warn(f"free to move with the load; {measured}", cure, **figures)


def supply(machine: Machine) -> Finding:
    """Voltage and clock as the firmware saw them, now and since the start."""
    if raspberry(machine) is None:
        return skipped(NOT_A_PI)
    ran = machine.run(("vcgencmd", "get_throttled"))
    word = re.search(r"throttled=(0x[0-9a-fA-F]+)", ran.out)
    if word is None:
        return _supply_by_sensor(machine, ran.err or ran.out)
    bits = int(word[1], 16)
    now = [name for bit, name in THROTTLED_BITS.items() if bits >> bit & 1]
    past = [name for bit, name in THROTTLED_BITS.items() if bits >> (bit + _PAST) & 1]
    figures = {"throttled": word[1]}
    if not bits:
        return ok("no under-voltage, no throttling since the start", **figures)
    cure = _SUPPLY if "under-voltage" in (*now, *past) else _COOLING
    if set(now) - {THROTTLED_BITS[3]}:
        return fail(f"now: {', '.join(now)} ({word[1]})", cure, **figures)
    said = [f"now: {', '.join(now)}"] if now else []
    said += [f"since the start: {', '.join(past)}"] if past else []
    return warn(f"{'; '.join(said)} ({word[1]})", f"{cure}, then restart to clear the record", **figures)


def temperature(machine: Machine) -> Finding:
    """Below where the firmware slows the processor."""
    zones = [machine.text(path) or "" for path in machine.glob("/sys/class/thermal/thermal_zone*/temp")]
    degrees_c = [int(text) / 1000 for text in zones if re.fullmatch(r"-?\d+", text)]
    if not degrees_c:
        return skipped("no sensor")
    hottest_c = max(degrees_c)
    found, figures = f"{hottest_c:.1f} °C", {"hottest_c": hottest_c}
    if hottest_c < _WARM_C:
        return ok(found, **figures)
    if hottest_c < _HOT_C or raspberry(machine) is None:
        return warn(found, _COOLING, **figures)
    return fail(f"{found}: the firmware throttles from {_HOT_C:.0f} °C on", _COOLING, **figures)


def _core_mhz(machine: Machine) -> float | None:
    measured = re.search(r"frequency\(\d+\)=(\d+)", machine.run(("vcgencmd", "measure_clock", "core")).out)
    return int(measured[1]) / 1e6 if measured else None


def _fixed(machine: Machine, pi: Pi) -> bool:
    """What the firmware says it runs with; what config.txt asks for where it says nothing."""
    said = re.search(r"core_freq_fixed=(\d+)", machine.run(("vcgencmd", "get_config", "core_freq_fixed")).out)
    if said:
        return said[1] != "0"
    return any(setting(machine, pi.soc, name) == "1" for name in ("core_freq_fixed", "force_turbo"))


def _supply_by_sensor(machine: Machine, said: str) -> Finding:
    """Without vcgencmd the kernel's sensor still knows of under-voltage now."""
    for name in machine.glob("/sys/class/hwmon/hwmon*/name"):
        alarm = machine.text(name.parent / "in0_lcrit_alarm")
        if machine.text(name) == "rpi_volt" and alarm is not None:
            if alarm != "0":
                return fail("under-voltage now (rpi_volt)", _SUPPLY)
            return ok("no under-voltage now (rpi_volt; vcgencmd would tell more)")
    return warn(
        f"vcgencmd does not answer: {said.splitlines()[0] if said else 'it says nothing'}",
        "install it, and join the group that may ask the firmware:",
        "sudo apt install raspi-utils",
        f"sudo usermod -aG video {machine.user.name}",
    )
