"""What the rest of the system is told: user, folders, device nodes, journal, hardware watchdog. Pure text."""

from hostd.appliance.places import CACHE, CASES, COMPILED, LINK, PICO, STATE, USER, WIRING

SYSUSERS = f"""\
# evokd's own user; nobody logs in as it.
u {USER} - "evokd, intraoperative neuromonitoring" {STATE}
"""

TMPFILES = f"""\
# Made anew at every start if missing, so that the root may be read-only and {STATE} empty.
d {STATE} 0750 {USER} {USER}
d {CASES} 0750 {USER} {USER}
# Kernels as compiled when evokd was installed, where a copy is missing.
C {CACHE} - - - - {COMPILED}
Z {CACHE} - {USER} {USER}
"""

_MICROPYTHON = 'ATTRS{idVendor}=="2e8a", ATTRS{idProduct}=="0005"'

UDEV = f"""\
# Converters, GPIO and coprocessor belong to evokd; people who work at the bench join the group {USER}.
SUBSYSTEM=="spidev", KERNEL=="spidev*", GROUP="{USER}", MODE="0660", TAG+="systemd"
SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="{USER}", MODE="0660"
# MicroPython on a Pico. ModemManager would talk to its port; nobody else may.
SUBSYSTEM=="tty", KERNEL=="ttyACM*", {_MICROPYTHON}, GROUP="{USER}", MODE="0660", TAG+="systemd", \\
  ENV{{ID_MM_DEVICE_IGNORE}}="1", ENV{{ID_MM_PORT_IGNORE}}="1", SYMLINK+="{PICO.removeprefix("/dev/")}"
SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", ATTR{{idVendor}}=="2e8a", ENV{{ID_MM_DEVICE_IGNORE}}="1"
"""

JOURNALD = """\
# A log that outlives power cuts and never fills the disk that cases are recorded on.
[Journal]
Storage=persistent
SystemMaxUse=200M
RuntimeMaxUse=50M
SyncIntervalSec=30s
"""

HARDWARE_WATCHDOG = """\
# A kernel that hangs is reset. The Raspberry Pi's watchdog counts to 15 s at most.
[Manager]
RuntimeWatchdogSec=10s
"""


def config(source: str, wired_as_said: bool) -> str:
    """The options of the services, for people to change; what a person wrote is never overwritten."""
    kind = source.partition(":")[0]
    if kind == "mirror":
        return """\
# Options of evokd's services, as `evokd host --help` and `evokd web --help` tell them.
# To make a change hold: systemctl restart evokd.target
# Where the box asks for keys: EVOKD_HOST=--keys DIR, a copy of the box's own folder of keys.
EVOKD_HOST=
EVOKD_WEB=--http 127.0.0.1:5780
"""
    wired = kind == "serial"
    wiring = f" --wiring {WIRING}" if wired_as_said else ""
    return f"""\
# Options of evokd's services, as `evokd edge --help`, `evokd host --help` and `evokd web --help` tell them.
# To make a change hold, when no case runs: systemctl restart {"evokd-host" if wired else "evokd.target"}
EVOKD_EDGE_LINK={LINK}
EVOKD_EDGE=--source {"simulated" if wired else source}{wiring}
EVOKD_LINK={source if wired else LINK}
EVOKD_HOST=--procedure median_ssep
EVOKD_WEB=--http 127.0.0.1:5780
"""


def launcher(python: str) -> str:
    """`evokd` for people's shells."""
    return f'#!/bin/sh\nexec {python} -P -m hostd "$@"\n'
